//! The steps of an explanation, those included that had nothing to do.

use serde_json::{Map, Value};
use tollgate_plan::Reason;

use crate::trail::{Stage, Step, Verdict};

/// Every step: those that left notes, and those that had nothing to do or were not reached.
pub(super) fn all_steps(mut notes: Vec<Step>, ended: Option<Stage>) -> Vec<Value> {
    for (stage, why) in SKIPPED {
        if notes.iter().any(|note| note.stage == stage) {
            continue;
        }
        let on_the_way = !matches!(stage, Stage::Listen | Stage::Observe);
        let reached = ended.is_none_or(|ended| stage <= ended) || !on_the_way;
        notes.push(step(stage, Verdict::Skipped, if reached { why } else { "not reached" }));
    }
    notes.sort_by_key(|note| note.stage);
    notes.into_iter().map(of_step).collect()
}

/// What stages say that had nothing to do.
const SKIPPED: [(Stage, &str); 21] = [
    (Stage::Listen, "no connection is made"),
    (Stage::Parse, "not told"),
    (Stage::Route, "not told"),
    (Stage::Cors, "the route has no `cors`"),
    (Stage::Addresses, "neither `allow_ips` nor `deny_ips`"),
    (Stage::UserAgents, "no `user_agents`"),
    (Stage::RateLimit, "no limit that needs no identity"),
    (Stage::Credentials, "the route is public"),
    (Stage::Require, "nothing is required of callers"),
    (Stage::IdentityLimit, "no limit by identity"),
    (Stage::Concurrency, "no `concurrency`"),
    (Stage::Body, "no body"),
    (Stage::Guard, "no `guard`"),
    (Stage::Openapi, "no `validate.openapi`"),
    (Stage::Schema, "no schema"),
    (Stage::Cache, "no `cache`"),
    (Stage::Request, "nothing is sent to a service as it came"),
    (Stage::Script, "no script"),
    (Stage::Act, "nothing to do"),
    (Stage::Response, "no edits of the answer"),
    (Stage::Observe, "nothing is counted or written down"),
];

fn of_step(Step { stage, verdict, detail, more }: Step) -> Value {
    let mut told = Map::new();
    told.insert("stage".to_owned(), stage.as_str().into());
    told.insert("step".to_owned(), stage.number().into());
    told.insert("verdict".to_owned(), verdict.as_str().into());
    if let Verdict::Refused { status, reason } = verdict {
        told.insert("status".to_owned(), status.into());
        told.insert("reason".to_owned(), reason.code().into());
    }
    told.insert("detail".to_owned(), detail.into());
    told.extend(more);
    told.into()
}

pub(super) fn step(stage: Stage, verdict: Verdict, detail: &str) -> Step {
    Step { stage, verdict, detail: detail.to_owned(), more: Map::new() }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

/// The stage that refuses for this reason, of those that leave no note.
pub(super) fn stage_of(reason: Reason) -> Stage {
    match reason {
        Reason::RouteNotFound | Reason::MethodNotAllowed => Stage::Route,
        Reason::IpDenied => Stage::Addresses,
        Reason::UserAgentDenied => Stage::UserAgents,
        Reason::RateLimited | Reason::LimitStoreUnavailable => Stage::RateLimit,
        Reason::ScopeMissing | Reason::RoleMissing | Reason::GroupMissing | Reason::ClaimMismatch => {
            Stage::Require
        }
        Reason::ConcurrencyLimited => Stage::Concurrency,
        Reason::BodyTooLarge | Reason::RequestTimeout => Stage::Body,
        Reason::GuardFailed => Stage::Guard,
        Reason::SchemaInvalid => Stage::Schema,
        Reason::NotCached => Stage::Cache,
        Reason::TemplateValueMissing => Stage::Request,
        Reason::ScriptError => Stage::Script,
        Reason::BadRequestLine
        | Reason::BadHeader
        | Reason::BadFraming
        | Reason::BadPath
        | Reason::BadHost
        | Reason::UriTooLong
        | Reason::HeadersTooLarge
        | Reason::VersionNotSupported
        | Reason::ExpectationFailed
        | Reason::MethodNotImplemented
        | Reason::UpgradeRefused => Stage::Parse,
        _ if matches!(reason.status(), 401) => Stage::Credentials,
        Reason::IssuerUnavailable => Stage::Credentials,
        Reason::Overloaded => Stage::Memory,
        _ => Stage::Act,
    }
}
