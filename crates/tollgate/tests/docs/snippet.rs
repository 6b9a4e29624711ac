//! The fenced blocks of a document, and what the words behind the fence ask of the test.

/// A fenced block.
pub(crate) struct Snippet {
    /// The first word behind the fence; empty where there is none.
    pub(crate) language: String,
    /// The other words.
    pub(crate) words: Vec<String>,
    /// Its first line in the document, from 1.
    pub(crate) line: usize,
    /// Without the indentation of the fence.
    pub(crate) text: String,
}

impl Snippet {
    /// The name of the file that the block is, where it says one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.words.iter().map(String::as_str).find(|word| word.contains('.'))
    }

    /// Whether a word stands behind the language.
    pub(crate) fn is(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }
}

/// All of them, in their order.
pub(crate) fn snippets(text: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Snippet)> = None;
    for (at, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match &mut open {
            None => {
                let Some(info) = line.trim().strip_prefix("```") else { continue };
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                let words = words.collect();
                open = Some((indent, Snippet { language, words, line: at + 2, text: String::new() }));
            }
            Some(_) if line.trim() == "```" => found.extend(open.take().map(|(_, snippet)| snippet)),
            Some((fence, snippet)) => {
                snippet.text.push_str(&line[indent.min(*fence)..]);
                snippet.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// Whether what was printed is what the page shows: `…` stands for anything within a line, alone on its line for any
/// lines. Spaces at ends of lines, and carriage returns, are not looked at.
pub(crate) fn fits(shown: &str, printed: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        text.trim().lines().map(|line| line.trim_end().replace('\r', "")).collect()
    };
    lines_fit(&lines(shown), &lines(printed))
}

fn lines_fit(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((line, rest)) if line.trim() == "…" => {
            (0..=printed.len()).any(|skipped| lines_fit(rest, &printed[skipped..]))
        }
        Some((line, rest)) => {
            printed.first().is_some_and(|own| line_fits(line, own)) && lines_fit(rest, &printed[1..])
        }
    }
}

fn line_fits(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = parts.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn what_is_shown_fits_what_is_printed() {
    let cases = [
        ("a\nb\n", "a\r\nb\n", true),
        ("a…c\n", "abbc", true),
        ("a…c…\n", "abbcd", true),
        ("a…c\n", "abb", false),
        ("a\n…\nz\n", "a\nb\nc\nz", true),
        ("a\n…\nz\n", "a\nb\nc\n", false),
        ("a\n…\n", "a\n", true),
        ("a\n", "a\nb", false),
        ("a\nb\n", "a", false),
        ("…b\n", "ab", true),
    ];
    for (shown, printed, expect) in cases {
        assert_eq!(fits(shown, printed), expect, "{shown:?} of {printed:?}");
    }
}
