//! Why a script does not compile, and why a call failed: for operators, never for clients.

use std::fmt;

use crate::desk::Place;

/// Longest message of a script that is kept, in bytes. What is behind it may be a client's, and as long as a body.
const MAX_MESSAGE_BYTES: usize = 512;

/// A script that cannot be used: the configuration is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The name of the script, or of the module, as it was handed in.
    pub file: String,
    /// Counted from 1; 0 when the fault is none of a line.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// Why a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The script raised an error.
    Error,
    /// The call used more memory than it may.
    Memory,
    /// The call took more time than it may.
    Time,
    /// The call made more steps than it may.
    Steps,
    /// Too many requests wait for their response with what their scripts hold in memory: no fault of this one.
    Full,
}

/// A call that failed. The exchange ends with `script_error`; what the script did to the values is not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub cause: Cause,
    /// The name of the script, or of the module in which it happened.
    pub file: String,
    /// Counted from 1; 0 when it is not known.
    pub line: u32,
    /// What happened: one line of at most 512 bytes without control characters. It may quote what a client sent.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line)?;
        f.write_str(&self.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        place(f, &self.file, self.line)?;
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScriptError {}
impl std::error::Error for Failure {}

fn place(f: &mut fmt::Formatter<'_>, file: &str, line: u32) -> fmt::Result {
    match line {
        0 => write!(f, "{file}: "),
        line => write!(f, "{file}:{line}: "),
    }
}

impl Failure {
    /// Reads an error of the engine. `files` are the names of the script and its modules, the script's first.
    /// `over` is the limit that was passed, and where.
    pub(crate) fn read(error: &mlua::Error, over: Option<(Cause, Option<Place>)>, files: &[&str]) -> Failure {
        let text = Text::of(error);
        let (cause, place) = over.unwrap_or((if text.memory { Cause::Memory } else { Cause::Error }, None));
        let (mut file, mut line, said) = text.place(files);
        if let Some((noted, at)) = &place {
            (file, line) = (noted, *at);
        }
        let message = match cause {
            Cause::Memory => "used more memory than a call may".to_owned(),
            Cause::Time => "took more time than a call may".to_owned(),
            Cause::Steps => "made more steps than a call may".to_owned(),
            Cause::Error | Cause::Full => one_line(said),
        };
        Failure { cause, file: file.to_owned(), line, message }
    }

    /// A fault that is none of a line.
    pub(crate) fn of(cause: Cause, file: &str, message: &str) -> Failure {
        Failure { cause, file: file.to_owned(), line: 0, message: one_line(message) }
    }
}

/// The message of an error as scripts see it: with its place in front when that is known, and without traceback.
pub(crate) fn plain(error: &mlua::Error, files: &[&str]) -> String {
    let text = Text::of(error);
    match text.place(files) {
        (_, 0, said) => said.to_owned(),
        (file, line, said) => format!("{file}:{line}: {said}"),
    }
}

/// Whether the engine could not have the memory it asked for.
pub(crate) fn is_memory(error: &mlua::Error) -> bool {
    Text::of(error).memory
}

/// What the engine says of an error.
struct Text {
    message: String,
    traceback: String,
    memory: bool,
}

impl Text {
    fn of(error: &mlua::Error) -> Text {
        let mut traceback = String::new();
        let mut cause = error;
        // The outermost traceback begins where the script was; nested ones are within the gateway.
        while let mlua::Error::CallbackError { traceback: here, cause: inner } = cause {
            if traceback.is_empty() {
                traceback.clone_from(here);
            }
            cause = inner;
        }
        let memory = matches!(cause, mlua::Error::MemoryError(_));
        let whole = match cause {
            mlua::Error::RuntimeError(text) | mlua::Error::MemoryError(text) => text.clone(),
            mlua::Error::SyntaxError { message, .. } => message.clone(),
            mlua::Error::BadArgument { cause, pos, .. } => format!("argument {pos}: {cause}"),
            mlua::Error::FromLuaConversionError { from, to, .. } => format!("expected {to}, got {from}"),
            other => other.to_string(),
        };
        let (message, own) = whole.split_once("\nstack traceback:").unwrap_or((&whole, ""));
        let memory = memory || message.ends_with(NO_MEMORY);
        Text { message: message.to_owned(), traceback: format!("{traceback}\n{own}"), memory }
    }

    /// The file and line where it happened, and the message without them.
    fn place<'a>(&'a self, files: &[&'a str]) -> (&'a str, u32, &'a str) {
        let message = strip_sandbox(&self.message);
        for file in files {
            if let Some((line, said)) = line_of(message, file) {
                return (file, line, said.strip_prefix(": ").unwrap_or(said));
            }
        }
        let found = self
            .traceback
            .lines()
            .find_map(|at| files.iter().find_map(|file| Some((*file, line_of(at.trim_start(), file)?.0))));
        let (file, line) = found.unwrap_or((files.first().copied().unwrap_or_default(), 0));
        (file, line, message)
    }
}

/// What Luau says when it runs out of memory.
pub(crate) const NO_MEMORY: &str = "not enough memory";

/// The name of the part of the sandbox that is written in Lua.
pub(crate) const SANDBOX: &str = "[sandbox]";

fn strip_sandbox(message: &str) -> &str {
    let Some((_, said)) = line_of(message, SANDBOX) else { return message };
    said.strip_prefix(": ").unwrap_or(said)
}

/// Reads `file:12` at the start of a text: the line, and what follows it.
fn line_of<'a>(text: &'a str, file: &str) -> Option<(u32, &'a str)> {
    let rest = text.strip_prefix(file)?.strip_prefix(':')?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, rest) = rest.split_at_checked(end)?;
    Some((digits.parse().ok()?, rest))
}

/// At most [`MAX_MESSAGE_BYTES`], with control characters escaped.
pub(crate) fn one_line(text: &str) -> String {
    bounded_line(text, MAX_MESSAGE_BYTES)
}

/// At most `max` bytes and the mark that more was there, with control characters escaped.
pub(crate) fn bounded_line(text: &str, max: usize) -> String {
    let mut line = String::new();
    for c in text.chars() {
        if line.len() + 10 > max {
            line.push('…');
            break;
        }
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}
