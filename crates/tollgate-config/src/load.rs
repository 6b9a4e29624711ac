//! One load: parse, resolve, compile.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tollgate_content::openapi::Documents;
use tollgate_plan::plan::Admin;
use tollgate_script::{Script, Source};

use crate::bounds;
use crate::compile::{self, Input};
use crate::diagnostic::Code;
use crate::mask;
use crate::report::{Finding, Report};
use crate::resolve::{self, Matches, Reader, too_large};
use crate::shape::{At, OneOrMany, Shape, Slot, content_of};
use crate::source_map::Span;
use crate::sources::Sources;
use crate::spec::{Included, Root};
use crate::yaml::{self, Tree};
use crate::{Failed, Loaded};

pub(crate) fn from_file(path: &Path, sources: &dyn Sources) -> Result<Loaded, Failed> {
    let mut load = Load::new(sources, Report::default());
    let text = load.read(path, &|why| unreadable(path, why));
    let Some(text) = text else { return Err(load.fail()) };
    load.run(path, text)
}

/// Where the admin side is, and its token, whatever is wrong with the rest of the file.
pub(crate) fn admin(path: &Path, sources: &dyn Sources) -> Result<Admin, Failed> {
    let mut load = Load::new(sources, Report::default());
    let text = load.read(path, &|why| unreadable(path, why));
    let main = text.and_then(|text| {
        let tree = load.parse(path, &text)?;
        Root::read(tree.root(), "", &mut load.report)
    });
    let Some(main) = main else { return Err(load.fail()) };
    // The default is for a file that says nothing about it, not for one that cannot be understood.
    let known = match &main.admin {
        Slot::Absent => true,
        Slot::Faulty(_) => false,
        Slot::Given(block) => !matches!(block.value.address, Slot::Faulty(_)),
    };
    if known { Ok(compile::admin(&main.admin, &mut load.report)) } else { Err(load.fail()) }
}

/// Like [`from_file`], with one more included file, whose text is given.
pub(crate) fn from_file_and(
    path: &Path,
    sources: &dyn Sources,
    more: (&Path, &str),
) -> Result<Loaded, Failed> {
    let mut load = Load::new(sources, Report::default());
    load.more = Some((more.0.to_owned(), more.1.into()));
    let text = load.read(path, &|why| unreadable(path, why));
    let Some(text) = text else { return Err(load.fail()) };
    load.run(path, text)
}

pub(crate) fn from_text(name: &str, text: &str, sources: &dyn Sources) -> Result<Loaded, Failed> {
    let path = Path::new(name);
    let mut load = Load::new(sources, Report::new(sources.withholds()));
    load.reader.note(path);
    if text.len() as u64 > bounds::FILE_BYTES {
        load.report.push(unreadable(path, &too_large(bounds::FILE_BYTES)));
        return Err(load.fail());
    }
    load.run(path, text.into())
}

/// A finding about a file of the configuration that there is no text of.
fn unreadable(path: &Path, why: &str) -> Finding {
    let message = format!("the file {why}");
    match why == too_large(bounds::FILE_BYTES) {
        true => Finding::file(Code::TooLarge, path, message)
            .hint("move a part of it into files of their own, and name them under `include`"),
        false => Finding::file(Code::Unreadable, path, message),
    }
}

struct Load<'s> {
    reader: Reader<'s>,
    report: Report,
    /// An included file that no pattern names.
    more: Option<(PathBuf, Arc<str>)>,
    /// A part of the configuration could not be read, which is in the report.
    partial: bool,
}

impl<'s> Load<'s> {
    fn new(sources: &'s dyn Sources, report: Report) -> Load<'s> {
        Load { reader: Reader::new(sources), report, more: None, partial: false }
    }
}

impl Load<'_> {
    fn run(mut self, path: &Path, text: Arc<str>) -> Result<Loaded, Failed> {
        let Some(tree) = self.parse(path, &text) else { return Err(self.fail()) };
        let Some(main) = Root::read(tree.root(), "", &mut self.report) else { return Err(self.fail()) };
        let mut included = self.includes(&main, path);
        included.extend(self.more());
        let files = self.companions(&main, &included);
        let modules = self.modules(&main, &included, &files);
        let templates = self.templates(&main, &included, &files);
        let referred = self.referred(&main, &included, &files);
        self.log_folder(&main);
        let input = Input {
            main: &main,
            included: &included,
            files: &files,
            modules: &modules,
            templates: &templates,
            referred: &referred,
            cores: self.reader.cores(),
            now: self.reader.now(),
            partial: self.partial,
        };
        let Some((plan, proofs)) = compile::compile(&input, &mut self.report) else {
            return Err(self.fail());
        };
        let (files, directories) = self.reader.finish();
        let (warnings, sources) = self.report.finish();
        Ok(Loaded { plan, proofs, warnings, files, directories, sources })
    }

