//! Filters in the language of jq, by jaq's interpreter over values of our own.
//!
//! The interpreter can run for ever, and has no limit that could be set. Three things bound it here. It asks for its
//! table of terms before each term that it runs, which is a step ([`meter`]). Values know how large and how deep they
//! are, so none is made that is larger than the answer may be, and everything that goes through one has an end
//! ([`value`]). And a filter defines no function that calls itself ([`load`]): loops are those of the language, over
//! values, which use neither stack nor memory of their own.

mod meter;
mod value;
mod number;
mod order;
mod arithmetic;
mod json;

mod functions;
mod load;

use std::fmt;

use jaq_core::data::HasLut;
use jaq_core::{Ctx, DataT, Filter, Lut, Vars};

use crate::Unknown;
use crate::raw::Raw;
use crate::read::read;
use value::Val;

/// Steps of one run, and one more for each byte of its document.
const STEPS: usize = 1_000_000;

/// Bytes of a filter.
const TEXT_MAX: usize = 8192;

/// A filter, compiled.
pub struct Jq {
    filter: Filter<Lang>,
    text: Box<str>,
}

/// Why a text is no filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JqError {
    /// Where, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub message: String,
    /// The name that it is about.
    pub unknown: Option<Unknown>,
}

impl JqError {
    fn new(offset: usize, message: impl Into<String>) -> JqError {
        JqError { offset, message: message.into(), unknown: None }
    }
}

impl fmt::Display for JqError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for JqError {}

/// Why a filter came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JqFailed {
    /// The document is not what it is for. The text is that of the filter's own `error`, or says what kinds of values
    /// do not go together.
    Error(String),
    /// It takes more steps than it may.
    Steps,
    /// It makes more than the answer may have.
    Large,
    /// What it makes, or the way there, is nested too deep.
    Deep,
}

impl fmt::Display for JqFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JqFailed::Error(message) => message,
            JqFailed::Steps => "it takes too many steps",
            JqFailed::Large => "it makes too much",
            JqFailed::Deep => "it nests too deep",
        })
    }
}

impl std::error::Error for JqFailed {}

impl Jq {
    /// Compiles a filter.
    pub fn parse(text: &str) -> Result<Jq, JqError> {
        if text.len() > TEXT_MAX {
            let message = format!("the filter has more than {TEXT_MAX} bytes");
            return Err(JqError::new(TEXT_MAX, message));
        }
        Ok(Jq { filter: load::load(text)?, text: text.into() })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Runs it on a document. What comes is one document: of several outputs a list, of none null. It has at most
    /// `bytes`.
    pub fn run(&self, document: Raw<'_>, bytes: usize) -> Result<String, JqFailed> {
        let text = document.as_str();
        let bounds = meter::Bounds {
            units: STEPS.saturating_add(text.len()),
            // The document itself is there already, and may be told from what it takes to write it.
            weight: bytes.max(text.len()).saturating_add(64),
        };
        meter::within(bounds, || self.evaluate(text, bytes))?
    }

    fn evaluate(&self, text: &str, bytes: usize) -> Result<String, JqFailed> {
        let context = Ctx::<Lang>::new(Table(&self.filter.lut), Vars::new([]));
        let mut outputs = Vec::new();
        for output in self.filter.id.run((context, read(text))) {
            match output {
                Ok(value) => outputs.push(value),
                Err(exception) => return Err(JqFailed::Error(message(exception))),
            }
        }
        let whole = match outputs.len() {
            0 => Val::Null,
            1 => outputs.pop().unwrap_or_default(),
            _ => outputs.into_iter().collect(),
        };
        json::write(&whole, bytes)
    }
}

impl fmt::Debug for Jq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jq").field(&self.text).finish()
    }
}

/// Bytes of an error that are told.
const MESSAGE_MAX: usize = 200;

fn message(exception: jaq_core::Exn<'_, Val>) -> String {
    match exception.get_err().map(jaq_core::Error::into_val) {
        Ok(Val::Text(text)) => {
            let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= MESSAGE_MAX);
            text.get(..end.unwrap_or(text.len())).unwrap_or_default().to_owned()
        }
        Ok(other) => format!("an error with {other}"),
        // A `break` without its label; `halt` is not there.
        Err(_) => "it ended early".to_owned(),
    }
}

/// What the interpreter works on.
struct Lang;

impl DataT for Lang {
    type V<'a> = Val;
    type Data<'a> = Table<'a>;
}

/// The terms of a filter.
#[derive(Clone)]
struct Table<'a>(&'a Lut<Lang>);

impl<'a> HasLut<'a, Lang> for Table<'a> {
    fn lut(&self) -> &'a Lut<Lang> {
        meter::step();
        self.0
    }
}

#[cfg(test)]
mod tests;
