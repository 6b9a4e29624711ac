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
    ) -> Result<Operation, Fault> {
        let own = parameters(at, schemas)?;
        let inherited = shared.iter().filter(|it| !is_among(it, &own)).cloned();
        let all: Vec<Shared> = inherited.chain(own.iter().cloned()).collect();
        let stray =
            all.iter().find(|it| it.place == Place::Path && !path.contains(&format!("{{{}}}", it.name())));
        if let Some(parameter) = stray {
            let message = format!("the path has no variable for the parameter `{}`", shown(parameter.name()));
            return Err(at.fault(message));
        }
        let body = match at.member("requestBody") {
            Some(body) => Some(Arc::new(Body::compile(&body.target()?, schemas)?)),
            None => None,
        };
        Ok(Operation { variables: Vec::new(), parameters: all, body })
    }
}

/// The parameters that a place lists.
pub(super) fn parameters<'a>(at: &At<'a>, schemas: &mut Schemas<'a>) -> Result<Vec<Shared>, Fault> {
    let mut all: Vec<Shared> = Vec::new();
    for at in at.member("parameters").iter().flat_map(At::elements) {
        let Some(parameter) = Parameter::compile(&at.clone().target()?, schemas)? else { continue };
        if is_among(&parameter, &all) {
            return Err(
                at.fault(format!("the parameter `{}` stands twice in the list", shown(parameter.name())))
            );
        }
        all.push(Arc::new(parameter));
    }
    Ok(all)
}

fn is_among(parameter: &Parameter, all: &[Shared]) -> bool {
    all.iter().any(|known| known.is(parameter))
}
