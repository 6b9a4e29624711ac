//! Scripts of a route: the last word on the request, and the first on the answer.
//!
//! A script sees what the upstream would be sent, after the route's own edits. The request that the client sent stays as
//! it is, for the log and for templates.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Instant;

use tollgate_plan::route::RouteId;
use tollgate_plan::script::Scripts;
use tollgate_plan::{Reason, path};
use tollgate_script::{
    Cause, Changed, Facts, Failure, Request, Respond, Response, Script, Session, Verdict, Vm,
};
use tollgate_wire::{HeaderBlock, Method, Name, name, remove_hop_by_hop, write_header};

use crate::buffer;
use crate::exchange::{Exchange, Outcome, Outgoing, Reject, Reply};
use crate::identity::Identity;
use crate::scripting::Caller;
use crate::trail::{Stage, Trail};
use crate::worker::{Active, Worker};

/// The scripts of one exchange, from the request to the answer.
pub(crate) struct Scripted {
    worker: Rc<Worker>,
    active: Rc<Active>,
    route: RouteId,
    caller: Caller,
    /// One for each script.
    sessions: Vec<Session>,
    /// What is sent.
    request: Request,
    /// What the client asked with.
    method: Method,
    /// What it asked with, where the parts of an aggregate see something else.
    asked: Asked,
}

/// What scripts changed of a client's request, as it was.
#[derive(Default)]
struct Asked {
    headers: Option<HeaderBlock>,
    query: Option<Option<Vec<u8>>>,
}

