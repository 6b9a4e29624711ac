//! Ways around the rule of a path: a spelling for which the gateway sees another path, another host or another
//! method than the service does. Each request here meets the rule, or is refused, or asks the service for something
//! else than what the rule protects.

use tollgate_testkit::{Gateway, Origin, Response, gateway};

const ROUTES: &str = "
consumers: [{ name: app, keys: ['sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'] }]
routes:
  - { path: /admin/*, auth: { api_key: { header: x-api-key } }, to: @ORIGIN@ }
  - { path: /api/*, request: { strip_prefix: /api }, to: @ORIGIN@ }
  - { path: '/files/{name}', request: { rewrite: '/store/{name}/content' }, to: @ORIGIN@ }
  - { path: '/tail/{rest*}', request: { rewrite: '/store/{rest}' }, to: @ORIGIN@ }
  - { host: inside.test, path: /*, auth: { api_key: { header: x-api-key } }, to: @ORIGIN@ }
  - { path: /*, to: @ORIGIN@ }
";

/// What became of a request.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Fate {
    /// The rule held.
    Asked,
    /// 400.
    Refused,
    /// The service was asked for this.
    Sent(&'static str),
}
use Fate::{Asked, Refused, Sent};

struct World {
    gateway: Gateway,
    origin: Origin,
}

fn world() -> World {
    let origin = Origin::ok();
    World { gateway: gateway!(ROUTES, ORIGIN = origin.url()), origin }
}

impl World {
    fn send(&self, head: &str) -> Response {
        let bytes: Vec<u8> = head.chars().map(|c| u8::try_from(u32::from(c)).expect("latin-1")).collect();
        self.gateway.client().exchange([&bytes[..], b"\r\nConnection: close\r\n\r\n"].concat())
    }

    #[track_caller]
    fn check(&self, head: &str, fate: Fate) {
        let before = self.origin.count();
        let answer = self.send(head);
        let found = match answer.status {
            200 => self.origin.last().target().to_owned(),
            401 => "asked".to_owned(),
            400 => "refused".to_owned(),
            other => panic!("{other} for {head:?}"),
        };
        let expect = match fate {
            Asked => "asked",
            Refused => "refused",
            Sent(target) => target,
        };
        assert_eq!(found, expect, "{head:?}");
        assert_eq!(self.origin.count(), before + usize::from(matches!(fate, Sent(_))), "{head:?}");
    }

    #[track_caller]
    fn paths(&self, cases: &[(&str, Fate)]) {
        for (path, fate) in cases {
            self.check(&format!("GET {path} HTTP/1.1\r\nHost: test"), *fate);
        }
    }
}

/// Envoy compared paths as they came: dot segments and doubled slashes got past a rule.
#[test]
fn cve_2019_9901_dot_segments() {
    world().paths(&[
        ("/admin/x", Asked),
        ("/x/../admin/x", Asked),
        ("/./admin/x", Asked),
        ("/x/./../admin", Asked),
        ("/x/y/../../admin/", Asked),
        ("/../admin/x", Refused),
        ("/admin/../admin/x", Asked),
        ("/admin/../x", Sent("/x")),
    ]);
}

/// Kong matched routes on another form of the path than it forwarded: a public route let its service's protected
/// paths be reached.
#[test]
fn cve_2021_27306_a_public_route_in_front_of_a_protected_path() {
    world().paths(&[
        ("/public/../admin/x", Asked),
        ("/public/%2e%2e/admin/x", Asked),
        ("/public/.%2e/admin/x", Asked),
        ("/public//../admin/x", Asked),
        ("/public/;/../admin/x", Sent("/public/admin/x")),
    ]);
}

/// Envoy left encoded and repeated slashes to each rule to think of. Here repeated ones are merged, and an encoded one
/// is data: it never ends a segment, in no stage.
#[test]
fn cve_2021_29492_slashes_that_are_encoded_or_repeated() {
    world().paths(&[
        ("//admin/x", Asked),
        ("/admin//x", Asked),
        ("///admin", Asked),
        ("/%2Fadmin/x", Sent("/%2Fadmin/x")),
        ("/admin%2fx", Sent("/admin%2Fx")),
        ("/admin%5cx", Sent("/admin%5Cx")),
        ("/admin\\x", Refused),
        ("/files/a%2F..%2Fb", Sent("/store/a%2F..%2Fb/content")),
    ]);
}

/// Envoy took a fragment for a part of the path when it decided, and cut it off when it forwarded.
#[test]
fn cve_2021_32779_fragments() {
    world().paths(&[
        ("/admin/x#", Refused),
        ("/admin#/x", Refused),
        ("/x#/admin", Refused),
        ("/x?a#b", Refused),
    ]);
}

/// The same in HAProxy, where a rule on the end of a path could be cheated.
#[test]
fn cve_2023_45539_a_number_sign_in_the_path() {
    world().paths(&[("/index.html#.png", Refused), ("/admin/x#.png", Refused), ("/#/admin", Refused)]);
}

/// And in Traefik, which also passed them on.
#[test]
fn cve_2023_47106_fragments_are_not_forwarded() {
    let world = world();
    world.paths(&[("/x#a", Refused), ("/#", Refused)]);
    world.check("GET http://test/x#a HTTP/1.1\r\nHost: test", Refused);
    world.check("GET http://test#a HTTP/1.1\r\nHost: test", Refused);
    // Encoded it is data.
    world.paths(&[("/x%23a", Sent("/x%23a"))]);
}

/// APISIX asked its rules about the path as it came, and its router about another form.
#[test]
fn cve_2021_43557_rules_see_what_routes_see() {
    world().paths(&[
        ("/admin", Asked),
        ("/%61dmin", Asked),
        ("/a%64min/x", Asked),
        ("/%41dmin", Sent("/Admin")),
        ("/admin?x=/../", Asked),
        ("/admin/.", Asked),
        ("/admin/%2e", Asked),
    ]);
}

/// Traefik matched `/../` as it came; the service resolved it.
#[test]
fn cve_2025_32431_the_way_up_out_of_a_prefix() {
    world().paths(&[
        ("/api/../admin/x", Asked),
        ("/api/x/../../admin/x", Asked),
        ("/tail/../admin/x", Asked),
        ("/tail/a/../../admin/x", Asked),
        ("/files/../admin/x", Asked),
    ]);
}

/// The same with the dots encoded, which the mended version did not see.
#[test]
fn cve_2025_47952_the_way_up_in_percent_encoding() {
    world().paths(&[
        ("/api/%2e%2e/admin/x", Asked),
        ("/api/%2E./admin/x", Asked),
        ("/tail/%2e%2e/admin/x", Asked),
        ("/%2e%2e/admin/x", Refused),
        ("/x/%252e%252e/admin/x", Sent("/x/%252e%252e/admin/x")),
    ]);
}

/// Traefik decoded characters that separate (slash, backslash, NUL, semicolon, question mark, number sign) before it
/// matched. Here they stay what they were, whoever looks; those that no path may have are refused.
#[test]
fn cve_2025_66490_characters_that_separate_in_percent_encoding() {
    world().paths(&[
        ("/admin%00/x", Refused),
        ("/x%00/../admin", Refused),
        ("/admin%0a", Refused),
        ("/admin%7f", Refused),
        ("/admin%3Fx", Sent("/admin%3Fx")),
        ("/admin%23x", Sent("/admin%23x")),
        ("/admin%3bx", Sent("/admin%3Bx")),
        ("/admin%25", Sent("/admin%25")),
        ("/%252fadmin", Sent("/%252fadmin")),
        ("/a%dmin", Refused),
        ("/%u0061dmin", Refused),
        ("/admin%", Refused),
    ]);
}

/// Traefik cut a prefix off the encoded path by its length in the decoded one, and left `/./admin`.
#[test]
fn cve_2026_40912_a_prefix_that_is_longer_when_it_is_encoded() {
    world().paths(&[
        ("/api%2e/admin/x", Sent("/api./admin/x")),
        ("/%61pi/admin/x", Sent("/admin/x")),
        ("/%61%70%69/x", Sent("/x")),
        ("/api/%2e/x", Sent("/x")),
    ]);
}

/// Traefik took `/api../admin` for a path below `/api`, cut that off, and resolved the rest.
#[test]
fn cve_2026_48020_a_prefix_that_ends_within_a_segment() {
    world().paths(&[
        ("/api../admin/x", Sent("/api../admin/x")),
        ("/api%2e%2e/admin/x", Sent("/api../admin/x")),
        ("/api;x/admin/x", Sent("/api;x/admin/x")),
        ("/api%2f../admin/x", Sent("/api%2F../admin/x")),
        ("/apix/admin/x", Sent("/apix/admin/x")),
        ("/api", Sent("/")),
        ("/api//x", Sent("/x")),
    ]);
}

/// Traefik asked for a certificate at `inside.test`, and not at `inside.test.`.
#[test]
fn cve_2022_23632_a_dot_behind_the_name_of_the_host() {
    let world = world();
    for host in ["inside.test", "inside.test.", "INSIDE.Test", "inside.test:80", "inside.test.:8080"] {
        world.check(&format!("GET /x HTTP/1.1\r\nHost: {host}"), Asked);
        world.check(&format!("GET http://{host}/x HTTP/1.1\r\nHost: {host}"), Asked);
    }
    for host in [
        "inside.test..",
        ".inside.test",
        "inside%2etest",
        "inside.test,test",
        "a@inside.test",
        "inside.test:",
    ] {
        world.check(&format!("GET /x HTTP/1.1\r\nHost: {host}"), Refused);
    }
}

/// Envoy compared schemes in one case only, and did not see what `HTTPs` was.
#[test]
fn cve_2023_35944_schemes_in_mixed_case() {
    let world = world();
    for scheme in ["http", "HTTP", "hTTp", "https", "HTTPs"] {
        let port = if scheme.len() == 5 { ":80" } else { "" };
        world
            .check(&format!("GET {scheme}://inside.test{port}/x HTTP/1.1\r\nHost: inside.test{port}"), Asked);
        world.check(&format!("GET {scheme}://test{port}/admin/x HTTP/1.1\r\nHost: test{port}"), Asked);
    }
    for target in ["ftp://test/x", "http:/admin/x", "http:admin/x", "://test/x", "h ttp://test/x"] {
        world.check(&format!("GET {target} HTTP/1.1\r\nHost: test"), Refused);
    }
}

/// The host of the target and that of the header are one, or the request is refused.
#[test]
fn two_hosts_are_none() {
    let world = world();
    for head in [
        "GET http://inside.test/x HTTP/1.1\r\nHost: test",
        "GET http://test/x HTTP/1.1\r\nHost: inside.test",
        "GET /x HTTP/1.1\r\nHost: test\r\nHost: inside.test",
        "GET /x HTTP/1.1\r\nHost: test\r\nhost: test",
        "GET http://a@inside.test/x HTTP/1.1\r\nHost: inside.test",
        "GET /x HTTP/1.1\r\nHost: test/inside.test",
    ] {
        world.check(head, Refused);
    }
    world.check("GET //inside.test/x HTTP/1.1\r\nHost: test", Sent("/inside.test/x"));
    world.check("GET /x HTTP/1.1\r\nHost: test\r\nX-Forwarded-Host: inside.test", Sent("/x"));
}

/// Servers of Java take `..;x` for `..`: the gateway, which does not, lets nothing pass that one of them climbs with.
#[test]
fn dots_with_a_parameter_are_refused() {
    world().paths(&[
        ("/x/..;/admin/x", Refused),
        ("/x/..;a=b/admin/x", Refused),
        ("/x/.;/admin/x", Refused),
        ("/api/..;/admin/x", Refused),
        ("/x/%2e%2e;/admin/x", Refused),
        ("/x/..%3b/admin/x", Refused),
        ("/..;", Refused),
        // Parameters of any other segment are its own affair.
        ("/x;a=b/y", Sent("/x;a=b/y")),
        ("/x/...;a/y", Sent("/x/...;a/y")),
        ("/x/a..;b/y", Sent("/x/a..;b/y")),
        ("/x/;/y", Sent("/x/;/y")),
    ]);
}

/// What the gateway does not defend: a service that reads paths more freely than RFC 3986. docs/security.md says so;
/// here stands what it is sent.
#[test]
fn what_a_free_reading_of_paths_would_find() {
    world().paths(&[
        ("/ADMIN/x", Sent("/ADMIN/x")),
        ("/admin;a=b/x", Sent("/admin;a=b/x")),
        ("/x/..%2fadmin/x", Sent("/x/..%2Fadmin/x")),
        ("/admin./x", Sent("/admin./x")),
        ("/admin%20/x", Sent("/admin%20/x")),
    ]);
}
