//! What a `Content-Type` says of how a text is written (RFC 9110 section 8.3).
//!
//! A check reads a body as UTF-8. Whoever sends it on under another name for its characters has it read as another text
//! than the one that was checked: `+ACI-` is a quotation mark in UTF-7, and six harmless letters here.

/// Names of what UTF-8 is, or is a part of.
const CHARSETS: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

/// Whether a text of this type is UTF-8: it says so, or nothing (RFC 8259 section 8.1). What cannot be read with certainty
/// says something else.
pub fn is_utf8(content_type: &str) -> bool {
    let Some((_, mut rest)) = content_type.split_once(';') else { return true };
    loop {
        let (name, behind) = match rest.find(['=', ';']) {
            Some(at) if rest.as_bytes().get(at) == Some(&b'=') => {
                (rest.get(..at).unwrap_or_default(), rest.get(at + 1..).unwrap_or_default())
            }
            // A parameter without a value.
            Some(at) => {
                rest = rest.get(at + 1..).unwrap_or_default();
                continue;
            }
            None => return true,
        };
        let Some((value, behind)) = value(behind.trim_start()) else { return false };
        // Also in the extended notation of RFC 2231: `charset*`, `charset*0`.
        let is_charset = name.trim().get(..7).is_some_and(|start| start.eq_ignore_ascii_case("charset"));
        if is_charset && !CHARSETS.iter().any(|known| value.eq_ignore_ascii_case(known)) {
            return false;
        }
        match behind {
            Some(behind) => rest = behind,
            None => return true,
        }
    }
}

/// The value in front, and what stands behind the semicolon that ends it. None where a quotation has no end, holds what
/// needs escaping, or is followed by anything else.
fn value(text: &str) -> Option<(&str, Option<&str>)> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Some(match text.split_once(';') {
            Some((value, behind)) => (value.trim(), Some(behind)),
            None => (text.trim(), None),
        });
    };
    let (value, behind) = quoted.split_once('"').filter(|(value, _)| !value.contains('\\'))?;
    match behind.trim_start() {
        "" => Some((value, None)),
        behind => Some((value, Some(behind.strip_prefix(';')?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charsets() {
        for utf8 in [
            "application/json",
            "application/json;",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/json; Charset=\"utf-8\" ; v=1",
            "application/json; charset = utf8",
            "application/json; v=\"a;b\"; charset=us-ascii",
            "application/json; v; charset=utf-8",
        ] {
            assert!(is_utf8(utf8), "{utf8}");
        }
        for other in [
            "application/json; charset=utf-16",
            "application/json; CHARSET=\"UTF-16LE\"",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json; charset*=utf-8''utf-7",
            "application/json; charset=",
            "application/json; v=\"; charset=utf-7",
            "application/json; v=\"a\" charset=utf-7",
            "application/json; charset=\"utf\\-8\"",
            "application/json; v; charset=iso-8859-1",
            "application/json; charset = ibm037",
        ] {
            assert!(!is_utf8(other), "{other}");
        }
    }
}
