//! Calls of the bucket script, many in one pipeline.

use std::sync::{Arc, LazyLock};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{Pipeline, RedisError, RedisResult, Script};
use tollgate_policy::limit::script::BUCKET;

/// The script's name in Redis: the hash of its text.
static HASH: LazyLock<String> = LazyLock::new(|| Script::new(BUCKET).get_hash().to_owned());

/// Why a whole server cannot be used, by the code of its error: there is no sense in asking it for other keys.
const UNUSABLE: [&str; 11] = [
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
];

/// One call of the script, and who hears of the answer.
pub(super) struct Call {
    pub(super) key: Arc<str>,
    pub(super) args: [u64; 12],
    pub(super) done: Done,
}

/// Hears of an answer, or that there is none: exactly once, also when the call is dropped.
pub(super) struct Done(Option<Box<dyn FnOnce(Option<[i64; 4]>)>>);

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
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// What one call came to.
pub(super) type Answer = Result<[i64; 4], RedisError>;

impl Connection {
    /// Makes all calls in one round trip, and once more those whose server had forgotten the script.
    pub(super) async fn run(&mut self, calls: &[Call]) -> RedisResult<Vec<Answer>> {
        let mut answers = self.pipe(calls.iter(), "EVALSHA", &HASH).await?;
        let forgotten =
            |answer: &Answer| answer.as_ref().is_err_and(|error| error.code() == Some("NOSCRIPT"));
        let again: Vec<usize> =
            answers.iter().enumerate().filter(|(_, answer)| forgotten(answer)).map(|(at, _)| at).collect();
        if !again.is_empty() {
            // With the whole text each time: behind one connection there may be several servers.
            let texts = again.iter().filter_map(|at| calls.get(*at));
            let new = self.pipe(texts, "EVAL", BUCKET).await?;
            for (at, answer) in again.into_iter().zip(new) {
                if let Some(old) = answers.get_mut(at) {
                    *old = answer;
                }
            }
        }
        Ok(answers)
    }

    /// Writes something that lasts a second: only a server that takes writes can count.
    pub(super) async fn probe(&mut self) -> RedisResult<()> {
        let mut set = redis::cmd("SET");
        set.arg(format!("{}alive", super::key::PREFIX)).arg(1).arg("PX").arg(1000);
        match self {
            Connection::One(one) => set.exec_async(one).await,
            Connection::Cluster(cluster) => set.exec_async(cluster).await,
        }
    }

    async fn pipe<'c>(
        &mut self,
        calls: impl Iterator<Item = &'c Call>,
        command: &str,
        script: &str,
    ) -> RedisResult<Vec<Answer>> {
        let mut pipe = Pipeline::new();
        pipe.ignore_errors();
        for call in calls {
            pipe.cmd(command).arg(script).arg(1).arg(&*call.key).arg(&call.args[..]);
        }
        let answers = match self {
            Connection::One(one) => query(&pipe, one).await?,
            Connection::Cluster(cluster) => query(&pipe, cluster).await?,
        };
        Ok(answers.into_iter().map(|answer| answer.map(|(a, b, c, d)| [a, b, c, d])).collect())
    }
}

type Numbers = (i64, i64, i64, i64);

async fn query(pipe: &Pipeline, on: &mut impl ConnectionLike) -> RedisResult<Vec<RedisResult<Numbers>>> {
    pipe.query_async(on).await
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
