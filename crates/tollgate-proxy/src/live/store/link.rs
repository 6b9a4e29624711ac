//! One worker's way to Redis: what waits to be sent, whether the server can be used, and how it comes back.
//!
//! Nobody waits longer than `redis.timeout`. After one answer that did not come, nobody waits at all until a probe
//! was answered: a server that hangs costs one request its timeout, not every request.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{ErrorKind, RedisError, RedisResult};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tollgate_plan::redis::Redis;

use super::batch::{Answer, Call, Connection, is_unusable};
use super::client;
use super::health::StoreHealth;
use crate::upstream::NameServers;

/// Calls of one pipeline. More wait for the next, so that the first answers come early.
const CALLS_MAX: usize = 512;
/// Connecting, with everything that belongs to it, takes no longer.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A connection that is used or not: the server is asked so often whether it is still there.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Pauses between two attempts to connect: the first, and the longest.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A connection that lasted so long was a good one.
const STEADY: Duration = Duration::from_secs(5);
/// How often it is looked whether the last calls are over.
const SETTLE_EVERY: Duration = Duration::from_millis(1);

pub(super) struct Link {
    settings: Redis,
    /// Who is asked for the address of the server.
    servers: NameServers,
    health: Arc<StoreHealth>,
    /// Its number there; none once another link took its place.
    number: Cell<Option<u64>>,
    state: RefCell<State>,
    /// Connections so far. What comes of an older one says nothing about the present one.
    connected: Cell<u64>,
    /// The state is another one.
    changed: Notify,
    queue: RefCell<Vec<Call>>,
    /// The queue is not empty.
    filled: Notify,
    /// Pipelines under way.
    flying: Cell<usize>,
}

enum State {
    /// The first attempt: whoever asks waits for its end.
    Connecting,
    Up(Numbered),
    Down,
}

#[derive(Clone)]
struct Numbered {
    connection: Connection,
    number: u64,
}

impl Link {
    pub(super) fn new(settings: &Redis, servers: &NameServers, health: Arc<StoreHealth>) -> Rc<Link> {
        let number = Cell::new(Some(health.enter()));
        Rc::new(Link {
            settings: settings.clone(),
            servers: servers.clone(),
            health,
            number,
            state: RefCell::new(State::Connecting),
            connected: Cell::new(0),
            changed: Notify::new(),
            queue: RefCell::default(),
            filled: Notify::new(),
            flying: Cell::new(0),
        })
    }

    /// Whether there is no sense in asking.
    pub(super) fn is_down(&self) -> bool {
        matches!(*self.state.borrow(), State::Down)
    }

    /// Sends a call with the others of this turn of the worker's loop.
    pub(super) fn enqueue(&self, call: Call) {
        if self.is_down() {
            return call.done.answer(None);
        }
        self.queue.borrow_mut().push(call);
        self.filled.notify_one();
    }

    /// Waits until nothing is under way; bounded, because every call is.
    pub(super) async fn settle(&self) {
        while !self.queue.borrow().is_empty() || self.flying.get() > 0 {
            sleep(SETTLE_EVERY).await;
        }
    }

    /// Another link is of interest now. Requests that began before go on with this one.
    pub(super) fn step_aside(&self) {
        if let Some(number) = self.number.take() {
            self.health.leave(number);
        }
    }

    /// Nobody asks any more.
    pub(super) fn retire(&self) {
        self.step_aside();
        self.queue.take().into_iter().for_each(|call| call.done.answer(None));
    }

    async fn connection(&self) -> Option<Numbered> {
        loop {
            let changed = self.changed.notified();
            match &*self.state.borrow() {
                State::Up(connection) => return Some(connection.clone()),
                State::Down => return None,
                State::Connecting => {}
            }
            changed.await;
        }
    }

    fn is_up(&self, number: u64) -> bool {
        matches!(&*self.state.borrow(), State::Up(up) if up.number == number)
    }

    fn rise(&self, connection: Connection) -> Numbered {
        let number = self.connected.get() + 1;
        self.connected.set(number);
        let up = Numbered { connection, number };
        *self.state.borrow_mut() = State::Up(up.clone());
        if let Some(link) = self.number.get() {
            self.health.up(link);
        }
        self.changed.notify_waiters();
        up
    }

    /// The connection of this number turned out to be of no use; without a number, that none came in time.
    fn fail(&self, number: Option<u64>, fault: &str) {
        let present = match (&*self.state.borrow(), number) {
            (State::Up(up), Some(number)) => up.number == number,
            (State::Connecting, None) => true,
            _ => false,
        };
        if present {
            self.fall(fault);
        }
    }