    fn fail(self) -> Failed {
        let (files, directories) = self.reader.finish();
        let (diagnostics, sources) = self.report.finish();
        Failed { diagnostics, files, directories, sources }
    }

    /// A configuration file's text; `fault` makes the finding when there is none.
    fn read(&mut self, path: &Path, fault: &dyn Fn(&str) -> Finding) -> Option<Arc<str>> {
        let bytes = match self.reader.configuration(path, bounds::FILE_BYTES) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.report.push(fault(&why));
                return None;
            }
        };
        match std::str::from_utf8(&bytes) {
            Ok(text) => Some(text.into()),
            Err(error) => {
                let finding = fault("is not UTF-8 text").hint("save it as UTF-8");
                let at = self.not_text(path, &bytes, error.valid_up_to());
                self.report.push(finding.at(at, "here"));
                None
            }
        }
    }

    /// The place in a file at which it is no text.
    fn not_text(&mut self, path: &Path, bytes: &[u8], at: usize) -> Span {
        let text = String::from_utf8_lossy(bytes);
        let masks = mask::by_lines(&text);
        let file = self.report.sources.add(path.to_path_buf(), text.into());
        self.report.sources.mask(file, masks);
        // What comes before is text, and so as long as it was.
        let start = at as u32;
        Span { file, start, end: start + char::REPLACEMENT_CHARACTER.len_utf8() as u32 }
    }

    /// Parses a file and resolves what its scalars refer to.
    fn parse<'t>(&mut self, path: &Path, text: &'t Arc<str>) -> Option<Tree<'t>> {
        let file = self.report.sources.add_configuration(path.to_path_buf(), text.clone());
        let mut tree = match yaml::parse(file, text) {
            Ok(Some(tree)) if !tree.root().is_null() => tree,
            Ok(_) => {
                let finding = Finding::file(Code::Empty, path, "the file has no content");
                self.report.push(finding.hint("the smallest one has `routes:` with a `path:` and a `to:`"));
                return None;
            }
            Err(finding) => {
                self.report.sources.mask(file, mask::by_lines(text));
                self.report.push(*finding);
                return None;
            }
        };
        self.report.sources.mask(file, mask::by_keys(&tree, text));
        resolve::expand(&mut tree, file, &mut self.reader, &mut self.report);
        Some(tree)
    }

    fn includes(&mut self, main: &Root, path: &Path) -> Vec<Included> {
        let Some(OneOrMany(patterns)) = main.include.value() else { return Vec::new() };
        let mut seen: HashMap<PathBuf, Option<Span>> = HashMap::from([(self.reader.identity(path), None)]);
        let mut included = Vec::new();
        if let Some(over) = patterns.get(bounds::INCLUDES) {
            self.too_many(over.span);
            return included;
        }
        for At { value: pattern, span, .. } in patterns {
            for file in self.matches(resolve::directory(path), pattern, *span) {
                if seen.len() > bounds::INCLUDES {
                    self.too_many(*span);
                    return included;
                }
                match seen.insert(self.reader.identity(&file), Some(*span)) {
                    None => {
                        let file = self.include(&file, *span);
                        self.partial |= file.is_none();
                        included.extend(file);
                    }
                    Some(first) => self.twice(&file, *span, first),
                }
            }
        }
        included
    }

    fn more(&mut self) -> Option<Included> {
        let (path, text) = self.more.take()?;
        let tree = self.parse(&path, &text)?;
        Included::read(tree.root(), "", &mut self.report)
    }

    fn too_many(&mut self, span: Span) {
        let message = format!("more than {} files are included", bounds::INCLUDES);
        self.report.push(Finding::error(Code::TooLarge, span, message));
    }

    fn matches(&mut self, directory: &Path, pattern: &str, span: Span) -> Vec<PathBuf> {
        let finding = match resolve::matches(directory, pattern, &mut self.reader) {
            Ok(Matches::Plain(file)) => return vec![file],
            Ok(Matches::Pattern(files)) if files.is_empty() => Finding::warning(
                Code::BadInclude,
                span,
                format!(
                    "no file matches `{}`",
                    self.report.sources.shown_path(&directory.join(pattern), span)
                ),
            ),
            Ok(Matches::Pattern(files)) => return files,
            Err(why) => {
                self.partial = true;
                Finding::error(Code::BadInclude, span, format!("the include {why}"))
            }
        };
        self.report.push(finding);
        Vec::new()
    }

    fn include(&mut self, file: &Path, span: Span) -> Option<Included> {
        let shown = self.report.sources.shown_path(file, span);
        let fault =
            |why: &str| Finding::error(Code::BadInclude, span, format!("the included file `{shown}` {why}"));
        let text = self.read(file, &fault)?;
        let tree = self.parse(file, &text)?;
        Included::read(tree.root(), "", &mut self.report)
    }

    fn twice(&mut self, file: &Path, span: Span, first: Option<Span>) {
        let name = self.report.sources.shown_path(file, span);
        self.report.push(match first {
            Some(first) => {
                Finding::error(Code::BadInclude, span, format!("the file `{name}` is included twice"))
                    .related(first, "included first here")
            }
            None => Finding::error(Code::BadInclude, span, format!("the file `{name}` includes itself")),
        });
    }

    /// The bytes of the files that the configuration names.
    fn companions(&mut self, main: &Root, included: &[Included]) -> compile::Contents {
        let mut files = HashMap::new();
        for (At { value: path, span, .. }, limit) in compile::companions(main, included) {
            match self.reader.bytes(path, limit) {
                Ok(bytes) => {
                    files.insert(path.clone(), bytes);
                }
                Err(why) => {
                    let shown = self.report.sources.shown_path(path, *span);
                    let message = format!("the file `{shown}` {why}");
                    let hint =
                        content_of(&shown).map(|file| format!("if `{file}` is meant, write the path itself"));
                    self.report.push(Finding::error(Code::Unreadable, *span, message).maybe_hint(hint));
                }
            }
        }
        files
    }

    /// Warns where the access log has no folder to be in. It may come before the gateway starts, so it is no error.
    fn log_folder(&mut self, main: &Root) {
        let Some(At { value: path, span, .. }) = main.access_log.value().and_then(|log| log.path.given())
        else {
            return;
        };
        let folder = resolve::directory(path);
        if let Some(why) = self.reader.lacks_folder(folder) {
            let shown = match self.report.sources.shown_path(path, *span) {
                whole if whole.contains("${") => format!("the folder of `{whole}`"),
                _ => format!("the folder `{}`", folder.display()),
            };
            let message = format!("{shown} {why}: the access log could not be written");
            let finding = Finding::warning(Code::Unreadable, *span, message);
            self.report.push(finding.hint("the gateway does not start without it; it makes no folders"));
        }
    }

    /// The modules that scripts require. Whatever is wrong with them is found again when they are compiled.
    fn modules(&mut self, main: &Root, included: &[Included], files: &compile::Contents) -> compile::Modules {
        let mut modules = compile::Modules::new();
        let mut seen = HashSet::new();
        for At { value: path, .. } in compile::scripts(main, included) {
            let text = files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok());
            let Some(text) = text.filter(|_| seen.insert(path)) else { continue };
            let folder = resolve::directory(path);
            let mut load = |module: &str| {
                let path = folder.join(module);
                let read = self.reader.bytes(&path, tollgate_script::MAX_SOURCE_BYTES as u64);
                let text = read.and_then(|bytes| {
                    std::str::from_utf8(&bytes).map(Arc::from).map_err(|_| "is not UTF-8 text".to_owned())
                });
                modules.insert(path, text.clone());
                text.map(|text: Arc<str>| text.to_string())
            };
            let source = Source { modules: Some(&mut load), ..Source::inline("", text) };
            drop(Script::read(source));
        }
        modules
    }

    /// The templates that templates name. Whatever is wrong with them is found again when they are compiled.
    fn templates(
        &mut self,
        main: &Root,
        included: &[Included],
        files: &compile::Contents,
    ) -> compile::NamedTemplates {
        let mut templates = compile::NamedTemplates::new();
        for At { value: path, .. } in compile::templates(main, included) {
            let Some(text) = files.get(path).and_then(|bytes| std::str::from_utf8(bytes).ok()) else {
                continue;
            };
            let mut read = |path: &Path| {
                let bytes = self.reader.bytes(path, bounds::TEMPLATE_FILE_BYTES)?;
                std::str::from_utf8(&bytes).map(Arc::from).map_err(|_| "is not UTF-8 text".to_owned())
            };
            compile::gather(path, text, &mut templates, &mut read);
        }
        templates
    }

    /// The files that descriptions of interfaces refer to. Whatever is wrong with them is found again when they are
    /// compiled.
    fn referred(
        &mut self,
        main: &Root,
        included: &[Included],
        files: &compile::Contents,
    ) -> compile::Referred {
        let mut referred = compile::Referred::new();
        let mut seen = HashSet::new();
        for At { value: path, .. } in compile::interfaces(main, included) {
            let Some(bytes) = files.get(path).filter(|_| seen.insert(path)) else { continue };
            let folder = resolve::directory(path);
            let mut load = |name: &str| {
                let path = folder.join(name);
                let read = self.reader.bytes(&path, bounds::INTERFACE_FILE_BYTES);
                referred.insert(path, read.clone());
                read
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            drop(Documents::read(&name, bytes, &mut load));
        }
        referred
    }
}
