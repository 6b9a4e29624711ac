//! One operation: what it takes.

use std::sync::Arc;

use super::body::Body;
use super::documents::{At, Fault, shown};
use super::parameter::{Parameter, Place};
use super::schemas::Schemas;

/// A parameter, which all operations of a path may have.
pub(super) type Shared = Arc<Parameter>;

/// What a method of a path takes.
#[derive(Clone)]
pub(super) struct Operation {
    /// The variables of the path, in order.
    pub(super) variables: Vec<String>,
    pub(super) parameters: Vec<Shared>,
    pub(super) body: Option<Arc<Body>>,
}

impl Operation {
    /// Compiles what stands at a place. `shared` are the parameters of the path, of which it may replace some.
    pub(super) fn compile<'a>(
        at: &At<'a>,
        path: &str,
        shared: &[Shared],
        schemas: &mut Schemas<'a>,
        faults: &mut Vec<Fault>,
    ) -> Operation {
        let own = parameters(at, schemas, faults);
        let inherited = shared.iter().filter(|it| !is_among(it, &own)).cloned();
        let all: Vec<Shared> = inherited.chain(own.iter().cloned()).collect();
        let stray =
            all.iter().find(|it| it.place == Place::Path && !path.contains(&format!("{{{}}}", it.name())));
        if let Some(parameter) = stray {
            let message = format!("the path has no variable for the parameter `{}`", shown(parameter.name()));
            faults.push(at.fault(message));
        }
        let body = at.member("requestBody").map(|body| Body::compile(&body.target()?, schemas));
        let body = body.and_then(|body| body.map_err(|fault| faults.push(fault)).ok());
        Operation { variables: Vec::new(), parameters: all, body: body.map(Arc::new) }
    }
}

/// The parameters that a place lists.
pub(super) fn parameters<'a>(at: &At<'a>, schemas: &mut Schemas<'a>, faults: &mut Vec<Fault>) -> Vec<Shared> {
    let mut all: Vec<Shared> = Vec::new();
    for at in at.member("parameters").iter().flat_map(At::elements) {
        match at.clone().target().and_then(|at| Parameter::compile(&at, schemas)) {
            Ok(Some(parameter)) if is_among(&parameter, &all) => {
                let name = shown(parameter.name());
                faults.push(at.fault(format!("the parameter `{name}` stands twice in the list")));
            }
            Ok(Some(parameter)) => all.push(Arc::new(parameter)),
            // A header that is described elsewhere.
            Ok(None) => {}
            Err(fault) => faults.push(fault),
        }
    }
    all
}

fn is_among(parameter: &Parameter, all: &[Shared]) -> bool {
    all.iter().any(|known| known.is(parameter))
}
