//! What `${…}` stood for. Messages come from many places, compilers of other languages among them, and each quotes what
//! it was given: whatever they quote, none of this is told. It knows values and texts, and not where they stand.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use crate::source_map::visible;

/// Bytes of the shortest value that is taken out of messages: shorter ones are words of which messages are made, and no
/// secret worth the name.
const SHORTEST: usize = 8;

/// Lines of one value that are known one by one: a file of keys and certificates has fewer.
const LINES: usize = 4_096;

/// The values of a load, each with what is written in its place.
#[derive(Default)]
pub(crate) struct Outside {
    /// The longest first: a value may hold another.
    values: BTreeMap<(Reverse<usize>, String), Box<str>>,
}

impl Outside {
    /// Remembers a value and what is written in its place, such as `${NAME}`.
    pub(crate) fn note(&mut self, value: &str, written: &str) {
        // Messages of one line quote one line of it, or break none.
        for part in value.lines().take(LINES).map(str::trim).chain([value]) {
            self.add(part, written);
            // As messages spell it, ours and those of others.
            self.add(&visible(part), written);
            self.add(&part.escape_debug().to_string(), written);
        }
    }

    fn add(&mut self, value: &str, written: &str) {
        if value.len() >= SHORTEST {
            let key = (Reverse(value.len()), value.to_owned());
            self.values.entry(key).or_insert_with(|| written.into());
        }
    }

    /// Puts what is written in the place of what it stood for.
    pub(crate) fn withhold(&self, text: &mut String) {
        // Those that are longer than the text are in none of it.
        for ((_, value), written) in self.values.range((Reverse(text.len()), String::new())..) {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), written);
            }
        }
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside").field("values", &self.values.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Outside;

    #[test]
    fn what_a_message_quotes_of_a_value_is_what_is_written() {
        let mut outside = Outside::default();
        outside.note("-----BEGIN KEY-----\nMIIEvQIBADAN\nabc\n", "${file:a.key}");
        outside.note("MIIEvQIBADANwhole", "${OTHER}");
        outside.note("a\"quoted\" value", "${QUOTED}");
        outside.note("a\"quoted\" two\nlines", "${TWO}");
        outside.note("secret", "${WORD}");
        for (text, expect) in [
            ("there is no `MIIEvQIBADAN`", "there is no `${file:a.key}`"),
            ("there is no `MIIEvQIBADANwhole`", "there is no `${OTHER}`"),
            ("found `-----BEGIN KEY-----\nMIIEvQIBADAN\nabc\n`", "found `${file:a.key}`"),
            (r"found `-----BEGIN KEY-----\nMIIEvQIBADAN\nabc\n`", "found `${file:a.key}`"),
            (r#"found `a"quoted" two\nlines`"#, "found `${TWO}`"),
            (r#""a\"quoted\" value" is no number"#, r#""${QUOTED}" is no number"#),
            ("`secret` is shorter than 32 bytes", "`secret` is shorter than 32 bytes"),
        ] {
            let mut told = text.to_owned();
            outside.withhold(&mut told);
            assert_eq!(told, expect);
        }
        assert!(!format!("{outside:?}").contains("MIIE"));
    }
}
