//! Where a path leads, link by link: the directories to watch so that no way of replacing a file is missed.
//!
//! A Kubernetes volume swaps the link `..data`, an editor renames a file over another: both happen in a
//! directory, and not always in the one that the path names.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Links followed before a path counts as a loop, as in the kernel.
const LINKS_MAX: usize = 40;

/// The directories that decide what a path means, and the names in them. All without links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trail {
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) names: BTreeSet<PathBuf>,
}

impl Trail {
    /// Follows `path` and adds what was met. What does not exist ends the trail: its directory is watched.
    pub(super) fn follow(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        let mut rest = VecDeque::new();
        prepend(&mut rest, &path);
        let mut here = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                here.pop();
                continue;
            }
            let next = here.join(&name);
            let metadata = next.symlink_metadata();
            let link = metadata.as_ref().is_ok_and(|metadata| metadata.is_symlink());
            if link || metadata.is_err() || rest.is_empty() {
                self.directories.insert(here.clone());
                self.names.insert(next.clone());
            }
            if metadata.is_err() {
                return;
            }
            if !link {
                here = next;
                continue;
            }
            links += 1;
            let Ok(target) = std::fs::read_link(&next) else { return };
            if links > LINKS_MAX {
                return;
            }
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            prepend(&mut rest, &target);
        }
    }
}

fn prepend(rest: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components().rev() {
        match component {
            Component::Normal(name) => rest.push_front(name.to_owned()),
            Component::ParentDir => rest.push_front("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn check(root: &Path, path: &str, directories: &[&str], names: &[&str]) {
        let mut trail = Trail::default();
        trail.follow(&root.join(path));
        let under = |paths: &BTreeSet<PathBuf>| -> Vec<String> {
            let relative = paths.iter().filter_map(|path| path.strip_prefix(root).ok());
            relative.map(|path| path.display().to_string()).collect()
        };
        assert_eq!(under(&trail.directories), directories, "{path}");
        assert_eq!(under(&trail.names), names, "{path}");
    }

    #[test]
    fn every_link_on_the_way_is_a_name_to_watch() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("vol/..1")).unwrap();
        fs::write(root.join("vol/..1/t.yaml"), "").unwrap();
        symlink("..1", root.join("vol/..data")).unwrap();
        symlink("..data/t.yaml", root.join("vol/t.yaml")).unwrap();
        symlink(root.join("vol/t.yaml"), root.join("far.yaml")).unwrap();
        symlink("../vol/../vol", root.join("vol/self")).unwrap();
        symlink("loop", root.join("loop")).unwrap();

        check(&root, "vol/..1/t.yaml", &["vol/..1"], &["vol/..1/t.yaml"]);
        let volume = ["vol/..1/t.yaml", "vol/..data", "vol/t.yaml"];
        check(&root, "vol/t.yaml", &["vol", "vol/..1"], &volume);
        let far = ["far.yaml", "vol/..1/t.yaml", "vol/..data", "vol/t.yaml"];
        check(&root, "far.yaml", &["", "vol", "vol/..1"], &far);
        check(&root, "vol/self/gone.yaml", &["vol"], &["vol/gone.yaml", "vol/self"]);
        check(&root, "no/where.yaml", &[""], &["no"]);
        check(&root, "loop", &[""], &["loop"]);
    }
}
