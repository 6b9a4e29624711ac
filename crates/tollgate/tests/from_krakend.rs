//! The cases of `docs/from-krakend.md`: each configuration as it stands there, with what the page says of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_testkit::{Conn, Gateway, Origin, Response, behaviour, gateway, pause};

/// How long a user is looked for: posts come earlier.
const SLOW: Duration = Duration::from_millis(50);

/// Two services, and the gateway with the configuration of one case in front of them.
struct Case {
    gateway: Gateway,
    users: Origin,
    posts: Origin,
}

impl Case {
    /// The configuration under this heading, with these changes; each text must be there.
    fn with(heading: &str, changes: &[(&str, &str)]) -> Case {
        let (users, posts) = (Origin::start(users), Origin::start(posts));
        let mut text = configuration(heading);
        let (first, second) = (users.url(), posts.url());
        let places = [("http://127.0.0.1:3001", first.as_str()), ("http://127.0.0.1:3002", second.as_str())];
        for (from, to) in changes {
            assert!(text.contains(from), "{heading} has no {from}");
            text = text.replace(from, to);
        }
        for (from, to) in places {
            text = text.replace(from, to);
        }
        Case { gateway: gateway!(&text), users, posts }
    }

    fn of(heading: &str) -> Case {
        Case::with(heading, &[])
    }

    /// A complete answer.
    #[track_caller]
    fn check(&self, path: &str, wanted: Value) {
        let answer = self.gateway.get(path);
        assert_eq!((answer.status, answer.json()), (200, wanted), "{path}");
        assert_eq!(told(&answer), ("true", ""), "{path}");
    }

