//! The core schema of YAML 1.2.2 (section 10.3.2): what a plain scalar means. `on` and `yes` are text.

/// The meaning of a plain scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Core {
    Null,
    Bool(bool),
    /// Within i128 so that both u64 and i64 fit; what does not fit is text.
    Int(i128),
    Float(f64),
    Text,
}

/// Types a plain scalar by its text.
pub(crate) fn core(text: &str) -> Core {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Core::Null,
        "true" | "True" | "TRUE" => Core::Bool(true),
        "false" | "False" | "FALSE" => Core::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Core::Float(f64::NAN),
        _ => number(text).unwrap_or(Core::Text),
    }
}

fn number(text: &str) -> Option<Core> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let first = unsigned.bytes().next()?;
    if !first.is_ascii_digit() && first != b'.' {
        return None;
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(Core::Float(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY }));
    }
    // Octal and hexadecimal have no sign in the core schema.
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let clean = !digits.is_empty() && digits.bytes().all(|byte| (byte as char).is_digit(radix));
            return clean.then(|| i128::from_str_radix(digits, radix).ok().map(Core::Int)).flatten();
        }
    }
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Core::Int);
    }
    let digits = unsigned.bytes().any(|byte| byte.is_ascii_digit());
    let shape = unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    (digits && shape).then(|| text.parse().ok().map(Core::Float)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_are_typed_by_the_core_schema() {
        for (text, expect) in [
            ("", Core::Null),
            ("null", Core::Null),
            ("nil", Core::Text),
            ("true", Core::Bool(true)),
            ("on", Core::Text),
            ("yes", Core::Text),
            ("off", Core::Text),
            ("0", Core::Int(0)),
            ("-7", Core::Int(-7)),
            ("+7", Core::Int(7)),
            ("0o17", Core::Int(15)),
            ("0x1F", Core::Int(31)),
            ("0x", Core::Text),
            ("0x+1", Core::Text),
            ("1.5", Core::Float(1.5)),
            ("1e3", Core::Float(1000.0)),
            ("-.5", Core::Float(-0.5)),
            (".", Core::Text),
            ("-", Core::Text),
            ("1.2.3", Core::Text),
            ("10.0.0.0/8", Core::Text),
            ("0.0.0.0:8080", Core::Text),
            ("1_000", Core::Text),
            ("5s", Core::Text),
            ("inf", Core::Text),
            ("99999999999999999999999999999999999999999999", Core::Text),
        ] {
            assert_eq!(core(text), expect, "{text}");
        }
    }
}
