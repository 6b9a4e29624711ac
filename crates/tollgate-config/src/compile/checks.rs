//! `guard` and `validate`: each schema compiled once for all routes that name it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tollgate_content::decode::{Notation, decode};
use tollgate_content::schema::Schema;
use tollgate_plan::checks::{Checks, Guard};

use super::Contents;
use super::edits::Scope;
use super::interface::Interfaces;
use super::merge::Layers;
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Pattern, Rows, Slot};
use crate::source_map::{Span, visible};
use crate::spec::{self, SchemaSource};

/// What a guard tells people that says nothing of its own.
const DETAIL: &str = "the request does not meet a condition of this route";

/// The schemas that are compiled so far.
pub(super) struct Schemas<'a> {
    files: &'a Contents,
    /// `None` where the report says what is wrong.
    compiled: HashMap<Place, Option<Arc<Schema>>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Place {
    File(PathBuf),
    Inline(Span),
}

/// Every file with a schema, with the place that names it.
pub(super) fn files<'a>(
    main: &'a spec::Root,
    included: &'a [spec::Included],
) -> impl Iterator<Item = &'a At<PathBuf>> {
    blocks(main, included).flat_map(spec::Validate::sources).filter_map(|(_, source)| {
        match source.value()? {
            SchemaSource::File(file) => Some(file),
            SchemaSource::Inline(_) => None,
        }
    })
}

/// Every `validate`.
pub(super) fn blocks<'a>(
    main: &'a spec::Root,
    included: &'a [spec::Included],
) -> impl Iterator<Item = &'a spec::Validate> {
    let defaults = std::iter::once(&main.defaults).chain(included.iter().map(|file| &file.defaults));
    let routes = std::iter::once(&main.routes).chain(included.iter().map(|file| &file.routes));
    let of_defaults = defaults.filter_map(|slot| slot.value()?.validate.value());
    let of_routes = routes.filter_map(Slot::value).flat_map(|Rows(rows)| rows);
    of_defaults.chain(of_routes.filter_map(|route| route.value.validate.value()))
}

impl<'a> Schemas<'a> {
    pub(super) fn new(files: &'a Contents) -> Self {
        Schemas { files, compiled: HashMap::new() }
    }

    /// What a route at this path asks of its requests; none when that is nothing.
    pub(super) fn of_route(
        &mut self,
        interfaces: &mut Interfaces<'_>,
        layers: &Layers<'_>,
        path: &At<Pattern>,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Option<Box<Checks>> {
        let mut checks = Checks::default();
        let guards = layers.key(|keys| keys.guard).value().map(|List(list)| list.as_slice());
        checks.guards = guards.unwrap_or_default().iter().filter_map(|at| guard(at, scope, report)).collect();
        if let Some(block) = layers.key(|keys| keys.validate).value() {
            checks.interface = interfaces.of_route(&block.openapi, path, report);
            checks.body = self.schema(&block.body, report);
            checks.query = self.schema(&block.query, report);
            checks.headers = self.schema(&block.headers, report);
            if let Some(headers) = &checks.headers {
                lower_case(headers, &block.headers, report);
            }
        }
        let Checks { guards, interface, query, headers, body } = &checks;
        let schemas = query.is_some() || headers.is_some() || body.is_some();
        let asks = !guards.is_empty() || interface.is_some() || schemas;
        asks.then(|| Box::new(checks))
    }

    fn schema(&mut self, slot: &Slot<SchemaSource>, report: &mut Report) -> Option<Arc<Schema>> {
        let At { value: source, span, .. } = slot.given()?;
        let place = match source {
            SchemaSource::File(file) => Place::File(file.value.clone()),
            SchemaSource::Inline(_) => Place::Inline(*span),
        };
        if let Some(known) = self.compiled.get(&place) {
            return known.clone();
        }
        let made = match source {
            // A file that could not be read is in the report and not in the map.
            SchemaSource::File(file) => self.files.get(&file.value).map(|bytes| {
                let document = document(&file.value, bytes)?;
                Schema::compile(&document)
            }),
            SchemaSource::Inline(document) => Some(Schema::compile(document)),
        };
        let made = made.and_then(|made| {
            let refuse = |why: String| {
                let message = match source {
                    SchemaSource::File(file) => {
                        let shown = report.sources.shown_path(&file.value, file.span);
                        format!("`{shown}` is no schema that works here: {why}")
                    }
                    SchemaSource::Inline(_) => format!("this is no schema that works here: {why}"),
                };
                let place = report.head(*span);
                report.push(Finding::error(Code::BadSchema, place, message));
            };
            made.map_err(refuse).ok().map(Arc::new)
        });
        self.compiled.insert(place, made.clone());
        made
    }
}

fn guard(At { value: block, .. }: &At<spec::Guard>, scope: &Scope<'_>, report: &mut Report) -> Option<Guard> {
    let condition = block.if_.given()?;
    scope.expression(condition, report);
    let status = block.status().0 as u16;
    let detail = block.detail.value().map_or(DETAIL, String::as_str);
    Some(Guard { holds: condition.value.0.clone(), status, detail: detail.into() })
}

/// What a file with a schema holds: YAML where its name says so, else JSON.
fn document(path: &Path, bytes: &[u8]) -> Result<Value, String> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let notation = match ending.to_ascii_lowercase().as_str() {
        "yaml" | "yml" => Notation::Yaml,
        _ => Notation::Json,
    };
    let text = decode(bytes, notation, bounds::SCHEMA_FILE_BYTES as usize * 4);
    let text = text.map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Names of headers come in lower case: any other is never there.
fn lower_case(schema: &Schema, slot: &Slot<SchemaSource>, report: &mut Report) {
    let upper = schema.names().find(|name| name.bytes().any(|byte| byte.is_ascii_uppercase()));
    if let (Some(name), Some(at)) = (upper, slot.given()) {
        let place = report.head(at.span);
        let message = format!("the schema of `headers` speaks of `{}`", visible(name));
        let hint =
            format!("names of headers are in lower case here: `{}`", visible(&name.to_ascii_lowercase()));
        report.push(Finding::error(Code::BadSchema, place, message).hint(hint));
    }
}
