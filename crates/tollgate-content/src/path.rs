//! Paths into a document: `tires.front`, `items[].id`.

use std::fmt;

/// A way from a value to values inside it. Names are divided by dots; `[]` behind a name goes to every element of the
/// list there. A backslash takes the meaning from a dot, a bracket or a backslash behind it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// Into a member.
    Key(Box<str>),
    /// Into every element.
    Each,
}

/// Steps that a path may have.
const STEPS_MAX: usize = 32;

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathError {
    /// Where it stands, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub message: &'static str,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message)
    }
}

impl std::error::Error for PathError {}

impl Path {
    /// Parses a path.
    pub fn parse(text: &str) -> Result<Path, PathError> {
        let mut steps = Vec::new();
        let mut key = String::new();
        let mut letters = text.char_indices().peekable();
        let fail = |offset, message| Err(PathError { offset, message });
        // Whether a name may begin, must begin, or has ended.
        let mut ended = false;
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '.' | '[' if !ended && key.is_empty() && (letter == '.' || offset > 0) => {
                    return fail(offset, "a name is missing");
                }
                '.' => {
                    if !ended {
                        steps.push(Step::Key(std::mem::take(&mut key).into()));
                    }
                    ended = false;
                    if letters.peek().is_none() {
                        return fail(offset, "a name is missing");
                    }
                }
                '[' => {
                    if !ended && !key.is_empty() {
                        steps.push(Step::Key(std::mem::take(&mut key).into()));
                    }
                    if letters.next().map(|next| next.1) != Some(']') {
                        return fail(offset, "only `[]` is possible here: every element of a list");
                    }
                    steps.push(Step::Each);
                    ended = true;
                }
                _ if ended => return fail(offset, "a dot is missing"),
                '\\' => match letters.next() {
                    Some((_, escaped @ ('.' | '[' | ']' | '\\'))) => key.push(escaped),
                    _ => return fail(offset, "a backslash stands in front of `.`, `[`, `]` or `\\` only"),
                },
                ']' => return fail(offset, "a `[` is missing"),
                letter => key.push(letter),
            }
            if steps.len() > STEPS_MAX {
                return fail(offset, "it has too many steps");
            }
        }
        match (ended, key.is_empty()) {
            (false, true) => return fail(text.len(), "a name is missing"),
            (false, false) => steps.push(Step::Key(key.into())),
            (true, _) => {}
        }
        Ok(Path(steps))
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether it leads nowhere else: the value itself.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it leads to one place: no `[]`.
    pub fn is_single(&self) -> bool {
        !self.0.contains(&Step::Each)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            match step {
                Step::Each => f.write_str("[]")?,
                Step::Key(key) => {
                    if at > 0 {
                        f.write_str(".")?;
                    }
                    for letter in key.chars() {
                        if matches!(letter, '.' | '[' | ']' | '\\') {
                            f.write_str("\\")?;
                        }
                        write!(f, "{letter}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad() {
        let check = |text: &str, wanted: &str| {
            let told = match Path::parse(text) {
                Ok(path) => {
                    let steps = path.0.iter().map(|step| match step {
                        Step::Key(key) => &**key,
                        Step::Each => "*",
                    });
                    steps.collect::<Vec<_>>().join("/")
                }
                Err(error) => format!("{}: {error}", error.offset),
            };
            assert_eq!(told, wanted, "{text}");
        };
        check("a", "a");
        check("a.b.c", "a/b/c");
        check("items[].id", "items/*/id");
        check("[]", "*");
        check("[].id", "*/id");
        check("a[][]", "a/*/*");
        check(r"a\.b.c\[\]", "a.b/c[]");
        check("a b.é", "a b/é");
        check("", "0: a name is missing");
        check(".a", "0: a name is missing");
        check("a.", "1: a name is missing");
        check("a..b", "2: a name is missing");
        check("a.[]", "2: a name is missing");
        check("a[0]", "1: only `[]` is possible here: every element of a list");
        check("a[]b", "3: a dot is missing");
        check("a]", "1: a `[` is missing");
        check(r"a\n", "1: a backslash stands in front of `.`, `[`, `]` or `\\` only");
        check(&"a.".repeat(40), "65: it has too many steps");
    }
}
