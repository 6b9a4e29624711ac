//! A JSON object in two pieces of memory: its values in one list, its texts in one string.
//!
//! A token's claims are some dozen small values. As a tree each would be an allocation or two, made and freed for every
//! token that is new; and what a worker remembers of a token would be a guess. It knows nothing of how JSON is written.

use std::fmt;

use serde_json::{Map, Number, Value};

/// Members up to which every name is compared with every other: less work than to sort them.
const FEW_NAMES: usize = 16;
/// Bytes of JSON for which there is room for one value at first. Claims have ten to twelve.
const BYTES_PER_VALUE: usize = 8;

/// An object and all that is in it.
///
/// A list and an object stand before what they hold: elements one after the other, members as name, value, name, value.
#[derive(Clone, PartialEq)]
pub(crate) struct Document {
    nodes: Vec<Node>,
    text: String,
}

#[derive(Clone, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Number(Number),
    /// Where in the text it begins and ends.
    String(u32, u32),
    /// The place after its last element.
    List(u32),
    /// The place after its last member.
    Object(u32),
}

/// A value where it stands in its document.
#[derive(Clone, Copy)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that a double or 64 bits hold.
    Number(&'a Number),
    /// A string, unescaped.
    String(&'a str),
    /// `[…]`.
    List(List<'a>),
    /// `{…}`.
    Object(Object<'a>),
}

/// The elements of a list.
#[derive(Clone, Copy)]
pub struct List<'a>(Run<'a>);

/// The members of an object, no name twice.
#[derive(Clone, Copy)]
pub struct Object<'a>(Run<'a>);

/// Values that follow one another.
#[derive(Clone, Copy)]
struct Run<'a> {
    document: &'a Document,
    at: usize,
    end: usize,
}

/// What is being written, and where it began.
pub(crate) struct Open(usize);

impl Document {
    /// An empty one for JSON of this length, which is an upper bound for its texts. `None`: longer than places are
    /// counted.
    pub(crate) fn sized_for(json_bytes: usize) -> Option<Self> {
        u32::try_from(json_bytes).ok()?;
        let nodes = Vec::with_capacity(json_bytes / BYTES_PER_VALUE + 1);
        Some(Self { nodes, text: String::with_capacity(json_bytes) })
    }

    /// Whether its one value is an object.
    pub(crate) fn is_object(&self) -> bool {
        matches!(self.nodes.first(), Some(Node::Object(_)))
    }

    /// The object that it is; without members when its one value is another.
    pub(crate) fn object(&self) -> Object<'_> {
        let end = self.nodes.first().map_or(0, |_| self.after(0));
        Object(Run { document: self, at: 1, end })
    }

    /// Bytes that it occupies beside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.text.capacity()
    }

    pub(crate) fn null(&mut self) {
        self.nodes.push(Node::Null);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.nodes.push(Node::Bool(value));
    }

    pub(crate) fn number(&mut self, number: Number) {
        self.nodes.push(Node::Number(number));
    }

    /// A string, or the name of a member.
    pub(crate) fn string(&mut self, text: &str) {
        let from = self.text.len();
        self.text.push_str(text);
        self.nodes.push(Node::String(from as u32, self.text.len() as u32));
    }

    /// What is written from now on is in a list or an object, until it is closed.
    pub(crate) fn open(&mut self) -> Open {
        self.nodes.push(Node::Null);
        Open(self.nodes.len() - 1)
    }

    pub(crate) fn close_list(&mut self, Open(at): Open) {
        self.close(at, Node::List);
    }

    /// Whether no name in it is there twice.
    pub(crate) fn close_object(&mut self, Open(at): Open) -> bool {
        self.close(at, Node::Object);
        match self.value(at).and_then(Json::as_object) {
            Some(members) => members.differ(),
            None => false,
        }
    }

    fn close(&mut self, at: usize, node: impl Fn(u32) -> Node) {
        // As many values as bytes of JSON at most, and those are counted in 32 bits.
        let end = self.nodes.len() as u32;
        if let Some(open) = self.nodes.get_mut(at) {
            *open = node(end);
        }
    }

    fn value(&self, at: usize) -> Option<Json<'_>> {
        let run = |end: u32| Run { document: self, at: at + 1, end: end as usize };
        Some(match self.nodes.get(at)? {
            Node::Null => Json::Null,
            Node::Bool(value) => Json::Bool(*value),
            Node::Number(number) => Json::Number(number),
            Node::String(from, to) => Json::String(self.text.get(*from as usize..*to as usize)?),
            Node::List(end) => Json::List(List(run(*end))),
            Node::Object(end) => Json::Object(Object(run(*end))),
        })
    }

    /// The place after the value that stands at a place.
    fn after(&self, at: usize) -> usize {
        match self.nodes.get(at) {
            Some(Node::List(end) | Node::Object(end)) => *end as usize,
            _ => at + 1,
        }
    }

    /// The bytes of the string at a place: names are compared by their length first, and as bytes.
    fn name(&self, at: usize) -> Option<&[u8]> {
        match self.nodes.get(at)? {
            Node::String(from, to) => self.text.as_bytes().get(*from as usize..*to as usize),
            _ => None,
        }
    }
}

