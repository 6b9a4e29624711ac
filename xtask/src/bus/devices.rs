//! nginx in the place of the four devices of bus 1, so that what answers there takes little of the machine.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::stack::{BUS_1, Stack};
use crate::replay::interrupt::pause;

/// How long a device that was killed may keep its port.
const END_LIMIT: Duration = Duration::from_secs(10);

/// What each says, as `examples/bus/devices.lua` would at some moment.
const ANSWERS: [(&str, &str); 4] = [
    ("/position", "{\"lat\":48.20989,\"lon\":16.38531,\"speed_kmh\":31}"),
    ("/vehicle", "{\"name\":\"Bus 1\",\"plate\":\"W-101 FW\",\"fuel_percent\":70,\"driver_id\":101}"),
    ("/seats", "{\"all\":40,\"taken\":17}"),
    ("/drivers/101", "{\"id\":101,\"name\":\"Ada\",\"phone\":\"+43 1 555 0101\",\"since\":\"06:00\"}"),
];

/// The running nginx; it ends when dropped.
pub(super) struct Nginx(Child);

impl Nginx {
    /// Ends the four devices and takes their ports.
    pub(super) fn instead(stack: &Stack, dir: &Path) -> Result<Nginx> {
        for (device, _) in (1..).zip(ANSWERS) {
            stack.signal(&format!("device-1-{device}"), Signal::KILL)?;
            wait_free(BUS_1 + device)?;
        }
        fs::write(dir.join("nginx.conf"), configuration())?;
        let log = fs::File::create(dir.join("nginx.log"))?;
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Nginx(command.spawn().context("starting nginx")?))
    }
}

fn wait_free(port: u16) -> Result<()> {
    let begun = Instant::now();
    while TcpListener::bind(("127.0.0.1", port)).is_err() {
        if begun.elapsed() > END_LIMIT {
            bail!("port {port} is not free {END_LIMIT:?} after its device was killed");
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It is one process, and keeps nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configuration() -> String {
    let servers: String = (1..)
        .zip(ANSWERS)
        .map(|(device, (path, answer))| {
            format!(
                "    server {{\n        listen 127.0.0.1:{};\n        location = /health {{ return 200 '{{\"status\":\"ok\"}}'; }}\n        \
                 location = {path} {{ return 200 '{answer}'; }}\n        location / {{ return 404; }}\n    }}\n",
                BUS_1 + device
            )
        })
        .collect();
    let unused: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("    {what}_temp_path nginx-{what};\n"))
        .concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents {{ worker_connections 1024; }}\nhttp {{\n    \
         access_log off;\n    keepalive_requests 1000000000;\n    default_type application/json;\n    types {{ }}\n{unused}{servers}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_has_its_port_and_its_path() {
        let text = configuration();
        for (port, path) in [(8101, "/position"), (8104, "/drivers/101")] {
            let server = text.split("server {").find(|server| server.contains(&format!("127.0.0.1:{port};")));
            assert!(server.is_some_and(|server| server.contains(&format!("location = {path} "))), "{text}");
        }
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}