/// What became of an answer that scripts saw.
pub(crate) enum Passed<'a> {
    /// It goes on, as they left it.
    On(Outcome<'a>),
    /// One of them answers in its place.
    Answered(Outcome<'a>),
}

/// The scripts of the exchange's route; none where it has none.
pub(crate) fn scripted(exchange: &Exchange<'_>) -> Option<Box<Scripted>> {
    let route = exchange.matched()?;
    let scripts = route.scripts.as_deref()?;
    let caller = Caller {
        route: route.name.clone(),
        id: exchange.facts.id.as_str().into(),
        quiet: exchange.is_explained(),
    };
    Some(Box::new(Scripted {
        worker: exchange.worker.clone(),
        active: exchange.active.clone(),
        route: exchange.route?,
        caller,
        sessions: scripts.list.iter().map(|_| Session::default()).collect(),
        request: exchange.worker.scripting.spare(),
        method: exchange.kit.head.method.clone(),
        asked: Asked::default(),
    }))
}

impl Scripted {
    /// Whether a script names the request's body.
    pub(crate) fn need_body(&self) -> bool {
        self.scripts().is_some_and(|scripts| scripts.needs.request_body)
    }

    /// Reads the request's body where a script names it. The lines for the upstream are made behind this: they tell how
    /// long it is.
    pub(crate) async fn buffer(&self, exchange: &mut Exchange<'_>) -> Result<(), Reject> {
        match self.need_body() {
            true => buffer::request_body(exchange).await,
            false => Ok(()),
        }
    }

    /// Hands the request to each script in order. The first that answers ends it.
    pub(crate) fn request(
        &mut self,
        exchange: &mut Exchange<'_>,
        outgoing: &mut Outgoing,
    ) -> Result<Option<Reply<'static>>, Reject> {
        let active = self.active.clone();
        let Some(scripts) = scripts(&active, self.route) else { return Ok(None) };
        of_request(&mut self.request, exchange, scripts, outgoing);
        exchange.note(|trail| trail.before_scripts(&outgoing.target, &outgoing.lines));
        let ran = self.run(exchange, scripts);
        exchange.note(|trail| tell(trail, &ran));
        match ran? {
            ControlFlow::Break(reply) => Ok(Some(reply)),
            ControlFlow::Continue(changed) => {
                self.apply(exchange, scripts, changed, outgoing);
                Ok(None)
            }
        }
    }

    /// The same in front of an aggregate, where no one request is sent: scripts see what the client sent, and the parts
    /// see what they leave of it. Behind the parts comes [`Scripted::parts_came`].
    pub(crate) fn before_parts(
        &mut self,
        exchange: &mut Exchange<'_>,
    ) -> Result<Option<Reply<'static>>, Reject> {
        let active = self.active.clone();
        let Some(scripts) = scripts(&active, self.route) else { return Ok(None) };
        of_client(&mut self.request, exchange, scripts);
        let ran = self.run(exchange, scripts);
        exchange.note(|trail| tell(trail, &ran));
        match ran? {
            ControlFlow::Break(reply) => Ok(Some(reply)),
            ControlFlow::Continue(changed) => {
                self.show_parts(exchange, scripts, changed);
                Ok(None)
            }
        }
    }

    /// The parts are here: what follows is about the request that the client sent.
    pub(crate) fn parts_came(&mut self, exchange: &mut Exchange<'_>) {
        let head = &mut exchange.kit.head;
        if let Some(headers) = self.asked.headers.take() {
            head.headers = headers;
        }
        if let Some(query) = self.asked.query.take() {
            head.set_query(query.as_deref());
        }
    }

    fn run(
        &mut self,
        exchange: &Exchange<'_>,
        scripts: &Scripts,
    ) -> Result<ControlFlow<Reply<'static>, Changed>, Reject> {
        let mut changed = Changed::default();
        for (at, script) in scripts.list.iter().enumerate().filter(|(_, script)| script.has_request()) {
            self.request.changed = Changed::default();
            let verdict =
                self.call(exchange, at, |vm, session, request| vm.request(script, session, request))?;
            if let Verdict::Respond(respond) = verdict {
                return Ok(ControlFlow::Break(reply(exchange, respond)));
            }
            self.check_request(exchange, script)?;
            let now = self.request.changed;
            changed.method |= now.method;
            changed.path |= now.path;
            changed.query |= now.query;
            changed.headers |= now.headers;
            changed.body |= now.body;
        }
        Ok(ControlFlow::Continue(changed))
    }

    /// What the script left has to be fit to be sent.
    fn check_request(&mut self, exchange: &Exchange<'_>, script: &Script) -> Result<(), Reject> {
        let changed = self.request.changed;
        let is_sent = exchange.matched().is_some_and(|route| route.action.forwards());
        if (changed.path || changed.method) && !is_sent {
            let message =
                "parts have methods and paths of their own: `req.method` and `req.path` cannot be changed";
            return Err(self.fault(exchange, script, message));
        }
        if changed.path {
            match path::normalize(self.request.path.as_bytes()) {
                Ok(normal) => self.request.path = normal.into_owned(),
                Err(error) => {
                    return Err(self.fault(exchange, script, &format!("`req.path` is no path: {error}")));
                }
            }
        }
        if changed.method && exchange.websocket && self.request.method != Method::Get {
            return Err(self.fault(exchange, script, "a WebSocket is asked for by GET"));
        }
        Ok(())
    }

    /// Makes what is sent say what the scripts left.
    fn apply(
        &mut self,
        exchange: &mut Exchange<'_>,
        scripts: &Scripts,
        changed: Changed,
        outgoing: &mut Outgoing,
    ) {
        let request = &mut self.request;
        if changed.path || changed.query {
            outgoing.target.clear();
            outgoing.target.extend_from_slice(request.path.as_bytes());
            if let Some(query) = &request.query {
                outgoing.target.push(b'?');
                outgoing.target.extend_from_slice(query);
            }
        }
        if changed.method {
            exchange.kit.head.method = request.method.clone();
        }
        if changed.body {
            let body = match scripts.have_response() {
                true => request.body.clone(),
                false => request.body.take(),
            };
            let body = body.unwrap_or_default();
            request.headers.remove(&name::TRANSFER_ENCODING);
            request.headers.remove(&name::TRAILER);
            // A method that comes without a body needs no length for none.
            if !body.is_empty() || request.headers.contains(&name::CONTENT_LENGTH) {
                let mut digits = itoa::Buffer::new();
                request.headers.set(&name::CONTENT_LENGTH, digits.format(body.len()).as_bytes());
            }
            buffer::set_request_body(exchange, body);
        }
        if let Some(body) = &mut exchange.body {
            body.edited = std::mem::take(&mut request.edited);
        }
        // What scripts read is asked for whole, and in no coding: they would not find in a piece what they are there for.
        const OF_THE_CODING: [Name; 3] = [name::ACCEPT_ENCODING, name::IF_RANGE, name::RANGE];
        let reads = scripts.needs.response_body && scripts.have_response();
        if changed.headers || changed.body || reads {
            outgoing.lines.clear();
            request.headers.write_where(&mut outgoing.lines, |entry| {
                !(entry.is(&name::HOST) || reads && OF_THE_CODING.iter().any(|name| entry.is(name)))
            });
            if reads {
                write_header(&mut outgoing.lines, &name::ACCEPT_ENCODING, b"identity");
            }
        }
    }

    /// Makes the client's request say what the scripts left, for as long as the parts look at it.
    fn show_parts(&mut self, exchange: &mut Exchange<'_>, scripts: &Scripts, changed: Changed) {
        let head = &mut exchange.kit.head;
        if changed.query {
            self.asked.query = Some(head.query().map(<[u8]>::to_vec));
            head.set_query(self.request.query.as_deref());
        }
        if changed.headers || changed.body {
            self.asked.headers = Some(std::mem::replace(&mut head.headers, self.request.headers.clone()));
        }
        if changed.body {
            let body = match scripts.have_response() {
                true => self.request.body.clone(),
                false => self.request.body.take(),
            };
            buffer::set_request_body(exchange, body.unwrap_or_default());
        }
    }

    /// The request is out: what follows is about the one that the client sent.
    pub(crate) fn sent(&self, exchange: &mut Exchange<'_>) {
        exchange.kit.head.method.clone_from(&self.method);
    }

    /// Whether the scripts have a part in the answer.
    pub(crate) fn see_answer(&self, exchange: &Exchange<'_>) -> bool {
        self.scripts().is_some_and(Scripts::have_response) || self.is_other(exchange)
    }

    /// Bytes that the answer's body may have, where all of it has to be here before the scripts see it.
    pub(crate) fn whole_answer(&self, exchange: &Exchange<'_>, status: u16) -> Option<usize> {
        let scripts = self.scripts().filter(|_| status != 101)?;
        let named = scripts.needs.response_body && scripts.have_response() && !exchange.is_head();
        (named || self.is_other(exchange)).then_some(scripts.answer_bytes)
    }

    /// Whether the answer has a body where the client waits for none, or the other way round.
    fn is_other(&self, exchange: &Exchange<'_>) -> bool {
        exchange.is_head() != (self.request.method == Method::Head)
    }

    /// Hands the answer to each script in order. The first that answers by itself ends it.
    pub(crate) fn response<'a>(
        &mut self,
        exchange: &Exchange<'_>,
        mut outcome: Outcome<'a>,
    ) -> Result<Passed<'a>, Reject> {
        let active = self.active.clone();
        let Some(scripts) = scripts(&active, self.route).filter(|scripts| scripts.have_response()) else {
            return Ok(Passed::On(outcome));
        };
        // What they would make of the body is not known where there is none.
        let unseen =
            scripts.needs.response_body && exchange.is_head() && matches!(outcome, Outcome::Answer(_));
        let mut response = take_response(&mut outcome);
        let status = response.status;
        if status == 101 {
            // The connection is the tunnel's.
            return Ok(Passed::On(put_response(exchange, outcome, response, status, false)));
        }
        for (at, script) in scripts.list.iter().enumerate().filter(|(_, script)| script.has_response()) {
            let call = |vm: &mut Vm, session: &mut Session, request: &mut Request| {
                vm.response(script, session, request, &mut response)
            };
            match self.call(exchange, at, call) {
                Ok(Verdict::Continue) => {}
                Ok(Verdict::Respond(respond)) => {
                    let reply = reply(exchange, respond);
                    return Ok(Passed::Answered(match outcome {
                        Outcome::Answer(mut answer) if unseen => {
                            answer.head.set_status(reply.status);
                            answer.head.headers = reply.headers;
                            Outcome::Answer(answer)
                        }
                        outcome => {
                            give_up(exchange, outcome);
                            Outcome::Reply(reply)
                        }
                    }));
                }
                Err(reject) => {
                    give_up(exchange, outcome);
                    return Err(reject);
                }
            }
        }
        Ok(Passed::On(put_response(exchange, outcome, response, status, unseen)))
    }

    fn call(
        &mut self,
        exchange: &Exchange<'_>,
        at: usize,
        call: impl FnOnce(&mut Vm, &mut Session, &mut Request) -> Result<Verdict, Failure>,
    ) -> Result<Verdict, Reject> {
        let Some(session) = self.sessions.get_mut(at) else {
            return Err(Reject::internal("a script without a session"));
        };
        let request = &mut self.request;
        let started = Instant::now();
        let outcome = exchange.worker.scripting.call(&self.caller, |vm| call(vm, session, request));
        if !exchange.is_explained() {
            self.active.series.count_script(self.route, started.elapsed());
        }
        outcome.map_err(|failure| refusal(failure.cause))
    }

    /// What the script did cannot be done.
    fn fault(&self, exchange: &Exchange<'_>, script: &Script, message: &str) -> Reject {
        let (file, message) = (script.name().to_owned(), message.to_owned());
        exchange
            .worker
            .scripting
            .failed(&self.caller, &Failure { cause: Cause::Error, file, line: 0, message });
        refusal(Cause::Error)
    }

    fn scripts(&self) -> Option<&Scripts> {
        scripts(&self.active, self.route)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.worker.scripting.keep_spare(std::mem::take(&mut self.request));
    }
}