impl<'a> Json<'a> {
    /// The string, if it is one.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(self) -> Option<List<'a>> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(self) -> Option<Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The strings there: of a list those of its elements that are strings, of a string itself.
    pub(crate) fn strings(self) -> impl Iterator<Item = &'a str> {
        let list = self.as_list().into_iter().flat_map(List::iter);
        self.as_str().into_iter().chain(list.filter_map(Json::as_str))
    }

    /// A copy as a tree.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) => Value::String(text.to_owned()),
            Self::List(list) => Value::Array(list.iter().map(Self::to_value).collect()),
            Self::Object(object) => Value::Object(object.to_map()),
        }
    }
}

/// By value; the order of members does not matter.
impl PartialEq<Value> for Json<'_> {
    fn eq(&self, other: &Value) -> bool {
        match (*self, other) {
            (Self::Null, Value::Null) => true,
            (Self::Bool(ours), Value::Bool(theirs)) => ours == *theirs,
            (Self::Number(ours), Value::Number(theirs)) => ours == theirs,
            (Self::String(ours), Value::String(theirs)) => ours == theirs,
            (Self::List(ours), Value::Array(theirs)) => ours.iter().eq(theirs.iter()),
            (Self::Object(ours), Value::Object(theirs)) => {
                ours.iter().count() == theirs.len()
                    && ours.iter().all(|(name, value)| theirs.get(name).is_some_and(|their| value == *their))
            }
            _ => false,
        }
    }
}

impl PartialEq<&Value> for Json<'_> {
    fn eq(&self, other: &&Value) -> bool {
        *self == **other
    }
}

impl<'a> List<'a> {
    /// The elements, in order.
    pub fn iter(self) -> impl Iterator<Item = Json<'a>> {
        let Run { document, mut at, end } = self.0;
        std::iter::from_fn(move || {
            let element = (at < end).then(|| document.value(at)).flatten()?;
            at = document.after(at);
            Some(element)
        })
    }
}

impl<'a> Object<'a> {
    /// The value of this name.
    pub fn get(self, name: &str) -> Option<Json<'a>> {
        let document = self.0.document;
        let at = self.places().find(|at| document.name(*at) == Some(name.as_bytes()))?;
        document.value(at + 1)
    }

    /// Names and values, in the order in which they stood.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, Json<'a>)> {
        let document = self.0.document;
        self.places().filter_map(move |at| Some((document.value(at)?.as_str()?, document.value(at + 1)?)))
    }

    pub(crate) fn to_map(self) -> Map<String, Value> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_value())).collect()
    }

    /// Where the names stand.
    fn places(self) -> impl Iterator<Item = usize> + use<'a> {
        let Run { document, mut at, end } = self.0;
        std::iter::from_fn(move || {
            let place = (at < end).then_some(at)?;
            at = document.after(at + 1);
            Some(place)
        })
    }

    /// Whether no name is there twice: a stranger chooses how many there are, so it must not take their square.
    fn differ(self) -> bool {
        let document = self.0.document;
        let mut few = [&[][..]; FEW_NAMES];
        for (count, name) in self.places().filter_map(|at| document.name(at)).enumerate() {
            let Some((before, free)) = few.split_at_mut_checked(count) else { return self.differ_sorted() };
            let Some(place) = free.first_mut() else { return self.differ_sorted() };
            if before.contains(&name) {
                return false;
            }
            *place = name;
        }
        true
    }

    fn differ_sorted(self) -> bool {
        let document = self.0.document;
        let mut names: Vec<&[u8]> = self.places().filter_map(|at| document.name(at)).collect();
        names.sort_unstable();
        names.is_sorted_by(|one, next| one != next)
    }
}

/// How much, and not what: a document may hold what nobody should read in a log.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("values", &self.nodes.len()).finish_non_exhaustive()
    }
}
