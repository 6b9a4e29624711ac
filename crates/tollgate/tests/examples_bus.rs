//! `examples/bus` as its files stand: three buses with four devices each and a central, all of them gateways.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Issuer, Origin, Response, assert_problem, binary, wait_for};

/// The key whose hash stands in `examples/bus/central.yaml`.
const KIOSK: &str = "/fleet.html?key=tg_busExampleKioskKeyThatIsNoSecretAtAll0000000";
const BUSES: usize = 3;
const DEVICES: usize = 4;

/// Everything that `examples/bus/start` starts. What is `None` is switched off.
struct Fleet {
    devices: Vec<Vec<Option<Gateway>>>,
    buses: Vec<Option<Gateway>>,
    central: Gateway,
    issuer: Arc<Issuer>,
    _grants: Origin,
}

impl Fleet {
    fn start() -> Fleet {
        let issuer = Arc::new(Issuer::with_keys(&["ES256"]));
        let granting = issuer.clone();
        let grants = Origin::start(move |conn| {
            loop {
                conn.request()?;
                let token = granting.token(json!({ "sub": "central", "aud": "demo-api" }));
                let body =
                    json!({ "access_token": token, "token_type": "Bearer", "expires_in": 300 }).to_string();
                let length = body.len();
                conn.send(format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                ))?;
            }
        });
        let devices: Vec<Vec<Gateway>> =
            (1..=BUSES).map(|bus| (1..=DEVICES).map(|at| device(bus, at)).collect()).collect();
        let buses: Vec<Gateway> = devices.iter().map(|devices| bus(devices, &issuer)).collect();
        let central = central(&buses, &issuer, &grants);
        let some = |gateways: Vec<Gateway>| gateways.into_iter().map(Some).collect::<Vec<_>>();
        let fleet = Fleet {
            devices: devices.into_iter().map(some).collect(),
            buses: some(buses),
            central,
            issuer,
            _grants: grants,
        };
        for bus in fleet.buses.iter().flatten() {
            wait_for("the issuer's keys in a bus", || fleet.ask(bus, "/health").status == 200);
        }
        wait_for("the central's own token", || {
            let answer = fleet.ask(&fleet.central, "/fleet");
            answer.status == 200 && answer.header("x-tollgate-completed") == Some("true") && all(&answer, 200)
        });
        fleet
    }

    /// With a token.
    fn ask(&self, gateway: &Gateway, path: &str) -> Response {
        let token = self.issuer.token(json!({ "sub": "dispatcher", "aud": "demo-api" }));
        gateway
            .client()
            .exchange(format!("GET {path} HTTP/1.1\r\nHost: bus\r\nAuthorization: Bearer {token}\r\n\r\n"))
    }

    fn bus(&self, number: usize) -> &Gateway {
        self.buses[number - 1].as_ref().expect("this bus is on")
    }

    /// How the central calls a bus.
    fn url(&self, number: usize) -> String {
        format!("http://{}", self.bus(number).address())
    }
}

/// Whether every bus answered with this status.
fn all(answer: &Response, status: u16) -> bool {
    let json = answer.json();
    let buses = json["buses"].as_object();
    buses.is_some_and(|buses| buses.len() == BUSES && buses.values().all(|bus| bus["status"] == status))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/bus")
}

/// A file of the example with its places filled in, each of which must be there.
fn file(name: &str, places: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(folder().join(name)).expect("a file of the example");
    for (place, value) in places {
        assert!(text.contains(place), "{name} has no {place}");
        text = text.replace(place, value);
    }
    text
}

fn device(bus: usize, number: usize) -> Gateway {
    let script = format!("file: {}", folder().join("devices.lua").display());
    let text = file(
        "devices.yaml",
        &[
            ("127.0.0.1:8${BUS:-1}0${DEVICE:-1}", "\"@LISTEN@\""),
            ("127.0.0.1:97${BUS:-1}${DEVICE:-1}", "\"@ADMIN@\""),
            ("file: devices.lua", &script),
        ],
    );
    let (bus, number) = (bus.to_string(), number.to_string());
    Gateway::start_under(binary!(), &text, &[], &[("BUS", &bus), ("DEVICE", &number)])
}

fn bus(devices: &[Gateway], issuer: &Issuer) -> Gateway {
    let [position, vehicle, seats, driver] = [0, 1, 2, 3].map(|at| devices[at].address());
    let text = file(
        "bus.yaml",
        &[
            ("127.0.0.1:8${BUS:-1}00", "\"@LISTEN@\""),
            ("127.0.0.1:97${BUS:-1}0", "\"@ADMIN@\""),
            ("127.0.0.1:8${BUS:-1}01", &position),
            ("127.0.0.1:8${BUS:-1}02", &vehicle),
            ("127.0.0.1:8${BUS:-1}03", &seats),
            ("127.0.0.1:8${BUS:-1}04", &driver),
            // A busy machine is no device that is off.
            ("timeout: 1s", "timeout: 10s"),
            ("every: 2s", "every: 250ms, timeout: 5s"),
        ],
    );
    Gateway::start_under(binary!(), &text, &[], &[("ISSUER", &issuer.url())])
}

