//! What expressions are told of an exchange.

use serde_json::Value;
use serde_json::map::{Entry, Map};
use tollgate_content::expr::{Expr, Failed, Want};
use tollgate_plan::path::percent_decode;
use tollgate_plan::query;
use tollgate_wire::name;

use crate::exchange::Exchange;

/// Whether an expression holds for a request. Only what it speaks of is looked up.
pub(crate) fn holds(exchange: &Exchange<'_>, expr: &Expr) -> Result<bool, Failed> {
    expr.holds(&|want| match want {
        Want::Request(member) => request(exchange, member),
        Want::Variable(name) => variable(exchange, name),
    })
}

fn variable(exchange: &Exchange<'_>, name: &str) -> Value {
    match name {
        "params" => params(exchange),
        // Who has no token says nothing: that is an empty map, so that `has` can be asked.
        "claims" => {
            let claims = exchange.identity.as_ref().and_then(|identity| identity.claims());
            claims.map_or_else(|| Value::Object(Map::new()), |claims| claims.to_value())
        }
        "consumer" => exchange.consumer().into(),
        "client_ip" => ip(exchange),
        "now" => {
            let now = exchange.worker.clock.wall(exchange.worker.clock.recent());
            now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs()).into()
        }
        _ => Value::Null,
    }
}

fn request(exchange: &Exchange<'_>, member: &str) -> Value {
    match member {
        "method" => exchange.kit.head.method.as_str().into(),
        "path" => exchange.path().into(),
        "query" => query(exchange),
        "headers" => headers(exchange),
        "host" => exchange.kit.host.to_string().into(),
        "scheme" => exchange.facts.scheme.into(),
        "ip" => ip(exchange),
        _ => Value::Null,
    }
}

fn ip(exchange: &Exchange<'_>) -> Value {
    exchange.facts.client_ip.map(|ip| ip.to_string()).into()
}

/// Path parameters, decoded.
fn params(exchange: &Exchange<'_>) -> Value {
    let params = exchange.kit.params.iter(&exchange.active.plan.table, exchange.path());
    Value::Object(params.map(|(name, value)| (name.to_owned(), text(&percent_decode(value)))).collect())
}

/// Names to a string, or to a list where a name is repeated: whoever looks at one of several values only would not see
/// the one that the service takes.
pub(crate) fn query(exchange: &Exchange<'_>) -> Value {
    let mut all = Map::new();
    for pair in query::pairs(exchange.kit.head.query().unwrap_or_default()) {
        let value = text(&pair.decoded());
        match all.entry(String::from_utf8_lossy(&pair.decoded_name()).into_owned()) {
            Entry::Vacant(first) => {
                first.insert(value);
            }
            Entry::Occupied(mut before) => match before.get_mut() {
                Value::Array(values) => values.push(value),
                one => *one = Value::Array(vec![one.take(), value]),
            },
        }
    }
    Value::Object(all)
}

/// Lower-case names to a string; lines of one name are joined by `, `, those of `cookie` by `; `.
pub(crate) fn headers(exchange: &Exchange<'_>) -> Value {
    let mut all = Map::new();
    for (name, value) in exchange.kit.head.headers.iter() {
        let value = String::from_utf8_lossy(value);
        match all.entry(String::from_utf8_lossy(name).to_ascii_lowercase()) {
            Entry::Vacant(first) => {
                first.insert(value.into());
            }
            Entry::Occupied(mut before) => {
                let separator = if before.key() == name::COOKIE.as_str() { "; " } else { ", " };
                if let Value::String(before) = before.get_mut() {
                    before.push_str(separator);
                    before.push_str(&value);
                }
            }
        }
    }
    Value::Object(all)
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}
