//! Scripts: each text compiled once for each set of values and limits that it is handed.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tollgate_plan::script::Scripts;
use tollgate_script::{Compiler, Limits, Script, ScriptError, Source};

use super::merge::Layers;
use super::{Contents, Modules};
use crate::diagnostic::Code;
use crate::mask;
use crate::report::{Finding, Report};
use crate::resolve;
use crate::shape::{At, OneOrMany, Slot};
use crate::source_map::{FileId, Span};
use crate::spec::{self, Lua, LuaLimits, ScriptText};

/// What is compiled so far, and what it takes.
pub(super) struct Compiled<'a> {
    files: &'a Contents,
    modules: &'a Modules,
    /// Of the main file: what routes do not say themselves.
    limits: &'a Slot<LuaLimits>,
    /// Made with the first script.
    compiler: Option<Compiler>,
    /// By text, values and limits; `None` where the report says what is wrong.
    scripts: HashMap<(Place, String, u64, u128), Option<Script>>,
    /// Files of scripts and modules that findings point into.
    shown: HashMap<PathBuf, FileId>,
}

/// Which text it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    File(PathBuf),
    Inline(Span),
}

/// Every script of a file.
pub(super) fn all<'a>(main: &'a spec::Root, included: &'a [spec::Included]) -> impl Iterator<Item = &'a Lua> {
    let defaults = std::iter::once(&main.defaults).chain(included.iter().map(|file| &file.defaults));
    let routes = std::iter::once(&main.routes).chain(included.iter().map(|file| &file.routes));
    let of_defaults = defaults.filter_map(|slot| slot.value()?.lua.value());
    let of_routes = routes.filter_map(Slot::value).flat_map(|rows| &rows.0);
    let slots = of_defaults.chain(of_routes.filter_map(|route| route.value.lua.value()));
    slots.flat_map(|OneOrMany(list)| list).map(|script| &script.value)
}

impl<'a> Compiled<'a> {
    pub(super) fn new(files: &'a Contents, modules: &'a Modules, limits: &'a Slot<LuaLimits>) -> Self {
        let (scripts, shown) = (HashMap::new(), HashMap::new());
        Compiled { files, modules, limits, compiler: None, scripts, shown }
    }

    /// The scripts of a route. A route without any, or whose scripts have faults, gets none.
    pub(super) fn of_route(&mut self, layers: &Layers<'_>, report: &mut Report) -> Option<Box<Scripts>> {
        let OneOrMany(list) = layers.key(|keys| keys.lua).value()?;
        let limits = self.limits(layers.key(|keys| keys.lua_limits));
        let scripts: Vec<Script> =
            list.iter().filter_map(|At { value, .. }| self.script(value, limits, report)).collect();
        (!scripts.is_empty()).then(|| Box::new(Scripts::new(scripts)))
    }

    fn limits(&self, own: &Slot<LuaLimits>) -> Limits {
        let both = [own.value(), self.limits.value()];
        let memory = both.into_iter().flatten().find_map(|limits| limits.memory.value());
        let time = both.into_iter().flatten().find_map(|limits| limits.time.value());
        let default = LuaLimits::default();
        Limits {
            memory_bytes: memory.copied().unwrap_or(default.memory()).0 as usize,
            time: time.copied().unwrap_or(default.time()).0,
            ..Limits::default()
        }
    }

    fn script(&mut self, lua: &Lua, limits: Limits, report: &mut Report) -> Option<Script> {
        let place = match &lua.text {
            ScriptText::File(file) => Place::File(file.value.clone()),
            ScriptText::Inline(inline) => Place::Inline(inline.span),
        };
        let with = serde_json::Value::Object(lua.with.clone());
        let key = (place, with.to_string(), limits.memory_bytes as u64, limits.time.as_nanos());
        if let Some(known) = self.scripts.get(&key) {
            return known.clone();
        }
        let script = match &lua.text {
            ScriptText::File(file) => self.of_file(file, with, limits, report),
            ScriptText::Inline(inline) => self.of_text(inline, with, limits, report),
        };
        self.scripts.insert(key, script.clone());
        script
    }

    /// The most that a call of any script may use of memory, in bytes; 0 without scripts.
    pub(super) fn memory(&self) -> usize {
        self.scripts.keys().map(|key| key.2 as usize).max().unwrap_or(0)
    }

