//! Tokens that only their issuer understands: asked about at its endpoint (RFC 7662).
//!
//! Workers ask; the background thread talks to the endpoint, over connections that all workers share.

use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;
use tokio::sync::{Semaphore, oneshot};
use tollgate_plan::issuer::Introspection;
use tollgate_token::introspection::{Answer, Unreadable};

use crate::live::form::{basic, form_encode};
use crate::live::http::{Fault, Http, Rim};

/// Questions on their way to one endpoint.
const ASKED_MAX: usize = 64;
/// Questions of one endpoint that wait or are on their way.
const WAITING_MAX: usize = 512;

/// One endpoint. Written by the background thread, read by whoever reports.
pub(crate) struct IntrospectionLive {
    name: Arc<str>,
    endpoint: Introspection,
    waiting: Arc<Semaphore>,
    asked: Semaphore,
    fault: Mutex<Option<Fault>>,
}

/// A token, and who wants to know about it.
pub(crate) struct Question {
    pub(crate) of: Arc<IntrospectionLive>,
    pub(crate) token: Box<str>,
    pub(crate) answer: oneshot::Sender<Result<Answer, Fault>>,
    /// A place among those that wait.
    pub(crate) place: tokio::sync::OwnedSemaphorePermit,
}

impl IntrospectionLive {
    pub(super) fn new(name: &Arc<str>, endpoint: &Introspection) -> Arc<IntrospectionLive> {
        Arc::new(IntrospectionLive {
            name: name.clone(),
            endpoint: endpoint.clone(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            asked: Semaphore::new(ASKED_MAX),
            fault: Mutex::default(),
        })
    }

    /// Whether it is this endpoint, however long its answers are remembered.
    pub(super) fn is(&self, endpoint: &Introspection) -> bool {
        Introspection { cache: self.endpoint.cache, ..endpoint.clone() } == self.endpoint
    }

    /// A question about a token, and where its answer will come; none when too many wait already.
    pub(crate) fn question(
        self: &Arc<Self>,
        token: &str,
    ) -> Option<(Question, oneshot::Receiver<Result<Answer, Fault>>)> {
        let place = self.waiting.clone().try_acquire_owned().ok()?;
        let (answer, wait) = oneshot::channel();
        Some((Question { of: self.clone(), token: token.into(), answer, place }, wait))
    }

    /// Why the last question failed; none when it did not.
    pub(super) fn fault(&self) -> Option<String> {
        self.lock().as_ref().map(Fault::to_string)
    }

    pub(super) fn client(&self, rim: &Rc<Rim>) -> Http {
        Http::new(rim, &self.endpoint.reach)
    }

    fn settle(&self, outcome: &Result<Answer, Fault>) {
        let issuer = &*self.name;
        match outcome {
            Ok(_) => {
                if self.lock().take().is_some() {
                    tracing::info!(issuer, "the introspection endpoint answers again");
                }
            }
            Err(fault) => {
                if self.lock().replace(fault.clone()).as_ref() != Some(fault) {
                    tracing::warn!(issuer, %fault, "the introspection endpoint does not answer");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the endpoint, when it is this question's turn.
pub(super) async fn ask(mut question: Question, http: Rc<Http>) {
    let live = question.of.clone();
    let endpoint = &live.endpoint;
    // Nobody closes the semaphore.
    let Ok(_turn) = live.asked.acquire().await else { return };
    if question.answer.is_closed() {
        // Whoever asked has left meanwhile.
        return;
    }
    let mut form = String::from("token_type_hint=access_token&token=");
    form_encode(&question.token, &mut form);
    let authorization = basic(&endpoint.client_id, endpoint.client_secret.expose());
    let outcome = tokio::select! {
        outcome = http.post(&endpoint.url, &authorization, form) => outcome,
        () = question.answer.closed() => return,
    };
    let outcome = outcome.and_then(|body| read(&body));
    live.settle(&outcome);
    // Whoever asked may have left in this moment.
    let _ = question.answer.send(outcome);
    drop(question.place);
}

/// The answer, if it is one as RFC 7662 section 2.2 has it; what it means is not judged here.
fn read(body: &Bytes) -> Result<Answer, Fault> {
    Answer::read(body).map_err(|Unreadable(why)| Fault::Content(why.to_owned()))
}
