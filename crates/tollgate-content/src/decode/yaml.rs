//! YAML 1.2 by its core schema, from the events of the parser that reads the configuration.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{DEPTH_MAX, Undecoded, within};
use crate::node::write_text;
use crate::raw::Malformed;

pub(super) fn decode(text: &str, max: usize) -> Result<Vec<u8>, Undecoded> {
    let mut writer = Writer { out: Vec::new(), max, open: Vec::new(), anchors: HashMap::new(), documents: 0 };
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| Malformed(error.to_string()))?;
        writer.take(event)?;
        within(writer.out.len(), max)?;
    }
    if writer.out.is_empty() {
        writer.out.extend_from_slice(b"null");
    }
    Ok(writer.out)
}

struct Writer {
    out: Vec<u8>,
    max: usize,
    open: Vec<Open>,
    /// What an anchor names, as it was written.
    anchors: HashMap<usize, Range<usize>>,
    documents: usize,
}

/// A list or a map that has not ended.
struct Open {
    map: bool,
    /// Nodes written so far, names included.
    nodes: usize,
    start: usize,
    anchor: usize,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) -> Result<(), Undecoded> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Malformed("it holds more than one document".to_owned()).into());
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    return Err(Malformed("tags are not read".to_owned()).into());
                }
                let name = self.begin();
                let start = self.out.len();
                match style {
                    ScalarStyle::Plain if !name => write_plain(&text, &mut self.out),
                    _ => write_text(&text, &mut self.out),
                }
                self.remember(anchor, start);
            }
            Event::SequenceStart(anchor, tag) => self.enter(false, anchor, tag.is_some())?,
            Event::MappingStart(anchor, tag) => self.enter(true, anchor, tag.is_some())?,
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    self.out.push(if open.map { b'}' } else { b']' });
                    self.remember(open.anchor, open.start);
                }
            }
            Event::Alias(anchor) => self.alias(anchor)?,
            _ => {}
        }
        Ok(())
    }

    /// What stands in front of the next node. Whether it is the name of a member.
    fn begin(&mut self) -> bool {
        let Some(open) = self.open.last_mut() else { return false };
        let name = open.map && open.nodes.is_multiple_of(2);
        match (open.nodes, open.map && !name) {
            (_, true) => self.out.push(b':'),
            (0, _) => {}
            _ => self.out.push(b','),
        }
        open.nodes += 1;
        name
    }

    fn enter(&mut self, map: bool, anchor: usize, tagged: bool) -> Result<(), Malformed> {
        if tagged {
            return Err(Malformed("tags are not read".to_owned()));
        }
        if self.begin() {
            return Err(Malformed("the name of a member is a list or a map".to_owned()));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(Malformed(format!("it is nested more than {DEPTH_MAX} deep")));
        }
        self.open.push(Open { map, nodes: 0, start: self.out.len(), anchor });
        self.out.push(if map { b'{' } else { b'[' });
        Ok(())
    }

    fn remember(&mut self, anchor: usize, start: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, start..self.out.len());
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<(), Undecoded> {
        let name = self.begin();
        let Some(named) = self.anchors.get(&anchor).cloned() else {
            return Err(Malformed("an alias stands inside what it names".to_owned()).into());
        };
        if name && self.out.get(named.start) != Some(&b'"') {
            return Err(Malformed("the name of a member is an alias of what is no text".to_owned()).into());
        }
        within(self.out.len() + named.len(), self.max)?;
        // What is copied was nested as deep where it stood; together they stay below what JSON's check allows.
        self.out.extend_from_within(named);
        Ok(())
    }
}

/// A plain scalar by the core schema (YAML 1.2.2 section 10.3.2).
fn write_plain(text: &str, out: &mut Vec<u8>) {
    let literal = match text {
        "" | "~" | "null" | "Null" | "NULL" => Some("null"),
        "true" | "True" | "TRUE" => Some("true"),
        "false" | "False" | "FALSE" => Some("false"),
        // JSON has no numbers for these.
        _ => None,
    };
    if let Some(literal) = literal {
        return out.extend_from_slice(literal.as_bytes());
    }
    let based =
        |prefix, base| text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, base).ok());
    if let Some(number) = based("0o", 8).or_else(|| based("0x", 16)) {
        return out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
    match json_number(text) {
        Some(number) => out.extend_from_slice(number.as_bytes()),
        None => write_text(text, out),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` as a number of JSON, which is stricter.
fn json_number(text: &str) -> Option<String> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (rest, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let sound = match (whole, fraction) {
        ("", fraction) => mantissa.starts_with('.') && digits(fraction),
        (whole, "") => digits(whole),
        (whole, fraction) => digits(whole) && digits(fraction),
    };
    let exponent_sound =
        exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    if !sound || !exponent_sound {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let mut number = format!("{sign}{}", if whole.is_empty() { "0" } else { whole });
    if !fraction.is_empty() {
        number.push('.');
        number.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        number.push('e');
        number.push_str(exponent);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::super::{Notation, told};

    #[test]
    fn documents() {
        let check = |text: &str, wanted: &str| assert_eq!(told(text, Notation::Yaml), wanted, "{text}");
        check(
            "a: 1\nb: [x, 'y', \"z\"]\nc: {d: ~, e: true}\n",
            r#"{"a":1,"b":["x","y","z"],"c":{"d":null,"e":true}}"#,
        );
        check("- 0o17\n- 0xff\n- +1\n- 007\n- 1.50\n- .5\n- 1.\n- -1e3\n", "[15,255,1,7,1.50,0.5,1,-1e3]");
        check(
            "- .inf\n- .nan\n- 1_000\n- 0x\n- '1'\n- yes\n- 1:30\n- -\n",
            r#"[".inf",".nan","1_000","0x","1","yes","1:30",[null]]"#,
        );
        check("1: x\ntrue: y\n", r#"{"1":"x","true":"y"}"#);
        check("a: &x {b: 1}\nc: *x\nd: [*x]\n", r#"{"a":{"b":1},"c":{"b":1},"d":[{"b":1}]}"#);
        check("a: |\n  one\n  two\n", r#"{"a":"one\ntwo\n"}"#);
        check("", "null");
        check("# nothing\n", "null");
        check("5", "5");
        check("--- 1\n--- 2\n", "error: it holds more than one document");
        check("a: !x 1", "error: tags are not read");
        check("? [a]\n: 1\n", "error: the name of a member is a list or a map");
        check("&a [*a]", "error: an alias stands inside what it names");
        assert!(told("a: [", Notation::Yaml).starts_with("error: "));
    }

    #[test]
    fn bombs_are_bounded() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (one, next) in "abcdefgh".chars().zip("bcdefghi".chars()) {
            bomb.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{one}"); 9].join(", ")));
        }
        assert_eq!(told(&bomb, Notation::Yaml), "error: it is more than 10000 bytes as JSON");
        let deep = format!("{}1{}", "[".repeat(80), "]".repeat(80));
        assert_eq!(told(&deep, Notation::Yaml), "error: it is nested more than 64 deep");
    }
}