    fn of_file(
        &mut self,
        At { value: path, span, .. }: &At<PathBuf>,
        with: serde_json::Value,
        limits: Limits,
        report: &mut Report,
    ) -> Option<Script> {
        // A file that could not be read is in the report and not in the map.
        let bytes = self.files.get(path)?;
        let Ok(text) = std::str::from_utf8(bytes) else {
            let shown = report.sources.shown_path(path, *span);
            let message = format!("the script `{shown}` is not UTF-8 text");
            report.push(Finding::error(Code::BadScript, *span, message));
            return None;
        };
        let (folder, modules) = (resolve::directory(path), self.modules);
        let mut load = |module: &str| match modules.get(&folder.join(module)) {
            Some(Ok(text)) => Ok(text.to_string()),
            Some(Err(why)) => Err(format!("it {why}")),
            None => Err("it does not exist".to_owned()),
        };
        let name = path.display().to_string();
        let source = Source { name: &name, text, with, modules: Some(&mut load) };
        match self.compile(source, limits) {
            Ok(script) => Some(script),
            Err(error) => {
                self.report_in_file(&error, path, *span, report);
                None
            }
        }
    }

    fn of_text(
        &mut self,
        At { value: text, span, .. }: &At<String>,
        with: serde_json::Value,
        limits: Limits,
        report: &mut Report,
    ) -> Option<Script> {
        let (line, _) = report.sources.place(*span).unwrap_or_default();
        let file = report.sources.path(span.file).map(|path| path.display().to_string());
        let name = format!("{}:{line}:lua", file.unwrap_or_default());
        let source = Source { name: &name, text, with, modules: None };
        match self.compile(source, limits) {
            Ok(script) => Some(script),
            Err(error) => {
                let place = within(*span, error.line, report);
                // It quotes pieces of the script, and so of what came from outside.
                let said = match report.sources.text(*span).contains("${") {
                    true => {
                        "it is not told which, since `${…}` stands in it; `with` hands values to a script"
                    }
                    false => &error.message,
                };
                let message = match place {
                    Some(_) => format!("the script has a fault: {said}"),
                    None => format!("the script has a fault{}: {said}", at_line(error.line)),
                };
                let place = place.unwrap_or_else(|| report.head(*span));
                report.push(Finding::error(Code::BadScript, place, message));
                None
            }
        }
    }

    fn compile(&mut self, source: Source<'_>, limits: Limits) -> Result<Script, ScriptError> {
        if self.compiler.is_none() {
            self.compiler = Some(Compiler::new().map_err(|failure| ScriptError {
                file: source.name.to_owned(),
                line: 0,
                message: failure.message,
            })?);
        }
        let compiled = match &self.compiler {
            Some(compiler) => compiler.compile(source, limits),
            None => {
                Err(ScriptError { file: String::new(), line: 0, message: "there is no compiler".to_owned() })
            }
        };
        compiled.map_err(|error| ScriptError { message: mask::lua::masked_message(&error.message), ..error })
    }

    /// Points into the script's file, or the module's, and says who names it.
    fn report_in_file(&mut self, error: &ScriptError, path: &Path, named: Span, report: &mut Report) {
        let is_main = path.display().to_string() == error.file;
        let file = if is_main { path.to_path_buf() } else { resolve::directory(path).join(&error.file) };
        let message = format!("the script has a fault: {}", error.message);
        let text = match is_main {
            true => self.files.get(&file).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(Into::into),
            false => self.modules.get(&file).and_then(|text| text.as_ref().ok().cloned()),
        };
        let shown = self.shown.get(&file).copied().or_else(|| {
            let text: std::sync::Arc<str> = text?;
            let mut masks = mask::by_lines(&text);
            mask::lua::mask(&text, 0, &mut masks);
            let id = report.sources.add(file.clone(), text);
            report.sources.mask(id, masks);
            self.shown.insert(file, id);
            Some(id)
        });
        let place = shown.and_then(|file| report.sources.line(file, error.line));
        let finding = match place {
            Some(place) => Finding::error(Code::BadScript, place, message).related(named, "named here"),
            None => {
                let message = format!("`{}`{}: {}", error.file, at_line(error.line), error.message);
                Finding::error(Code::BadScript, named, message)
            }
        };
        report.push(finding);
    }
}

fn at_line(line: u32) -> String {
    if line == 0 { String::new() } else { format!(", line {line}") }
}

/// The line of a text that stands in the configuration behind `|`; none when it is written otherwise.
fn within(span: Span, line: u32, report: &Report) -> Option<Span> {
    let written = report.sources.text(span);
    let (first, _) = report.sources.place(span)?;
    // The sign stands on a line of its own, or the text begins where the place does.
    let header = u32::from(written.starts_with('|'));
    if line == 0 || written.starts_with(['>', '"', '\'']) {
        return None;
    }
    report.sources.line(span.file, first + header + line - 1)
}
