//! One gateway with its stubs, and the tests that run on it one after the other. Nothing of a test is left for the next.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HeaderMap;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tollgate_plan::Plan;
use tollgate_plan::auth::Place;
use tollgate_plan::listener::ListenAddress;
use tollgate_plan::proof::Proof;
use tollgate_proxy::{Control, Following, Gateway, Held};

use super::compare::{self, Fault, Found};
use super::keys::{self, Keys};
use super::stage::{Addresses, Stage};
use super::stub::{self, Seen, Stubs};
use super::veil::Veil;
use super::{Looked, Outcome};

/// An answer may take so long: longer than any wait of a test after it was shortened.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// The record of a request comes right behind its answer.
const RECORD_WITHIN: Duration = Duration::from_secs(2);

/// Bytes of an answer's body.
const BODY_BYTES_MAX: usize = 64 << 20;

/// Records that may wait to be told: before the last of many requests they are asked for.
const UNTOLD_MAX: u32 = 100;

/// The gateway ends within this time; a thread that does not is left to the end of the process.
const END_WITHIN: Duration = Duration::from_secs(5);

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct Lane<'a> {
    runtime: Runtime,
    set: Set<'a>,
}

struct Set<'a> {
    plan: &'a Plan,
    keys: &'a Keys,
    /// When the time for all tests is over.
    until: Option<Instant>,
    stage: Stage,
    stubs: Stubs,
    gateway: SocketAddr,
    control: Control,
    records: Records,
    /// Over the credentials of the test that is running.
    veil: Veil,
    /// Bound, and never listening.
    _refused: TcpSocket,
}

/// The access records of the gateway.
struct Records {
    following: Following,
    /// How many were told, and how many requests were sent.
    told: u64,
    sent: u64,
    last: Option<Value>,
}

impl<'a> Lane<'a> {
    /// Starts a gateway and its stubs on free ports of the loopback.
    pub(super) fn start(
        plan: &'a Plan,
        proofs: &[&Proof],
        keys: &'a Keys,
        until: Option<Instant>,
    ) -> Result<Lane<'a>, String> {
        let failed = |error: std::io::Error| format!("the tests cannot be set up: {error}");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let set = runtime.block_on(Set::start(plan, proofs, keys, until));
        Ok(Lane { set: set.map_err(failed)?, runtime })
    }

    /// Runs a test.
    pub(super) fn run(&mut self, proof: &Proof, number: usize) -> Outcome {
        let began = Instant::now();
        let set = &mut self.set;
        set.veil = Veil::of(proof);
        let mut outcome = self.runtime.block_on(set.run(proof, number)).unwrap_or_else(|error| Outcome {
            faults: vec![Fault::new("request", "an answer", &error)],
            sent: compare::sent(proof),
            answer: String::new(),
            notes: Vec::new(),
            took: Duration::ZERO,
        });
        set.veil.over(&mut outcome);
        outcome.took = began.elapsed();
        outcome
    }
}

impl Lane<'_> {
    /// The same for those who make tests.
    pub(super) fn look(&mut self, proof: &Proof, number: usize) -> Looked {
        self.set.veil = Veil::default();
        let looked = self.runtime.block_on(self.set.look(proof, number));
        looked.unwrap_or_else(|error| Looked {
            faults: vec![Fault::new("request", "an answer", &error)],
            route: None,
            paths: Vec::new(),
        })
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        let control = self.set.control.clone();
        control.begin_drain();
        // Who waits longer than that waits for nothing.
        let _ = self.runtime.block_on(async { timeout(END_WITHIN, control.drained()).await });
    }
}