fn central(buses: &[Gateway], issuer: &Issuer, grants: &Origin) -> Gateway {
    let [one, two, three] = [0, 1, 2].map(|at| buses[at].address());
    let page = format!("render: {}", folder().join("fleet.html").display());
    let text = file(
        "central.yaml",
        &[
            ("127.0.0.1:8000", "\"@LISTEN@\""),
            ("127.0.0.1:9700", "\"@ADMIN@\""),
            ("127.0.0.1:8100", &one),
            ("127.0.0.1:8200", &two),
            ("127.0.0.1:8300", &three),
            ("${ISSUER:-http://127.0.0.1:3003}/token", &format!("{}/token", grants.url())),
            ("render: fleet.html", &page),
            ("timeout: 2s", "timeout: 10s"),
        ],
    );
    Gateway::start_under(binary!(), &text, &[], &[("ISSUER", &issuer.url())])
}

#[test]
fn a_token_opens_the_buses_and_the_central_shows_them_together() {
    let fleet = Fleet::start();
    assert_problem(&fleet.bus(1).get("/bus"), "token_missing");
    assert_problem(&fleet.bus(1).get("/health"), "token_missing");
    for path in ["/fleet", "/fleet/health"] {
        assert_problem(&fleet.central.get(path), "token_missing");
    }
    assert_problem(&fleet.central.get("/fleet.html"), "key_missing");

    let answer = fleet.ask(fleet.bus(1), "/bus");
    let bus = answer.json();
    assert_eq!((answer.status, answer.header("x-tollgate-completed")), (200, Some("true")), "{bus}");
    assert_eq!(bus["vehicle"], json!({ "name": "Bus 1", "plate": "W-101 FW", "fuel_percent": 70 }));
    assert_eq!(bus["driver"], json!({ "name": "Ada", "since": "06:00" }), "not the telephone number");
    assert_eq!((&bus["seats"]["all"], bus["position"]["lat"].is_f64()), (&json!(40), true), "{bus}");
    assert_eq!(fleet.ask(fleet.bus(2), "/position").json()["speed_kmh"], 32);

    let answer = fleet.ask(&fleet.central, "/fleet");
    let seen = answer.json();
    assert_eq!((answer.status, answer.header("x-tollgate-completed")), (200, Some("true")), "{seen}");
    assert_eq!(seen["operator"], "Foggy Whale Lines");
    for (number, driver) in [(1, "Ada"), (2, "Grace"), (3, "Barbara")] {
        let bus = &seen["buses"][fleet.url(number)];
        assert_eq!((&bus["status"], &bus["body"]["driver"]["name"]), (&json!(200), &json!(driver)), "{seen}");
    }

    let healths = fleet.ask(&fleet.central, "/fleet/health").json();
    for number in 1..=BUSES {
        let bus = &healths["buses"][fleet.url(number)];
        assert_eq!((&bus["status"], &bus["body"]["status"]), (&json!(200), &json!("ok")), "{healths}");
        assert_eq!(
            bus["body"]["upstreams"].as_object().map(serde_json::Map::len),
            Some(DEVICES),
            "{healths}"
        );
    }

    let page = fleet.central.get(KIOSK);
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8")),
        "{page:?}"
    );
    for wanted in ["<h1>Foggy Whale Lines</h1>", "<td>Bus 2</td>", "<td>Barbara</td>", " of 40</td>"] {
        assert!(page.text().contains(wanted), "{wanted} in {}", page.text());
    }
    assert!(!page.text().contains("no answer"), "{}", page.text());
}

#[test]
fn what_is_switched_off_shows_as_failed_and_the_rest_is_there() {
    let mut fleet = Fleet::start();
    let off = fleet.url(2);
    drop(fleet.buses[1].take());
    for path in ["/fleet", "/fleet/health"] {
        let answer = fleet.ask(&fleet.central, path);
        let seen = answer.json();
        assert_eq!((answer.status, answer.header("x-tollgate-completed")), (200, Some("false")), "{seen}");
        assert_eq!(answer.header("x-tollgate-failed"), Some("buses;upstream_connect"), "{seen}");
        assert_eq!(seen["buses"][&off], json!({ "error": "upstream_connect" }));
        for number in [1, 3] {
            assert_eq!(seen["buses"][fleet.url(number)]["status"], 200, "{seen}");
        }
    }
    let page = fleet.central.get(KIOSK).text();
    // Templates escape slashes too.
    let off = off.replace('/', "&#x2f;");
    let row =
        format!("<tr class=\"off\"><td>{off}</td><td colspan=\"5\">no answer: upstream_connect</td></tr>");
    assert!(page.contains(&row), "{row} in {page}");
    assert!(page.contains("<td>Bus 1</td>") && page.contains("<td>Bus 3</td>"), "{page}");

    // A device of a bus that drives on.
    drop(fleet.devices[0][DEVICES - 1].take());
    let answer = fleet.ask(fleet.bus(1), "/bus");
    let seen = answer.json();
    let failed = answer.header("x-tollgate-failed").unwrap_or_default();
    assert!(answer.status == 200 && failed.starts_with("driver;"), "{failed} {seen}");
    assert_eq!((&seen["vehicle"]["name"], seen.get("driver")), (&json!("Bus 1"), None));
    let health = || -> Value { fleet.ask(fleet.bus(1), "/health").json() };
    wait_for("the health of the bus", || health()["status"] == "degraded");
    let seen = health();
    let status = |device: &str| seen["upstreams"][device]["status"].clone();
    assert_eq!((status("driver"), status("seats")), (json!("down"), json!("ok")), "{seen}");
    let page = fleet.central.get(KIOSK).text();
    assert!(page.contains("<td>Bus 1</td>") && !page.contains("<td>Ada</td>"), "{page}");
}
