//! Texts of a request: percent-encodings, and pairs of names and values.

use std::borrow::Cow;
use std::cell::Cell;

/// Pairs that one form or one query may have: each declared name is looked for among them.
const PAIRS_MAX: usize = 1_000;

/// Pairs in the order in which they were sent.
pub(super) struct Pairs<'a>(Vec<Pair<'a>>);

/// A name and its value.
pub(super) struct Pair<'a> {
    /// Decoded.
    pub(super) name: Cow<'a, str>,
    /// As it was sent: separators inside of a value are told from encoded ones.
    pub(super) value: &'a [u8],
    /// Whether a declared name took it.
    pub(super) taken: Cell<bool>,
}

impl<'a> Pairs<'a> {
    /// The pairs of a query or of a form: `application/x-www-form-urlencoded` (WHATWG URL, section 5).
    pub(super) fn of_form(text: &'a [u8]) -> Result<Pairs<'a>, String> {
        Pairs::split(text, b'&', true)
    }

    /// The pairs of cookies (RFC 6265 section 4.2.1).
    pub(super) fn of_cookies(text: &'a [u8]) -> Result<Pairs<'a>, String> {
        Pairs::split(text, b';', false)
    }

    /// The pairs of a matrix: `;a=1;b=2` (RFC 6570 section 3.2.7).
    pub(super) fn of_matrix(text: &'a [u8]) -> Result<Pairs<'a>, String> {
        Pairs::split(text, b';', false)
    }

    fn split(text: &'a [u8], separator: u8, form: bool) -> Result<Pairs<'a>, String> {
        let mut pairs = Vec::new();
        for piece in text.split(|byte| *byte == separator) {
            let piece = if form { piece } else { piece.trim_ascii() };
            if piece.is_empty() {
                continue;
            }
            if pairs.len() == PAIRS_MAX {
                return Err(format!("there are more than {PAIRS_MAX} names"));
            }
            let end = piece.iter().position(|byte| *byte == b'=');
            let (name, value) = match end.and_then(|end| piece.split_at_checked(end)) {
                Some((name, rest)) => (name, rest.get(1..).unwrap_or_default()),
                None => (piece, &[][..]),
            };
            // Services take spaces around the name and the value of a cookie off (RFC 6265 section 5.2).
            let (name, value) = if form { (name, value) } else { (name.trim_ascii(), value.trim_ascii()) };
            let name = match decoded(name, form) {
                Cow::Borrowed(name) => String::from_utf8_lossy(name),
                Cow::Owned(name) => Cow::Owned(String::from_utf8_lossy(&name).into_owned()),
            };
            pairs.push(Pair { name, value, taken: Cell::new(false) });
        }
        Ok(Pairs(pairs))
    }

    pub(super) fn all(&self) -> &[Pair<'a>] {
        &self.0
    }

    /// The values under a name, in order. They are taken.
    pub(super) fn take(&self, name: &str) -> Vec<&'a [u8]> {
        let named = self.0.iter().filter(|pair| pair.name == name);
        named.inspect(|pair| pair.taken.set(true)).map(|pair| pair.value).collect()
    }
}

/// Percent-encodings decoded, and `+` where it is a space. A `%` that begins no encoding stands for itself.
pub(super) fn decoded(text: &[u8], plus: bool) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| *byte == b'%' || (plus && *byte == b'+')) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' if plus => out.push(b' '),
            b'%' => match after.split_at_checked(2).and_then(|(digits, after)| Some((hex(digits)?, after))) {
                Some((byte, after)) => {
                    out.push(byte);
                    rest = after;
                }
                None => out.push(b'%'),
            },
            _ => out.push(byte),
        }
    }
    Cow::Owned(out)
}

/// The byte that two hexadecimal digits name.
pub(super) fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    match digits {
        [high, low] => u8::try_from(digit(high)? * 16 + digit(low)?).ok(),
        _ => None,
    }
}
