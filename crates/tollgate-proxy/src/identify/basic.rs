//! User and password (RFC 7617), checked off the worker and remembered for a while.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tollgate_plan::Reason;
use tollgate_plan::consumer::{ConsumerId, Consumers, Password};

use super::Refused;
use super::flights::Flights;
use crate::exchange::Exchange;

/// A password that was right is not hashed again for so long.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Right passwords that are remembered. There are no more of them than users, but for reloads.
const REMEMBERED_MAX: usize = 1024;
/// Longer ones are no passwords, and hashing them would cost who checks them.
const CREDENTIAL_BYTES_MAX: usize = 1024;

const INVALID: Refused = Refused::new(Reason::BasicInvalid, "no such user, or another password");
const MALFORMED: Refused = Refused::new(Reason::BasicInvalid, "the user and password are malformed");
const BUSY: Refused = Refused::new(Reason::Overloaded, "too many passwords are being checked");

/// A keyed hash of user and password.
type Mac = [u8; 32];

/// Passwords that were right not long ago; never themselves, only a hash with a key that nobody knows.
pub(super) struct Proven {
    key: OnceCell<hmac::Key>,
    right: RefCell<HashMap<Mac, Right>>,
    /// Being checked, by plan.
    checks: Flights<(u64, Mac), Result<bool, Refused>>,
}

struct Right {
    /// Against which it was checked: a reload that changes it takes the password back.
    phc: Arc<str>,
    until: Instant,
}

/// Whose user and password they are. `credential` is what follows the scheme.
pub(super) async fn check(exchange: &Exchange<'_>, credential: &[u8]) -> Result<ConsumerId, Refused> {
    let consumers = &exchange.active.plan.consumers;
    let (user, password) = read(credential).ok_or(MALFORMED)?;
    let proven = &exchange.worker.known.passwords;
    let (mac, known) = (proven.mac(&user, &password), consumers.by_user.get(&*user));
    if let Some(known) = known
        && proven.is_right(&mac, known, exchange.worker.clock.recent())
    {
        return Ok(known.consumer);
    }
    let Some(against) = known.or_else(|| decoy(consumers)) else { return Err(INVALID) };
    // On the heap, like all that a request seldom needs.
    let verify = || Box::pin(verify(exchange, password, against.phc.clone()));
    let right = proven.checks.share((exchange.active.generation, mac), verify).await?;
    match known.filter(|_| right) {
        Some(known) => {
            proven.remember(mac, known, exchange.worker.clock.now());
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
        Proven { key: OnceCell::new(), right: RefCell::default(), checks: Flights::default() }
    }

    /// Made with the first password, which takes its time anyway: the library gathers randomness for tens of milliseconds
    /// when it is first asked for some, and a gateway without passwords need not wait for that at its start.
    fn key(&self) -> &hmac::Key {
        self.key.get_or_init(fresh_key)
    }

    fn mac(&self, user: &str, password: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(self.key());
        context.update(user.as_bytes());
        // No user has a colon: this and nothing else is the pair.
        context.update(b":");
        context.update(password);
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    fn is_right(&self, mac: &Mac, known: &Password, now: Instant) -> bool {
        self.right.borrow().get(mac).is_some_and(|right| now < right.until && right.phc == known.phc)
    }

    fn remember(&self, mac: Mac, known: &Password, now: Instant) {
        let mut right = self.right.borrow_mut();
        if right.len() >= REMEMBERED_MAX {
            right.retain(|_, right| now < right.until);
        }
        if right.len() < REMEMBERED_MAX {
            right.insert(mac, Right { phc: known.phc.clone(), until: now + REMEMBERED });
        }
    }
}

fn fresh_key() -> hmac::Key {
    let mut secret = [0; 32];
    if aws_lc_rs::rand::fill(&mut secret).is_err() {
        // Nobody may guess the key; the standard library has its own way to the system's randomness.
        for part in secret.chunks_mut(size_of::<u64>()) {
            part.copy_from_slice(&RandomState::new().build_hasher().finish().to_ne_bytes());
        }
    }
    hmac::Key::new(hmac::HMAC_SHA256, &secret)
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
    fn what_was_right_is_remembered_for_a_while_and_no_longer_than_its_hash() {
        let proven = Proven::new();
        let now = Instant::now();
        let known = Password { phc: "hash".into(), consumer: ConsumerId(0) };
        let mac = proven.mac("mobile", b"s3cret");
        proven.remember(mac, &known, now);
        let later = now + REMEMBERED;
        let changed = Password { phc: "another".into(), ..known.clone() };
        for (what, mac, known, now, expect) in [
            ("at once", mac, &known, now, true),
            ("just before the end", mac, &known, later - Duration::from_millis(1), true),
            ("at the end", mac, &known, later, false),
            ("another hash", mac, &changed, now, false),
            ("another password", proven.mac("mobile", b"s3cre"), &known, now, false),
            ("another user", proven.mac("mobil", b"e:s3cret"), &known, now, false),
        ] {
            assert_eq!(proven.is_right(&mac, known, now), expect, "{what}");
        }
        assert_ne!(mac, Proven::new().mac("mobile", b"s3cret"), "the key is each worker's own");
    }
}
