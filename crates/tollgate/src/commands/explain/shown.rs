//! An explanation for people: it fits a terminal of 80 columns.

use std::fmt::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::Value;

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Routes that are all shown. Of more, those with another host or another path are only counted.
const ROUTES_ALL: usize = 40;
/// Where the texts of steps begin.
const STEP_INDENT: usize = 39;

/// The whole explanation.
pub(super) fn text(told: &Value) -> String {
    let mut out = String::new();
    let request = &told["request"];
    if request.is_object() {
        let line =
            format!("{} {} from {}", word(&request["method"]), word(&request["url"]), word(&request["ip"]));
        wrapped(&mut out, "", &line, 2);
        out.push('\n');
    }
    routes(&mut out, &told["routes"]);
    out.push_str(&heading("Steps"));
    for step in list(&told["steps"]) {
        one_step(&mut out, step);
    }
    out.push('\n');
    outcome(&mut out, &told["outcome"]);
    out
}

fn routes(out: &mut String, routes: &Value) {
    let all = list(routes);
    if all.is_empty() {
        return;
    }
    out.push_str(&heading("Routes"));
    // The one that is taken, then those that came near.
    let distance = |route: &&Value| match word(&route["by"]) {
        "taken" => 0,
        "priority" | "order" => 1,
        "specificity" => 2,
        "method" | "header" | "query" => 3,
        "path" => 4,
        _ => 5,
    };
    let mut ordered: Vec<&Value> = all.iter().collect();
    ordered.sort_by_key(distance);
    let shown = if all.len() <= ROUTES_ALL {
        all.len()
    } else {
        ordered.iter().filter(|one| distance(one) < 4).count()
    };
    let shown = shown.min(ROUTES_ALL);
    let names =
        ordered.iter().take(shown).map(|route| word(&route["name"]).chars().count()).max().unwrap_or(0);
    let names = names.min(30);
    for route in ordered.iter().take(shown) {
        let taken = word(&route["verdict"]) == "taken";
        let style = if taken { AnsiColor::Green.on_default() } else { Style::new().dimmed() };
        let verdict = if taken { "taken" } else { "lost" };
        let before = format!("  {verdict:<6} {:<names$}  ", word(&route["name"]));
        let plain = before.chars().count();
        let styled = format!("  {style}{verdict:<6}{style:#} {:<names$}  ", word(&route["name"]));
        with_indent(out, &styled, plain, word(&route["why"]), plain.min(STEP_INDENT));
    }
    if shown < all.len() {
        let _ =
            writeln!(out, "  and {} more, with another path or host; --json lists them", all.len() - shown);
    }
    out.push('\n');
}

fn one_step(out: &mut String, step: &Value) {
    let verdict = word(&step["verdict"]);
    let (style, mut shown) = match verdict {
        "ok" => (AnsiColor::Green.on_default(), verdict.to_owned()),
        "refused" => (AnsiColor::Red.on_default(), format!("refused {}", step["status"])),
        "unknown" => (AnsiColor::Yellow.on_default(), verdict.to_owned()),
        _ => (Style::new().dimmed(), verdict.to_owned()),
    };
    let detail = match verdict {
        "refused" => format!("{}: {}", word(&step["reason"]), word(&step["detail"])),
        _ => word(&step["detail"]).to_owned(),
    };
    shown = format!("{shown:<11}");
    let stage = word(&step["stage"]);
    let number = step["step"].as_u64().unwrap_or_default();
    let styled = format!("{number:>3} {stage:<22} {style}{shown}{style:#} ");
    let plain = format!("{number:>3} {stage:<22} {shown} ").chars().count();
    with_indent(out, &styled, plain, &detail, STEP_INDENT);
    for target in list(&step["targets"]) {
        let chosen = if target["chosen"] == true { "* " } else { "  " };
        let line = format!(
            "{chosen}{} {} (weight {}, {} in flight)",
            word(&target["target"]),
            word(&target["state"]),
            target["weight"],
            target["in_flight"]
        );
        with_indent(out, &" ".repeat(STEP_INDENT), STEP_INDENT, &line, STEP_INDENT + 4);
    }
    for part in list(&step["parts"]) {
        let path = part["path"].as_str().map(|path| format!(" {} {path}", word(&part["method"])));
        let line =
            format!("{}: {}{}", word(&part["name"]), word(&part["upstream"]), path.unwrap_or_default());
        with_indent(out, &" ".repeat(STEP_INDENT), STEP_INDENT, &line, STEP_INDENT + 4);
    }
}