    /// An answer that lacks something, and what of it is told.
    #[track_caller]
    fn check_incomplete(&self, path: &str, wanted: Value, failed: &str) {
        let answer = self.gateway.get(path);
        assert_eq!((answer.status, answer.json()), (200, wanted), "{path}");
        assert_eq!(told(&answer), ("false", failed), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
}

fn told(answer: &Response) -> (&str, &str) {
    let header = |name| answer.header(name).unwrap_or_default();
    (header("x-tollgate-completed"), header("x-tollgate-failed"))
}

/// The first configuration under a heading of the page.
fn configuration(heading: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-krakend.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let section = page.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading:?}"));
    let block = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    block.unwrap_or_else(|| panic!("no configuration under {heading:?}")).to_owned()
}

fn users(conn: &mut Conn) -> io::Result<()> {
    loop {
        let seen = conn.request()?;
        let (status, body) = match seen.target() {
            "/users/1" => {
                pause(SLOW);
                (200, r#"{"id": 1, "name": "Ann", "address": {"city": "Graz"}}"#)
            }
            "/users/2" => (404, r#"{"error": "nobody"}"#),
            "/users/3" => (500, r#"{"error": "a stack trace"}"#),
            "/hotels/25" => (200, r#"{"hotel_id": 25, "destination_id": 1034}"#),
            "/hotels/26" => (200, r#"{"hotel_id": 26}"#),
            "/create" => (201, r#"{"id": 77}"#),
            _ => (404, "{}"),
        };
        conn.send(behaviour::response(status, body.as_bytes()))?;
    }
}

fn posts(conn: &mut Conn) -> io::Result<()> {
    loop {
        let seen = conn.request()?;
        let path = seen.target().split('?').next().unwrap_or_default();
        let (status, body) = match path {
            "/posts" => (200, r#"[{"id": 10, "title": "One"}, {"id": 11, "title": "Two", "draft": true}]"#),
            "/posts/1" => (
                200,
                r#"{"id": 10, "title": "One", "body": "…",
                    "author": {"email": "a@example.com", "phones": [{"type": "home", "number": 1}, {"number": 2}]}}"#,
            ),
            "/posts/2" => (200, r#"{"id": 20}"#),
            "/posts/3" => (503, "overloaded"),
            "/posts/4" => return conn.wait_end(),
            "/destinations/1034" => (200, r#"{"destination_id": 1034, "destinations": ["LAX", "SFO"]}"#),
            "/weather" => (200, r#"{"sun": true}"#),
            "/catalogue" => (
                200,
                r#"{"apiVersion": "2.0", "data": {"totalItems": 800, "items": [], "owner": {"email": "o@example.com"}}}"#,
            ),
            "/schools" => (
                200,
                r#"{"students": [{"PK_ID": 1, "password": "x"}, {"PK_ID": 2}], "kindergarten": [{"PK_ID": 3}], "town": "Graz"}"#,
            ),
            "/feed.xml" => (200, r#"<feed lang="de"><item>a</item><item>b</item><owner/></feed>"#),
            "/echo" => {
                let told = behaviour::describe(&seen).to_string();
                conn.send(behaviour::response(200, told.as_bytes()))?;
                continue;
            }
            _ => (500, "broken"),
        };
        conn.send(behaviour::response(status, body.as_bytes()))?;
    }
}

#[test]
fn merge() {
    let author =
        json!({ "email": "a@example.com", "phones": [{ "type": "home", "number": 1 }, { "number": 2 }] });
    let both = json!({
        "id": 10, "name": "Ann", "address": { "city": "Graz" }, "title": "One", "body": "…", "author": author,
    });
    Case::of("Merge").check("/users/1", both);
    // The user comes later, and yet does not win; unless it is declared last.
    let text = configuration("Merge");
    let [user, posts] = ["- { name: user", "- { name: posts"].map(|mark| {
        text.lines().find(|line| line.contains(mark)).unwrap_or_else(|| panic!("no {mark}")).to_owned()
    });
    let swapped =
        Case::with("Merge", &[(user.as_str(), "@"), (posts.as_str(), user.as_str()), ("@", posts.as_str())]);
    assert_eq!(swapped.gateway.get("/users/1").json()["id"], 1);
}

#[test]
fn partial_answers() {
    let case = Case::of("Partial answers");
    case.check_incomplete("/users/2", json!({ "id": 20 }), "user;part_failed");
    let answer = case.gateway.get("/users/4");
    // Nobody is there by that number either: none succeeded.
    assert_eq!((answer.status, told(&answer).0), (404, "false"), "the first one's own status: {answer:?}");
    let case = Case::with("Partial answers", &[("/posts/{id}", "/posts/4")]);
    let user = json!({ "id": 1, "name": "Ann", "address": { "city": "Graz" } });
    case.check_incomplete("/users/1", user, "posts;upstream_timeout");
    let case = Case::of("Partial answers");
    let answer = case.gateway.get("/users/3");
    assert_eq!((answer.status, answer.code().as_str()), (502, "part_failed"));
    assert_eq!(told(&answer), ("false", "user;part_failed, posts;part_failed"));
}

#[test]
fn status_codes() {
    let case = Case::of("Status codes");
    let answer = case.gateway.get("/users/2");
    assert_eq!((answer.status, answer.json()), (404, json!({ "error": "nobody" })), "its own 4xx");
    let answer = case.gateway.get("/users/3");
    assert_eq!((answer.status, answer.code().as_str()), (502, "part_failed"));
    assert!(!answer.text().contains("stack trace"), "{}", answer.text());
}

#[test]
fn values_of_another_answer() {
    let case = Case::of("Values of another answer");
    let all = json!({
        "hotel_id": 25, "destination_id": 1034, "destinations": ["LAX", "SFO"], "weather": { "sun": true },
    });
    case.check("/hotel-destinations/25", all);
    // The one that refers to what is not there fails, before anything is sent; the others stay.
    let before = case.posts.count();
    let rest = json!({ "hotel_id": 26, "weather": { "sun": true } });
    case.check_incomplete("/hotel-destinations/26", rest, "destination;part_reference_missing");
    assert_eq!(case.posts.count(), before + 1, "the weather alone");
    let weather = json!({ "weather": { "sun": true } });
    case.check_incomplete(
        "/hotel-destinations/27",
        weather,
        "hotel;part_failed, destination;part_reference_missing",
    );
}

#[test]
fn filtering() {
    let answer = Case::of("Filtering").gateway.get("/posts/1").json();
    let author = json!({ "phones": [{ "type": "home" }, {}] });
    assert_eq!(answer, json!({ "id": 10, "title": "One", "author": author }));
}

#[test]
fn grouping() {
    let user = json!({ "id": 1, "name": "Ann", "address": { "city": "Graz", "country": "AT" } });
    Case::of("Grouping").check("/users/1", json!({ "user": user, "last_post": { "title": "One" } }));
    let last = json!({ "user": { "address": { "country": "AT" } }, "last_post": { "title": "One" } });
    Case::with("Grouping", &[("merge: deep", "merge: shallow")]).check("/users/1", last);
}

#[test]
fn renaming_and_capturing() {
    let answer = Case::of("Renaming and capturing").gateway.get("/catalogue").json();
    assert_eq!(answer, json!({ "total": 800, "owner": { "contact": "o@example.com" } }));
    let missing = Case::with("Renaming and capturing", &[("from: data", "from: nothing")]);
    assert_eq!(missing.gateway.get("/catalogue").json(), json!({}));
}

#[test]
fn collections() {
    let case = Case::of("Collections");
    let list = json!([{ "id": 10, "title": "One" }, { "id": 11, "title": "Two" }]);
    case.check("/users/1/posts", json!({ "name": "Ann", "posts": list }));
    case.check("/posts", json!([{ "title": "One" }, { "title": "Two" }]));
    // Beside another part it needs a name.
    let nameless = Case::with("Collections", &[(", wrap: posts", "")]);
    nameless.check_incomplete("/users/1/posts", json!({ "name": "Ann" }), "posts;part_failed");
}

#[test]
fn lists_inside() {
    let case = Case::of("Lists inside");
    assert_eq!(case.gateway.get("/schools").json(), json!({ "students": [{ "id": 1 }, { "id": 2 }] }));
    assert_eq!(
        case.gateway.get("/pupils").json(),
        json!({ "pupils": [{ "id": 1 }, { "id": 2 }, { "id": 3 }] })
    );
}

#[test]
fn static_data() {
    let case = Case::of("Static data");
    let all = json!({ "user": { "name": "Ann" }, "posts": [], "operator": "Foggy Whale", "user_id": "1" });
    case.check_incomplete("/static/1", all, "posts;part_failed");
    let rest = json!({ "posts": [], "operator": "Foggy Whale", "user_id": "3" });
    case.check_incomplete("/static/3", rest, "user;part_failed, posts;part_failed");
    let required = Case::with("Static data", &[("wrap: user }", "wrap: user, required: true }")]);
    assert_eq!(required.gateway.get("/static/3").status, 502);
}

#[test]
fn conditions() {
    let case = Case::of("Conditions");
    case.check("/users/1", json!({ "name": "Ann" }));
    assert_eq!(case.posts.count(), 0, "it was not asked");
    case.check("/users/1?full=yes", json!({ "name": "Ann", "title": "One" }));
    let faulty = Case::with("Conditions", &[("\"full\" in request.query", "request.query.full == \"yes\"")]);
    faulty.check_incomplete("/users/1", json!({ "name": "Ann" }), "posts;part_failed");
}

#[test]
fn notations() {
    let case = Case::of("Notations");
    case.check("/abc", json!({ "name": "Ann", "@lang": "de", "item": ["a", "b"] }));
    let xml =
        case.gateway.client().exchange("GET /abc HTTP/1.1\r\nHost: t\r\nAccept: application/xml\r\n\r\n");
    assert_eq!(xml.header("content-type"), Some("application/xml"));
    assert!(xml.text().contains("<name>Ann</name>"), "{}", xml.text());
}

#[test]
fn what_services_see_of_the_client() {
    let case = Case::of("What services see of the client");
    let request = "GET /search?q=a%20b&debug=1 HTTP/1.1\r\nHost: t\r\nCookie: c=1\r\nAccept-Language: de\r\n\
                   Authorization: Bearer x\r\n\r\n";
    let seen = case.gateway.client().exchange(request).json();
    assert_eq!(
        (&seen["target"], &seen["headers"]["accept-language"]),
        (&json!("/echo?q=a%20b"), &json!(["de"]))
    );
    for hidden in ["cookie", "authorization"] {
        assert_eq!(seen["headers"].get(hidden), None, "{seen}");
    }
}

#[test]
fn writing() {
    let case = Case::of("Writing");
    let request = "POST /orders HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"sku\":1}";
    let answer = case.gateway.client().exchange(request);
    let wanted = json!({ "id": 77, "bill": { "body": "{\"order\":\"77\"}" } });
    assert_eq!((answer.status, answer.json()), (200, wanted));
    let created = case.users.request();
    assert_eq!((created.method(), created.body.as_slice()), ("POST", b"{\"sku\":1}".as_slice()));
}

/// Whoever adds a case to the page adds a test.
#[test]
fn every_case_of_the_page_is_here() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-krakend.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let tests = include_str!("from_krakend.rs");
    // What the importer does has tests of its own, in import.rs.
    let headings =
        page.lines().filter_map(|line| line.strip_prefix("## ")).filter(|name| *name != "The importer");
    for heading in headings {
        let name = heading.to_lowercase().replace(' ', "_");
        assert!(tests.contains(&format!("fn {name}()")), "no test for {heading:?}");
    }
}
