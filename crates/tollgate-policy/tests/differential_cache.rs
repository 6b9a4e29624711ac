//! The rules of the cache beside those of http-cache-semantics, over answers and requests that are made up.
//!
//! Of each pair both say whether the answer may be given without asking the upstream, some time later. They agree, or
//! differ for a reason that stands here with its source. A reason that no case needs any more fails the test.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Request, Response};
use http_cache_semantics::{BeforeRequest, CacheOptions, CachePolicy};
use tollgate_plan::cache::Cache;
use tollgate_policy::cache::{Asked, Came, Use, Wish, suits, terms, use_of, varied};
use tollgate_wire::{HeaderBlock, Name, name};

/// `TOLLGATE_SEED` and `TOLLGATE_CASES` try others, and more.
const SEED: u64 = 0x0009_1111;
const CASES: u64 = 25_000;

/// `Sun, 06 Nov 1994 08:49:37 GMT`, when every answer comes.
const NOW_S: u64 = 784_111_777;

/// Whoever differs, and why.
type Reason = (Side, &'static str, fn(&Case) -> bool);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// Here the upstream is asked where the other cache answers.
    Stricter,
    /// Here the cache answers where the other one asks.
    Looser,
}

/// RFC 9111 is younger than the other cache, which follows RFC 7234.
const REASONS: &[Reason] = &[
    (
        Side::Looser,
        "`no-cache` and `private` with fields are about those fields (RFC 9111 sections 5.2.2.4, 5.2.2.7)",
        |case| case.answer_says("no-cache=") || case.answer_says("private="),
    ),
    (Side::Looser, "`proxy-revalidate` is about stale answers alone (RFC 9111 section 5.2.2.8)", |case| {
        case.answer_says("proxy-revalidate")
    }),
    (
        Side::Looser,
        "`must-understand` lifts `no-store` where the status is understood (RFC 9111 section 5.2.2.3)",
        |case| case.answer_says("must-understand") && case.answer_says("no-store"),
    ),
    (
        Side::Looser,
        "any final status may be kept where the answer says for how long (RFC 9111 section 3)",
        |case| ![200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501].contains(&case.status),
    ),
    (Side::Looser, "`Pragma` says nothing in an answer (RFC 9111 section 5.4)", |case| {
        case.answer_has("pragma")
    }),
    (
        Side::Looser,
        "`Pragma` of a request counts without `Cache-Control` alone (RFC 9111 section 5.4)",
        |case| case.asks("cache-control").is_some() && case.asks("pragma").is_some(),
    ),
    (Side::Looser, "names of directives count in any case (RFC 9111 section 5.2)", |case| {
        case.answer.iter().any(|(_, value)| value.contains("Max-Age"))
    }),
    (Side::Looser, "a number of seconds that is too large is the largest (RFC 9111 section 1.2.2)", |case| {
        case.answer_says("99999999999999999999")
    }),
    (Side::Looser, "a date may have any of three forms (RFC 9110 section 5.6.7)", |case| {
        case.answer.iter().any(|(name, value)| *name == "expires" && !value.contains("1994 "))
    }),
    (
        Side::Looser,
        "of a directive that stands twice the first counts (RFC 9111 section 4.2.1 lets it)",
        |case| case.contradicts_itself() && case.asks_says("max-stale"),
    ),
    (
        Side::Looser,
        "white space around the commas of a selecting header says nothing (RFC 9111 section 4.1)",
        |case| case.answer_has("vary") && case.is_asked_for(|value| value.contains(',')),
    ),
    (Side::Stricter, "an answer that sets a cookie is not kept", |case| case.answer_has("set-cookie")),
    (Side::Stricter, "the `Date` of an answer tells its age, too (RFC 9111 section 4.2.3)", |case| {
        case.answer_has("date")
    }),
    (Side::Stricter, "an `Age` with several members counts by its first (RFC 9111 section 5.1)", |case| {
        case.answer.iter().any(|(name, value)| *name == "age" && value.contains(','))
    }),
    (
        Side::Stricter,
        "nothing is kept stale that says `no-cache`, `s-maxage` or `proxy-revalidate` (RFC 9111 section 4.2.4)",
        |case| {
            case.asks_says("max-stale")
                && ["no-cache", "s-maxage", "proxy-revalidate"].iter().any(|word| case.answer_says(word))
        },
    ),
    (
        Side::Stricter,
        "what is of no use when it comes is not kept: a client that takes stale answers gets a new one",
        |case| case.asks_says("max-stale"),
    ),
    (
        Side::Stricter,
        "an answer that is as old as its lifetime allows with `min-fresh` is not fresh for longer than that",
        |case| case.asks_says("min-fresh"),
    ),
    (Side::Stricter, "a directive without its number says 0, where the other cache looks further", |case| {
        case.answer.iter().any(|(name, value)| {
            *name == "cache-control" && value.split(", ").any(|one| matches!(one, "max-age" | "s-maxage"))
        })
    }),
    (
        Side::Stricter,
        "directives that contradict each other make `must-revalidate` there, with which a caller's answer is everybody's",
        |case| case.first("authorization").is_some() && case.contradicts_itself(),
    ),
    (Side::Stricter, "`no-store` and `private` count in any case", |case| case.answer_says("No-Store")),
    (Side::Stricter, "a number with a sign is none (RFC 9111 section 1.2.2)", |case| case.answer_says("=+")),
    (Side::Stricter, "an answer with headers for one origin is for that origin", |case| {
        case.answer_has("access-control-allow-origin")
    }),
    (Side::Stricter, "each line of a selecting header counts, not the first alone", |case| {
        case.answer_has("vary")
            && case.later.iter().chain(&case.first).filter(|(name, _)| *name == "accept").count() > 2
    }),
    (
        Side::Stricter,
        "an answer to a request with `no-store` for the same key is not looked up either",
        |case| case.asks_says("no-store"),
    ),
];

