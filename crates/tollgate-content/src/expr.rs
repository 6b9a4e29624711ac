//! Expressions of the Common Expression Language over what is known of a request: `guard`, and the `if` of a part.
//!
//! The language has no loops but its comprehensions (`all`, `exists`, `map`, `filter`), which run over lists that came
//! with the request. The evaluator cannot be interrupted, so its work is bounded by construction: an expression has
//! bounded size and nests comprehensions at most [`NESTED_MAX`] deep, and a list of more than [`LIST_MAX`] elements is
//! not looked at, which makes the expression fail. A failed expression holds for nobody.

mod never;
mod reading;

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::objects::{Key, Map};
use cel::{Context, Env, Program, Value};

use crate::Unknown;

/// Bytes of an expression.
const TEXT_MAX: usize = 4096;

/// Nodes that an expression may have.
const NODES_MAX: usize = 1000;

/// Comprehensions in each other: with lists of [`LIST_MAX`] elements that is some ten thousand steps.
const NESTED_MAX: usize = 2;

/// Elements of a list that may be looked at.
const LIST_MAX: usize = 256;

/// What an expression may speak of.
pub const VARIABLES: [&str; 6] = ["request", "params", "claims", "consumer", "client_ip", "now"];

/// The members of `request`.
pub const REQUEST: [&str; 7] = ["method", "path", "query", "headers", "host", "scheme", "ip"];

/// Functions beside operators; the macros among them are gone once an expression is parsed.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Types, which are values in this language.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// An expression, parsed.
#[derive(Debug)]
pub struct Expr {
    program: Program,
    text: Box<str>,
    wants: Vec<Want>,
    params: Vec<Box<str>>,
}

/// What an expression has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// One of [`VARIABLES`], all of it.
    Variable(&'static str),
    /// One of [`REQUEST`].
    Request(&'static str),
}

/// Why a text is no expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// Where, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
    /// The name that it is about.
    pub unknown: Option<Unknown>,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExprError {}

/// An expression that came to nothing. What it says may hold values of the request: it is for logs that may hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed(pub String);

/// What an expression is told, by name; values are JSON.
pub type Facts<'a> = &'a dyn Fn(Want) -> serde_json::Value;

impl Expr {
    /// Parses an expression. It may speak of [`VARIABLES`] alone.
    pub fn parse(text: &str) -> Result<Expr, ExprError> {
        let fail = |offset, message: &str| ExprError { offset, message: message.to_owned(), unknown: None };
        if text.len() > TEXT_MAX {
            return Err(fail(TEXT_MAX, "the expression is too long"));
        }
        let program = ENV.compile(text).map_err(|errors| match errors.errors.into_iter().next() {
            None => fail(0, "this is no expression"),
            Some(first) => ExprError {
                offset: offset(text, first.pos),
                // The rest of the message draws the place.
                message: first.msg.lines().next().unwrap_or_default().to_owned(),
                unknown: None,
            },
        })?;
        let (wants, params) = reading::read(&program)?;
        let expr = Expr { program, text: text.into(), wants, params };
        // What speaks of nothing is the same for every request.
        if expr.wants.is_empty() && expr.holds(&|_| serde_json::Value::Null).is_err() {
            return Err(fail(0, "it is no boolean, or cannot be evaluated: it never holds"));
        }
        Ok(expr)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it has to be told.
    pub fn wants(&self) -> &[Want] {
        &self.wants
    }

    /// The members of `params` that it asks for, and does not ask first whether they are there.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|name| &**name)
    }

    /// Whether it holds.
    pub fn holds(&self, facts: Facts<'_>) -> Result<bool, Failed> {
        let mut context = Context::with_env(ENV.clone());
        let mut request = std::collections::HashMap::new();
        for &want in &self.wants {
            let value = value(facts(want))?;
            match want {
                Want::Variable(name) => context.add_variable_from_value(name, value),
                Want::Request(name) => {
                    request.insert(Key::String(Arc::new(name.to_owned())), value);
                }
            }
        }
        if !request.is_empty() {
            context.add_variable_from_value("request", Value::Map(Map { map: Arc::new(request) }));
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(Failed(format!("it is no boolean but {}", other.type_of()))),
            Err(error) => Err(Failed(error.to_string())),
        }
    }
}

/// A place that the parser names by line and column, both from 1, in bytes.
fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or(0);
    before + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}

