//! One part: its requests, and what came of them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tollgate_content::decode::{Undecoded, decode};
use tollgate_content::{Kind, Path, Raw};
use tollgate_plan::Reason;
use tollgate_plan::aggregate::{Call, Part, PartBody, Source, Times};
use tollgate_plan::template::{Template, Var};
use tollgate_plan::upstream::UpstreamId;
use tollgate_policy::cache::Came as Answered;
use tollgate_wire::{HeaderBlock, Method, Name, ResponseHead, name, write_header};

use super::values::Known;
use super::{Work, answer};
use crate::exchange::{Outgoing, Reject};
use crate::upstream::{Bounds, Detached, Fetched, FetchedBody, fetch};
use crate::{buffer, expressions};

/// Elements of a list that a service is asked for.
const ELEMENTS_MAX: usize = 1000;

/// What became of a part. Documents are JSON text that was checked.
#[derive(Debug, Clone)]
pub(super) enum Came {
    /// Its condition does not hold.
    LeftOut,
    /// One document.
    One(Rc<str>),
    /// One for each element of a list, as it was shaped.
    Each(Vec<Result<Rc<str>, Failed>>),
    /// One for each target: its URL, and the status with the document, as it was shaped.
    Targets(Vec<(Rc<str>, Target)>),
    /// Nothing.
    Failed(Failed),
}

/// What one target of several came to: its status, and the document.
pub(super) type Target = Result<(u16, Rc<str>), Failed>;

/// Why there is nothing.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) reason: Reason,
    /// Seconds after which another try makes sense, where that is known.
    pub(super) retry_after: Option<u64>,
    /// The service's own answer, where that is why.
    pub(super) answer: Option<Rc<Own>>,
}

/// A service's answer whose status does not count as success.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) status: u16,
    /// What is passed of its head.
    pub(super) headers: HeaderBlock,
    pub(super) body: Vec<u8>,
}

/// What says how to read the body of an answer that passes, and when to come again.
const OF_OWN: [Name; 3] = [name::CONTENT_TYPE, name::CONTENT_ENCODING, name::RETRY_AFTER];

impl Own {
    fn of(head: &ResponseHead, body: Vec<u8>) -> Own {
        // What a 401 asks for (RFC 9110 section 11.6.1): without it that is no answer.
        let challenges = (head.status == 401).then_some(name::WWW_AUTHENTICATE);
        let mut headers = HeaderBlock::default();
        for name in OF_OWN.iter().chain(&challenges) {
            head.headers.get_all(name).for_each(|value| headers.append(name, value));
        }
        Own { status: head.status, headers, body }
    }
}

impl Failed {
    pub(super) fn of(reason: Reason) -> Failed {
        Failed { reason, retry_after: None, answer: None }
    }

    fn undecoded(why: Undecoded) -> Failed {
        Failed::of(match why {
            Undecoded::Malformed(_) => Reason::PartFailed,
            Undecoded::TooLarge(_) => Reason::PartTooLarge,
        })
    }
}

impl Came {
    /// Whether the part failed as a whole. Some elements, and targets, that fail make an answer incomplete, no more.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Came::Failed(_))
    }

    /// The first failure in it.
    pub(super) fn failure(&self) -> Option<&Failed> {
        match self {
            Came::LeftOut | Came::One(_) => None,
            Came::Each(elements) => elements.iter().find_map(|element| element.as_ref().err()),
            Came::Targets(targets) => targets.iter().find_map(|(_, target)| target.as_ref().err()),
            Came::Failed(failed) => Some(failed),
        }
    }
}

impl Work<'_, '_> {
    /// Runs a part; the parts that it refers to have come.
    pub(super) async fn run(&self, part: &Part) -> Came {
        if let Some(condition) = &part.condition {
            match expressions::holds(self.exchange, condition) {
                Ok(true) => {}
                Ok(false) => return Came::LeftOut,
                Err(_) => return Came::Failed(Failed::of(Reason::PartFailed)),
            }
        }
        let came = match &part.source {
            Source::Constant(json) => self.constant(json).map(Came::One),
            Source::Call(call) => match &call.times {
                Times::Once => self.ask(part, call, None, None).await.map(|(_, json)| Came::One(json)),
                Times::Each { part: of, list, concurrency } => {
                    self.each(part, call, (*of, list), *concurrency).await
                }
                Times::EachTarget => Ok(self.targets(part, call).await),
            },
        };
        came.unwrap_or_else(Came::Failed)
    }

