//! The normal form of paths, and of hosts, against a slow reading of the rules.

use std::borrow::Cow;

use tollgate_plan::host::Host;
use tollgate_plan::path::{normalize, percent_decode};

/// Any bytes as the path of a request, and as its authority. Whether the path has a normal form.
pub(crate) fn path(bytes: &[u8]) -> bool {
    host(bytes);
    let normal = normalize(bytes);
    let expected = slow(bytes);
    let shown = bytes.escape_ascii();
    assert_eq!(normal.as_deref().ok(), expected.as_deref(), "{shown}");
    let Ok(normal) = normal else { return false };

    assert!(normal.starts_with('/') && normal.len() <= bytes.len(), "{shown}");
    assert!(normal.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\?#".contains(&byte)), "{shown}");
    assert!(!normal.contains("//"), "{shown}");
    assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")), "{shown}");
    // What is normal stays as it is, and costs nothing.
    assert!(matches!(normalize(normal.as_bytes()), Ok(Cow::Borrowed(again)) if again == normal), "{shown}");
    // No way of writing it otherwise brings more into it than was there.
    assert!(
        percent_decode(&normal).len() <= percent_decode(&String::from_utf8_lossy(bytes)).len(),
        "{shown}"
    );
    true
}

/// RFC 3986 sections 6.2.2 and 5.2.4 one after the other, without a short cut.
fn slow(raw: &[u8]) -> Option<String> {
    let text = decoded(raw)?;
    let mut merged = text;
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = merged.strip_prefix('/')?.split('/').peekable();
    while let Some(segment) = rest.next() {
        let last = rest.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(segments.pop()?),
            _ if [".;", "..;", ".%3B", "..%3B"].iter().any(|dots| segment.starts_with(dots)) => return None,
            _ => {
                segments.push(segment);
                continue;
            }
        }
        if last {
            segments.push("");
        }
    }
    Some(format!("/{}", segments.join("/")))
}

fn decoded(raw: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut at = 0;
    while let Some(&byte) = raw.get(at) {
        at += 1;
        match byte {
            0..=b' ' | b'\\' | b'#' | b'?' | 0x7f.. => return None,
            b'%' => {
                let digits = std::str::from_utf8(raw.get(at..at + 2)?).ok()?;
                if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                    return None;
                }
                at += 2;
                match u8::from_str_radix(digits, 16).ok()? {
                    0..=0x1f | 0x7f => return None,
                    byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => text.push(byte.into()),
                    byte => text.push_str(&format!("%{byte:02X}")),
                }
            }
            byte => text.push(byte.into()),
        }
    }
    Some(text)
}

/// What is read once reads the same again, and holds nothing that another reader could take for something else.
fn host(bytes: &[u8]) {
    let mut buf = String::new();
    let Ok(host) = Host::parse(bytes, &mut buf) else { return };
    let shown = bytes.escape_ascii();
    assert!(!host.name.is_empty() && !host.name.bytes().any(|byte| byte.is_ascii_uppercase()), "{shown}");
    let bracketed = host.name.starts_with('[') && host.name.ends_with(']');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    assert!(bracketed || host.name.bytes().all(plain), "{shown}");
    assert!(!host.name.split('.').any(str::is_empty), "{shown}");
    let written = match host.port {
        Some(port) => format!("{}:{port}", host.name),
        None => host.name.to_owned(),
    };
    let mut other = String::new();
    assert_eq!(Host::parse(written.as_bytes(), &mut other), Ok(host), "{shown}");
}
