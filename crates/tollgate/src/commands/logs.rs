//! `tollgate logs`: access records back out of a file or an object store.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use tollgate_config::did_you_mean;
use tollgate_logship::{Filter, Found, Options, Range, Store, read_file, read_lines, read_store};
use tollgate_plan::plan::LogSink;

use crate::cli::LogsArgs;
use crate::output::Written;
use crate::{config_file, output};

/// What records have, as docs/logs.md lists it.
const FIELDS: &[&str] = &[
    "time",
    "id",
    "client",
    "method",
    "host",
    "path",
    "query",
    "route",
    "status",
    "reason",
    "bytes_in",
    "bytes_out",
    "duration_ms",
    "upstream",
    "upstream_ms",
    "target",
    "attempts",
    "consumer",
    "cache",
    "tls",
    "http",
    "generation",
    "parts_failed",
    "trace",
    "headers",
];

/// Those of them that are numbers.
const NUMBERS: &[&str] =
    &["status", "bytes_in", "bytes_out", "duration_ms", "upstream_ms", "attempts", "generation"];

/// Where records are.
enum Place {
    Input,
    File(std::path::PathBuf),
    Store(String, Options),
}

pub(super) fn logs(arguments: &LogsArgs) -> ExitCode {
    let filter = match arguments.filter.as_deref().map_or_else(|| Ok(Filter::default()), filter) {
        Ok(filter) => filter,
        Err(error) => {
            output::error(format_args!("--where: {error}"));
            return ExitCode::from(2);
        }
    };
    let Some(place) = place(arguments) else { return ExitCode::FAILURE };
    let now = SystemTime::now();
    let since = arguments.last.map(|seconds| now - Duration::from_secs(seconds));
    let mut found = Found::default();
    let read = read(place, Range { since, until: None }, &filter, now, &mut found);
    if found.unreadable > 0 {
        let are = if found.unreadable == 1 { "line is no record" } else { "lines are no records" };
        output::warning(format_args!("{} {are}", found.unreadable));
    }
    match read {
        Ok(written) => written.exit(found.unreadable == 0),
        Err(message) => {
            output::error(message);
            ExitCode::FAILURE
        }
    }
}

/// A filter of fields that records have: one that they have not would find nothing, and say so with success.
fn filter(text: &str) -> Result<Filter, String> {
    let filter = Filter::parse(text).map_err(|error| error.to_string())?;
    let known = |field: &str| FIELDS.contains(&field) || field.starts_with("headers.");
    if let Some(field) = filter.fields().find(|field| !known(field)) {
        let hint = did_you_mean(field, FIELDS.iter().copied());
        let hint = hint.unwrap_or_else(|| format!("there are {}", FIELDS.join(", ")));
        return Err(format!("records have no field `{field}`; {hint}"));
    }
    if let Some(field) = filter.not_as_numbers().find(|field| NUMBERS.contains(field)) {
        return Err(format!("`{field}` is a number: it is compared with one, without quotes, or with null"));
    }
    Ok(filter)
}

/// What was named, or where the configuration sends records.
fn place(arguments: &LogsArgs) -> Option<Place> {
    match arguments.place.as_deref() {
        Some("-") => Some(Place::Input),
        Some(url) if url.contains("://") => Some(Place::Store(url.to_owned(), Options::default())),
        Some(path) if Path::new(path).is_dir() => match Path::new(path).canonicalize() {
            Ok(path) => Some(Place::Store(format!("file://{}", path.display()), Options::default())),
            Err(error) => {
                output::error(format_args!("{path}: {error}"));
                None
            }
        },
        Some(path) => Some(Place::File(path.into())),
        None => match config_file::load(&arguments.config)?.plan.access_log.sink {
            LogSink::File(path) => Some(Place::File(path)),
            LogSink::ObjectStore(log) => {
                let settings = tollgate_proxy::log_shipping(&log);
                Some(Place::Store(settings.url, settings.options))
            }
            LogSink::Stdout | LogSink::Off => {
                output::error(
                    "the configuration writes no access log that could be read; name a file or a URL",
                );
                None
            }
        },
    }
}

fn read(
    place: Place,
    range: Range,
    filter: &Filter,
    now: SystemTime,
    found: &mut Found,
) -> Result<Written, String> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut lost = None;
    let mut take = |line: &[u8]| {
        out.write_all(line).map_err(|fault| {
            let end = io::Error::from(fault.kind());
            lost = Some(fault);
            end
        })
    };
    let outcome = match place {
        Place::Input => read_lines(io::stdin().lock(), range, filter, found, &mut take)
            .map_err(|error| format!("standard input: {error}")),
        Place::File(path) => read_file(&path, range, filter, found, &mut take)
            .map_err(|error| format!("{}: {error}", path.display())),
        Place::Store(url, options) => {
            let opened = Store::open(&url, &options, tollgate_proxy::dialer(), false);
            opened.map_err(|error| error.to_string()).and_then(|store| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = runtime.map_err(|error| error.to_string())?;
                let reading = read_store(&store, range, filter, now, found, &mut take);
                runtime.block_on(reading).map_err(|error| format!("{url}: {error}"))
            })
        }
    };
    if let Some(fault) = lost {
        // The end of the reading says no more than this.
        return Ok(output::written(Err(fault)));
    }
    outcome.map(|()| output::written(out.flush()))
}
