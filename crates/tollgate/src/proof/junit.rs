//! The outcome of tests as JUnit XML, in the shape that build servers read: a suite for each file, a case for each test.

use std::fmt::Write;
use std::time::Duration;

use tollgate_plan::proof::Proof;

use super::Outcome;
use super::report::details;

/// The whole document.
pub(crate) fn document(proofs: &[&Proof], outcomes: &[Outcome]) -> String {
    let all: Vec<(&Proof, &Outcome)> = proofs.iter().copied().zip(outcomes).collect();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(out, "<testsuites name=\"tollgate test\" {}>", sums(&all));
    for file in all.chunk_by(|(one, _), (next, _)| one.file == next.file) {
        let name = file.first().map(|(proof, _)| &*proof.file).unwrap_or_default();
        let _ = writeln!(out, "  <testsuite name=\"{}\" {}>", escaped(name), sums(file));
        file.iter().for_each(|(proof, outcome)| case(proof, outcome, &mut out));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(proof: &Proof, outcome: &Outcome, out: &mut String) {
    let (name, file) = (escaped(&proof.name), escaped(&proof.file));
    let (line, time) = (proof.line, seconds(outcome.took));
    let _ = write!(
        out,
        "    <testcase name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{time}\""
    );
    let Some(first) = outcome.faults.first() else { return out.push_str("/>\n") };
    let message = format!("{}: expected {}, found {}", first.what, first.expected, first.found);
    let _ = writeln!(
        out,
        ">\n      <failure message=\"{}\">{}</failure>",
        escaped(&message),
        escaped(&details(outcome))
    );
    out.push_str("    </testcase>\n");
}

fn sums(cases: &[(&Proof, &Outcome)]) -> String {
    let failed = cases.iter().filter(|(_, outcome)| !outcome.passed()).count();
    let time = cases.iter().map(|(_, outcome)| outcome.took).sum();
    format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\" time=\"{}\"", cases.len(), seconds(time))
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// Text for an attribute or an element (XML 1.0, sections 2.2 and 2.4): line breaks stay what they are in attributes, too, and
/// what no document can hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_an_attribute_or_an_element() {
        for (text, expect) in [
            ("plain é 漢", "plain é 漢"),
            ("a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;"),
            ("]]>", "]]&gt;"),
            ("two\nlines\t", "two&#10;lines&#9;"),
            ("\u{1b}[2J\0\u{ffff}", "\u{fffd}[2J\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(escaped(text), expect);
        }
    }
}
