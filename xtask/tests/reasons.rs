//! Every reason for which the gateway answers by itself is explained to operators, and nothing else is.

use tollgate_plan::Reason;

#[test]
fn every_reason_is_explained() {
    let page =
        std::fs::read_to_string(xtask::tree::root().join("docs/troubleshooting.md")).expect("the page");
    let mut headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    headings.sort_unstable();
    codes.sort_unstable();
    assert_eq!(headings, codes);
}
