//! Templates: each file compiled once, with those of its folder that it names.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_content::render::{Template, references};

use super::{Contents, NamedTemplates};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::resolve;
use crate::shape::At;
use crate::source_map::{FileId, Span};
use crate::suggest;

/// What is compiled so far, and what it takes.
pub(super) struct Templates<'a> {
    files: &'a Contents,
    named: &'a NamedTemplates,
    /// By file; `None` where the report says what is wrong.
    compiled: HashMap<PathBuf, Option<Arc<Template>>>,
    /// Files that findings point into.
    shown: HashMap<PathBuf, FileId>,
}

/// A place in a template, and what is wrong there.
struct Fault {
    name: String,
    line: u32,
    message: String,
    hint: Option<String>,
}

impl<'a> Templates<'a> {
    pub(super) fn new(files: &'a Contents, named: &'a NamedTemplates) -> Self {
        Templates { files, named, compiled: HashMap::new(), shown: HashMap::new() }
    }

    /// The template of a file. `None` when the report says what is wrong with it.
    pub(super) fn template(&mut self, file: &At<PathBuf>, report: &mut Report) -> Option<Arc<Template>> {
        if let Some(known) = self.compiled.get(&file.value) {
            return known.clone();
        }
        let made = match self.compile(&file.value) {
            Ok(template) => Some(Arc::new(template)),
            Err(Some(fault)) => {
                self.report(&fault, &file.value, file.span, report);
                None
            }
            // It could not be read, which is in the report.
            Err(None) => None,
        };
        self.compiled.insert(file.value.clone(), made.clone());
        made
    }

    fn compile(&self, path: &Path) -> Result<Template, Option<Fault>> {
        let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let fault =
            |name: &str, line, message| Some(Fault { name: name.to_owned(), line, message, hint: None });
        let bytes = self.files.get(path).ok_or(None)?;
        let text =
            std::str::from_utf8(bytes).map_err(|_| fault(&own, 0, "it is not UTF-8 text".to_owned()))?;
        let mut sources: Vec<(String, Arc<str>)> = vec![(own.clone(), text.into())];
        let mut at = 0;
        while let Some((name, text)) = sources.get(at).cloned() {
            for reference in references(&text).map_err(|(line, message)| fault(&name, line, message))? {
                if sources.iter().any(|(known, _)| *known == reference.name) {
                    continue;
                }
                if sources.len() > bounds::TEMPLATES {
                    let message = format!("more than {} templates are named", bounds::TEMPLATES);
                    return Err(fault(&name, reference.line, message));
                }
                match self.named.get(&resolve::directory(path).join(&reference.name)) {
                    Some(Ok(text)) => sources.push((reference.name, text.clone())),
                    _ if reference.optional => {}
                    Some(Err(why)) => {
                        let message = format!("the template `{}` {why}", reference.name);
                        return Err(fault(&name, reference.line, message));
                    }
                    None => return Err(fault(&name, reference.line, "it was not read".to_owned())),
                }
            }
            at += 1;
        }
        Template::compile(&sources).map_err(|error| {
            let message = format!("the template has a fault: {}", error.message);
            let hint = error.unknown.as_ref().and_then(suggest::nearest);
            Some(Fault { name: error.name, line: error.line, message, hint })
        })
    }

    /// Points into the template, and says who names it.
    fn report(&mut self, fault: &Fault, path: &Path, named: Span, report: &mut Report) {
        let file = resolve::directory(path).join(&fault.name);
        let shown = self.shown.get(&file).copied().or_else(|| {
            let text = match self.files.get(&file) {
                Some(bytes) => std::str::from_utf8(bytes).ok()?.into(),
                None => self.named.get(&file)?.as_ref().ok()?.clone(),
            };
            let id = report.sources.add(file.clone(), text);
            self.shown.insert(file.clone(), id);
            Some(id)
        });
        let place = shown.filter(|_| fault.line > 0).and_then(|file| report.sources.line(file, fault.line));
        let finding = match place {
            Some(place) => {
                Finding::error(Code::BadTemplate, place, &*fault.message).related(named, "named here")
            }
            None => {
                let own = path.file_name().is_some_and(|own| own.to_string_lossy() == fault.name);
                let shown = match own {
                    true => report.sources.shown_path(path, named),
                    false => file.display().to_string(),
                };
                let message = format!("`{shown}`: {}", fault.message);
                Finding::error(Code::BadTemplate, named, message)
            }
        };
        report.push(finding.maybe_hint(fault.hint.clone()));
    }
}

/// The templates that a template names, and what they name in their turn, read by `read`. Whatever is wrong with them is
/// found again when they are compiled.
pub(crate) fn gather(
    path: &Path,
    text: &str,
    named: &mut NamedTemplates,
    read: &mut dyn FnMut(&Path) -> Result<Arc<str>, String>,
) {
    let folder = resolve::directory(path);
    let mut waiting: VecDeque<Arc<str>> = VecDeque::from([text.into()]);
    let mut seen = 0;
    while let Some(text) = waiting.pop_front() {
        for reference in references(&text).unwrap_or_default() {
            let path = folder.join(&reference.name);
            if named.contains_key(&path) || seen > bounds::TEMPLATES {
                continue;
            }
            seen += 1;
            let text = read(&path);
            waiting.extend(text.clone().ok());
            named.insert(path, text);
        }
    }
}
