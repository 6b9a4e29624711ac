//! Where a request stands in a trace: W3C Trace Context, the `traceparent` that came and the one that goes on.
//!
//! It knows no collector and makes no spans; those are made of what is written here when a request or an attempt ends.

use std::cell::{Cell, RefCell};

use tollgate_plan::traces::{Follow, Traces};
use tollgate_wire::{HeaderBlock, name};

use crate::observe::RequestIds;

/// Names a trace; never all zero.
pub(crate) type TraceId = [u8; 16];

/// Names a span of a trace; never all zero.
pub(crate) type SpanId = [u8; 8];

/// `sampled` (W3C Trace Context section 3.2.2.5.1).
const SAMPLED: u8 = 0x01;

/// The flags that are passed on: `sampled`, and the one of Level 2 that says that the id is random.
const KNOWN_FLAGS: u8 = 0x03;

/// Bytes of `traceparent` in version 00.
const PARENT_BYTES: usize = 55;

/// A request's place in a trace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) id: TraceId,
    /// The span of whoever called; none where the trace begins here.
    pub(crate) parent: Option<SpanId>,
    /// The request's own span.
    pub(crate) span: SpanId,
    flags: u8,
    /// The route says that upstreams are told nothing of it.
    hidden: Cell<bool>,
    attempt: RefCell<Attempt>,
}

/// The attempt that is under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attempt {
    pub(crate) span: SpanId,
    /// Scheme, host and path of what is asked for; without the query, which may hold credentials.
    pub(crate) url: String,
}

impl Trace {
    /// Continues the trace that the headers speak of, or begins one.
    pub(crate) fn begin(
        traces: &Traces,
        headers: &HeaderBlock,
        trusted: bool,
        ids: &mut RequestIds,
    ) -> Box<Trace> {
        let followed = match traces.follow {
            Follow::Anyone => true,
            Follow::TrustedProxies => trusted,
            Follow::Nobody => false,
        };
        let came = headers.only(&name::TRACEPARENT).filter(|_| followed).and_then(parse);
        let (id, parent, flags) = match came {
            Some(Parent { id, span, flags }) => (id, Some(span), flags & KNOWN_FLAGS),
            None => {
                let drawn = ((ids.bits() >> 32) * 100) >> 32;
                let sampled = drawn < u64::from(traces.sample_percent);
                (trace_id(ids), None, if sampled { SAMPLED } else { 0 })
            }
        };
        let (hidden, attempt) = (Cell::new(false), RefCell::default());
        Box::new(Trace { id, parent, span: span_id(ids), flags, hidden, attempt })
    }

    /// The place of a request that the gateway makes for this one: its attempts belong to the same span.
    pub(crate) fn shared(&self) -> Box<Trace> {
        Box::new(Trace {
            id: self.id,
            parent: self.parent,
            span: self.span,
            flags: self.flags,
            hidden: self.hidden.clone(),
            attempt: RefCell::default(),
        })
    }

    /// Whether its spans are sent to a collector.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Whether the client's `tracestate` belongs to this trace.
    pub(crate) fn keeps_state(&self) -> bool {
        self.parent.is_some()
    }

    /// Upstreams are told nothing of it.
    pub(crate) fn hide(&self) {
        self.hidden.set(true);
    }

    /// An attempt begins: `base` and `target` say where it goes.
    pub(crate) fn attempt(&self, base: &str, target: &[u8], ids: &mut RequestIds) {
        let mut attempt = self.attempt.borrow_mut();
        attempt.span = span_id(ids);
        attempt.url.clear();
        if self.is_sampled() {
            let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
            attempt.url.push_str(base.trim_end_matches('/'));
            attempt.url.push_str(&String::from_utf8_lossy(path));
        }
    }

    /// The attempt that is under way.
    pub(crate) fn current(&self) -> Attempt {
        self.attempt.borrow().clone()
    }

