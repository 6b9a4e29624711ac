//! User and password (RFC 7617), checked off the worker and remembered for a while.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_plan::Reason;
use tollgate_plan::consumer::{ConsumerId, Consumers, Password};

use super::Refused;
use super::flights::Flights;
use crate::exchange::Exchange;
use crate::live::passwords::{Mac, Right};

/// A worker that knows a password to be right asks nobody for so long.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Right passwords that are remembered. There are no more of them than users, but for reloads.
const REMEMBERED_MAX: usize = 1024;
/// Longer ones are no passwords, and hashing them would cost who checks them.
const CREDENTIAL_BYTES_MAX: usize = 1024;

const INVALID: Refused = Refused::new(Reason::BasicInvalid, "no such user, or another password");
const MALFORMED: Refused = Refused::new(Reason::BasicInvalid, "the user and password are malformed");
const BUSY: Refused = Refused::new(Reason::Overloaded, "too many passwords are being checked");

/// Passwords that a worker knows to be right without asking those who know it for all workers.
pub(super) struct Proven {
    right: RefCell<HashMap<Mac, Right>>,
    /// Being checked, by plan.
    checks: Flights<(u64, Mac), Result<bool, Refused>>,
}

/// Whose user and password they are. `credential` is what follows the scheme.
pub(super) async fn check(exchange: &Exchange<'_>, credential: &[u8]) -> Result<ConsumerId, Refused> {
    let consumers = &exchange.active.plan.consumers;
    let (user, password) = read(credential).ok_or(MALFORMED)?;
    let (proven, all) = (&exchange.worker.known.passwords, &exchange.worker.shared.passwords);
    let (mac, known) = (all.mac(&user, &password), consumers.by_user.get(&*user));
    let now = exchange.worker.clock.recent();
    if let Some(known) = known
        && (proven.is_right(&mac, known, now) || all.was_right(&mac, &known.phc, now))
    {
        proven.remember(mac, known, now);
        return Ok(known.consumer);
    }
    let Some(against) = known.or_else(|| decoy(consumers)) else { return Err(INVALID) };
    // On the heap, like all that a request seldom needs.
    let verify = || Box::pin(verify(exchange, password, against.phc.clone()));
    let right = proven.checks.share((exchange.active.generation, mac), verify).await?;
    match known.filter(|_| right) {
        Some(known) if exchange.is_explained() => Ok(known.consumer),
        Some(known) => {
            let now = exchange.worker.clock.now();
            all.remember(mac, known.phc.clone(), now);
            proven.remember(mac, known, now);
            Ok(known.consumer)
        }
        None => Err(INVALID),
    }
}

async fn verify(exchange: &Exchange<'_>, password: Box<[u8]>, phc: Arc<str>) -> Result<bool, Refused> {
    let answer = exchange.worker.shared.passwords.check(password, phc).ok_or(BUSY)?;
    // Without an answer the thread is gone, and with it soon the process.
    answer.await.map_err(|_| BUSY)
}

/// An unknown user must cost as much as a known one with another password: it is checked against somebody's hash,
/// and refused whatever comes out.
fn decoy(consumers: &Consumers) -> Option<&Password> {
    consumers.by_user.values().max_by_key(|password| password.phc.len())
}

/// `user:password` in base64. UTF-8 as the challenge asks for; control characters are refused as RFC 7617 says.
fn read(credential: &[u8]) -> Option<(Box<str>, Box<[u8]>)> {
    if credential.len() > CREDENTIAL_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credential).ok()?).ok()?;
    if text.chars().any(char::is_control) {
        return None;
    }
    let (user, password) = text.split_once(':')?;
    Some((user.into(), password.as_bytes().into()))
}

impl Proven {
    pub(super) fn new() -> Proven {
        Proven { right: RefCell::default(), checks: Flights::default() }
    }

    fn is_right(&self, mac: &Mac, known: &Password, now: Instant) -> bool {
        self.right.borrow().get(mac).is_some_and(|right| right.holds(&known.phc, now))
    }

    /// Notes it unless it is noted already: now and then the others are told that it is in use.
    fn remember(&self, mac: Mac, known: &Password, now: Instant) {
        let mut right = self.right.borrow_mut();
        if right.get(&mac).is_some_and(|right| right.holds(&known.phc, now)) {
            return;
        }
        if right.len() >= REMEMBERED_MAX {
            right.retain(|_, right| right.holds_at(now));
        }
        if right.len() < REMEMBERED_MAX {
            right.insert(mac, Right::new(known.phc.clone(), now + REMEMBERED));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_read_strictly() {
        let check = |plain: &[u8], expect: Option<(&str, &str)>| {
            let read = read(STANDARD.encode(plain).as_bytes());
            let seen = read.as_ref().map(|(user, password)| (&**user, str::from_utf8(password).unwrap()));
            assert_eq!(seen, expect, "{plain:?}");
        };
        check(b"mobile:s3cret", Some(("mobile", "s3cret")));
        check(b"mobile:a:b", Some(("mobile", "a:b")));
        check(b":", Some(("", "")));
        check("mobile:pässwörd".as_bytes(), Some(("mobile", "pässwörd")));
        for bad in [&b"mobile"[..], b"", b"a:b\n", b"a\0:b", b"a:\xff"] {
            check(bad, None);
        }
        check(&[b'a'; CREDENTIAL_BYTES_MAX], None);
        for text in ["bW9iaWxlOnM", "bW9iaWxlOnM===", "bW9i aWxl", "!", "bW9iaWxlOnP="] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_worker_knows_what_was_right_for_a_while_and_no_longer_than_its_hash() {
        let proven = Proven::new();
        let now = Instant::now();
        let known = Password { phc: "hash".into(), consumer: ConsumerId(0) };
        let (mac, other) = ([1; 32], [2; 32]);
        proven.remember(mac, &known, now);
        // It does not last longer for that.
        proven.remember(mac, &known, now + REMEMBERED / 2);
        let later = now + REMEMBERED;
        let changed = Password { phc: "another".into(), ..known.clone() };
        for (what, mac, known, now, expect) in [
            ("at once", mac, &known, now, true),
            ("just before the end", mac, &known, later - Duration::from_millis(1), true),
            ("at the end", mac, &known, later, false),
            ("another hash", mac, &changed, now, false),
            ("another password", other, &known, now, false),
        ] {
            assert_eq!(proven.is_right(&mac, known, now), expect, "{what}");
        }
    }
}
