//! The copy on disk of the last configuration that was good.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::TEXT_BYTES_MAX;

/// Where the last good configuration from one URL is kept.
pub(super) struct LastGood {
    path: PathBuf,
}

impl LastGood {
    /// In `directory`, under a name of the URL's own: another URL's configuration is never taken for it.
    pub(super) fn of(directory: &Path, url: &str) -> LastGood {
        let hash = digest(&SHA256, url.as_bytes());
        let name: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        LastGood { path: directory.join(format!("configuration-{name}.yaml")) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        File::open(&self.path)?.take(TEXT_BYTES_MAX as u64 + 1).read_to_end(&mut text)?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(text)
    }

    /// Replaces it by rename: a crash leaves the old one or the new one. It may hold secrets, so nobody else may read it.
    pub(super) fn write(&self, text: &[u8]) -> io::Result<()> {
        if self.read().is_ok_and(|kept| kept == text) {
            return Ok(());
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let fresh = self.path.with_extension("yaml.new");
        // What a crash has left there may have other permissions.
        let _ = fs::remove_file(&fresh);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_copy_is_replaced_whole_and_read_by_its_owner_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = dir.path().join("made/when/needed");
        let copy = LastGood::of(&state, "https://a/x.yaml");
        assert!(copy.read().is_err());
        for text in [&b"one"[..], b"two", b"two", b"3"] {
            copy.write(text).expect("written");
            assert_eq!(copy.read().expect("read"), text);
            let mode = fs::metadata(copy.path()).expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(&state).expect("listed").count(), 1, "nothing is left beside it");
        assert_ne!(copy.path(), LastGood::of(&state, "https://a/y.yaml").path());
    }
}
