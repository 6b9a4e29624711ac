//! What of an address's query is secret: the values of its parameters, unless they are placeholders.

use std::ops::Range;

/// Masks the values of parameters in a scalar: `text` is what it means, `written` what stands at `start`.
///
/// A text that is no address may hold some, as a script does; of these the parameters with a name are masked.
pub(super) fn mask(text: &str, written: &str, start: usize, masks: &mut Vec<Range<usize>>) {
    if is_reference(text) {
        return;
    }
    let quote = written.bytes().next().filter(|first| matches!(first, b'"' | b'\''));
    let quotes = usize::from(quote.is_some());
    let inner = written.get(quotes..written.len().saturating_sub(quotes)).unwrap_or_default();
    let start = start + quotes;
    if !is_address(text) {
        scan(inner, start, masks);
        return;
    }
    // An escape may stand for any sign, also for the one that begins the query.
    if quote == Some(b'"') && inner.contains('\\') {
        masks.push(start - quotes..start - quotes + written.len());
        return;
    }
    // A password may hold that sign.
    let authority = super::userinfo(inner).map_or(0, |part| part.end);
    if let Some(at) = inner[authority..].find('?') {
        let query = authority + at + 1;
        parameters(&inner[query..], start + query, true, masks);
    }
}

/// Where in a line the value of the first parameter begins that has a name.
pub(super) fn after_name(line: &str) -> Option<usize> {
    line.match_indices('?').find_map(|(at, _)| {
        let rest = &line[at + 1..];
        let name = rest.bytes().take_while(|byte| is_name_byte(*byte)).count();
        (name > 0 && rest[name..].starts_with('=')).then_some(at + 1 + name + 1)
    })
}

/// Whether a text is one placeholder of a template.
pub(super) fn is_placeholder(text: &str) -> bool {
    let inside = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| !inside.is_empty() && !inside.contains(['{', '}', '"', '\'']))
}

/// Whether all values of a query are placeholders of a template, names or not.
pub(crate) fn of_placeholders(query: &str) -> bool {
    query.split('&').all(|parameter| {
        let value = parameter.split_once('=').map_or(parameter, |(_, value)| value);
        is_placeholder(value)
    })
}

/// Whether a text is one `${…}` without a default.
pub(super) fn is_reference(text: &str) -> bool {
    let inside = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| !inside.contains('}') && !inside.contains(":-"))
}

/// Whether a text begins as a path or a URL does, or with what stands for one.
fn is_address(text: &str) -> bool {
    let scheme = text.split_once(':').is_some_and(|(scheme, _)| {
        let signs = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        scheme.starts_with(|letter: char| letter.is_ascii_alphabetic()) && scheme.bytes().all(signs)
    });
    let placeholder = text.strip_prefix('{').is_some_and(|rest| {
        rest.split_once('}').is_some_and(|(name, _)| name.starts_with(|letter: char| letter.is_alphabetic()))
    });
    !text.contains('\n') && (scheme || placeholder || text.starts_with('/') || text.starts_with("${"))
}

/// Masks the values of parameters wherever a query seems to stand. Every byte is looked at a few times, whatever the
/// text is.
fn scan(text: &str, start: usize, masks: &mut Vec<Range<usize>>) {
    let mut at = start;
    for word in text.split(|letter: char| letter.is_ascii_whitespace() || "\"'`<".contains(letter)) {
        if let Some((before, query)) = word.split_once('?') {
            parameters(query, at + before.len() + 1, false, masks);
        }
        at += word.len() + 1;
    }
}

/// Masks the values of a query's parameters; a parameter that is nothing but a value only when `all` are meant.
fn parameters(query: &str, start: usize, all: bool, masks: &mut Vec<Range<usize>>) {
    let mut at = start;
    for parameter in query.split(['&', ';']) {
        let value = match parameter.split_once('=') {
            // Another query may begin in this one.
            Some((name, value)) if all || is_name(name.rsplit('?').next().unwrap_or(name)) => value,
            None if all => parameter,
            _ => "",
        };
        let end = at + parameter.len();
        if !value.is_empty() && !is_placeholder(value) && !is_reference(value) {
            masks.push(end - value.len()..end);
        }
        at = end + 1;
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~%+[]{}$".contains(&byte)
}
