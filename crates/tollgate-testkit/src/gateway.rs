//! The gateway's binary as a child process, with a configuration file that a test can rewrite.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::message::Response;
use crate::metrics::Metrics;
use crate::output::Output;
use crate::port::Port;
use crate::wait::{PATIENCE, wait_for, wait_some};

/// A running gateway; it is killed when dropped.
pub struct Gateway {
    child: Child,
    dir: TempDir,
    file: PathBuf,
    listen: Port,
    admin: Port,
    stdout: Output,
    stderr: Output,
}

impl Gateway {
    /// Starts `binary` with this configuration on ports of its own, and waits until it is ready.
    ///
    /// `@NAME@` is replaced for each pair of `names`, and `@LISTEN@`, `@ADMIN@`, `@DIR@` by the reserved
    /// addresses and the directory. A text without `listeners:` or `admin:` gets them.
    #[track_caller]
    pub fn start(binary: &str, text: &str, names: &[(&str, String)]) -> Gateway {
        let mut gateway = Gateway::spawn(binary, text, names);
        gateway.wait_ready();
        gateway
    }

    /// The same without waiting.
    #[track_caller]
    pub fn spawn(binary: &str, text: &str, names: &[(&str, String)]) -> Gateway {
        let (dir, file, listen, admin) = lay(text, names);
        Gateway::spawn_file(binary, dir, file, listen, admin)
    }

    /// The same as [`Gateway::start`], with these variables added to the environment.
    #[track_caller]
    pub fn start_under(
        binary: &str,
        text: &str,
        names: &[(&str, String)],
        variables: &[(&str, &str)],
    ) -> Gateway {
        let (dir, file, listen, admin) = lay(text, names);
        let mut gateway = Gateway::spawn_with(binary, dir, file, listen, admin, true, variables);
        gateway.wait_ready();
        gateway
    }

    /// The same as [`Gateway::start`], with a standard output that is a pipe which nobody ever reads.
    #[track_caller]
    pub fn start_unread(binary: &str, text: &str) -> Gateway {
        let (dir, file, listen, admin) = lay(text, &[]);
        let mut gateway = Gateway::spawn_with(binary, dir, file, listen, admin, false, &[]);
        gateway.wait_ready();
        gateway
    }

    /// Begins to read the standard output of a gateway from [`Gateway::start_unread`].
    #[track_caller]
    pub fn read_stdout(&mut self) {
        self.stdout = Output::gather(self.child.stdout.take().expect("nobody reads it yet"));
    }

    /// The same with a file that the test has laid out itself under `dir`.
    pub fn spawn_file(binary: &str, dir: TempDir, file: PathBuf, listen: Port, admin: Port) -> Gateway {
        Gateway::spawn_with(binary, dir, file, listen, admin, true, &[])
    }

    /// The same with these variables added to the environment, and more arguments behind the file.
    pub fn spawn_file_under(
        binary: &str,
        (dir, file): (TempDir, PathBuf),
        (listen, admin): (Port, Port),
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Gateway {
        Gateway::spawn_more(binary, (dir, file), (listen, admin), true, more, variables)
    }

    /// Waits until `/readyz` says so; panics with its log when it ends instead.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        self.wait_ready();
    }

    fn spawn_with(
        binary: &str,
        dir: TempDir,
        file: PathBuf,
        listen: Port,
        admin: Port,
        read: bool,
        variables: &[(&str, &str)],
    ) -> Gateway {
        Gateway::spawn_more(binary, (dir, file), (listen, admin), read, &[], variables)
    }

    fn spawn_more(
        binary: &str,
        (dir, file): (TempDir, PathBuf),
        (listen, admin): (Port, Port),
        read: bool,
        more: &[&str],
        variables: &[(&str, &str)],
    ) -> Gateway {
        let mut command = Command::new(binary);
        command.envs(variables.iter().copied());
        command.args(["run", "-c"]).arg(&file).args(more).current_dir(dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {binary}: {error}"));
        let mut stdout = Output::default();
        if read {
            stdout = Output::gather(child.stdout.take().expect("stdout is piped"));
        }
        let stderr = Output::gather(child.stderr.take().expect("stderr is piped"));
        Gateway { child, dir, file, listen, admin, stdout, stderr }
    }

    /// The public address.
    pub fn address(&self) -> String {
        self.listen.address()
    }

    /// The admin address.
    pub fn admin_address(&self) -> String {
        self.admin.address()
    }

    /// A new client connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(&self.address())
    }

    /// One GET on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }

    /// One GET at the admin address.
    #[track_caller]
    pub fn admin(&self, path: &str) -> Response {
        self.try_admin(path).unwrap_or_else(|| panic!("no answer from {path}:\n{}", self.stderr.text()))
    }

