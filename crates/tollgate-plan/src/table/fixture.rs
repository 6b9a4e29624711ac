//! Routes and requests in a line each, for tests.

use tollgate_wire::{Method, Name};

use super::*;

/// `METHODS HOSTS PATH CONDITION…`, where `-` stands for any method or host, and a condition is one of `h:x=1`,
/// `h:x~regex`, `h:x` (present), `h:!x` (absent), the same with `q:` for the query, or `p:5` (priority).
pub(crate) fn route(id: u32, line: &str) -> RouteSpec {
    let mut words = line.split_whitespace();
    let list = |word: Option<&str>| -> Vec<String> {
        let word = word.unwrap();
        if word == "-" { Vec::new() } else { word.split(',').map(str::to_owned).collect() }
    };
    let mut spec = RouteSpec {
        id: RouteId(id),
        methods: list(words.next()).iter().map(|method| Method::parse(method.as_bytes()).unwrap()).collect(),
        hosts: list(words.next()).iter().map(|host| host.parse().unwrap()).collect(),
        path: PathPattern::parse(words.next().unwrap()).unwrap(),
        headers: Vec::new(),
        query: Vec::new(),
        priority: 0,
    };
    for word in words {
        let (kind, condition) = word.split_once(':').unwrap();
        if kind == "p" {
            spec.priority = condition.parse().unwrap();
            continue;
        }
        let (name, value) = match condition.find(['=', '~']) {
            Some(at) => {
                let text = condition[at..].trim_start_matches('=');
                (&condition[..at], ValueMatch::parse(text).unwrap())
            }
            None => match condition.strip_prefix('!') {
                Some(name) => (name, ValueMatch::Absent),
                None => (condition, ValueMatch::Present),
            },
        };
        match kind {
            "h" => spec.headers.push(HeaderCondition { name: Name::new(name).unwrap(), value }),
            _ => spec.query.push(QueryCondition { name: name.into(), value }),
        }
    }
    spec
}

/// A route a line; the first one has number 0.
pub(crate) fn routes(lines: &[&str]) -> Vec<RouteSpec> {
    lines.iter().zip(0..).map(|(line, id)| route(id, line)).collect()
}

/// A request to look up.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: Vec<(Name, String)>,
}

impl Request {
    /// `METHOD HOST PATH?QUERY NAME=VALUE…`; `-` is no host.
    pub(crate) fn parse(line: &str) -> Request {
        let mut words = line.split_whitespace();
        let method = Method::parse(words.next().unwrap().as_bytes()).unwrap();
        let host = words.next().unwrap().trim_matches('-').to_owned();
        let target = words.next().unwrap();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        let header = |word: &str| {
            let (name, value) = word.split_once('=').unwrap();
            (Name::new(name).unwrap(), value.to_owned())
        };
        Request { method, host, path: path.to_owned(), query, headers: words.map(header).collect() }
    }
}

impl Facts for Request {
    fn method(&self) -> &Method {
        &self.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(own, _)| own == name).map(|(_, value)| value.as_bytes())
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }
}

/// As it is parsed: a failed test shows what to look up.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let host = if self.host.is_empty() { "-" } else { &self.host };
        write!(f, "{} {host} {}", self.method, self.path)?;
        self.query.iter().try_for_each(|query| write!(f, "?{query}"))?;
        self.headers.iter().try_for_each(|(name, value)| write!(f, " {name}={value}"))
    }
}
