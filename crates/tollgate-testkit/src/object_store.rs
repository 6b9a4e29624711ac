//! An object store of the S3 kind that checks every signature (AWS Signature Version 4), and does what a test tells it to.
//!
//! Paths are of the path style: `/bucket/key`. It knows `PUT`, `GET` and `ListObjectsV2`, which is what shipping and reading
//! records takes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::{digest, hmac};

use crate::origin::{Conn, Origin, Seen, behaviour};
use crate::port::Port;
use crate::wait::pause;

/// Whose signatures it takes.
pub const ACCESS_KEY: &str = "AKIDTEST";
/// What they are made with.
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// For where.
pub const REGION: &str = "eu-test-1";

/// A running store; it stops when dropped.
pub struct ObjectStore {
    port: Port,
    /// `None` while it is down.
    server: Mutex<Option<Origin>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    /// Requests to be answered with this status, before they count.
    refusing: Option<u16>,
    delay: Duration,
    puts: usize,
    /// Requests whose signature was wrong.
    refused: usize,
}

impl ObjectStore {
    /// An empty store.
    pub fn start() -> ObjectStore {
        let store = ObjectStore::down_at_first();
        store.up();
        store
    }

    /// The same, not yet listening: its address is known, and [`ObjectStore::up`] starts it.
    pub fn down_at_first() -> ObjectStore {
        ObjectStore { port: Port::reserve(), server: Mutex::new(None), state: Arc::default() }
    }

    /// `http://127.0.0.1:<port>`
    pub fn url(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// What a configuration says under `store:`, in one line.
    pub fn access(&self) -> String {
        format!(
            "{{ endpoint: \"{}\", region: {REGION}, access_key_id: {ACCESS_KEY}, secret_access_key: \"{SECRET_KEY}\" }}",
            self.url()
        )
    }

    /// Listens.
    pub fn up(&self) {
        let state = self.state.clone();
        let origin = Origin::start_at(&self.port.address(), move |conn| serve(conn, &state));
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(origin);
    }

    /// Refuses connections; what is stored stays.
    pub fn down(&self) {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Answers every request with this status, or serves again.
    pub fn refuse(&self, status: Option<u16>) {
        self.lock().refusing = status;
    }

    /// Answers no sooner than this.
    pub fn delay(&self, delay: Duration) {
        self.lock().delay = delay;
    }

    /// Keys and bytes, by key: `bucket/prefix/…`.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.lock().objects.clone()
    }

    /// Objects that were put, those put again included.
    pub fn puts(&self) -> usize {
        self.lock().puts
    }

    /// Requests whose signature was wrong.
    pub fn refused(&self) -> usize {
        self.lock().refused
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
        let (delay, refusing) = {
            let state = lock(state);
            (state.delay, state.refusing)
        };
        pause(delay);
        let answer = match refusing {
            Some(status) => error(status, "Told", "the test says so"),
            None => answer(&seen, state),
        };
        conn.send(answer)?;
    }
}

fn answer(seen: &Seen, state: &Mutex<State>) -> Vec<u8> {
    if let Err(why) = check_signature(seen) {
        lock(state).refused += 1;
        return error(403, "SignatureDoesNotMatch", &why);
    }
    let (path, query) = seen.target().split_once('?').unwrap_or((seen.target(), ""));
    let key = decode(path.trim_start_matches('/'));
    let mut state = lock(state);
    match seen.method() {
        "PUT" => {
            state.puts += 1;
            state.objects.insert(key, seen.body.clone());
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: \"x\"\r\n\r\n".to_vec()
        }
        "GET" if query.contains("list-type=2") => listing(&state, &key, query),
        "GET" => match state.objects.get(&key) {
            Some(object) => object_response(object),
            None => error(404, "NoSuchKey", "there is no such object"),
        },
        _ => error(405, "MethodNotAllowed", "only what the test needs"),
    }
}

fn object_response(object: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nlast-modified: Sun, 22 Nov 2026 14:00:00 GMT\r\netag: \"x\"\r\n\r\n",
        object.len()
    )
    .into_bytes();
    answer.extend_from_slice(object);
    answer
}

/// `ListObjectsV2` of all that begins with the prefix, in one answer.
fn listing(state: &State, bucket: &str, query: &str) -> Vec<u8> {
    let parameters = query.split('&').filter_map(|pair| pair.split_once('='));
    let prefix = parameters.clone().find(|(name, _)| *name == "prefix").map(|(_, value)| decode(value));
    let below = format!("{}/{}", bucket.trim_end_matches('/'), prefix.unwrap_or_default());
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><IsTruncated>false</IsTruncated>",
    );
    for (key, object) in state.objects.iter().filter(|(key, _)| key.starts_with(&below)) {
        let key = key.split_once('/').map_or("", |(_, key)| key);
        xml.push_str(&format!(
            "<Contents><Key>{key}</Key><LastModified>2026-11-22T14:00:00.000Z</LastModified><ETag>\"x\"</ETag>\
             <Size>{}</Size></Contents>",
            object.len()
        ));
    }
    xml.push_str("</ListBucketResult>");
    behaviour::response(200, xml.as_bytes())
}

fn error(status: u16, code: &str, message: &str) -> Vec<u8> {
    behaviour::response(
        status,
        format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>").as_bytes(),
    )
}

/// Recomputes the signature as AWS documents it ("Create a signed AWS API request").
fn check_signature(seen: &Seen) -> Result<(), String> {
    let authorization = seen.header("authorization").ok_or("no Authorization")?;
    let rest = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or("another scheme")?;
    let part = |name: &str| {
        let parts = rest.split(',').map(str::trim);
        parts.filter_map(|part| part.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (credential, signed, signature) = (
        part("Credential").ok_or("no Credential")?,
        part("SignedHeaders").ok_or("no SignedHeaders")?,
        part("Signature"),
    );
    let scope = credential.strip_prefix(&format!("{ACCESS_KEY}/")).ok_or("another key")?;
    let date = seen.header("x-amz-date").ok_or("no x-amz-date")?;
    let day = date.get(..8).ok_or("no day")?;
    if scope != format!("{day}/{REGION}/s3/aws4_request") {
        return Err(format!("another scope: {scope}"));
    }
    let body_hash = hex(digest::digest(&digest::SHA256, &seen.body).as_ref());
    let told = seen.header("x-amz-content-sha256").ok_or("no x-amz-content-sha256")?;
    if told != body_hash {
        return Err("another body".to_owned());
    }
    let (path, query) = seen.target().split_once('?').unwrap_or((seen.target(), ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let mut canonical = format!("{}\n{path}\n{}\n", seen.method(), pairs.join("&"));
    for name in signed.split(';') {
        let value = seen.header(name).ok_or_else(|| format!("{name} is signed and not there"))?;
        canonical.push_str(&format!("{name}:{}\n", value.trim()));
    }
    if !signed.split(';').any(|name| name == "host") {
        return Err("host is not signed".to_owned());
    }
    canonical.push_str(&format!("\n{signed}\n{told}"));
    let hashed = hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
    let mut key = format!("AWS4{SECRET_KEY}").into_bytes();
    for step in [day, REGION, "s3", "aws4_request"] {
        key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), step.as_bytes()).as_ref().to_vec();
    }
    let right = hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes()).as_ref());
    if signature == Some(&right) { Ok(()) } else { Err("another signature".to_owned()) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
        match byte {
            b'%' => out.extend(digit().zip(digit()).map(|(high, low)| (high * 16 + low) as u8)),
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
