//! A script as a value: compiled when the configuration is read, shared by all workers.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::failure::{Cause, Failure, ScriptError};
use crate::host::Silent;
use crate::limits::Limits;
use crate::machine::Machine;
use crate::source::{Needs, outline};

/// Longest source of a script or a module, in bytes: far above what people write, far below what hurts.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Modules that one script may require, directly or not.
pub const MAX_MODULES: usize = 64;

/// Reads the module at a path relative to the script's folder (`lib/sign.lua`). The path has no `..` and does not begin
/// with `/`; whether links may lead out of the folder is the reader's to say.
pub type LoadModule<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

/// What a script is made of.
pub struct Source<'a> {
    /// What errors call it: its path, or where the configuration has it.
    pub name: &'a str,
    /// Luau source.
    pub text: &'a str,
    /// What the script sees as `config`.
    pub with: Value,
    /// Reads modules; without it nothing can be required.
    pub modules: Option<&'a mut LoadModule<'a>>,
}

impl<'a> Source<'a> {
    /// A source without configuration and modules.
    pub fn inline(name: &'a str, text: &'a str) -> Source<'a> {
        Source { name, text, with: Value::Object(serde_json::Map::new()), modules: None }
    }
}

/// A compiled script. Cloning it is cheap; it may be used by any [`Vm`](crate::Vm).
#[derive(Clone)]
pub struct Script(Arc<Compiled>);

pub(crate) struct Compiled {
    /// Told apart by number, which is never given twice in a process.
    pub(crate) id: u64,
    pub(crate) main: Unit,
    pub(crate) modules: Vec<Unit>,
    pub(crate) with: Value,
    pub(crate) limits: Limits,
    needs: Needs,
    phases: Phases,
}

/// One compiled file.
pub(crate) struct Unit {
    /// Of a module: what `require` is given.
    pub(crate) module: String,
    /// What errors call it.
    pub(crate) file: String,
    pub(crate) bytecode: Vec<u8>,
}

/// Which functions a script defines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Phases {
    pub(crate) request: bool,
    pub(crate) response: bool,
}

impl Script {
    /// Reads a script and its modules without running anything: for who has to know which files it is made of.
    pub fn read(source: Source<'_>) -> Result<(), ScriptError> {
        let mut units =
            Units { load: source.modules, found: Vec::new(), open: Vec::new(), needs: Needs::default() };
        units.compile(String::new(), source.name, source.text).map(|_| ())
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.0.main.file
    }

    /// Which parts of the messages it names.
    pub fn needs(&self) -> Needs {
        self.0.needs
    }

    /// Whether it defines `request(req)`.
    pub fn has_request(&self) -> bool {
        self.0.phases.request
    }

    /// Whether it defines `response(res, req)`.
    pub fn has_response(&self) -> bool {
        self.0.phases.response
    }

    /// What one call of it may use.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(crate) fn compiled(&self) -> &Arc<Compiled> {
        &self.0
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("name", &self.name())
            .field("phases", &self.0.phases)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Script {
    /// Whether both do the same: the same code under the same names, the same configuration, the same limits.
    fn eq(&self, other: &Script) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        a.id == b.id || a.limits == b.limits && a.with == b.with && a.main == b.main && a.modules == b.modules
    }
}

impl PartialEq for Unit {
    fn eq(&self, other: &Unit) -> bool {
        self.module == other.module && self.file == other.file && self.bytecode == other.bytecode
    }
}

impl Compiled {
    pub(crate) fn needs(&self) -> Needs {
        self.needs
    }

    pub(crate) fn phases(&self) -> Phases {
        self.phases
    }

    /// The names that places in errors may have.
    pub(crate) fn files(&self) -> Vec<&str> {
        std::iter::once(&self.main).chain(&self.modules).map(|unit| unit.file.as_str()).collect()
    }
}

/// Compiles scripts. It tries each one out, so that what fails at once fails when the configuration is read.
pub struct Compiler {
    machine: Rc<Machine>,
}

impl Compiler {
    /// A compiler. It takes some 100 µs to make: use one for all scripts of a configuration.
    pub fn new() -> Result<Compiler, Failure> {
        Ok(Compiler { machine: Machine::new(Rc::new(Silent))? })
    }

