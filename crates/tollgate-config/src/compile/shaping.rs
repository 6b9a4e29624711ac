//! Rules for documents.

use std::sync::Arc;

use tollgate_content::decode::Notation;
use tollgate_content::encode::Encoding;
use tollgate_content::jq::Jq;
use tollgate_content::{Shape, ShapeError, ShapeSpec};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::List;
use crate::spec::{self, JsonPath, Shaping};

/// The rules, ready to be applied. `None` when the report says what is wrong with them.
pub(super) fn shape(keys: &Shaping<'_>, report: &mut Report) -> Option<Shape> {
    let paths = |list: &List<JsonPath>| list.0.iter().map(|path| path.value.0.clone()).collect();
    let renamed = keys.rename.value().map(|dict| dict.pairs.as_slice()).unwrap_or_default();
    let named = |pair: &crate::shape::Pair<JsonPath, String>| {
        Some((pair.name.0.clone(), pair.value.as_ref()?.value.as_str().into()))
    };
    let spec = ShapeSpec {
        from: keys.from.value().map(|path| path.0.clone()),
        pick: keys.pick.value().map(paths),
        drop: keys.drop.value().map(paths).unwrap_or_default(),
        rename: renamed.iter().filter_map(named).collect(),
        wrap: keys.wrap.value().map(|name| name.as_str().into()),
    };
    Shape::new(spec)
        .map_err(|error| {
            let (ShapeError::RenamesElements(at) | ShapeError::RenamedTwice(at)) = &error;
            let place =
                renamed.get(*at).map(|pair| pair.key).or(keys.rename.key()).unwrap_or_else(super::whole);
            report.push(Finding::error(Code::BadValue, place, error.to_string()));
        })
        .ok()
}

/// The filter, if there is one: it stands in the place of the rules. `None` when the report says what is wrong.
pub(super) fn jq(keys: &Shaping<'_>, report: &mut Report) -> Option<Option<Arc<Jq>>> {
    let Some(jq) = keys.jq.key() else { return Some(None) };
    let rules = [
        ("from", keys.from.key()),
        ("pick", keys.pick.key()),
        ("drop", keys.drop.key()),
        ("rename", keys.rename.key()),
        ("wrap", keys.wrap.key()),
    ];
    let mut alone = true;
    for (name, place) in rules {
        let Some(place) = place else { continue };
        let message = format!("`jq` and `{name}` exclude each other");
        let finding = Finding::error(Code::Conflict, place, message).related(jq, "the filter");
        report.push(finding.hint("a filter can do all that they do, such as `{order: .data | {id, total}}`"));
        alone = false;
    }
    let filter = keys.jq.value().map(|filter| filter.0.clone());
    filter.filter(|_| alone).map(Some)
}

pub(super) fn notation(notation: spec::Notation) -> Notation {
    match notation {
        spec::Notation::Json => Notation::Json,
        spec::Notation::Xml => Notation::Xml,
        spec::Notation::Yaml => Notation::Yaml,
        spec::Notation::Csv => Notation::Csv,
        spec::Notation::Text => Notation::Text,
    }
}

/// None lets the client choose.
pub(super) fn encoding(encode: spec::Encode) -> Option<Encoding> {
    match encode {
        spec::Encode::Json => Some(Encoding::Json),
        spec::Encode::Xml => Some(Encoding::Xml),
        spec::Encode::Yaml => Some(Encoding::Yaml),
        spec::Encode::Negotiate => None,
    }
}
