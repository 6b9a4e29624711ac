//! The gateway that runs: what it answers to a request, and what its admin side tells of it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use serde_json::Value;
use tollgate_plan::Reason;
use tollgate_plan::issuer::HttpUrl;
use tollgate_proxy::{Told, send};

use super::wishes::Wish;
use crate::admin_side::AdminSide;
use crate::remote::block_on;

/// To a whole answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Bytes of an answer that are read. What a test can hold is less.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// The record of a request comes right behind its answer; one that did not come by then is not told at all.
const RECORD_WITHIN: Duration = Duration::from_millis(500);

/// Between two looks for it.
const PAUSE: Duration = Duration::from_millis(10);

/// Records that are looked through for the one of a request: others send requests meanwhile.
const RECORDS: &str = "/api/v1/requests?limit=200";

/// Requests in a row without a record, after which it is not asked for any more.
const UNTOLD_MAX: u32 = 3;

/// A gateway that runs.
pub(super) struct Live<'a> {
    url: &'a HttpUrl,
    admin: Option<AdminSide>,
    /// Ids of the records that were there before.
    known: HashSet<String>,
    untold: u32,
    /// Why the admin side is not asked.
    pub(super) silent: Option<String>,
}

/// What came of a request.
pub(super) struct Answer {
    pub(super) told: Told,
    /// The access record, where one was found that can be of no other request.
    pub(super) record: Option<Value>,
}

impl Answer {
    /// The problem that the gateway tells, where the answer is one (RFC 9457).
    fn problem(&self) -> Option<Value> {
        let is_problem = self.told.header("content-type") == Some("application/problem+json");
        is_problem.then(|| serde_json::from_slice(&self.told.body).ok()).flatten()
    }

    /// Why the gateway answered by itself. A service may answer with problems, too: the record knows better.
    pub(super) fn reason(&self) -> Option<Reason> {
        let problem = self.problem();
        let code = match &self.record {
            Some(record) => record["reason"].as_str(),
            None => problem.as_ref().filter(|one| one["request_id"].is_string())?["code"].as_str(),
        };
        Reason::ALL.iter().copied().find(|reason| Some(reason.code()) == code)
    }
}

impl<'a> Live<'a> {
    /// Looks whether somebody answers at `url` as this gateway does. TRACE goes to no service: every gateway of this kind
    /// answers it with a problem of its own.
    pub(super) fn open(url: &'a HttpUrl, admin: AdminSide) -> Result<Live<'a>, String> {
        let place = place(url);
        let request = Request::builder().method("TRACE").uri("/").header("host", url.authority());
        let request = request.body(Full::default()).map_err(|error| error.to_string())?;
        let told = ask(url, request).map_err(|error| format!("{place}: {error}"))?;
        let answer = Answer { told, record: None };
        if answer.told.status != 501 || answer.reason() != Some(Reason::MethodNotImplemented) {
            return Err(format!(
                "{place}: no gateway of this kind answers there: TRACE is {} and not 501 method_not_implemented",
                answer.told.status
            ));
        }
        let mut live = Live { url, admin: None, known: HashSet::new(), untold: 0, silent: None };
        match admin.json(RECORDS) {
            Ok(list) => {
                live.known = records(&list).filter_map(id).collect();
                live.admin = Some(admin);
            }
            Err(why) => live.silent = Some(why),
        }
        Ok(live)
    }

    /// Sends a request, once.
    pub(super) fn ask(&mut self, wish: &Wish) -> Result<Answer, String> {
        let mut request = Request::builder().method(wish.method.as_str()).uri(&wish.target);
        let host = wish.host.clone().unwrap_or_else(|| self.url.authority());
        for (name, value) in std::iter::once(&("host".to_owned(), host)).chain(&wish.headers) {
            request = request.header(name, value);
        }
        let body = wish.body.clone().unwrap_or_default();
        let request = request.body(Full::from(body)).map_err(|_| "it cannot be sent".to_owned())?;
        let mut answer = Answer { told: ask(self.url, request)?, record: None };
        answer.record = self.record(wish, &answer);
        Ok(answer)
    }

    /// The record that came with an answer.
    fn record(&mut self, wish: &Wish, answer: &Answer) -> Option<Value> {
        let admin = self.admin.clone()?;
        let path = wish.target.split('?').next().unwrap_or_default();
        let told_id = answer.problem().and_then(|problem| Some(problem["request_id"].as_str()?.to_owned()));
        let until = Instant::now() + RECORD_WITHIN;
        loop {
            let Ok(list) = admin.json(RECORDS) else { return None };
            let new = records(&list).filter(|one| id(one).is_some_and(|id| !self.known.contains(&id)));
            let fits = |one: &&Value| {
                one["method"] == wish.method.as_str()
                    && one["status"].as_u64() == Some(answer.told.status.into())
            };
            let mut fitting: Vec<&Value> = new.filter(fits).collect();
            if fitting.len() > 1 {
                // Others send the same: the id decides where it was told, and else the path as it is.
                fitting.retain(|one| match &told_id {
                    Some(told) => one["id"] == told.as_str(),
                    None => one["path"] == path,
                });
            }
            if let [record] = fitting.as_slice() {
                let record = (*record).clone();
                self.known = records(&list).filter_map(id).collect();
                self.untold = 0;
                return Some(record);
            }
            if !fitting.is_empty() || Instant::now() >= until {
                break;
            }
            let _ = block_on(tokio::time::sleep(PAUSE));
        }
        self.untold += 1;
        if self.untold == UNTOLD_MAX {
            self.admin = None;
            self.silent = Some("its admin side told nothing of the requests".to_owned());
        }
        None
    }
}

/// Where a gateway is, for messages.
pub(super) fn place(url: &HttpUrl) -> String {
    format!("{}://{}", if url.tls { "https" } else { "http" }, url.authority())
}

fn ask(url: &HttpUrl, request: Request<Full<Bytes>>) -> Result<Told, String> {
    block_on(send(url, request, ANSWER_BYTES_MAX, ANSWER_WITHIN))?.map_err(|error| error.to_string())
}

fn records(list: &Value) -> impl Iterator<Item = &Value> {
    list["requests"].as_array().into_iter().flatten()
}

fn id(record: &Value) -> Option<String> {
    Some(record["id"].as_str()?.to_owned())
}
