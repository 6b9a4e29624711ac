//! What a limit counts by, as the bytes that its buckets are found by.

use tollgate_plan::limit::Per;
use tollgate_plan::path::percent_decode;
use tollgate_plan::query;
use tollgate_policy::limit::ip_key;

use crate::exchange::Exchange;
use crate::identity::Identity;
use crate::values::write_claim;

/// The first byte of a key: what is missing is a key of its own, another one than the empty value. Names of consumers
/// and of tokens' subjects may read alike.
pub(super) const MISSING: u8 = 0;
const PRESENT: u8 = 1;
const CONSUMER: u8 = 2;
const TOKEN: u8 = 3;

/// Appends the key of this request.
pub(super) fn write(exchange: &Exchange<'_>, per: &Per, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(PRESENT);
    if !write_value(exchange, per, out) {
        out.truncate(start);
        out.push(MISSING);
    } else if let (Per::Consumer, Some(kind)) = (per, out.get_mut(start)) {
        *kind = match exchange.identity {
            Some(Identity::Token(_)) => TOKEN,
            _ => CONSUMER,
        };
    }
}

/// Appends the value; false when the request has none.
fn write_value(exchange: &Exchange<'_>, per: &Per, out: &mut Vec<u8>) -> bool {
    let head = &exchange.kit.head;
    let text: Option<&[u8]> = match per {
        Per::All => Some(b""),
        Per::Ip => {
            let Some(ip) = exchange.facts.client_ip else { return false };
            out.extend_from_slice(&ip_key(ip));
            return true;
        }
        Per::Consumer => exchange.consumer().map(str::as_bytes),
        Per::RouteParam(name) => {
            let value = exchange.kit.params.get(&exchange.active.plan.table, exchange.path(), name);
            let Some(value) = value else { return false };
            out.extend_from_slice(&percent_decode(value));
            return true;
        }
        Per::Header(name) => head.headers.get(name),
        Per::Cookie(name) => exchange.cookie(name),
        Per::Query(name) => {
            let Some(value) = query::first(head.query().unwrap_or_default(), name) else { return false };
            out.extend_from_slice(&value);
            return true;
        }
        Per::Claim(path) => {
            let claims = exchange.identity.as_ref().and_then(|identity| identity.claims());
            return claims.and_then(|claims| claims.get(path)).is_some_and(|value| write_claim(value, out));
        }
    };
    let Some(text) = text else { return false };
    out.extend_from_slice(text);
    true
}