    /// `/readyz` as JSON.
    #[track_caller]
    pub fn readyz(&self) -> Value {
        self.admin("/readyz").json()
    }

    /// The generation that `/readyz` tells.
    #[track_caller]
    pub fn generation(&self) -> u64 {
        self.readyz()["generation"].as_u64().expect("readyz has a generation")
    }

    /// Waits until the generation is `wanted`.
    #[track_caller]
    pub fn wait_generation(&self, wanted: u64) {
        wait_for("the new generation", || self.generation() == wanted);
    }

    /// The metrics now.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("/metrics").text())
    }

    /// Standard output: the access log.
    pub fn stdout(&self) -> &Output {
        &self.stdout
    }

    /// Standard error: the operator's log.
    pub fn stderr(&self) -> &Output {
        &self.stderr
    }

    /// Waits for the first access record that fits, and gives it.
    #[track_caller]
    pub fn record(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let probe = || self.stdout.records().into_iter().find(|record| fits(record));
        wait_some("the access record", PATIENCE, probe)
    }

    /// Waits for the access record of `path`.
    #[track_caller]
    pub fn record_of(&self, path: &str) -> Value {
        self.record(|record| record["path"] == path)
    }

    /// The configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The directory it stands in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A text with this gateway's own addresses filled in, for a reload.
    pub fn complete(&self, text: &str, names: &[(&str, String)]) -> String {
        complete(text, names, &self.listen, &self.admin, self.dir.path())
    }

    /// Replaces the file by rename, as editors do.
    pub fn replace_file(&self, text: &str) {
        let fresh = self.dir.path().join(".tollgate.yaml.new");
        std::fs::write(&fresh, text).expect("the new file can be written");
        std::fs::rename(&fresh, &self.file).expect("the new file can be moved");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the gateway can be signalled");
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB, the pages of the program's file included.
    pub fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// Resident memory of its own in KiB: what grows with what clients send. Code that runs for the first time is
    /// not in it.
    pub fn own_kib(&self) -> u64 {
        self.memory_kib("RssAnon:")
    }

    fn memory_kib(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).expect("the kernel says it")
    }

    /// Processor time that the process has used, all threads together; the kernel counts it in 10 ms.
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th field behind it.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        Duration::from_millis(ticks * 10)
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// Waits for the end of the process.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        wait_some("the gateway to end", PATIENCE, || child.try_wait().expect("a child can be waited for"))
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        wait_some("the gateway to be ready", PATIENCE, || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the gateway ended with {status}:\n{}", self.stderr.whole());
            }
            let ready = self.try_admin("/readyz").is_some_and(|response| response.status == 200);
            ready.then_some(())
        });
    }

    fn try_admin(&self, path: &str) -> Option<Response> {
        let mut client = Client::try_connect(&self.admin_address()).ok()?;
        client.set_patience(Duration::from_secs(5));
        let host = self.admin_address();
        client.try_send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).ok()?;
        client.try_response().ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // The failing test's reader wants to know what the gateway said.
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "--- the gateway's log ---\n{}", self.stderr.text());
            let _ = writeln!(std::io::stderr(), "--- its access log ---\n{}", self.stdout.text());
        }
    }
}

/// A command that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs `binary` to its end in `dir`, with these variables added to the environment.
#[track_caller]
pub fn run(binary: &str, dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
    let mut command = Command::new(binary);
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    command.envs(variables.iter().copied());
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {binary}: {error}"));
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Writes a configuration into a directory of its own, with ports of its own.
fn lay(text: &str, names: &[(&str, String)]) -> (TempDir, PathBuf, Port, Port) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("tollgate.yaml");
    let (listen, admin) = (Port::reserve(), Port::reserve());
    let text = complete(text, names, &listen, &admin, dir.path());
    std::fs::write(&file, text).expect("the configuration can be written");
    (dir, file, listen, admin)
}

fn complete(text: &str, names: &[(&str, String)], listen: &Port, admin: &Port, dir: &Path) -> String {
    let mut full = String::new();
    if !text.lines().any(|line| line.starts_with("listeners:")) {
        full.push_str("listeners:\n  - address: \"@LISTEN@\"\n");
    }
    if !text.lines().any(|line| line.starts_with("admin:")) {
        full.push_str("admin:\n  address: \"@ADMIN@\"\n");
    }
    full.push_str(text);
    for (name, value) in names {
        full = full.replace(&format!("@{name}@"), value);
    }
    full = full.replace("@LISTEN@", &listen.address()).replace("@ADMIN@", &admin.address());
    full.replace("@DIR@", &dir.display().to_string())
}
