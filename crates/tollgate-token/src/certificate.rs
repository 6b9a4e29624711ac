//! What X.509 certificates (RFC 5280) say of themselves: whom they are for, how long, under which names.
//!
//! Nothing is verified here: who asks has done that, or only warns about what it reads.

use crate::der::Reader;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// `[0] EXPLICIT`, the version.
const VERSION: u8 = 0xa0;
/// `[3] EXPLICIT`, the extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[2] IMPLICIT IA5String` of a GeneralName.
const DNS_NAME: u8 = 0x82;

/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Names of a certificate that are read: far more than anybody puts into one.
const NAMES_MAX: usize = 1_000;

/// A subject whose text is longer is not told: it would not fit into a header.
const SUBJECT_BYTES_MAX: usize = 4 * 1024;

/// Attribute types that have a name of their own (RFC 4514 section 3, RFC 4519, RFC 2985).
const ATTRIBUTES: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 42], "givenName"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

/// A certificate, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The first second of its time, in Unix seconds.
    pub not_before: i64,
    /// The last one.
    pub not_after: i64,
    /// Its DNS names in lower case, as they stand in `subjectAltName`: `example.com`, `*.example.com`.
    pub dns_names: Vec<String>,
    /// Whom it is for, as text (RFC 4514): `CN=bus 7,O=Example`. Empty when it does not say, or says too much.
    pub subject: String,
}

impl Certificate {
    /// Reads a certificate in DER; `None` when it is none.
    pub fn parse(der: &[u8]) -> Option<Certificate> {
        let mut body = Reader::sequence(der)?.nested()?;
        if body.tag() == Some(VERSION) {
            body.any()?;
        }
        body.inside(INTEGER)?;
        let (_signature, _issuer) = (body.nested()?, body.nested()?);
        let mut validity = body.nested()?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        let subject = subject(body.nested()?)?;
        body.nested()?;
        let mut dns_names = Vec::new();
        while !body.is_empty() {
            let (tag, content) = body.any()?;
            if tag == EXTENSIONS {
                dns_names = alternative_names(Reader::sequence(content)?)?;
            }
        }
        Some(Certificate { not_before, not_after, dns_names, subject })
    }

    /// Whether `now`, in Unix seconds, is in its time.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

fn alternative_names(mut extensions: Reader<'_>) -> Option<Vec<String>> {
    while !extensions.is_empty() {
        let mut extension = extensions.nested()?;
        let id = extension.object_id()?;
        if extension.tag() == Some(BOOLEAN) {
            extension.any()?;
        }
        let value = extension.octets()?;
        if id == SUBJECT_ALT_NAME {
            return dns_names(Reader::sequence(value)?);
        }
    }
    Some(Vec::new())
}

fn dns_names(mut names: Reader<'_>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    while !names.is_empty() && found.len() < NAMES_MAX {
        let (tag, content) = names.any()?;
        if tag == DNS_NAME && content.is_ascii() {
            let name = String::from_utf8_lossy(content).to_ascii_lowercase();
            found.push(name.strip_suffix('.').unwrap_or(&name).to_owned());
        }
    }
    Some(found)
}

/// A Time (RFC 5280 section 4.1.2.5) in Unix seconds.
fn time(values: &mut Reader<'_>) -> Option<i64> {
    let (tag, text) = values.any()?;
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let year: i64 = number(text.get(..2)?)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => (number(text.get(..4)?)?, text.get(4..)?),
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let part = |at: usize| number(rest.get(at..at + 2)?);
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    let known = (1..=12).contains(&month) && (1..=31).contains(&day);
    let clock = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    (known && clock).then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

fn number(digits: &str) -> Option<i64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// Days from 1970 to a date of the Gregorian calendar; years begin in March, so that a leap day is the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// A distinguished name as text (RFC 4514 section 2): the last part comes first.
fn subject(mut name: Reader<'_>) -> Option<String> {
    let mut parts = Vec::new();
    while !name.is_empty() {
        let mut set = name.inside(SET)?;
        let mut part = String::new();
        while !set.is_empty() {
            let mut attribute = set.inside(SEQUENCE)?;
            if !part.is_empty() {
                part.push('+');
            }
            let id = attribute.object_id()?;
            let (tag, value) = attribute.any()?;
            write_attribute(id, tag, value, &mut part)?;
        }
        parts.push(part);
    }
    parts.reverse();
    let text = parts.join(",");
    Some(if text.len() > SUBJECT_BYTES_MAX { String::new() } else { text })
}

fn write_attribute(id: &[u8], tag: u8, value: &[u8], out: &mut String) -> Option<()> {
    let named = ATTRIBUTES.iter().find(|(known, _)| *known == id);
    let text = named.and_then(|_| text(tag, value));
    match named {
        Some((_, name)) => out.push_str(name),
        None => write_object_id(id, out)?,
    }
    out.push('=');
    match text {
        Some(text) => escape(&text, out),
        None => {
            // RFC 4514 section 2.4: the value as it is encoded.
            out.push('#');
            hex(&[tag], out);
            hex(&length(value.len()), out);
            hex(value, out);
        }
    }
    Some(())
}

/// The length octets of DER.
fn length(bytes: usize) -> Vec<u8> {
    if bytes < 0x80 {
        return vec![bytes as u8];
    }
    let digits: Vec<u8> = bytes.to_be_bytes().into_iter().skip_while(|digit| *digit == 0).collect();
    [&[0x80 | digits.len() as u8][..], &digits].concat()
}

fn text(tag: u8, value: &[u8]) -> Option<String> {
    match tag {
        UTF8_STRING => std::str::from_utf8(value).ok().map(str::to_owned),
        PRINTABLE_STRING | IA5_STRING if value.is_ascii() => {
            std::str::from_utf8(value).ok().map(str::to_owned)
        }
        BMP_STRING if value.len().is_multiple_of(2) => {
            let (pairs, _) = value.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// RFC 4514 section 2.4. Whatever is no plain ASCII is written in hexadecimal: the text becomes a header's value.
fn escape(text: &str, out: &mut String) {
    let last = text.len().saturating_sub(1);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => out.extend(['\\', byte as char]),
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if at == 0 || at == last => out.push_str("\\ "),
            b' '..=b'~' => out.push(byte as char),
            _ => {
                out.push('\\');
                hex(&[byte], out);
            }
        }
    }
}

fn hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |digit| char::from(*digit));
    for byte in bytes {
        out.extend([digit(byte >> 4), digit(byte & 0xf)]);
    }
}

fn write_object_id(id: &[u8], out: &mut String) -> Option<()> {
    let mut numbers = Vec::new();
    let mut number: u64 = 0;
    for byte in id {
        number = number.checked_mul(128)?.checked_add(u64::from(byte & 0x7f))?;
        if byte & 0x80 == 0 {
            numbers.push(std::mem::take(&mut number));
        }
    }
    let (first, rest) = numbers.split_first()?;
    // The first two numbers share one (X.690 section 8.19.4).
    let root = (first / 40).min(2);
    let mut texts = vec![root.to_string(), (first - root * 40).to_string()];
    texts.extend(rest.iter().map(u64::to_string));
    out.push_str(&texts.join("."));
    Some(())
}

#[cfg(test)]
mod tests;
