//! What lies before a machine while a call runs: the messages, what of them was handed out as tables, the account.
//!
//! One machine runs one call at a time, so there is one desk, and the `req` and `res` that scripts see are the same
//! two objects for every request: what they show is what lies here.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;

use mlua::{Lua, LuaString, Table, Value};

use crate::face::KeptClaims;
use crate::failure::Cause;
use crate::host::Host;
use crate::limits::Budget;
use crate::machine::Loaded;
use crate::message::{Changed, Request, Response};
use crate::source::Needs;
use tollgate_wire::HeaderBlock;

/// Lines that one call may write to the log.
const MAX_LOG_LINES: u32 = 32;

/// Functions that are looked at, from the innermost, for one of the script.
const MAX_LEVELS: usize = 16;

/// What a call is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The script is loaded: there is no message.
    Load,
    Request,
    Response,
}

/// Which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

pub(crate) struct Desk {
    pub(crate) host: Rc<dyn Host>,
    pub(crate) budget: Budget,
    pub(crate) phase: Cell<Phase>,
    pub(crate) needs: Cell<Needs>,
    pub(crate) request: RefCell<Request>,
    pub(crate) response: RefCell<Response>,
    pub(crate) handed: RefCell<Handed>,
    /// Claims of tokens that came before.
    pub(crate) claims: RefCell<KeptClaims>,
    /// Something was handed out.
    pub(crate) lent: Cell<bool>,
    /// The script that runs.
    pub(crate) running: RefCell<Option<Rc<Loaded>>>,
    /// What its modules gave to this request.
    pub(crate) modules: RefCell<Option<Table>>,
    /// The metatable by which a table is a JSON list.
    pub(crate) list: OnceCell<Table>,
    /// Bytes that a text made from tables may have.
    pub(crate) max_text_bytes: Cell<usize>,
    /// Bytes that the machine may hold until the call has ended.
    pub(crate) most_bytes: Cell<usize>,
    log_lines: Cell<u32>,
    /// Where the call was when it passed a limit.
    place: RefCell<Option<Place>>,
}

/// A file of the script, and a line.
pub(crate) type Place = (Box<str>, u32);

/// How a call ended, as the desk saw it.
pub(crate) struct Ended {
    /// The limit that it passed, and where.
    pub(crate) over: Option<(Cause, Option<Place>)>,
    /// What its modules gave.
    pub(crate) modules: Option<Table>,
}

/// What scripts were handed of the messages as values of their own, and may have changed in place.
#[derive(Default)]
pub(crate) struct Handed {
    pub(crate) query: Option<Table>,
    pub(crate) params: Option<Table>,
    request: Payload,
    response: Payload,
}

/// A body as scripts have it.
#[derive(Default)]
pub(crate) struct Payload {
    pub(crate) text: Option<LuaString>,
    pub(crate) json: Option<Value>,
}

impl Handed {
    pub(crate) fn payload(&mut self, side: Side) -> &mut Payload {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }
}

impl Desk {
    pub(crate) fn new(host: Rc<dyn Host>) -> Rc<Desk> {
        Rc::new(Desk {
            host,
            budget: Budget::idle(),
            phase: Cell::new(Phase::Load),
            needs: Cell::new(Needs::default()),
            request: RefCell::default(),
            response: RefCell::default(),
            handed: RefCell::default(),
            claims: RefCell::default(),
            lent: Cell::new(false),
            running: RefCell::default(),
            modules: RefCell::default(),
            list: OnceCell::new(),
            max_text_bytes: Cell::new(0),
            most_bytes: Cell::new(usize::MAX),
            log_lines: Cell::new(0),
            place: RefCell::default(),
        })
    }

    /// Begins a call of `loaded`.
    pub(crate) fn begin(&self, loaded: &Rc<Loaded>, phase: Phase, modules: Option<Table>) {
        self.phase.set(phase);
        self.needs.set(loaded.needs);
        self.max_text_bytes.set(loaded.limits.memory_bytes);
        self.log_lines.set(0);
        *self.running.borrow_mut() = Some(loaded.clone());
        *self.modules.borrow_mut() = modules;
        self.budget.begin(&loaded.limits);
    }

    /// Ends the call.
    pub(crate) fn end(&self) -> Ended {
        if self.lent.replace(false) {
            *self.handed.borrow_mut() = Handed::default();
        }
        self.phase.set(Phase::Load);
        *self.running.borrow_mut() = None;
        let place = self.place.borrow_mut().take();
        Ended {
            over: self.budget.end().map(|cause| (cause, place)),
            modules: self.modules.borrow_mut().take(),
        }
    }

