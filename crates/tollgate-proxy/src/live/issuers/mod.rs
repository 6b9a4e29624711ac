//! What is known of issuers beyond one configuration: fetched keys, and how their endpoints are doing.
//!
//! A reload keeps what stays the same: an issuer's keys are not fetched again because a route changed.

mod introspection;
mod keys;
mod report;

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tollgate_plan::Plan;
use tollgate_plan::issuer::{Issuer, TokenCheck};

use crate::live::http::{Http, Rim};
use crate::live::lasting;
pub(crate) use introspection::{IntrospectionLive, Question};
pub(crate) use keys::KeysLive;
pub use report::{IssuerHealth, IssuerStatus};

/// What lives of one issuer; of a plan, in the order of its issuers.
#[derive(Clone)]
pub(crate) enum IssuerLive {
    /// Its keys came with the configuration.
    Fixed,
    /// Its keys are fetched.
    Keys(Arc<KeysLive>),
    /// It is asked.
    Introspection(Arc<IntrospectionLive>),
}

/// Everything that lives now. Reloads write it; the background thread follows.
pub(crate) struct IssuerRegistry {
    known: Mutex<Vec<IssuerLive>>,
    /// The keys that are to be kept fresh, each once.
    wanted: watch::Sender<Vec<Arc<KeysLive>>>,
}

impl Default for IssuerRegistry {
    fn default() -> IssuerRegistry {
        IssuerRegistry { known: Mutex::default(), wanted: watch::channel(Vec::new()).0 }
    }
}

impl IssuerRegistry {
    /// The issuers of `plan`; those that it does not name any more are forgotten here.
    pub(crate) fn reconcile(&self, plan: &Plan) -> Vec<IssuerLive> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next: Vec<IssuerLive> = Vec::new();
        for issuer in &plan.issuers {
            let live = known.iter().chain(&next).find_map(|live| live.same(issuer));
            next.push(live.unwrap_or_else(|| IssuerLive::new(issuer)));
        }
        known.clone_from(&next);
        let mut wanted: Vec<(Arc<KeysLive>, Duration)> = Vec::new();
        for (live, issuer) in next.iter().zip(&plan.issuers) {
            if let (IssuerLive::Keys(keys), TokenCheck::Fetched(from)) = (live, &issuer.check) {
                match wanted.iter_mut().find(|(known, _)| Arc::ptr_eq(known, keys)) {
                    // Keys of several issuers are as fresh as any of them wants.
                    Some((_, refresh)) => *refresh = from.refresh.min(*refresh),
                    None => wanted.push((keys.clone(), from.refresh)),
                }
            }
        }
        let fresh = |(keys, refresh): (Arc<KeysLive>, Duration)| {
            keys.set_refresh(refresh);
            keys
        };
        self.wanted.send_replace(wanted.into_iter().map(fresh).collect());
        next
    }

    /// For the background thread.
    pub(crate) fn wanted(&self) -> watch::Receiver<Vec<Arc<KeysLive>>> {
        self.wanted.subscribe()
    }
}

impl IssuerLive {
    fn new(issuer: &Issuer) -> IssuerLive {
        match &issuer.check {
            TokenCheck::Fixed(_) => IssuerLive::Fixed,
            TokenCheck::Fetched(from) => IssuerLive::Keys(KeysLive::new(&issuer.name, from)),
            TokenCheck::Introspection(endpoint) => {
                IssuerLive::Introspection(IntrospectionLive::new(&issuer.name, endpoint))
            }
        }
    }

    /// This one again, if it is what `issuer` needs.
    fn same(&self, issuer: &Issuer) -> Option<IssuerLive> {
        match (self, &issuer.check) {
            (IssuerLive::Keys(keys), TokenCheck::Fetched(from)) if keys.is(from) => Some(self.clone()),
            (IssuerLive::Introspection(live), TokenCheck::Introspection(endpoint)) if live.is(endpoint) => {
                Some(self.clone())
            }
            _ => None,
        }
    }
}

/// Keeps keys fresh and asks questions until nobody can want either any more. Runs on the background thread.
pub(crate) async fn attend(
    mut wanted: watch::Receiver<Vec<Arc<KeysLive>>>,
    mut questions: mpsc::Receiver<Question>,
    rim: Rc<Rim>,
) {
    let mut fetching: Vec<(Arc<KeysLive>, AbortHandle)> = Vec::new();
    let mut asking = Asking::default();
    follow(&wanted.borrow_and_update(), &mut fetching, &rim);
    loop {
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                follow(&wanted.borrow_and_update(), &mut fetching, &rim);
            }
            question = questions.recv() => match question {
                Some(question) => asking.ask(question, &rim),
                None => return,
            },
        }
    }
}

/// Starts the tasks that are missing and ends those that nobody wants any more.
fn follow(wanted: &[Arc<KeysLive>], fetching: &mut Vec<(Arc<KeysLive>, AbortHandle)>, rim: &Rc<Rim>) {
    let among = |keys: &Arc<KeysLive>| wanted.iter().any(|wanted| Arc::ptr_eq(wanted, keys));
    fetching.retain(|(keys, task)| {
        if !among(keys) {
            task.abort();
        }
        among(keys)
    });
    for keys in wanted {
        if !fetching.iter().any(|(known, _)| Arc::ptr_eq(known, keys)) {
            let (live, rim) = (keys.clone(), rim.clone());
            let task = lasting::spawn("keys", move || keys::keep_fresh(live.clone(), rim.clone()));
            fetching.push((keys.clone(), task));
        }
    }
}

/// The clients of introspection endpoints, which keep connections.
#[derive(Default)]
struct Asking {
    clients: HashMap<*const IntrospectionLive, (std::sync::Weak<IntrospectionLive>, Rc<Http>)>,
}

impl Asking {
    fn ask(&mut self, question: Question, rim: &Rc<Rim>) {
        let key = Arc::as_ptr(&question.of);
        if !self.clients.contains_key(&key) {
            // Those of old configurations; their address cannot be taken by another one while they stand here.
            self.clients.retain(|_, (live, _)| live.strong_count() > 0);
        }
        let fresh = || (Arc::downgrade(&question.of), Rc::new(question.of.client(rim)));
        let (_, client) = self.clients.entry(key).or_insert_with(fresh);
        tokio::task::spawn_local(introspection::ask(question, client.clone()));
    }
}

#[cfg(test)]
mod tests;