/// A JSON value as the language knows it: whole numbers are `int`.
fn value(json: serde_json::Value) -> Result<Value, Failed> {
    use serde_json::Value as Json;
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(it),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text)),
        Json::Array(elements) if elements.len() > LIST_MAX => {
            return Err(Failed(format!("a list has more than {LIST_MAX} elements")));
        }
        Json::Array(elements) => {
            Value::List(Arc::new(elements.into_iter().map(value).collect::<Result<_, Failed>>()?))
        }
        Json::Object(members) if members.len() > LIST_MAX => {
            return Err(Failed(format!("a map has more than {LIST_MAX} members")));
        }
        Json::Object(members) => {
            let members =
                members.into_iter().map(|(name, member)| Ok((Key::String(Arc::new(name)), value(member)?)));
            Value::Map(Map { map: Arc::new(members.collect::<Result<_, Failed>>()?) })
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(want: Want) -> serde_json::Value {
        match want {
            Want::Variable("params") => json!({ "tenant": "acme", "id": "7" }),
            Want::Variable("claims") => {
                json!({ "tenant": "acme", "level": 3, "roles": ["a", "b"], "exp": 2_000_000_000, "half": 0.5 })
            }
            Want::Variable("consumer") => json!("mobile"),
            Want::Variable("now") => json!(1_800_000_000),
            Want::Request("method") => json!("GET"),
            Want::Request("headers") => json!({ "x-a": "1", "user-agent": "curl/8" }),
            Want::Request("query") => json!({ "page": "2" }),
            Want::Request(_) => json!("x"),
            Want::Variable(_) => json!(null),
        }
    }

    #[test]
    fn expressions() {
        let check = |text: &str, wanted: Result<bool, &str>| {
            let expr = Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            let came = expr.holds(&facts);
            match (&came, wanted) {
                (Ok(came), Ok(wanted)) => assert_eq!(*came, wanted, "{text}"),
                (Err(Failed(message)), Err(part)) => assert!(message.contains(part), "{text}: {message}"),
                _ => panic!("{text}: {came:?}"),
            }
        };
        check("claims.tenant == params.tenant", Ok(true));
        check("claims.level >= 3 && 'b' in claims.roles", Ok(true));
        check("claims.roles.exists(role, role == 'c')", Ok(false));
        check("claims.roles.all(role, size(role) == 1 && role != params.id)", Ok(true));
        check("claims.roles.map(r, r + '!').exists(r, r == 'a!')", Ok(true));
        check("has(claims.missing)", Ok(false));
        check("has(request.headers.authorization)", Ok(false));
        check("request.headers['x-a'] == '1' && request.method == 'GET'", Ok(true));
        check("request['method'] == 'GET'", Ok(true));
        check("int(request.query.page) < 3", Ok(true));
        check("request.headers['user-agent'].matches('^curl/[0-9]+$')", Ok(true));
        check("request.headers['user-agent'].startsWith('curl')", Ok(true));
        check("claims.exp > now && consumer == 'mobile'", Ok(true));
        check("claims.half < 1.0 && type(claims.half) == double", Ok(true));
        check("consumer == null || true", Ok(true));
        check("claims.missing == 1", Err("missing"));
        check("claims.level", Err("no boolean"));
        check("false", Ok(false));
        check("claims.flags.a || true", Ok(true));
        check("dyn(claims.level) == 3 && bool('true')", Ok(true));
        check("has(claims.level) ? claims.level > 1 : false", Ok(true));
        check("claims.tenant.matches('^a') && request.headers.exists(name, name == 'x-a')", Ok(true));
        check("claims.tenant > 3", Err(""));
        check("int(consumer) == 1", Err(""));
    }

    #[test]
    fn only_what_is_spoken_of_is_wanted() {
        let expr =
            Expr::parse("request.method == 'GET' && has(claims.a) && request.headers.all(h, h != 'x')")
                .unwrap();
        assert_eq!(
            expr.wants(),
            [Want::Request("method"), Want::Variable("claims"), Want::Request("headers")]
        );
        assert_eq!(Expr::parse("true").unwrap().wants(), []);
    }

    #[test]
    fn what_is_no_expression() {
        let check = |text: &str, offset: usize, message: &str| {
            let error = Expr::parse(text).expect_err(text);
            assert!(error.message.contains(message) && error.offset == offset, "{text}: {error:?}");
        };
        check("claim.tenant == 'x'", 0, "there is no `claim`");
        check("1", 0, "no boolean");
        check("'a' + 'b'", 4, "no boolean");
        check("int('x') == 1", 0, "cannot be evaluated");
        check("request.method", 7, "no boolean");
        check("claims.a == 1 && request.query.role", 30, "no boolean");
        check("!consumer || size(claims)", 1, "no boolean");
        check("claims.a ? 'yes' : 'no'", 11, "no boolean");
        check("claims.roles.map(r, r)", 16, "no boolean");
        check("consumer.matches('[0-9')", 17, "no regular expression: unclosed character class");
        check("matches(consumer, '(') || true", 18, "no regular expression: unclosed group");
        check("'X-Debug' in request.headers", 0, "names of headers");
        check("claims.roles.all(r, request.headers['X-Debug'] == r)", 36, "names of headers");
        check("has(request.headers.Authorization)", 4, "names of headers");
        check("true && usr == 'x'", 8, "there is no `usr`");
        check("request.body == 'x'", 8, "a request has no `body`");
        check("lower(consumer) == 'x'", 0, "there is no function `lower`");
        check("x.all(y, true)", 0, "there is no `x`");
        check("a ==", 4, "");
        check("", 0, "");
        let deep = "claims.r.all(a, claims.r.all(b, claims.r.all(c, true)))";
        check(deep, 44, "more than 2 comprehensions");
        let many = vec!["true"; 600].join("||");
        assert!(Expr::parse(&many).is_err(), "too many parts");
        assert!(Expr::parse(&format!("{}true{}", "(".repeat(300), ")".repeat(300))).is_err(), "too deep");
        assert!(Expr::parse(&"x".repeat(5000)).is_err(), "too long");
    }

    #[test]
    fn parameters_that_are_asked_for() {
        let check = |text: &str, expect: &[&str]| {
            let expr = Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(expr.params().collect::<Vec<_>>(), expect, "{text}");
        };
        check("claims.a == params.id && params['kind'] == 'x'", &["id", "kind"]);
        check("has(params.id) && params.id == '1' && params.b == '2'", &["b"]);
        check("!('id' in params) || params['id'] == '1'", &[]);
        check("claims.list.all(params, params.id == 1)", &[]);
        check("params.all(name, params[name] != '')", &[]);
    }

    #[test]
    fn the_longest_work_is_bounded() {
        let expr = Expr::parse("claims.r.all(a, claims.r.all(b, a + b >= 0))").unwrap();
        let lists = |length: i64| move |_| json!({ "r": (0..length).collect::<Vec<_>>() });
        let started = std::time::Instant::now();
        assert_eq!(expr.holds(&lists(256)), Ok(true));
        assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
        assert!(expr.holds(&lists(257)).is_err());
    }
}
