//! `tollgate diff`: what a configuration changes of another one, what would be less protected, and which requests would
//! end elsewhere.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::{Value, json};
use tollgate_config::difference::{Difference, Names, Sample, Sampler, Samples, compare};
use tollgate_config::{Loaded, PostureRow};
use tollgate_logship::{Filter, Found, Range, read_file, read_lines};

use crate::admin_side::AdminSide;
use crate::cli::{ConfigArg, DiffArgs, FailOn};
use crate::{config_file, output};

/// Records that the ring of a gateway gives at once.
const LIVE: &str = "/api/v1/requests?limit=1000";

/// Names of routes on one line, for people.
const NAMES_SHOWN: usize = 10;

/// Groups of requests that end elsewhere, for people; machines get all of them.
const MOVED_SHOWN: usize = 20;

pub(super) fn diff(arguments: &DiffArgs) -> ExitCode {
    // Both are read before anything is decided: who has two bad files learns of both.
    let (old, new) = (loaded(&arguments.old), loaded(&arguments.new));
    let (Some(old), Some(new)) = (old, new) else {
        if arguments.output.json {
            output::failed(true, "a configuration is refused: see standard error");
        }
        return ExitCode::FAILURE;
    };
    let mut difference = compare((&old.sources, &old.plan), (&new.sources, &new.plan));
    let samples = match samples(arguments, (&old, &new), &mut difference) {
        Ok(samples) => samples,
        Err(message) => {
            output::failed(arguments.output.json, message);
            return ExitCode::FAILURE;
        }
    };
    let moved = samples.as_ref().is_some_and(|samples| !samples.moved.is_empty());
    let ok = difference.weaker.is_empty()
        && (arguments.fail_on == FailOn::Weaker || (difference.is_empty() && !moved));
    let written = if arguments.output.json {
        let mut told = json!({ "ok": ok, "summary": difference.summary() });
        if let (Some(told), Value::Object(members)) = (told.as_object_mut(), difference.to_json()) {
            told.extend(members);
            told.insert("samples".to_owned(), json!(samples));
        }
        output::json(&told)
    } else {
        output::out(&for_people(&difference, samples.as_ref()))
    };
    written.exit(ok)
}

fn loaded(path: &Path) -> Option<Loaded> {
    config_file::load(&ConfigArg { config: Some(PathBuf::from(path)) })
}

/// What becomes of the requests that were asked about; none where none were.
fn samples(
    arguments: &DiffArgs,
    (old, new): (&Loaded, &Loaded),
    difference: &mut Difference,
) -> Result<Option<Samples>, String> {
    let mut sampler = Sampler::new(&old.plan, &new.plan);
    match (&arguments.samples, &arguments.live) {
        (Some(path), _) => from_records(path, &mut sampler)?,
        (None, Some(address)) => {
            let admin = match address {
                Some(address) => AdminSide::at(*address),
                None => AdminSide::configured(&old.plan.admin),
            };
            let answer = admin.json(LIVE)?;
            let records = answer["requests"].as_array().into_iter().flatten();
            records.filter_map(Sample::of_record).for_each(|sample| sampler.push(&sample));
        }
        (None, None) => return Ok(None),
    }
    Ok(Some(sampler.finish(difference)))
}

fn from_records(path: &Path, sampler: &mut Sampler<'_>) -> Result<(), String> {
    let mut found = Found::default();
    let mut requests = 0usize;
    let mut take = |line: &[u8]| {
        // What is no JSON was counted already, and what is no request is none.
        let record = serde_json::from_slice(line).ok();
        if let Some(sample) = record.as_ref().and_then(Sample::of_record) {
            requests += 1;
            sampler.push(&sample);
        }
        Ok(())
    };
    let read = match path == Path::new("-") {
        true => read_lines(io::stdin().lock(), Range::default(), &Filter::default(), &mut found, &mut take),
        false => read_file(path, Range::default(), &Filter::default(), &mut found, &mut take),
    };
    read.map_err(|error| format!("{}: {error}", path.display()))?;
    // Another file than was meant would otherwise pass for one whose requests all end where they did.
    if requests == 0 && (found.unreadable > 0 || found.records > 0) {
        return Err(format!("{}: no line of it is a record of a request", path.display()));
    }
    if found.unreadable > 0 {
        let lines = config_file::count(found.unreadable as usize, "line");
        output::warning(format_args!("{lines} left out: no record of a request"));
    }
    Ok(())
}

fn for_people(difference: &Difference, samples: Option<&Samples>) -> String {
    let mut out = format!("{}\n", difference.summary());
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let route = |row: &PostureRow| format!("{}  {}; {}; {}", row.route, row.matches, row.action, row.auth);
    difference.added.iter().for_each(|row| line(format!("+ route {}", route(row))));
    difference.removed.iter().for_each(|row| line(format!("- route {}", route(row))));
    difference.changed.iter().for_each(|one| line(format!("~ route {}  {}", one.route, one.line())));
    let others = [
        ("upstream", &difference.upstreams),
        ("issuer", &difference.issuers),
        ("consumer", &difference.consumers),
    ];
    for (what, Names { added, removed, changed }) in others {
        for (sign, names) in [("+", added), ("-", removed), ("~", changed)] {
            names.iter().for_each(|name| line(format!("{sign} {what} {name}")));
        }
    }
    for key in &difference.needs_restart {
        line(format!("! {key} needs a restart"));
    }
    if !difference.untried.is_empty() {
        let mut names = difference.untried.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if let Some(more) = difference.untried.len().checked_sub(NAMES_SHOWN).filter(|more| *more > 0) {
            names.push_str(&format!(" and {more} more"));
        }
        line(format!("? not tried, since no request is known that fits their expressions: {names}"));
    }
    if let Some(samples) = samples {
        line(String::new());
        moved(samples, &mut line);
    }
    if !difference.weaker.is_empty() {
        line("\nless protected than before:".to_owned());
        difference.weaker.iter().for_each(|weak| line(format!("! {weak}")));
    }
    out
}

fn moved(samples: &Samples, line: &mut dyn FnMut(String)) {
    let elsewhere: usize = samples.moved.iter().map(|one| one.count).sum();
    let requests = config_file::count(samples.read, "request");
    let undecided = match samples.undecided {
        0 => String::new(),
        count => format!("; of {count} the record does not say enough"),
    };
    line(format!("{elsewhere} of {requests} would end elsewhere{undecided}"));
    for one in samples.moved.iter().take(MOVED_SHOWN) {
        line(format!("  {} {}: {} → {} ({})", one.method, one.example, one.from, one.to, one.count));
    }
    if let Some(more) = samples.moved.len().checked_sub(MOVED_SHOWN).filter(|more| *more > 0) {
        line(format!("  and {more} more; see --json"));
    }
}
