//! What a day's clients ask, and what each answer has to be.

use std::ops::RangeInclusive;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::stack::Stack;
use crate::replay::client::Answer;
use crate::replay::scatter::scattered;

/// People with RS256 tokens for orders: so many that none of them reaches the limit, also with half of it.
const PEOPLE: usize = 300;
/// Owners for the busy route, by kind of token.
const BUSY: usize = 64;
const JOBS: usize = 16;
/// Tokens of the key that comes during the day.
const FRESH: usize = 8;

/// The key whose hash stands in the example.
const API_KEY: &str = "tg_vpsExampleKeyThatIsNoSecretAtAll00000000000";

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Rs256,
    Es256,
    Hs256,
    Orders,
    Greedy,
    Reports,
    Missing,
    Forged,
    Expired,
    Nowhere,
    Health,
}

impl Kind {
    pub(super) const ALL: [Kind; 11] = [
        Kind::Rs256,
        Kind::Es256,
        Kind::Hs256,
        Kind::Orders,
        Kind::Greedy,
        Kind::Reports,
        Kind::Missing,
        Kind::Forged,
        Kind::Expired,
        Kind::Nowhere,
        Kind::Health,
    ];

    /// As in tables, and how many of a hundred requests are of it.
    pub(super) fn name_and_share(self) -> (&'static str, u64) {
        match self {
            Kind::Rs256 => ("stock, RS256", 40),
            Kind::Es256 => ("stock, ES256", 14),
            Kind::Hs256 => ("stock, HS256", 10),
            Kind::Orders => ("orders, RS256", 10),
            Kind::Greedy => ("orders of one who asks too often", 4),
            Kind::Reports => ("reports, API key", 4),
            Kind::Missing => ("no token", 6),
            Kind::Forged => ("a changed signature", 4),
            Kind::Expired => ("a token that is over", 2),
            Kind::Nowhere => ("a path that nobody has", 2),
            Kind::Health => ("health", 4),
        }
    }

    /// Whether it needs the service that is stopped during the day.
    pub(super) fn needs_stock(self) -> bool {
        matches!(self, Kind::Rs256 | Kind::Es256 | Kind::Hs256)
    }

    /// The status that must come, and in words what the body must be.
    pub(super) fn demand(self) -> (u16, &'static str) {
        match self {
            Kind::Rs256 | Kind::Es256 | Kind::Hs256 => {
                (200, "item, owner of the token, price and edition as the script writes them; no cost")
            }
            Kind::Orders => (200, "path and owner of the token"),
            Kind::Greedy => (200, "path and owner of the token; or 429 `rate_limited`"),
            Kind::Reports => (200, "path; or 429 `rate_limited`"),
            Kind::Missing => (401, "`token_missing`"),
            Kind::Forged => (401, "`token_signature`"),
            Kind::Expired => (401, "`token_expired`"),
            Kind::Nowhere => (404, "`route_not_found`"),
            Kind::Health => (200, "`\"status\":\"ok\"`"),
        }
    }

    /// Whether a limit may refuse it.
    pub(super) fn may_be_limited(self) -> bool {
        matches!(self, Kind::Greedy | Kind::Reports)
    }
}

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it has to be.
    Right,
    /// 429, where the limit may be reached.
    Limited,
    /// None, or an error that the gateway tells.
    Failed(String),
    /// One that must never be given, whatever fails.
    Wrong(String),
}

/// The tokens of one day.
pub(super) struct Mix {
    people: Vec<String>,
    es256: Vec<String>,
    hs256: Vec<String>,
    greedy: String,
    forged: Vec<String>,
    expired: String,
    /// Signed by a key that the issuer gets during the day.
    fresh: OnceLock<Vec<String>>,
}

/// One request.
pub(super) struct Ask {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    path: String,
    owner: String,
}

