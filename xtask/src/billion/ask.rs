//! What the clients ask, and what each answer has to be.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;

use super::connection::Answer;
use super::zones::{ZONES, Zones};

/// Where clients come from, as the gateway must learn it from the balancer.
const CLIENT: &str = "10.77.0.2";

/// The owner who asks for more than the limit of `reports` allows.
const GREEDY: &str = "greedy";

/// A kind of question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a token that gateways have seen before.
    Known,
    /// With a token that none has seen.
    Fresh,
    /// Without a token: 401.
    Missing,
    /// With a token whose signature was changed: 401.
    Forged,
    /// More often than the limit allows: 200 or 429.
    Greedy,
}

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it has to be.
    Right,
    /// 429, where the limit may be reached.
    Limited,
    /// None, or an error that the gateway or the balancer tells.
    Failed(String),
    /// One that must never be given, whatever fails.
    Wrong(String),
}

/// One question.
pub(super) struct Ask {
    pub(super) kind: Kind,
    pub(super) path: String,
    owner: String,
    token: Option<String>,
    /// On a connection of its own.
    pub(super) alone: bool,
}

/// The tokens of all owners.
pub(super) struct Asks {
    known: Vec<String>,
    forged: Vec<String>,
    fresh: Vec<String>,
    greedy: String,
    /// How many of `fresh` were sent.
    used: AtomicUsize,
}

impl Asks {
    /// Has the tokens made.
    pub(super) fn new(zones: &Zones, owners: usize, fresh: usize) -> Result<Asks> {
        let known: Vec<String> =
            (0..owners).map(|number| zones.token(&format!("user-{number}"))).collect::<Result<_>>()?;
        let fresh = (0..fresh).map(|number| zones.token(&format!("user-{}", number % owners)));
        Ok(Asks {
            forged: known.iter().map(|token| forged(token)).collect(),
            fresh: fresh.collect::<Result<_>>()?,
            greedy: zones.token(GREEDY)?,
            known,
            used: AtomicUsize::new(0),
        })
    }

    /// The question with this number: of a hundred, ten reach for a limit, two are bad, five have a new token while there are any,
    /// and a quarter comes on a connection of its own.
    pub(super) fn number(&self, number: u64) -> Ask {
        let kind = match number % 100 {
            at if at % 10 == 9 => Kind::Greedy,
            0 => Kind::Missing,
            50 => Kind::Forged,
            at if at % 20 == 7 => Kind::Fresh,
            _ => Kind::Known,
        };
        let alone = kind == Kind::Greedy || number.is_multiple_of(4);
        let user = number as usize % self.known.len();
        let mut ask = Ask {
            kind,
            path: format!("/orders/{number}"),
            owner: format!("user-{user}"),
            token: Some(self.known[user].clone()),
            alone,
        };
        match kind {
            Kind::Known => {}
            Kind::Missing => ask.token = None,
            Kind::Forged => ask.token = Some(self.forged[user].clone()),
            Kind::Greedy => {
                ask.path = format!("/reports/{number}");
                ask.owner = GREEDY.to_owned();
                ask.token = Some(self.greedy.clone());
            }
            Kind::Fresh => {
                let at = self.used.fetch_add(1, Ordering::Relaxed);
                match self.fresh.get(at) {
                    None => ask.kind = Kind::Known,
                    Some(token) => {
                        ask.owner = format!("user-{}", at % self.known.len());
                        ask.token = Some(token.clone());
                    }
                }
            }
        }
        ask
    }

    /// A request that the service takes its time for.
    pub(super) fn slow(&self, number: usize) -> String {
        let token = &self.known[number % self.known.len()];
        format!("GET /slow/{number} HTTP/1.1\r\nHost: billion\r\nAuthorization: Bearer {token}\r\n\r\n")
    }
}

impl Ask {
    pub(super) fn request(&self) -> String {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n"));
        let close = if self.alone { "Connection: close\r\n" } else { "" };
        // A name and an address that only the gateway may say.
        format!(
            "GET {} HTTP/1.1\r\nHost: billion\r\nX-User: root\r\nX-Forwarded-For: 192.0.2.1\r\n{}{close}\r\n",
            self.path,
            token.unwrap_or_default()
        )
    }