    /// Notes where the script is, if that is not noted yet: errors of limits do not say it.
    #[cold]
    pub(crate) fn note_place(&self, lua: &Lua) {
        let running = self.running.borrow();
        let (Some(loaded), true) = (&*running, self.place.borrow().is_none()) else { return };
        let place = (0..MAX_LEVELS).find_map(|level| {
            lua.inspect_stack(level, |frame| {
                let source = frame.source();
                let source = source.source.as_deref()?;
                let file = loaded.files.iter().find(|file| source.strip_prefix('=') == Some(&**file))?;
                Some((file.clone(), u32::try_from(frame.current_line()?).ok()?))
            })?
        });
        *self.place.borrow_mut() = place;
    }

    /// What is out now and may be changed in place.
    pub(crate) fn handed<R>(&self, look: impl FnOnce(&mut Handed) -> R) -> R {
        self.lent.set(true);
        look(&mut self.handed.borrow_mut())
    }

    /// The header lines of a message, to look at.
    pub(crate) fn headers<R>(&self, side: Side, look: impl FnOnce(&HeaderBlock) -> R) -> R {
        match side {
            Side::Request => look(&self.request.borrow().headers),
            Side::Response => look(&self.response.borrow().headers),
        }
    }

    /// The header lines of a message, to change them.
    pub(crate) fn edit_headers<R>(&self, side: Side, edit: impl FnOnce(&mut HeaderBlock) -> R) -> R {
        self.edit(side, |headers, _, changed| {
            changed.headers = true;
            edit(headers)
        })
    }

    /// The body of a message, to look at.
    pub(crate) fn body<R>(&self, side: Side, look: impl FnOnce(&[u8]) -> R) -> R {
        let (request, response);
        let body = match side {
            Side::Request => {
                request = self.request.borrow();
                &request.body
            }
            Side::Response => {
                response = self.response.borrow();
                &response.body
            }
        };
        look(body.as_deref().unwrap_or_default())
    }

    /// Puts another body into a message.
    pub(crate) fn set_body(&self, side: Side, body: Vec<u8>) {
        self.edit(side, |_, place, changed| {
            changed.body = true;
            *place = Some(body);
        });
    }

    fn edit<R>(
        &self,
        side: Side,
        edit: impl FnOnce(&mut HeaderBlock, &mut Option<Vec<u8>>, &mut Changed) -> R,
    ) -> R {
        match side {
            Side::Request => {
                let request = &mut *self.request.borrow_mut();
                edit(&mut request.headers, &mut request.body, &mut request.changed)
            }
            Side::Response => {
                let response = &mut *self.response.borrow_mut();
                edit(&mut response.headers, &mut response.body, &mut response.changed)
            }
        }
    }

    /// Whether the call may write another line to the log.
    pub(crate) fn may_log(&self) -> bool {
        let lines = self.log_lines.get() + 1;
        self.log_lines.set(lines.min(MAX_LOG_LINES + 1));
        lines <= MAX_LOG_LINES
    }

    /// Counts work of the gateway's own functions toward the time of the call.
    pub(crate) fn work(&self, bytes: usize) -> mlua::Result<()> {
        self.budget.work(bytes).map_err(limit_error)
    }

    /// Runs work of the gateway's own that makes values and counts them by [`Desk::makes`]. The engine's limit of memory is
    /// off meanwhile: under it each value takes several times as long, for the engine must be able to fail at it.
    pub(crate) fn unbound<R>(&self, lua: &Lua, run: impl FnOnce() -> mlua::Result<R>) -> mlua::Result<R> {
        let limit = lua.set_memory_limit(0)?;
        let result = run();
        lua.set_memory_limit(limit)?;
        result
    }

    /// Counts a value of some bytes that is about to be made, toward the time of the call and its memory.
    pub(crate) fn makes(&self, lua: &Lua, bytes: usize) -> mlua::Result<()> {
        if lua.used_memory().saturating_add(bytes) > self.most_bytes.get() {
            self.budget.exhaust(Cause::Memory);
            self.note_place(lua);
            return Err(limit_error(Cause::Memory));
        }
        self.work(bytes)
    }

    /// Names in errors: of the script that runs and its modules.
    pub(crate) fn plain(&self, error: &mlua::Error) -> String {
        let running = self.running.borrow();
        let files: Vec<&str> =
            running.iter().flat_map(|loaded| loaded.files.iter().map(|file| &**file)).collect();
        crate::failure::plain(error, &files)
    }
}

/// The error by which a call ends that has passed a limit. Which one stands in the account.
pub(crate) fn limit_error(cause: Cause) -> mlua::Error {
    mlua::Error::RuntimeError(match cause {
        Cause::Time => "took more time than a call may".to_owned(),
        Cause::Steps => "made more steps than a call may".to_owned(),
        _ => "used more memory than a call may".to_owned(),
    })
}

/// An error of the script's own making.
pub(crate) fn refuse(message: impl Into<String>) -> mlua::Error {
    mlua::Error::RuntimeError(message.into())
}

/// What scripts call the kind of a value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "number",
        value if value.is_null() => "null",
        other => other.type_name(),
    }
}
