//! `validate.openapi`: each description compiled once for all routes that name it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_content::openapi::{Documents, Fault, OpenApi};

use super::{Contents, Referred};
use crate::diagnostic::Code;
use crate::mask;
use crate::report::{Finding, Report};
use crate::resolve;
use crate::shape::{At, Pattern, Slot};
use crate::source_map::{FileId, Span};
use crate::spec::Interface;
use crate::yaml::{self, NodeRef};

/// The descriptions that are compiled so far.
pub(super) struct Interfaces<'a> {
    files: &'a Contents,
    referred: &'a Referred,
    /// By file and base; `None` where the report says what is wrong.
    compiled: HashMap<(PathBuf, Option<String>), Option<Arc<OpenApi>>>,
    /// Files that findings point into.
    shown: HashMap<PathBuf, FileId>,
}

impl<'a> Interfaces<'a> {
    pub(super) fn new(files: &'a Contents, referred: &'a Referred) -> Self {
        Interfaces { files, referred, compiled: HashMap::new(), shown: HashMap::new() }
    }

    /// The description that a route at this path names.
    pub(super) fn of_route(
        &mut self,
        slot: &Slot<Interface>,
        path: &At<Pattern>,
        report: &mut Report,
    ) -> Option<Arc<OpenApi>> {
        let interface = &slot.given()?.value;
        let key = (interface.file.value.clone(), interface.base.clone());
        let api = match self.compiled.get(&key) {
            Some(known) => known.clone(),
            None => {
                let made = self.compile(interface, report).map(Arc::new);
                self.compiled.insert(key, made.clone());
                made
            }
        }?;
        warn_apart(&api, interface, path, report);
        Some(api)
    }

    fn compile(&mut self, interface: &Interface, report: &mut Report) -> Option<OpenApi> {
        let At { value: path, span, .. } = &interface.file;
        // A file that could not be read is in the report and not in the map.
        let bytes = self.files.get(path)?;
        let folder = resolve::directory(path);
        let referred = self.referred;
        let mut load = |name: &str| {
            let unknown = || Err("was not read".to_owned());
            referred.get(&folder.join(name)).cloned().unwrap_or_else(unknown)
        };
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let documents = Documents::read(&name, bytes, &mut load).map_err(|fault| vec![fault]);
        let made = documents.and_then(|documents| OpenApi::compile(&documents, interface.base.as_deref()));
        match made {
            Ok(api) => Some(api),
            Err(faults) => {
                for fault in &faults {
                    self.report_in_file(fault, &folder.join(&fault.file), *span, report);
                }
                None
            }
        }
    }

    /// Points into the description's file, or into one that it refers to, and says who names it.
    fn report_in_file(&mut self, fault: &Fault, path: &Path, named: Span, report: &mut Report) {
        let at = if fault.pointer.is_empty() { String::new() } else { format!(" at {}", fault.pointer) };
        let message = format!("the description cannot be used{at}: {}", fault.message);
        let shown = self.shown.get(path).copied().or_else(|| {
            let bytes = self.files.get(path).or_else(|| self.referred.get(path)?.as_ref().ok())?;
            let text: Arc<str> = std::str::from_utf8(bytes).ok()?.into();
            let masks = mask::by_lines(&text);
            let id = report.sources.add(path.to_path_buf(), text);
            report.sources.mask(id, masks);
            self.shown.insert(path.to_path_buf(), id);
            Some(id)
        });
        let place = shown.and_then(|file| place(file, &fault.pointer, report));
        report.push(match place {
            Some(place) => {
                Finding::error(Code::BadSchema, report.head(place), message).related(named, "named here")
            }
            None => Finding::error(Code::BadSchema, named, format!("`{}`: {message}", path.display())),
        });
    }
}

/// Where a pointer leads in a file, or the nearest place above.
fn place(file: FileId, pointer: &str, report: &Report) -> Option<Span> {
    if pointer.is_empty() {
        return report.sources.line(file, 1);
    }
    let text = report.sources.file(file)?.text.clone();
    let tree = yaml::parse(file, &text).ok()??;
    let mut node = tree.root();
    let mut span = node.span();
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        let Some((next, place)) = below(node, &name) else { break };
        (node, span) = (next, place);
    }
    Some(span)
}

/// A member with the place of its name, or an element with its own.
fn below<'t>(node: NodeRef<'t>, name: &str) -> Option<(NodeRef<'t>, Span)> {
    if let Some(mut entries) = node.entries() {
        return entries.find(|entry| entry.key == name).map(|entry| (entry.value, entry.key_span));
    }
    let element = node.items()?.nth(name.parse().ok()?)?;
    Some((element, element.span()))
}

/// Warns of a description that has no path under that of the route, which would refuse every request.
fn warn_apart(api: &OpenApi, interface: &Interface, path: &At<Pattern>, report: &mut Report) {
    let text = path.value.text.as_str();
    let literal = text.split(['{', '*']).next().unwrap_or_default();
    let whole = literal.len() == text.len();
    let beginning = match literal.rsplit_once('/') {
        Some((beginning, _)) if !whole => beginning,
        _ => literal,
    };
    let beginning = if beginning.is_empty() { "/" } else { beginning };
    if !text.starts_with('/') || api.has_path(beginning, whole) {
        return;
    }
    let message = "no path of the description is one of this route: it refuses every request";
    let hint =
        "say with `base` what stands in front of the paths of the description, in place of its `servers`";
    let finding = Finding::warning(Code::Impossible, path.span, message);
    report.push(finding.related(interface.file.span, "the description").hint(hint));
}
