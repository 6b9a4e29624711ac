//! Everything around the gateway: services, Redis, an issuer, a name server, a small disk; and its configurations.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tollgate_testkit::{Dns, Issuer, Nginx, Port, Redis, Says};

use crate::ask::{BURST, long};
use crate::clock::Clock;

/// The name that the name server knows.
pub(crate) const NAME: &str = "service.chaos.test";
/// Addresses of the service with that name. Both are this machine.
pub(crate) const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];
/// Seconds that an address may be kept: the shortest that the gateway knows.
const TTL_S: u32 = 1;
/// Size of the disk that the spool is on.
const DISK: &str = "4m";

/// What the gateway depends on.
pub(crate) struct Site {
    pub(crate) pair: [Nginx; 2],
    pub(crate) named: Nginx,
    pub(crate) redis: Redis,
    pub(crate) issuer: Issuer,
    pub(crate) dns: Dns,
    pub(crate) disk: Disk,
    pub(crate) clock: Option<Clock>,
    /// A listener that every other configuration has.
    pub(crate) extra: Port,
}

impl Site {
    /// Starts all of it.
    pub(crate) fn start(binary: &str) -> Site {
        // A server that ends its connections now and then is one whose new address is noticed.
        let named = Nginx::start_on(&ADDRESSES, &format!("keepalive_requests 50; {}", service("named")));
        let dns = Dns::start();
        dns.say(NAME, address(0));
        Site {
            pair: ["one", "two"].map(|name| {
                let nginx = Nginx::start(&service(name));
                std::fs::create_dir(nginx.dir().join("long")).expect("a folder");
                std::fs::write(nginx.dir().join("long/pattern"), long()).expect("a file");
                nginx
            }),
            named,
            redis: Redis::start(),
            issuer: Issuer::start(),
            dns,
            disk: Disk::make(),
            clock: Clock::find(binary),
            extra: Port::reserve(),
        }
    }

    /// Replaced in every configuration.
    pub(crate) fn names(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ONE", self.pair[0].url()),
            ("TWO", self.pair[1].url()),
            ("NAMED", format!("http://{NAME}:{}", self.named.port())),
            ("REDIS", self.redis.url()),
            ("ISSUER", self.issuer.url()),
            ("JWKS", self.issuer.jwks_url()),
            ("DNS", self.dns.address()),
            ("SPOOL", self.disk.dir().display().to_string()),
        ]
    }

    /// A configuration. They differ in what they say and in one listener.
    pub(crate) fn config(&self, version: u64) -> String {
        let extra = match Site::has_extra(version) {
            true => format!("  - address: \"{}\"\n", self.extra.address()),
            false => String::new(),
        };
        format!("listeners:\n  - address: \"@LISTEN@\"\n{extra}{}", CONFIG)
            .replace("@VERSION@", &version.to_string())
            .replace("@BURST@", &BURST.to_string())
            .replace("@INDEX@", if version.is_multiple_of(3) { "reverse" } else { "id" })
    }

    /// Whether this configuration has the other listener.
    pub(crate) fn has_extra(version: u64) -> bool {
        version % 2 == 1
    }
}

/// What the name server says when all is well.
pub(crate) fn address(which: usize) -> Says {
    Says::Addresses(vec![ADDRESSES[which].parse().expect("an address")], TTL_S)
}

/// A configuration that must be refused; none for a file that is gone.
pub(crate) fn bad(which: usize, good: &str) -> Option<String> {
    let bad = match which {
        0 => "routes: [".to_owned(),
        1 => String::new(),
        2 => return None,
        3 => good.replace("jwt: main", "jwt: nobody"),
        4 => good.replace("    auth: { jwt: main,", "    auht: { jwt: main,"),
        _ => format!("{good}  - {{ path: /more, to: nowhere }}\n"),
    };
    assert_ne!(bad, good, "it is another one");
    Some(bad)
}

