//! How many instructions a request takes, as callgrind counts them (Nethercote and Seward, "Valgrind", PLDI 2007): nearly the
//! same in every run, whatever else the machine does.
//!
//! The binary is that of the tests, without optimisation: what a request really costs is in `docs/benchmarks.md`. What is held
//! here is that it does not grow unseen. Who changes a figure on purpose writes the new one below, with the change.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tollgate_testkit::{Client, Gateway, Origin, binary, pause, wait_some};

/// Requests before the first that counts, and requests that count.
const WARM: u32 = 300;
const COUNTED: u32 = 500;

/// How far a count may be off: another version of the compiler, and looking in vain, which a busy machine makes more often.
/// Two runs of one build differ by up to 3%, beside builds on both cores by up to 9%.
const SLACK_PERCENT: u64 = 12;

/// Routes beside those of the cases.
const ROUTES: u32 = 300;

/// How long the gateway may take to start: some fifty times as long as without the counting.
const START: Duration = Duration::from_secs(120);

/// A path, and the thousands of instructions that a request there takes.
const CASES: &[(&str, u64)] = &[
    ("/answered", 77),
    ("/plain", 124),
    ("/limited", 140),
    ("/edited", 144),
    ("/keyed", 132),
    ("/routed/299/x", 130),
];

const CONFIG: &str = r#"
workers: 1
listeners: [{ address: "@LISTEN@" }]
admin: { address: "@ADMIN@" }
access_log: { sink: off }
consumers: [{ name: ann, keys: ["sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"] }]
routes:
  - { path: /answered, respond: { body: ok } }
  - { path: /plain, to: "@ORIGIN@" }
  - { path: /limited, to: "@ORIGIN@", rate_limit: { rate: 1000000/s, per: ip } }
  - path: /edited
    to: "@ORIGIN@"
    request: { set_headers: { x-one: "{client_ip}", x-two: two }, remove_headers: [accept] }
    response: { set_headers: { x-three: "{request_id}" }, remove_headers: [server] }
  - { path: /keyed, to: "@ORIGIN@", auth: { api_key: { header: x-api-key } } }
@ROUTES@
"#;

#[test]
fn a_request_takes_no_more_instructions_than_it_did() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        panic!("valgrind counts the instructions: `./dev test` installs it");
    }
    let dir = TempDir::new().expect("a folder");
    let origin = Origin::ok();
    let gateway = counted(dir.path(), &origin);
    let mut client = gateway.client();
    client.set_patience(START);
    let mut wrong = Vec::new();
    for (path, expect) in CASES {
        ask(&mut client, path, WARM);
        dump(&gateway, dir.path());
        ask(&mut client, path, COUNTED);
        let instructions = dump(&gateway, dir.path()) / u64::from(COUNTED);
        let expect = expect * 1000;
        println!("{path}: {instructions}");
        if instructions.abs_diff(expect) * 100 > expect * SLACK_PERCENT {
            wrong.push(format!("{path} takes {instructions} instructions and not {expect}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn ask(client: &mut Client, path: &str, times: u32) {
    for _ in 0..times {
        let answer = client.exchange(format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: test/1.0\r\nAccept: */*\r\nX-Api-Key: secret\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// A gateway whose instructions are counted.
fn counted(dir: &Path, origin: &Origin) -> Gateway {
    let script = dir.join("tollgate");
    let text = format!(
        "#!/bin/sh\nexec valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file={}/out '{}' \"$@\"\n",
        dir.display(),
        binary!()
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("a program");
    let routes: String =
        (0..ROUTES).map(|n| format!("  - {{ path: '/routed/{n}/{{id}}', to: \"@ORIGIN@\" }}\n")).collect();
    let text = CONFIG.replace("@ROUTES@", &routes);
    let gateway = Gateway::spawn(script.to_str().expect("a path"), &text, &[("ORIGIN", origin.url())]);
    wait_some("the gateway's start", START, || {
        Client::try_connect(&gateway.admin_address())
            .ok()?
            .exchange("GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")
            .status
            .eq(&200)
            .then_some(())
    });
    gateway
}

/// The instructions since the last time, of the thread that had most of them: the worker.
///
/// Without `--max-invoke-ms=0` the question would be put by way of ptrace, which is not everywhere allowed. So the gateway
/// takes it when it runs, and is made to.
fn dump(gateway: &Gateway, dir: &Path) -> u64 {
    let mut ask = Command::new("vgdb");
    ask.args(["--max-invoke-ms=0", &format!("--pid={}", gateway.pid()), "dump"]);
    let mut ask = ask.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("vgdb");
    let done = wait_some("a count", START, || {
        pause(Duration::from_millis(20));
        let done = ask.try_wait().expect("vgdb");
        if done.is_none() {
            gateway.admin("/livez");
        }
        done
    });
    assert!(done.success(), "vgdb: {done}");
    let parts = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("an entry").path());
    let counts = parts.filter(|path| path.extension().is_some()).map(|part| {
        let text = fs::read_to_string(&part).expect("a count");
        fs::remove_file(part).expect("a file of ours");
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
        total.trim().parse::<u64>().expect("a number")
    });
    counts.max().expect("the worker's count")
}