    fn fall(&self, fault: &str) {
        self.state.replace(State::Down);
        if let Some(link) = self.number.get() {
            self.health.down(link, fault);
        }
        self.changed.notify_waiters();
    }
}

/// Runs for the life of the store: connects, probes, connects again.
pub(super) async fn keep_up(link: Rc<Link>) {
    let mut failures = 0;
    loop {
        match within(CONNECT_WITHIN, connect(&link.settings, &link.servers)).await {
            Ok(connection) => {
                let began = Instant::now();
                let up = link.rise(connection);
                watch(&link, up).await;
                // One that comes and goes is asked as seldom as one that does not come.
                failures = if began.elapsed() < STEADY { failures + 1 } else { 0 };
            }
            Err(fault) => {
                failures += 1;
                link.fall(&fault);
            }
        }
        sleep(backoff(failures)).await;
    }
}

async fn connect(settings: &Redis, servers: &NameServers) -> RedisResult<Connection> {
    let mut connection = client::connect(settings, servers).await?;
    connection.probe().await?;
    Ok(connection)
}

/// Until the connection is of no use any more.
async fn watch(link: &Link, up: Numbered) {
    let Numbered { mut connection, number } = up;
    loop {
        let changed = link.changed.notified();
        if !link.is_up(number) {
            return;
        }
        if timeout(PROBE_EVERY, changed).await.is_ok() {
            continue;
        }
        if let Err(fault) = within(link.settings.timeout.max(RETRY_MIN), connection.probe()).await {
            link.fail(Some(number), &fault);
        }
    }
}

/// Runs for the life of the store: what was asked in one turn of the worker's loop goes out together.
pub(super) async fn flush(link: Rc<Link>) {
    loop {
        link.filled.notified().await;
        // Requests that are ready in this turn join in.
        tokio::task::yield_now().await;
        let mut calls = link.queue.take();
        while !calls.is_empty() {
            let rest = calls.split_off(calls.len().min(CALLS_MAX));
            tokio::task::spawn_local(send(link.clone(), calls, Flight::begin(&link)));
            calls = rest;
        }
    }
}

async fn send(link: Rc<Link>, calls: Vec<Call>, _flight: Flight) {
    let number = Cell::new(None);
    let asked = async {
        let Some(mut up) = link.connection().await else { return Ok(None) };
        number.set(Some(up.number));
        up.connection.run(&calls).await.map(Some)
    };
    match within(link.settings.timeout, asked).await {
        Ok(Some(answers)) => deal_out(&link, number.get(), calls, answers),
        // Dropping the calls tells everybody that there is no answer.
        Ok(None) => drop(calls),
        Err(fault) => {
            link.fail(number.get(), &fault);
            drop(calls);
        }
    }
}

fn deal_out(link: &Link, number: Option<u64>, calls: Vec<Call>, answers: Vec<Answer>) {
    for (call, answer) in calls.into_iter().zip(answers) {
        match answer {
            Ok(numbers) => call.done.answer(Some(numbers)),
            Err(error) => {
                if is_unusable(&error) {
                    link.fail(number, &told(&error));
                } else {
                    tracing::debug!(error = told(&error), "a limit could not be counted in Redis");
                }
                call.done.answer(None);
            }
        }
    }
}

/// A pipeline under way, however it ends.
struct Flight(Rc<Link>);

impl Flight {
    fn begin(link: &Rc<Link>) -> Flight {
        link.flying.set(link.flying.get() + 1);
        Flight(link.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.flying.set(self.0.flying.get().saturating_sub(1));
    }
}

async fn within<T>(time: Duration, done: impl Future<Output = RedisResult<T>>) -> Result<T, String> {
    match timeout(time, done).await {
        Ok(result) => result.map_err(|error| told(&error)),
        Err(_) => Err(format!("no answer within {} ms", time.as_millis())),
    }
}

/// What the operator is told: a server's own words where it had any. Servers do not repeat passwords in their errors,
/// and the library does not either.
fn told(error: &RedisError) -> String {
    let text = match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) => "Redis refuses the user or the password".to_owned(),
        (_, Some(code)) => {
            let detail = error.detail().unwrap_or_default();
            // Which line of the script it was helps nobody.
            format!("{code} {}", detail.split(" script: ").next().unwrap_or_default())
        }
        _ => error.to_string(),
    };
    text.replace(['\n', '\r'], " ")
}

/// Doubles with every failure, and is spread, so that workers and gateways do not all come at once.
fn backoff(failures: u32) -> Duration {
    let longest = RETRY_MIN.saturating_mul(1 << failures.min(16)).min(RETRY_MAX);
    let mut spread = [0];
    // Without randomness the time is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut spread);
    longest.mul_f64(0.5 + f64::from(spread[0]) / 512.0)
}

#[cfg(test)]
mod tests;
