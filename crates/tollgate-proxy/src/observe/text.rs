//! JSON strings out of bytes that an attacker chose: nothing in them ends the string, the line or the terminal.

/// Bytes of one value that a record keeps; the rest is replaced by an ellipsis. Longer than any head that the
/// default limits let in, and short enough that no record outgrows a batch.
const VALUE_BYTES_MAX: usize = 8 * 1024;

/// A JSON string under construction, from the opening quote to [`Text::close`].
pub(super) struct Text<'o> {
    out: &'o mut Vec<u8>,
    left: usize,
    cut: bool,
}

impl<'o> Text<'o> {
    pub(super) fn open(out: &'o mut Vec<u8>) -> Text<'o> {
        out.push(b'"');
        Text { out, left: VALUE_BYTES_MAX, cut: false }
    }

    /// Appends bytes, escaped. Pieces must not split a character: each is judged as UTF-8 for itself.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.cut {
            return;
        }
        let kept = bytes.get(..self.left).map_or(bytes, without_half_character);
        self.left -= kept.len();
        escape(kept, self.out);
        if kept.len() < bytes.len() {
            self.cut = true;
            self.out.extend_from_slice("…".as_bytes());
        }
    }

    pub(super) fn close(self) {
        self.out.push(b'"');
    }
}

/// Appends a whole JSON string.
pub(super) fn write_text(bytes: &[u8], out: &mut Vec<u8>) {
    if bytes.len() <= VALUE_BYTES_MAX && are_plain(bytes) {
        out.reserve(bytes.len() + 2);
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut text = Text::open(out);
    text.push(bytes);
    text.close();
}

/// Drops the beginning of a character at the end of bytes that were cut.
fn without_half_character(bytes: &[u8]) -> &[u8] {
    // A character has at most three bytes after its first; more of them in a row are no UTF-8 anyway.
    let tail = bytes.iter().rev().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    match bytes.len().checked_sub(tail + 1).and_then(|start| bytes.split_at_checked(start)) {
        Some((whole, last)) if last.utf8_chunks().any(|chunk| !chunk.invalid().is_empty()) => whole,
        _ => bytes,
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    if are_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            escape_character(character, out);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Whether every byte stands for itself in a JSON string. Nearly every value does, so this looks at eight at once.
fn are_plain(bytes: &[u8]) -> bool {
    match bytes.last_chunk::<8>() {
        // The last eight overlap the ones before, which is quicker than a tail of single bytes.
        Some(last) => bytes.as_chunks::<8>().0.iter().all(are_plain_eight) && are_plain_eight(last),
        None => {
            let mut padded = [b' '; 8];
            padded.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
            are_plain_eight(&padded)
        }
    }
}

/// Printable ASCII but quote and backslash. Borrows between bytes can only turn a byte's neighbour into a false
/// alarm when that byte is one itself ("Bit Twiddling Hacks", Sean Anderson: haszero, hasless).
#[inline]
fn are_plain_eight(bytes: &[u8; 8]) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES * 0x80;
    let word = u64::from_ne_bytes(*bytes);
    let has = |byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero
    };
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    (word | controls | has(b'"') | has(b'\\') | has(0x7f)) & HIGH == 0
}

fn escape_character(character: char, out: &mut Vec<u8>) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if disturbs_display(character) => {
            let code = u32::from(character);
            out.extend_from_slice(b"\\u");
            out.extend([12, 8, 4, 0].map(|shift| hex_digit(code >> shift)));
        }
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Characters that JSON allows in a string but that move a terminal's cursor, break its lines or turn its
/// reading direction: C0 and C1 controls, line separators, directional marks, the byte order mark.
/// All of them lie below U+10000.
fn disturbs_display(character: char) -> bool {
    matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn hex_digit(value: u32) -> u8 {
    match (value & 15) as u8 {
        digit @ 0..10 => b'0' + digit,
        letter => b'a' + letter - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_text(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_stands_in_a_line() {
        let cases: [(&[u8], &str); 15] = [
            (b"", r#""""#),
            (b"/users/7", r#""/users/7""#),
            (br#"say "hi""#, r#""say \"hi\"""#),
            (br"a\b", r#""a\\b""#),
            (b"a\nb\rc\td", r#""a\nb\rc\td""#),
            (b"\0\x01\x1f\x7f", r#""\u0000\u0001\u001f\u007f""#),
            (b"\x1b[2J", r#""\u001b[2J""#),
            ("grün 漢 🚌".as_bytes(), r#""grün 漢 🚌""#),
            (b"\xff", "\"\u{fffd}\""),
            (b"a\xc3", "\"a\u{fffd}\""),
            (b"\xe2\x28\xa1", "\"\u{fffd}(\u{fffd}\""),
            // A surrogate and an overlong slash are no UTF-8.
            (b"\xed\xa0\x80", "\"\u{fffd}\u{fffd}\u{fffd}\""),
            (b"\xc0\xaf", "\"\u{fffd}\u{fffd}\""),
            ("\u{9b}2J".as_bytes(), r#""\u009b2J""#),
            ("\u{2028}\u{202e}\u{feff}".as_bytes(), r#""\u2028\u202e\ufeff""#),
        ];
        for (bytes, expected) in cases {
            assert_eq!(written(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_byte_is_plain_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let plain = (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
            for len in 1..20 {
                for at in 0..len {
                    // Neighbours on both edges of what is plain, where a borrow would show.
                    for neighbour in [b' ', b'~', b'!', b'[', b']'] {
                        let mut bytes = vec![neighbour; len];
                        bytes[at] = byte;
                        assert_eq!(are_plain(&bytes), plain, "{bytes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let kept = |text: &str| written(text.as_bytes()).trim_matches('"').to_owned();
        let full = "x".repeat(VALUE_BYTES_MAX);
        assert_eq!(kept(&full), full);
        assert_eq!(kept(&format!("{full}y")), format!("{full}…"));
        for character in ["é", "漢", "🚌"] {
            for room in 0..=character.len() {
                let start = "x".repeat(VALUE_BYTES_MAX - room);
                let whole = if room == character.len() { character } else { "" };
                assert_eq!(kept(&format!("{start}{character}tail")), format!("{start}{whole}…"), "{room}");
            }
        }
    }

    #[test]
    fn the_bound_holds_over_all_pieces() {
        let mut out = Vec::new();
        let mut text = Text::open(&mut out);
        for _ in 0..100 {
            text.push(&[b'x'; 1000]);
        }
        text.close();
        assert_eq!(out.len(), VALUE_BYTES_MAX + "…".len() + 2);
    }
}
