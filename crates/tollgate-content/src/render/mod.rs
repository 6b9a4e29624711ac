//! Templates in the language of Jinja, by minijinja: a document becomes a page.
//!
//! A template sees the document and nothing else. What it includes or extends are templates of its own folder, which
//! are there before it is compiled: nothing is read here. Values are escaped for what the answer is, which the ending of
//! the template's name says, also within templates that it includes. It has fuel, a bound on nesting and one on what it
//! writes. What it looks at is charged for as well, where it is looked at: an instruction may go through all of the
//! document.

mod filters;
mod meter;
mod references;
mod values;

use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::value::{Value, ValueKind};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter,
};

use self::meter::Stopped;
pub use self::references::{Reference, references};
use crate::Unknown;
use crate::node::Node;

/// Instructions of one page; a cell of a table takes some five.
const FUEL: u64 = 2_000_000;

/// Templates, macros and loops in each other: each takes some of the stack.
const NESTED_MAX: usize = 60;

/// Bytes of a page.
const PAGE_BYTES: usize = 16 << 20;

/// A template, compiled, with those that it names.
pub struct Template {
    environment: Environment<'static>,
    name: Box<str>,
    names: Vec<Box<str>>,
    /// Bytes of its text that a turn of a loop may put into a value.
    captured: usize,
}

/// What is wrong with a template, or why it came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Which one.
    pub name: String,
    /// The line, from 1; 0 where it is not known.
    pub line: u32,
    /// What is wrong.
    pub message: String,
    /// The name that it is about.
    pub unknown: Option<Unknown>,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.name, self.line, self.message)
    }
}

impl std::error::Error for TemplateError {}

/// What a page is made of.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// The members of an object are variables of the template; all of it is `answer`.
    pub document: &'a Node<'a>,
    /// Parts that failed, and why: the variable `failed`.
    pub failed: &'a [(&'a str, &'a str)],
}

impl Template {
    /// Compiles the template of this name, which is the first one, with those that it names.
    pub fn compile(sources: &[(String, Arc<str>)]) -> Result<Template, TemplateError> {
        let name = sources.first().map(|(name, _)| name.as_str()).unwrap_or_default();
        let mut environment = Environment::new();
        let escape = Kind::of(name).escape();
        environment.set_auto_escape_callback(move |_| escape.clone());
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_recursion_limit(NESTED_MAX);
        environment.set_fuel(Some(FUEL));
        filters::install(&mut environment);
        environment.set_formatter(write_value);
        for (name, text) in sources {
            environment
                .add_template_owned(name.clone(), text.to_string())
                .map_err(|error| told(name, &error))?;
        }
        let names = sources.iter().map(|(name, _)| name.as_str().into()).collect();
        let captured = references::captured(sources.iter().map(|(_, text)| &**text));
        let template = Template { environment, name: name.into(), names, captured };
        template.rehearse()?;
        Ok(template)
    }

    /// The media type of what it makes.
    pub fn media_type(&self) -> &'static str {
        Kind::of(&self.name).media_type()
    }

    /// The texts that it was compiled from, each behind its name.
    pub fn sources(&self) -> impl Iterator<Item = (&str, String)> {
        self.names.iter().filter_map(|name| {
            let template = self.environment.get_template(name).ok()?;
            Some((&**name, template.source().to_owned()))
        })
    }

    /// Makes a page. Now and then it asks whether it is too late for one.
    pub fn render(
        &self,
        page: Page<'_>,
        late: impl Fn() -> bool + 'static,
    ) -> Result<Vec<u8>, TemplateError> {
        self.write(values::context(page), Box::new(late))
            .map_err(|stopped| TemplateError {
                name: self.name.to_string(),
                line: 0,
                message: stopped.message().to_owned(),
                unknown: None,
            })?
            .map_err(|error| told(&self.name, &error))
    }

    fn write(&self, context: Value, late: Box<dyn Fn() -> bool>) -> Result<Result<Vec<u8>, Error>, Stopped> {
        meter::within(self.captured, late, || {
            let mut out = Bounded { bytes: Vec::new() };
            self.environment.get_template(&self.name)?.render_captured_to(context, &mut out)?;
            Ok(out.bytes)
        })
    }

    /// Renders once with nothing, which finds names of filters, tests and functions that are not there. What else goes
    /// wrong is about the nothing.
    fn rehearse(&self) -> Result<(), TemplateError> {
        let nothing = Value::from_pairs(std::iter::empty::<(String, Value)>());
        match self.write(nothing, Box::new(|| false)) {
            Ok(Err(error)) if is_unknown(&error) => {
                let unknown = self.unknown(innermost(&error));
                Err(TemplateError { unknown, ..told(&self.name, &error) })
            }
            _ => Ok(()),
        }
    }

    /// The name that an error is about, where it is one of those that are known.
    fn unknown(&self, error: &Error) -> Option<Unknown> {
        let detail = error.detail()?.strip_suffix(" is unknown")?;
        match error.kind() {
            ErrorKind::UnknownFilter => Some(Unknown::new(detail.strip_prefix("filter ")?, filters::names())),
            ErrorKind::UnknownTest => Some(Unknown::new(detail.strip_prefix("test ")?, filters::TESTS)),
            ErrorKind::UnknownFunction => {
                Some(Unknown::new(detail, self.environment.globals().map(|(name, _)| name)))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.names).finish()
    }
}

fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    // It may go to a value instead of the page.
    meter::text(value.as_str().map_or(0, str::len));
    match value.kind() {
        // JSON has its own words.
        _ if matches!(state.auto_escape(), AutoEscape::Json) => escape_formatter(out, state, value),
        // A page has nothing where the document has null, and not a word of another language.
        ValueKind::None => Ok(()),
        ValueKind::Bool => Ok(out.write_str(if value.is_true() { "true" } else { "false" })?),
        _ => escape_formatter(out, state, value),
    }
}

fn is_unknown(error: &Error) -> bool {
    use ErrorKind::{TemplateNotFound, UnknownFilter, UnknownFunction, UnknownTest};
    matches!(innermost(error).kind(), TemplateNotFound | UnknownFilter | UnknownFunction | UnknownTest)
}

/// An error in a template that another one includes is told by that one first.
fn innermost(error: &Error) -> &Error {
    let mut at = error;
    while let Some(below) = std::error::Error::source(at).and_then(|below| below.downcast_ref::<Error>()) {
        at = below;
    }
    at
}

/// Bytes of a message.
const MESSAGE_MAX: usize = 200;

fn told(name: &str, error: &Error) -> TemplateError {
    let error = innermost(error);
    let message = match error.detail() {
        _ if error.kind() == ErrorKind::WriteFailure => "it writes more than 16 MiB".to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    TemplateError {
        name: error.name().unwrap_or(name).to_owned(),
        line: error.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(0),
        message: message.chars().take(MESSAGE_MAX).collect(),
        unknown: None,
    }
}

/// What comes out of a template, up to its bound.
struct Bounded {
    bytes: Vec<u8>,
}

impl io::Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + piece.len() > PAGE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a template makes, by the ending of its name: `page.html`, `page.html.j2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Xhtml,
    Xml,
    Svg,
    Json,
    Yaml,
    JavaScript,
    Css,
    Csv,
    Markdown,
    Plain,
}

impl Kind {
    /// What has no ending that says otherwise is HTML: that errs on the side of escaping.
    fn of(name: &str) -> Kind {
        let name = name.to_ascii_lowercase();
        let own = [".j2", ".jinja", ".jinja2"].iter().find_map(|ending| name.strip_suffix(ending));
        match own.unwrap_or(&name).rsplit_once('.').map(|(_, ending)| ending) {
            Some("xhtml") => Kind::Xhtml,
            Some("xml") => Kind::Xml,
            Some("svg") => Kind::Svg,
            Some("json") => Kind::Json,
            Some("yaml" | "yml") => Kind::Yaml,
            Some("js" | "mjs") => Kind::JavaScript,
            Some("css") => Kind::Css,
            Some("csv") => Kind::Csv,
            Some("md") => Kind::Markdown,
            Some("txt" | "text") => Kind::Plain,
            _ => Kind::Html,
        }
    }

    fn escape(self) -> AutoEscape {
        match self {
            Kind::Html | Kind::Xhtml | Kind::Xml | Kind::Svg => AutoEscape::Html,
            Kind::Json | Kind::Yaml | Kind::JavaScript => AutoEscape::Json,
            Kind::Css | Kind::Csv | Kind::Markdown | Kind::Plain => AutoEscape::None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Kind::Html => "text/html; charset=utf-8",
            Kind::Xhtml => "application/xhtml+xml; charset=utf-8",
            Kind::Xml => "application/xml; charset=utf-8",
            Kind::Svg => "image/svg+xml; charset=utf-8",
            // Both are UTF-8 by definition (RFC 8259 section 8.1, RFC 9512 section 2.1).
            Kind::Json => "application/json",
            Kind::Yaml => "application/yaml",
            Kind::JavaScript => "text/javascript; charset=utf-8",
            Kind::Css => "text/css; charset=utf-8",
            Kind::Csv => "text/csv; charset=utf-8",
            Kind::Markdown => "text/markdown; charset=utf-8",
            Kind::Plain => "text/plain; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests;
