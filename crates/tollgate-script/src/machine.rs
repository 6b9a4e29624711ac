//! One Luau state with its sandbox, the scripts loaded into it, and a call from its values to its verdict.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value, VmState};

use crate::desk::{Desk, Phase, Place, kind, limit_error};
use crate::face::{self, Faces};
use crate::failure::{Cause, Failure, is_memory};
use crate::host::Host;
use crate::library::respond::Made;
use crate::limits::{Limits, MAX_MACHINE_BYTES};
use crate::message::{Request, Response, Verdict};
use crate::sandbox::{self, Starters};
use crate::script::{Compiled, Phases, Unit};
use crate::source::Needs;

/// Over [`MAX_MACHINE_BYTES`], where no request ended its wait, one in so many has the garbage collected before it is
/// refused: collecting takes milliseconds then.
const REFUSALS_PER_COLLECTION: u32 = 64;

pub(crate) struct Machine {
    // The handles below are released before the state that they belong to.
    faces: Faces,
    start: Starters,
    globals: Table,
    loaded: RefCell<HashMap<u64, Rc<Loaded>>>,
    desk: Rc<Desk>,
    refusals: Cell<u32>,
    /// Requests that wait for their response, now and when garbage was collected last.
    waiting: Cell<usize>,
    waited: Cell<usize>,
    lua: Lua,
}

/// A script in a machine: functions that are cloned for each request, and what its environments look into.
pub(crate) struct Loaded {
    main: Function,
    modules: HashMap<String, Function>,
    meta: Table,
    idle: RefCell<Option<Kept>>,
    /// An instance of the script is of no use to another request.
    stateful: Cell<bool>,
    pub(crate) files: Vec<Box<str>>,
    pub(crate) limits: Limits,
    pub(crate) needs: Needs,
    script: Weak<Compiled>,
}

/// An instance of a script that holds nothing of the request that made it, for the next one: its functions can remember
/// nothing, for they have no variables around them, and there is nothing else in its environment. One exchange may be
/// given one for its request and another for its response: they cannot be told apart.
struct Kept {
    request: Option<Function>,
    response: Option<Function>,
}

/// What a call is made of.
enum Ready {
    /// The script's main function in an empty environment.
    Fresh(Function, Table),
    /// What a request before left.
    Again(Kept),
    /// The exchange has it.
    Live(Function),
}

/// What one script left in one exchange for its response.
pub(crate) struct Live {
    loaded: Rc<Loaded>,
    /// Its function there, in its environment; none where it left nothing in that.
    response: Option<Function>,
    modules: Option<Table>,
    pub(crate) machine: Rc<Machine>,
}

impl Machine {
    pub(crate) fn new(host: Rc<dyn Host>) -> Result<Rc<Machine>, Failure> {
        Machine::build(host)
            .map(Rc::new)
            .map_err(|error| Failure::of(Cause::Error, "the sandbox", &error.to_string()))
    }

