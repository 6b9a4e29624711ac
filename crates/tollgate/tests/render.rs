//! `aggregate.render`: the merged answer as a page, escaped, bounded, and taken up anew when a template changes.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollgate_testkit::{Gateway, Origin, behaviour, gateway, wait_for};

fn origin() -> Origin {
    Origin::start(|conn| {
        loop {
            let seen = conn.request()?;
            let (status, body) = match seen.target() {
                "/bus" => (
                    200,
                    r#"{"name": "Line <7> & \"co\"", "stops": [{"at": "noon"}, {"at": "one"}], "note": null}"#,
                ),
                "/evil" => (
                    200,
                    r#"{"name": "<script>alert(1)</script>", "list": ["{{ 7 * 7 }}", "{% include 'x' %}"]}"#,
                ),
                "/large" => {
                    let (text, list) = ("x".repeat(1000), vec!["y"; 2000]);
                    let large = serde_json::json!({ "s": text, "n": 100_000, "k": 1_000, "list": list, "m": 4_000_000_000_u64 });
                    conn.send(behaviour::response(200, large.to_string().as_bytes()))?;
                    continue;
                }
                _ => (503, "down"),
            };
            conn.send(behaviour::response(status, body.as_bytes()))?;
        }
    })
}

/// What ends a page that is bounded otherwise, too, where the machine is busy or the gateway was built for tests.
const LATE: &str = "it takes too long";

struct Site {
    dir: TempDir,
    origin: Origin,
}

