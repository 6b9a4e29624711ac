//! What a worker runs scripts in, and what one exchange keeps of a script between its two phases.

use std::rc::Rc;

use crate::desk::Phase;
use crate::failure::{Cause, Failure};
use crate::host::Host;
use crate::machine::{Live, Machine};
use crate::message::{Request, Response, Verdict};
use crate::script::Script;

/// Runs scripts, for one thread. Every request has an environment of its own in it.
///
/// After a call that used too much memory a new machine takes over; requests whose scripts wait for their response
/// go on in the old one, which ends with the last of them.
pub struct Vm {
    machine: Rc<Machine>,
    host: Rc<dyn Host>,
    replaced: u64,
}

/// One script in one exchange: its environment, from the request to the response. A script without a `response`
/// function leaves nothing here.
#[derive(Default)]
pub struct Session {
    live: Option<Live>,
}

impl Vm {
    /// A machine for this thread. It takes some 100 µs to make and holds some 600 KiB, most of it
    /// room in pages of the engine's for values of a size that hardly any value has.
    pub fn new(host: Rc<dyn Host>) -> Result<Vm, Failure> {
        Ok(Vm { machine: Machine::new(host.clone())?, host, replaced: 0 })
    }

    /// Calls `request(req)` of the script. A script that has none only continues; asking
    /// [`Script::has_request`] before saves the way.
    pub fn request(
        &mut self,
        script: &Script,
        session: &mut Session,
        request: &mut Request,
    ) -> Result<Verdict, Failure> {
        if !script.has_request() {
            return Ok(Verdict::Continue);
        }
        self.call(script, session, Phase::Request, request, &mut Response::default())
    }

    /// Calls `response(res, req)` of the script, in the environment that its `request` had. `request` is the request as
    /// it was sent, which the script may read.
    pub fn response(
        &mut self,
        script: &Script,
        session: &mut Session,
        request: &mut Request,
        response: &mut Response,
    ) -> Result<Verdict, Failure> {
        if !script.has_response() {
            return Ok(Verdict::Continue);
        }
        self.call(script, session, Phase::Response, request, response)
    }

    /// Bytes that the machine holds: what scripts left that wait for their response, and what is not collected yet.
    pub fn used_bytes(&self) -> usize {
        self.machine.used_bytes()
    }

    /// How often a machine was replaced because a call used too much memory.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    fn call(
        &mut self,
        script: &Script,
        session: &mut Session,
        phase: Phase,
        request: &mut Request,
        response: &mut Response,
    ) -> Result<Verdict, Failure> {
        let machine = session.live.as_ref().map_or(&self.machine, |live| &live.machine).clone();
        let result = machine.call(script.compiled(), &mut session.live, phase, request, response);
        if phase == Phase::Response || result.is_err() || !script.has_response() {
            session.live = None;
        }
        let spent = matches!(&result, Err(failure) if failure.cause == Cause::Memory);
        if spent && Rc::ptr_eq(&machine, &self.machine) {
            self.machine = Machine::new(self.host.clone())?;
            self.replaced += 1;
        }
        result
    }
}