    /// Writes the header line that names the attempt's span, unless upstreams are told nothing.
    pub(crate) fn write_line(&self, out: &mut Vec<u8>) {
        if self.hidden.get() {
            return;
        }
        out.extend_from_slice(b"traceparent: 00-");
        write_hex(&self.id, out);
        out.push(b'-');
        write_hex(&self.attempt.borrow().span, out);
        out.push(b'-');
        write_hex(&[self.flags], out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

/// What a `traceparent` says.
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    id: TraceId,
    span: SpanId,
    flags: u8,
}

/// Reads a `traceparent` (section 3.2): of version 00, or what a later one must begin with.
fn parse(value: &[u8]) -> Option<Parent> {
    let (first, rest) = value.split_at_checked(PARENT_BYTES)?;
    let [version] = hex::<1>(first.get(..2)?)?;
    let whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    let dashes = [2, 35, 52].iter().all(|at| first.get(*at) == Some(&b'-'));
    if !whole || !dashes {
        return None;
    }
    let (id, span) = (hex::<16>(first.get(3..35)?)?, hex::<8>(first.get(36..52)?)?);
    let [flags] = hex::<1>(first.get(53..)?)?;
    (id != [0; 16] && span != [0; 8]).then_some(Parent { id, span, flags })
}

/// Lower-case digits alone (section 3.2.2).
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    let pairs = digits.as_chunks::<2>().0;
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Some(bytes)
}

fn trace_id(ids: &mut RequestIds) -> TraceId {
    let bits = u128::from(ids.bits()) << 64 | u128::from(ids.bits());
    bits.max(1).to_be_bytes()
}

fn span_id(ids: &mut RequestIds) -> SpanId {
    ids.bits().max(1).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_plan::issuer::HttpUrl;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn traces(sample_percent: u8, follow: Follow) -> Traces {
        Traces {
            url: HttpUrl::parse("http://127.0.0.1:4318/v1/traces").unwrap(),
            reach: Default::default(),
            headers: Vec::new(),
            sample_percent,
            follow,
            service: "edge".into(),
            timeout: Duration::from_secs(1),
        }
    }

    fn headers(values: &[&str]) -> HeaderBlock {
        let mut headers = HeaderBlock::new();
        values.iter().for_each(|value| headers.append(&name::TRACEPARENT, value.as_bytes()));
        headers
    }

    fn line(trace: &Trace) -> String {
        trace.attempt("http://a:1/", b"/x?token=hush", &mut RequestIds::new());
        let mut out = Vec::new();
        trace.write_line(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_a_parent_may_be() {
        assert!(parse(PARENT.as_bytes()).is_some());
        // A later version may say more.
        assert!(parse(format!("01{}-what-comes", &PARENT[2..]).as_bytes()).is_some());
        assert!(parse(format!("01{}", &PARENT[2..]).as_bytes()).is_some());
        for bad in [
            "",
            "00",
            &PARENT[..54],
            &format!("{PARENT}-"),
            &format!("{PARENT}-x"),
            &format!("ff{}", &PARENT[2..]),
            &format!("01{}x", &PARENT[2..]),
            &PARENT.to_uppercase(),
            &PARENT.replace('-', "_"),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_trace_is_continued_where_its_caller_is_followed() {
        for (follow, trusted, values, continued) in [
            (Follow::Anyone, false, &[PARENT][..], true),
            (Follow::TrustedProxies, true, &[PARENT], true),
            (Follow::TrustedProxies, false, &[PARENT], false),
            (Follow::Nobody, true, &[PARENT], false),
            (Follow::Anyone, true, &[], false),
            // Two say nothing.
            (Follow::Anyone, true, &[PARENT, PARENT], false),
            (Follow::Anyone, true, &["00-x"], false),
        ] {
            let trace = Trace::begin(&traces(100, follow), &headers(values), trusted, &mut RequestIds::new());
            assert_eq!(trace.keeps_state(), continued, "{follow:?} {trusted} {values:?}");
            let sent = line(&trace);
            assert_eq!(sent.contains(&PARENT[3..35]), continued, "{sent}");
            assert!(!sent.contains(&PARENT[36..52]), "a span of the gateway's own: {sent}");
            assert!(parse(sent.strip_prefix("traceparent: ").unwrap().trim_end().as_bytes()).is_some());
        }
    }

    #[test]
    fn the_caller_decides_what_is_sent_and_else_the_share() {
        let sampled = |percent, values: &[&str]| {
            Trace::begin(&traces(percent, Follow::Anyone), &headers(values), false, &mut RequestIds::new())
                .is_sampled()
        };
        assert!(sampled(0, &[PARENT]));
        assert!(!sampled(100, &[&format!("{}00", &PARENT[..53])]));
        assert!(sampled(100, &[]));
        assert!(!sampled(0, &[]));
        let share = (0..2_000).filter(|_| sampled(10, &[])).count();
        assert!((100..400).contains(&share), "{share}");
    }

    #[test]
    fn attempts_have_spans_of_their_own() {
        let mut ids = RequestIds::new();
        let trace = Trace::begin(&traces(100, Follow::Nobody), &headers(&[]), false, &mut ids);
        trace.attempt("http://10.0.0.5:3000", b"/a?token=hush", &mut ids);
        let first = trace.current();
        assert_eq!(first.url, "http://10.0.0.5:3000/a");
        trace.attempt("http://10.0.0.6:3000", b"/a", &mut ids);
        assert_ne!(first.span, trace.current().span);
        trace.hide();
        assert_eq!(line(&trace), "");
        assert_eq!(line(&trace.shared()), "");
    }
}
