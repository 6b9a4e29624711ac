//! Values for made-up requests: what conditions on one header or parameter ask for, all at once.

use std::borrow::Cow;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};
use tollgate_plan::table::ValueMatch;

use super::ends::ANYTHING;

/// Bytes of a value: an expression that asks for more is not tried.
const VALUE_BYTES_MAX: usize = 256;

/// Letters that stand in the place of a class, where it has one of them.
const LETTERS: [u8; 6] = [b'~', b'a', b'A', b'0', b'-', b' '];

/// What conditions on one name come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'c> {
    /// This value fits all of them.
    Value(Cow<'c, str>),
    /// There must be none.
    None,
    /// They exclude each other.
    Nothing,
    /// No value is known that fits: an expression asks for more than is tried.
    Unknown,
}

/// A value that all of these conditions accept.
pub(super) fn wanted<'c>(conditions: &[&'c ValueMatch]) -> Wanted<'c> {
    let absent = conditions.iter().filter(|one| matches!(one, ValueMatch::Absent)).count();
    if absent > 0 {
        return if absent == conditions.len() { Wanted::None } else { Wanted::Nothing };
    }
    let exact = conditions.iter().copied().find_map(|one| match one {
        ValueMatch::Exact(text) => Some(&**text),
        _ => None,
    });
    let fits = |value: &str| conditions.iter().all(|one| one.accepts(value.as_bytes()));
    if let Some(text) = exact {
        return if fits(text) { Wanted::Value(text.into()) } else { Wanted::Nothing };
    }
    let made = conditions.iter().filter_map(|one| match one {
        ValueMatch::Regex(regex) => of_expression(regex.as_str()),
        _ => None,
    });
    let mut candidates = std::iter::once(Cow::from(ANYTHING)).chain(made.map(Cow::from));
    candidates.find(|value| fits(value)).map_or(Wanted::Unknown, Wanted::Value)
}

/// A short text in which the expression finds something, if it is one of the simple ones: look-arounds of words, and texts
/// that a header cannot hold, are not tried.
fn of_expression(expression: &str) -> Option<String> {
    // As the one who asks requests: about bytes.
    let parsed = ParserBuilder::new().utf8(false).build().parse(expression).ok()?;
    let mut bytes = Vec::new();
    push(&parsed, &mut bytes)?;
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

/// Adds what a part asks for. The parser bounds how deep parts stand in each other.
fn push(part: &Hir, out: &mut Vec<u8>) -> Option<()> {
    match part.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(class) => out.extend_from_slice(letter(class)?.as_bytes()),
        HirKind::Capture(capture) => push(&capture.sub, out)?,
        HirKind::Concat(parts) => {
            for part in parts {
                push(part, out)?;
            }
        }
        HirKind::Alternation(parts) => {
            let start = out.len();
            let fits = |part: &Hir| {
                out.truncate(start);
                push(part, out)
            };
            parts.iter().find_map(fits)?;
        }
        HirKind::Repetition(repetition) => {
            // What is empty each time is empty.
            for _ in 0..repetition.min {
                let before = out.len();
                push(&repetition.sub, out)?;
                if out.len() == before {
                    break;
                }
            }
        }
    }
    (out.len() <= VALUE_BYTES_MAX).then_some(())
}

/// A letter of a class: one that may stand anywhere, else the first that can be seen.
fn letter(class: &Class) -> Option<String> {
    let has = |byte: u8| match class {
        Class::Unicode(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&char::from(byte)))
        }
        Class::Bytes(class) => {
            class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&byte))
        }
    };
    if let Some(byte) = LETTERS.into_iter().chain(b'!'..=b'~').find(|byte| has(*byte)) {
        return Some(char::from(byte).to_string());
    }
    match class {
        Class::Unicode(class) => class.ranges().first().map(|range| range.start().to_string()),
        Class::Bytes(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_a_value() {
        for (expression, expect) in [
            ("^2$", Some("2")),
            ("^v[12]$", Some("v1")),
            ("beta", Some("beta")),
            (".*", Some("~")),
            ("^$", Some("")),
            ("(?i)^badbot/\\d+\\.\\d+", Some("BaDBOT/0.0")),
            ("^(gold|silver){2}$", Some("goldgold")),
            ("^[^a-z]{3}$", Some("~~~")),
            ("^(?:[0-9a-f]{8}-){2}", Some("aaaaaaaa-aaaaaaaa-")),
            ("^\u{e4}+$", Some("\u{e4}")),
            ("\\bx\\b", Some("x")),
            ("^(?:){1000}$", Some("")),
            // Nothing fits, more is asked for than is tried, and no header holds it.
            ("a^", None),
            ("^a{257}$", None),
            ("^(?:a{200}){20}$", None),
            ("^\\x00$", None),
            ("x\\Bx\\b-", Some("xx-")),
            ("[a&&b]", None),
        ] {
            let condition = ValueMatch::parse(&format!("~{expression}")).expect(expression);
            let expect = expect.map_or(Wanted::Unknown, |value| Wanted::Value(value.into()));
            assert_eq!(wanted(&[&condition]), expect, "{expression}");
        }
    }

    #[test]
    fn conditions_meet() {
        for (conditions, expect) in [
            (&["2"][..], Wanted::Value("2".into())),
            (&["2", "2"], Wanted::Value("2".into())),
            (&["2", "3"], Wanted::Nothing),
            (&["2", "~^\\d$"], Wanted::Value("2".into())),
            (&["a", "~^\\d$"], Wanted::Nothing),
            (&["~^\\d$", "~^[3-5]"], Wanted::Value("3".into())),
            (&["~^\\d$", "~^[a-f]$"], Wanted::Unknown),
        ] {
            let all: Vec<ValueMatch> =
                conditions.iter().map(|text| ValueMatch::parse(text).expect("a condition")).collect();
            assert_eq!(wanted(&all.iter().collect::<Vec<_>>()), expect, "{conditions:?}");
        }
        let (present, absent) = (ValueMatch::Present, ValueMatch::Absent);
        assert_eq!(wanted(&[&present]), Wanted::Value(ANYTHING.into()));
        assert_eq!(wanted(&[&absent, &absent]), Wanted::None);
        assert_eq!(wanted(&[&absent, &present]), Wanted::Nothing);
    }
}
