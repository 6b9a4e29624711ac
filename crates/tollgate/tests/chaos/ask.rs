//! The questions that clients ask all the time, and what each answer has to be.

use std::ops::RangeInclusive;

use serde_json::{Value, json};
use tollgate_testkit::{AUDIENCE, Issuer, Response, SigningKey, now_unix_s};

use crate::dice::Dice;
use crate::ledger::{Area, Verdict};

/// How many users have a token.
const USERS: usize = 4;
/// Keys of each limited route, and how many requests of one pass at once.
pub(crate) const LIMITED_KEYS: usize = 3;
pub(crate) const BURST: u64 = 20;
/// Paths of the cached route.
const CACHED: u64 = 7;
/// The API key of the only consumer, and its hash as the configuration has it.
pub(crate) const KEY: &str = "tg_chaos-key-0123456789abcdefghijklmnopqr";
/// Bytes of the long answer.
pub(crate) const LONG_BYTES: usize = 256 * 1024;
/// Tokens are good for longer than any run.
const LIFE_S: u64 = 8 * 3600;

/// One question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// One of two targets answers.
    Pair,
    /// A target that is found by name answers.
    Named,
    Long,
    Cached,
    /// An aggregate of both upstreams.
    Parts,
    Script,
    /// A user's token; the service behind is told who.
    Token(usize),
    /// One of the tokens that are none.
    BadToken(usize),
    Key,
    BadKey(usize),
    /// A limit in Redis: exact, or else leased.
    Limited(usize, bool),
    /// A body that fits its schema, or does not.
    Posted(bool),
    /// Which configuration runs.
    Version,
    /// A route that only one configuration has.
    Only,
    Denied,
    Missing,
}

/// What clients know: credentials, good and bad.
pub(crate) struct Known {
    tokens: Vec<String>,
    /// What it is called, and the header line.
    bad: Vec<(&'static str, String)>,
    long: Vec<u8>,
}

impl Known {
    pub(crate) fn of(issuer: &Issuer) -> Known {
        let expires = now_unix_s() + LIFE_S;
        let token = |claims: Value| issuer.token(claims);
        let tokens =
            (0..USERS).map(|user| token(json!({ "sub": format!("u{user}"), "exp": expires }))).collect();
        let good = token(json!({ "sub": "u0", "exp": expires }));
        let (unsigned, signature) = good.rsplit_once('.').expect("a token has three parts");
        // Another character in the middle of the signature: the last one has bits that do not count.
        let mut altered = signature.to_owned();
        let middle = altered.len() / 2;
        let other = if &altered[middle..=middle] == "A" { "B" } else { "A" };
        altered.replace_range(middle..=middle, other);
        let foreign = SigningKey::generate("RS256", "key-1");
        let unknown = SigningKey::generate("RS256", "nobody");
        let claims = issuer.claims(json!({ "sub": "u0", "exp": expires }));
        let none = json!({ "alg": "none", "typ": "JWT" });
        let none = foreign.token_under(&none, &claims);
        let none = none.rsplit_once('.').map_or(none.clone(), |(unsigned, _)| format!("{unsigned}."));
        let bearer = |token: String| format!("Authorization: Bearer {token}\r\n");
        let bad = vec![
            ("no token", String::new()),
            ("no token at all", bearer("nonsense".into())),
            ("an altered signature", bearer(format!("{unsigned}.{altered}"))),
            ("no signature", bearer(format!("{unsigned}."))),
            ("a foreign key under a known name", bearer(foreign.token(&claims))),
            ("a key that nobody knows", bearer(unknown.token(&claims))),
            ("no algorithm", bearer(none)),
            ("expired long ago", bearer(token(json!({ "sub": "u0", "exp": 1000 })))),
            ("without an end", bearer(token(json!({ "sub": "u0", "exp": null })))),
            ("for others", bearer(token(json!({ "aud": format!("{AUDIENCE}-not"), "exp": expires })))),
            ("by others", bearer(token(json!({ "iss": "https://other.example/", "exp": expires })))),
        ];
        Known { tokens, bad, long: long() }
    }
}

/// The body of the long answer: no two places look the same.
pub(crate) fn long() -> Vec<u8> {
    (0..LONG_BYTES / 8).flat_map(|line| format!("{line:07x}\n").into_bytes()).collect()
}

impl Ask {
    /// A bad token that only somebody with keys can tell from a good one; it needs no service.
    pub(crate) const NEEDS_KEYS: Ask = Ask::BadToken(2);

