//! Putting the parts together.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tollgate_content::encode::{Encoding, encode, negotiate};
use tollgate_content::jq::{Jq, JqFailed};
use tollgate_content::render::{Page, Template};
use tollgate_content::{Node, Object, Raw, merge};
use tollgate_plan::Reason;
use tollgate_plan::aggregate::{Aggregate, Part};
use tollgate_policy::cache::Parts;
use tollgate_wire::{HeaderBlock, name, vary_on};

use super::part::{Came, Failed, Target};
use crate::exchange::{Exchange, Reject, Reply};

/// What is made of a part is no object, so it cannot be merged with others.
const NO_OBJECT: &Failed = &Failed { reason: Reason::PartFailed, retry_after: None, answer: None };

/// How long a page may hold up its worker. What it may look at is counted and ends sooner; this is for what is not, such
/// as texts that a template puts together.
const PAGE_TIME: Duration = Duration::from_secs(1);

/// Why there is no answer when a required part failed.
const REQUIRED: &str = "a part without which there is no answer failed";

/// The answer that the parts come to. `said` is what they say about keeping it.
pub(super) fn answer(
    exchange: &Exchange<'_>,
    aggregate: &Aggregate,
    came: Vec<Came>,
    said: &Parts,
) -> Result<Reply<'static>, Reject> {
    let filtered = aggregate.parts.iter().zip(came).map(|(part, came)| match (&part.jq, came) {
        (Some(jq), Came::One(json)) => {
            filter(exchange, aggregate, part, jq, &json).map_or_else(Came::Failed, Came::One)
        }
        (_, came) => came,
    });
    let came: Vec<Came> = filtered.collect();
    let parts = || aggregate.parts.iter().zip(&came);
    let mut failures: Vec<(&Part, &Failed)> =
        parts().filter_map(|(part, came)| Some((part, came.failure()?))).collect();
    let nothing = || parts().filter(|(_, came)| came.is_nothing());
    let gives = |(part, came): (&Part, &Came)| part.fallback.is_some() || !came.is_nothing();
    let needed = nothing().find(|(part, _)| part.required).map(|(_, came)| (came, REQUIRED));
    let lost = needed.or(match parts().any(gives) {
        true => None,
        false => nothing().next().map(|(_, came)| (came, "none of the parts succeeded")),
    });
    if let Some((failed, detail)) = lost.and_then(|(came, detail)| Some((came.failure()?, detail))) {
        return refuse(exchange, failed, detail, &failures);
    }
    let mut whole = Object::default();
    let mut only = None;
    for (part, came) in parts() {
        let Some(node) = node(part, came) else { continue };
        match merge(&mut whole, node, aggregate.merge) {
            Ok(()) => {}
            // One part alone may be a list.
            Err(node) if aggregate.parts.len() == 1 => only = Some(node),
            Err(_) => {
                failures.push((part, NO_OBJECT));
                if part.required {
                    return refuse(exchange, NO_OBJECT, REQUIRED, &failures);
                }
            }
        }
    }
    let node = only.unwrap_or(Node::Object(whole));
    let mut headers = HeaderBlock::default();
    let body = match &aggregate.render {
        Some(template) => page(exchange, template, &node, &failures, &mut headers)?,
        None => data(exchange, aggregate, &node, &mut headers)?,
    };
    keep(exchange, &failures, said, &mut headers);
    tell(exchange, &failures, &mut headers);
    Ok(Reply { status: 200, headers, body: Cow::Owned(body) })
}

/// What is made of one of several documents of a part. This is done as each comes: there may be a thousand of them, of
/// which little is kept.
pub(super) fn made(
    exchange: &Exchange<'_>,
    aggregate: &Aggregate,
    part: &Part,
    json: &str,
) -> Result<Rc<str>, Failed> {
    if let Some(jq) = &part.jq {
        return filter(exchange, aggregate, part, jq, json);
    }
    Ok(match part.shape.inner(Node::Raw(Raw::of_checked(json))) {
        Node::Raw(raw) => raw.as_str().into(),
        node => node.to_json().into(),
    })
}

