//! `${NAME}`, `${NAME:-default}` and `${file:/path}` inside scalars.
//!
//! They are expanded after YAML parsing, so a value never adds structure, whatever it holds.

use std::ops::Range;
use std::path::Path;

use super::{Reader, beside};
use crate::bounds;
use crate::diagnostic::Code;
use crate::outside::Outside;
use crate::report::{Finding, Report};
use crate::source_map::{FileId, Span};
use crate::yaml::{Scalar, Tree};

/// Names that people know from templates and may write with a dollar by habit.
const TEMPLATE_NAMES: &[&str] =
    &["host", "path", "query", "method", "scheme", "client_ip", "request_id", "route", "consumer"];

/// Faults of one scalar that are told.
const FAULTS: usize = 100;

/// Expands every scalar of a file.
pub(crate) fn expand(tree: &mut Tree<'_>, file: FileId, reader: &mut Reader<'_>, report: &mut Report) {
    let path = report.sources.path(file).map(Path::to_path_buf).unwrap_or_default();
    for (span, scalar) in tree.scalars_mut().filter(|(_, scalar)| scalar.text.contains('$')) {
        let mut expansion = Expansion {
            path: &path,
            out: String::new(),
            foreign: Vec::new(),
            withheld: false,
            reader,
            outside: &mut report.outside,
        };
        let faults = expansion.run(&scalar.text);
        match expansion.withheld {
            _ if !faults.is_empty() => {
                for fault in faults {
                    let place = scalar_part(span, scalar, &fault.at, report);
                    report.push(Finding::error(fault.code, place, fault.message).maybe_hint(fault.hint));
                }
                // What cannot be known must not be judged: an unknown value raises no second error.
                scalar.unknown = true;
            }
            true => {
                let message = "what `${…}` stands for is not looked at here, nor what depends on it";
                report.push(Finding::warning(Code::NotLookedAt, span, message));
                scalar.unknown = true;
            }
            false => *scalar = expansion.finish(scalar.plain),
        }
    }
}

struct Expansion<'a, 's> {
    path: &'a Path,
    out: String,
    foreign: Vec<Range<u32>>,
    /// Something that it stands for is withheld.
    withheld: bool,
    reader: &'a mut Reader<'s>,
    outside: &'a mut Outside,
}

struct Fault {
    code: Code,
    at: Range<usize>,
    message: String,
    hint: Option<String>,
}

impl Expansion<'_, '_> {
    /// Expands a text; what is wrong with it, up to [`FAULTS`].
    fn run(&mut self, text: &str) -> Vec<Fault> {
        let (mut rest, mut faults) = (text, Vec::new());
        while let Some(dollar) = rest.find('$') {
            let (before, from) = rest.split_at(dollar);
            self.out.push_str(before);
            let at = text.len() - from.len();
            rest = match from.as_bytes().get(1) {
                Some(b'$') => {
                    self.out.push('$');
                    &from[2..]
                }
                Some(b'{') => {
                    let Some(end) = from.find('}') else {
                        let message = "`${` is never closed".to_owned();
                        let hint = Some("write `}` after the name, or `$$` for a dollar sign".to_owned());
                        faults.push(Fault { code: Code::BadExpansion, at: at..text.len(), message, hint });
                        return faults;
                    };
                    faults.extend(self.one(&from[2..end], at..at + end + 1).err());
                    if faults.len() == FAULTS {
                        return faults;
                    }
                    &from[end + 1..]
                }
                _ => {
                    self.out.push('$');
                    &from[1..]
                }
            };
        }
        self.out.push_str(rest);
        faults
    }

    /// One `${…}`; `inner` is what stands between the braces.
    fn one(&mut self, inner: &str, at: Range<usize>) -> Result<(), Fault> {
        let fault = |code, message: String, hint| Err(Fault { code, at: at.clone(), message, hint });
        if let Some(path) = inner.strip_prefix("file:") {
            if self.reader.sources.withholds() {
                self.withheld = true;
                return Ok(());
            }
            let path = beside(self.path, path);
            return match self.file(&path) {
                Ok(text) => {
                    self.outside.note(&text, &format!("${{{inner}}}"));
                    self.insert(&text, at)
                }
                Err(why) => fault(Code::BadExpansion, format!("the file `{}` {why}", path.display()), None),
            };
        }
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            let hint = "write `${NAME}`, `${NAME:-default}` or `${file:/path}`; `$$` is a dollar sign";
            return fault(Code::BadExpansion, format!("`{name}` is no variable name"), Some(hint.to_owned()));
        }
        if self.reader.sources.withholds() {
            self.withheld = true;
            return Ok(());
        }
        let value = self.reader.sources.variable(name);
        match (value.filter(|value| !value.is_empty() || default.is_none()), default) {
            (Some(value), _) => {
                self.outside.note(&value, &format!("${{{inner}}}"));
                self.insert(&value, at)
            }
            (None, Some(default)) if default.contains("${") => {
                fault(Code::BadExpansion, "a default cannot hold another `${`".to_owned(), None)
            }
            (None, Some(default)) => self.insert(&default.replace("$$", "$"), at),
            (None, None) => {
                let hint = match TEMPLATE_NAMES.contains(&name) {
                    true => format!("a template placeholder has no dollar sign: `{{{name}}}`"),
                    false => format!("set it, or give a default: `${{{name}:-…}}`"),
                };
                fault(
                    Code::MissingVariable,
                    format!("the environment variable `{name}` is not set"),
                    Some(hint),
                )
            }
        }
    }

    fn file(&mut self, path: &Path) -> Result<String, String> {
        let bytes = self.reader.bytes(path, bounds::EXPANSION_FILE_BYTES)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
        // Editors and `echo` end a file with a newline that nobody means.
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Ok(text.to_owned())
    }

    fn insert(&mut self, value: &str, at: Range<usize>) -> Result<(), Fault> {
        self.reader.expanded = self.reader.expanded.saturating_add(value.len());
        if self.reader.expanded > bounds::EXPANDED_BYTES {
            let message = format!("expansions produce more than {} bytes", bounds::EXPANDED_BYTES);
            return Err(Fault { code: Code::TooLarge, at, message, hint: None });
        }
        let start = self.out.len() as u32;
        self.out.push_str(value);
        self.foreign.push(start..self.out.len() as u32);
        Ok(())
    }

    fn finish(self, plain: bool) -> Scalar<'static> {
        Scalar { text: self.out.into(), plain, rewritten: true, foreign: self.foreign.into(), unknown: false }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn scalar_part(span: Span, scalar: &Scalar<'_>, part: &Range<usize>, report: &Report) -> Span {
    scalar.part(span, report.sources.text(span), part.clone())
}
