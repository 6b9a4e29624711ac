//! The parser counts characters; everything else counts bytes.

/// Characters between two remembered offsets: one step is short, and the table small.
const STRIDE: usize = 64;

/// Converts character offsets of one text to byte offsets.
pub(super) struct Positions<'t> {
    text: &'t str,
    /// Byte offset of every `STRIDE`th character; empty for ASCII, where both counts agree.
    marks: Vec<u32>,
}

impl<'t> Positions<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let marks = match text.is_ascii() {
            true => Vec::new(),
            false => text.char_indices().step_by(STRIDE).map(|(at, _)| at as u32).collect(),
        };
        Positions { text, marks }
    }

    pub(super) fn byte(&self, character: usize) -> u32 {
        let Some(start) = self.marks.get(character / STRIDE) else {
            // Past the end, or ASCII.
            return if self.marks.is_empty() { character.min(self.text.len()) } else { self.text.len() }
                as u32;
        };
        let rest = self.text.get(*start as usize..).unwrap_or_default();
        let within = rest.char_indices().nth(character % STRIDE).map_or(rest.len(), |(at, _)| at);
        start + within as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn character_offsets_become_byte_offsets() {
        for text in ["", "plain", "é", &"aé€𝄞".repeat(100)] {
            let positions = Positions::new(text);
            for (nth, (at, _)) in text.char_indices().enumerate() {
                assert_eq!(positions.byte(nth), at as u32, "{nth} of {text}");
            }
            assert_eq!(positions.byte(text.chars().count()), text.len() as u32);
            assert_eq!(positions.byte(text.chars().count() + 99), text.len() as u32);
        }
    }
}
