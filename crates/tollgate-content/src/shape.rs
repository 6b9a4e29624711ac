//! Shaping a document: from, pick, drop, rename, wrap, in this order.
//!
//! Rules meet lists element by element, at every depth, so `[]` in a path of a rule says what happens anyway. What a
//! rule does not name is never taken apart.

use std::borrow::Cow;
use std::fmt;

use crate::node::{Node, Object};
use crate::path::{Path, Step};
use crate::raw::Raw;

/// What to do with a document.
#[derive(Debug, Clone, Default)]
pub struct ShapeSpec {
    /// Go on with what stands here; where there is nothing, with an empty object.
    pub from: Option<Path>,
    /// Keep only these.
    pub pick: Option<Vec<Path>>,
    /// Take these away.
    pub drop: Vec<Path>,
    /// Give the member at the path another name.
    pub rename: Vec<(Path, Box<str>)>,
    /// Put the result under this name into an object.
    pub wrap: Option<Box<str>>,
}

/// The rules, ready to be applied.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    from: Vec<Box<str>>,
    pick: Option<Tree>,
    drop: Option<Tree>,
    rename: Option<Tree>,
    wrap: Option<Box<str>>,
}

/// Why rules make no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeError {
    /// The path of this entry of `rename` ends with `[]`: elements have no name.
    RenamesElements(usize),
    /// This entry of `rename` names what an earlier one names.
    RenamedTwice(usize),
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShapeError::RenamesElements(_) => "the elements of a list have no name",
            ShapeError::RenamedTwice(_) => "it is renamed twice",
        })
    }
}

impl std::error::Error for ShapeError {}

/// Paths that share their beginnings.
#[derive(Debug, Clone, Default)]
struct Tree {
    /// A path ends here.
    here: bool,
    /// The new name of what stands here.
    name: Option<Box<str>>,
    below: Vec<(Box<str>, Tree)>,
}

impl Shape {
    /// Compiles the rules.
    pub fn new(spec: ShapeSpec) -> Result<Shape, ShapeError> {
        let mut rename = Tree::default();
        for (at, (path, name)) in spec.rename.iter().enumerate() {
            if path.steps().last() == Some(&Step::Each) {
                return Err(ShapeError::RenamesElements(at));
            }
            if rename.grow(path).name.replace(name.clone()).is_some() {
                return Err(ShapeError::RenamedTwice(at));
            }
        }
        Ok(Shape {
            from: spec.from.iter().flat_map(keys).cloned().collect(),
            pick: spec.pick.map(|paths| Tree::of(&paths)),
            drop: (!spec.drop.is_empty()).then(|| Tree::of(&spec.drop)),
            rename: (!spec.rename.is_empty()).then_some(rename),
            wrap: spec.wrap,
        })
    }

    /// Whether it leaves every document as it is.
    pub fn is_nothing(&self) -> bool {
        let Shape { from, pick, drop, rename, wrap } = self;
        from.is_empty() && pick.is_none() && drop.is_none() && rename.is_none() && wrap.is_none()
    }

    /// The names under which what it goes on with stands, from the root, and the name that it gives the result: for those who
    /// make up a document for it.
    pub fn frame(&self) -> (&[Box<str>], Option<&str>) {
        (&self.from, self.wrap.as_deref())
    }

    /// Applies the rules, all but `wrap`.
    pub fn inner<'a>(&self, document: Node<'a>) -> Node<'a> {
        let mut node = descend(document, &self.from).unwrap_or(Node::Raw(Raw::EMPTY));
        if let Some(tree) = &self.pick {
            node = tree.pick(node).unwrap_or(Node::Raw(Raw::EMPTY));
        }
        if let Some(tree) = &self.drop {
            node = tree.drop(node);
        }
        if let Some(tree) = &self.rename {
            node = tree.rename(node);
        }
        node
    }

    /// Puts a value under the name that the rules give the result, if they give it one.
    pub fn wrapped<'a>(&self, value: Node<'a>) -> Node<'a> {
        match &self.wrap {
            None => value,
            Some(name) => {
                let mut object = Object::default();
                object.set(Cow::Owned(name.to_string()), value);
                Node::Object(object)
            }
        }
    }

    /// Applies the rules.
    pub fn apply<'a>(&self, document: Raw<'a>) -> Node<'a> {
        self.wrapped(self.inner(Node::Raw(document)))
    }
}

