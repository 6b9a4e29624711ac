//! `tollgate demo`: what it prints to try does what is said beside it.

use std::process::{Child, Command, Stdio};

use tollgate_testkit::{Client, Output, PATIENCE, Response, assert_problem, binary, wait_for, wait_some};

/// The running demo, and where it said that it listens.
struct Demo {
    child: Child,
    gateway: String,
    issuer: String,
    api_key: String,
}

impl Demo {
    fn start() -> Demo {
        let mut command = Command::new(binary!());
        command.arg("demo").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the demo starts");
        let printed = Output::gather(child.stdout.take().expect("stdout is piped"));
        let text = wait_some("the introduction", PATIENCE, || {
            Some(printed.text()).filter(|text| text.contains("Ctrl-C stops"))
        });
        let after = |mark: &str| -> String {
            let rest = text.split_once(mark).unwrap_or_else(|| panic!("no {mark:?} in {text}")).1;
            rest.split([' ', ',', '/', '\n']).next().unwrap_or_default().to_owned()
        };
        let (gateway, issuer) = (after("demo: http://"), after("-X POST http://127.0.0.1:"));
        Demo { child, gateway, issuer: format!("127.0.0.1:{issuer}"), api_key: after("x-api-key:") }
    }

    fn get(&self, path: &str, header: &str) -> Response {
        Client::connect(&self.gateway).exchange(format!("GET {path} HTTP/1.1\r\nHost: demo\r\n{header}\r\n"))
    }

    /// By client credentials, as the printed command asks for it.
    fn token(&self) -> String {
        let answer = self.post("/token", "Authorization: Basic ZGVtbzpkZW1v\r\nAccept: text/plain\r\n");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text().trim().to_owned()
    }

    fn post(&self, path: &str, headers: &str) -> Response {
        let body = "grant_type=client_credentials";
        let length = body.len();
        Client::connect(&self.issuer).exchange(format!(
            "POST {path} HTTP/1.1\r\nHost: issuer\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Not killed outright: it removes its directory.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn what_it_prints_works() {
    let demo = Demo::start();
    assert_eq!(demo.get("/users/1", "").status, 200);
    assert_problem(&demo.get("/account", ""), "token_missing");
    assert_problem(&demo.get("/partner/orders/7", ""), "key_missing");
    assert_eq!(demo.get("/partner/orders/7", &format!("X-Api-Key: {}\r\n", demo.api_key)).status, 200);

    let account = |token: &str| demo.get("/account", &format!("Authorization: Bearer {token}\r\n"));
    let old = demo.token();
    wait_for("the issuer's keys", || account(&old).status == 200);
    assert_eq!(account(&old).json()["seen"]["x-user"], "demo");
    assert_eq!(demo.post("/rotate", "").status, 200);
    let new = demo.token();
    assert_eq!((account(&new).status, account(&old).status), (200, 200), "both keys are good");
    assert_eq!(demo.post("/token", "").status, 401, "whoever asks says who it is");

    let limited = (0..4).map(|_| demo.get("/limited", "")).collect::<Vec<_>>();
    assert_problem(limited.last().expect("four"), "rate_limited");
}
