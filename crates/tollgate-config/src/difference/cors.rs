//! Whether browsers of more origins may read answers, or send more.

use std::collections::HashSet;

use tollgate_plan::access::{AllowedHeaders, Cors, OriginPattern, Origins};

use super::Weak;
use super::weaker::Of;

/// No `cors` at all leaves it to the upstream: then whatever is allowed is more.
pub(super) fn compare(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let Some(is) = &new.route.cors else { return };
    let Some(was) = &old.route.cors else {
        let text = format!("lets browsers of other origins read answers: {}", shown(&is.origins));
        return found.push(Weak::new("cors_widened", text));
    };
    if let Some(more) = more_origins(&was.origins, &is.origins) {
        found.push(Weak::new("cors_widened", format!("lets {more} read answers, too")));
    }
    if is.credentials && !was.credentials {
        found.push(Weak::new("cors_widened", "lets other origins send credentials"));
    }
    let methods: HashSet<&str> = was.methods.iter().map(|method| method.as_str()).collect();
    let more: Vec<&str> =
        is.methods.iter().map(|method| method.as_str()).filter(|method| !methods.contains(method)).collect();
    if !more.is_empty() {
        found.push(Weak::new("cors_widened", format!("lets other origins send {}", more.join(", "))));
    }
    if more_headers(was, is) {
        found.push(Weak::new("cors_widened", "lets other origins send more headers"));
    }
}

fn shown(origins: &Origins) -> String {
    let Origins::These(patterns) = origins else { return "all".to_owned() };
    patterns.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(pattern: &OriginPattern) -> String {
    match pattern {
        OriginPattern::Exact(exact) => exact.to_string(),
        OriginPattern::Subdomains { scheme, suffix } => format!("{scheme}*{suffix}"),
    }
}

fn more_origins(was: &Origins, is: &Origins) -> Option<String> {
    let Origins::These(known) = was else { return None };
    let Origins::These(patterns) = is else { return Some("all origins".to_owned()) };
    let is_new = |pattern: &&OriginPattern| match pattern {
        OriginPattern::Exact(exact) => !was.allow(exact.as_bytes()),
        pattern @ OriginPattern::Subdomains { .. } => !known.contains(pattern),
    };
    patterns.iter().find(is_new).map(text)
}

fn more_headers(was: &Cors, is: &Cors) -> bool {
    match (&was.headers, &is.headers) {
        (AllowedHeaders::Any, _) => false,
        (AllowedHeaders::These(_), AllowedHeaders::Any) => true,
        (AllowedHeaders::These(was), AllowedHeaders::These(is)) => is.iter().any(|name| !was.contains(name)),
    }
}
