//! The configuration file on disk: read whole, replaced whole, with the permissions and the owner that it had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

/// As large as a configuration may be.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Its text.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than a configuration may be"));
    }
    Ok(text)
}

/// Puts `text` into the place of `old`, by rename: whoever reads the file sees one or the other. Where `old` is not what
/// is there any more, nothing is written (`WouldBlock`).
pub(super) fn replace(path: &Path, text: &str, old: &str) -> io::Result<()> {
    // A link goes on to be one: what it points to is replaced.
    let path = fs::canonicalize(path)?;
    let fresh = beside(&path)?;
    let result = write_fresh(&path, &fresh, text).and_then(|()| {
        if read(&path)? != old {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        fs::rename(&fresh, &path)
    });
    if let Err(error) = result {
        // It may not have come to be; what matters is told by `error`.
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    keep_rename(&path);
    Ok(())
}

/// Puts `old` back where `text` was written; what somebody else wrote meanwhile stays.
pub(super) fn put_back(path: &Path, text: &str, old: &str) -> io::Result<()> {
    match replace(path, old, text) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        result => result,
    }
}

fn write_fresh(path: &Path, fresh: &Path, text: &str) -> io::Result<()> {
    let had = fs::metadata(path)?;
    // Nobody else reads it before it has the permissions that the file had.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(fresh)?;
    let has = file.metadata()?;
    if (has.uid(), has.gid()) != (had.uid(), had.gid()) {
        fchown(&file, Some(had.uid()), Some(had.gid()))?;
    }
    file.set_permissions(had.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The name under which it is written first: in the same directory, so that renaming is one step.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.{}.new", std::process::id())))
}

/// After a power failure the new name is there as well. A file system that cannot promise it is no reason to fail.
fn keep_rename(path: &Path) {
    let synced =
        path.parent().map(|directory| File::open(directory).and_then(|directory| directory.sync_all()));
    if let Some(Err(error)) = synced {
        tracing::debug!(%error, "the directory of the configuration file cannot be synchronised");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn laid(text: &str) -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tollgate.yaml");
        fs::write(&path, text).unwrap();
        (directory, path)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_text_is_replaced_with_its_permissions_and_nothing_is_left_beside_it() {
        let (directory, path) = laid("old");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, "new", "old").unwrap();
        assert_eq!(read(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(directory.path()), ["tollgate.yaml"]);
    }

    #[test]
    fn what_somebody_else_wrote_stays() {
        let (directory, path) = laid("theirs");
        assert_eq!(replace(&path, "new", "old").unwrap_err().kind(), io::ErrorKind::WouldBlock);
        put_back(&path, "new", "old").unwrap();
        assert_eq!(read(&path).unwrap(), "theirs");
        assert_eq!(names(directory.path()), ["tollgate.yaml"]);
    }

    #[test]
    fn a_link_goes_on_to_be_one() {
        let (directory, path) = laid("old");
        let link = directory.path().join("link.yaml");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, "new", "old").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(read(&path).unwrap(), "new");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let (_directory, path) = laid("");
        File::create(&path).unwrap().set_len(BYTES_MAX + 1).unwrap();
        assert!(read(&path).is_err());
    }
}