impl Mix {
    /// Has the tokens made.
    pub(super) fn prepare(stack: &Stack) -> Result<Mix> {
        let people = stack.many_tokens(PEOPLE, PEOPLE)?;
        let key = |name: &str| stack.dir().join(name).display().to_string();
        let (rs256, es256) = (key("RS256.json"), key("ES256.json"));
        let of = |words: &[&str], owner: String| {
            let claim = format!("sub={owner}");
            stack.token(&[words, &["--claim", &claim]].concat())
        };
        let main = ["--issuer", "main", "--key"];
        let one = |key: &str, owner: &str| of(&[&main[..], &[key]].concat(), owner.to_owned());
        Ok(Mix {
            es256: (0..BUSY).map(|at| one(&es256, &format!("buyer-{at}"))).collect::<Result<_>>()?,
            hs256: (0..JOBS)
                .map(|at| of(&["--issuer", "jobs"], format!("job-{at}")))
                .collect::<Result<_>>()?,
            greedy: one(&rs256, "greedy")?,
            forged: people.iter().take(BUSY).map(|token| forged(token)).collect(),
            expired: stack
                .token(&["--issuer", "main", "--key", &rs256, "--claim", "sub=late", "--claim", "exp=1"])?,
            people,
            fresh: OnceLock::new(),
        })
    }

    /// Gives the issuer another key, and has some of the requests come with its tokens from now on.
    pub(super) fn add_key(&self, stack: &Stack) -> Result<()> {
        let path = |name: &str| stack.dir().join(name).display().to_string();
        let (key, set) = (path("fresh.json"), path("jwks.json"));
        let words = ["--issuer", "main", "--alg", "ES256", "--key", &key, "--jwks", &set, "--claim"];
        let token = |at| stack.token(&[&words[..], &[format!("sub=fresh-{at}").as_str()]].concat());
        let tokens = (0..FRESH).map(token).collect::<Result<_>>()?;
        self.fresh.set(tokens).ok().context("there was a new key already")
    }

    /// The request with this number: the same in every run, but for the signatures.
    pub(super) fn number(&self, number: u64) -> Ask {
        let random = scattered(number);
        let kind = kind(random % 100);
        let pick = (random / 100) as usize;
        let (mut owner, mut path) = (String::new(), format!("/stock/item-{}", random / 100 % 1000));
        let mut token = None;
        let mut of = |tokens: &[String], count: usize, name: &str| {
            let at = pick % count.min(tokens.len()).max(1);
            owner = format!("{name}-{at}");
            token = tokens.get(at).cloned();
        };
        match (kind, self.fresh.get()) {
            (Kind::Es256, Some(fresh)) if pick.is_multiple_of(4) => of(fresh, FRESH, "fresh"),
            (Kind::Rs256, _) => of(&self.people, BUSY, "user"),
            (Kind::Es256, _) => of(&self.es256, BUSY, "buyer"),
            (Kind::Hs256, _) => of(&self.hs256, JOBS, "job"),
            (Kind::Orders, _) => of(&self.people, PEOPLE, "user"),
            (Kind::Forged, _) => of(&self.forged, BUSY, "user"),
            (Kind::Greedy, _) => (owner, token) = ("greedy".into(), Some(self.greedy.clone())),
            (Kind::Expired, _) => token = Some(self.expired.clone()),
            (Kind::Missing | Kind::Reports | Kind::Nowhere | Kind::Health, _) => {}
        }
        match kind {
            Kind::Orders | Kind::Greedy => path = format!("/orders/{number}"),
            Kind::Reports => path = format!("/reports/{number}"),
            Kind::Nowhere => path = format!("/nowhere/{number}"),
            Kind::Health => path = "/health".into(),
            _ => {}
        }
        let credential = match token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None if kind == Kind::Reports => format!("X-Api-Key: {API_KEY}\r\n"),
            None => String::new(),
        };
        // Names that only the gateway may say.
        let forged = "X-User: root\r\nX-Asked-As: buying\r\n";
        let bytes = format!("GET {path} HTTP/1.1\r\nHost: vps\r\n{forged}{credential}\r\n").into_bytes();
        Ask { kind, bytes, path, owner }
    }
}

