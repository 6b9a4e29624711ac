//! `tollgate test`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_plan::issuer::HttpUrl;
use tollgate_plan::proof::Proof;

use crate::admin_side::AdminSide;
use crate::cli::{RecordArgs, TestArgs};
use crate::proof::record::{self, Wish, Wishes};
use crate::proof::{self, Outcome, junit, report};
use crate::{config_file, output};

pub(super) fn test(arguments: &TestArgs) -> ExitCode {
    if let Some(url) = &arguments.record.url {
        return recorded(arguments, url);
    }
    match run(arguments) {
        Some(true) => ExitCode::SUCCESS,
        Some(false) | None => ExitCode::FAILURE,
    }
}

/// Whether all passed, and that was told; none when there was nothing to run, which has been said.
fn run(arguments: &TestArgs) -> Option<bool> {
    let loaded = match config_file::load(&arguments.config) {
        Some(loaded) => loaded,
        None => return fault(arguments, None),
    };
    let all = &loaded.proofs.all;
    if all.is_empty() {
        return fault(arguments, Some("the configuration has no `tests`".to_owned()));
    }
    let wanted = arguments.name.as_ref().map(|name| name.to_lowercase());
    let fits = |proof: &&Proof| wanted.as_ref().is_none_or(|part| proof.name.to_lowercase().contains(part));
    let proofs: Vec<&Proof> = all.iter().filter(fits).collect();
    if proofs.is_empty() {
        return fault(
            arguments,
            Some(format!("none of {} has that in its name", config_file::count(all.len(), "test"))),
        );
    }
    let began = Instant::now();
    let outcomes = match proof::run(&loaded.plan, &proofs, None) {
        Ok(outcomes) => outcomes,
        Err(error) => return fault(arguments, Some(error)),
    };
    let took = began.elapsed();
    if let Some(file) = &arguments.junit
        && let Err(error) = std::fs::write(file, junit::document(&proofs, &outcomes))
    {
        output::error(format!("cannot write {}: {error}", file.display()));
        return None;
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    let written = if arguments.output.json {
        output::json(&report::to_json(&proofs, &outcomes))
    } else {
        output::out(&(report::failures(&proofs, &outcomes) + &summary(&outcomes, passed, took)))
    };
    Some(written.arrived() && passed == outcomes.len())
}

fn summary(outcomes: &[Outcome], passed: usize, took: Duration) -> String {
    let (all, took) = (config_file::count(outcomes.len(), "test"), took.as_secs_f64());
    match outcomes.len() - passed {
        0 => format!("ok: {all} passed in {took:.2} s\n"),
        failed => format!("{failed} of {all} failed, in {took:.2} s\n"),
    }
}

/// Nothing was run; what is not said yet is said.
fn fault(arguments: &TestArgs, message: Option<String>) -> Option<bool> {
    if arguments.output.json {
        let message = message.as_deref().unwrap_or("the configuration is refused");
        // The exit code says no whether or not this arrives.
        let _ =
            output::json(&json!({ "ok": false, "passed": 0, "failed": 0, "tests": [], "error": message }));
    } else if let Some(message) = message {
        output::error(message);
    }
    None
}

/// Asks a gateway that runs, and prints tests.
fn recorded(arguments: &TestArgs, url: &str) -> ExitCode {
    let (url, wishes) = match wishes(&arguments.record, url) {
        Ok(asked) => asked,
        Err((message, code)) => {
            output::error(message);
            return ExitCode::from(code);
        }
    };
    if wishes.beyond > 0 {
        let more = config_file::count(wishes.beyond, "request");
        output::warning(format_args!("{more} of the file not sent: a file of tests is read by people"));
    }
    let loaded = config_file::source(&arguments.config).map_err(output::error).ok();
    let Some((source, loaded)) =
        loaded.and_then(|source| Some((source, config_file::load(&arguments.config)?)))
    else {
        return ExitCode::FAILURE;
    };
    let admin = match arguments.record.admin {
        Some(address) => AdminSide::at(address),
        None => AdminSide::configured(&loaded.plan.admin),
    };
    let recorded = match record::record((&source, &loaded), &url, admin, wishes) {
        Ok(recorded) => recorded,
        Err(message) => {
            output::error(message);
            return ExitCode::FAILURE;
        }
    };
    if let Some(why) = &recorded.silent {
        output::warning(format_args!("which routes requests took is the configuration's word: {why}"));
    }
    let (made, left) = recorded.counts();
    let left =
        if left == 0 { String::new() } else { format!(", {} left out", config_file::count(left, "request")) };
    output::err(&format!("{} recorded{left}\n", config_file::count(made, "test")));
    output::out(&recorded.yaml(arguments.record.append)).exit(made > 0)
}

/// Where to, and what is sent; else what is wrong, and the exit code.
fn wishes(arguments: &RecordArgs, url: &str) -> Result<(HttpUrl, Wishes), (String, u8)> {
    let usage = |why: &str| (format!("--record {}: {why}", shown(url)), 2);
    let url = HttpUrl::parse(url).map_err(usage)?;
    let (hosts, headers): (Vec<_>, Vec<_>) =
        arguments.headers.iter().cloned().partition(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = hosts.into_iter().next().map(|(_, host)| host);
    let Some(file) = &arguments.from else {
        let body = arguments.data.clone();
        let usual = if body.is_some() { "POST" } else { "GET" };
        let method = arguments.method.clone().unwrap_or_else(|| usual.to_owned());
        let wish = Wish { method, target: url.target.to_string(), host, headers, body };
        wish.check().map_err(|why| usage(&format!("the request cannot be sent: {why}")))?;
        return Ok((url, Wishes { all: vec![wish], ..Wishes::default() }));
    };
    if &*url.target != "/" {
        return Err(usage("with --from the URL is that of the gateway, without a path"));
    }
    let mut wishes = Wishes::read(file, &headers, arguments.any_method).map_err(|why| (why, 1))?;
    wishes.all.iter_mut().for_each(|wish| wish.host = host.clone().or(wish.host.take()));
    match wishes.all.iter().find_map(|wish| Some((wish.shown(), wish.check().err()?))) {
        Some((request, why)) => Err(usage(&format!("{request} cannot be sent: {why}"))),
        None => Ok((url, wishes)),
    }
}

/// Without what may be a credential.
fn shown(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    if url.contains('@') { "URL" } else { url }
}
