//! `aggregate`: one answer made of several.

use std::path::PathBuf;

use serde_json::json;
use tollgate_plan::template::Template;

use super::action::Destination;
use super::json::Json;
use super::resilience::Statuses;
use super::shaping::{Condition, Filter, JsonPath, Notation, Shaping};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    Catalogue, Description, Dict, HeaderName, Int, List, Name, OneOrMany, Seconds, Shape, Size, Text, Verb,
    or_expansion, shown, template, text,
};
use crate::yaml::NodeRef;

choice! {
    /// How parts are put together.
    MergeRule {
        /// A later member takes the place of an earlier one.
        "shallow" => Shallow,
        /// Objects of one name are merged in their turn.
        "deep" => Deep,
    }
}

choice! {
    /// A body that is there already.
    BodySource {
        /// The client's.
        "request" => Request,
    }
}

block! {
    /// One answer made of several.
    "aggregate" Aggregate {
        /// For the whole answer.
        timeout: Seconds<1> = Seconds::of(30);
        /// How the parts are put together, in declared order: later wins.
        merge: MergeRule = MergeRule::Shallow;
        /// What is asked.
        parts: List<Part>, required;
        /// Headers of the client that the parts may see. Left out: none.
        headers: List<HeaderName>;
        /// Query parameters of the client that the parts may see. Left out: none.
        query: List<String>;
        /// Bytes of one part's answer; the whole may have 16 MiB.
        part_bytes: Size<1, { 64 << 20 }> = Size(4 << 20);
        /// A file with a Jinja template that the merged document goes through; its ending says what the answer is.
        render: PathBuf;
    }
}

block! {
    /// One piece of an aggregate: the answer of a service (`to` and `path`), or constant data (`json` alone).
    "part" Part {
        /// Other parts refer to it by its name: `{vehicle.driver_id}`.
        name: Name, required;
        /// The upstream: a name or a URL.
        to: Destination;
        /// The path that is sent, with a query perhaps; values are percent-encoded.
        path: PartPath;
        /// The method.
        method: Verb;
        /// `request`: the client's body goes along.
        body: BodySource;
        /// A JSON body that is sent; without `to`, the part itself. Its strings may hold placeholders.
        json: Json;
        /// What the answer is written in.
        decode: Notation = Notation::Json;
        /// Go on with what stands at this path.
        from: JsonPath;
        /// Keep only these.
        pick: List<JsonPath>;
        /// Take these away.
        drop: List<JsonPath>;
        /// Other names for members: their path, and the name.
        rename: Dict<JsonPath, String>;
        /// Put the result under this name.
        wrap: String;
        /// A filter in the language of jq, in the place of the others.
        jq: Filter;
        /// An expression; when it is false the part is left out, which is no failure.
        if_ as "if": Condition;
        /// Stands in the place of the part when it fails; the answer is incomplete all the same.
        fallback: Json;
        /// Without this part there is no answer.
        required: bool = false;
        /// For one request. Left out: what is left of the whole.
        timeout: Seconds<1>;
        /// Statuses of an answer that counts, such as `200-299`.
        success: OneOrMany<Statuses> = OneOrMany::of([Statuses(200, 299)]);
        /// Once for each element of a list in another part's answer, such as `{vehicle.stop_ids}`; the element is `{item}`.
        for_each: Text;
        /// Requests of `for_each` at the same time.
        concurrency: Int<1, 64> = Int(8);
        /// Once for each target of the upstream.
        each_target: bool = false;
    }
}

impl Part {
    pub(crate) fn shaping(&self) -> Shaping<'_> {
        let Part { from, pick, drop, rename, wrap, jq, .. } = self;
        Shaping { from, pick, drop, rename, wrap, jq }
    }

    /// Keys that only a request to a service has.
    pub(crate) fn of_requests(&self) -> [(&'static str, Option<crate::source_map::Span>); 9] {
        [
            ("path", self.path.key()),
            ("method", self.method.key()),
            ("body", self.body.key()),
            ("decode", self.decode.key()),
            ("timeout", self.timeout.key()),
            ("success", self.success.key()),
            ("for_each", self.for_each.key()),
            ("concurrency", self.concurrency.key()),
            ("each_target", self.each_target.key()),
        ]
    }
}

/// The path of a part, and its query.
#[derive(Debug, Clone)]
pub(crate) struct PartPath(pub(crate) Template);

impl Shape for PartPath {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let foreign = |byte: u8| !byte.is_ascii_graphic() || b"\"#<>\\^`|".contains(&byte);
        if let Some((_, query)) = scalar.text.split_once('?')
            && query.bytes().any(foreign)
        {
            let message =
                format!("the query of `{}` holds a character that no query has", shown(node, report));
            report.push(
                Finding::error(Code::BadValue, node.span(), message)
                    .hint("percent-encode it: a space is %20"),
            );
            return None;
        }
        let parse = |written: &str| {
            let (path, query) =
                written.split_once('?').map_or((written, None), |(path, query)| (path, Some(query)));
            let mut template = Template::parse_path(path)?;
            if let Some(query) = query {
                let mut query = Template::parse(query).map_err(|mut error| {
                    error.offset += path.len() + 1;
                    error
                })?;
                template.push_text("?");
                template.append(&mut query);
            }
            Ok(template)
        };
        template(node, scalar, parse, report).map(PartPath)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path template", or_expansion(json!({ "type": "string", "minLength": 1 })))
    }
}