    /// Compiles a script with its modules, and runs what it does when it is loaded, under its own limits.
    pub fn compile(&self, source: Source<'_>, limits: Limits) -> Result<Script, ScriptError> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let mut units =
            Units { load: source.modules, found: Vec::new(), open: Vec::new(), needs: Needs::default() };
        let main = units.compile(String::new(), source.name, source.text)?;
        let mut compiled = Compiled {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            main,
            needs: units.needs,
            modules: units.found,
            with: source.with,
            limits,
            phases: Phases::default(),
        };
        compiled.phases = self.machine.probe(&compiled).map_err(|failure| ScriptError {
            file: failure.file,
            line: failure.line,
            message: match failure.cause {
                Cause::Error => failure.message,
                _ => format!("{}, when it was loaded", failure.message),
            },
        })?;
        if compiled.phases == Phases::default() {
            return Err(fault(source.name, 0, "defines neither `request(req)` nor `response(res, req)`"));
        }
        Ok(Script(Arc::new(compiled)))
    }
}

/// The files of one script while they are compiled.
struct Units<'l, 'a> {
    load: Option<&'l mut LoadModule<'a>>,
    found: Vec<Unit>,
    /// Modules that are being compiled, outermost first.
    open: Vec<String>,
    needs: Needs,
}

impl Units<'_, '_> {
    fn compile(&mut self, name: String, file: &str, text: &str) -> Result<Unit, ScriptError> {
        if text.len() > MAX_SOURCE_BYTES {
            return Err(fault(file, 0, format!("has more than {MAX_SOURCE_BYTES} bytes")));
        }
        let mut compiled = bytecode(file, text, INLINED)?;
        let outline = outline(file, text)?;
        if outline.names_error {
            compiled = bytecode(file, text, PLAIN)?;
        }
        self.needs = self.needs.and(outline.needs);
        for (required, line) in outline.requires {
            self.require(&required).map_err(|error| match error {
                Unmet::Here(message) => fault(file, line, message),
                Unmet::There(error) => error,
            })?;
        }
        Ok(Unit { module: name, file: file.to_owned(), bytecode: compiled })
    }

    fn require(&mut self, required: &str) -> Result<(), Unmet> {
        let name = module_name(required).map_err(|message| Unmet::Here(message.to_owned()))?;
        if self.found.iter().any(|unit| unit.module == name) {
            return Ok(());
        }
        if self.open.iter().any(|open| open == name) {
            return Err(Unmet::Here(format!(
                "modules require each other: {} → {name}",
                self.open.join(" → ")
            )));
        }
        if self.found.len() + self.open.len() >= MAX_MODULES {
            return Err(Unmet::Here(format!("more than {MAX_MODULES} modules")));
        }
        let file = format!("{name}.lua");
        let Some(load) = self.load.as_mut() else {
            return Err(Unmet::Here("this script has no folder to require modules from".to_owned()));
        };
        let text = load(&file).map_err(|error| Unmet::Here(format!("cannot read `{file}`: {error}")))?;
        self.open.push(name.to_owned());
        let unit = self.compile(name.to_owned(), &file, &text).map_err(Unmet::There)?;
        self.open.pop();
        self.found.push(unit);
        Ok(())
    }
}

/// Why a module is not to be had.
enum Unmet {
    Here(String),
    There(ScriptError),
}

/// What `require` is given, as a path within the script's folder without its ending.
pub(crate) fn module_name(required: &str) -> Result<&str, &'static str> {
    let name = required.strip_prefix("./").unwrap_or(required);
    let part_is_plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    };
    match name.split('/').all(part_is_plain) && name.len() <= 128 {
        true => Ok(name),
        false => Err(
            "a module is named by letters, digits, `-` and `_`, with `/` between folders and without its \
                      ending; it lies in the script's folder",
        ),
    }
}

/// The compiler's levels. By the second small local functions become part of those that call them: a script whose helpers
/// all do can remember nothing, and keeps its instance. But `error(…, 2)` would count one caller too few.
const PLAIN: u8 = 1;
const INLINED: u8 = 2;

/// Text becomes bytecode here and nowhere else: bytecode from outside is never loaded.
fn bytecode(file: &str, text: &str, level: u8) -> Result<Vec<u8>, ScriptError> {
    mlua::chunk::Compiler::new().set_optimization_level(level).set_debug_level(1).compile(text).map_err(
        |error| {
            let said = match &error {
                mlua::Error::SyntaxError { message, .. } => message.as_str(),
                _ => return fault(file, 0, error.to_string()),
            };
            let said = said.strip_prefix(':').unwrap_or(said);
            match said.split_once(':').and_then(|(line, said)| Some((line.trim().parse().ok()?, said.trim())))
            {
                Some((line, said)) => fault(file, line, said),
                None => fault(file, 0, said),
            }
        },
    )
}

fn fault(file: &str, line: u32, message: impl Into<String>) -> ScriptError {
    ScriptError { file: file.to_owned(), line, message: message.into() }
}
