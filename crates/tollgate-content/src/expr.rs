//! Expressions of the Common Expression Language over what is known of a request: `guard`, and the `if` of a part.
//!
//! The language has no loops but its comprehensions (`all`, `exists`, `map`, `filter`), which run over lists that came
//! with the request. The evaluator cannot be interrupted, so its work is bounded by construction: an expression has
//! bounded size and nests comprehensions at most [`NESTED_MAX`] deep, and a list of more than [`LIST_MAX`] elements is
//! not looked at, which makes the expression fail. A failed expression holds for nobody.

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr as Node};
use cel::objects::{Key, Map};
use cel::{Context, Env, IdedExpr, Program, Value};

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
    "max",
    "min",
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
    /// Names that would be right there.
    pub names: &'static [&'static str],
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
        let fail = |offset, message: &str| ExprError { offset, message: message.to_owned(), names: &[] };
        if text.len() > TEXT_MAX {
            return Err(fail(TEXT_MAX, "the expression is too long"));
        }
        let program = ENV.compile(text).map_err(|errors| match errors.errors.into_iter().next() {
            None => fail(0, "this is no expression"),
            Some(first) => ExprError {
                offset: offset(text, first.pos),
                // The rest of the message draws the place.
                message: first.msg.lines().next().unwrap_or_default().to_owned(),
                names: &[],
            },
        })?;
        let mut reading =
            Reading { program: &program, wants: Vec::new(), bound: Vec::new(), nodes: 0, nested: 0 };
        reading.read(program.expression())?;
        let wants = reading.wants;
        Ok(Expr { program, text: text.into(), wants })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it has to be told.
    pub fn wants(&self) -> &[Want] {
        &self.wants
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

/// Looks at an expression's parts once.
struct Reading<'a> {
    program: &'a Program,
    wants: Vec<Want>,
    /// Names that comprehensions give to elements.
    bound: Vec<&'a str>,
    nodes: usize,
    nested: usize,
}

impl<'a> Reading<'a> {
    fn read(&mut self, at: &'a IdedExpr) -> Result<(), ExprError> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.fail(at, "the expression has too many parts".to_owned(), &[]);
        }
        match &at.expr {
            Node::Unspecified | Node::Literal(_) => Ok(()),
            Node::Ident(name) => self.name(at, name),
            Node::Select(select) => match &select.operand.expr {
                Node::Ident(name) if name == "request" && !self.bound.contains(&"request") => {
                    self.request(at, &select.field)
                }
                _ => self.read(&select.operand),
            },
            Node::Call(call) => {
                let known = !call.func_name.starts_with(|first: char| first.is_ascii_alphabetic())
                    || FUNCTIONS.contains(&call.func_name.as_str());
                if !known {
                    let message = format!("there is no function `{}`", call.func_name);
                    return self.fail(at, message, FUNCTIONS).map_err(|error| ExprError {
                        // The place of a call is that of its parenthesis.
                        offset: error.offset.saturating_sub(call.func_name.len()),
                        ..error
                    });
                }
                call.target.as_deref().into_iter().chain(&call.args).try_for_each(|part| self.read(part))
            }
            Node::List(list) => list.elements.iter().try_for_each(|part| self.read(part)),
            Node::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr)),
            Node::Struct(_) => self.fail(at, "there are no message types here".to_owned(), &[]),
            Node::Comprehension(over) => {
                self.read(&over.iter_range)?;
                self.nested += 1;
                if self.nested > NESTED_MAX {
                    let message = format!("more than {NESTED_MAX} comprehensions stand in each other");
                    return self.fail(at, message, &[]);
                }
                let outside = self.bound.len();
                self.bound.extend([over.iter_var.as_str(), over.accu_var.as_str()]);
                self.bound.extend(over.iter_var2.as_deref());
                let parts = [&over.accu_init, &over.loop_cond, &over.loop_step, &over.result];
                parts.into_iter().try_for_each(|part| self.read(part))?;
                self.bound.truncate(outside);
                self.nested -= 1;
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr) -> Result<(), ExprError> {
        match entry {
            EntryExpr::StructField(field) => self.read(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.read(&entry.key)?;
                self.read(&entry.value)
            }
        }
    }

    fn name(&mut self, at: &'a IdedExpr, name: &str) -> Result<(), ExprError> {
        if self.bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        match VARIABLES.into_iter().find(|known| *known == name) {
            Some("request") => {
                // Not one member of it but all: `request["method"]`.
                REQUEST.into_iter().for_each(|member| self.want(Want::Request(member)));
                Ok(())
            }
            Some(known) => {
                self.want(Want::Variable(known));
                Ok(())
            }
            None => self.fail(at, format!("there is no `{name}`"), &VARIABLES),
        }
    }

    fn request(&mut self, at: &'a IdedExpr, name: &str) -> Result<(), ExprError> {
        match REQUEST.into_iter().find(|known| *known == name) {
            Some(known) => {
                self.want(Want::Request(known));
                Ok(())
            }
            None => {
                let message = format!("a request has no `{name}`");
                // The place of a member is that of the dot in front of it.
                self.fail(at, message, &REQUEST)
                    .map_err(|error| ExprError { offset: error.offset + 1, ..error })
            }
        }
    }

    fn want(&mut self, want: Want) {
        if !self.wants.contains(&want) {
            self.wants.push(want);
        }
    }

    fn fail(&self, at: &IdedExpr, message: String, names: &'static [&'static str]) -> Result<(), ExprError> {
        let offset = self.program.source_info().offset_for(at.id).map_or(0, |(start, _)| start as usize);
        Err(ExprError { offset, message, names })
    }
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
        check("claims.tenant > 3", Err(""));
        check("int('x') == 1", Err(""));
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
    fn the_longest_work_is_bounded() {
        let expr = Expr::parse("claims.r.all(a, claims.r.all(b, a + b >= 0))").unwrap();
        let lists = |length: i64| move |_| json!({ "r": (0..length).collect::<Vec<_>>() });
        let started = std::time::Instant::now();
        assert_eq!(expr.holds(&lists(256)), Ok(true));
        assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
        assert!(expr.holds(&lists(257)).is_err());
    }
}
