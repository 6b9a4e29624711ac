//! Dates of HTTP (RFC 9110 section 5.6.7), in all three forms.

use std::time::SystemTime;

/// The moment that a date names. Letters count in any case, as caches read them; everything else is strict: what is no
/// date must not become one, for an answer would be fresh by it.
pub(super) fn date(text: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(text).ok()?;
    httpdate::parse_http_date(text).ok().or_else(|| {
        let mut canonical = String::with_capacity(text.len());
        let mut inside = false;
        for c in text.chars() {
            canonical.push(if inside { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() });
            inside = c.is_ascii_alphabetic();
        }
        let end = canonical.len().checked_sub(3).filter(|end| canonical.is_char_boundary(*end));
        if let Some(zone) = end.and_then(|end| canonical.get_mut(end..)) {
            zone.make_ascii_uppercase();
        }
        httpdate::parse_http_date(&canonical).ok()
    })
}
