//! The files that a description consists of, places in them, and what a `$ref` points at.
//!
//! Nothing is read here: who has the files hands them over. What lies outside of the folder of the first file, or on
//! another host, is not asked for.

use std::sync::Arc;

use serde_json::Value;

use super::dialect::{self, Version};
use crate::decode::{Notation, decode};
use crate::schema::strict;

/// Files of one description.
const FILES_MAX: usize = 64;

/// Bytes of all files as JSON: aliases of YAML are written out.
const BYTES_MAX: usize = 32 << 20;

/// References that may stand between a place and what is meant.
const HOPS_MAX: usize = 16;

/// What is in front of the name of a file where it has to be a URI.
const SCHEME: &str = "openapi:///";

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, from the folder of the first one.
    pub file: String,
    /// The place in it (RFC 6901).
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

/// Hands over a file, named from the folder of the first one; or says why not, in words that complete "it …".
pub type Load<'a> = &'a mut dyn FnMut(&str) -> Result<Arc<[u8]>, String>;

/// The first file and those that it refers to.
pub struct Documents {
    files: Vec<File>,
}

struct File {
    /// From the folder of the first file.
    name: String,
    /// What it holds, with the meanings of JSON Schema 2020-12; or why it is not known.
    content: Result<Value, String>,
}

/// A place in a file.
#[derive(Clone)]
pub(super) struct At<'a> {
    documents: &'a Documents,
    pub(super) file: usize,
    pub(super) pointer: String,
    pub(super) value: &'a Value,
}

impl Documents {
    /// Reads a description and the files that it refers to.
    pub fn read(name: &str, bytes: &[u8], load: Load<'_>) -> Result<Documents, Fault> {
        let mut left = BYTES_MAX;
        let fault =
            |pointer: &str, message| Fault { file: name.to_owned(), pointer: pointer.to_owned(), message };
        let mut first = parse(name, bytes, &mut left).map_err(|why| fault("", format!("it {why}")))?;
        let version = Version::of(&first).map_err(|(pointer, why)| fault(pointer, why))?;
        let mut wanted = dialect::adapt(&mut first, version);
        let mut files = vec![File { name: name.to_owned(), content: Ok(first) }];
        let mut at = 0;
        while let Some(folder) = files.get(at).map(|file| file.name.clone()) {
            for reference in std::mem::take(&mut wanted) {
                let Some(other) = beside(&folder, &reference) else { continue };
                if files.iter().any(|file| file.name == other) {
                    continue;
                }
                if files.len() == FILES_MAX {
                    return Err(fault("", format!("it refers to more than {FILES_MAX} files")));
                }
                let content = load(&other).and_then(|bytes| parse(&other, &bytes, &mut left));
                files.push(File { name: other, content });
            }
            at += 1;
            if let Some(Ok(content)) = files.get_mut(at).map(|file| file.content.as_mut()) {
                wanted = dialect::adapt(content, version);
            }
        }
        Ok(Documents { files })
    }

    /// The beginning of the first file.
    pub(super) fn root(&self) -> At<'_> {
        static NOTHING: Value = Value::Null;
        let value = self.files.first().and_then(|file| file.content.as_ref().ok()).unwrap_or(&NOTHING);
        At { documents: self, file: 0, pointer: String::new(), value }
    }

    /// Every file that could be read, with its URI.
    pub(super) fn readable(&self) -> impl Iterator<Item = (String, &Value)> {
        self.files.iter().filter_map(|file| Some((uri_of(&file.name), file.content.as_ref().ok()?)))
    }
}

