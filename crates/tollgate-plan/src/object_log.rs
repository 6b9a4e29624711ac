//! An access log in an object store.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// `sink: object_store`: where records go, and where they wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLog {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///directory`.
    pub url: Box<str>,
    /// How the store is reached; what is not given comes from the environment or the machine's role.
    pub access: StoreAccess,
    /// An object holds about so many bytes of records, before compression.
    pub batch_bytes: u64,
    /// An object is made after this time, however few records there are.
    pub batch_every: Duration,
    /// The directory where records wait.
    pub spool_dir: PathBuf,
    /// Bytes that may wait there, compressed.
    pub spool_bytes: u64,
}

/// How an object store is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreAccess {
    /// The URL of the store, for others than the provider's own.
    pub endpoint: Option<Box<str>>,
    /// S3: the region that is signed for.
    pub region: Option<Box<str>>,
    /// S3: the key's name.
    pub access_key_id: Option<Box<str>>,
    /// S3: the key.
    pub secret_access_key: Option<Secret>,
    /// S3: the token of a temporary key.
    pub session_token: Option<Secret>,
    /// Google: a file with the key of a service account.
    pub service_account: Option<PathBuf>,
    /// Azure: the storage account.
    pub account: Option<Box<str>>,
    /// Azure: its key.
    pub account_key: Option<Secret>,
}

/// How many requests are logged, in percent, by the hundreds of their status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample(pub [u8; 5]);

impl Sample {
    /// Every request.
    pub const ALL: Sample = Sample([100; 5]);

    /// The share for a status; a status that is none is always logged.
    pub fn percent(self, status: u16) -> u8 {
        let class = usize::from(status / 100).checked_sub(1);
        class.and_then(|class| self.0.get(class)).copied().unwrap_or(100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_status() {
        let sample = Sample([1, 2, 3, 4, 5]);
        for (status, percent) in
            [(101, 1), (200, 2), (299, 2), (304, 3), (404, 4), (599, 5), (0, 100), (99, 100), (600, 100)]
        {
            assert_eq!(sample.percent(status), percent, "{status}");
        }
    }
}
