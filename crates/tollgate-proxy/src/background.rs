//! The background thread: what must go on beside requests, and must not take a worker's time.
//!
//! It talks to issuers, gets tokens for upstreams, asks targets how they are, and DNS where services are. Workers hand it questions and read what it wrote; it never
//! waits for a worker.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};

use crate::live::collector::Exporter;
use crate::live::http::Rim;
use crate::live::issuers::{self, IssuerRegistry, Question};
use crate::live::memory::{self, Memory};
use crate::live::registry::UpstreamRegistry;
use crate::live::{checks, lasting, services, tokens};
use crate::upstream::NameServers;

/// Questions that the thread has not taken yet. It takes them at once, so this is seldom more than one.
const QUESTIONS_MAX: usize = 1024;

/// A handle on the thread.
pub(crate) struct Background {
    questions: mpsc::Sender<Question>,
    end: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Background {
    /// Starts the thread, which does what `issuers` and `upstreams` ask for; names are asked of `servers`.
    pub(crate) fn start(
        issuers: &IssuerRegistry,
        upstreams: &UpstreamRegistry,
        servers: &NameServers,
        memory: &Arc<Memory>,
        exporter: Exporter,
    ) -> io::Result<Background> {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (end, mut ended) = watch::channel(false);
        let (wanted, checked) = (issuers.wanted(), upstreams.checked());
        let tokens = upstreams.tokens.wanted();
        let (services, servers) = (upstreams.services.clone(), servers.clone());
        let memory = memory.clone();
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(%error, "the background thread cannot start"),
            };
            runtime.block_on(async {
                let rim = Rc::new(Rim::new(&servers));
                tokio::select! {
                    () = lasting::alone("issuers", issuers::attend(wanted, asked, rim.clone())) => {}
                    () = lasting::alone("tokens", tokens::attend(tokens, rim.clone())) => {}
                    () = lasting::alone("health checks", checks::attend(checked, &servers)) => {}
                    () = lasting::alone("services", services::attend(services, servers.clone())) => {}
                    () = lasting::alone("memory", memory::watch(memory)) => {}
                    () = lasting::alone("traces", exporter.attend(rim)) => {}
                    _ = ended.wait_for(|end| *end) => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("background".into()).spawn(run)?;
        Ok(Background { questions, end, thread: Mutex::new(Some(thread)) })
    }

    /// No thread: nobody is asked anything.
    pub(crate) fn nothing() -> Background {
        let (questions, _) = mpsc::channel(1);
        Background { questions, end: watch::channel(true).0, thread: Mutex::new(None) }
    }

    /// Hands a question over; false when too many are waiting, or the end is near.
    pub(crate) fn ask(&self, question: Question) -> bool {
        self.questions.try_send(question).is_ok()
    }

    /// Ends the thread, and whatever it was doing.
    pub(crate) fn end(&self) {
        self.end.send_replace(true);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the background thread ended with a panic");
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}