fn scripts(active: &Active, route: RouteId) -> Option<&Scripts> {
    active.route(Some(route))?.scripts.as_deref()
}

/// What the scripts did, where the request is only explained: what they changed, never to what.
fn tell(trail: &Trail, ran: &Result<ControlFlow<Reply<'static>, Changed>, Reject>) {
    let detail = match ran {
        Ok(ControlFlow::Break(reply)) => format!("a script answers {}", reply.status),
        Ok(ControlFlow::Continue(changed)) => {
            let all = [
                (changed.method, "the method"),
                (changed.path, "the path"),
                (changed.query, "the query"),
                (changed.headers, "headers"),
                (changed.body, "the body"),
            ];
            let named: Vec<&str> = all.into_iter().filter_map(|(did, what)| did.then_some(what)).collect();
            match named.is_empty() {
                true => "the scripts change nothing".to_owned(),
                false => format!("the scripts change {}", named.join(", ")),
            }
        }
        Err(reject) => return trail.refused(Stage::Script, reject),
    };
    trail.ok(Stage::Script, detail);
}

/// The client is told that a script failed, and nothing else.
fn refusal(cause: Cause) -> Reject {
    match cause {
        Cause::Full => Reject::new(Reason::Overloaded, "the gateway runs as many scripts as it can"),
        Cause::Error | Cause::Memory | Cause::Time | Cause::Steps => {
            Reject::new(Reason::ScriptError, "a script of the gateway failed")
        }
    }
}