impl Ask {
    /// What an answer is, when the configuration's edition may be one of these.
    pub(super) fn judge(&self, answer: &Answer, editions: &RangeInclusive<u64>) -> Verdict {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = body["code"].as_str().unwrap_or_default();
        let (status, _) = self.kind.demand();
        if answer.status == status && self.fits(&body, code, editions) {
            return Verdict::Right;
        }
        match (self.kind, answer.status) {
            (kind, 429) if kind.may_be_limited() && code == "rate_limited" => Verdict::Limited,
            (Kind::Health, 200) if body["status"] == "degraded" => Verdict::Failed("200 degraded".into()),
            (Kind::Missing | Kind::Forged | Kind::Expired | Kind::Nowhere, ..=499) | (_, ..=399) => {
                let start: String = String::from_utf8_lossy(&answer.body).chars().take(160).collect();
                Verdict::Wrong(format!("{}: {start}", answer.status))
            }
            (_, status) => Verdict::Failed(format!("{status} {code}").trim().to_owned()),
        }
    }

    fn fits(&self, body: &Value, code: &str, editions: &RangeInclusive<u64>) -> bool {
        let Ask { path, owner, .. } = self;
        match self.kind {
            Kind::Rs256 | Kind::Es256 | Kind::Hs256 => {
                let item = path.trim_start_matches("/stock/");
                let edition = body["edition"].as_u64().filter(|edition| editions.contains(edition));
                let expected = json!({
                    "from": "stock", "item": item, "for": owner, "asked_as": "customer", "on_hand": 42, "price": 19.99,
                    "edition": edition,
                });
                edition.is_some() && *body == expected
            }
            Kind::Orders | Kind::Greedy => *body == json!({ "from": "orders", "path": path, "for": owner }),
            Kind::Reports => *body == json!({ "from": "reports", "path": path }),
            Kind::Missing => code == "token_missing",
            Kind::Forged => code == "token_signature",
            Kind::Expired => code == "token_expired",
            Kind::Nowhere => code == "route_not_found",
            Kind::Health => body["status"] == "ok",
        }
    }
}

/// The kind of a number below a hundred.
fn kind(mut place: u64) -> Kind {
    for kind in Kind::ALL {
        let (_, share) = kind.name_and_share();
        if place < share {
            return kind;
        }
        place -= share;
    }
    Kind::Health
}

