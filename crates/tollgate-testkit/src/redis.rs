//! A real redis-server, to be paused, killed and restarted at will.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::port::Port;
use crate::resp::{Resp, Value};
use crate::wait::{PATIENCE, wait_for, wait_some};

/// A redis-server on 127.0.0.1 that keeps nothing on disk; it is killed when dropped, paused or not.
pub struct Redis {
    /// None while it is down.
    child: Option<Child>,
    options: RedisOptions,
    port: Port,
    /// For Redis Cluster's own protocol.
    bus: Port,
    dir: TempDir,
}

/// How a redis-server is started.
#[derive(Clone, Default)]
pub struct RedisOptions {
    password: Option<String>,
    tls: Option<[String; 3]>,
    cluster: bool,
    more: Vec<String>,
}

impl RedisOptions {
    /// The default user's password.
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// TLS instead of plain text, without certificates of clients.
    pub fn tls(mut self, cert: &Path, key: &Path, ca: &Path) -> Self {
        self.tls = Some([cert, key, ca].map(|path| path.display().to_string()));
        self
    }

    /// A cluster of this one node, which serves all slots.
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// A replica of another server, read-only as replicas are.
    pub fn replica_of(self, primary: &Redis) -> Self {
        let port = primary.port.number().to_string();
        self.args(&["--replicaof", "127.0.0.1", &port])
    }

    /// More of redis-server's own arguments.
    pub fn args(mut self, args: &[&str]) -> Self {
        self.more.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Starts it, and waits until it answers.
    #[track_caller]
    pub fn start(self) -> Redis {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut redis =
            Redis { child: None, options: self, port: Port::reserve(), bus: Port::reserve(), dir };
        redis.start_again();
        redis
    }
}

impl Redis {
    /// A plain one.
    #[track_caller]
    pub fn start() -> Redis {
        RedisOptions::default().start()
    }

    /// `127.0.0.1:<port>`; the same after a restart.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// As `redis.url` in a configuration, the password included.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        let user = self.options.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default();
        format!("{scheme}://{user}{}", self.address())
    }

    /// A connection, with the password given. Not for a server with TLS.
    #[track_caller]
    pub fn connect(&self) -> Resp {
        let mut resp = Resp::connect(&self.address()).expect("redis-server accepts");
        if let Some(password) = &self.options.password {
            resp.call(&["AUTH", password]).unwrap();
        }
        resp
    }

    /// One command on a connection of its own.
    #[track_caller]
    pub fn call(&self, command: &[&str]) -> Value {
        self.connect().call(command)
    }

    /// Stops it without a word to anybody: connections stay open, and nothing answers.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        wait_for("redis-server to stand still", || self.state() == Some('T'));
    }

    /// Lets it go on after [`Redis::pause`].
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
        wait_for("redis-server to go on", || self.state() != Some('T'));
    }

    /// Ends it at once. Its port stays reserved, and refuses.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it once more, on the same port and with nothing in it.
    #[track_caller]
    pub fn restart_empty(&mut self) {
        self.kill();
        self.start_again();
    }

    #[track_caller]
    fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(self.args()).args(&self.options.more).current_dir(self.dir.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A node remembers its cluster, even with nothing else on disk.
        let _ = fs::remove_file(self.dir.path().join("nodes.conf"));
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("redis-server cannot be started ({error}); `./dev test` installs it, or: apt-get install redis-server")
        });
        self.child = Some(child);
        wait_some("redis-server to answer", PATIENCE, || self.answers());
        if self.options.cluster {
            self.call(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).unwrap();
            wait_for("the cluster to be whole", || {
                self.call(&["CLUSTER", "INFO"]).text().is_some_and(|info| info.contains("cluster_state:ok"))
            });
        }
    }

    fn args(&self) -> Vec<String> {
        let (port, bus) = (self.port.number(), self.bus.number());
        let mut args = format!("--bind 127.0.0.1 --save '' --appendonly no --cluster-port {bus}")
            .split(' ')
            .map(|arg| arg.trim_matches('\'').to_owned())
            .collect::<Vec<_>>();
        match &self.options.tls {
            None => args.extend(["--port".to_owned(), port.to_string()]),
            Some([cert, key, ca]) => {
                let tls = format!("--port 0 --tls-port {port} --tls-auth-clients no");
                args.extend(tls.split(' ').map(str::to_owned));
                let files = [("--tls-cert-file", cert), ("--tls-key-file", key), ("--tls-ca-cert-file", ca)];
                args.extend(files.iter().flat_map(|(name, path)| [(*name).to_owned(), (*path).clone()]));
            }
        }
        if let Some(password) = &self.options.password {
            args.extend(["--requirepass".to_owned(), password.clone()]);
        }
        if self.options.cluster {
            args.extend(["--cluster-enabled".to_owned(), "yes".to_owned()]);
        }
        args
    }

    /// Some once it serves; with TLS, once it listens.
    fn answers(&self) -> Option<()> {
        let mut resp = Resp::connect(&self.address()).ok()?;
        if self.options.tls.is_some() {
            return Some(());
        }
        resp.patience(Duration::from_secs(1));
        match &self.options.password {
            Some(password) => resp.try_call(&["AUTH", password]).ok()?.text().map(drop),
            None => resp.try_call(&["PING"]).ok()?.text().map(drop),
        }
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("redis-server runs");
        kill_process(Pid::from_child(child), signal).expect("redis-server can be signalled");
    }

    /// The letter the kernel has for what a process does.
    fn state(&self) -> Option<char> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.as_ref()?.id())).ok()?;
        stat.rsplit(") ").next()?.chars().next()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
