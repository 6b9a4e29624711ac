//! Requests through a binary that was just packed, each through another part of it: TLS, HTTP/2, tokens, Lua, limits, cache,
//! compression, aggregation. On a machine of another kind under qemu's emulation of programs.
//!
//! What a test of the workspace shows of the sources this shows of the file that people get. The configuration is in
//! `packaging/smoke/`; its service is a second gateway, so that nothing else has to be there but curl and openssl.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Job;
use crate::{run, say, tree};

/// A start under emulation, on a machine that is busy, translates some MiB of code first.
const START_WITHIN: Duration = Duration::from_secs(90);
const END_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// What is asked, with curl's arguments in words, and what stands in the answer: its head, its body, `STATUS VERSION` at the end.
/// `@RS256` stands for a token signed so; `PLAIN`, `TLS` and `ADMIN` for addresses.
const CASES: &[(&str, &str, &[&str])] = &[
    ("a request reaches the service", "PLAIN/plain/x", &["\"path\":\"/plain/x\"", "200 1.1"]),
    (
        "TLS 1.3, HTTP/2",
        "--http2 --tlsv1.3 --cacert site.pem TLS/plain/x",
        &["\"path\":\"/plain/x\"", "200 2"],
    ),
    ("TLS 1.2, HTTP/1.1", "--http1.1 --tls-max 1.2 --cacert site.pem TLS/plain/x", &["200 1.1"]),
    ("no token", "PLAIN/account", &["token_missing", "401 1.1"]),
    ("a token of RS256", "--header @RS256 PLAIN/account", &["\"user\":\"u1\"", "200 1.1"]),
    ("a token of ES256", "--header @ES256 PLAIN/account", &["\"user\":\"u1\"", "200 1.1"]),
    ("a token of EdDSA", "--header @EdDSA PLAIN/account", &["\"user\":\"u1\"", "200 1.1"]),
    ("a token that somebody changed", "--header @changed PLAIN/account", &["\"code\":\"token_", "401 1.1"]),
    (
        "Lua, on the way there and back",
        "PLAIN/script",
        &["\"script\":\"547e7ea6\"", "\"length\":7", "200 1.1"],
    ),
    ("Lua that fails", "PLAIN/broken", &["script_error", "500 1.1"]),
    ("Lua that does not end", "PLAIN/endless", &["script_error", "500 1.1"]),
    ("within a limit", "PLAIN/limited", &["once", "200 1.1"]),
    ("over the limit", "PLAIN/limited", &["rate_limited", "429 1.1"]),
    ("an expression holds", "PLAIN/guarded/7", &["seven", "200 1.1"]),
    ("an expression does not", "PLAIN/guarded/8", &["guard_failed", "403 1.1"]),
    ("an answer that is kept", "PLAIN/cached", &["stored", "200 1.1"]),
    ("an answer that was kept", "PLAIN/cached", &["hit", "200 1.1"]),
    ("compression", "--compressed PLAIN/long", &["content-encoding:", "xxxxxxxx", "200 1.1"]),
    (
        "one answer out of two",
        "PLAIN/together",
        &["{\"a\":{\"path\":\"/a\"},\"b\":{\"path\":\"/b%2Fa\"}}", "200 1.1"],
    ),
    ("health", "PLAIN/health", &["\"status\":\"ok\"", "200 1.1"]),
    ("no such route", "PLAIN/nothing", &["route_not_found", "404 1.1"]),
    ("metrics", "ADMIN/metrics", &["tollgate_requests_total{", "200 1.1"]),
];

/// How a binary is started here, each way in words: by itself, or under qemu where its machine is another, once for each size of
/// page that kernels of it have.
fn ways(job: &Job) -> Result<Vec<Vec<String>>> {
    let binary = job.binary.to_string_lossy().into_owned();
    if job.target.is_here() {
        return Ok(vec![vec![binary]]);
    }
    let emulator = job.target.emulator();
    run::output(&mut run::command(emulator, &["--version"]))
        .with_context(|| format!("no {emulator}: on Debian, `apt-get install qemu-user-static`"))?;
    let pages = job.target.pages_bytes().iter();
    Ok(pages
        .map(|page| vec![emulator.to_owned(), "-p".to_owned(), page.to_string(), binary.clone()])
        .collect())
}

/// Starts a service and the gateway, and asks.
pub(super) fn run(job: &Job) -> Result<()> {
    for words in ways(job)? {
        run_as(&words)?;
    }
    Ok(())
}

