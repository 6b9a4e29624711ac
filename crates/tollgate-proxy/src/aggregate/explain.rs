//! What an aggregate would ask, where a request is only explained. Nobody is asked; what one part takes out of the answer
//! of another one cannot be known.

use std::borrow::Cow;

use serde_json::{Value, json};
use tollgate_plan::aggregate::{Aggregate, Call, Part, Source, Times};
use tollgate_plan::template::{Part as Piece, Template, Var};
use tollgate_wire::HeaderBlock;

use crate::exchange::{Exchange, Reply};
use crate::expressions;
use crate::trail::{Stage, Trail, Verdict};

/// Tells of every part. What is given stands for the answer that nobody has: it has the status 0.
pub(super) fn explain(exchange: &Exchange<'_>, trail: &Trail, aggregate: &Aggregate) -> Reply<'static> {
    let parts: Vec<Value> = aggregate.parts.iter().map(|part| of_part(exchange, aggregate, part)).collect();
    let calls = aggregate.parts.iter().filter(|part| matches!(part.source, Source::Call(_))).count();
    let detail = format!("{} parts are put together, {calls} of them from services", parts.len());
    trail.step(Stage::Act, Verdict::Ok, detail, json!({ "parts": parts }));
    Reply { status: 0, headers: HeaderBlock::default(), body: Cow::Borrowed(&[]) }
}

fn of_part(exchange: &Exchange<'_>, aggregate: &Aggregate, part: &Part) -> Value {
    let left_out =
        part.condition.as_ref().map(|condition| expressions::holds(exchange, condition) != Ok(true));
    let named = |at: &usize| aggregate.parts.get(*at).map_or("", |other| &*other.name);
    let mut told = json!({
        "name": &*part.name,
        "required": part.required,
        "after": part.after.iter().map(named).collect::<Vec<_>>(),
        "left_out": left_out.unwrap_or(false),
    });
    if let (Source::Call(call), Some(members)) = (&part.source, told.as_object_mut()) {
        of_call(exchange, call)
            .into_iter()
            .for_each(|(key, value)| drop(members.insert(key.to_owned(), value)));
    }
    told
}

fn of_call(exchange: &Exchange<'_>, call: &Call) -> [(&'static str, Value); 5] {
    let at = call.upstream.0 as usize;
    let (active, plan) = (&exchange.active, &exchange.active.plan);
    let upstream = plan.upstreams.get(at).map_or("", |upstream| &*upstream.name);
    let targets = active.upstreams.get(at).map(|live| live.targets.as_slice()).unwrap_or_default();
    let healthy = targets.iter().filter(|target| !target.shared.is_unhealthy()).count();
    let times = match &call.times {
        Times::Once => "once",
        Times::Each { .. } => "each element",
        Times::EachTarget => "each target",
    };
    [
        ("upstream", upstream.into()),
        ("method", call.method.as_str().into()),
        ("path", path(exchange, &call.path).into()),
        ("times", times.into()),
        ("targets", json!({ "all": targets.len(), "healthy": healthy })),
    ]
}

/// The path that is asked for, without the query, which may hold a secret; as it is configured where it refers to answers.
fn path(exchange: &Exchange<'_>, template: &Template) -> String {
    let refers = template.vars().any(|var| matches!(var, Var::Answer(..)));
    let mut out = Vec::new();
    let rendered = !refers && template.render_url(exchange, &mut out).is_ok();
    let text = match rendered {
        true => String::from_utf8_lossy(&out).into_owned(),
        false => template.parts().iter().map(written).collect(),
    };
    text.split('?').next().unwrap_or_default().to_owned()
}

fn written(piece: &Piece) -> String {
    match piece {
        Piece::Text(text) => text.clone(),
        Piece::Var(var) => format!("{{{var}}}"),
    }
}
