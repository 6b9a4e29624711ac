//! The only place that writes to the terminal: colour only where it is wanted, and a closed pipe is no error.

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};

/// Writes to standard output. When nobody reads any more there is nothing left to do, and nothing to report.
pub(crate) fn out(text: &str) {
    let _ = write(&mut anstream::stdout(), text);
}

/// Writes what cannot be had again: false, and said so, when it did not arrive.
pub(crate) fn deliver(text: &str) -> bool {
    let written = write(&mut anstream::stdout(), text);
    if let Err(fault) = &written {
        error(format_args!("standard output cannot be written: {fault}"));
    }
    written.is_ok()
}

/// Writes to standard error.
pub(crate) fn err(text: &str) {
    let _ = write(&mut anstream::stderr(), text);
}

/// Writes `error: …` to standard error.
pub(crate) fn error(message: impl std::fmt::Display) {
    let style = anstyle_error();
    err(&format!("{style}error{style:#}: {message}\n"));
}

/// Writes `warning: …` to standard error.
pub(crate) fn warning(message: impl std::fmt::Display) {
    let style = clap::builder::styling::AnsiColor::Yellow.on_default().bold();
    err(&format!("{style}warning{style:#}: {message}\n"));
}

/// Writes JSON for machines, indented for those who look at it.
pub(crate) fn json(value: &serde_json::Value) {
    out(&format!("{value:#}\n"));
}

/// Says why there is no result: for machines as `{"ok": false, "error"}` on standard output, else on standard error.
pub(crate) fn failed(for_machines: bool, message: impl std::fmt::Display) {
    if for_machines {
        json(&serde_json::json!({ "ok": false, "error": message.to_string() }));
    } else {
        error(message);
    }
}

/// The same where standard error has the reason already.
pub(crate) fn failed_as_told(for_machines: bool) {
    if for_machines {
        failed(true, "the configuration cannot be used: see standard error");
    }
}

/// A table without lines, its columns aligned.
pub(crate) fn table<'a, const N: usize>(
    header: &[&str; N],
    rows: impl Iterator<Item = [&'a str; N]>,
) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.map(str::to_uppercase));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Whether standard error shows colours: a terminal, and no `NO_COLOR`.
pub(crate) fn err_colour() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Whether standard output shows colours.
pub(crate) fn out_colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

fn write(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

fn anstyle_error() -> clap::builder::styling::Style {
    clap::builder::styling::AnsiColor::Red.on_default().bold()
}