    /// One of all, the dangerous ones more often.
    pub(crate) fn draw(dice: &mut Dice) -> Ask {
        match dice.below(20) {
            0 | 1 => Ask::Pair,
            2 | 3 => Ask::Named,
            4 => Ask::Long,
            5 => Ask::Cached,
            6 => Ask::Parts,
            7 => Ask::Script,
            8 | 9 => Ask::Token(dice.below(USERS)),
            10..=12 => Ask::BadToken(dice.below(11)),
            13 => Ask::Key,
            14 => Ask::BadKey(dice.below(3)),
            15 => Ask::Limited(dice.below(LIMITED_KEYS), dice.below(2) == 0),
            16 => Ask::Posted(dice.below(2) == 0),
            17 => Ask::Version,
            18 => Ask::Only,
            _ => *dice.one_of(&[Ask::Denied, Ask::Missing]),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Ask::Pair => "one of two targets",
            Ask::Named => "a target by name",
            Ask::Long => "a long answer",
            Ask::Cached => "a cached answer",
            Ask::Parts => "an aggregate",
            Ask::Script => "a script",
            Ask::Token(_) => "a good token",
            Ask::BadToken(_) => "a bad token",
            Ask::Key => "a good key",
            Ask::BadKey(_) => "a bad key",
            Ask::Limited(_, true) => "a limit, exact",
            Ask::Limited(_, false) => "a limit, leased",
            Ask::Posted(true) => "a body that fits",
            Ask::Posted(false) => "a body that does not fit",
            Ask::Version => "the configuration that runs",
            Ask::Only => "a route of one configuration",
            Ask::Denied => "a route for others",
            Ask::Missing => "no route",
        }
    }

    /// What it needs beside the gateway.
    pub(crate) fn areas(self) -> &'static [Area] {
        match self {
            Ask::Pair | Ask::Long | Ask::Cached => &[Area::Pair],
            Ask::Named => &[Area::Named],
            Ask::Parts => &[Area::Pair, Area::Named],
            Ask::Token(_) => &[Area::Token, Area::Pair],
            Ask::BadToken(_) => &[Area::Token],
            _ => &[],
        }
    }