/// The token with another signature: one character in its middle is another one.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    let at = signature.len() / 2;
    let changed = signature.char_indices().map(|(place, letter)| match (place == at, letter) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, letter) => letter,
    });
    format!("{signed}.{}", changed.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix() -> Mix {
        let tokens = |count: usize| (0..count).map(|at| format!("h.c{at}.abcdef")).collect();
        Mix {
            people: tokens(PEOPLE),
            es256: tokens(BUSY),
            hs256: tokens(JOBS),
            greedy: "g".into(),
            forged: tokens(BUSY),
            expired: "e".into(),
            fresh: OnceLock::new(),
        }
    }

    fn of(wanted: Kind) -> Ask {
        (0..10_000)
            .map(|number| mix().number(number))
            .find(|ask| ask.kind == wanted)
            .expect("each kind comes")
    }

    #[test]
    fn shares_are_a_hundred_and_come_as_they_stand() {
        assert_eq!(Kind::ALL.iter().map(|kind| kind.name_and_share().1).sum::<u64>(), 100);
        for wanted in Kind::ALL {
            let seen = (0..100_000).filter(|number| kind(scattered(*number) % 100) == wanted).count();
            let (name, share) = wanted.name_and_share();
            assert!(seen.abs_diff(share as usize * 1000) < share as usize * 100 + 100, "{name}: {seen}");
        }
    }

    #[test]
    fn the_judge_knows_every_answer() {
        let item = |ask: &Ask, more: Value| {
            let mut body = json!({
                "from": "stock", "item": ask.path.trim_start_matches("/stock/"), "for": ask.owner, "asked_as": "customer",
                "on_hand": 42, "price": 19.99, "edition": 2,
            });
            let members = body.as_object_mut().expect("an object");
            more.as_object().expect("an object").iter().for_each(|(name, value)| {
                members.insert(name.clone(), value.clone());
            });
            body
        };
        let stock = of(Kind::Rs256);
        let order = of(Kind::Orders);
        let placed = json!({ "from": "orders", "path": order.path, "for": order.owner });
        let code = |code: &str| json!({ "code": code });
        let (right, wrong) = (Some(Verdict::Right), None);
        let failed = |how: &str| Some(Verdict::Failed(how.into()));
        for (ask, status, body, expect) in [
            (&stock, 200, item(&stock, json!({})), right.clone()),
            (&stock, 200, item(&stock, json!({ "edition": 1 })), wrong.clone()),
            (&stock, 200, item(&stock, json!({ "cost": 12.5 })), wrong.clone()),
            (&stock, 200, item(&stock, json!({ "for": "root" })), wrong.clone()),
            (&stock, 200, item(&stock, json!({ "asked_as": "buying" })), wrong.clone()),
            (&stock, 503, code("circuit_open"), failed("503 circuit_open")),
            (&stock, 401, code("token_expired"), failed("401 token_expired")),
            (&stock, 429, code("rate_limited"), failed("429 rate_limited")),
            (&order, 200, placed.clone(), right.clone()),
            (&order, 200, json!({ "from": "orders", "path": order.path, "for": "root" }), wrong.clone()),
            (&of(Kind::Greedy), 429, code("rate_limited"), Some(Verdict::Limited)),
            (&of(Kind::Greedy), 429, code("overloaded"), failed("429 overloaded")),
            (&of(Kind::Missing), 401, code("token_missing"), right.clone()),
            (&of(Kind::Missing), 200, item(&stock, json!({})), wrong.clone()),
            (&of(Kind::Forged), 401, code("token_signature"), right.clone()),
            (&of(Kind::Forged), 401, code("token_missing"), wrong.clone()),
            (&of(Kind::Expired), 401, code("token_expired"), right.clone()),
            (&of(Kind::Nowhere), 404, code("route_not_found"), right.clone()),
            (&of(Kind::Nowhere), 200, json!({}), wrong),
            (&of(Kind::Health), 200, json!({ "status": "degraded" }), failed("200 degraded")),
            (&of(Kind::Health), 200, json!({ "status": "ok" }), right),
        ] {
            let (head, text) = (String::new(), body.to_string().into_bytes());
            let answer = Answer { status, head, bytes: 0, body: text };
            let verdict = ask.judge(&answer, &(2..=3));
            match expect {
                Some(expect) => assert_eq!(verdict, expect, "{:?} {status} {body}", ask.kind),
                None => assert!(matches!(verdict, Verdict::Wrong(_)), "{:?} {status} {body}", ask.kind),
            }
        }
    }

    #[test]
    fn tokens_of_the_new_key_come_once_it_is_there() {
        let mix = mix();
        let fresh = || (0..10_000).filter(|number| mix.number(*number).owner.starts_with("fresh-")).count();
        assert_eq!(fresh(), 0);
        mix.fresh.set(vec!["h.f.abc".into(); FRESH]).expect("none yet");
        assert!(fresh() > 0);
    }

    #[test]
    fn a_forged_token_has_another_signature_and_nothing_else() {
        assert_eq!(forged("h.c.xyzAuvw"), "h.c.xyzBuvw");
        assert_eq!(forged("h.c.xyzxuvw"), "h.c.xyzAuvw");
    }
}
