//! A document that is being changed: taken apart where somebody looked, text everywhere else.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::raw::{Kind, Raw};

/// A value.
#[derive(Debug, Clone)]
pub enum Node<'a> {
    /// As it came.
    Raw(Raw<'a>),
    /// JSON text that was made here.
    Own(Box<str>),
    /// A list that was taken apart.
    List(Vec<Node<'a>>),
    /// An object that was taken apart.
    Object(Object<'a>),
}

/// Members in their order, each name once.
#[derive(Debug, Clone, Default)]
pub struct Object<'a> {
    members: Vec<(Cow<'a, str>, Node<'a>)>,
    /// Where each name stands; made when there are many.
    index: HashMap<Cow<'a, str>, usize>,
}

/// Objects with more members than this have an index: looking through few is cheaper than hashing.
const INDEX_FROM: usize = 16;

impl<'a> Node<'a> {
    /// A number.
    pub fn number(number: u64) -> Node<'a> {
        Node::Own(itoa::Buffer::new().format(number).into())
    }

    /// A string.
    pub fn text(text: &str) -> Node<'a> {
        let mut json = Vec::with_capacity(text.len() + 2);
        write_text(text, &mut json);
        Node::Own(String::from_utf8(json).unwrap_or_default().into())
    }

    /// Takes it apart by one level; scalars stay as they are.
    pub(crate) fn open(self) -> Node<'a> {
        let Node::Raw(raw) = self else { return self };
        match raw.kind() {
            Kind::Object => {
                Node::Object(raw.members().map(|(name, value)| (name, Node::Raw(value))).collect())
            }
            Kind::List => Node::List(raw.elements().map(Node::Raw).collect()),
            _ => self,
        }
    }

    /// Writes it as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Node::Raw(raw) => out.extend_from_slice(raw.as_str().as_bytes()),
            Node::Own(text) => out.extend_from_slice(text.as_bytes()),
            Node::List(elements) => {
                out.push(b'[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    element.write(out);
                }
                out.push(b']');
            }
            Node::Object(object) => {
                out.push(b'{');
                for (at, (name, value)) in object.members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_text(name, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// It as JSON text.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        // Everything that was written came from strings.
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Writes a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a string into a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}

impl<'a> Object<'a> {
    /// The members.
    pub fn members(&self) -> &[(Cow<'a, str>, Node<'a>)] {
        &self.members
    }

    /// Its members, given away.
    pub(crate) fn into_members(self) -> Vec<(Cow<'a, str>, Node<'a>)> {
        self.members
    }

    /// Puts a member, in the place of one of the same name if there is one. Returns what stood there.
    pub fn set(&mut self, name: Cow<'a, str>, value: Node<'a>) -> Option<Node<'a>> {
        if let Some(at) = self.position(&name)
            && let Some((_, there)) = self.members.get_mut(at)
        {
            return Some(std::mem::replace(there, value));
        }
        if self.members.len() == INDEX_FROM {
            self.index = self.members.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        }
        if self.members.len() >= INDEX_FROM {
            self.index.insert(name.clone(), self.members.len());
        }
        self.members.push((name, value));
        None
    }

    fn position(&self, name: &str) -> Option<usize> {
        if self.members.len() > INDEX_FROM {
            return self.index.get(name).copied();
        }
        self.members.iter().position(|(there, _)| there == name)
    }
}

impl<'a> FromIterator<(Cow<'a, str>, Node<'a>)> for Object<'a> {
    fn from_iter<T: IntoIterator<Item = (Cow<'a, str>, Node<'a>)>>(members: T) -> Self {
        let mut object = Object::default();
        for (name, value) in members {
            object.set(name, value);
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_name_that_stands_twice_the_last_value_counts() {
        let raw = Raw::check(br#"{"a": 1, "b": 2, "\u0061": [ 3 ]}"#).unwrap();
        assert_eq!(Node::Raw(raw).open().to_json(), r#"{"a":[ 3 ],"b":2}"#);
    }

    #[test]
    fn many_members_are_told_apart() {
        let text = (0..100).map(|at| format!("\"k{}\":{at}", at % 60)).collect::<Vec<_>>().join(",");
        let text = format!("{{{text}}}");
        let Node::Object(object) = Node::Raw(Raw::check(text.as_bytes()).unwrap()).open() else {
            panic!("an object")
        };
        assert_eq!(object.members().len(), 60);
        let wanted: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&Node::Object(object).to_json()).unwrap(),
            wanted
        );
    }

    #[test]
    fn what_is_made_here_is_escaped() {
        let mut object = Object::default();
        object.set("a\"b".into(), Node::text("c\nd\u{1}"));
        object.set("n".into(), Node::number(7));
        assert_eq!(Node::Object(object).to_json(), r#"{"a\"b":"c\nd\u0001","n":7}"#);
    }
}
