//! The rules of the pages can fail, and the site of this repository is whole.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{self, Entry, INDEX, Part};
use super::page::{Anchors, Page};
use super::{links, render, site};
use crate::tree::{self, Tree};

const PAGE: &str = "# A page\n\nIt says something.\n";

#[test]
fn a_link_leads_somewhere() {
    let cases: &[(&str, &[&str])] = &[
        ("[a](b.md), [c](b.md#twice-1), [d](#a), [e](https://example.com/x#y), [f](../crates/)", &[]),
        ("[a](gone.md)", &["`gone.md`, which does not exist"]),
        ("[a](b.md#gone)", &["no such heading"]),
        ("[a](#gone)", &["no such heading"]),
        ("[over two\nlines](gone.md)", &["which does not exist"]),
        ("[a](../../b.md)", &["outside of the repository"]),
        ("[a][r]\n\n[r]: gone.md", &["which does not exist"]),
        ("![a picture](https://example.com/x.png)", &["fetched from elsewhere"]),
        ("![](b.md)", &["says nothing"]),
        ("`[a](gone.md)`\n\n```\n[a](gone.md)\n```", &[]),
    ];
    for (text, expect) in cases {
        let page = format!("# A\n\nText.\n\n{text}\n");
        let tree = Tree::of(&[
            (INDEX, "# All\n\nPages.\n\n## Part\n\n- [A](a.md)\n- [B](b.md)\n"),
            ("docs/a.md", &page),
            ("docs/b.md", "# B\n\nText.\n\n## Twice\n\n## Twice\n"),
            ("crates/a.rs", "//! x\n"),
        ]);
        check(&tree, expect, text);
    }
}

#[test]
fn a_page_has_a_title_and_a_place_in_the_index() {
    let index = "# All\n\nPages.\n\n## Part\n\n- [A](a.md)\n- [Decisions](decisions/README.md)\n";
    let cases: &[(&str, &str, &[&str])] = &[
        ("docs/decisions/0001-a.md", PAGE, &[]),
        ("docs/b.md", PAGE, &["is not in docs/README.md"]),
        ("docs/a.md", "Text.\n", &["without a title"]),
        ("docs/a.md", "# A\n\n```yaml\na: 1\n```\n", &["no paragraph"]),
        ("docs/a.md", "# A\n\nText.\n\n# B\n", &["a second title"]),
        ("docs/a.md", "# A\n\nText.\n\n<b>bold</b>\n<!-- hidden -->\n", &["HTML", "HTML"]),
    ];
    for (path, text, expect) in cases {
        let mut files = vec![(INDEX, index), ("docs/decisions/README.md", PAGE), (*path, *text)];
        if *path != "docs/a.md" {
            files.push(("docs/a.md", PAGE));
        }
        check(&Tree::of(&files), expect, text);
    }
    let twice = format!("{index}- [A](a.md)\n");
    let files = [(INDEX, twice.as_str()), ("docs/decisions/README.md", PAGE), ("docs/a.md", PAGE)];
    check(&Tree::of(&files), &["listed twice"], "twice");
}

fn check(tree: &Tree, expect: &[&str], what: &str) {
    let found = links::check(tree);
    assert_eq!(found.len(), expect.len(), "{what}: {found:?}");
    for (finding, part) in found.iter().zip(expect) {
        assert!(finding.message.contains(part), "{part:?} not in {finding}");
    }
}

#[test]
fn anchors_are_those_of_github() {
    let mut anchors = Anchors::default();
    let cases = [
        ("Health checks", "health-checks"),
        ("Behind a load balancer: the PROXY protocol", "behind-a-load-balancer-the-proxy-protocol"),
        ("A first configuration: `init`", "a-first-configuration-init"),
        ("Client certificates (mTLS)", "client-certificates-mtls"),
        ("client_closed", "client_closed"),
        ("Health checks", "health-checks-1"),
    ];
    for (heading, expect) in cases {
        assert_eq!(anchors.next(&heading.replace('`', "")), expect);
    }
}

#[test]
fn the_index_is_the_order() {
    let text = "# All\n\n- [Begin](begin.md): see [limits](limits.md)\n\n## Part `two`\n\nText.\n\n- [Log](../CHANGELOG.md)\n";
    let part = |title: &str, name: &str, path: &str, line| Part {
        title: title.to_owned(),
        entries: vec![Entry { title: name.to_owned(), path: path.to_owned(), line }],
    };
    assert_eq!(
        index::parts(text),
        [part("All", "Begin", "docs/begin.md", 3), part("Part two", "Log", "CHANGELOG.md", 9)]
    );
}

#[test]
fn html_of_a_page_is_shown_and_not_obeyed() {
    let text = "# <script>alert(1)</script> & `<b>`\n\n[x](y.md#z)\n\n```html a.html\n<script>\n```\n\n| a |\n|--:|\n| 1 |\n";
    let tree = Tree::of(&[("docs/y.md", PAGE), ("docs/x/a.md", text)]);
    let html = render::markdown(&tree, "docs/x/a.md", "x/a.html", text).html;
    assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("style="), "{html}");
    assert!(html.contains("&lt;script&gt;") && html.contains("<p class=\"file\">a.html</p>"), "{html}");
    // From `docs/x/a.md`, `y.md` is beside it, and is not there: the link goes where the rule would have stopped it.
    assert!(html.contains("href=\"../x/y.md/index.html#z\""), "{html}");
}

#[test]
fn the_site_of_this_repository_is_whole() {
    let tree = Tree::read(&tree::root()).expect("the repository can be read");
    let files: BTreeMap<String, String> = site::files(&tree)
        .expect("the site can be made")
        .into_iter()
        .map(|file| (file.path, String::from_utf8_lossy(&file.bytes).into_owned()))
        .collect();
    assert!(files.len() > 60, "{} files", files.len());
    for (path, html) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
        for forbidden in ["<script", " style=", "<iframe", " src=\"http", " onclick="] {
            assert!(!html.contains(forbidden), "{path} has {forbidden}");
        }
        let titles = html.matches("<title>").count();
        assert_eq!(titles, 1, "{path}");
        for target in attributes(html) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let place =
                if file.is_empty() { path.clone() } else { links::resolve(path, file).expect("inside") };
            let there =
                files.get(&place).unwrap_or_else(|| panic!("{path} leads to {target}, which is not there"));
            let known = anchor.is_empty() || there.contains(&format!("id=\"{anchor}\""));
            assert!(known, "{path} leads to {target}, which {place} does not have");
        }
    }
    let listed: BTreeSet<&str> = attributes(&files["index.html"]).collect();
    for page in tree.files.iter().filter(|file| file.path.starts_with("docs/") && file.path.ends_with(".md"))
    {
        let decision = page.path.starts_with("docs/decisions/0");
        assert!(
            decision || listed.contains(site::place(&tree, &page.path).as_str()),
            "{} cannot be found",
            page.path
        );
    }
}

/// What a page names of the site: values of `href` and `src` that lead nowhere else.
fn attributes(html: &str) -> impl Iterator<Item = &str> {
    let values = ["href=\"", "src=\""].into_iter().flat_map(|name| html.split(name).skip(1));
    values.filter_map(|rest| rest.split('"').next()).filter(|value| !links::leads_elsewhere(value))
}

#[test]
fn a_description_ends_with_a_word() {
    let page = Page::read(&format!("# A\n\n{}\n", "word ".repeat(60)));
    assert!(page.description.ends_with("word…") && page.description.chars().count() <= 160);
}