fn keys(path: &Path) -> impl Iterator<Item = &Box<str>> {
    path.steps().iter().filter_map(|step| match step {
        Step::Key(key) => Some(key),
        Step::Each => None,
    })
}

fn descend<'a>(node: Node<'a>, path: &[Box<str>]) -> Option<Node<'a>> {
    let Some((first, rest)) = path.split_first() else { return Some(node) };
    match node.open() {
        Node::Object(object) => {
            let mut members = object.into_members().into_iter();
            members.find(|(name, _)| *name == **first).and_then(|(_, value)| descend(value, rest))
        }
        Node::List(elements) => {
            Some(Node::List(elements.into_iter().filter_map(|element| descend(element, path)).collect()))
        }
        _ => None,
    }
}

impl Tree {
    fn of(paths: &[Path]) -> Tree {
        let mut tree = Tree::default();
        for path in paths {
            tree.grow(path).here = true;
        }
        tree
    }

    fn grow(&mut self, path: &Path) -> &mut Tree {
        let mut at = self;
        for key in keys(path) {
            let found = at.below.iter().position(|(name, _)| name == key);
            let place = found.unwrap_or_else(|| {
                at.below.push((key.clone(), Tree::default()));
                at.below.len() - 1
            });
            #[expect(clippy::indexing_slicing, reason = "found, or pushed just now")]
            {
                at = &mut at.below[place].1;
            }
        }
        at
    }

    fn below(&self, name: &str) -> Option<&Tree> {
        self.below.iter().find(|(key, _)| **key == *name).map(|(_, tree)| tree)
    }

