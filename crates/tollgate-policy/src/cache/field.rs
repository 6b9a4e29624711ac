//! Structured dictionaries (RFC 9651), as far as targeted cache control is made of them (RFC 9213).

/// The members of the lines of a dictionary, in order; none where they are not one. Values are what `Cache-Control`
/// would have: digits and tokens as they are, text without its quotes and marked as such.
pub(super) fn dictionary<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Member<'a>>> {
    let mut members = Vec::new();
    for line in lines {
        let mut rest = line.trim_ascii();
        while !rest.is_empty() {
            let (member, after) = member(rest)?;
            members.push(member);
            rest = after.trim_ascii_start();
            match rest.split_first() {
                None => break,
                // A comma at the end announces a member that does not come.
                Some((b',', after)) if !after.trim_ascii_start().is_empty() => {
                    rest = after.trim_ascii_start();
                }
                Some(_) => return None,
            }
        }
    }
    Some(members)
}

/// One member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: Value<'a>,
}

/// What a member says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// It is there.
    True,
    /// It is there to be false.
    False,
    /// A whole number that is not negative.
    Integer(&'a [u8]),
    /// Something else.
    Other,
}

fn member(text: &[u8]) -> Option<(Member<'_>, &[u8])> {
    let (name, rest) = key(text)?;
    let (value, rest) = match rest.split_first() {
        Some((b'=', rest)) => item(rest)?,
        _ => (Value::True, rest),
    };
    Some((Member { name, value }, parameters(rest)?))
}

fn key(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = text.first()?;
    if !(first.is_ascii_lowercase() || *first == b'*') {
        return None;
    }
    let inside = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.*".contains(b);
    Some(split(text, inside))
}

fn item(text: &[u8]) -> Option<(Value<'_>, &[u8])> {
    match text.split_first()? {
        (b'?', rest) => match rest.split_first()? {
            (b'1', rest) => Some((Value::True, rest)),
            (b'0', rest) => Some((Value::False, rest)),
            _ => None,
        },
        (b'"', rest) => Some((Value::Other, string(rest)?)),
        (b'-', rest) => number(rest).map(|(_, rest)| (Value::Other, rest)),
        (first, _) if first.is_ascii_digit() => number(text),
        (first, _) if first.is_ascii_alphabetic() || *first == b'*' => {
            let inside = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(b);
            Some((Value::Other, split(text, inside).1))
        }
        _ => None,
    }
}

/// Digits, at most fifteen of them, and perhaps a fraction.
fn number(text: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (digits, rest) = split(text, u8::is_ascii_digit);
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let Some((b'.', after)) = rest.split_first() else { return Some((Value::Integer(digits), rest)) };
    let (fraction, rest) = split(after, u8::is_ascii_digit);
    (1..=3).contains(&fraction.len()).then_some((Value::Other, rest))
}

/// What stands behind the text whose first quote was taken.
fn string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        match text.split_first()? {
            (b'"', rest) => return Some(rest),
            (b'\\', rest) => match rest.split_first()? {
                (b'"' | b'\\', rest) => text = rest,
                _ => return None,
            },
            (b' '..=b'~', rest) => text = rest,
            _ => return None,
        }
    }
}

fn parameters(mut text: &[u8]) -> Option<&[u8]> {
    while let Some((b';', rest)) = text.split_first() {
        let (_, rest) = key(rest.trim_ascii_start())?;
        text = match rest.split_first() {
            Some((b'=', rest)) => item(rest)?.1,
            _ => rest,
        };
    }
    Some(text)
}

fn split(text: &[u8], inside: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !inside(b)).unwrap_or(text.len());
    text.split_at(end)
}
