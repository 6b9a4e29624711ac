//! "Did you mean …?"

use tollgate_content::Unknown;

/// The candidate that a misspelt word most probably stands for.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // One slip in three characters is a misspelling; more is another word.
    let bound = (word.chars().count() / 3).max(1);
    let lower = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= bound)
        .map(|candidate| {
            let folded = candidate.to_lowercase().replace('-', "_");
            (strsim::osa_distance(&lower, &folded), candidate)
        })
        .filter(|(distance, candidate)| *distance <= bound && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A hint for a misspelt word.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, candidates).map(|found| format!("did you mean `{found}`?"))
}

/// A hint for a name of an expression, a filter or a template that is none: the nearest one.
pub(crate) fn nearest(unknown: &Unknown) -> Option<String> {
    did_you_mean(&unknown.name, unknown.known.iter().map(String::as_str))
}

/// `` `a`, `b` and `c` ``, cut after a dozen.
pub(crate) fn listing<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    const SHOWN: usize = 12;
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., last] if words.len() <= SHOWN => format!("{} and {last}", init.join(", ")),
        all => format!("{} and {} more", all[..SHOWN].join(", "), all.len() - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let keys = ["timeout", "targets", "to", "max_body", "name"];
        for (word, expect) in [
            ("timout", Some("timeout")),
            ("Timeout", Some("timeout")),
            ("max-body", Some("max_body")),
            ("maxbody", Some("max_body")),
            ("target", Some("targets")),
            ("nmae", Some("name")),
            ("ot", Some("to")),
            ("x", None),
            ("colour", None),
        ] {
            assert_eq!(closest(word, keys), expect, "{word}");
        }
    }

    #[test]
    fn lists_are_readable_and_bounded() {
        assert_eq!(listing(["a"]), "`a`");
        assert_eq!(listing(["a", "b", "c"]), "`a`, `b` and `c`");
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert!(listing(many.iter().map(String::as_str)).ends_with("and 8 more"));
    }
}