impl<'a> At<'a> {
    pub(super) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault { file: self.file_name().to_owned(), pointer: self.pointer.clone(), message: message.into() }
    }

    /// The place as a URI.
    pub(super) fn uri(&self) -> String {
        let mut uri = uri_of(self.file_name());
        uri.push('#');
        percent_encode(&self.pointer, &mut uri);
        uri
    }

    pub(super) fn member(&self, name: &str) -> Option<At<'a>> {
        self.value.get(name).map(|value| self.below(name, value))
    }

    /// Members without those that are extensions.
    pub(super) fn members(&self) -> impl Iterator<Item = (&'a str, At<'a>)> {
        let all = self.value.as_object().into_iter().flatten();
        let all = all.filter(|(name, _)| !name.starts_with("x-"));
        all.map(move |(name, value)| (name.as_str(), self.below(name, value)))
    }

    pub(super) fn elements(&self) -> impl Iterator<Item = At<'a>> {
        let all = self.value.as_array().into_iter().flatten().enumerate();
        all.map(move |(at, value)| self.below(&at.to_string(), value))
    }

    /// The text under a name; none where there is nothing.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        let Some(at) = self.member(name) else { return Ok(None) };
        at.value.as_str().map(Some).ok_or_else(|| at.fault(format!("`{name}` must be text")))
    }

    /// The boolean under a name.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        let Some(at) = self.member(name) else { return Ok(None) };
        at.value.as_bool().map(Some).ok_or_else(|| at.fault(format!("`{name}` must be true or false")))
    }

    /// What is meant here, behind all references.
    pub(super) fn target(self) -> Result<At<'a>, Fault> {
        let start = self.clone();
        let mut at = self;
        for _ in 0..HOPS_MAX {
            let Some(reference) = at.value.get("$ref").and_then(Value::as_str) else { return Ok(at) };
            at = at
                .follow(reference)
                .map_err(|why| at.fault(format!("`$ref: {}` {why}", shown(reference))))?;
        }
        Err(start.fault(format!("its `$ref` leads through more than {HOPS_MAX} others, or back to itself")))
    }

    /// What a reference at this place points at.
    pub(super) fn follow(&self, reference: &str) -> Result<At<'a>, String> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let file = match uri {
            "" => self.file,
            _ => self.documents.index(self.file_name(), uri)?,
        };
        let content = match self.documents.files.get(file).map(|file| &file.content) {
            Some(Ok(content)) => content,
            Some(Err(why)) => return Err(format!("names a file that cannot be used: it {why}")),
            None => return Err("names a file that is not known".to_owned()),
        };
        let pointer = percent_decoded(fragment).ok_or("is no reference: it is not UTF-8")?;
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err("names an anchor, which works inside of schemas only".to_owned());
        }
        let value = content.pointer(&pointer).ok_or("points at nothing")?;
        Ok(At { documents: self.documents, file, pointer, value })
    }

    pub(super) fn file_name(&self) -> &'a str {
        self.documents.files.get(self.file).map_or("", |file| &file.name)
    }

    fn below(&self, name: &str, value: &'a Value) -> At<'a> {
        let name = name.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{}/{name}", self.pointer);
        At { documents: self.documents, file: self.file, pointer, value }
    }
}

impl Documents {
    fn index(&self, from: &str, uri: &str) -> Result<usize, String> {
        if has_scheme(uri) || uri.starts_with("//") {
            return Err("is on another host, and nothing is fetched".to_owned());
        }
        let name = beside(from, uri).ok_or("leads out of the folder of the description")?;
        let known = self.files.iter().position(|file| file.name == name);
        known.ok_or_else(|| "names a file that was not read".to_owned())
    }
}

/// What a file holds: YAML by the ending of its name, else JSON.
fn parse(name: &str, bytes: &[u8], left: &mut usize) -> Result<Value, String> {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let yaml = ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml");
    let notation = if yaml { Notation::Yaml } else { Notation::Json };
    let text = decode(bytes, notation, *left).map_err(|error| format!("cannot be read: {error}"))?;
    *left = left.checked_sub(text.len()).ok_or("is too large together with the others")?;
    strict::read(text.as_bytes()).map_err(|error| format!("cannot be read: {error}"))
}

/// The file that a reference names, from the folder of the first; none where it leads elsewhere, or names no file.
fn beside(from: &str, reference: &str) -> Option<String> {
    let path = reference.split_once('#').map_or(reference, |(path, _)| path);
    if path.is_empty() || path.starts_with('/') || path.contains(['%', '?', '\\']) || has_scheme(path) {
        return None;
    }
    let mut segments: Vec<&str> = from.split('/').collect();
    segments.pop();
    for segment in path.split('/') {
        match segment {
            "." => {}
            "" => return None,
            ".." => {
                segments.pop()?;
            }
            _ => segments.push(segment),
        }
    }
    Some(segments.join("/"))
}

/// Whether a reference begins with the scheme of a URI (RFC 3986 section 3.1).
fn has_scheme(reference: &str) -> bool {
    let end = reference.find(|sign: char| !(sign.is_ascii_alphanumeric() || "+-.".contains(sign)));
    end.is_some_and(|end| end > 0 && reference.as_bytes().get(end) == Some(&b':'))
}

/// The URI of a file.
fn uri_of(name: &str) -> String {
    let mut uri = SCHEME.to_owned();
    percent_encode(name, &mut uri);
    uri
}

fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// A text with its percent-encodings decoded; none where that is no text.
fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    String::from_utf8(super::text::decoded(text.as_bytes(), false).into_owned()).ok()
}

/// A text of the description inside of a message.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