fn run_as(words: &[String]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    prepare(words, folder.path())?;
    let ports = ports(5)?;
    let [origin, origin_admin, plain, tls, admin] = ports[..] else { bail!("five ports") };
    let long = "x".repeat(3000);
    let variables = [
        ("ORIGIN_PORT", origin.to_string()),
        ("ORIGIN_ADMIN_PORT", origin_admin.to_string()),
        ("PORT", plain.to_string()),
        ("TLS_PORT", tls.to_string()),
        ("ADMIN_PORT", admin.to_string()),
        ("LONG", long),
    ];
    let _service = Running::start(words, &["run", "-c", "origin.yaml"], folder.path(), "origin", &variables)?;
    ready(origin_admin)?;
    let began = Instant::now();
    let gateway =
        Running::start(words, &["run", "-c", "gateway.yaml"], folder.path(), "gateway", &variables)?;
    ready(admin)?;
    say::line(format_args!("{} is ready after {:.0?}", words.join(" "), began.elapsed()));
    let places = [
        ("PLAIN", format!("http://127.0.0.1:{plain}")),
        ("TLS/", format!("https://localhost:{tls}/")),
        ("ADMIN", format!("http://127.0.0.1:{admin}")),
    ];
    if let Err(error) = ask_all(folder.path(), &places) {
        say::line(gateway.log());
        return Err(error);
    }
    let end = gateway.end()?;
    ensure!(end == Some(0), "the drain ended with {end:?}");
    say::line(format_args!("{} requests answered as they should be, then drained", CASES.len()));
    Ok(())
}

fn ask_all(folder: &Path, places: &[(&str, String)]) -> Result<()> {
    for (name, arguments, expect) in CASES {
        let mut arguments = (*arguments).to_owned();
        for (place, address) in places {
            arguments = arguments.replace(place, address);
        }
        let answer = ask(folder, &arguments).with_context(|| (*name).to_owned())?;
        for part in *expect {
            ensure!(answer.contains(part), "{name}: no `{part}` in\n{answer}");
        }
    }
    Ok(())
}

/// Certificate, tokens and their keys, made by the binary where it can.
fn prepare(words: &[String], folder: &Path) -> Result<()> {
    for file in ["origin.yaml", "gateway.yaml"] {
        fs::copy(tree::root().join("packaging/smoke").join(file), folder.join(file))?;
    }
    run::output(
        run::command("openssl", &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args([
                "-nodes",
                "-keyout",
                "site.key",
                "-out",
                "site.pem",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ])
            .args(["-addext", "subjectAltName=DNS:localhost"])
            .current_dir(folder),
    )?;
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let key = format!("{algorithm}.json");
        let mut token = run::command(&words[0], &[]);
        token.args(&words[1..]).args(["token", "--iss", "https://dev.example/", "--aud", "smoke"]);
        token.args(["--claim", "sub=u1", "--alg", algorithm, "--key", &key, "--jwks", "jwks.json"]);
        let token =
            run::output(token.current_dir(folder)).with_context(|| format!("a token of {algorithm}"))?;
        let header = format!("Authorization: Bearer {}", token.trim());
        fs::write(folder.join(algorithm), &header)?;
        // The last bits of a signature's text are no data in every algorithm: a letter in its middle is.
        let at = header.len() - 20;
        let other = if &header[at..=at] == "A" { "B" } else { "A" };
        fs::write(folder.join("changed"), format!("{}{other}{}", &header[..at], &header[at + 1..]))?;
    }
    Ok(())
}

/// Ports that nobody listens on, each of them once.
pub(super) fn ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    Ok(held
        .iter()
        .map(|held| held.local_addr().map(|address| address.port()))
        .collect::<std::io::Result<_>>()?)
}

/// Head and body of an answer, and `STATUS VERSION`.
fn ask(folder: &Path, arguments: &str) -> Result<String> {
    let mut curl = run::command("curl", &["--silent", "--show-error", "--include", "--max-time", "30"]);
    curl.args(["--write-out", "\n%{http_code} %{http_version}\n"]).args(arguments.split(' '));
    run::output(curl.current_dir(folder))
}

/// Waits until the gateway with that admin side is ready.
pub(super) fn ready(admin: u16) -> Result<()> {
    let address = format!("http://127.0.0.1:{admin}/readyz");
    let until = Instant::now() + START_WITHIN;
    while run::output(&mut run::command("curl", &["--silent", "--fail", "--max-time", "5", &address]))
        .is_err()
    {
        ensure!(Instant::now() < until, "not ready after {START_WITHIN:?}");
        pause();
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "between two looks at a condition that has a deadline")]
fn pause() {
    thread::sleep(POLL);
}

/// A process that ends with this.
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(super) fn start(
        words: &[String],
        arguments: &[&str],
        folder: &Path,
        name: &str,
        variables: &[(&str, String)],
    ) -> Result<Running> {
        let log = folder.join(format!("{name}.log"));
        let out = File::create(&log)?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments).current_dir(folder).stdin(Stdio::null());
        command.stdout(out.try_clone()?).stderr(out);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().with_context(|| format!("starting {}", words.join(" ")))?;
        Ok(Running { child, log })
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Asks it to end; gives its exit code.
    pub(super) fn end(mut self) -> Result<Option<i32>> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let until = Instant::now() + END_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            ensure!(Instant::now() < until, "still there after {END_WITHIN:?}");
            pause();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be ended: nothing to be done about either.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