/// Runs a part's filter on what came. One that comes to nothing fails the part, the element or the target.
fn filter(
    exchange: &Exchange<'_>,
    aggregate: &Aggregate,
    part: &Part,
    jq: &Jq,
    json: &str,
) -> Result<Rc<str>, Failed> {
    jq.run(Raw::of_checked(json), aggregate.part_bytes).map(Rc::from).map_err(|failed| {
        let what = format!("the filter of the part `{}`", part.name);
        exchange.worker.scripting.tell(exchange, &what, &failed);
        Failed::of(match failed {
            JqFailed::Error(_) => Reason::PartFailed,
            JqFailed::Steps | JqFailed::Large | JqFailed::Deep => Reason::PartTooLarge,
        })
    })
}

/// Says of the whole what the parts say about keeping it. When some of it failed, the next request may get all.
fn keep(exchange: &Exchange<'_>, failures: &[(&Part, &Failed)], said: &Parts, headers: &mut HeaderBlock) {
    let whole = failures.is_empty();
    if !whole || said.is_alone() {
        exchange.seen.unkept.set(true);
    }
    let ttl = exchange.matched().and_then(|route| route.cache.as_deref()).map(|cache| cache.ttl);
    let word = if whole { said.word(ttl) } else { Some("no-store".to_owned()) };
    if let Some(word) = word {
        headers.append(&name::CACHE_CONTROL, word.as_bytes());
    }
}

/// The answer as data.
fn data(
    exchange: &Exchange<'_>,
    aggregate: &Aggregate,
    node: &Node<'_>,
    headers: &mut HeaderBlock,
) -> Result<Vec<u8>, Reject> {
    let encoding = aggregate.encode.unwrap_or_else(|| negotiated(exchange));
    let body = encode(node, encoding);
    if body.len() > aggregate.answer_bytes {
        return Err(Reject::new(Reason::PartTooLarge, "the parts together are too large"));
    }
    headers.append(&name::CONTENT_TYPE, encoding.media_type().as_bytes());
    if aggregate.encode.is_none() {
        vary_on(headers, "accept");
    }
    Ok(body)
}

/// The answer as a page.
fn page(
    exchange: &Exchange<'_>,
    template: &Template,
    node: &Node<'_>,
    failures: &[(&Part, &Failed)],
    headers: &mut HeaderBlock,
) -> Result<Vec<u8>, Reject> {
    let failed: Vec<(&str, &str)> =
        failures.iter().map(|(part, failed)| (&*part.name, failed.reason.code())).collect();
    let begun = Instant::now();
    let late = move || begun.elapsed() > PAGE_TIME;
    let body = template.render(Page { document: node, failed: &failed }, late).map_err(|error| {
        exchange.worker.scripting.tell(exchange, "the template", &error);
        Reject::new(Reason::RenderError, "a template of the gateway failed")
    })?;
    headers.append(&name::CONTENT_TYPE, template.media_type().as_bytes());
    Ok(body)
}

fn negotiated(exchange: &Exchange<'_>) -> Encoding {
    let accept = exchange.kit.head.headers.get_all(&name::ACCEPT);
    let accept: Vec<&str> = accept.filter_map(|line| std::str::from_utf8(line).ok()).collect();
    negotiate(accept.iter().copied())
}

