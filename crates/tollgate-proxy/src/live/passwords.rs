//! Checks of passwords, which are slow on purpose: on a thread of their own, one at a time.
//!
//! One at a time bounds the memory, of which each check takes what its hash says: 19 MiB are usual.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Argon2, PasswordVerifier};
use tokio::sync::oneshot;

/// Checks that wait. Each takes some 20 ms, so the last one waits about a second.
const WAITING_MAX: usize = 64;

/// The thread, which starts with the first password.
#[derive(Default)]
pub(crate) struct Passwords {
    jobs: Mutex<Option<SyncSender<Job>>>,
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
