//! Checks of passwords, which are slow on purpose: on a thread of their own, one at a time.
//!
//! One at a time bounds the memory, of which each check takes what its hash says: 19 MiB are usual. Those who wait may be many and
//! wrong, so what was right is remembered for all workers: whoever has shown a password does not wait behind guesses.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use argon2::{Argon2, PasswordVerifier};
use aws_lc_rs::hmac;
use tokio::sync::oneshot;

/// Checks that wait. Each takes some 20 ms, so the last one waits about a second.
const WAITING_MAX: usize = 64;
/// A password that was right is not hashed again as long as it is used once in this time.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Right passwords that are remembered. There are no more of them than users, but for reloads.
const REMEMBERED_MAX: usize = 1024;

/// A keyed hash of user and password.
pub(crate) type Mac = [u8; 32];

/// The thread, which starts with the first password, and what it found right.
#[derive(Default)]
pub(crate) struct Passwords {
    jobs: Mutex<Option<SyncSender<Job>>>,
    key: OnceLock<hmac::Key>,
    right: Mutex<HashMap<Mac, Right>>,
}

/// A password that was right; never itself, only a hash with a key that nobody knows.
pub(crate) struct Right {
    /// Against which it was checked: a reload that changes it takes the password back.
    phc: Arc<str>,
    until: Instant,
}

impl Right {
    pub(crate) fn new(phc: Arc<str>, until: Instant) -> Right {
        Right { phc, until }
    }

    /// Whether that still counts against this hash.
    pub(crate) fn holds(&self, phc: &Arc<str>, now: Instant) -> bool {
        self.holds_at(now) && self.phc == *phc
    }

    pub(crate) fn holds_at(&self, now: Instant) -> bool {
        now < self.until
    }
}

struct Job {
    password: Box<[u8]>,
    phc: Arc<str>,
    answer: oneshot::Sender<bool>,
}

impl Passwords {
    /// Has a password checked against a PHC string; none when too many wait already.
    pub(crate) fn check(&self, password: Box<[u8]>, phc: Arc<str>) -> Option<oneshot::Receiver<bool>> {
        let (answer, wait) = oneshot::channel();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.is_none() {
            *jobs = start();
        }
        jobs.as_ref()?.try_send(Job { password, phc, answer }).ok()?;
        Some(wait)
    }

    /// What a user and a password are remembered by. The key is made with the first password, which takes its time anyway: the
    /// library gathers randomness for tens of milliseconds when it is first asked for some, and a gateway without passwords
    /// need not wait for that at its start.
    pub(crate) fn mac(&self, user: &str, password: &[u8]) -> Mac {
        let mut context = hmac::Context::with_key(self.key.get_or_init(fresh_key));
        context.update(user.as_bytes());
        // No user has a colon: this and nothing else is the pair.
        context.update(b":");
        context.update(password);
        context.sign().as_ref().try_into().unwrap_or_default()
    }

    /// Whether it was right not long ago, for whichever worker; then it is for as long again.
    pub(crate) fn was_right(&self, mac: &Mac, phc: &Arc<str>, now: Instant) -> bool {
        let mut right = self.right();
        let known = right.get_mut(mac).filter(|known| known.holds(phc, now));
        known.map(|known| known.until = now + REMEMBERED).is_some()
    }

    /// It is right.
    pub(crate) fn remember(&self, mac: Mac, phc: Arc<str>, now: Instant) {
        let mut right = self.right();
        if right.len() >= REMEMBERED_MAX {
            right.retain(|_, right| right.holds_at(now));
        }
        if right.len() < REMEMBERED_MAX {
            right.insert(mac, Right::new(phc, now + REMEMBERED));
        }
    }

    fn right(&self) -> MutexGuard<'_, HashMap<Mac, Right>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
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

fn start() -> Option<SyncSender<Job>> {
    let (jobs, todo) = sync_channel(WAITING_MAX);
    match std::thread::Builder::new().name("passwords".into()).spawn(move || work(&todo)) {
        Ok(_) => Some(jobs),
        Err(error) => {
            tracing::error!(%error, "passwords cannot be checked");
            None
        }
    }
}

/// Ends when nobody can ask any more.
fn work(todo: &Receiver<Job>) {
    while let Ok(job) = todo.recv() {
        if !job.answer.is_closed() {
            // The hash says which parameters it was made with; the configuration bounded them.
            let right = Argon2::default().verify_password(&job.password, &*job.phc).is_ok();
            // Whoever asked may have left meanwhile.
            let _ = job.answer.send(right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "s3cret" with little memory, so that the test is quick.
    const PHC: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$";

    #[test]
    fn what_was_right_is_remembered_as_long_as_it_is_used_and_no_longer_than_its_hash() {
        let passwords = Passwords::default();
        let now = Instant::now();
        let (phc, changed): (Arc<str>, Arc<str>) = ("hash".into(), "another".into());
        let mac = passwords.mac("mobile", b"s3cret");
        passwords.remember(mac, phc.clone(), now);
        let step = REMEMBERED - Duration::from_millis(1);
        for (what, mac, phc, after, expect) in [
            ("another hash", mac, &changed, Duration::ZERO, false),
            ("another password", passwords.mac("mobile", b"s3cre"), &phc, Duration::ZERO, false),
            ("another user", passwords.mac("mobil", b"e:s3cret"), &phc, Duration::ZERO, false),
            ("at once", mac, &phc, Duration::ZERO, true),
            ("just before the end", mac, &phc, step, true),
            ("it was used then", mac, &phc, step * 2, true),
            ("and then not any more", mac, &phc, step * 2 + REMEMBERED, false),
        ] {
            assert_eq!(passwords.was_right(&mac, phc, now + after), expect, "{what}");
        }
        assert_ne!(mac, Passwords::default().mac("mobile", b"s3cret"), "the key is each process's own");
    }

    #[test]
    fn a_password_is_right_or_not_and_too_many_are_refused() {
        let salt = b"somesaltsomesalt";
        let params = argon2::Params::new(64, 1, 1, Some(32)).unwrap();
        let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
        let mut hash = [0; 32];
        argon.hash_password_into(b"s3cret", salt, &mut hash).unwrap();
        use base64::Engine;
        let phc: Arc<str> =
            format!("{PHC}{}", base64::engine::general_purpose::STANDARD_NO_PAD.encode(hash)).into();
        let passwords = Passwords::default();
        let check = |password: &[u8]| passwords.check(password.into(), phc.clone()).unwrap().blocking_recv();
        assert_eq!((check(b"s3cret"), check(b"s3cret "), check(b"")), (Ok(true), Ok(false), Ok(false)));
        let slow: Arc<str> = phc.replace("m=64", "m=65536").into();
        let waiting: Vec<_> =
            (0..=2 * WAITING_MAX).map_while(|_| passwords.check([].into(), slow.clone())).collect();
        assert!((WAITING_MAX..=WAITING_MAX + 2).contains(&waiting.len()), "{} wait", waiting.len());
    }
}
