//! What is shown of a test: cut to a length, and without the credentials that its request carried, wherever a service, a script
//! or a difference has put them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_plan::proof::Proof;
use tollgate_plan::secret::CREDENTIAL_HEADERS;

use super::Outcome;

/// Letters of one text that are shown.
const SHOWN_LETTERS_MAX: usize = 1_200;

/// What is written in a test and is shorter is part of too many words to be a secret.
const WRITTEN_BYTES_MIN: usize = 4;

/// The credentials of one test.
#[derive(Default)]
pub(super) struct Veil {
    /// The longest first: one may be a part of another.
    credentials: Vec<String>,
}

impl Veil {
    /// What the test's own header lines carry.
    pub(super) fn of(proof: &Proof) -> Veil {
        let mut veil = Veil::default();
        let lines = proof.request.headers.iter();
        for (_, value) in lines.filter(|(name, _)| CREDENTIAL_HEADERS.contains(&name.as_str())) {
            let written = value.split_once(' ').map_or("", |(_, behind)| behind.trim());
            let pair = STANDARD.decode(written).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let password =
                pair.as_deref().and_then(|pair| pair.split_once(':')).map(|(_, password)| password);
            for one in [Some(&**value), Some(written), pair.as_deref(), password].into_iter().flatten() {
                if one.len() >= WRITTEN_BYTES_MIN {
                    veil.hide(one);
                }
            }
        }
        veil
    }

    /// Hides one more.
    pub(super) fn hide(&mut self, credential: &str) {
        self.credentials.push(credential.to_owned());
        self.credentials.sort_by_key(|one| std::cmp::Reverse(one.len()));
    }

    /// Puts it over everything that is shown of a test.
    pub(super) fn over(&self, outcome: &mut Outcome) {
        for fault in &mut outcome.faults {
            for text in [&mut fault.what, &mut fault.expected, &mut fault.found] {
                *text = self.shown(text);
            }
        }
        let texts = [&mut outcome.sent, &mut outcome.answer].into_iter().chain(&mut outcome.notes);
        texts.for_each(|text| *text = self.shown(text));
    }

    /// Cut last: half a credential would not be found.
    fn shown(&self, text: &str) -> String {
        let hide =
            |text: String, one: &String| if text.contains(one) { text.replace(one, "***") } else { text };
        let mut text = self.credentials.iter().fold(text.to_owned(), hide);
        if let Some((at, _)) = text.char_indices().nth(SHOWN_LETTERS_MAX) {
            text.truncate(at);
            text.push('…');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_before_the_text_is_cut() {
        let mut veil = Veil::default();
        veil.hide("a-key");
        veil.hide("a-key-and-more");
        let long = "é".repeat(SHOWN_LETTERS_MAX - 3);
        for (text, expect) in [
            ("/q?k=a-key-and-more&l=a-key", "/q?k=***&l=***".to_owned()),
            ("nothing", "nothing".to_owned()),
            (&format!("{long}abc"), format!("{long}abc")),
            (&format!("{long}abcd"), format!("{long}abc…")),
            (&format!("{long}a-key"), format!("{long}***")),
        ] {
            assert_eq!(veil.shown(text), expect);
        }
    }
}