    fn constant(&self, json: &Template) -> Result<Rc<str>, Failed> {
        let known = Known { work: self, item: None };
        known.check(json)?;
        let mut out = Vec::new();
        json.render_json(&known, &mut out);
        self.keep(out.len())?;
        String::from_utf8(out).map(Rc::from).map_err(|_| Failed::of(Reason::PartFailed))
    }

    /// Asks for each element of a list, so many at the same time.
    async fn each(
        &self,
        part: &Part,
        call: &Call,
        (of, list): (usize, &Path),
        concurrency: usize,
    ) -> Result<Came, Failed> {
        let missing = || Failed::of(Reason::PartReferenceMissing);
        let Some(Came::One(document)) = self.came(of) else { return Err(missing()) };
        let list = Raw::of_checked(document)
            .find(list)
            .filter(|list| list.kind() == Kind::List)
            .ok_or_else(missing)?;
        let items: VecDeque<(usize, Raw<'_>)> = list.elements().take(ELEMENTS_MAX + 1).enumerate().collect();
        if items.len() > ELEMENTS_MAX {
            return Err(Failed::of(Reason::PartTooLarge));
        }
        let came = RefCell::new(vec![Err(Failed::of(Reason::PartFailed)); items.len()]);
        let waiting = RefCell::new(items);
        // Each of these takes the next element until none is left.
        let taker = async || {
            loop {
                let Some((at, item)) = waiting.borrow_mut().pop_front() else { return };
                let answer = self.ask(part, call, Some(item), None).await.map(|(_, json)| json);
                if let Some(place) = came.borrow_mut().get_mut(at) {
                    *place = answer;
                }
            }
        };
        let takers = concurrency.min(waiting.borrow().len());
        all((0..takers).map(|_| -> Pin<Box<dyn Future<Output = ()>>> { Box::pin(taker()) }).collect()).await;
        let came = came.into_inner();
        // Of a list without elements nothing failed. Where nothing stands for it, one of nulls says how many there would be.
        let counts = part.required || part.fallback.is_some();
        match came.first() {
            Some(Err(first)) if counts && came.iter().all(Result::is_err) => Err(first.clone()),
            _ => Ok(Came::Each(came)),
        }
    }

    /// Asks every target; where hosts stand for a service that DNS knows, each of them.
    async fn targets(&self, part: &Part, call: &Call) -> Came {
        let targets = self.target_urls(call.upstream);
        let came = RefCell::new(vec![None; targets.len()]);
        let one = async |at: usize| {
            let answer = self.ask(part, call, None, Some(at)).await;
            if let Some(place) = came.borrow_mut().get_mut(at) {
                *place = Some(answer);
            }
        };
        all((0..targets.len())
            .map(|at| -> Pin<Box<dyn Future<Output = ()>>> { Box::pin(one(at)) })
            .collect())
        .await;
        let came = targets
            .into_iter()
            .zip(came.into_inner())
            .map(|(url, came)| (url, came.unwrap_or_else(|| Err(Failed::of(Reason::PartFailed)))));
        Came::Targets(came.collect())
    }

    /// What each target of an upstream is called; as configured when no host stands for any.
    fn target_urls(&self, upstream: UpstreamId) -> Vec<Rc<str>> {
        let (active, at) = (&self.exchange.active, upstream.0 as usize);
        let served = active.upstreams.get(at).map(|live| live.shared.targets.as_slice()).unwrap_or_default();
        let configured = active.plan.upstreams.get(at).map(|upstream| upstream.targets.as_slice());
        match served {
            [] => configured.unwrap_or_default().iter().map(|target| Rc::from(&*target.url)).collect(),
            served => served.iter().map(|target| Rc::from(&*target.url)).collect(),
        }
    }

    /// One request: the status, and the document that came.
    async fn ask(
        &self,
        part: &Part,
        call: &Call,
        item: Option<Raw<'_>>,
        target: Option<usize>,
    ) -> Result<(u16, Rc<str>), Failed> {
        let exchange = self.exchange;
        let (outgoing, body) = self.outgoing(call, &Known { work: self, item })?;
        let request = Detached::part(exchange, call.method.clone(), outgoing, body, target);
        let now = exchange.worker.clock.now();
        let deadline = call.timeout.map_or(self.deadline, |timeout| self.deadline.min(now + timeout));
        let bounds = Bounds {
            deadline: Some(deadline),
            answer_bytes: self.aggregate.part_bytes,
            keep: true,
            room: Some(&self.room),
        };
        let failed = |reject: Reject| Failed { retry_after: reject.retry_after, ..Failed::of(reject.reason) };
        let fetched =
            fetch(exchange.worker, &exchange.active, call.upstream, request, bounds).await.map_err(failed)?;
        let Fetched { head, body, unkept } = fetched;
        self.hear(&head, unkept);
        let FetchedBody::Whole(body) = body else { return Err(Failed::of(Reason::PartTooLarge)) };
        let status = head.status;
        // Of every target all answers are wanted: what it says of itself is what is asked for.
        if !call.success.contains(status) && target.is_none() {
            // What the service says of one element of a list nobody is told.
            let kept = item.is_none() && self.keep(body.len()).is_ok();
            let answer = kept.then(|| Rc::new(Own::of(&head, body)));
            return Err(Failed { answer, ..Failed::of(Reason::PartFailed) });
        }
        exchange.worker.spare.keep_response(head);
        // What has no body by its status or method, and a target whose status says all that there is to say.
        let bodiless = matches!(status, 204 | 205) || call.method == Method::Head;
        let document = if bodiless || (body.is_empty() && target.is_some()) {
            "{}".into()
        } else {
            decode(&body, call.decode, self.aggregate.part_bytes).map_err(Failed::undecoded)?
        };
        let document: Rc<str> = match call.times {
            // Others may refer to it as it came.
            Times::Once => document.into(),
            Times::Each { .. } | Times::EachTarget => {
                answer::made(exchange, self.aggregate, part, &document)?
            }
        };
        self.keep(document.len())?;
        Ok((status, document))
    }

    /// Keeps so many bytes until the answer is out, where there is room for them. What the part's own request held was
    /// given back with it.
    fn keep(&self, bytes: usize) -> Result<(), Failed> {
        let left = self.room.get().checked_sub(bytes).ok_or_else(|| Failed::of(Reason::PartTooLarge))?;
        self.exchange.hold(bytes).map_err(|reject| Failed::of(reject.reason))?;
        self.room.set(left);
        Ok(())
    }

    /// Takes note of what the service says about keeping its answer.
    fn hear(&self, head: &ResponseHead, unkept: bool) {
        let clock = &self.exchange.worker.clock;
        self.said.borrow_mut().hear(Answered {
            status: head.status,
            headers: &head.headers,
            cookies: head.headers.contains(&name::SET_COOKIE),
            at: clock.wall(clock.recent()),
            // It counts for the whole, from its beginning.
            delay: Duration::ZERO,
        });
        if unkept {
            self.exchange.seen.unkept.set(true);
        }
    }

    fn outgoing(&self, call: &Call, known: &Known<'_, '_>) -> Result<(Outgoing, Option<Vec<u8>>), Failed> {
        let exchange = self.exchange;
        let spare = &exchange.worker.spare;
        known.check(&call.path)?;
        let mut outgoing = Outgoing { target: spare.buffer(), lines: spare.buffer() };
        let path = call.path.render_url(known, &mut outgoing.target);
        path.map_err(|_| {
            let refers = call.path.vars().any(|var| matches!(var, Var::Answer(..)));
            Failed::of(if refers { Reason::PartReferenceMissing } else { Reason::TemplateValueMissing })
        })?;
        self.add_query(&mut outgoing.target);
        outgoing.lines.extend_from_slice(&self.shared.lines);
        let body = match &call.body {
            PartBody::Nothing => None,
            PartBody::Request => {
                // What says how to read it goes along: its type, and its coding.
                for name in [&name::CONTENT_TYPE, &name::CONTENT_ENCODING] {
                    for value in exchange.kit.head.headers.get_all(name) {
                        write_header(&mut outgoing.lines, name, value);
                    }
                }
                Some(buffer::with_request_body(exchange, <[u8]>::to_vec))
            }
            PartBody::Json(json) => {
                known.check(json)?;
                write_header(&mut outgoing.lines, &name::CONTENT_TYPE, b"application/json");
                let mut body = Vec::new();
                json.render_json(known, &mut body);
                Some(body)
            }
        };
        Ok((outgoing, body))
    }

    /// The query parameters that all parts are sent.
    fn add_query(&self, target: &mut Vec<u8>) {
        if let Some(query) = &self.shared.query {
            target.push(if target.contains(&b'?') { b'&' } else { b'?' });
            target.extend_from_slice(query);
        }
    }
}

/// Runs all of them to their end, on this task.
async fn all(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    poll_fn(|cx| {
        futures.retain_mut(|future| future.as_mut().poll(cx).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