impl Site {
    fn new(templates: &[(&str, &str)]) -> Site {
        let site = Site { dir: tempfile::tempdir().expect("a directory"), origin: origin() };
        templates.iter().for_each(|(name, text)| site.write(name, text));
        site
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    /// A gateway that renders what the service has at a path, with a part that is down.
    fn start(&self, template: &str, path: &str) -> Gateway {
        let text = "
workers: 1
upstreams: { main: { targets: [@ORIGIN@] } }
routes:
  - name: page
    path: /
    aggregate:
      render: \"@TEMPLATE@\"
      parts:
        - { name: bus, to: main, path: \"@PATH@\", wrap: bus }
        - { name: driver, to: main, path: /down, wrap: driver }
  - { path: /plain, respond: { body: ok } }
";
        let template = self.dir.path().join(template).display().to_string();
        gateway!(text, ORIGIN = self.origin.url(), TEMPLATE = template, PATH = path)
    }
}

#[test]
fn an_answer_becomes_a_page() {
    let site = Site::new(&[
        (
            "bus.html",
            "{% extends \"parts/base.html\" %}{% block body %}{% for stop in bus.stops %}<li>{{ stop.at }}{% endfor %}[{{ bus.note }}{{ driver.name }}]{{ failed.driver }}{% endblock %}",
        ),
        ("parts/base.html", "<title>{{ bus.name }}</title>{% block body %}{% endblock %}"),
        ("bus.txt", "{{ bus.name }}"),
        ("bus.json", "{\"name\": {{ bus.name }}}"),
    ]);
    let check = |template: &str, kind: &str, wanted: &str| {
        let gateway = site.start(template, "/bus");
        let answer = gateway.get("/");
        assert_eq!((answer.status, &*answer.text()), (200, wanted), "{}", gateway.stderr().text());
        assert_eq!(answer.header("content-type"), Some(kind));
        assert_eq!(answer.header("x-tollgate-completed"), Some("false"));
        assert_eq!(answer.header("x-tollgate-failed"), Some("driver;part_failed"));
        let mut client = gateway.client();
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n");
        let head = client.response_to("HEAD");
        assert_eq!(head.header("content-length"), Some(&*wanted.len().to_string()));
    };
    let page = "<title>Line &lt;7&gt; &amp; &quot;co&quot;</title><li>noon<li>one[]part_failed";
    check("bus.html", "text/html; charset=utf-8", page);
    check("bus.txt", "text/plain; charset=utf-8", "Line <7> & \"co\"");
    check("bus.json", "application/json", r#"{"name": "Line <7> & \"co\""}"#);
}

#[test]
fn what_services_say_is_text_on_a_page_and_never_a_part_of_it() {
    let page = "{{ bus.name }}<a title=\"{{ bus.name }}\">{{ bus.list|join }}{% include \"b.txt\" %}<script>x = {{ bus|tojson }}</script>";
    let site = Site::new(&[("a.html", page), ("b.txt", "{{ bus.name }}")]);
    let text = site.start("a.html", "/evil").get("/").text();
    assert!(!text.contains("<script>alert"), "{text}");
    assert!(text.contains("{{ 7 * 7 }}") && !text.contains("49"), "{text}");
    assert_eq!(text.matches("</script>").count(), 1, "{text}");
}

#[test]
fn a_template_that_fails_fails_its_own_request_only() {
    for (template, told) in [
        ("\n{{ bus.name - 1 }}", "a.html:2"),
        (
            "{% for a in range(99999) %}{% for b in range(99999) %}{% set x = a %}{% endfor %}{% endfor %}",
            "fuel",
        ),
        ("{% for a in range(99999) %}{{ \"0123456789\" * 100 }}{% endfor %}", "a.html"),
        ("{% include \"a.html\" %}", "a.html"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "a.html"),
    ] {
        let site = Site::new(&[("a.html", template)]);
        let gateway = site.start("a.html", "/bus");
        let answer = gateway.get("/");
        assert_eq!(answer.status, 500, "{template}");
        assert_eq!(answer.code(), "render_error");
        assert!(!answer.text().contains("a.html"), "{}", answer.text());
        wait_for("the operator's log", || {
            let log = gateway.stderr().text();
            let told = log.contains(told) || log.contains(LATE);
            log.contains("the template failed") && told && log.contains("page")
        });
        assert_eq!(gateway.get("/plain").text(), "ok", "{template}");
    }
}

/// What data can make of operators and filters: each alone is quick, and a loop makes it many. The worker, of which there is
/// one, is free again after a second and what is done within one turn of a loop.
#[test]
fn data_cannot_hold_a_worker() {
    // A turn takes a while in a build for tests on a busy machine; all of them would take minutes.
    const HELD_MAX: Duration = Duration::from_secs(15);
    let turns =
        |body: &str| format!("{{% set s = bus.s * bus.n %}}{{% for a in bus.list %}}{body}{{% endfor %}}");
    for template in [
        &*turns("{% set x = s ~ a %}"),
        &turns("{% if a in s %}x{% endif %}"),
        &turns("{% set x = (bus.s * bus.k)[1::2] %}"),
        &turns("{% set x = s|upper %}"),
        "{{ bus.s * bus.n }}",
        "{{ bus.s|replace('x', bus.s * 100) }}",
        "{{ range(bus.m)|list }}",
        "{{ bus.list|batch(bus.m, 'x') }}",
        "{% for i in range(bus.n) %}{% for j in range(bus.n) %}{% endfor %}{% endfor %}",
    ] {
        let site = Site::new(&[("a.html", template)]);
        let gateway = site.start("a.html", "/large");
        let mut page = gateway.client();
        page.set_patience(HELD_MAX);
        let begun = Instant::now();
        page.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        site.origin.wait_requests(1);
        assert_eq!(gateway.get("/plain").text(), "ok", "{template}");
        let answer = page.response();
        assert!(begun.elapsed() < HELD_MAX, "{template}: {:?}", begun.elapsed());
        assert_eq!((answer.status, answer.code().as_str()), (500, "render_error"), "{template}");
        assert_eq!(gateway.get("/plain").text(), "ok", "{template}");
    }
}

#[test]
fn changed_templates_are_taken_up_and_broken_ones_are_not() {
    let site = Site::new(&[("a.html", "{% include \"b.html\" %}"), ("b.html", "one")]);
    let gateway = site.start("a.html", "/bus");
    assert_eq!(gateway.get("/").text(), "one");
    site.write("b.html", "two");
    wait_for("what is included", || gateway.get("/").text() == "two");
    site.write("b.html", "{% for %}");
    wait_for("the refusal", || gateway.stderr().text().contains("b.html"));
    assert_eq!(gateway.get("/").text(), "two", "what served goes on");
    site.write("a.html", "three");
    wait_for("the page", || gateway.get("/").text() == "three");
}
