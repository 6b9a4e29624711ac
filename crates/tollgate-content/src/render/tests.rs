use super::*;
use crate::raw::Raw;

fn compile(templates: &[(&str, &str)]) -> Result<Template, TemplateError> {
    let sources: Vec<(String, Arc<str>)> =
        templates.iter().map(|(name, text)| ((*name).to_owned(), Arc::from(*text))).collect();
    Template::compile(&sources)
}

fn render(template: &Template, document: &str) -> Result<String, TemplateError> {
    let document = Node::Raw(Raw::check(document.as_bytes()).unwrap());
    let page = Page { document: &document, failed: &[("driver", "upstream_timeout")] };
    template.render(page, || false).map(|page| String::from_utf8(page).unwrap())
}

fn check(templates: &[(&str, &str)], document: &str, wanted: &str) {
    let template = compile(templates).unwrap_or_else(|error| panic!("{templates:?}: {error}"));
    assert_eq!(render(&template, document).as_deref(), Ok(wanted), "{templates:?}");
}

#[test]
fn members_of_the_document_are_variables() {
    let bus = r#"{"id":7,"stops":[{"name":"Ü"},{"name":"B"}],"note":null,"n":1.5,"on":true}"#;
    check(&[("a.html", "{{ id }} {{ stops[0].name }} {{ n }} {{ on }}")], bus, "7 Ü 1.5 true");
    check(&[("a.html", "{% for stop in stops %}<li>{{ stop.name }}{% endfor %}")], bus, "<li>Ü<li>B");
    check(&[("a.html", "{% for name in answer %}{{ name }} {% endfor %}")], bus, "id stops note n on ");
    check(&[("a.html", "[{{ note }}{{ nothing }}{{ nothing.at.all }}]")], bus, "[]");
    // Whatever is made of it.
    for text in ["{{ V|length }}", "{{ V|count }}"] {
        for value in ["note", "nothing", "nothing.at.all"] {
            check(&[("a.html", &text.replace('V', value))], bus, "0");
        }
    }
    let each = ["items", "dictsort", "split(',')", "lines"]
        .map(|filter| format!("{{% for x in V|{filter} %}}x{{% endfor %}}"));
    for text in
        each.iter().map(String::as_str).chain(["{{ V|first }}", "{{ V|last }}", "{{ (V|first).name }}"])
    {
        for value in ["note", "nothing", "nothing.at.all"] {
            check(&[("a.html", &text.replace('V', value))], bus, "");
        }
    }
    check(&[("a.html", "{% if failed.driver %}{{ failed.driver }}{% endif %}")], bus, "upstream_timeout");
    check(&[("a.html", "{{ answer|length }}")], "[1,2]", "2");
    check(&[("a.html", "{{ failed }}")], r#"{"failed":"mine"}"#, "mine");
    check(&[("a.html", "{{ id }}\n")], bus, "7");
}

#[test]
fn values_are_escaped_for_what_the_answer_is() {
    let evil = r#"{"x":"<script>alert('1')</script> & \"q\"","u":"a b/c"}"#;
    let html = "&lt;script&gt;alert(&#x27;1&#x27;)&lt;&#x2f;script&gt; &amp; &quot;q&quot;";
    for name in ["a.html", "a.htm", "a.xml", "a.svg", "a.HTML", "a.html.j2", "a.j2", "a", "a.tmpl"] {
        check(&[(name, "{{ x }}")], evil, html);
    }
    check(&[("a.html", "<b title=\"{{ x }}\">")], evil, &format!("<b title=\"{html}\">"));
    check(&[("a.txt", "{{ x }}")], evil, "<script>alert('1')</script> & \"q\"");
    check(
        &[("a.json", "{\"x\": {{ x }}, \"n\": {{ none }}}")],
        r#"{"x":"a\"</b>","none":null}"#,
        r#"{"x": "a\"</b>", "n": null}"#,
    );
    // What a page includes is part of the page, whatever its own name says.
    check(&[("a.html", "{% include \"b.txt\" %}"), ("b.txt", "{{ x }}")], evil, html);
    check(&[("a.html", "{% macro m(t) %}{{ t }}{% endmacro %}{{ m(x) }}")], evil, html);
    check(&[("a.html", "{{ x|safe }}")], r#"{"x":"<b>"}"#, "<b>");
    check(&[("a.html", "{{ u|urlencode }}")], evil, "a%20b&#x2f;c");
    check(
        &[("a.html", "<script>let d = {{ answer|tojson }};</script>")],
        r#"{"x":"</script>"}"#,
        "<script>let d = {\"x\": \"\\u003c/script\\u003e\"};</script>",
    );
}

#[test]
fn what_it_is_goes_by_the_ending() {
    for (name, wanted) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.xml.jinja", "application/xml; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("page.j2", "text/html; charset=utf-8"),
    ] {
        assert_eq!(compile(&[(name, "x")]).unwrap().media_type(), wanted, "{name}");
    }
}

#[test]
fn templates_extend_and_include_each_other() {
    let base = "<h1>{% block title %}none{% endblock %}</h1>";
    check(
        &[
            ("a.html", "{% extends \"parts/base.html\" %}{% block title %}{{ t }}{% endblock %}"),
            ("parts/base.html", base),
        ],
        r#"{"t":"T"}"#,
        "<h1>T</h1>",
    );
    check(
        &[
            ("a.html", "{% from \"m.html\" import twice %}{{ twice(t) }}"),
            ("m.html", "{% macro twice(x) %}{{ x }}{{ x }}{% endmacro %}"),
        ],
        r#"{"t":"T"}"#,
        "TT",
    );
    check(&[("a.html", "[{% include \"gone.html\" ignore missing %}]")], "{}", "[]");
}

#[test]
fn faults_are_told_with_their_template_and_line() {
    let refused = |templates: &[(&str, &str)], name: &str, line: u32, part: &str| {
        let error = compile(templates).expect_err(&format!("{templates:?}"));
        assert_eq!((&*error.name, error.line), (name, line), "{error}");
        assert!(error.message.contains(part), "{error}");
    };
    refused(&[("a.html", "x\n{% for %}")], "a.html", 2, "unexpected");
    refused(&[("a.html", "x\ny\n{{ id|nothing }}")], "a.html", 3, "nothing");
    refused(&[("a.html", "{{ nothing() }}")], "a.html", 1, "nothing");
    refused(
        &[("a.html", "{% include \"b.html\" %}"), ("b.html", "\n{{ x is nothing }}")],
        "b.html",
        2,
        "nothing",
    );
    refused(&[("a.html", "{% include \"b.html\" %}")], "a.html", 1, "b.html");
}

/// A template that goes wrong on a document, or would not end, or would take the stack or all memory.
#[test]
fn what_fails_while_it_renders_is_told() {
    let count = r#"{"n":"x","list":[1,2,3],"deep":[[[[1]]]]}"#;
    let failed = |templates: &[(&str, &str)], line: u32| {
        let template = compile(templates).unwrap_or_else(|error| panic!("{error}"));
        let error = render(&template, count).expect_err(&format!("{templates:?}"));
        assert_eq!(error.line, line, "{error}");
        error.message
    };
    failed(&[("a.html", "\n{{ n - 1 }}")], 2);
    let loops =
        "{% for a in range(99999) %}{% for b in range(99999) %}{% set x = b %}{% endfor %}{% endfor %}";
    assert_eq!(failed(&[("a.html", loops)], 1), "engine ran out of fuel");
    let large =
        "{% for a in range(99999) %}{{ \"0123456789012345678901234567890123456789\" * 100 }}{% endfor %}";
    assert_eq!(failed(&[("a.html", large)], 0), "it writes more than 16 MiB");
}

/// Data of this many rows and drivers; what it stands for is what a service may send.
fn fleet(rows: usize) -> String {
    let list = |make: &dyn Fn(usize) -> String| (0..rows).map(make).collect::<Vec<_>>().join(",");
    format!(
        r#"{{"vehicles":[{}],"drivers":[{}],"ids":[{}],"s":"{}","n":4000000000,"from":"x","note":"{}"}}"#,
        list(&|at| format!(r#"{{"n":{at},"driver":"d{at}"}}"#)),
        list(&|at| format!(r#"{{"id":"d{at}","name":"Ö"}}"#)),
        list(&|at| at.to_string()),
        "y".repeat(60_000),
        "x".repeat(40_000),
    )
}

#[test]
fn work_inside_of_filters_and_operators_is_bounded() {
    let document = fleet(3000);
    let stopped = |text: &str, part: &str| {
        let template = compile(&[("a.html", text)]).unwrap_or_else(|error| panic!("{text}: {error}"));
        let error = render(&template, &document).expect_err(text);
        assert!(error.message.contains(part), "{text}: {error}");
    };
    let work = "more data";
    for inner in [
        "{{ (vehicles|selectattr('driver', 'eq', d.id)|first).n }}",
        "{% if d.id in ids %}x{% endif %}",
        "{% set l = ids[1:] %}{{ d.id in l }}",
        "{% set l = ids + ids %}{{ d.id in l }}",
        "{{ ids == vehicles|map(attribute='n')|list }}",
        "{{ vehicles|sort(attribute='driver')|length }}",
        "{{ vehicles|groupby('driver')|length }}",
        "{{ s|split('y')|length }}",
    ] {
        stopped(&format!("{{% for d in drivers %}}{inner}{{% endfor %}}"), work);
    }
    stopped("{% set l = ids|list %}{% for d in drivers %}{{ d.id in l }}{% endfor %}", work);
    stopped(
        "{% macro m() %}{% for d in drivers %}{{ d.id in ids }}{% endfor %}{% endmacro %}{{ m() }}",
        work,
    );
    let text = "more than 16 MiB";
    stopped("{{ note|replace(from, s) }}", text);
    stopped("{{ note|replace('', s) }}", text);
    stopped("{{ ids|join(s) }}", text);
    let large = "too large";
    stopped("{{ ids|batch(n, 'x')|length }}", large);
    stopped("{{ ids|slice(n)|length }}", large);
    stopped("{{ range(n * 10000, -n * 10000, -1)|length }}", large);
    stopped("{{ ids|tojson(n) }}", "no indent");
    stopped("{{ ids|tojson(indent=n) }}", "no indent");
    let turns =
        |body: &str| format!("{{% set ns = namespace(x=s) %}}{{% for i in ids %}}{body}{{% endfor %}}");
    stopped(&turns("{% set ns.x = ns.x ~ ns.x %}"), "a namespace");
    stopped(&turns("{% set ns.x = [ns.x] %}"), "a namespace");
    let captured =
        format!("{{% set x %}}{{% for i in ids %}}{}{{% endfor %}}{{% endset %}}", "z".repeat(100_000));
    stopped(&captured, work);
}

#[test]
fn filters_without_a_bound_are_not_there() {
    for filter in ["indent(4)", "format(1)", "pprint"] {
        let error = compile(&[("a.html", &format!("{{{{ \"x\"|{filter} }}}}"))]).expect_err(filter);
        assert!(error.message.contains("unknown filter"), "{error}");
    }
}

#[test]
fn a_page_asks_whether_it_is_late() {
    let template = compile(&[("a.html", "{% for i in ids %}{% set x = s ~ s %}{% endfor %}")]).unwrap();
    let document = fleet(100);
    let document = Node::Raw(Raw::check(document.as_bytes()).unwrap());
    let page = Page { document: &document, failed: &[] };
    assert_eq!(template.render(page, || true).expect_err("late").message, "it takes too long");
    // What stopped one page is over with the next.
    assert!(template.render(page, || false).is_ok());
}

#[test]
fn pages_as_they_are_written_are_within_the_bounds() {
    let document = fleet(3000);
    let page = "{% macro cell(x) %}<td class=\"cell\">{{ x|upper }}</td>{% endmacro %}\
        {% for v in vehicles|sort(attribute='n', reverse=true) %}<tr>{{ cell(v.n) }}{{ cell(v.driver) }}\
        {% if v.n is divisibleby 2 %}{{ drivers[v.n].name }}{% endif %}</tr>{% endfor %}";
    let page = render(&compile(&[("a.html", page)]).unwrap(), &document).unwrap();
    assert!(page.starts_with("<tr><td class=\"cell\">2999</td><td class=\"cell\">D2999</td></tr>"));
    let bus = r#"{"m":{"b":1,"a":[1,2,{"c":null}]},"l":[3,1,2],"g":[{"k":"x","v":1},{"k":"y","v":2},{"k":"x","v":3}]}"#;
    for (text, wanted) in [
        ("{% for k, v in m|items %}{{ k }}={{ v }};{% endfor %}", r#"b=1;a=[1, 2, {'c': None}];"#),
        ("{% for k, v in m|dictsort %}{{ k }}{% endfor %}", "ab"),
        ("{{ m|tojson }}", r#"{"b": 1, "a": [1, 2, {"c": null}]}"#),
        (
            "{{ l|sort|join('-') }} {{ l|last }} {{ l[-1] }} {{ l[1:] }} {{ l|reverse|list }}",
            "1-2-3 2 2 [1, 2] [2, 1, 3]",
        ),
        (
            "{{ l|sum }} {{ l|min }} {{ l|length }} {{ 2 in l }} {{ 'b' in m }} {{ 9 in l }}",
            "6 1 3 true true false",
        ),
        (
            "{% for k, list in g|groupby('k') %}{{ k }}{{ list|map(attribute='v')|join('+') }} {% endfor %}",
            "x1+3 y2 ",
        ),
        ("{% for e in g|groupby('k') %}{{ e.grouper }}{{ e.list|length }}{% endfor %}", "x2y1"),
        ("{% for row in l|batch(2, 0) %}{{ row|join }} {% endfor %}", "31 20 "),
        (
            "{% for x in l %}{{ loop.index }}/{{ loop.length }}{{ ',' if not loop.last }}{% endfor %}",
            "1/3,2/3,3/3",
        ),
        ("{% set ns = namespace(n=0) %}{% for x in l %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}", "6"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}{{ 'a-b'|replace('-', '+') }}", "012a+b"),
        (
            "{{ (g|selectattr('k', 'eq', 'y')|first).v }}{{ l == [3, 1, 2] }}{{ m.a[2].c is none }}",
            "2truetrue",
        ),
        (
            "{% set a, b = l[:2] %}{{ a }}{{ b }}{{ l is sequence }}{{ m is mapping }}{{ [] or 'none' }}",
            "31truetruenone",
        ),
    ] {
        check(&[("a.txt", text)], bus, wanted);
    }
}

#[test]
fn what_includes_itself_or_calls_itself_ends_before_the_stack_does() {
    let endless: [&[(&str, &str)]; 5] = [
        &[("a.html", "{% include \"a.html\" %}")],
        &[("a.html", "{% include \"b.html\" %}"), ("b.html", "{% include \"a.html\" %}")],
        &[("a.html", "{% extends \"b.html\" %}"), ("b.html", "{% extends \"a.html\" %}")],
        &[("a.html", "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}")],
        &[(
            "a.html",
            "{% macro f(x) %}{% for i in [1] %}{{ f([x]) }}{% endfor %}{% endmacro %}{% if list %}{{ f(1) }}{% endif %}",
        )],
    ];
    for templates in endless {
        // On a thread like those that serve, with some of its stack taken.
        std::thread::scope(|scope| {
            let on_worker = std::thread::Builder::new().stack_size(1 << 20).spawn_scoped(scope, || {
                let template = compile(templates).unwrap_or_else(|error| panic!("{error}"));
                render(&template, r#"{"list":[1]}"#).map(|page| page.len())
            });
            let outcome = on_worker.unwrap().join().expect("it ends by itself");
            assert!(outcome.is_err(), "{templates:?}: {outcome:?}");
        });
    }
}

#[test]
fn deep_documents_are_walked() {
    let deep = "[".repeat(120) + "1" + &"]".repeat(120);
    let walk = "{% for a in answer recursive %}{% if a is iterable %}{{ loop(a) }}{% else %}{{ a }}{% endif %}{% endfor %}";
    let template = compile(&[("a.html", walk)]).unwrap();
    // As deep as a page may nest, or refused: never the end of the process.
    let _ = render(&template, &deep);
    check(&[("a.json", "{{ answer }}")], &deep, &deep);
}

#[test]
fn names_of_templates_are_found() {
    let found =
        |text: &str| references(text).map(|found| found.into_iter().map(|it| it.name).collect::<Vec<_>>());
    let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(found("{% include 'a.html' %}{%- extends \"b/c.html\" -%}"), names(&["a.html", "b/c.html"]));
    assert_eq!(
        found("{% import \"m.html\" as m %}{% from 'n.html' import x %}"),
        names(&["m.html", "n.html"])
    );
    assert_eq!(found("{% include [\"a.html\", \"b.html\"] ignore missing %}"), names(&["a.html", "b.html"]));
    assert_eq!(
        found("{# {% include \"a.html\" %} #}{% raw %}{% include \"b.html\" %}{% endraw %}x"),
        names(&[])
    );
    assert_eq!(found("{% set x = \"%} {% include 'a'\" %}{% include 'b' %}"), names(&["b"]));
    assert_eq!(found("{{ include }} {% included %} {%"), names(&[]));
    for bad in ["../a.html", "/etc/passwd", "a/../../b", "./a.html", ".hidden", "a//b", "a\\b", "", "c:/x"] {
        let (line, _) = references(&format!("\n{{% include \"{bad}\" %}}")).expect_err(bad);
        assert_eq!(line, 2, "{bad}");
    }
    assert_eq!(references("{% include name %}").map_err(|(line, _)| line), Err(1));
}
