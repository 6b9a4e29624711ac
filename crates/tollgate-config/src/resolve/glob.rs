//! `*` and `?` in include paths. Neither matches a leading dot, so editors' swap files are no configuration.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::Reader;

/// What an include path stands for.
pub(crate) enum Matches {
    /// No `*` or `?`: one file, whether it exists or not.
    Plain(PathBuf),
    /// The files that match, sorted.
    Pattern(Vec<PathBuf>),
}

/// Finds the files that a path stands for, as seen from a directory. The error completes "the include …".
pub(crate) fn matches(directory: &Path, pattern: &str, reader: &mut Reader<'_>) -> Result<Matches, String> {
    if !pattern.contains(['*', '?']) {
        return Ok(Matches::Plain(directory.join(pattern)));
    }
    if pattern.contains("**") {
        return Err("uses `**`, which is not supported; name each level, as in `routes/*/*.yaml`".to_owned());
    }
    // Only what the include says is a pattern: the directory may have a star in its name.
    let mut found = vec![directory.to_path_buf()];
    let mut components = Path::new(pattern).components().peekable();
    while let Some(component) = components.next() {
        let last = components.peek().is_none();
        let mut next = Vec::new();
        for base in found {
            step(base, component, last, reader, &mut next)?;
        }
        found = next;
    }
    found.sort();
    Ok(Matches::Pattern(found))
}

fn step(
    base: PathBuf,
    component: Component<'_>,
    last: bool,
    reader: &mut Reader<'_>,
    next: &mut Vec<PathBuf>,
) -> Result<(), String> {
    let name = component.as_os_str().to_string_lossy();
    if !name.contains(['*', '?']) {
        next.push(base.join(component));
        return Ok(());
    }
    let directory = if base.as_os_str().is_empty() { Path::new(".") } else { &base };
    let entries = match reader.list(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(());
        }
        Err(error) => return Err(format!("cannot list `{}`: {error}", directory.display())),
    };
    let fits = entries.into_iter().filter(|entry| entry.directory != last && fits(&name, &entry.name));
    next.extend(fits.map(|entry| base.join(entry.name)));
    if next.len() > crate::bounds::INCLUDES {
        return Err(format!("matches more than {} files", crate::bounds::INCLUDES));
    }
    Ok(())
}

/// Whether a name fits a pattern of `*` and `?`. Linear but for one remembered `*`.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, expect) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", ".a.yaml", false),
            ("*.yaml", "a.yaml.bak", false),
            ("*.yaml", "a.yaml~", false),
            (".*.yaml", ".a.yaml", true),
            ("?.yaml", "a.yaml", true),
            ("?.yaml", "é.yaml", true),
            ("?.yaml", "ab.yaml", false),
            ("a*b*c", "aXbXbc", true),
            ("a*b*c", "aXbXb", false),
            ("*", "anything", true),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name), expect, "{pattern} {name}");
        }
    }
}