/// What is about to be sent, with the parts that the scripts name.
fn of_request(request: &mut Request, exchange: &Exchange<'_>, scripts: &Scripts, outgoing: &Outgoing) {
    let mut target = outgoing.target.splitn(2, |byte| *byte == b'?');
    request.path.push_str(&String::from_utf8_lossy(target.next().unwrap_or_default()));
    request.query = target.next().map(<[u8]>::to_vec);
    request.headers.load_written(&outgoing.lines);
    if let Some(authority) = exchange.kit.head.authority() {
        request.headers.append(&name::HOST, authority);
    }
    of_either(request, exchange, scripts);
}

/// What the client sent, but for what concerns its connection alone.
fn of_client(request: &mut Request, exchange: &Exchange<'_>, scripts: &Scripts) {
    let head = &exchange.kit.head;
    request.path.push_str(exchange.path());
    request.query = head.query().map(<[u8]>::to_vec);
    request.headers.clone_from(&head.headers);
    remove_hop_by_hop(&mut request.headers);
    if !request.headers.contains(&name::HOST)
        && let Some(authority) = head.authority()
    {
        request.headers.append(&name::HOST, authority);
    }
    of_either(request, exchange, scripts);
}

fn of_either(request: &mut Request, exchange: &Exchange<'_>, scripts: &Scripts) {
    let needs = scripts.needs;
    request.method.clone_from(&exchange.kit.head.method);
    request.body = needs.request_body.then(|| buffer::with_request_body(exchange, <[u8]>::to_vec));
    let claims = || match &exchange.identity {
        Some(Identity::Token(verified)) => Some(verified.clone() as Rc<dyn tollgate_script::Claims>),
        _ => None,
    };
    request.facts = Facts {
        host: if needs.host { exchange.kit.host.clone() } else { String::new() },
        client_ip: exchange.facts.client_ip,
        consumer: if needs.consumer { exchange.consumer().map(str::to_owned) } else { None },
        params: if needs.params { params(exchange) } else { Vec::new() },
        claims: if needs.claims { claims() } else { None },
    };
}

