use proptest::prelude::*;

use super::*;
use crate::path::normalize;

/// Values by the text between the braces; a name with `*` behind it is a tail's.
struct Map(&'static [(&'static str, &'static str)]);

impl Values for Map {
    fn value(&self, var: &Var, out: &mut Vec<u8>) -> bool {
        let found = self.0.iter().find(|(name, _)| *name == var.to_string());
        if let Some((_, value)) = found {
            out.extend_from_slice(value.as_bytes());
        }
        found.is_some()
    }
}

const VALUES: Map = Map(&[
    ("id", "7 a/b"),
    ("plain", "x-1.~_"),
    ("empty", ""),
    ("dot", "."),
    ("dots", ".."),
    ("parameter", "..;x"),
    ("rest", "a%2Fb/c/"),
    ("none", ""),
    ("host", "api.example.com"),
    ("path", "/orders/7%2F/"),
    ("query", "a=%7e&b"),
    ("scheme", "https"),
    ("request_id", "0193"),
    ("header:x-user", "tab\there\r\nx: \"quoted\\\" \0\x01\u{e9}"),
    ("query:q", "a&b=c?"),
    ("cookie:SID", "s"),
]);

fn text(result: Result<Vec<u8>, MissingValue>) -> Option<String> {
    result.ok().map(|bytes| String::from_utf8(bytes).unwrap())
}

fn bound(mut template: Template) -> Template {
    template
        .bind(&PathPattern::parse("/{id}/{plain}/{empty}/{dot}/{dots}/{parameter}/{gone}/{rest*}").unwrap())
        .unwrap();
    template
}

#[test]
fn texts_are_parsed_or_the_offence_is_named() {
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let got = match Template::parse(text) {
            Ok(template) => template
                .parts()
                .iter()
                .map(|part| match part {
                    Part::Text(text) => format!("'{text}'"),
                    Part::Var(Var::Param(name)) => format!("param {name}"),
                    Part::Var(var) => format!("<{var}>"),
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(TemplateError { offset, kind, name }) => {
                format!("{kind:?} at {offset} [{name}]").replace(" []", "")
            }
        };
        assert_eq!(got, expect, "{text}");
    }
    check("", "");
    check("plain", "'plain'");
    check("/v2/{id}/x", "'/v2/' param id '/x'");
    check("{a}{b_2-c}", "param a param b_2-c");
    check("{{id}} {{{id}}}", "'{id} {' param id '}'");
    check("{host}{path}{query}{method}{scheme}", "<host> <path> <query> <method> <scheme>");
    check("{client_ip}{request_id}{consumer}{route}", "<client_ip> <request_id> <consumer> <route>");
    check("{header:X-User}{query:a b}{cookie:SID}", "<header:x-user> <query:a b> <cookie:SID>");
    check("{claim:address.country}", "<claim:address.country>");
    check("é{id}", "'é' param id");
    check("a{", "Unclosed at 1");
    check("a{id", "Unclosed at 1");
    check("é{id{x}}", "Unclosed at 2");
    check("a}b", "Unopened at 1");
    check("{{}", "Unopened at 2");
    check("{}", "Empty at 0");
    check("{header:}", "Empty at 0 [header:]");
    check("{x:y}", "UnknownKind at 0 [x:y]");
    check("{:y}", "UnknownKind at 0 [:y]");
    check("ab{header:a b}", "BadName at 2 [header:a b]");
    check("{cookie:a=b}", "BadName at 0 [cookie:a=b]");
    check("{ id }", "BadName at 0 [ id ]");
    check("{7}", "BadName at 0 [7]");
    check("{a.b.0}", "<a.b.0>");
    check("{a..b}", "BadName at 0 [a..b]");
    check("{a.b[].c}", "BadName at 0 [a.b[].c]");
    check("{rest*}", "BadName at 0 [rest*]");
}

#[test]
fn paths_are_brought_into_normal_form_when_parsed() {
    #[track_caller]
    fn check(text: &str, expect: Result<&str, TemplateErrorKind>) {
        let got =
            Template::parse_path(text).map(|t| t.literal().unwrap_or("?").to_owned()).map_err(|e| e.kind);
        assert_eq!(got, expect.map(str::to_owned), "{text}");
    }
    check("/a//b/", Ok("/a/b/"));
    check("/caf\u{e9}/%7e%2f", Ok("/caf%C3%A9/~%2F"));
    check("/{{a}}", Ok("/{a}"));
    check("{path}/x", Ok("?"));
    check("a", Err(TemplateErrorKind::PathNotAbsolute));
    check("{id}", Err(TemplateErrorKind::PathNotAbsolute));
    check("", Err(TemplateErrorKind::PathNotAbsolute));
    check("/a/../b", Err(TemplateErrorKind::PathDotSegment));
    check("/a/%2e%2E", Err(TemplateErrorKind::PathDotSegment));
    check("/a/./{id}", Err(TemplateErrorKind::PathDotSegment));
    check("/a?b={id}", Err(TemplateErrorKind::PathForbiddenByte));
    check("/a#b", Err(TemplateErrorKind::PathForbiddenByte));
    check("/a\\b", Err(TemplateErrorKind::PathForbiddenByte));
    check("/a%zz", Err(TemplateErrorKind::PathBadPercentEncoding));
    check("/a{", Err(TemplateErrorKind::Unclosed));
}

#[test]
fn binding_knows_the_parameters_of_the_pattern() {
    let pattern = PathPattern::parse("/files/{dir}/{name}.json/{rest*}").unwrap();
    let mut template = Template::parse("{dir}{name}{rest}{host}").unwrap();
    template.bind(&pattern).unwrap();
    assert_eq!(
        template.vars().cloned().collect::<Vec<_>>(),
        [Var::Param("dir".into()), Var::Param("name".into()), Var::Tail("rest".into()), Var::Host]
    );
    let unknown = Template::parse("{host}{nam}").unwrap().bind(&pattern).unwrap_err();
    assert_eq!(unknown, BindError::UnknownParam("nam".into()));
    let pattern = PathPattern::parse("/lines/{route}/{path*}").unwrap();
    for (text, name) in [("{route}", "route"), ("/x{path}", "path")] {
        assert_eq!(Template::parse(text).unwrap().bind(&pattern), Err(BindError::Ambiguous(name)));
    }
}

#[test]
fn a_path_is_rendered_without_holes() {
    #[track_caller]
    fn check(template: &str, expect: Option<&str>) {
        let mut out = b"kept ".to_vec();
        let result = bound(Template::parse_path(template).unwrap()).render_path(&VALUES, &mut out);
        let rest = out.strip_prefix(b"kept ").unwrap().to_vec();
        assert!(result.is_ok() || rest.is_empty(), "an error leaves nothing behind");
        assert_eq!(text(result.map(|()| rest)).as_deref(), expect, "{template}");
    }
    check("/v2/orders/{plain}", Some("/v2/orders/x-1.~_"));
    check("/v2/{id}.json", Some("/v2/7%20a%2Fb.json"));
    check("/v2/{gone}", None);
    check("/v2/{empty}", None);
    check("/v2/x{empty}", None);
    check("/v2/{header:x-none}", None);
    check("/v2/{query:q}", Some("/v2/a%26b%3Dc%3F"));
    check("/v2/{rest}", Some("/v2/a%2Fb/c/"));
    check("/v2/{rest}/z", Some("/v2/a%2Fb/c/z"));
    check("/v2{path}", Some("/v2/orders/7%2F/"));
    check("/v2/{path}", Some("/v2/orders/7%2F/"));
    check("{path}", Some("/orders/7%2F/"));
    check("{path}/x", Some("/orders/7%2F/x"));
    check("{path}x", Some("/orders/7%2F/x"));
    check("/a/{dot}", None);
    check("/a/{dots}", None);
    check("/a/{dots}/b", None);
    check("/a/{dot}{dot}/b", None);
    check("/a/.{dot}", None);
    check("/a/{dot}b", Some("/a/.b"));
    check("/a/{dots}.", Some("/a/..."));
    check("/a/{parameter}", None);
    check("/a/{dots}{plain}", Some("/a/..x-1.~_"));
    check("/a/{header:x-user}", None);
}

#[test]
fn an_empty_tail_is_the_end_of_the_path() {
    const EMPTY: Map = Map(&[("rest", "")]);
    #[track_caller]
    fn check(template: &str, expect: &str) {
        let mut out = Vec::new();
        let result = bound(Template::parse_path(template).unwrap()).render_path(&EMPTY, &mut out);
        assert_eq!(text(result.map(|()| out)).as_deref(), Some(expect), "{template}");
    }
    check("/v2/{rest}", "/v2/");
    check("/{rest}", "/");
    check("/v2/{rest}/end", "/v2/end");
}

#[test]
fn a_url_keeps_host_path_and_query() {
    #[track_caller]
    fn check(template: &str, expect: Option<&str>) {
        let mut out = Vec::new();
        let result = bound(Template::parse(template).unwrap()).render_url(&VALUES, &mut out);
        assert_eq!(text(result.map(|()| out)).as_deref(), expect, "{template}");
    }
    check("https://{host}{path}", Some("https://api.example.com/orders/7%2F/"));
    check("{scheme}://{host}:8443{path}?{query}", Some("https://api.example.com:8443/orders/7%2F/?a=%7e&b"));
    check("/{path}", Some("/orders/7%2F/"));
    check("https://x/{path}", Some("https://x/orders/7%2F/"));
    check("https://x/{id}", Some("https://x/7%20a%2Fb"));
    check("https://x/{gone}", None);
    check("https://x/{empty}/y", None);
    check("https://x/{dots}/y", None);
    check("https://x/{rest}", Some("https://x/a%2Fb/c/"));
    check("https://x/{header:x-user}", None);
    check(
        "https://x/?u={header:x-user}",
        Some("https://x/?u=tab%09here%0D%0Ax%3A%20%22quoted%5C%22%20%00%01%C3%A9"),
    );
    check("https://x/?q={query:q}&n={empty}{gone}&d={dots}", Some("https://x/?q=a%26b%3Dc%3F&n=&d=.."));
    check("../login?next={path}", Some("../login?next=%2Forders%2F7%252F%2F"));
    // No value brings parameters with it, but `{query}` where a pair may begin.
    check("https://x/?f={rest}&v=1", Some("https://x/?f=a%2Fb%2Fc%2F&v=1"));
    check("https://x/?from={query}", Some("https://x/?from=a%3D%257e%26b"));
    check("https://x/?v=1&{query}", Some("https://x/?v=1&a=%7e&b"));
    check("/a\r\nset-cookie: x", Some("/a  set-cookie: x"));
}

#[test]
fn a_url_loses_the_question_mark_of_an_empty_query() {
    const NO_QUERY: Map = Map(&[("host", "h"), ("path", "/p")]);
    let mut out = Vec::new();
    Template::parse("https://{host}{path}?{query}").unwrap().render_url(&NO_QUERY, &mut out).unwrap();
    assert_eq!(out, b"https://h/p");
}

#[test]
fn each_place_has_its_own_writing() {
    #[track_caller]
    fn check(template: &str, render: fn(&Template, &Map, &mut Vec<u8>), expect: &str) {
        let mut out = Vec::new();
        render(&bound(Template::parse(template).unwrap()), &VALUES, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect, "{template}");
    }
    let header: fn(&Template, &Map, &mut Vec<u8>) = Template::render_header;
    check("[{header:x-user}]", header, "[tab\there  x: \"quoted\\\"   \u{e9}]");
    check("a\r\nb", header, "a  b");
    check("{id}|{gone}|{rest}|{path}", header, "7 a/b||a/b/c/|/orders/7%2F/");
    let as_text: fn(&Template, &Map, &mut Vec<u8>) = Template::render_text;
    check("{header:x-user}\n", as_text, "tab\there\r\nx: \"quoted\\\" \0\x01\u{e9}\n");
    let json: fn(&Template, &Map, &mut Vec<u8>) = Template::render_json;
    check(
        r#"{{"u":"{header:x-user}","n":"{gone}","p":"{path}"}}"#,
        json,
        r#"{"u":"tab\there\r\nx: \"quoted\\\" \u0000\u0001é","n":"","p":"/orders/7%2F/"}"#,
    );
}

#[test]
fn invalid_utf8_in_json_is_replaced() {
    struct Bytes;
    impl Values for Bytes {
        fn value(&self, _: &Var, out: &mut Vec<u8>) -> bool {
            out.extend_from_slice(b"a\xffb");
            true
        }
    }
    let mut out = Vec::new();
    Template::parse("{x}").unwrap().render_json(&Bytes, &mut out);
    assert_eq!(out, "a\u{fffd}b".as_bytes());
}

#[test]
fn templates_can_be_put_together() {
    let mut template = Template::text("{a");
    template.push_text("}");
    template.push_text("");
    assert_eq!(template.literal(), Some("{a}"));
    template.push_var(Var::Route);
    assert_eq!(template.literal(), None);
    assert_eq!(template.parts().len(), 2);
    assert_eq!(Template::default().literal(), Some(""));
}

struct Same(Vec<u8>);

impl Values for Same {
    fn value(&self, _: &Var, out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&self.0);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_the_value_a_rendered_path_is_normal_and_has_the_same_segments(
        value in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'.'), Just(b'/'), Just(b';')], 0..6),
        template in prop_oneof![Just("/a/{x}/b"), Just("/{x}"), Just("/a/.{x}"), Just("/{x}{x}.json/"), Just("/{x}/{x}")],
    ) {
        let template = Template::parse_path(template).unwrap();
        let mut out = Vec::new();
        if template.render_path(&Same(value), &mut out).is_ok() {
            let path = String::from_utf8(out).unwrap();
            prop_assert_eq!(normalize(path.as_bytes()).unwrap(), path.as_str());
            let slashes = |text: &str| text.matches('/').count();
            let literal: String = template.parts().iter().map(|part| match part {
                Part::Text(text) => &**text,
                Part::Var(_) => "x",
            }).collect();
            prop_assert_eq!(slashes(&path), slashes(&literal));
        }
    }

    #[test]
    fn no_value_makes_a_second_header_line(value in proptest::collection::vec(any::<u8>(), 0..16)) {
        let mut out = Vec::new();
        Template::parse("a{x}b").unwrap().render_header(&Same(value), &mut out);
        prop_assert!(!out.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
    }

    #[test]
    fn no_text_panics(text in "[{}a:*/%. é]{0,12}") {
        let _ = Template::parse(&text);
        let _ = Template::parse_path(&text);
    }
}

/// A plan may be printed; what its author wrote into a header may be a credential.
#[test]
fn debug_shows_placeholders_but_no_text() {
    let template = Template::parse("Bearer s3cret {header:x-user}").unwrap();
    assert_eq!(format!("{template:?}"), "Template { parts: [***, {header:x-user}] }");
}