/// An answer, the request that it was for, and one that comes later.
#[derive(Debug)]
struct Case {
    status: u16,
    answer: Vec<(&'static str, &'static str)>,
    first: Vec<(&'static str, &'static str)>,
    later: Vec<(&'static str, &'static str)>,
    after_s: u64,
}

impl Case {
    fn answer_has(&self, wanted: &str) -> bool {
        self.answer.iter().any(|(name, _)| *name == wanted)
    }

    fn answer_says(&self, word: &str) -> bool {
        self.answer.iter().any(|(name, value)| *name == "cache-control" && value.contains(word))
    }

    /// Whether a directive stands in the answer with two values.
    fn contradicts_itself(&self) -> bool {
        let lines = self.answer.iter().filter(|(name, _)| *name == "cache-control");
        let ages = lines.flat_map(|(_, value)| value.split(", ")).filter(|word| word.starts_with("max-age"));
        let ages: Vec<&str> = ages.collect();
        // There also where both are the same in quotes.
        ages.iter().skip(1).any(|one| *one != ages[0] || one.contains('"'))
    }

    /// Whether a request says so in `accept`.
    fn is_asked_for(&self, says: fn(&str) -> bool) -> bool {
        self.first.iter().chain(&self.later).any(|(name, value)| *name == "accept" && says(value))
    }

    fn first(&self, wanted: &str) -> Option<&'static str> {
        self.first.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    fn asks(&self, wanted: &str) -> Option<&'static str> {
        self.later.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
    }

    fn asks_says(&self, word: &str) -> bool {
        self.asks("cache-control").is_some_and(|value| value.contains(word))
    }
}

#[test]
fn both_caches_say_the_same_or_differ_for_a_reason() {
    let mut random = Random(number("TOLLGATE_SEED", SEED));
    let cases = number("TOLLGATE_CASES", CASES);
    let mut told: BTreeMap<(Side, &str), u64> = BTreeMap::new();
    let (mut given, mut asked) = (0_u64, 0_u64);
    for number in 0..cases {
        let case = case(&mut random);
        let (ours, theirs) = (ours(&case), theirs(&case));
        let side = match (ours, theirs) {
            (true, true) => {
                given += 1;
                continue;
            }
            (false, false) => {
                asked += 1;
                continue;
            }
            (true, false) => Side::Looser,
            (false, true) => Side::Stricter,
        };
        let reason = REASONS.iter().find(|(of, _, holds)| *of == side && holds(&case));
        let Some((_, why, _)) = reason else { panic!("{side:?} for no reason, case {number}: {case:#?}") };
        *told.entry((side, why)).or_default() += 1;
    }
    assert!(given > cases / 40 && asked > cases / 40, "{given} are given, {asked} are asked for");
    for (side, why, _) in REASONS {
        assert!(told.contains_key(&(*side, *why)), "no case is {side:?} any more because {why}");
    }
}

/// Whether the answer is given without asking the upstream.
fn ours(case: &Case) -> bool {
    let rules = Cache {
        ttl: Duration::ZERO,
        respect: true,
        inputs: Vec::new(),
        vary: Vec::new(),
        stale_while_revalidate: None,
        stale_if_error: None,
        max_bytes: 1 << 20,
        private: false,
    };
    let (answer, first, later) = (block(&case.answer), block(&case.first), block(&case.later));
    let cookies = answer.contains(&name::SET_COOKIE);
    let came = Came { status: case.status, headers: &answer, cookies, at: now(), delay: Duration::ZERO };
    let asked = match first.contains(&name::AUTHORIZATION) {
        true => Asked::Authorized,
        false => Asked::Anonymous,
    };
    if Wish::of(&first).no_store || Wish::of(&later).no_store {
        return false;
    }
    let Some((terms, _)) = terms(came, asked, &rules) else { return false };
    let Some(varied) = varied(&answer, &first, &[]) else { return false };
    // Somebody's request gets what was kept for all where the answer allows it.
    let shared = terms.shareable || !later.contains(&name::AUTHORIZATION);
    let age = terms.age + Duration::from_secs(case.after_s);
    let way = use_of(&terms, age, &Wish::of(&later));
    shared && suits(&varied, &later) && matches!(way, Use::Fresh | Use::Lapsed)
}