    /// What is named; none where there is nothing of it.
    fn pick<'a>(&self, node: Node<'a>) -> Option<Node<'a>> {
        if self.here {
            return Some(node);
        }
        match node.open() {
            Node::Object(object) => {
                let members = object.into_members().into_iter();
                let kept = members.filter_map(|(name, value)| {
                    let kept = self.below(&name)?.pick(value)?;
                    Some((name, kept))
                });
                Some(Node::Object(kept.collect()))
            }
            Node::List(elements) => {
                Some(Node::List(elements.into_iter().filter_map(|element| self.pick(element)).collect()))
            }
            _ => None,
        }
    }

    fn drop<'a>(&self, node: Node<'a>) -> Node<'a> {
        match node.open() {
            Node::Object(object) => {
                let members = object.into_members().into_iter();
                let kept = members.filter_map(|(name, value)| match self.below(&name) {
                    Some(tree) if tree.here => None,
                    Some(tree) => Some((name, tree.drop(value))),
                    None => Some((name, value)),
                });
                Node::Object(kept.collect())
            }
            Node::List(elements) => {
                Node::List(elements.into_iter().map(|element| self.drop(element)).collect())
            }
            other => other,
        }
    }

    fn rename<'a>(&self, node: Node<'a>) -> Node<'a> {
        match node.open() {
            Node::Object(object) => {
                let members = object.into_members();
                // What gets a name takes it from whoever has it and keeps it.
                let taken = |wanted: &str| {
                    let gets = |name: &str| {
                        self.below(name).is_some_and(|tree| tree.name.as_deref() == Some(wanted))
                    };
                    members.iter().any(|(name, _)| gets(name))
                };
                let displaced: Vec<bool> = members
                    .iter()
                    .map(|(name, _)| self.below(name).is_none_or(|tree| tree.name.is_none()) && taken(name))
                    .collect();
                let renamed = members.into_iter().zip(displaced).filter(|(_, displaced)| !displaced);
                let renamed = renamed.map(|((name, value), _)| match self.below(&name) {
                    None => (name, value),
                    Some(tree) => {
                        let name = tree.name.as_ref().map_or(name, |name| Cow::Owned(name.to_string()));
                        (name, if tree.below.is_empty() { value } else { tree.rename(value) })
                    }
                });
                Node::Object(renamed.collect())
            }
            Node::List(elements) => {
                Node::List(elements.into_iter().map(|element| self.rename(element)).collect())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Rules<'a> {
        from: &'a str,
        pick: Option<&'a [&'a str]>,
        drop: &'a [&'a str],
        rename: &'a [(&'a str, &'a str)],
        wrap: &'a str,
    }

    fn shape(rules: &Rules<'_>) -> Result<Shape, ShapeError> {
        let path = |text: &&str| Path::parse(text).unwrap();
        Shape::new(ShapeSpec {
            from: (!rules.from.is_empty()).then(|| path(&rules.from)),
            pick: rules.pick.map(|paths| paths.iter().map(path).collect()),
            drop: rules.drop.iter().map(path).collect(),
            rename: rules.rename.iter().map(|(from, to)| (path(from), (*to).into())).collect(),
            wrap: (!rules.wrap.is_empty()).then(|| rules.wrap.into()),
        })
    }

    fn check(rules: Rules<'_>, document: &str, wanted: &str) {
        let shaped = shape(&rules).unwrap().apply(Raw::check(document.as_bytes()).unwrap()).to_json();
        assert_eq!(shaped, wanted, "{document}");
    }

    const ORDER: &str = r#"{"data":{"id":7,"qty":2,"who":{"name":"x","pin":1},"items":[{"sku":"a","n":1},{"sku":"b","n":2}]},"meta":1}"#;

    #[test]
    fn from_goes_into_the_document() {
        let from = |from| Rules { from, ..Rules::default() };
        check(from("data.who"), ORDER, r#"{"name":"x","pin":1}"#);
        check(from("data.items[].sku"), ORDER, r#"["a","b"]"#);
        check(from("data.items.sku"), ORDER, r#"["a","b"]"#);
        check(from("nothing.here"), ORDER, "{}");
        check(from("a"), "[1]", "[]");
    }

    #[test]
    fn pick_keeps_what_is_named() {
        let pick = |pick| Rules { pick: Some(pick), ..Rules::default() };
        check(pick(&["data.id", "data.who.name"]), ORDER, r#"{"data":{"id":7,"who":{"name":"x"}}}"#);
        check(
            pick(&["data.items[].sku", "meta"]),
            ORDER,
            r#"{"data":{"items":[{"sku":"a"},{"sku":"b"}]},"meta":1}"#,
        );
        check(
            pick(&["data.items.n", "data.items"]),
            r#"{"data":{"items":[{"n":1}]}}"#,
            r#"{"data":{"items":[{"n":1}]}}"#,
        );
        check(pick(&["a"]), r#"[{"a":1,"b":2},{"b":3}]"#, r#"[{"a":1},{}]"#);
        check(pick(&["a.b"]), r#"{"a":5}"#, "{}");
        check(pick(&[]), ORDER, "{}");
        check(pick(&["a"]), "5", "{}");
    }

    #[test]
    fn drop_takes_away_what_is_named() {
        let drop = |drop| Rules { drop, ..Rules::default() };
        check(
            drop(&["data.items", "data.who.pin", "meta"]),
            ORDER,
            r#"{"data":{"id":7,"qty":2,"who":{"name":"x"}}}"#,
        );
        check(drop(&["a"]), r#"[{"a":1,"b": { "c" : 2 }},3]"#, r#"[{"b":{ "c" : 2 }},3]"#);
        check(drop(&["nothing"]), "null", "null");
    }

    #[test]
    fn rename_gives_other_names_all_at_once() {
        let rename = |rename| Rules { rename, ..Rules::default() };
        check(rename(&[("qty", "quantity")]), r#"{"id":7,"qty":2}"#, r#"{"id":7,"quantity":2}"#);
        check(rename(&[("a", "b"), ("b", "a")]), r#"{"a":1,"b":2}"#, r#"{"b":1,"a":2}"#);
        check(rename(&[("a", "b")]), r#"{"b":2,"a":1}"#, r#"{"b":1}"#);
        check(
            rename(&[("l[].a", "x"), ("l", "m")]),
            r#"{"l":[{"a":1},{"b":2}]}"#,
            r#"{"m":[{"x":1},{"b":2}]}"#,
        );
        assert_eq!(
            shape(&Rules { rename: &[("l[]", "x")], ..Rules::default() }).unwrap_err(),
            ShapeError::RenamesElements(0)
        );
        assert_eq!(
            shape(&Rules { rename: &[("a", "x"), ("a", "y")], ..Rules::default() }).unwrap_err(),
            ShapeError::RenamedTwice(1)
        );
    }

    #[test]
    fn all_in_their_order() {
        let rules = Rules {
            from: "data",
            pick: Some(&["id", "qty"]),
            drop: &["id"],
            rename: &[("qty", "quantity")],
            wrap: "order",
        };
        check(rules, ORDER, r#"{"order":{"quantity":2}}"#);
        check(Rules { wrap: "list", ..Rules::default() }, "[1, 2]", r#"{"list":[1, 2]}"#);
    }
}