impl<'a> Set<'a> {
    async fn start(
        plan: &'a Plan,
        proofs: &[&Proof],
        keys: &'a Keys,
        until: Option<Instant>,
    ) -> std::io::Result<Set<'a>> {
        let stubs = Stubs::default();
        let mut own = HashMap::new();
        for proof in proofs {
            for id in proof.stubs.iter().map(|(id, _)| *id).chain(proof.expect.upstream) {
                if let Entry::Vacant(place) = own.entry(id) {
                    place.insert(stub::service(&stubs, Some(id)).await?);
                }
            }
        }
        let refused = TcpSocket::new_v4()?;
        refused.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let gateway = listener.local_addr()?;
        let addresses = Addresses {
            gateway,
            own,
            rest: stub::service(&stubs, None).await?,
            issuers: stub::issuers(keys.words()).await?,
            refused: refused.local_addr()?,
        };
        let stage = Stage::new(plan, addresses, keys);
        let address = ListenAddress::Tcp(gateway);
        let held = Held { address, sockets: vec![listener.into()], lent: false };
        let started = Gateway::start_still(stage.blank.clone(), vec![held]);
        let control = started.map_err(std::io::Error::other)?.control();
        let following = control.follow().await;
        let following = following.ok_or_else(|| std::io::Error::other("nobody tells what was recorded"))?;
        let records = Records { following, told: 0, sent: 0, last: None };
        Ok(Set {
            plan,
            keys,
            until,
            stage,
            stubs,
            gateway,
            control,
            records,
            veil: Veil::default(),
            _refused: refused,
        })
    }

    /// The last answer, its record, and what services were sent for it.
    async fn meet(
        &mut self,
        proof: &Proof,
        number: usize,
    ) -> Result<(Answer, Option<Value>, Vec<Seen>), String> {
        {
            let mut scene = stub::lock(&self.stubs);
            scene.stubs = proof.stubs.iter().cloned().collect();
            scene.seen.clear();
        }
        self.apply(self.stage.plan(proof, number)).await?;
        let answer = self.ask(proof, number).await?;
        let record = self.record().await?;
        let seen: Vec<Seen> = std::mem::take(&mut stub::lock(&self.stubs).seen);
        Ok((answer, record, seen))
    }

    async fn look(&mut self, proof: &Proof, number: usize) -> Result<Looked, String> {
        let (answer, record, seen) = self.meet(proof, number).await?;
        let found = Found { plan: self.plan, answer: &answer, record: record.as_ref(), seen: &seen };
        let route = record.as_ref().and_then(|record| record.get("route")?.as_str());
        Ok(Looked {
            faults: found.compare(&proof.expect),
            route: route.map(str::to_owned),
            paths: seen.into_iter().map(|one| one.path).collect(),
        })
    }

    async fn run(&mut self, proof: &Proof, number: usize) -> Result<Outcome, String> {
        let (answer, record, seen) = self.meet(proof, number).await?;
        let found = Found { plan: self.plan, answer: &answer, record: record.as_ref(), seen: &seen };
        let faults = found.compare(&proof.expect);
        if faults.is_empty() {
            return Ok(Outcome::passing());
        }
        Ok(Outcome {
            faults,
            sent: compare::sent(proof),
            answer: found.shown(),
            notes: found.notes(proof),
            took: Duration::ZERO,
        })
    }

    /// Sends the request as often as it is wanted. The last answer.
    async fn ask(&mut self, proof: &Proof, number: usize) -> Result<Answer, String> {
        let request = self.request(proof)?;
        let mut connection = None;
        for _ in 1..proof.repeat {
            if self.until.is_some_and(|until| Instant::now() >= until) {
                return Err("none: the time for all tests is over".to_owned());
            }
            self.send(proof.request.ip, &request, &mut connection).await?;
        }
        if proof.repeat > UNTOLD_MAX {
            // Nothing changes by it, but that the records so far are told.
            self.apply(self.stage.plan(proof, number)).await?;
        }
        self.records.take();
        stub::lock(&self.stubs).seen.clear();
        self.send(proof.request.ip, &request, &mut connection).await
    }

    async fn send(
        &mut self,
        from: IpAddr,
        request: &Request<Full<Bytes>>,
        connection: &mut Option<SendRequest<Full<Bytes>>>,
    ) -> Result<Answer, String> {
        self.records.sent += 1;
        let gateway = self.gateway;
        let exchange = async {
            let mut kept = connection.take();
            let is_open = match &mut kept {
                Some(kept) => kept.ready().await.is_ok(),
                None => false,
            };
            let mut sender = match kept.filter(|_| is_open) {
                Some(kept) => kept,
                None => connect(gateway, from).await?,
            };
            let response = sender.send_request(request.clone()).await.map_err(|error| error.to_string())?;
            let (head, body) = response.into_parts();
            let body =
                Limited::new(body, BODY_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
            *connection = Some(sender);
            Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
        };
        let answer = timeout(ANSWER_WITHIN, exchange).await;
        self.records.take();
        answer.unwrap_or_else(|_| Err(format!("none within {} s", ANSWER_WITHIN.as_secs())))
    }

    /// The request, with the credentials that are made for it.
    fn request(&mut self, proof: &Proof) -> Result<Request<Full<Bytes>>, String> {
        let wanted = &proof.request;
        let mut path = wanted.path.to_string();
        let mut lines: Vec<(String, String)> = vec![("host".to_owned(), wanted.host.to_string())];
        lines.extend(wanted.headers.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        if let Some(token) = &wanted.token {
            let text = self.keys.token(self.plan, token)?;
            self.veil.hide(&text);
            let bare = !matches!(&token.place, Place::Header(name) if name.as_str() == "authorization");
            let text = if bare { text } else { format!("Bearer {text}") };
            show(&token.place, &text, &mut path, &mut lines);
        }
        if let Some((consumer, place)) = &wanted.key {
            let text = keys::api_key(*consumer);
            self.veil.hide(&text);
            show(place, &text, &mut path, &mut lines);
        }
        let mut builder = Request::builder().method(wanted.method.as_str()).uri(path);
        for (name, value) in lines {
            builder = builder.header(name, value.as_bytes());
        }
        let body = Full::new(Bytes::copy_from_slice(&wanted.body));
        builder.body(body).map_err(|error| format!("none: the request cannot be sent: {error}"))
    }

    async fn apply(&self, plan: Plan) -> Result<(), String> {
        self.control.apply(plan).await.map(drop).map_err(|error| error.to_string())
    }

    /// The record of the last request. What lives of the test's plan ends here.
    async fn record(&mut self) -> Result<Option<Value>, String> {
        let until = Instant::now() + RECORD_WITHIN;
        loop {
            // A worker that gets another plan tells its records first.
            self.apply(self.stage.blank.clone()).await?;
            self.records.take();
            if self.records.told >= self.records.sent {
                return Ok(self.records.last.take());
            }
            if Instant::now() >= until {
                self.records.sent = self.records.told;
                return Ok(None);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Records {
    /// Takes what was told meanwhile.
    fn take(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(news)) = self.following.poll_next(&mut cx) {
            let lines = || news.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            self.told += news.missed + lines().count() as u64;
            if let Some(last) = lines().next_back() {
                self.last = serde_json::from_slice(last).ok();
            }
        }
    }
}

/// Puts a credential where the route takes it.
fn show(place: &Place, text: &str, path: &mut String, lines: &mut Vec<(String, String)>) {
    match place {
        Place::Header(name) => lines.push((name.to_string(), text.to_owned())),
        Place::Cookie(name) => match lines.iter_mut().find(|(header, _)| header == "cookie") {
            Some((_, cookies)) => *cookies = format!("{cookies}; {name}={text}"),
            None => lines.push(("cookie".to_owned(), format!("{name}={text}"))),
        },
        Place::Query(name) => {
            path.push(if path.contains('?') { '&' } else { '?' });
            path.push_str(&format!("{name}={text}"));
        }
    }
}

/// A connection that comes from this address, as the PROXY header says it (version 1).
async fn connect(gateway: SocketAddr, from: IpAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let failed = |error: std::io::Error| format!("none: {error}");
    let mut stream = TcpStream::connect(gateway).await.map_err(failed)?;
    // Thousands of tests would leave as many ports behind that wait.
    stream.set_zero_linger().map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let header = match from {
        IpAddr::V4(from) => format!("PROXY TCP4 {from} 127.0.0.1 40000 8080\r\n"),
        IpAddr::V6(from) => format!("PROXY TCP6 {from} ::1 40000 8080\r\n"),
    };
    stream.write_all(header.as_bytes()).await.map_err(failed)?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        // What went wrong, whoever sent a request is told.
        let _ = connection.await;
    });
    Ok(sender)
}