    fn build(host: Rc<dyn Host>) -> mlua::Result<Machine> {
        let libraries = StdLib::COROUTINE
            | StdLib::TABLE
            | StdLib::STRING
            | StdLib::UTF8
            | StdLib::BIT
            | StdLib::MATH
            | StdLib::BUFFER;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        let desk = Desk::new(host);
        let faces = face::faces(&lua, &desk)?;
        let start = sandbox::furnish(&lua, &desk, &faces)?;
        let globals = lua.globals();
        lua.sandbox(true)?;
        let account = desk.clone();
        lua.set_interrupt(move |lua| match account.budget.step() {
            Ok(()) => Ok(VmState::Continue),
            Err(cause) => {
                account.note_place(lua);
                Err(limit_error(cause))
            }
        });
        Ok(Machine {
            faces,
            start,
            globals,
            loaded: RefCell::default(),
            desk,
            refusals: Cell::new(0),
            waiting: Cell::new(0),
            waited: Cell::new(0),
            lua,
        })
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Runs what a script does when it is loaded, and says which functions it defines.
    pub(crate) fn probe(&self, compiled: &Compiled) -> Result<Phases, Failure> {
        let files = compiled.files();
        let loaded = self.load(compiled, Weak::new()).map_err(|error| Failure::read(&error, None, &files))?;
        let loaded = Rc::new(loaded);
        self.desk.begin(&loaded, Phase::Load, None);
        let phases = self.limited(&compiled.limits, || {
            let environment = environment(&self.lua, &loaded.meta)?;
            let main = instance(&loaded.main, &environment)?;
            self.start.first.call::<()>((main, &environment, Value::Nil))?;
            let defines = |name: &str| match environment.raw_get::<Value>(name)? {
                Value::Nil => Ok(false),
                Value::Function(_) => Ok(true),
                other => {
                    Err(mlua::Error::RuntimeError(format!("`{name}` is a {}, not a function", kind(&other))))
                }
            };
            Ok(Phases { request: defines("request")?, response: defines("response")? })
        });
        outcome(phases, self.desk.end().over, &files)
    }

    /// One call, from values to a verdict.
    pub(crate) fn call(
        self: &Rc<Self>,
        compiled: &Arc<Compiled>,
        live: &mut Option<Live>,
        phase: Phase,
        request: &mut Request,
        response: &mut Response,
    ) -> Result<Verdict, Failure> {
        // A request that has been sent is answered.
        let begins = phase == Phase::Request || !compiled.phases().request;
        if begins && live.is_none() && self.is_full() {
            let message = "too many requests wait for their response with what their scripts hold";
            return Err(Failure::of(Cause::Full, &compiled.main.file, message));
        }
        let loaded = match live {
            Some(live) => live.loaded.clone(),
            None => self.loaded(compiled).map_err(|error| Failure::read(&error, None, &compiled.files()))?,
        };
        self.desk.begin(&loaded, phase, live.as_mut().and_then(|live| live.modules.take()));
        mem::swap(&mut *self.desk.request.borrow_mut(), request);
        mem::swap(&mut *self.desk.response.borrow_mut(), response);
        let result = self.prepare(&loaded, live, phase).and_then(|ready| {
            self.limited(&compiled.limits, || {
                let verdict = self.run(&loaded, live, ready, phase)?;
                if self.desk.lent.get() && verdict == Verdict::Continue {
                    face::take_back(&self.lua, &self.desk)?;
                }
                Ok(verdict)
            })
        });
        mem::swap(&mut *self.desk.request.borrow_mut(), request);
        mem::swap(&mut *self.desk.response.borrow_mut(), response);
        let ended = self.desk.end();
        if let Some(live) = live {
            live.modules = ended.modules;
        }
        match (result, ended.over) {
            (Ok(verdict), None) => Ok(verdict),
            (result, over) => outcome(result, over, &compiled.files()),
        }
    }

    /// A fresh environment with the script in it, unless there is one. Made without a limit of memory, for the
    /// engine takes several times as long to make something that it must be able to fail at.
    fn prepare(&self, loaded: &Loaded, live: &Option<Live>, phase: Phase) -> mlua::Result<Ready> {
        if let Some(response) = live.as_ref().and_then(|live| live.response.clone()) {
            return Ok(Ready::Live(response));
        }
        let kept = loaded.idle.take();
        if let Some(kept) = kept.filter(|kept| kept.function(phase).is_some()) {
            return Ok(Ready::Again(kept));
        }
        let environment = environment(&self.lua, &loaded.meta)?;
        Ok(Ready::Fresh(instance(&loaded.main, &environment)?, environment))
    }

    fn run(
        self: &Rc<Self>,
        loaded: &Rc<Loaded>,
        live: &mut Option<Live>,
        ready: Ready,
        phase: Phase,
    ) -> mlua::Result<Verdict> {
        let Faces { req, res, .. } = &self.faces;
        let (value, left): (Value, Option<Function>) = match ready {
            Ready::Fresh(main, environment) => {
                let (value, alone, response): (Value, bool, Option<Function>) = match phase {
                    Phase::Response => self.start.first.call((main, &environment, false, res, req))?,
                    _ => self.start.first.call((main, &environment, true, req))?,
                };
                match alone && self.keep(loaded, &environment)? {
                    true => (value, None),
                    false => (value, response),
                }
            }
            Ready::Again(kept) => {
                let function = kept.function(phase);
                let function =
                    function.ok_or_else(|| mlua::Error::RuntimeError("nothing kept".to_owned()))?;
                let (value, alone, response): (Value, bool, Option<Function>) = match phase {
                    Phase::Response => function.call((res, req))?,
                    _ => function.call(req)?,
                };
                if alone {
                    loaded.idle.replace(Some(kept));
                }
                (value, response)
            }
            Ready::Live(response) => return verdict(response.call((res, req))?),
        };
        if phase == Phase::Request && (left.is_some() || self.desk.modules.borrow().is_some()) {
            self.waiting.set(self.waiting.get() + 1);
            *live =
                Some(Live { loaded: loaded.clone(), response: left, modules: None, machine: self.clone() });
        }
        verdict(value)
    }

    /// Keeps the instance in `environment`, where the script's functions stand alone, for the next request if it can have
    /// nothing of this one: they share no variable with anything (`num_upvalues`).
    fn keep(&self, loaded: &Loaded, environment: &Table) -> mlua::Result<bool> {
        if loaded.stateful.get() {
            return Ok(false);
        }
        let request: Option<Function> = environment.raw_get("request")?;
        let response: Option<Function> = environment.raw_get("response")?;
        if [&request, &response].into_iter().flatten().any(|function| function.info().num_upvalues > 0) {
            loaded.stateful.set(true);
            return Ok(false);
        }
        let again = |function: &Option<Function>| {
            let function = function.as_ref()?;
            let (request, response) = (request.as_ref(), response.as_ref());
            Some(self.start.again.call::<Function>((environment, function, request, response)))
        };
        let kept = Kept { request: again(&request).transpose()?, response: again(&response).transpose()? };
        loaded.idle.replace(Some(kept));
        Ok(true)
    }

    /// Runs scripts under the limit of memory, which holds from here on and not for what was there before.
    fn limited<T>(&self, limits: &Limits, run: impl FnOnce() -> mlua::Result<T>) -> mlua::Result<T> {
        let most_bytes = self.lua.used_memory().saturating_add(limits.memory_bytes);
        self.lua.set_memory_limit(most_bytes)?;
        self.desk.most_bytes.set(most_bytes);
        let result = run();
        self.desk.most_bytes.set(usize::MAX);
        // Without a limit the engine's own work needs no protection from it.
        self.lua.set_memory_limit(0)?;
        if result.as_ref().is_err_and(is_memory) {
            self.desk.budget.exhaust(Cause::Memory);
        }
        result
    }

    fn is_full(&self) -> bool {
        if self.used_bytes() <= MAX_MACHINE_BYTES {
            return false;
        }
        let refusals = self.refusals.get();
        self.refusals.set(refusals.wrapping_add(1));
        if self.waiting < self.waited || refusals.is_multiple_of(REFUSALS_PER_COLLECTION) {
            self.waited.set(self.waiting.get());
            let _ = self.lua.gc_collect();
        }
        self.used_bytes() > MAX_MACHINE_BYTES
    }

    fn loaded(&self, compiled: &Arc<Compiled>) -> mlua::Result<Rc<Loaded>> {
        if let Some(loaded) = self.loaded.borrow().get(&compiled.id) {
            return Ok(loaded.clone());
        }
        let loaded = Rc::new(self.load(compiled, Arc::downgrade(compiled))?);
        let mut all = self.loaded.borrow_mut();
        // Scripts of configurations that nobody uses any more.
        all.retain(|_, loaded| loaded.script.strong_count() > 0);
        all.insert(compiled.id, loaded.clone());
        Ok(loaded)
    }

    fn load(&self, compiled: &Compiled, script: Weak<Compiled>) -> mlua::Result<Loaded> {
        let base = self.lua.create_table()?;
        base.raw_set("config", crate::library::json::frozen(&self.lua, &self.desk, &compiled.with)?)?;
        base.set_metatable(Some(index_meta(&self.lua, &self.globals)?))?;
        base.set_readonly(true);
        // What is looked up while loading is remembered by the code; it finds the same in every environment.
        base.set_safeenv(true);
        let function = |unit: &Unit| {
            let chunk = self.lua.load(unit.bytecode.as_slice()).set_mode(ChunkMode::Binary);
            chunk.set_name(format!("={}", unit.file)).set_environment(base.clone()).into_function()
        };
        let mut modules = HashMap::new();
        for unit in &compiled.modules {
            modules.insert(unit.module.clone(), function(unit)?);
        }
        Ok(Loaded {
            main: function(&compiled.main)?,
            modules,
            meta: index_meta(&self.lua, &base)?,
            idle: RefCell::default(),
            stateful: Cell::new(false),
            files: compiled.files().into_iter().map(Into::into).collect(),
            limits: compiled.limits,
            needs: compiled.needs(),
            script,
        })
    }
}

impl Kept {
    fn function(&self, phase: Phase) -> Option<&Function> {
        if phase == Phase::Response { self.response.as_ref() } else { self.request.as_ref() }
    }
}

impl Loaded {
    /// A module's function, in an environment of its own.
    pub(crate) fn module(&self, lua: &Lua, name: &str) -> mlua::Result<Option<Function>> {
        let Some(function) = self.modules.get(name) else { return Ok(None) };
        instance(function, &environment(lua, &self.meta)?).map(Some)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.machine.waiting.set(self.machine.waiting.get().saturating_sub(1));
    }
}

/// What came of a call. One that passed a limit failed, whatever it gave.
fn outcome<T>(
    result: mlua::Result<T>,
    over: Option<(Cause, Option<Place>)>,
    files: &[&str],
) -> Result<T, Failure> {
    match (result, over) {
        (Ok(value), None) => Ok(value),
        (Ok(_), Some((cause, place))) => Err(Failure::read(&limit_error(cause), Some((cause, place)), files)),
        (Err(error), over) => Err(Failure::read(&error, over, files)),
    }
}

/// An empty environment: what a script defines stays in it, and ends with it.
fn environment(lua: &Lua, meta: &Table) -> mlua::Result<Table> {
    let environment = lua.create_table()?;
    environment.set_metatable(Some(meta.clone()))?;
    environment.set_safeenv(true);
    Ok(environment)
}

/// The function in an environment. A clone, so that what it defines has that environment too.
fn instance(function: &Function, environment: &Table) -> mlua::Result<Function> {
    let function = function.deep_clone()?;
    function.set_environment(environment.clone())?;
    Ok(function)
}

fn index_meta(lua: &Lua, table: &Table) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    meta.raw_set("__index", table)?;
    meta.raw_set("__metatable", false)?;
    meta.set_readonly(true);
    Ok(meta)
}

fn verdict(value: Value) -> mlua::Result<Verdict> {
    match &value {
        Value::Nil => Ok(Verdict::Continue),
        Value::UserData(data) if data.is::<Made>() => {
            let made = data.borrow::<Made>()?.0.take();
            made.map(Verdict::Respond).ok_or_else(|| mlua::Error::RuntimeError("a used-up answer".to_owned()))
        }
        other => Err(mlua::Error::RuntimeError(format!(
            "returned a {}; return nothing, or `respond(status, body, headers)`",
            kind(other)
        ))),
    }
}
