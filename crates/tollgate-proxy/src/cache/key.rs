//! What answers are found by: everything that the upstream may learn of a request and that can be told ahead. The rest is
//! told apart by `Vary`, or not kept.

use tollgate_plan::cache::{Cache, Input};
use tollgate_plan::template::Values;
use tollgate_policy::cache::Asked;
use tollgate_wire::{Name, name};

use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::live::cache::Key;

/// Of a trusted proxy these go on, and services make links of them.
const OF_THE_PROXY: [Name; 3] = [name::X_FORWARDED_HOST, name::X_FORWARDED_PORT, name::X_FORWARDED_PREFIX];

/// The key of the request, and whose it is. None where answers are the caller's own and it is not clear who that is.
pub(super) fn key(exchange: &Exchange<'_>, rules: &Cache) -> Option<(Key, Asked)> {
    let headers = &exchange.kit.head.headers;
    let mut key = Key::new(exchange.worker.spare.buffer(), |out| write_url(exchange, out));
    if exchange.facts.trusted {
        for name in &OF_THE_PROXY {
            headers
                .get_all(name)
                .for_each(|value| key.push(&[name.as_str().as_bytes(), b": ", value].concat()));
        }
    }
    let known = exchange.identity.is_some();
    // Who has shown a certificate of which the upstream is told is somebody, too.
    let named = headers.contains(&name::AUTHORIZATION) || exchange.client.subject().is_some();
    let asked = match known || named {
        _ if rules.private && known => {
            key.push(caller(exchange)?.as_bytes());
            Asked::Personal
        }
        true => Asked::Authorized,
        false => Asked::Anonymous,
    };
    rules.inputs.iter().for_each(|input| push_input(exchange, &mut key, input));
    Some((key, asked))
}

/// Adds what the answer is made of beside the URL. With its length in front: values may have any byte.
fn push_input(exchange: &Exchange<'_>, key: &mut Key, input: &Input) {
    let mut text = Vec::new();
    let is_there = match input {
        Input::Value(var) => exchange.value(var, &mut text),
        Input::Claims => {
            let claims = exchange.identity.as_ref().and_then(|identity| identity.claims());
            claims.map(|claims| text.extend_from_slice(claims.to_value().to_string().as_bytes())).is_some()
        }
        Input::Headers => {
            for (name, value) in exchange.kit.head.headers.iter() {
                text.extend_from_slice(&name.to_ascii_lowercase());
                text.extend_from_slice(b": ");
                text.extend_from_slice(value);
                text.push(b'\n');
            }
            true
        }
    };
    key.push(&(text.len() as u64).to_be_bytes());
    key.push(&text);
    key.push(&[u8::from(is_there)]);
}

/// The URL as the client sees it, its authority in lower case.
pub(super) fn write_url(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    write_origin(exchange, out);
    out.extend_from_slice(exchange.path().as_bytes());
    if let Some(query) = exchange.kit.head.query() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
}

pub(super) fn write_origin(exchange: &Exchange<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(exchange.facts.scheme.as_bytes());
    out.extend_from_slice(b"://");
    out.extend(exchange.kit.head.authority().unwrap_or_default().iter().map(u8::to_ascii_lowercase));
}

/// A name that no other caller has: not that of a consumer who is called like a token's owner, and none where a token names
/// nobody.
fn caller(exchange: &Exchange<'_>) -> Option<String> {
    let kind = match exchange.identity.as_ref()? {
        Identity::Token(verified) => {
            verified.consumer.split_once(':').filter(|(_, subject)| !subject.is_empty())?;
            "token"
        }
        Identity::Consumer(_) => "consumer",
    };
    Some(format!("{kind} {}", exchange.consumer()?))
}
