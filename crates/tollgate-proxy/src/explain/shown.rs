//! What of a request and of its answer may be shown: everything but credentials, and what the configuration or a script
//! gives to a service, which may be one.

use serde_json::{Value, json};
use tollgate_plan::plan::AccessLog;
use tollgate_plan::query::pairs;
use tollgate_plan::route::{HeaderEdit, QueryEdit, Route};
use tollgate_plan::template::{Part, Template};
use tollgate_wire::HeaderBlock;

use crate::observe::{masked_header, masked_query};

const MASK: &str = "***";

/// What may be shown of one request.
pub(super) struct Shown<'a> {
    log: &'a AccessLog,
    route: Option<&'a Route>,
    /// Target and lines for the service, in front of scripts.
    plain: Option<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Shown<'a> {
    pub(super) fn new(
        log: &'a AccessLog,
        route: Option<&'a Route>,
        plain: Option<(Vec<u8>, Vec<u8>)>,
    ) -> Shown<'a> {
        Shown { log, route, plain }
    }

    /// Header lines, as `{"name", "value"}`.
    pub(super) fn headers(&self, headers: &HeaderBlock) -> Value {
        headers.iter().map(|(name, value)| self.line(name, value)).collect()
    }

    /// The lines of an answer that the gateway makes itself: its own challenges are no secret.
    pub(super) fn own(headers: &HeaderBlock) -> Value {
        headers.iter().map(|(name, value)| pair(name, &String::from_utf8_lossy(value))).collect()
    }

    /// The lines of a head that a service would be sent.
    pub(super) fn sent_headers(&self, head: &[u8]) -> Value {
        let sent = lines(head).map(|line| {
            let (name, value) = name_and_value(line);
            if self.is_given(name) || self.is_of_a_script(line) {
                return pair(name, MASK);
            }
            self.line(name, value)
        });
        sent.collect()
    }

    /// Path and query as the client sent them.
    pub(super) fn target(&self, target: &[u8]) -> String {
        self.masked_target(target, |_| false)
    }

    /// Path and query that a service would be sent.
    pub(super) fn sent_target(&self, target: &[u8]) -> String {
        if let Some((plain, _)) = &self.plain
            && query_of(plain) != query_of(target)
            && query_of(target).is_some()
        {
            let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
            return format!("{}?{MASK}", String::from_utf8_lossy(path));
        }
        self.masked_target(target, |name| self.gives(name))
    }

    fn masked_target(&self, target: &[u8], is_secret: impl Fn(&[u8]) -> bool) -> String {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let mut out = path.to_vec();
        let Some(query) = query_of(target) else { return String::from_utf8_lossy(&out).into_owned() };
        let mut kept = Vec::new();
        for (at, piece) in query.split(|byte| *byte == b'&').enumerate() {
            if at > 0 {
                kept.push(b'&');
            }
            match pairs(piece).next().filter(|pair| is_secret(&pair.decoded_name())) {
                Some(pair) => {
                    kept.extend_from_slice(pair.name);
                    kept.push(b'=');
                    kept.extend_from_slice(MASK.as_bytes());
                }
                None => kept.extend_from_slice(piece),
            }
        }
        out.push(b'?');
        masked_query(self.log, &kept, |piece| out.extend_from_slice(piece));
        String::from_utf8_lossy(&out).into_owned()
    }

    fn line(&self, name: &[u8], value: &[u8]) -> Value {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let mut shown = Vec::new();
        masked_header(self.log, &name, value, |piece| shown.extend_from_slice(piece));
        json!({ "name": name, "value": String::from_utf8_lossy(&shown) })
    }

    /// Whether the route gives the service a header of this name with a text of its own.
    fn is_given(&self, name: &[u8]) -> bool {
        let edits = self.route.and_then(|route| route.request.as_deref());
        edits.is_some_and(|edits| {
            edits.headers.iter().any(|edit| match edit {
                HeaderEdit::Set(own, template) | HeaderEdit::Add(own, template) => {
                    own.as_str().as_bytes().eq_ignore_ascii_case(name) && !is_placeholder(template)
                }
                HeaderEdit::Remove(_) => false,
            })
        })
    }

    /// The same for a query parameter, by its decoded name.
    fn gives(&self, name: &[u8]) -> bool {
        let edits = self.route.and_then(|route| route.request.as_deref());
        edits.is_some_and(|edits| {
            edits.query.iter().any(|edit| match edit {
                QueryEdit::Set(own, template) => own.as_bytes() == name && !is_placeholder(template),
                QueryEdit::Remove(_) => false,
            })
        })
    }

    /// Whether a script wrote the line, or what is in it.
    fn is_of_a_script(&self, line: &[u8]) -> bool {
        // The gateway writes Host behind all scripts.
        const OWN: &[u8] = b"host";
        let Some((_, plain)) = &self.plain else { return false };
        let (name, _) = name_and_value(line);
        !name.eq_ignore_ascii_case(OWN) && !lines(plain).any(|own| same(own, line))
    }
}

/// A template of one placeholder has no text of its own.
fn is_placeholder(template: &Template) -> bool {
    matches!(template.parts(), [Part::Var(_)])
}

fn same(one: &[u8], other: &[u8]) -> bool {
    let ((name, value), (other_name, other_value)) = (name_and_value(one), name_and_value(other));
    name.eq_ignore_ascii_case(other_name) && value == other_value
}

fn pair(name: &[u8], value: &str) -> Value {
    json!({ "name": String::from_utf8_lossy(name).to_ascii_lowercase(), "value": value })
}

/// The lines that have a colon: not the first one of a head, whose target is told apart.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    all.filter(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        line.contains(&b':') && !name.contains(&b' ')
    })
}

fn name_and_value(line: &[u8]) -> (&[u8], &[u8]) {
    let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let (name, value) = line.split_at(at);
    (name, value.get(1..).unwrap_or_default().trim_ascii())
}

fn query_of(target: &[u8]) -> Option<&[u8]> {
    let at = target.iter().position(|byte| *byte == b'?')?;
    target.get(at + 1..)
}
