use super::*;

const BYTES: usize = 1 << 20;

fn run(filter: &str, document: &str) -> Result<String, JqFailed> {
    let jq = Jq::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error} at {}", error.offset));
    jq.run(Raw::check(document.as_bytes()).unwrap(), BYTES)
}

fn check(filter: &str, document: &str, wanted: &str) {
    assert_eq!(run(filter, document).as_deref(), Ok(wanted), "{filter}");
}

#[test]
fn documents_are_made_into_others() {
    let order = r#"{"data":{"id":7,"total":1.10,"items":[{"sku":"b","n":2},{"sku":"a","n":1}]},"meta":null}"#;
    check(".data | {id, total}", order, r#"{"id":7,"total":1.10}"#);
    check(".data.items | map(.sku) | sort", order, r#"["a","b"]"#);
    check(".data.items | sort_by(.n) | .[0].sku", order, r#""a""#);
    check("[.data.items[] | select(.n > 1)]", order, r#"[{"sku":"b","n":2}]"#);
    check(".data.items | map(.n) | add", order, "3");
    check(r#".data | "\(.id): \(.items | length)""#, order, r#""7: 2""#);
    check(".data.items |= map({(.sku): .n}) | .data.items | add", order, r#"{"b":2,"a":1}"#);
    check("del(.data.items) | .meta = [1]", order, r#"{"data":{"id":7,"total":1.10},"meta":[1]}"#);
    check(".nothing.here", order, "null");
    check(".data | to_entries | map(.key)", order, r#"["id","total","items"]"#);
    check(".data | with_entries(select(.key != \"items\"))", order, r#"{"id":7,"total":1.10}"#);
    check("reduce .data.items[] as $i (0; . + $i.n)", order, "3");
    check("if .meta then 1 else .data.id end", order, "7");
    check(".meta // \"none\"", order, r#""none""#);
    check("[.. | numbers]", r#"{"a":[1,{"b":2}]}"#, "[1,2]");
    check(
        "walk(if type == \"number\" then . + 1 else . end)",
        r#"{"a":[1,{"b":2}]}"#,
        r#"{"a":[2,{"b":3}]}"#,
    );
    check("group_by(.a) | map(length)", r#"[{"a":1},{"a":2},{"a":1}]"#, "[2,1]");
    check("unique", "[3,1,3,1.0]", "[1,3]");
    check("{a: 1} * {a: {b: 2}} * {a: {c: 3}}", "null", r#"{"a":{"b":2,"c":3}}"#);
    check("def twice(f): f | f; twice(. + 1)", "1", "3");
    check("[limit(3; repeat(. * 2))]", "1", "[1,2,4]");
    check("[.[] as [$a, $b] | {a: $a, b: $b}]", "[[1,2]]", r#"[{"a":1,"b":2}]"#);
    check("try error(\"x\") catch .", "null", r#""x""#);
    check(".a.b |= . + 1 | .c[0]? = 1", r#"{"a":{"b":1}}"#, r#"{"a":{"b":2},"c":null}"#);
}

#[test]
fn of_several_outputs_comes_a_list_and_of_none_null() {
    check(".[]", "[1, 2]", "[1,2]");
    check(".[]", "[1]", "1");
    check("empty", "[1]", "null");
    check(".", " { \"a\" : [ ] , \"b\":{ } } ", r#"{"a":[],"b":{}}"#);
}

#[test]
fn numbers_that_nobody_counts_with_stay_as_they_are() {
    let numbers = "[1.10,12345678901234567890,-0,1e2,9007199254740993]";
    check(".", numbers, numbers);
    check("map(. + 0)", "[1.10,1e2,9007199254740993]", "[1.1,100,9007199254740993]");
    check("[. / 2, . * 2, -., . % 4, 4 / 2]", "7", "[3.5,14,-7,3,2]");
    check("[.[] | floor]", "[1.5, -1.5]", "[1,-2]");
    check("[sqrt, pow(.; 2), trunc]", "4", "[2,16,4]");
    assert_eq!(run("1 / .", "0"), Err(JqFailed::Error("the divisor is zero".to_owned())));
}

#[test]
fn texts_and_lists_are_taken_apart_and_put_together() {
    check("split(\",\") | join(\"-\")", r#""a,b,c""#, r#""a-b-c""#);
    check("join(\", \")", r#"["a",1,null,true]"#, r#""a, 1, , true""#);
    check("[.[1:3], .[-1:], .[:1]]", r#""äöü!""#, r#"["öü","!","ä"]"#);
    check(".[1:] = [9]", "[1,2,3]", "[1,9]");
    check("[.[-1], .[5], first, last]", "[1,2]", "[2,null,1,2]");
    check("[ascii_downcase, ltrimstr(\"A\"), startswith(\"A\"), length]", r#""AB""#, r#"["ab","B",true,2]"#);
    check("[index(\"b\"), indices(\"b\")]", r#""abäb""#, "[1,[1,3]]");
    check(
        "[contains({a: [\"b\"]}), has(\"a\"), inside({a: [\"bc\"], d: 1})]",
        r#"{"a":["bc"]}"#,
        "[true,true,true]",
    );
    check("[tojson, (tojson | fromjson), tostring]", "[1]", r#"["[1]",[1],"[1]"]"#);
    check("[.[] | tonumber]", r#"["1.50", 2]"#, "[1.50,2]");
    check("@html \"<\\(.)>\", @uri \"?\\(.)\"", r#""a&b c""#, r#"["<a&amp;b c>","?a%26b%20c"]"#);
    check("flatten, flatten(1)", "[1,[2,[3]]]", "[[1,2,3],[1,2,[3]]]");
    check("transpose", "[[1,2],[3]]", "[[1,3],[2,null]]");
    check("[combinations]", "[[1,2],[3]]", "[[1,3],[2,3]]");
    check("from_entries", r#"[{"name":"a","value":1},{"key":2,"value":false}]"#, r#"{"a":1,"2":false}"#);
    check("[min, max, (map(. * 2) | add), any, all]", "[3,1]", "[1,3,8,true,true]");
    check("[range(3)], [range(4; 0; -2)]", "null", "[[0,1,2],[4,2]]");
    check(
        "[.[] | type]",
        r#"[null,true,1,"",[],{}]"#,
        r#"["null","boolean","number","string","array","object"]"#,
    );
}

#[test]
fn what_does_not_go_together_is_told_by_kind_and_never_by_value() {
    let told = |filter: &str, document: &str, wanted: &str| {
        assert_eq!(run(filter, document), Err(JqFailed::Error(wanted.to_owned())), "{filter}");
    };
    told(".a", "\"secret\"", "cannot index a string with a string");
    told(".a + 1", r#"{"a":"secret"}"#, "cannot calculate a string + a number");
    told(".[]", "5", "cannot use a number as an array or an object");
    told("error(\"no such order\")", "1", "no such order");
    told("error({a: 1})", "1", "an error with an object");
    told("{(.): 1}", "1", "cannot use a number as the name of a member");
}

#[test]
fn what_is_no_filter_is_refused_with_its_place() {
    let mut others = Vec::new();
    let mut refused = |filter: &str, offset: usize, message: &str| {
        let error = Jq::parse(filter).expect_err(filter);
        if (error.offset, &*error.message) != (offset, message) {
            others.push(format!("{filter}: {} {}", error.offset, error.message));
        }
    };
    refused(".a | nothing", 5, "there is no filter `nothing` here");
    refused(".a | $x", 5, "there is no variable `$x` here");
    refused(".a |", 4, "it ends where term must follow");
    refused("{a: 1", 5, "here must be a closing brace");
    refused(".a | )", 5, "here must be a token");
    refused("if . then 1", 11, "it ends where else or end must follow");
    refused("def f: 1 + f; f", 11, &recursion("f"));
    refused("def f(g): f(g | g); f(.)", 10, &recursion("f"));
    refused("def f: def g: f; g; f", 14, &recursion("f"));
    assert_eq!(others, Vec::<String>::new());
}

fn recursion(name: &str) -> String {
    format!("`{name}` calls itself; loops are `recurse`, `while`, `until`, `reduce` and `foreach` here")
}

#[test]
fn every_function_that_is_made_of_others_compiles() {
    let names: Vec<&str> = load::PRELUDE
        .lines()
        .filter_map(|line| line.strip_prefix("def ")?.split([':', '(']).next())
        .collect();
    assert!(names.len() > 60);
    // Named in a text, which is enough to have them.
    assert_eq!(
        run(&format!("\"{}\" | length", names.join(" ")), "1").as_deref().map(|it| it.is_empty()),
        Ok(false)
    );
}

/// What reads more than the document, or says when and where it runs.
#[test]
fn a_filter_sees_its_document_and_nothing_else() {
    let unknown = [
        "input",
        "inputs",
        "env",
        "$ENV",
        "now",
        "halt",
        "halt_error",
        "debug",
        "stderr",
        "input_filename",
        "path(..)",
        "paths",
        "todate",
        "test(\"a\")",
        "ltrimstr(\"a\") | @sh",
        "import \"a\" as a; .",
        "include \"a\"; .",
        "module {}; .",
        "$__prog_args",
        "get_search_list",
        "getpath([\"a\"]; 1)",
    ];
    for filter in unknown {
        assert!(Jq::parse(filter).is_err(), "{filter}");
    }
}

/// Each of these would run for ever, or take all memory, or all of the stack.
#[test]
fn what_would_not_end_is_stopped() {
    let many = format!("[{}]", vec!["[1,2,3]"; 10_000].join(","));
    let bombs = [
        "repeat(.)",
        "[repeat(1)]",
        "last(repeat(1))",
        "recurse(.)",
        "1 | [recurse(. + 1)]",
        "until(false; .)",
        "1 | until(false; . + 1)?",
        "while(true; .)",
        "[repeat(try error catch 1)]",
        "first(repeat(1) | select(. == 2))",
        "label $out | repeat(1) | if . == 2 then break $out else empty end",
        "range(1e18)",
        "last(range(0; 1e18))",
        "skip(1e18; range(1e18))",
        "[limit(1e18; range(1e18))]",
        "reduce range(1e18) as $i (0; . + 1)",
        "foreach range(1e18) as $i (0; . + 1; empty)",
        "range(0; 1; 1e-300)",
        "reduce range(100) as $i (\"x\"; . + .)",
        "reduce range(100) as $i ([1]; . + .)",
        "reduce range(100) as $i (1; [., .])",
        "reduce range(100) as $i (1; {a: ., b: .}) | tojson",
        "reduce range(100) as $i (1; [., .]) == 1",
        "[reduce range(100) as $i (1; [., .]) | ..] | length",
        "reduce range(1e6) as $i (1; [.])",
        "reduce range(1e6) as $i (null; {a: .})",
        "reduce range(1e6) as $i ([1]; .[0] |= [.])",
        "\"x\" * 1e12",
        "[.[] as $a | .[] as $b | .[] as $c | $a + $b + $c]",
        "[combinations]",
        ".[][] |= [range(1e9)]",
        "map(until(. == 0; [.]))",
        "def f(g): g | g | g | g; f(f(f(f(f(f(f(f(f(f(f(f(.))))))))))))",
        "sort_by(repeat(1))",
        "group_by(range(1e9))",
        "indices(repeat(1))",
        "\"\\([range(1e9)])\"",
    ];
    let went_on = bombs.into_iter().filter_map(|bomb| match run(bomb, &many) {
        Err(JqFailed::Steps | JqFailed::Large | JqFailed::Deep) => None,
        outcome => Some(format!("{bomb}: {:?}", outcome.map(|made| made.len()))),
    });
    assert_eq!(went_on.collect::<Vec<_>>(), Vec::<String>::new());
    // The next one has all it may use again.
    check(".[0][1]", &many, "2");
}

#[test]
fn what_nests_deep_neither_loads_nor_runs_into_the_end_of_the_stack() {
    let nests = [
        "(".repeat(4000) + "." + &")".repeat(4000),
        "[".repeat(4000) + "." + &"]".repeat(4000),
        "-".repeat(8000) + "1",
        "1 + ".repeat(2000) + "1",
        ".|".repeat(4000) + ".",
        ".,".repeat(4000) + ".",
        "try ".repeat(2000) + "1",
        "def f: ".repeat(1000) + "1" + &"; f".repeat(1000),
        ". as $x | ".repeat(800) + ".",
        "\"\\(".repeat(2000) + "1" + &")\"".repeat(2000),
        "(".repeat(8000),
        "1 // ".repeat(1600) + "1",
    ];
    for text in nests {
        // On a thread like those that serve.
        std::thread::scope(|scope| {
            let on_worker = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, || {
                if let Ok(jq) = Jq::parse(&text) {
                    let _ = jq.run(Raw::of_checked("1"), BYTES);
                }
            });
            on_worker.unwrap().join().unwrap_or_else(|_| panic!("{:.20}", text));
        });
    }
}

#[test]
fn an_answer_has_its_bound() {
    let jq = Jq::parse("[., ., .]").unwrap();
    let text = format!("\"{}\"", "x".repeat(100));
    assert_eq!(jq.run(Raw::of_checked(&text), 200), Err(JqFailed::Large));
    assert_eq!(jq.run(Raw::of_checked(&text), 400).map(|made| made.len()), Ok(3 * 102 + 4));
}

#[test]
fn a_large_document_has_the_steps_it_needs() {
    let item = r#"{"id":1,"name":"a name","price":1.25,"tags":["a","b"],"more":{"x":1,"y":null}}"#;
    let document = format!("{{\"items\":[{}]}}", vec![item; 12_000].join(","));
    let jq = Jq::parse(".items | map({id, name, total: (.price * 2), x: .more.x})").unwrap();
    let made = jq.run(Raw::check(document.as_bytes()).unwrap(), 4 << 20).unwrap();
    assert_eq!(made.matches("2.5").count(), 12_000);
}
