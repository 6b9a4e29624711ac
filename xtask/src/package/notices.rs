//! The licences of what is linked, as their texts ask for: beside every copy of the binary.
//!
//! The texts are those in the sources of each crate, its C and C++ code included. Equal ones are written once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::linked::{Crate, Linked};
use crate::tree;

/// How deep below a crate's folder texts are looked for: `c_src/mimalloc/v2/LICENSE`.
const DEPTH_MAX: usize = 4;

/// What file names of such texts begin with, in lower case.
const BEGINNINGS: &[&str] = &["license", "licence", "copying", "copyright", "notice", "unlicense", "patents"];

/// Endings of files that are no such text, whatever their names.
const CODE: &[&str] = &["rs", "c", "cc", "cpp", "h", "py", "go", "json", "toml", "sh", "html"];

/// A library that comes with the compilers and not from a registry.
pub(super) struct Library {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// As SPDX writes it.
    pub(super) licence: &'static str,
}

/// Linked statically into every binary that `./dev package` builds.
pub(super) const LIBRARIES: &[Library] = &[
    Library {
        name: "rust-std",
        what: "the standard library of Rust, with the crates in it",
        licence: "MIT OR Apache-2.0",
    },
    Library { name: "glibc", what: "the GNU C Library", licence: "LGPL-2.1-or-later" },
    Library {
        name: "libstdc++",
        what: "the GNU Standard C++ Library",
        licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
    },
    Library {
        name: "libgcc",
        what: "the runtime of GCC, with the unwinder",
        licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
    },
];

const OPENING: &str = "\
Tollgate is under the Apache License 2.0, in the file LICENSE. Its binary is linked with the work of others, named here with
their licences, most of which ask for their text to go along.

";

const GLIBC: &str = "\
The GNU C Library is linked statically. Its licence lets everybody link the program anew with a changed copy of it: the
sources of Tollgate, and `./dev package`, which builds this binary from them, are all that takes.

";

/// The whole text.
pub(super) fn write(linked: &Linked) -> Result<String> {
    let mut out = OPENING.to_owned();
    writeln!(out, "Libraries that come with the compilers\n")?;
    for library in LIBRARIES {
        writeln!(out, "  {}: {} ({})", library.name, library.what, library.licence)?;
    }
    writeln!(out, "\n{GLIBC}Crates\n")?;
    let mut texts = Texts::default();
    let mut without = Vec::new();
    for krate in linked.0.values().filter(|krate| krate.checksum.is_some()) {
        let Some(licence) = &krate.licence else {
            bail!("{} {} declares no licence", krate.name, krate.version);
        };
        let found = texts.of(&krate.folder)?;
        writeln!(out, "  {} {} ({licence}){}", krate.name, krate.version, shown(&found))?;
        if found.is_empty() {
            without.push(krate);
        }
    }
    write_without(&mut out, &without)?;
    let lgpl = tree::root().join("packaging/licenses/LGPL-2.1.txt");
    let lgpl = fs::read_to_string(&lgpl).with_context(|| format!("reading {}", lgpl.display()))?;
    texts.number(&lgpl);
    for (number, text) in texts.sorted() {
        writeln!(out, "\n{}\n[{number}]\n\n{}", "-".repeat(80), text.trim_end())?;
    }
    Ok(out)
}

/// Who declares a licence and brings no text of it: that of the declaration, and who wrote it, stand in for it.
fn write_without(out: &mut String, without: &[&Crate]) -> Result<()> {
    if without.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nWithout a text in their sources (those of MIT, Apache-2.0 and BSD-3-Clause stand below); by\n"
    )?;
    for krate in without {
        let authors = match krate.authors.as_slice() {
            [] => krate.repository.clone().unwrap_or_else(|| "its authors".to_owned()),
            authors => authors.join(", "),
        };
        writeln!(out, "  {} {}: {authors}", krate.name, krate.version)?;
    }
    Ok(())
}

/// Numbers of texts: ` [3] [12]`.
fn shown(numbers: &[usize]) -> String {
    numbers.iter().map(|number| format!(" [{number}]")).collect()
}

/// Texts by their words, so that another indentation is no other text.
#[derive(Default)]
struct Texts {
    numbers: BTreeMap<String, usize>,
    texts: Vec<String>,
}

impl Texts {
    /// The numbers of the texts in the sources of a crate, sorted.
    fn of(&mut self, folder: &Path) -> Result<Vec<usize>> {
        let mut found = Vec::new();
        collect(folder, 0, &mut found).with_context(|| format!("reading {}", folder.display()))?;
        found.sort();
        let mut numbers: Vec<usize> = found.iter().map(|(_, text)| self.number(text)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn number(&mut self, text: &str) -> usize {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let next = self.texts.len() + 1;
        let number = *self.numbers.entry(words).or_insert(next);
        if number == next {
            self.texts.push(text.to_owned());
        }
        number
    }

    fn sorted(&self) -> impl Iterator<Item = (usize, &String)> {
        self.texts.iter().enumerate().map(|(index, text)| (index + 1, text))
    }
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        if path.is_dir() {
            if depth < DEPTH_MAX {
                collect(&path, depth + 1, found)?;
            }
        } else if is_notice(&name)
            && let Ok(text) = fs::read_to_string(&path)
            && !text.trim().is_empty()
        {
            found.push((path.to_string_lossy().into_owned(), text));
        }
    }
    Ok(())
}

fn is_notice(name: &str) -> bool {
    let code = name.rsplit_once('.').is_some_and(|(_, end)| CODE.contains(&end));
    // `lua_LICENSE.txt` of Luau.
    let begins = |word: &str| name.starts_with(word) || name.contains(&format!("_{word}"));
    !code && BEGINNINGS.iter().any(|word| begins(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_notices() {
        for (name, expect) in [
            ("license", true),
            ("license-mit", true),
            ("licence.md", true),
            ("lua_license.txt", true),
            ("unlicense", true),
            ("copying", true),
            ("license.rs", false),
            ("readme.md", false),
            ("relicense.txt", false),
        ] {
            assert_eq!(is_notice(name), expect, "{name}");
        }
    }

    #[test]
    fn equal_texts_are_written_once() {
        let mut texts = Texts::default();
        assert_eq!(texts.number("MIT\n  License"), 1);
        assert_eq!(texts.number("ISC"), 2);
        assert_eq!(texts.number("MIT License\n"), 1);
        assert_eq!(texts.sorted().count(), 2);
        assert_eq!(shown(&[1, 2]), " [1] [2]");
    }
}
