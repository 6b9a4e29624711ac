//! A collector of traces: takes OTLP over HTTP, and reads it with a small reader of Protocol Buffers of its own.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::origin::{Conn, Origin, Seen, behaviour};
use crate::port::Port;
use crate::wait::{PATIENCE, wait_some};

/// A running collector; it stops when dropped.
pub struct Collector {
    port: Port,
    /// `None` while it is down.
    server: Mutex<Option<Origin>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    spans: Vec<TraceSpan>,
    requests: Vec<Seen>,
    refusing: Option<u16>,
    hanging: bool,
}

/// A span as it was sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceSpan {
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The same; empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// 2: server, 3: client.
    pub kind: u64,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// The same.
    pub end: u64,
    /// Texts as they are, numbers in decimal digits.
    pub attributes: BTreeMap<String, String>,
    /// Whether its status is an error.
    pub failed: bool,
    /// `service.name` of its resource.
    pub service: String,
}

impl Collector {
    /// A collector that takes everything.
    pub fn start() -> Collector {
        let collector = Collector { port: Port::reserve(), server: Mutex::new(None), state: Arc::default() };
        collector.up();
        collector
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// Listens.
    pub fn up(&self) {
        let state = self.state.clone();
        let origin = Origin::start_at(&self.port.address(), move |conn| serve(conn, &state));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
    }

    /// Refuses connections.
    pub fn down(&self) {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Answers every export with this status, or takes them again.
    pub fn refuse(&self, status: Option<u16>) {
        self.lock().refusing = status;
    }

    /// Takes exports and answers none.
    pub fn hang(&self) {
        self.lock().hanging = true;
    }

    /// Spans so far.
    pub fn spans(&self) -> Vec<TraceSpan> {
        self.lock().spans.clone()
    }

    /// Exports so far, refused ones included.
    pub fn requests(&self) -> Vec<Seen> {
        self.lock().requests.clone()
    }

    /// Waits for the first span that fits, and gives it.
    #[track_caller]
    pub fn span(&self, fits: impl Fn(&TraceSpan) -> bool) -> TraceSpan {
        wait_some("the span", PATIENCE, || self.spans().into_iter().find(|span| fits(span)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(conn: &mut Conn, state: &Mutex<State>) -> io::Result<()> {
    loop {
        let seen = conn.request()?;
        let (hanging, refusing) = {
            let mut state = lock(state);
            state.requests.push(seen.clone());
            if state.refusing.is_none() && !state.hanging {
                let spans = read(&seen.body).expect("the export is well formed");
                state.spans.extend(spans);
            }
            (state.hanging, state.refusing)
        };
        if hanging {
            return conn.wait_end();
        }
        conn.send(behaviour::response(refusing.unwrap_or(200), b""))?;
    }
}

/// A field: its number, and a number or bytes.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// `ExportTraceServiceRequest`
fn read(request: &[u8]) -> Option<Vec<TraceSpan>> {
    let mut spans = Vec::new();
    for (_, resource_spans) in fields(request)? {
        let Field::Bytes(resource_spans) = resource_spans else { return None };
        let parts = fields(resource_spans)?;
        let resource = messages(&parts, 1).next().map(attributes)??;
        for scope in messages(&parts, 2) {
            for span in messages(&fields(scope)?, 2) {
                let service = resource.get("service.name").cloned().unwrap_or_default();
                spans.push(TraceSpan { service, ..self::span(span)? });
            }
        }
    }
    Some(spans)
}

fn span(message: &[u8]) -> Option<TraceSpan> {
    let parts = fields(message)?;
    let bytes = |number| messages(&parts, number).next().unwrap_or_default();
    let number = |wanted| {
        parts.iter().find_map(|(number, field)| match field {
            Field::Number(value) if *number == wanted => Some(*value),
            _ => None,
        })
    };
    let status = fields(bytes(15))?;
    Some(TraceSpan {
        trace: hex(bytes(1)),
        id: hex(bytes(2)),
        parent: hex(bytes(4)),
        name: text(bytes(5)),
        kind: number(6)?,
        start: number(7)?,
        end: number(8)?,
        attributes: attributes_of(&parts, 9)?,
        failed: status.iter().any(|(number, field)| *number == 3 && matches!(field, Field::Number(2))),
        service: String::new(),
    })
}

/// The attributes of a `Resource`.
fn attributes(resource: &[u8]) -> Option<BTreeMap<String, String>> {
    attributes_of(&fields(resource)?, 1)
}

fn attributes_of(parts: &[(u64, Field<'_>)], number: u64) -> Option<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for attribute in messages(parts, number) {
        let parts = fields(attribute)?;
        let key = text(messages(&parts, 1).next()?);
        let value = match fields(messages(&parts, 2).next()?)?.into_iter().next()? {
            (1, Field::Bytes(value)) => text(value),
            (3, Field::Number(value)) => value.to_string(),
            _ => return None,
        };
        assert!(all.insert(key.clone(), value).is_none(), "{key} stands twice");
    }
    Some(all)
}

fn messages<'a>(parts: &'a [(u64, Field<'a>)], wanted: u64) -> impl Iterator<Item = &'a [u8]> {
    parts.iter().filter_map(move |(number, field)| match field {
        Field::Bytes(bytes) if *number == wanted => Some(*bytes),
        _ => None,
    })
}

fn fields(mut message: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut message)?),
            1 => {
                let (bytes, rest) = message.split_first_chunk::<8>()?;
                message = rest;
                Field::Number(u64::from_le_bytes(*bytes))
            }
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        fields.push((tag >> 3, field));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("texts are UTF-8")
}