    /// The request, with the number by which the access log knows it.
    pub(crate) fn request(self, known: &Known, number: u64, version: u64, keep: bool) -> String {
        let (path, lines, body) = match self {
            Ask::Token(user) => {
                // A name that only the gateway may say.
                let lines = format!("Authorization: Bearer {}\r\nX-User: root\r\n", known.tokens[user]);
                (self.path(number, version), lines, "")
            }
            Ask::BadToken(which) => (self.path(number, version), known.bad[which].1.clone(), ""),
            Ask::Key => (self.path(number, version), format!("X-Api-Key: {KEY}\r\n"), ""),
            Ask::BadKey(0) => (self.path(number, version), String::new(), ""),
            Ask::BadKey(1) => (self.path(number, version), format!("X-Api-Key: {KEY}x\r\n"), ""),
            Ask::BadKey(_) => (self.path(number, version), "X-Api-Key: \r\n".to_owned(), ""),
            Ask::Limited(key, _) => (self.path(number, version), format!("X-Key: {key}\r\n"), ""),
            Ask::Posted(fits) => {
                let body = if fits { r#"{"amount":7}"# } else { r#"{"amount":"all"}"# };
                let lines = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
                (self.path(number, version), lines, body)
            }
            _ => (self.path(number, version), String::new(), ""),
        };
        let method = if matches!(self, Ask::Posted(_)) { "POST" } else { "GET" };
        let close = if keep { "" } else { "Connection: close\r\n" };
        format!("{method} {path} HTTP/1.1\r\nHost: test\r\nX-Tag: {number}\r\n{lines}{close}\r\n{body}")
    }

    fn path(self, number: u64, version: u64) -> String {
        match self {
            Ask::Pair => format!("/pair/{number}"),
            Ask::Named => format!("/named/{number}"),
            Ask::Long => "/long/pattern".to_owned(),
            Ask::Cached => format!("/cached/{}", number % CACHED),
            Ask::Parts => format!("/parts/{number}"),
            Ask::Script => format!("/script/{number}"),
            Ask::Token(_) | Ask::BadToken(_) => format!("/token/{number}"),
            Ask::Key | Ask::BadKey(_) => format!("/key/{number}"),
            Ask::Limited(_, true) => format!("/exact/{number}"),
            Ask::Limited(_, false) => format!("/leased/{number}"),
            Ask::Posted(_) => format!("/posted/{number}"),
            Ask::Version => "/version".to_owned(),
            Ask::Only => format!("/only/{version}"),
            Ask::Denied => format!("/denied/{number}"),
            Ask::Missing => format!("/missing/{number}"),
        }
    }

    /// What an answer is. `versions` are the configurations that may have given it: from the one that was known to run
    /// when it was asked, to the last one that was begun when it came.
    pub(crate) fn judge(
        self,
        known: &Known,
        number: u64,
        versions: &RangeInclusive<u64>,
        answer: &Response,
    ) -> Verdict {
        let path = self.path(number, *versions.start());
        match self {
            Ask::Pair | Ask::Cached => served(answer, &["one", "two"], &path, "", self.tag(number)),
            Ask::Named => served(answer, &["named"], &path, "", self.tag(number)),
            Ask::Token(user) => served(answer, &["one", "two"], &path, &format!("u{user}"), self.tag(number)),
            Ask::Long if answer.status == 200 => told(answer.body == known.long, answer),
            Ask::Parts if answer.status == 200 => parts(answer, number),
            Ask::Script => is_text(answer, &format!("script {number}")),
            Ask::Key => is_text(answer, "robot"),
            Ask::Posted(true) => is_text(answer, "fits"),
            Ask::Limited(..) if answer.status == 429 => told(answer.code() == "rate_limited", answer),
            Ask::Limited(..) => is_text(answer, "passed"),
            Ask::Version if answer.status == 200 => {
                let ran = answer.text().strip_prefix("version ").and_then(|text| text.parse().ok());
                told(ran.is_some_and(|version: u64| versions.contains(&version)), answer)
            }
            Ask::Only if answer.status == 404 && versions.end() > versions.start() => Verdict::Right,
            Ask::Only => is_text(answer, &format!("only {}", versions.start())),
            Ask::BadToken(which) => {
                let verdict = refused(answer, 401, "token_");
                name_it(verdict, known.bad[which].0)
            }
            Ask::BadKey(_) => refused(answer, 401, "key_"),
            Ask::Posted(false) => refused(answer, 400, "schema_invalid"),
            Ask::Denied => refused(answer, 403, "ip_denied"),
            Ask::Missing => refused(answer, 404, "route_not_found"),
            Ask::Long | Ask::Parts | Ask::Version => error(answer),
        }
    }

    /// The number that the service behind saw, where the answer was made for this request alone.
    fn tag(self, number: u64) -> Option<u64> {
        (self != Ask::Cached).then_some(number)
    }
}

/// An answer of a service: for this request, by one of those, with what the gateway told it.
fn served(answer: &Response, by: &[&str], path: &str, user: &str, tag: Option<u64>) -> Verdict {
    if answer.status != 200 {
        return error(answer);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let right = by.iter().any(|by| body["by"] == *by)
        && body["uri"] == path
        && body["user"] == user
        && body["method"] == "GET"
        && tag.is_none_or(|tag| body["tag"].as_str().and_then(|text| text.parse().ok()) == Some(tag));
    told(right, answer)
}

fn parts(answer: &Response, number: u64) -> Verdict {
    if answer.head.all("x-tollgate-completed") == ["false"] {
        return Verdict::Error("incomplete".into());
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let part = |name: &str, by: &[&str]| {
        by.iter().any(|by| body[name]["by"] == *by) && body[name]["uri"] == format!("/{name}/{number}")
    };
    told(part("a", &["one", "two"]) && part("b", &["named"]), answer)
}

fn is_text(answer: &Response, text: &str) -> Verdict {
    match answer.status {
        200 => told(answer.text() == text, answer),
        _ => error(answer),
    }
}

/// A refusal with this status and a code that begins so.
fn refused(answer: &Response, status: u16, code: &str) -> Verdict {
    if answer.status == status {
        return told(answer.code().starts_with(code), answer);
    }
    error(answer)
}

/// An error that the gateway tells; whatever else comes instead of the right answer is wrong.
fn error(answer: &Response) -> Verdict {
    let code = answer.code();
    if answer.status >= 400 && !code.is_empty() { Verdict::Error(code) } else { told(false, answer) }
}

fn told(right: bool, answer: &Response) -> Verdict {
    if right {
        return Verdict::Right;
    }
    let text = answer.text();
    let start: String = text.chars().take(160).collect();
    Verdict::Wrong(format!("{} with {} bytes, {start:?}", answer.status, answer.body.len()))
}

fn name_it(verdict: Verdict, what: &str) -> Verdict {
    match verdict {
        Verdict::Wrong(text) => Verdict::Wrong(format!("{what}: {text}")),
        other => other,
    }
}

/// The judge has no mercy with whoever is let in, and tells errors from wrong answers.
#[test]
fn what_the_judge_says() {
    let known = Known { tokens: Vec::new(), bad: vec![("no token", String::new())], long: long() };
    let answer =
        |status: u16, body: &str| Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
    let body = |by: &str, uri: &str, tag: &str| {
        json!({ "by": by, "uri": uri, "user": "", "method": "GET", "tag": tag }).to_string()
    };
    let problem = |code: &str| json!({ "code": code }).to_string();
    let error = |code: &str| Some(Verdict::Error(code.into()));
    // None: wrong.
    for (ask, answer, expect) in [
        (Ask::Pair, answer(200, &body("one", "/pair/5", "5")), Some(Verdict::Right)),
        (Ask::Pair, answer(200, &body("one", "/pair/6", "6")), None),
        (Ask::Pair, answer(200, &body("named", "/pair/5", "5")), None),
        (Ask::Pair, answer(502, &problem("upstream_connect")), error("upstream_connect")),
        (Ask::Pair, answer(502, "<html>"), None),
        (Ask::Cached, answer(200, &body("two", "/cached/5", "3")), Some(Verdict::Right)),
        (Ask::BadToken(0), answer(401, &problem("token_missing")), Some(Verdict::Right)),
        (Ask::BadToken(0), answer(200, "hello"), None),
        (Ask::BadToken(0), answer(503, &problem("issuer_unavailable")), error("issuer_unavailable")),
        (Ask::Limited(0, true), answer(429, &problem("rate_limited")), Some(Verdict::Right)),
        (Ask::Version, answer(200, "version 3"), Some(Verdict::Right)),
        (Ask::Version, answer(200, "version 2"), None),
        (Ask::Version, answer(200, "version 5"), None),
        (Ask::Only, answer(404, &problem("route_not_found")), Some(Verdict::Right)),
        (Ask::Denied, answer(200, ""), None),
        (Ask::Long, answer(200, "0000000\n"), None),
    ] {
        let verdict = ask.judge(&known, 5, &(3..=4), &answer);
        match expect {
            Some(expect) => assert_eq!(verdict, expect, "{ask:?} {answer:?}"),
            None => assert!(matches!(verdict, Verdict::Wrong(_)), "{ask:?} {answer:?}: {verdict:?}"),
        }
    }
}