fn outcome(out: &mut String, outcome: &Value) {
    out.push_str(&heading("Outcome"));
    let line = match word(&outcome["verdict"]) {
        "refused" => {
            format!(
                "refused {} {}: {}",
                outcome["status"],
                word(&outcome["reason"]),
                word(&outcome["detail"])
            )
        }
        "answered" => format!("answered {} by the gateway", outcome["status"]),
        "sent" => "sent to a service, whose answer is not known".to_owned(),
        _ => "not known: see the step that says so".to_owned(),
    };
    wrapped(out, "  ", &line, 4);
    for (name, key) in
        [("route", "route"), ("upstream", "upstream"), ("target", "target"), ("consumer", "consumer")]
    {
        if let Some(value) = outcome[key].as_str() {
            wrapped(out, &format!("  {name:<10}"), value, 12);
        }
    }
    headers(out, "headers of the answer", &outcome["headers"]);
    let sent = &outcome["sent"];
    if sent.is_object() {
        wrapped(out, "  sends     ", &format!("{} {}", word(&sent["method"]), word(&sent["url"])), 12);
        headers(out, "headers to the service", &sent["headers"]);
    }
}

fn headers(out: &mut String, title: &str, headers: &Value) {
    let all = list(headers);
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "  {title}");
    for line in all {
        wrapped(out, "    ", &format!("{}: {}", word(&line["name"]), word(&line["value"])), 6);
    }
}

fn heading(text: &str) -> String {
    let style = Style::new().bold();
    format!("{style}{text}{style:#}\n")
}

fn wrapped(out: &mut String, before: &str, text: &str, indent: usize) {
    with_indent(out, before, before.chars().count(), text, indent);
}

/// A text behind something that takes `taken` columns, broken between words; what follows is indented. A word that is
/// longer than a line is broken anywhere.
fn with_indent(out: &mut String, before: &str, taken: usize, text: &str, indent: usize) {
    out.push_str(before);
    let (mut column, mut fresh) = (taken, true);
    for word in text.split(' ').map(printable) {
        let mut rest: &str = &word;
        let length = rest.chars().count();
        if !fresh && column + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            (column, fresh) = (indent, true);
        }
        if !fresh {
            out.push(' ');
            column += 1;
        }
        while column + rest.chars().count() > WIDTH {
            let room = WIDTH.saturating_sub(column).max(1);
            let at = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
            let (now, later) = rest.split_at(at);
            out.push_str(now);
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            (column, rest) = (indent, later);
        }
        out.push_str(rest);
        column += rest.chars().count();
        fresh = false;
    }
    while out.ends_with(' ') {
        out.pop();
    }
    out.push('\n');
}

/// Without what would move a terminal's cursor: parts of it come from requests.
fn printable(word: &str) -> String {
    word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_line_fits_and_no_text_is_lost() {
        let long = "x".repeat(200);
        let told = json!({
            "request": { "method": "GET", "url": format!("http://h/{long}"), "ip": "127.0.0.1" },
            "routes": [{ "name": long, "verdict": "lost", "by": "path", "why": "another path" }],
            "steps": [
                { "stage": "rate_limit_by_identity", "step": 7, "verdict": "refused", "status": 429,
                  "reason": "rate_limited", "detail": format!("one two three {long} four\u{1b}[2J") },
            ],
            "outcome": { "verdict": "refused", "status": 429, "reason": "rate_limited", "detail": "a b", "headers": [
                { "name": "a", "value": long },
            ] },
        });
        let shown = anstream::adapter::strip_str(&text(&told)).to_string();
        assert!(
            shown.lines().all(|line| line.chars().count() <= WIDTH || line.contains(&long[..31])),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert_eq!(shown.matches('x').count(), 4 * 200, "{shown}");
    }

    #[test]
    fn many_routes_are_counted() {
        let far = |at: usize| json!({ "name": format!("r{at}"), "verdict": "lost", "by": "path", "why": "another path" });
        let mut routes: Vec<Value> = (0..100).map(far).collect();
        routes.push(json!({ "name": "one", "verdict": "taken", "by": "taken", "why": "it is" }));
        let shown = text(&json!({ "routes": routes, "steps": [], "outcome": {} }));
        let shown = anstream::adapter::strip_str(&shown).to_string();
        assert!(shown.contains("taken  one"), "{shown}");
        assert!(shown.contains("and 100 more"), "{shown}");
    }
}
