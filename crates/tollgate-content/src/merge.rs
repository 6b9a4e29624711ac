//! Several documents into one object.

use crate::node::{Node, Object};

/// How members of one name are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Merge {
    /// The later one takes the place of the earlier.
    #[default]
    Shallow,
    /// Two objects are merged in their turn; anything else as in shallow.
    Deep,
}

/// Merges `part` into `whole`: later wins. What is no object cannot be merged and is given back.
pub fn merge<'a>(whole: &mut Object<'a>, part: Node<'a>, how: Merge) -> Result<(), Node<'a>> {
    match part.open() {
        Node::Object(part) => {
            for (name, value) in part.into_members() {
                put(whole, name, value, how);
            }
            Ok(())
        }
        other => Err(other),
    }
}

fn put<'a>(whole: &mut Object<'a>, name: std::borrow::Cow<'a, str>, value: Node<'a>, how: Merge) {
    let there = whole.set(name.clone(), value);
    let Some(there) = there.filter(|_| how == Merge::Deep) else { return };
    // Two objects: the later one was put; it is merged into the earlier, which then stands in its place.
    let later = whole.set(name.clone(), Node::Raw(crate::Raw::NULL)).map(Node::open);
    let merged = match (there.open(), later) {
        (Node::Object(mut earlier), Some(Node::Object(later))) => {
            for (name, value) in later.into_members() {
                put(&mut earlier, name, value, how);
            }
            Node::Object(earlier)
        }
        (_, Some(later)) => later,
        (earlier, None) => earlier,
    };
    whole.set(name, merged);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Raw;

    #[test]
    fn later_wins() {
        let check = |how, parts: &[&str], wanted: &str| {
            let mut whole = Object::default();
            for part in parts {
                merge(&mut whole, Node::Raw(Raw::check(part.as_bytes()).unwrap()), how).unwrap();
            }
            assert_eq!(Node::Object(whole).to_json(), wanted, "{parts:?}");
        };
        let parts = [
            r#"{"a":{"x":1,"y":{"z":1}},"b":1,"l":[1]}"#,
            r#"{"b":2,"a":{"y":{"w":2},"x":3},"l":[2],"c":null}"#,
        ];
        check(Merge::Shallow, &parts, r#"{"a":{"y":{"w":2},"x":3},"b":2,"l":[2],"c":null}"#);
        check(Merge::Deep, &parts, r#"{"a":{"x":3,"y":{"z":1,"w":2}},"b":2,"l":[2],"c":null}"#);
        check(Merge::Deep, &[r#"{"a":{"x":1}}"#, r#"{"a":5}"#, r#"{"a":{"y":2}}"#], r#"{"a":{"y":2}}"#);
        check(Merge::Deep, &["{}", r#"{"a":1}"#], r#"{"a":1}"#);
    }

    #[test]
    fn what_is_no_object_is_given_back() {
        let mut whole = Object::default();
        let list = Node::Raw(Raw::check(b"[1]").unwrap());
        assert_eq!(merge(&mut whole, list, Merge::Shallow).unwrap_err().to_json(), "[1]");
    }
}
