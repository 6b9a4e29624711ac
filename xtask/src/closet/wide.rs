//! The example with everything added that the dashboard has a panel for and a closet needs not: limits in Redis, a target
//! that is down, a mirror, a script, records to an object store, traces, a listener with TLS.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::stack::{PORTS, Stack};
use super::{panels, phases};
use crate::replay::due::even;
use crate::replay::{client, ports};
use crate::{run, say, tree};

/// How it is called in the samples.
pub(super) const WIDE: &str = "with everything on";

const EXAMPLE: &str = "examples/closet/tollgate.yaml";

/// The last digits of ports that the example does not use.
const REDIS: u16 = 9;
const NOBODY: u16 = 10;
const COLLECTOR: u16 = 11;
const TLS: u16 = 12;

/// Long enough for five scrapes.
const TIME: Duration = Duration::from_secs(75);
const RATE: u64 = 40;

/// A span batch is not larger.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// Runs it for a while and asks the dashboard.
pub(super) fn measure(native: &Path, folder: &Path, samples: &mut Vec<Value>) -> Result<()> {
    say::step(format_args!("the same {WIDE}, for the dashboard"));
    let dir = folder.join("wide");
    fs::create_dir_all(&dir)?;
    let ports = ports::free(PORTS)?;
    let port = |last: u16| ports * 100 + last;
    let _redis = Redis::start(port(REDIS), &dir)?;
    let _collector = Collector::start(port(COLLECTOR))?;
    let config = dir.join("wide.yaml");
    certificate(&dir)?;
    fs::write(&config, configuration(ports, &dir)?)?;
    let stack = Stack::start(native, native, &dir, Some((ports, &config)))?;
    // Who does not speak TLS on a listener with TLS is a handshake that failed.
    if client::whole(port(TLS), "GET / HTTP/1.0\r\n\r\n").is_ok() {
        bail!("the listener with TLS answers without");
    }
    samples.push(phases::rings(&stack, WIDE)?);
    samples.push(phases::replayed(&stack, WIDE, phases::AT_PEAK, &even(RATE, TIME), 1)?);
    panels::ask(&stack, WIDE, samples)
}

/// The example's text with the rest put in; each place must be there.
fn configuration(ports: u16, dir: &Path) -> Result<String> {
    let dir = dir.display();
    let edits = [
        (
            "00\n\n# The near end",
            format!(
                "00\n  - address: 127.0.0.1:{ports}{TLS}\n    tls: {{ certificates: [{{ cert: {dir}/cert.pem, key: {dir}/cert.key }}] }}\n\n# The near end"
            ),
        ),
        // Scripts have a share of it, and the share is for every worker.
        ("memory: 64MiB", "memory: 256MiB".to_owned()),
        (
            "05\n    timeout: 5s\n    retry:",
            format!("05\n      - http://127.0.0.1:{ports}{NOBODY}\n    timeout: 5s\n    retry:"),
        ),
        (
            "  sink: file\n  path: ${CLOSET_LOG:-closet-access.log}\n",
            format!(
                "  sink: object_store\n  url: file://{dir}/records\n  batch: {{ every: 5s }}\n  spool: {{ dir: {dir}/spool }}\n\n\
                 redis: {{ url: \"redis://127.0.0.1:{ports}{REDIS:02}\", timeout: 1s }}\n\
                 traces: {{ endpoint: \"http://127.0.0.1:{ports}{COLLECTOR}\", sample: 10% }}\n"
            ),
        ),
        ("rate: 2/s, burst: 10, per: consumer", "rate: 2/s, burst: 10, per: consumer, store: redis".to_owned()),
        ("    rate_limit: { rate: 50/s, burst: 100, per: consumer }\n", "    mirror: { to: house, share: 50% }\n    rate_limit: { rate: 50/s, burst: 100, per: consumer }\n".to_owned()),
        (
            "    request: { set_headers: { x-device: \"{consumer}\" } }\n",
            "    request: { set_headers: { x-device: \"{consumer}\" } }\n    lua: |\n      function request(req)\n        \
             req.headers[\"x-seen\"] = \"yes\"\n      end\n"
                .to_owned(),
        ),
    ];
    let mut text = fs::read_to_string(tree::root().join(EXAMPLE)).context(EXAMPLE)?;
    for (place, with) in edits {
        if !text.contains(place) {
            bail!("{EXAMPLE} has no `{place}` any more");
        }
        text = text.replace(place, &with);
    }
    fs::create_dir_all(format!("{dir}/records"))?;
    // Tests of the example are of the example; the rest of it is not looked for here.
    Ok(text.split("\ntests:\n").next().unwrap_or_default().to_owned())
}

/// One for a day, signed by itself.
fn certificate(dir: &Path) -> Result<()> {
    let mut command = Command::new("openssl");
    command.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]);
    command.args(["-subj", "/CN=closet", "-addext", "subjectAltName=DNS:closet", "-keyout"]);
    command.arg(dir.join("cert.key")).arg("-out").arg(dir.join("cert.pem"));
    run::output(&mut command).map(|_| ())
}

/// A Redis of the run.
struct Redis(Child);

impl Redis {
    fn start(port: u16, dir: &Path) -> Result<Redis> {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"]).arg(dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Redis(command.spawn().context("starting redis-server")?))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Nothing in it has to be kept.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes spans and says that it has them (OTLP over HTTP): 200 with an empty message.
struct Collector {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    fn start(port: u16) -> Result<Collector> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                // One connection after the other: the gateway has one. A broken one is its affair.
                let _ = stream.map(take_spans);
            }
        });
        Ok(Collector { port, stop, thread: Some(thread) })
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // One last connection, so that the thread sees the flag.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn take_spans(mut stream: TcpStream) -> Result<()> {
    // A gateway that has gone does not hold the thread.
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut read = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let Some(at) = read.windows(4).position(|window| window == b"\r\n\r\n") else {
            match stream.read(&mut piece)? {
                0 => return Ok(()),
                n => read.extend_from_slice(&piece[..n]),
            }
            continue;
        };
        let head = String::from_utf8_lossy(&read[..at]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let length: usize = length.filter(|length| *length <= MAX_BODY_BYTES).context("no length")?;
        let mut rest = vec![0; (at + 4 + length).saturating_sub(read.len())];
        stream.read_exact(&mut rest)?;
        read.clear();
        stream.write_all(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n",
        )?;
    }
}
