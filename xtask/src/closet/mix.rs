//! What the house asks for, and what must come back.

use anyhow::Result;

use super::stack::Stack;
use crate::replay::client::Answer;
use crate::replay::scatter::scattered;

/// People with signed tokens, and visitors by the addresses that the tunnel tells.
const OWNERS: usize = 64;
const VISITORS: u64 = 250;
/// Opaque tokens in use at the same time.
const OPAQUE: usize = 8;

/// The key of `meters` in the example.
const METERS_KEY: &str = "tg_closetExampleMetersKeyThatIsNoSecret0000000";

/// Kinds of requests, each with its share of a hundred, the status that must come, and what the body must hold.
pub(super) const KINDS: [(&str, u64, u16, &[u8]); 7] = [
    ("inventory, signed token", 40, 200, b"\"for\":\"owner-"),
    ("catalogue, out of the cache", 25, 200, b"\"hall-lamp\""),
    ("billing, opaque token", 15, 200, b"\"for\":\"dashboard\""),
    ("readings, API key", 12, 202, b"\"device\":\"meters\""),
    ("no token", 4, 401, b"\"token_missing\""),
    ("a token that is over", 2, 401, b"\"token_expired\""),
    ("health", 2, 200, b"\"status\":\"ok\""),
];

/// The tokens of one run.
pub(super) struct Mix {
    owners: Vec<String>,
    opaque: Vec<String>,
    expired: String,
}

impl Mix {
    /// Gets the tokens. Opaque ones are good for five minutes, so each part of a run has its own.
    pub(super) fn prepare(stack: &Stack) -> Result<Mix> {
        let owner = |at| stack.token(&[&format!("sub=owner-{at}"), "scope=inventory:read"]);
        Ok(Mix {
            owners: (0..OWNERS).map(owner).collect::<Result<_>>()?,
            opaque: (0..OPAQUE).map(|_| stack.opaque_token()).collect::<Result<_>>()?,
            expired: stack.token(&["sub=owner-0", "scope=inventory:read", "exp=1"])?,
        })
    }

    /// The kind of a request and the request, by its number: the same in every run.
    pub(super) fn request(&self, number: u64) -> (usize, Vec<u8>) {
        let random = scattered(number);
        let kind = kind(random % 100);
        let visitor = random / 100 % VISITORS + 1;
        let of = |tokens: &[String]| {
            let at = (random / 100_000) as usize % tokens.len().max(1);
            format!("Authorization: Bearer {}\r\n", tokens.get(at).map_or("", String::as_str))
        };
        let (line, credential, body) = match kind {
            0 => ("GET /inventory/7", of(&self.owners), ""),
            1 => ("GET /catalogue", String::new(), ""),
            2 => ("GET /billing/2026-11", of(&self.opaque), ""),
            3 => ("POST /readings/m1", format!("X-Api-Key: {METERS_KEY}\r\n"), "{\"wh\":250}"),
            4 => ("GET /inventory/7", String::new(), ""),
            5 => ("GET /inventory/7", format!("Authorization: Bearer {}\r\n", self.expired), ""),
            _ => ("GET /health", String::new(), ""),
        };
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let request = format!(
            "{line} HTTP/1.1\r\nHost: closet.example\r\nX-Forwarded-For: 203.0.113.{visitor}\r\n{credential}{length}\r\n{body}"
        );
        (kind, request.into_bytes())
    }
}

/// Whether an answer is what its kind demands.
pub(super) fn is_right(kind: usize, answer: &Answer) -> bool {
    KINDS.get(kind).is_some_and(|(_, _, status, holds)| {
        answer.status == *status && answer.body.windows(holds.len()).any(|window| window == *holds)
    })
}

/// The kind of a number below a hundred.
fn kind(mut place: u64) -> usize {
    for (at, (_, share, ..)) in KINDS.iter().enumerate() {
        if place < *share {
            return at;
        }
        place -= share;
    }
    KINDS.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_a_hundred_and_come_as_they_stand() {
        assert_eq!(KINDS.iter().map(|kind| kind.1).sum::<u64>(), 100);
        let mut seen = [0_u64; KINDS.len()];
        (0..100_000).for_each(|number| seen[kind(scattered(number) % 100)] += 1);
        for (seen, (name, share, ..)) in seen.iter().zip(KINDS) {
            let wanted = share as f64 * 1000.0;
            assert!((*seen as f64 - wanted).abs() < wanted * 0.1 + 50.0, "{name}: {seen} of {wanted}");
        }
    }

    #[test]
    fn another_answer_is_wrong() {
        let answer =
            |status, body: &[u8]| Answer { status, head: String::new(), bytes: 0, body: body.to_vec() };
        assert!(is_right(4, &answer(401, b"{\"code\":\"token_missing\"}")));
        assert!(!is_right(4, &answer(200, b"{\"code\":\"token_missing\"}")));
        assert!(!is_right(4, &answer(401, b"{\"code\":\"token_expired\"}")));
    }
}
