//! Programs of the configuration over documents of strangers: each ends, within what it may use.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_content::expr::{Expr, Want};
use tollgate_content::jq::Jq;
use tollgate_content::render::{Page, Template};
use tollgate_content::{Node, Raw};

/// Far more than any program takes within its bounds, also where code is instrumented and the machine is busy.
const SOON: Duration = Duration::from_secs(8);

const BYTES_MAX: usize = 4096;

/// An expression, and behind a NUL what it is told. Whether it came to an answer.
pub(crate) fn expression(bytes: &[u8]) -> bool {
    let (text, told) = super::halves(bytes);
    let text = String::from_utf8_lossy(text);
    let expression = match Expr::parse(&text) {
        Ok(expression) => expression,
        Err(error) => {
            assert!(error.offset <= text.len(), "{text:?}: {error:?}");
            return false;
        }
    };
    assert_eq!(expression.as_str(), text);
    let told: Value = serde_json::from_slice(told).unwrap_or_else(|_| facts());
    let value = |want: Want| match want {
        Want::Variable(name) => told.get(name).cloned().unwrap_or(Value::Null),
        Want::Request(name) => {
            told.get("request").and_then(|all| all.get(name)).cloned().unwrap_or(Value::Null)
        }
    };
    let begun = Instant::now();
    let holds = expression.holds(&value);
    assert!(begun.elapsed() < SOON, "{text:?} took {:?}", begun.elapsed());
    // Nothing is remembered from one time to the next.
    assert_eq!(expression.holds(&value).is_ok(), holds.is_ok(), "{text:?}");
    holds.is_ok()
}

fn facts() -> Value {
    json!({
        "request": {
            "method": "GET", "path": "/a/b", "query": { "a": "1", "b": "x y" }, "host": "h.x", "scheme": "https",
            "headers": { "x-a": "1", "accept": "*/*" }, "ip": "192.0.2.1"
        },
        "params": { "id": "7" },
        "claims": { "sub": "u1", "roles": ["a", "b", "c"], "n": 1.5, "deep": { "x": [1, [2, 3], null] } },
        "consumer": "mobile",
        "client_ip": "192.0.2.1",
        "now": 1_900_000_000
    })
}

/// A filter, and behind a NUL its document. Whether it came to an answer.
pub(crate) fn jq(bytes: &[u8]) -> bool {
    let (text, document) = super::halves(bytes);
    let text = String::from_utf8_lossy(text);
    let filter = match Jq::parse(&text) {
        Ok(filter) => filter,
        Err(error) => {
            assert!(error.offset <= text.len(), "{text:?}: {error:?}");
            return false;
        }
    };
    let document = Raw::check(document).unwrap_or(Raw::NULL);
    let begun = Instant::now();
    let made = filter.run(document, BYTES_MAX);
    assert!(begun.elapsed() < SOON, "{text:?} took {:?}", begun.elapsed());
    let Ok(made) = made else { return false };
    assert!(made.len() <= BYTES_MAX, "{} bytes of {text:?}", made.len());
    assert_eq!(Raw::check(made.as_bytes()).map(Raw::as_str), Ok(&*made), "{text:?}");
    true
}

/// A template of a page, and behind a NUL its document. Whether it came to a page.
pub(crate) fn jinja(bytes: &[u8]) -> bool {
    let (text, document) = super::halves(bytes);
    let text: Arc<str> = String::from_utf8_lossy(text).into();
    let Ok(template) = Template::compile(&[("page.html".to_owned(), text.clone())]) else { return false };
    let document = Raw::check(document).unwrap_or(Raw::EMPTY);
    let begun = Instant::now();
    let page =
        template.render(Page { document: &Node::Raw(document), failed: &[("part", "timeout")] }, || false);
    assert!(begun.elapsed() < SOON, "{text:?} took {:?}", begun.elapsed());
    assert!(page.as_ref().is_ok_and(|page| page.len() <= 16 << 20) || page.is_err(), "{text:?}");
    page.is_ok()
}
