//! The store: `object_store`, reached over connections that are given.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::http::{Connector, Dial};

/// Who ships tries again by itself, later, and with other credentials if need be.
const RETRIES: usize = 0;

/// Of what a store says so much is repeated.
const SAID_BYTES_MAX: usize = 400;

/// How a store is reached. What is left out comes from the environment, as that of the store's own tools does, or from the
/// machine's role.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The URL of the store, for others than the provider's own.
    pub endpoint: Option<String>,
    /// S3: the region that is signed for.
    pub region: Option<String>,
    /// S3: the key's name.
    pub access_key_id: Option<String>,
    /// S3: the key.
    pub secret_access_key: Option<String>,
    /// S3: the token of a temporary key.
    pub session_token: Option<String>,
    /// Google: a file with the key of a service account.
    pub service_account: Option<PathBuf>,
    /// Azure: the storage account.
    pub account: Option<String>,
    /// Azure: its key.
    pub account_key: Option<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Half of them are secrets.
        f.debug_struct("Options").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// A place in a store.
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// Why a store does not do what it should, in words for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(String);

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<object_store::Error> for StoreError {
    fn from(error: object_store::Error) -> StoreError {
        StoreError::saying(&error.to_string())
    }
}

impl StoreError {
    pub(crate) fn saying(text: &str) -> StoreError {
        let end = text.floor_char_boundary(SAID_BYTES_MAX);
        // A store answers with documents of several lines; one line of a log says it.
        let said: Vec<&str> = text.get(..end).unwrap_or_default().split_whitespace().collect();
        StoreError(said.join(" "))
    }
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Below the store's prefix.
    pub(crate) key: String,
    pub(crate) bytes: u64,
}

impl Store {
    /// The place that a URL names: `s3://bucket/prefix`, `gs://`, `az://container/prefix`, `file:///directory`. Nothing is
    /// asked of the store yet. A directory is made where it is not there and `make` says so.
    pub fn open(url: &str, options: &Options, dial: Arc<dyn Dial>, make: bool) -> Result<Store, StoreError> {
        let (scheme, rest) =
            url.split_once("://").ok_or_else(|| StoreError::saying("the URL has no scheme"))?;
        if scheme == "file" {
            return directory(FilePath::new(rest), make);
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            // The stores' own tools would ask the machine's role first, and fail for another reason.
            return Err(StoreError::saying("the bucket is missing: write s3://bucket/prefix"));
        }
        let prefix = Path::parse(prefix).map_err(|error| StoreError::saying(&error.to_string()))?;
        let connector = Connector(dial);
        let inner: Arc<dyn ObjectStore> = match scheme {
            "s3" => s3(bucket, options, connector)?,
            "gs" => gs(bucket, options, connector)?,
            "az" => az(bucket, options, connector)?,
            _ => return Err(StoreError::saying("the URL must begin with s3://, gs://, az:// or file://")),
        };
        Ok(Store { inner, prefix })
    }

    pub(crate) async fn put(&self, key: &str, body: Vec<u8>) -> Result<(), StoreError> {
        let body = PutPayload::from_bytes(Bytes::from(body));
        self.inner.put(&self.path(key)?, body).await?;
        Ok(())
    }

    pub(crate) async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        Ok(self.inner.get(&self.path(key)?).await?.bytes().await?)
    }

    /// The objects below a folder, by key; at most `max`, of which there may be more.
    pub(crate) async fn list(&self, folder: &str, max: usize) -> Result<Vec<Object>, StoreError> {
        let below = self.path(folder)?;
        let mut listing = self.inner.list(Some(&below));
        let mut objects = Vec::new();
        while let Some(object) = listing.try_next().await? {
            if objects.len() == max {
                break;
            }
            let parts = object.location.prefix_match(&self.prefix);
            let key =
                parts.map(|parts| parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
            objects.extend(key.map(|key| Object { key, bytes: object.size }));
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// An object and its entity tag, for those who keep it; none while it is the one that they know by this tag.
    pub async fn fetch(
        &self,
        key: &str,
        known: Option<&str>,
        bytes_max: u64,
    ) -> Result<Option<(Bytes, Option<String>)>, StoreError> {
        let options = GetOptions { if_none_match: known.map(str::to_owned), ..GetOptions::default() };
        let got = match self.inner.get_opts(&self.path(key)?, options).await {
            Err(object_store::Error::NotModified { .. }) => return Ok(None),
            got => got?,
        };
        if got.meta.size > bytes_max {
            return Err(StoreError(format!("an object of more than {bytes_max} bytes")));
        }
        let tag = got.meta.e_tag.clone();
        Ok(Some((got.bytes().await?, tag)))
    }

    fn path(&self, key: &str) -> Result<Path, StoreError> {
        let whole =
            if self.prefix.as_ref().is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) };
        Path::parse(whole).map_err(|error| StoreError::saying(&error.to_string()))
    }
}

