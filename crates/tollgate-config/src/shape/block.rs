//! Blocks: maps with known keys.

use crate::diagnostic::Code;
use crate::mask;
use crate::report::{Finding, Report};
use crate::shape::{BlockDoc, Catalogue};
use crate::source_map::{Span, visible};
use crate::suggest;
use crate::yaml::{Entry, NodeRef};

/// Declares a block: its keys, their shapes, defaults and documentation, once for all uses.
///
/// `key as "word": Shape;` is for a key that no Rust name can be. `key: Shape;` is optional, `key: Shape = default;` has a default and an accessor of the key's name, and
/// `key: Shape, required;` must be written.
macro_rules! block {
    (
        $(#[doc = $doc:literal])+
        $title:literal $name:ident {
            $(
                $(#[doc = $about:literal])+
                $key:ident $(as $word:literal)?: $shape:ty $(= $default:expr)? $(, $required:ident)?;
            )*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default)]
        pub(crate) struct $name {
            /// The whole block.
            #[allow(dead_code, reason = "every block knows its place; not every one is ever pointed at")]
            pub(crate) span: $crate::source_map::Span,
            $( $(#[doc = $about])+ pub(crate) $key: $crate::shape::Slot<$shape>, )*
        }

        impl $crate::shape::Shape for $name {
            fn read(
                node: $crate::yaml::NodeRef<'_>,
                what: &str,
                report: &mut $crate::report::Report,
            ) -> Option<Self> {
                let mut block = $name { span: node.span(), ..$name::default() };
                $crate::shape::read_block(node, what, report, |entry, report| {
                    match entry.key {
                        $( block!(@word $key $($word)?) => {
                            if let Some(first) = block.$key.key() {
                                return Err(first);
                            }
                            block.$key = $crate::shape::slot(entry, report);
                        } )*
                        _ => $crate::shape::unknown_key(entry, $title, &[$(block!(@word $key $($word)?)),*], report),
                    }
                    Ok(())
                })?;
                $(
                    #[allow(unused_variables, reason = "only of keys that are required")]
                    let word = block!(@word $key $($word)?);
                    $(
                    let $required = block.$key.key().is_none();
                    if $required {
                        $crate::shape::missing_key(block.span, $title, word, report);
                    }
                )? )*
                Some(block)
            }

            fn describe(catalogue: &mut $crate::shape::Catalogue) -> $crate::shape::Description {
                catalogue.block($title, &[$($doc),+], |catalogue| vec![
                    $( $crate::shape::FieldDoc {
                        key: block!(@word $key $($word)?),
                        about: &[$($about),+],
                        description: <$shape as $crate::shape::Shape>::describe(catalogue),
                        default: block!(@default $shape $(, $default)?),
                        required: block!(@required $($required)?),
                    }, )*
                ])
            }
        }

        #[allow(dead_code, reason = "a block declares defaults for its keys; not every one is asked for by name")]
        impl $name {
            $( block!(@accessor $key $shape $(, $default)?); )*
        }
    };
    (@word $key:ident) => { stringify!($key) };
    (@word $key:ident $word:literal) => { $word };
    (@default $shape:ty) => { None };
    (@default $shape:ty, $default:expr) => { Some(<$shape as $crate::shape::Shape>::show(&$default)) };
    (@required) => { false };
    (@required $required:ident) => { true };
    (@accessor $key:ident $shape:ty) => {};
    (@accessor $key:ident $shape:ty, $default:expr) => {
        pub(crate) fn $key(&self) -> $shape {
            self.$key.value().cloned().unwrap_or_else(|| $default)
        }
    };
}

/// Walks a map; `take` gets each entry and gives the first key's place back when the key was there before.
pub(crate) fn read_block(
    node: NodeRef<'_>,
    what: &str,
    report: &mut Report,
    mut take: impl FnMut(Entry<'_>, &mut Report) -> Result<(), Span>,
) -> Option<()> {
    let Some(entries) = node.entries() else {
        wrong_type(node, what, "a map of keys", report);
        return None;
    };
    for entry in entries {
        if let Err(first) = take(entry, report) {
            duplicate_key(entry, first, report);
        }
    }
    Some(())
}

/// Reports that something else was wanted here. Silent when the node's value could not be known.
pub(crate) fn wrong_type(node: NodeRef<'_>, what: &str, wanted: &str, report: &mut Report) {
    if node.scalar().is_some_and(|scalar| scalar.unknown) {
        return;
    }
    let span = report.head(node.span());
    let name = if what.is_empty() { "the file".to_owned() } else { format!("`{what}`") };
    let message = match node.is_null() {
        true => format!("{name} has no value; it must be {wanted}"),
        false => format!("{name} must be {wanted}, found {}", node.kind()),
    };
    let hint = match wanted {
        _ if node.is_null() => Some("remove the key, or give it a value"),
        "a list" => Some("write `[…]`, or each element on a line of its own behind `-`"),
        "a map" | "a map of keys" => Some("write `key: value` on the lines below, further to the right"),
        _ => None,
    };
    report.push(Finding::error(Code::WrongType, span, message).maybe_hint(hint.map(str::to_owned)));
}

pub(crate) fn duplicate_key(entry: Entry<'_>, first: Span, report: &mut Report) {
    let message = format!("`{}` is written twice", entry.key);
    let finding = Finding::error(Code::DuplicateKey, entry.key_span, message);
    report.push(
        finding
            .related(first, "first written here")
            .hint("keep one of the two: neither is added to the other"),
    );
}

pub(crate) fn missing_key(block: Span, title: &str, key: &str, report: &mut Report) {
    let span = report.head(block);
    let hint =
        NEEDED.iter().find(|(block, word, _)| (*block, *word) == (title, key)).map(|(_, _, hint)| *hint);
    let finding = Finding::error(Code::MissingKey, span, format!("`{title}` needs the key `{key}`"));
    report.push(finding.maybe_hint(hint.map(str::to_owned)));
}

pub(crate) fn unknown_key(entry: Entry<'_>, title: &str, keys: &[&str], report: &mut Report) {
    let key = visible(entry.key);
    let message = match title {
        "root" => format!("unknown key `{key}`"),
        "included" => format!("unknown key `{key}` in an included file"),
        _ => format!("unknown key `{key}` in `{title}`"),
    };
    if report.is_full() {
        // It is only counted: a hint would be work for nobody.
        return report.push(Finding::error(Code::UnknownKey, entry.key_span, message));
    }
    let file = entry.value.span().file;
    if let Some(text) = report.sources.file(file).map(|file| file.text.clone()) {
        report.sources.mask(file, mask::of_unknown(entry, &text));
    }
    let keys = keys.iter().copied();
    let hint = habit(entry.key, title)
        .or_else(|| number(entry.key, keys.clone()))
        .or_else(|| elsewhere(entry.key, title))
        .or_else(|| suggest::did_you_mean(entry.key, keys.clone()))
        .unwrap_or_else(|| format!("the keys here are {}", suggest::listing(keys)));
    report.push(Finding::error(Code::UnknownKey, entry.key_span, message).hint(hint));
}

/// What a missing key may be, where its name does not say it.
const NEEDED: &[(&str, &str, &str)] = &[
    ("issuer", "issuer", "what `iss` must be, letter for letter"),
    ("issuer", "audience", "whom its tokens are for, or `any`"),
    ("issuer", "algorithms", "what it signs with, such as `[RS256]`: it is never taken from the token"),
    ("rate_limit", "per", crate::spec::PER_HINT),
];

/// What people write who come from elsewhere.
const HABITS: &[(&str, &[&str], &str)] = &[
    ("root", &["services", "backends", "clusters"], "upstreams"),
    ("root", &["server", "servers", "listen", "bind"], "listeners"),
    ("root", &["log", "logs", "logging"], "access_log"),
    ("listener", &["port", "bind", "listen"], "address"),
    ("listener", &["accept_proxy", "proxy-protocol", "send_proxy"], "proxy_protocol"),
    ("upstream", &["url", "urls", "servers", "hosts", "nodes", "endpoints"], "targets"),
    ("upstream", &["retries", "proxy_next_upstream"], "retry"),
    (
        "upstream",
        &["health", "healthcheck", "healthchecks", "health_checks", "active_health_check"],
        "health_check",
    ),
    ("upstream", &["outlier_detection", "passive_health_check"], "outlier"),
    ("upstream", &["breaker", "circuitbreaker", "circuit_breakers"], "circuit_breaker"),
    ("retry", &["max", "max_attempts", "count", "retries", "num_retries", "tries"], "attempts"),
    ("retry", &["retry_on", "conditions"], "on"),
    ("health_check", &["interval", "period"], "every"),
    ("health_check", &["uri", "url", "http_path"], "path"),
    ("health_check", &["expect", "expected", "expected_status", "statuses", "codes"], "status"),
    ("health_check", &["type", "protocol", "kind"], "tcp"),
    ("health_check", &["rise", "healthy_threshold"], "healthy_after"),
    ("health_check", &["fall", "unhealthy_threshold"], "unhealthy_after"),
    ("outlier", &["max_fails", "failures", "consecutive_5xx", "consecutive_errors"], "consecutive_failures"),
    ("outlier", &["fail_timeout", "base_ejection_time", "duration"], "eject"),
    ("outlier", &["max_ejection_percent"], "max_ejected"),
    ("circuit_breaker", &["threshold", "failure_threshold", "error_rate"], "failure_rate"),
    ("circuit_breaker", &["timeout", "sleep_window", "open_duration"], "open"),
    ("route", &["upstream", "service", "backend", "proxy", "proxy_pass", "forward", "url", "target"], "to"),
    ("auth", &["issuer", "issuers", "jwts", "token", "tokens"], "jwt"),
    ("auth", &["keys", "apikey", "key", "key_auth"], "api_key"),
    ("auth", &["basic_auth"], "basic"),
    ("issuer", &["alg", "algs", "algorithm"], "algorithms"),
    ("issuer", &["aud", "audiences"], "audience"),
    ("issuer", &["iss", "issuer_url"], "issuer"),
    ("issuer", &["jwks", "jwks_uri"], "jwks_url"),
    ("issuer", &["public_key", "pem"], "public_key_file"),
    ("consumer", &["key", "api_key", "api_keys"], "keys"),
    ("rate_limit", &["limit", "requests"], "rate"),
    ("rate_limit", &["by", "key"], "per"),
    ("test_request", &["url", "uri", "target"], "path"),
    ("test_request", &["client_ip", "remote_addr", "client"], "ip"),
    ("stub", &["latency", "wait", "sleep"], "delay"),
    ("expect", &["code", "error"], "reason"),
    ("cors", &["allow_origins", "allowed_origins", "origin"], "origins"),
    ("concurrency", &["limit", "max_concurrent"], "max"),
    ("route", &["paths", "prefix", "uri", "match", "location"], "path"),
];

fn habit(key: &str, title: &str) -> Option<String> {
    let found = HABITS.iter().find(|(block, words, _)| *block == title && words.contains(&key));
    found.map(|(_, _, key)| format!("here the key is `{key}`"))
}

/// One where several are meant, or the other way round: nearer than a key of another block.
fn number<'a>(key: &str, mut keys: impl Iterator<Item = &'a str>) -> Option<String> {
    let found =
        keys.find(|known| known.strip_suffix('s') == Some(key) || key.strip_suffix('s') == Some(*known))?;
    Some(format!("did you mean `{found}`?"))
}

/// A key that is right, but of another block.
fn elsewhere(key: &str, title: &str) -> Option<String> {
    let catalogue = Catalogue::whole();
    // These blocks stand inside a list or a value, where nobody looks for a key.
    let inner = [
        "weighted",
        "target",
        "hash",
        "redis",
        "introspection",
        "basic",
        "api_key",
        "health_check",
        "test",
        "test_request",
        "test_token",
        "stub",
        "expect",
    ];
    let has = |block: &&BlockDoc| block.fields.iter().any(|field| field.key == key);
    let outer = |block: &&BlockDoc| block.title != title && !inner.contains(&block.title);
    // Defaults are about routes: a key of these is most probably meant.
    let near = catalogue.blocks().iter().filter(|block| title == "defaults" && block.title == "route");
    let found = near.chain(catalogue.blocks().iter().filter(outer)).find(has)?;
    Some(match found.title {
        "root" if title == "included" => format!("`{key}` may only stand in the main file"),
        "root" => format!("`{key}` stands at the top level of the file"),
        other => format!("`{key}` is a key of `{other}`"),
    })
}
