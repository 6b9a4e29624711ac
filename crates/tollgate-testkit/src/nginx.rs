//! A real nginx as an origin: what most people put behind a gateway, to be paused, killed and restarted at will.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::client::Client;
use crate::port::Port;
use crate::wait::wait_for;

/// A running nginx; it is killed when dropped, paused or not.
pub struct Nginx {
    /// None while it is down.
    child: Option<Child>,
    port: Port,
    dir: TempDir,
}

impl Nginx {
    /// Starts nginx with these lines inside `server { }`.
    #[track_caller]
    pub fn start(server: &str) -> Nginx {
        Nginx::start_on(&["127.0.0.1"], server)
    }

    /// The same on several addresses of this machine, 127.0.0.1 among them, all with the same port.
    #[track_caller]
    pub fn start_on(hosts: &[&str], server: &str) -> Nginx {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = Port::reserve();
        let root = dir.path().display();
        let listen: String =
            hosts.iter().map(|host| format!(" listen {host}:{};\n", port.number())).collect();
        let config = format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n access_log off; client_max_body_size 0; client_body_temp_path {root}/body;\n\
             proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u;\n\
             scgi_temp_path {root}/s; keepalive_requests 100000;\n\
             server {{\n{listen} {server}\n }}\n}}\n",
        );
        std::fs::write(dir.path().join("nginx.conf"), config).expect("the configuration can be written");
        let mut nginx = Nginx { child: None, port, dir };
        nginx.start_again();
        nginx
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// The port, the same on all its addresses and after a restart.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// As a target in a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Where its configuration and its temporary files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Stops it without a word to anybody: the kernel accepts connections, and nothing answers.
    #[track_caller]
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on after [`Nginx::pause`].
    #[track_caller]
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once. Its port stays reserved, and refuses.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it (again), at the same address, and waits until it accepts.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.kill();
        let dir = self.dir.path();
        let mut command = Command::new("nginx");
        command.arg("-c").arg(dir.join("nginx.conf")).arg("-p").arg(dir).arg("-e").arg(dir.join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "nginx cannot be started ({error}); `./dev test` installs it, or: apt-get install nginx-light"
            )
        });
        self.child = Some(child);
        wait_for("nginx to accept", || Client::try_connect(&self.address()).is_ok());
    }

    #[track_caller]
    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("nginx runs");
        kill_process(Pid::from_child(child), signal).expect("nginx can be signalled");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.kill();
    }
}
