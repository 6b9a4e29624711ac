//! The matrix of attacks in docs/security.md and the tests that it names are the same thing: each row has tests, each
//! of them exists, and no test that bears the number of a published weakness is missing there.

use xtask::tree::{Tree, root};

const PAGE: &str = "docs/security.md";
const TESTS: &str = "crates/tollgate/tests/";

#[test]
fn every_test_that_the_matrix_names_exists() {
    let tree = Tree::read(&root()).expect("the repository can be read");
    let page = &tree.get(PAGE).expect("the page").text;
    let missing: Vec<&str> = rows(page).flat_map(named).filter(|test| !exists(&tree, test)).collect();
    assert!(missing.is_empty(), "{PAGE} names tests that do not exist:\n{}", missing.join("\n"));
}

#[test]
fn every_row_has_a_test() {
    let tree = Tree::read(&root()).expect("the repository can be read");
    let page = &tree.get(PAGE).expect("the page").text;
    let bare: Vec<&str> = rows(page).filter(|row| named(row).next().is_none()).collect();
    assert!(rows(page).count() > 50, "the tables of {PAGE} are found");
    assert!(bare.is_empty(), "rows of {PAGE} without a test:\n{}", bare.join("\n"));
}

#[test]
fn every_published_weakness_that_has_a_test_has_a_row_and_the_other_way_round() {
    let tree = Tree::read(&root()).expect("the repository can be read");
    let page = &tree.get(PAGE).expect("the page").text;
    let mut tested: Vec<String> = tree
        .rust()
        .filter(|file| file.path.starts_with(TESTS))
        .flat_map(|file| tests(&file.text).flat_map(numbers_of_a_name).collect::<Vec<_>>())
        .collect();
    let mut told: Vec<String> = rows(page).flat_map(numbers_of_a_row).collect();
    tested.sort();
    tested.dedup();
    told.sort();
    told.dedup();
    assert_eq!(told, tested, "rows of {PAGE}, and tests");
}

/// The rows of tables behind the heading of the matrix, their heads and rules left out.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    let matrix = page.split_once("\n## Attacks").map_or("", |(_, rest)| rest);
    let matrix = matrix.split("\n## What is not defended").next().unwrap_or_default();
    let is_row = |line: &&str| {
        line.starts_with("| ") && !line.starts_with("| attack") && !line.starts_with("| weakness")
    };
    matrix.lines().filter(is_row)
}

/// The tests that a row names: `file::test` or `folder::file::test` below the binary's tests, `tollgate_crate::test`
/// anywhere in that crate.
fn named(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2).filter(|span| span.contains("::"))
}

fn exists(tree: &Tree, test: &str) -> bool {
    let Some((place, name)) = test.rsplit_once("::") else { return false };
    if place.starts_with("tollgate_") {
        let package = place.replace('_', "-");
        return tree
            .rust()
            .filter(|file| file.package() == Some(&package))
            .any(|file| tests(&file.text).any(|found| found == name));
    }
    let path = format!("{TESTS}{}.rs", place.replace("::", "/"));
    tree.get(&path).is_some_and(|file| tests(&file.text).any(|found| found == name))
}

/// The names of the tests of a file.
fn tests(text: &str) -> impl Iterator<Item = &str> {
    text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split('(').next())
}

/// `cve_2019_9901_and_2021_29492_…` as `CVE-2019-9901` and `CVE-2021-29492`.
fn numbers_of_a_name(name: &str) -> Vec<String> {
    if !name.starts_with("cve_") {
        return Vec::new();
    }
    let words: Vec<&str> = name.split('_').collect();
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let pairs = words.windows(2).filter_map(|pair| match pair {
        [year, number] if year.len() == 4 && is_number(year) && number.len() >= 4 && is_number(number) => {
            year.starts_with("20").then(|| format!("CVE-{year}-{number}"))
        }
        _ => None,
    });
    pairs.collect()
}

fn numbers_of_a_row(row: &str) -> Vec<String> {
    row.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| word.starts_with("CVE-"))
        .map(str::to_owned)
        .collect()
}
