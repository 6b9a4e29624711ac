//! JSON into other notations, and which one a client would rather have.

mod negotiate;
mod xml;
mod yaml;

use crate::node::Node;
use crate::raw::Raw;

pub use negotiate::negotiate;

/// What an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// RFC 8259.
    #[default]
    Json,
    /// XML 1.0, by the same rules as [`crate::decode::Notation::Xml`]: one member is the root element, anything else
    /// stands in `<root>`; a list outside of a member is `<item>`s.
    Xml,
    /// YAML 1.2.
    Yaml,
}

impl Encoding {
    /// The media type (RFC 8259, RFC 7303, RFC 9512).
    pub fn media_type(self) -> &'static str {
        match self {
            Encoding::Json => "application/json",
            Encoding::Xml => "application/xml",
            Encoding::Yaml => "application/yaml",
        }
    }
}

/// Writes a document.
pub fn encode(document: &Node<'_>, encoding: Encoding) -> Vec<u8> {
    let mut json = Vec::new();
    document.write(&mut json);
    let write = match encoding {
        Encoding::Json => return json,
        Encoding::Xml => xml::write,
        Encoding::Yaml => yaml::write,
    };
    let text = String::from_utf8(json).unwrap_or_default();
    let mut out = String::with_capacity(text.len() + text.len() / 2);
    write(Raw::trusted(&text), &mut out);
    out.into_bytes()
}

#[cfg(test)]
fn told(document: &str, encoding: Encoding) -> String {
    String::from_utf8(encode(&Node::Raw(Raw::check(document.as_bytes()).unwrap()), encoding)).unwrap()
}
