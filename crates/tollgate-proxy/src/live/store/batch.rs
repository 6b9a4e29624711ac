//! Calls of the bucket script, many in one pipeline.

use std::rc::Rc;
use std::sync::{Arc, LazyLock};

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script};
use tokio::task::JoinSet;
use tollgate_policy::limit::script::BUCKET;

/// The script's name in Redis: the hash of its text.
static HASH: LazyLock<String> = LazyLock::new(|| Script::new(BUCKET).get_hash().to_owned());

/// Everything that the bucket script asks of a server and of the user's rights, and nothing else.
const PROBE: &str =
    "redis.call('TIME') redis.call('GET', KEYS[1]) redis.call('SET', KEYS[1], '1', 'PX', '1000')";
static PROBE_HASH: LazyLock<String> = LazyLock::new(|| Script::new(PROBE).get_hash().to_owned());

/// Why a whole server cannot be used, by the code of its error: there is no sense in asking it for other keys.
const UNUSABLE: [&str; 12] = [
    "READONLY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "NOREPLICAS",
    "MISCONF",
    "OOM",
    "BUSY",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
    // A node of a cluster that was not configured as one.
    "MOVED",
];

/// One call of the script, and who hears of the answer.
pub(super) struct Call {
    pub(super) key: Arc<str>,
    pub(super) args: [u64; 12],
    pub(super) done: Done,
}

/// Hears of an answer, or that there is none: exactly once, also when the call is dropped.
pub(super) struct Done(Option<Hear>);

type Hear = Box<dyn FnOnce(Option<[i64; 4]>)>;

impl Done {
    pub(super) fn new(done: impl FnOnce(Option<[i64; 4]>) + 'static) -> Done {
        Done(Some(Box::new(done)))
    }

    pub(super) fn answer(mut self, numbers: Option<[i64; 4]>) {
        if let Some(done) = self.0.take() {
            done(numbers);
        }
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done(None);
        }
    }
}

/// A connection to one server, or to a cluster of them. Cheap to clone.
#[derive(Clone)]
pub(super) enum Connection {
    One {
        connection: MultiplexedConnection,
        /// What carries it, and ends with the last copy, whatever the server does. Empty where the library has it.
        _task: Rc<JoinSet<()>>,
    },
    Cluster(ClusterConnection),
}

/// What one call came to.
pub(super) type Answer = Result<[i64; 4], RedisError>;

impl Connection {
    /// Makes all calls in one round trip, and once more those whose server had forgotten the script.
    pub(super) async fn run(&mut self, calls: &[Call]) -> RedisResult<Vec<Answer>> {
        match self {
            Connection::One { connection, .. } => run_piped(connection, calls).await,
            Connection::Cluster(cluster) => Ok(run_each(cluster, calls).await),
        }
    }

    /// Does what the script does, with a key that lasts a second: only a server that takes writes can count, and only
    /// a user who may run scripts.
    pub(super) async fn probe(&mut self) -> RedisResult<()> {
        match self.probe_by("EVALSHA", &PROBE_HASH).await {
            Err(error) if error.code() == Some("NOSCRIPT") => self.probe_by("EVAL", PROBE).await,
            done => done,
        }
    }

    async fn probe_by(&mut self, how: &str, script: &str) -> RedisResult<()> {
        let mut probe = redis::cmd(how);
        probe.arg(script).arg(1).arg(format!("{}alive", super::key::PREFIX));
        match self {
            Connection::One { connection, .. } => probe.exec_async(connection).await,
            Connection::Cluster(cluster) => probe.exec_async(cluster).await,
        }
    }
}

async fn run_piped(one: &mut MultiplexedConnection, calls: &[Call]) -> RedisResult<Vec<Answer>> {
    let mut answers = pipe(one, calls.iter(), "EVALSHA", &HASH).await?;
    let forgotten = answers.iter().enumerate().filter(|(_, answer)| is_forgotten(answer));
    let again: Vec<usize> = forgotten.map(|(at, _)| at).collect();
    if again.is_empty() {
        return Ok(answers);
    }
    // With the whole text each time: behind one connection there may be several servers.
    let texts = again.iter().filter_map(|at| calls.get(*at));
    let new = pipe(one, texts, "EVAL", BUCKET).await?;
    for (at, answer) in again.into_iter().zip(new) {
        if let Some(old) = answers.get_mut(at) {
            *old = answer;
        }
    }
    Ok(answers)
}

/// A pipeline goes to one node, and the keys are spread over all: each call goes its own way, and all at once.
async fn run_each(cluster: &ClusterConnection, calls: &[Call]) -> Vec<Answer> {
    let mut under_way = JoinSet::new();
    for (at, call) in calls.iter().enumerate() {
        let (mut cluster, key, args) = (cluster.clone(), call.key.clone(), call.args);
        under_way.spawn_local(async move {
            let mut answer: RedisResult<Numbers> =
                command("EVALSHA", &HASH, &key, &args).query_async(&mut cluster).await;
            if is_forgotten(&answer) {
                answer = command("EVAL", BUCKET, &key, &args).query_async(&mut cluster).await;
            }
            (at, answer)
        });
    }
    let none = || RedisError::from((ErrorKind::Io, "the call was given up"));
    let mut answers: Vec<Answer> = calls.iter().map(|_| Err(none())).collect();
    while let Some(done) = under_way.join_next().await {
        if let Ok((at, answer)) = done
            && let Some(place) = answers.get_mut(at)
        {
            *place = answer.map(array);
        }
    }
    answers
}

type Numbers = (i64, i64, i64, i64);

fn array((a, b, c, d): Numbers) -> [i64; 4] {
    [a, b, c, d]
}

async fn pipe<'c>(
    one: &mut MultiplexedConnection,
    calls: impl Iterator<Item = &'c Call>,
    how: &str,
    script: &str,
) -> RedisResult<Vec<Answer>> {
    let mut pipe = Pipeline::new();
    pipe.ignore_errors();
    for call in calls {
        pipe.add_command(command(how, script, &call.key, &call.args));
    }
    let answers: Vec<RedisResult<Numbers>> = pipe.query_async(one).await?;
    Ok(answers.into_iter().map(|answer| answer.map(array)).collect())
}

fn command(how: &str, script: &str, key: &str, args: &[u64]) -> Cmd {
    let mut command = redis::cmd(how);
    command.arg(script).arg(1).arg(key).arg(args);
    command
}

fn is_forgotten<T>(answer: &RedisResult<T>) -> bool {
    answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT"))
}

/// Whether the error is about the server and not about one key.
pub(super) fn is_unusable(error: &RedisError) -> bool {
    let told = [error.code(), error.detail()];
    // A script's error names the cause in its text, on older servers only there.
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || told.into_iter().flatten().any(|text| {
            UNUSABLE
                .iter()
                .any(|code| text.split(|c: char| !c.is_ascii_uppercase()).any(|word| word == *code))
        })
}
