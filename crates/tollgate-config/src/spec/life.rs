//! How the configuration is taken over again, and who says that the machine is about to go.

use serde_json::json;
use tollgate_plan::notice::NoticeSource;

use super::issuer::ServiceUrl;
use crate::report::Report;
use crate::shape::{Catalogue, Description, Seconds, Shape, choose};
use crate::yaml::NodeRef;

block! {
    /// How a changed configuration is taken over.
    "reload" Reload {
        /// How often a configuration that came from a URL (`tollgate run --config https://…`) is asked for. Files are
        /// watched, whatever stands here.
        every: Seconds<1_000, 86_400_000> = Seconds::of(30);
        /// Whether a configuration whose `tests` fail is refused: a reload leaves the old one running, a start ends.
        require_tests: bool = false;
    }
}

block! {
    /// A notice of one's own.
    "notice" Notice {
        /// Asked every 5 s: 200 says that the machine goes, 404 or 204 that it stays. The JSON of a 200 may say when:
        /// `{ "time": "2026-01-31T12:00:00Z" }`.
        url: ServiceUrl, required;
    }
}

/// Who says that the machine is about to go.
#[derive(Debug, Clone)]
pub(crate) struct Watch(pub(crate) NoticeSource);

#[derive(Clone, Copy)]
enum Cloud {
    Aws,
    Gcp,
    Azure,
}

const CLOUDS: &[(&str, Cloud)] = &[("aws", Cloud::Aws), ("gcp", Cloud::Gcp), ("azure", Cloud::Azure)];

impl Shape for Watch {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_some() {
            let notice = Notice::read(node, what, report)?;
            return notice.url.value().map(|url| Watch(NoticeSource::Url(url.0.clone())));
        }
        Some(Watch(match choose(node, what, CLOUDS, report)? {
            Cloud::Aws => NoticeSource::Aws,
            Cloud::Gcp => NoticeSource::Gcp,
            Cloud::Azure => NoticeSource::Azure,
        }))
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let notice = Notice::describe(catalogue);
        let words: Vec<&str> = CLOUDS.iter().map(|(word, _)| *word).collect();
        let label = format!("`{}`, or a {}", words.join("`, `"), notice.label);
        Description::new(
            label,
            json!({ "anyOf": [{ "enum": words }, notice.schema, { "$ref": "#/$defs/expansion" }] }),
        )
    }
}