/// What a part adds; none when it adds nothing.
fn node<'a>(part: &'a Part, came: &'a Came) -> Option<Node<'a>> {
    let shape = &part.shape;
    let raw = |json: &'a str| Node::Raw(Raw::of_checked(json));
    let value = match came {
        Came::LeftOut => return None,
        Came::Failed(_) => raw(part.fallback.as_deref()?),
        Came::One(json) => shape.inner(raw(json)),
        Came::Each(elements) => Node::List(
            elements
                .iter()
                .map(|element| element.as_ref().map_or(Node::Raw(Raw::NULL), |json| raw(json)))
                .collect(),
        ),
        Came::Targets(targets) => {
            let target = |target: &'a Target| {
                let mut object = Object::default();
                match target {
                    Ok((status, json)) => {
                        object.set("status".into(), Node::number(u64::from(*status)));
                        object.set("body".into(), raw(json));
                    }
                    Err(failed) => {
                        object.set("error".into(), Node::text(failed.reason.code()));
                    }
                }
                Node::Object(object)
            };
            Node::Object(targets.iter().map(|(url, came)| (Cow::Borrowed(&**url), target(came))).collect())
        }
    };
    Some(shape.wrapped(value))
}

/// There is no answer, for this reason. A service's own 4xx is about the client's request and passes.
fn refuse(
    exchange: &Exchange<'_>,
    failed: &Failed,
    detail: &'static str,
    failures: &[(&Part, &Failed)],
) -> Result<Reply<'static>, Reject> {
    if let Some(own) = failed.answer.as_ref().filter(|own| (400..500).contains(&own.status)) {
        exchange.seen.unkept.set(true);
        let mut headers = own.headers.clone();
        headers.append(&name::CACHE_CONTROL, b"no-store");
        tell(exchange, failures, &mut headers);
        return Ok(Reply { status: own.status, headers, body: Cow::Owned(own.body.clone()) });
    }
    let mut reject = Reject { retry_after: failed.retry_after, ..Reject::new(failed.reason, detail) };
    tell(exchange, failures, &mut reject.headers);
    Err(reject)
}

/// Says whether all is there, and what is not, to the client and to the access record.
fn tell(exchange: &Exchange<'_>, failures: &[(&Part, &Failed)], headers: &mut HeaderBlock) {
    headers.append(&name::X_TOLLGATE_COMPLETED, if failures.is_empty() { b"true" } else { b"false" });
    if !failures.is_empty() {
        let written =
            |(part, failed): &(&Part, &Failed)| format!("{};{}", item(&part.name), failed.reason.code());
        let written: Vec<String> = failures.iter().map(written).collect();
        headers.append(&name::X_TOLLGATE_FAILED, written.join(", ").as_bytes());
        let told = |(part, failed): &(&Part, &Failed)| format!("{};{}", part.name, failed.reason.code());
        let told: Box<[String]> = failures.iter().map(told).collect();
        // An aggregate is answered once.
        let _ = exchange.seen.parts_failed.set(told);
    }
}

/// A name as an item of a structured field (RFC 9651): a token where it is one (section 3.3.4), else a string (section
/// 3.3.3), else, with letters of other languages, a display string (section 3.3.8). Names hold no control characters.
fn item(name: &str) -> Cow<'_, str> {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '*');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte);
    if starts && name.bytes().all(is_token) {
        return Cow::Borrowed(name);
    }
    if name.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
        return Cow::Owned(format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")));
    }
    let mut out = "%\"".to_owned();
    for byte in name.bytes() {
        match byte {
            b'%' | b'"' | ..=0x1f | 0x7f.. => out.push_str(&format!("%{byte:02x}")),
            _ => out.push(char::from(byte)),
        }
    }
    out.push('"');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::item;

    #[test]
    fn names_of_parts_are_items() {
        for (name, expect) in [
            ("driver", "driver"),
            ("d.e-f_2", "d.e-f_2"),
            ("a/b:c", "a/b:c"),
            ("2nd", "\"2nd\""),
            ("a, b;c", "\"a, b;c\""),
            ("q\"r\\s", "\"q\\\"r\\\\s\""),
            ("größe", "%\"gr%c3%b6%c3%9fe\""),
            ("100% größer\"", "%\"100%25 gr%c3%b6%c3%9fer%22\""),
        ] {
            assert_eq!(item(name), expect, "{name}");
        }
    }
}