    /// What an answer is, and which zone gave it, where that can be known.
    pub(super) fn judge(&self, answer: &Answer) -> (Verdict, Option<&'static str>) {
        match (self.kind, answer.status) {
            (Kind::Missing, 401) => (self.refusal(answer, "token_missing"), None),
            (Kind::Forged, 401) => (self.refusal(answer, "token_signature"), None),
            (Kind::Greedy, 429) => match self.refusal(answer, "rate_limited") {
                Verdict::Right => (Verdict::Limited, None),
                other => (other, None),
            },
            (Kind::Missing | Kind::Forged, 200..=399) => (wrong(answer), None),
            (_, 200) => {
                let zone = ZONES.into_iter().find(|zone| answer.body == self.expected(zone).as_bytes());
                (if zone.is_some() { Verdict::Right } else { wrong(answer) }, zone)
            }
            (_, 400..) => (Verdict::Failed(format!("{} {}", answer.status, answer.code())), None),
            _ => (wrong(answer), None),
        }
    }

    fn expected(&self, zone: &str) -> String {
        let Ask { path, owner, .. } = self;
        format!(r#"{{"zone":"{zone}","path":"{path}","user":"{owner}","client":"{CLIENT}"}}"#)
    }

    fn refusal(&self, answer: &Answer, code: &str) -> Verdict {
        if answer.code() == code { Verdict::Right } else { wrong(answer) }
    }
}

fn wrong(answer: &Answer) -> Verdict {
    let start: String = String::from_utf8_lossy(&answer.body).chars().take(160).collect();
    Verdict::Wrong(format!("{}: {start}", answer.status))
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

    fn asks() -> Asks {
        let tokens = |count: usize| (0..count).map(|number| format!("h.c{number}.abcdef")).collect();
        Asks {
            known: tokens(3),
            forged: tokens(3),
            fresh: tokens(1),
            greedy: "g".into(),
            used: AtomicUsize::new(0),
        }
    }

    #[test]
    fn the_judge_has_no_mercy_with_whoever_is_let_in() {
        let body = |path: &str, user: &str, client: &str| {
            format!(r#"{{"zone":"b","path":"{path}","user":"{user}","client":"{client}"}}"#)
        };
        let problem = |code: &str| format!(r#"{{"code":"{code}"}}"#);
        let right = (Verdict::Right, Some("b"));
        for (number, status, body, expect) in [
            (1, 200, body("/orders/1", "user-1", CLIENT), Some(right)),
            (1, 200, body("/orders/2", "user-1", CLIENT), None),
            (1, 200, body("/orders/1", "root", CLIENT), None),
            (1, 200, body("/orders/1", "user-1", "192.0.2.1"), None),
            (
                1,
                502,
                problem("upstream_connect"),
                Some((Verdict::Failed("502 upstream_connect".into()), None)),
            ),
            (0, 401, problem("token_missing"), Some((Verdict::Right, None))),
            (0, 200, body("/orders/0", "", CLIENT), None),
            (50, 401, problem("token_signature"), Some((Verdict::Right, None))),
            (50, 401, problem("token_missing"), None),
            (50, 200, body("/orders/50", "user-2", CLIENT), None),
            (9, 429, problem("rate_limited"), Some((Verdict::Limited, None))),
            (9, 200, body("/reports/9", "greedy", CLIENT), Some((Verdict::Right, Some("b")))),
            (1, 429, problem("rate_limited"), Some((Verdict::Failed("429 rate_limited".into()), None))),
        ] {
            let answer = Answer { status, closes: false, body: body.clone().into_bytes() };
            let verdict = asks().number(number).judge(&answer);
            match expect {
                Some(expect) => assert_eq!(verdict, expect, "{number} {body}"),
                None => assert!(matches!(verdict.0, Verdict::Wrong(_)), "{number} {body}: {verdict:?}"),
            }
        }
    }

    #[test]
    fn a_token_that_is_fresh_is_sent_once() {
        let asks = asks();
        let kinds = [7, 27, 47].map(|number| asks.number(number).kind);
        assert_eq!(kinds, [Kind::Fresh, Kind::Known, Kind::Known]);
    }

    #[test]
    fn a_forged_token_has_another_signature_and_nothing_else() {
        assert_eq!(forged("h.c.xyzAuvw"), "h.c.xyzBuvw");
        assert_eq!(forged("h.c.xyzxuvw"), "h.c.xyzAuvw");
    }
}