fn theirs(case: &Case) -> bool {
    let request = |fields: &[(&str, &str)]| {
        let mut request = Request::get("http://a.test/").body(()).expect("a request");
        for (name, value) in fields {
            request.headers_mut().append(field(name), HeaderValue::from_str(value).expect("a value"));
        }
        request
    };
    let mut response = Response::new(());
    *response.status_mut() = case.status.try_into().expect("a status");
    for (name, value) in &case.answer {
        response.headers_mut().append(field(name), HeaderValue::from_str(value).expect("a value"));
    }
    // Nothing is guessed here of an answer that says nothing, nor is `immutable` known.
    let options = CacheOptions {
        cache_heuristic: 0.0,
        immutable_min_time_to_live: Duration::ZERO,
        ..CacheOptions::default()
    };
    let policy = CachePolicy::new_options(&request(&case.first), &response, now(), options);
    let later = now() + Duration::from_secs(case.after_s);
    policy.is_storable()
        && matches!(policy.before_request(&request(&case.later), later), BeforeRequest::Fresh(_))
}

fn case(random: &mut Random) -> Case {
    let mut answer = Vec::new();
    for (name, values) in ANSWER {
        // Most answers say a little.
        let lines = match *name {
            "cache-control" => 1 + random.below(4) / 3,
            "vary" => usize::from(random.below(4) == 0),
            _ => usize::from(random.below(8) == 0),
        };
        answer.extend((0..lines).map(|_| (*name, *random.pick(values))));
    }
    let mut request = |all: &[(&'static str, &'static [&'static str])]| {
        let mut fields = Vec::new();
        for (name, values) in all {
            let lines = match *name {
                "accept" => random.below(3),
                _ => random.below(4) / 3,
            };
            fields.extend((0..lines).map(|_| (*name, *random.pick(values))));
        }
        fields
    };
    let (first, later) = (request(FIRST), request(LATER));
    let status = *random.pick(&[200, 200, 200, 200, 404, 301, 302, 500, 503, 410, 403, 599]);
    Case { status, answer, first, later, after_s: *random.pick(&[0, 1, 30, 59, 60, 61, 100, 5000]) }
}

const ANSWER: &[(&str, &[&str])] = &[
    (
        "cache-control",
        &[
            "max-age=60",
            "max-age=60",
            "max-age=60",
            "s-maxage=60",
            "public",
            "public, max-age=60",
            "max-age=60, must-revalidate",
            "max-age=60, proxy-revalidate",
            "max-age=60, s-maxage=1",
            "max-age=1, s-maxage=60",
            "private, max-age=60",
            "private=\"x-a\", max-age=60",
            "no-cache, max-age=60",
            "no-cache=\"x-a\", max-age=60",
            "no-store",
            "No-Store, max-age=60",
            "no-store, max-age=60",
            "no-store, must-understand, max-age=60",
            "must-understand, max-age=60",
            "Max-Age=60",
            "max-age=\"60\"",
            "max-age=+60",
            "max-age=60, max-age=1",
            "max-age=99999999999999999999",
            "max-age",
            "max-age, s-maxage",
            "max-age=0",
            "max-age=-1",
            "max-age=a",
            "immutable",
            "x=y",
            "",
        ],
    ),
    (
        "expires",
        &[
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:50:37 GMT",
            "Sun Nov  6 08:50:37 1994",
            "0",
            "never",
        ],
    ),
    (
        "date",
        &[
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:07 GMT",
            "Sun, 06 Nov 1994 08:50:07 GMT",
            "x",
        ],
    ),
    ("age", &["0", "10", "59", "60", "10, 70", "x", "-1"]),
    ("set-cookie", &["a=b"]),
    ("pragma", &["no-cache"]),
    ("etag", &["\"a\""]),
    ("last-modified", &["Sun, 06 Nov 1994 08:00:00 GMT"]),
    ("vary", &["accept", "Accept, X-Other", "*", "accept, *"]),
    ("access-control-allow-origin", &["*", "https://a.test"]),
];

const FIRST: &[(&str, &[&str])] = &[
    ("accept", &["a", "b", "a, b", "a,b"]),
    ("authorization", &["Bearer x"]),
    ("origin", &["https://a.test", "https://b.test"]),
];

const LATER: &[(&str, &[&str])] = &[
    ("accept", &["a", "b", "a, b", "a,b"]),
    ("origin", &["https://a.test", "https://b.test"]),
    ("pragma", &["no-cache", "x"]),
    (
        "cache-control",
        &[
            "no-cache",
            "no-store",
            "max-age=30",
            "max-age=0",
            "min-fresh=10",
            "min-fresh=60",
            "max-stale",
            "max-stale=10",
            "max-stale=5000",
            "x",
        ],
    ),
];

fn block(fields: &[(&str, &str)]) -> HeaderBlock {
    let mut block = HeaderBlock::default();
    for (name, value) in fields {
        block.append(&Name::new(name).expect("a name"), value.as_bytes());
    }
    block
}

fn field(name: &str) -> HeaderName {
    HeaderName::from_bytes(name.as_bytes()).expect("a name")
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_S)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// A small generator (xorshift64*, Vigna 2016). The seed is not zero.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as usize) % bound
    }

    fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
