//! The rules of the house, as a test: `cargo xtask tidy` prints the same list.

#[test]
fn the_tree_is_tidy() {
    let tree = xtask::tree::Tree::read(&xtask::tree::root()).expect("the repository can be read");
    let findings: Vec<String> = xtask::tidy::check(&tree).iter().map(|finding| finding.to_string()).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
