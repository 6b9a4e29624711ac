//! A real HAProxy in front of the gateway: what most people have who need the PROXY protocol.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::Client;
use crate::port::Port;
use crate::wait::wait_for;

/// A running HAProxy; it is killed when dropped.
pub struct HaProxy {
    child: Child,
    _dir: TempDir,
}

impl HaProxy {
    /// Carries connections, as they are, from each port to the server of that line: an address, and options.
    #[track_caller]
    pub fn start(servers: &[(&Port, String)]) -> HaProxy {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let times = "timeout connect 5s\n timeout client 30s\n timeout server 30s";
        let mut config = format!("defaults\n mode tcp\n {times}\n");
        for (from, server) in servers {
            let port = from.number();
            config.push_str(&format!("listen l{port}\n bind 127.0.0.1:{port}\n server s {server}\n"));
        }
        let file = dir.path().join("haproxy.cfg");
        std::fs::write(&file, config).expect("the configuration can be written");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "haproxy cannot be started ({error}); `./dev test` installs it, or: apt-get install haproxy"
            )
        });
        let haproxy = HaProxy { child, _dir: dir };
        for (from, _) in servers {
            wait_for("haproxy to accept", || Client::try_connect(&from.address()).is_ok());
        }
        haproxy
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
