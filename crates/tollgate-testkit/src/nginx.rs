//! A real nginx as an origin: what most people put behind a gateway.

use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::Client;
use crate::port::Port;
use crate::wait::wait_for;

/// A running nginx; it is killed when dropped.
pub struct Nginx {
    child: Child,
    port: Port,
    _dir: TempDir,
}

impl Nginx {
    /// Starts nginx with these lines inside `server { }`.
    #[track_caller]
    pub fn start(server: &str) -> Nginx {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = Port::reserve();
        let root = dir.path().display();
        let config = format!(
            "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n access_log off; client_max_body_size 0; client_body_temp_path {root}/body;\n\
             proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u;\n\
             scgi_temp_path {root}/s; keepalive_requests 100000;\n\
             server {{\n listen 127.0.0.1:{port};\n {server}\n }}\n}}\n",
            port = port.number(),
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).expect("the configuration can be written");
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(dir.path()).arg("-e").arg(dir.path().join("error.log"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap_or_else(|error| {
            panic!(
                "nginx cannot be started ({error}); `./dev test` installs it, or: apt-get install nginx-light"
            )
        });
        let nginx = Nginx { child, port, _dir: dir };
        wait_for("nginx to accept", || Client::try_connect(&nginx.address()).is_ok());
        nginx
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        self.port.address()
    }

    /// As a target in a configuration.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
