//! The only place that writes to the terminal: colour only where it is wanted, a closed pipe is no error, and what did not
//! arrive for another reason is no success.

use std::io::{self, Write};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};

/// What became of a result on standard output. When it is lost, that has been told.
#[must_use = "a result that did not arrive is no success"]
pub(crate) struct Written {
    arrived: bool,
}

impl Written {
    /// Whether it is where it should be, or nobody wants it any more.
    pub(crate) fn arrived(self) -> bool {
        self.arrived
    }

    /// How a command ends whose result this was: with 0 when the answer is yes, and was given.
    pub(crate) fn exit(self, yes: bool) -> ExitCode {
        if yes && self.arrived { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// Writes a result to standard output.
pub(crate) fn out(text: &str) -> Written {
    written(write(&mut anstream::stdout(), text))
}

/// What writing to standard output came to. Who closes a pipe, as `head` does, has what they want.
pub(crate) fn written(outcome: io::Result<()>) -> Written {
    let lost = outcome.err().filter(|fault| fault.kind() != io::ErrorKind::BrokenPipe);
    if let Some(fault) = &lost {
        error(format_args!("standard output cannot be written: {fault}"));
    }
    Written { arrived: lost.is_none() }
}

/// What clap says in the place of a command: help and the version are results, wrong usage is none.
pub(crate) fn clap(said: &clap::Error) -> ExitCode {
    let text = said.render().ansi().to_string();
    if !said.use_stderr() {
        return out(&text).exit(true);
    }
    err(&text);
    ExitCode::from(2)
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
pub(crate) fn json(value: &serde_json::Value) -> Written {
    out(&format!("{value:#}\n"))
}

/// Says why there is no result: for machines as `{"ok": false, "error"}` on standard output, else on standard error.
pub(crate) fn failed(for_machines: bool, message: impl std::fmt::Display) {
    if for_machines {
        // The exit code says no whether or not this arrives.
        let _ = json(&serde_json::json!({ "ok": false, "error": message.to_string() }));
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
