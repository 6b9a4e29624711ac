//! Configurations and what becomes of them: `good/*.yaml` → `*.plan.snap`, `bad/*.yaml` → `*.diag.snap`.
//!
//! `UPDATE_EXPECT=1 cargo test -p tollgate-config --test golden` writes the snapshots.

mod show;
mod world;

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use tollgate_config::{Severity, load, render};
use world::World;

#[test]
fn good_configurations_become_plans() {
    let cases = world::cases("good");
    assert!(cases.len() > 10, "the cases are there");
    for case in cases {
        let loaded = load(&case, &World).unwrap_or_else(|failed| {
            panic!("{} is refused:\n{}", case.display(), render(&failed.diagnostics, &failed.sources, false))
        });
        assert!(
            loaded.warnings.iter().all(|found| found.severity == Severity::Warning),
            "{}",
            case.display()
        );
        let warnings = render(&loaded.warnings, &loaded.sources, false);
        let files: Vec<String> = loaded.files.iter().map(|file| file.display().to_string()).collect();
        let proofs = show::proofs(&loaded.proofs);
        let shown = format!("{}{proofs}\nfiles: {}\n{warnings}", show::plan(&loaded.plan), files.join(" "));
        expect_file![snapshot(&case, "plan.snap")].assert_eq(&shown);
    }
}

#[test]
fn bad_configurations_become_diagnostics() {
    let cases = world::cases("bad");
    assert!(cases.len() > 50, "the cases are there");
    for case in cases {
        let failed = load(&case, &World).err().unwrap_or_else(|| panic!("{} is accepted", case.display()));
        assert!(
            failed.diagnostics.iter().any(|found| found.severity == Severity::Error),
            "{}",
            case.display()
        );
        let text = render(&failed.diagnostics, &failed.sources, false);
        assert!(!text.contains("very-secret"), "{} shows a secret:\n{text}", case.display());
        let json: String = failed.diagnostics.iter().map(|found| found.to_json().to_string()).collect();
        assert!(!json.contains("very-secret"), "{} tells a secret:\n{json}", case.display());
        for value in ["value-of-word", "value_of_letters", "s3cret", "MII"] {
            assert!(
                !text.contains(value) && !json.contains(value),
                "{} shows an expanded value",
                case.display()
            );
        }
        expect_file![snapshot(&case, "diag.snap")].assert_eq(&text);
    }
}

fn snapshot(case: &Path, ending: &str) -> PathBuf {
    world::root().join(case).with_extension(ending)
}