fn directory(path: &FilePath, make: bool) -> Result<Store, StoreError> {
    let fault = |error: std::io::Error| StoreError(format!("{}: {error}", path.display()));
    if !path.is_absolute() {
        return Err(StoreError::saying("a directory is named by its whole path: file:///var/log/tollgate"));
    }
    if make {
        std::fs::create_dir_all(path).map_err(fault)?;
    }
    let inner = LocalFileSystem::new_with_prefix(path)?.with_fsync(true);
    Ok(Store { inner: Arc::new(inner), prefix: Path::default() })
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, ..RetryConfig::default() }
}

fn s3(bucket: &str, options: &Options, connector: Connector) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let mut builder = match (&options.access_key_id, &options.secret_access_key) {
        // A token or a role of the environment belongs to its own key.
        (Some(id), Some(key)) => AmazonS3Builder::new().with_access_key_id(id).with_secret_access_key(key),
        _ => AmazonS3Builder::from_env(),
    };
    builder = builder.with_bucket_name(bucket);
    if let Some(token) = &options.session_token {
        builder = builder.with_token(token);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_config(object_store::aws::AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    Ok(Arc::new(builder.with_retry(retry()).with_http_connector(connector).build()?))
}

fn gs(bucket: &str, options: &Options, connector: Connector) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    if let Some(file) = &options.service_account {
        builder = builder.with_service_account_path(file.display().to_string());
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
    }
    Ok(Arc::new(builder.with_retry(retry()).with_http_connector(connector).build()?))
}

fn az(container: &str, options: &Options, connector: Connector) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
    if let Some(account) = &options.account {
        builder = builder.with_account(account);
    }
    if let Some(key) = &options.account_key {
        builder = builder.with_access_key(key);
    }
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_config(AzureConfigKey::Endpoint, endpoint);
    }
    Ok(Arc::new(builder.with_retry(retry()).with_http_connector(connector).build()?))
}

#[cfg(test)]
mod tests {
    use std::io;

    use async_trait::async_trait;

    use super::*;
    use crate::http::Stream;

    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl Dial for Nobody {
        async fn dial(&self, _: &str, _: u16, _: bool) -> io::Result<Box<dyn Stream>> {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }

    fn open(url: &str, options: Options) -> Result<Store, StoreError> {
        Store::open(url, &options, Arc::new(Nobody), true)
    }

    #[test]
    fn what_is_no_place() {
        for url in ["bucket", "http://bucket/x", "s3://b/a//b", "file://relative", "file:///proc/none/x"] {
            assert!(open(url, Options::default()).is_err(), "{url}");
        }
        // The account is nowhere.
        assert!(
            open("az://logs", Options { endpoint: Some("no url".into()), ..Options::default() }).is_err()
        );
    }

    #[test]
    fn options_do_not_show_their_secrets() {
        let options = Options { secret_access_key: Some("hush".into()), ..Options::default() };
        assert!(!format!("{options:?}").contains("hush"));
    }

    #[test]
    fn what_a_store_says_is_one_short_line() {
        let StoreError(said) = StoreError::saying(&format!("a\n  b\t{}", "é".repeat(1_000)));
        assert!(said.starts_with("a b é") && said.len() <= SAID_BYTES_MAX, "{said}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_directory_is_a_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = open(&format!("file://{}/new/logs", dir.path().display()), Options::default()).unwrap();
        assert_eq!(store.list("dt=2026-11-22", 10).await.unwrap(), []);
        store.put("dt=2026-11-22/hr=14/a.ndjson.zst", b"one".to_vec()).await.unwrap();
        store.put("dt=2026-11-22/hr=14/a.ndjson.zst", b"two".to_vec()).await.unwrap();
        store.put("dt=2026-11-22/hr=13/b.ndjson.zst", b"three".to_vec()).await.unwrap();
        let listed = store.list("dt=2026-11-22", 10).await.unwrap();
        let keys: Vec<(&str, u64)> = listed.iter().map(|object| (&*object.key, object.bytes)).collect();
        assert_eq!(keys, [("dt=2026-11-22/hr=13/b.ndjson.zst", 5), ("dt=2026-11-22/hr=14/a.ndjson.zst", 3)]);
        assert_eq!(store.get("dt=2026-11-22/hr=14/a.ndjson.zst").await.unwrap(), "two");
        assert!(store.get("dt=2026-11-22/hr=15/a.ndjson.zst").await.is_err());
        assert_eq!(store.list("dt=2026-11-22", 1).await.unwrap().len(), 1);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_store_that_nobody_answers_for_is_an_error() {
        let options = Options {
            endpoint: Some("http://127.0.0.1:1".into()),
            access_key_id: Some("id".into()),
            secret_access_key: Some("hush".into()),
            ..Options::default()
        };
        let error =
            open("s3://bucket/logs", options).unwrap().put("x", vec![1]).await.unwrap_err().to_string();
        assert!(!error.contains("hush"), "{error}");
    }
}