/// Lines of nginx for a service that says what it was asked.
fn service(name: &str) -> String {
    format!(
        "default_type application/json; root .; location / {{ return 200 '{{\"by\":\"{name}\",\"at\":\"$server_addr\",\
         \"method\":\"$request_method\",\"uri\":\"$request_uri\",\"user\":\"$http_x_user\",\"tag\":\"$http_x_tag\"}}'; }}\n \
         location /long/ {{ }}"
    )
}

const CONFIG: &str = r#"
workers: 2
shutdown: { grace: 10s }
# A machine that is busy with other tests may stand still for longer than the 20 ms that a script has.
lua_limits: { time: 2s }
resolver: { servers: ["@DNS@"] }
redis: { url: "@REDIS@", timeout: 50ms, on_failure: local }
access_log:
  sink: object_store
  url: "file://@DIR@/logs"
  headers: [x-tag]
  batch: { size: 256KiB, every: 500ms }
  spool: { dir: "@SPOOL@", size: 2MiB }
issuers:
  main: { issuer: "@ISSUER@", audience: [api], algorithms: [RS256], jwks_url: "@JWKS@", refresh: 2s }
consumers:
  - { name: robot, keys: ["sha256:c407414bcddb8045e4b60c770b1d9331cfda2ad2f6b6a4a78e171d86f21e5da9"] }
upstreams:
  pair:
    targets: ["@ONE@", "@TWO@"]
    connect_timeout: 1s
    timeout: 3s
    retry: { attempts: 2, on: [connect, reset] }
    outlier: { consecutive_failures: 3, eject: 500ms, max_ejected: 50% }
  named: { targets: ["@NAMED@"], connect_timeout: 1s, timeout: 3s }
routes:
  - { path: /pair/*, to: pair }
  - { path: /named/*, to: named }
  - { path: /long/pattern, to: pair }
  - { path: /cached/*, to: pair, cache: { ttl: 300ms } }
  - path: /parts/{id}
    aggregate:
      parts:
        - { name: a, to: pair, path: "/a/{id}", wrap: a }
        - { name: b, to: named, path: "/b/{id}", wrap: b }
  - path: /script/{id}
    lua: |
      function request(req)
        return respond(200, "script " .. req.params.id)
      end
    to: pair
  - path: /token/{id}
    auth: { jwt: main, forward: { x-user: sub }, strip: true }
    to: pair
  - path: /key/{id}
    auth: { api_key: { header: x-api-key } }
    respond: { body: "{consumer}" }
  - path: /exact/{id}
    rate_limit: { rate: @BURST@/h, per: "header:x-key", store: redis, sync: exact }
    respond: { body: passed }
  - path: /leased/{id}
    rate_limit: { rate: @BURST@/h, per: "header:x-key", store: redis, sync: leased }
    respond: { body: passed }
  - path: /posted/{id}
    methods: [POST]
    validate: { body: { type: object, properties: { amount: { type: integer } } } }
    respond: { body: fits }
  - { path: /denied/*, deny_ips: [127.0.0.0/8], respond: { body: "not reached" } }
  - { path: /version, respond: { body: "version @VERSION@" } }
  - { path: /only/@VERSION@, respond: { body: "only @VERSION@" } }
  - { path: "/filler/{@INDEX@}", respond: { body: "{@INDEX@}" } }
"#;

/// A small disk for the spool, to be filled: a tmpfs where this process may mount one, else a folder.
pub(crate) struct Disk {
    dir: TempDir,
    mounted: bool,
}

impl Disk {
    fn make() -> Disk {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={DISK}"), "tmpfs"]).arg(dir.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        Disk { dir, mounted }
    }

    /// Whether it can be filled.
    pub(crate) fn can_fill(&self) -> bool {
        self.mounted
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        use std::io::Write;
        let mut ballast = std::fs::File::create(self.ballast()).expect("a file");
        while ballast.write_all(&[0; 4096]).is_ok() {}
    }

    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast goes");
    }

    fn ballast(&self) -> PathBuf {
        self.dir.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.dir.path()).output();
        }
    }
}