fn params(exchange: &Exchange<'_>) -> Vec<(String, String)> {
    let pairs = exchange.kit.params.iter(&exchange.active.plan.table, exchange.path());
    pairs
        .map(|(name, value)| {
            (name.to_owned(), String::from_utf8_lossy(&path::percent_decode(value)).into_owned())
        })
        .collect()
}

/// What a script answers by itself: it was made of whatever the script looked at.
fn reply(exchange: &Exchange<'_>, respond: Respond) -> Reply<'static> {
    exchange.seen.unkept.set(true);
    Reply { status: respond.status, headers: respond.headers, body: Cow::Owned(respond.body) }
}

/// The answer as scripts are handed it.
fn take_response(outcome: &mut Outcome<'_>) -> Response {
    let (status, body) = match outcome {
        Outcome::Reply(reply) => (reply.status, Some(std::mem::take(&mut reply.body).into_owned())),
        Outcome::Answer(answer) => (answer.head.status, None),
    };
    let headers = outcome.headers();
    if status != 101 {
        remove_hop_by_hop(headers);
    }
    Response { status, headers: std::mem::take(headers), body, changed: Changed::default() }
}

/// The answer as scripts left it. `before` was its status. `unseen` says that they would have made something of a body that
/// is not here: the length of what is not known (RFC 9110 section 8.6).
fn put_response<'a>(
    exchange: &Exchange<'_>,
    outcome: Outcome<'a>,
    response: Response,
    before: u16,
    unseen: bool,
) -> Outcome<'a> {
    let Response { status, mut headers, body, changed } = response;
    let bodiless = |status| matches!(status, 204 | 205 | 304);
    if changed.status && bodiless(status) {
        // It tells of a body that does not come; 204 may not have it at all (RFC 9110 section 8.6).
        headers.remove(&name::CONTENT_LENGTH);
    }
    match outcome {
        Outcome::Reply(_) => {
            let body = body.filter(|_| !bodiless(status)).unwrap_or_default();
            Outcome::Reply(Reply { status, headers, body: Cow::Owned(body) })
        }
        // What has a body on the one side and none on the other cannot be passed on as it comes.
        Outcome::Answer(_) if changed.status && (bodiless(status) || bodiless(before)) => {
            give_up(exchange, outcome);
            Outcome::Reply(Reply { status, headers, body: Cow::Borrowed(&[]) })
        }
        Outcome::Answer(mut answer) => {
            answer.head.headers = headers;
            if unseen {
                answer.head.headers.remove(&name::CONTENT_LENGTH);
            } else if changed.body {
                // The answer to HEAD tells how long the body would be.
                let length = body.map_or(0, |body| body.len());
                let mut digits = itoa::Buffer::new();
                answer.head.headers.set(&name::CONTENT_LENGTH, digits.format(length).as_bytes());
            }
            if changed.status {
                answer.head.set_status(status);
            }
            Outcome::Answer(answer)
        }
    }
}

/// Ends the upstream's answer, which nobody reads any more.
fn give_up(exchange: &Exchange<'_>, outcome: Outcome<'_>) {
    if let Outcome::Answer(mut answer) = outcome {
        let status = answer.head.status;
        answer.ended(exchange, Ok(status), false);
    }
}
