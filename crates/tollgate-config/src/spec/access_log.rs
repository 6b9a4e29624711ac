//! Where access records go, and what they hold.

use std::path::PathBuf;

use serde_json::json;

use super::issuer::ServiceUrl;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, List, LoggedHeader, Percent, Seconds, Shape, Size, shown, text};
use crate::yaml::NodeRef;

block! {
    /// One JSON line for every request.
    "access_log" AccessLog {
        /// Where the lines go.
        sink: Sink = Sink::Stdout;
        /// The file of `sink: file`, appended to.
        path: PathBuf;
        /// What happens when the bounded buffer is full: `drop` counts what is lost, `block` waits.
        on_full: OnFull = OnFull::Drop;
        /// Request headers that each line carries. Those with credentials are refused.
        headers: List<LoggedHeader>;
        /// Whether lines carry the query.
        log_query: bool = false;
        /// The object store of `sink: object_store`: `s3://bucket/prefix`, `gs://bucket/prefix`,
        /// `az://container/prefix` or `file:///directory`.
        url: StoreUrl;
        /// How the object store is reached, where the environment or the role of the machine does not say it.
        store: StoreAccess;
        /// How lines are batched into objects.
        batch: Batch;
        /// Where lines wait for the object store.
        spool: Spool;
        /// How many requests are logged, by the hundreds of their status.
        sample: Sample;
    }
}

block! {
    /// An object for so many lines, named `dt=YYYY-MM-DD/hr=HH/<instance>-<sequence>.ndjson.zst` (UTC).
    "batch" Batch {
        /// Bytes of lines, before compression.
        size: Size<{ 16 << 10 }, { 256 << 20 }> = Size(8 << 20);
        /// An object is made after this time, however few lines there are.
        every: Seconds<100, 86_400_000> = Seconds::of(60);
    }
}

block! {
    /// Lines on the disk until the object store has them: they survive a crash, and a store that is down.
    "spool" Spool {
        /// The directory, made when it is not there. Several gateways may share it. Left out: `/var/lib/tollgate/spool`.
        dir: PathBuf;
        /// Bytes that may wait there, compressed; over it the oldest are dropped and counted.
        size: Size<{ 64 << 10 }, { 1 << 40 }> = Size(256 << 20);
    }
}

block! {
    /// How many requests are logged, by the hundreds of their status. What is left out is not counted as dropped.
    "sample" Sample {
        /// Connections that became something else, such as WebSocket.
        informational as "1xx": Percent<0> = Percent(100);
        /// Successes.
        successful as "2xx": Percent<0> = Percent(100);
        /// Redirections.
        redirected as "3xx": Percent<0> = Percent(100);
        /// Mistakes of clients.
        refused as "4xx": Percent<0> = Percent(100);
        /// Mistakes of services or of the gateway.
        failed as "5xx": Percent<0> = Percent(100);
    }
}

block! {
    /// How the object store is reached. What is left out comes from the environment, by the names that the store's own tools
    /// use (`AWS_…`, `GOOGLE_…`, `AZURE_STORAGE_…`), or from the role of the machine.
    "store_access" StoreAccess {
        /// The URL of the store, for others than the provider's own: MinIO, Ceph, R2.
        endpoint: ServiceUrl;
        /// `s3`: the region that is signed for. Left out: the environment's, then `us-east-1`.
        region: String;
        /// `s3`: the name of the key.
        access_key_id: String;
        /// `s3`: the key.
        secret_access_key: String;
        /// `s3`: the token of a temporary key.
        session_token: String;
        /// `gs`: a file with the key of a service account.
        service_account: PathBuf;
        /// `az`: the storage account.
        account: String;
        /// `az`: its key.
        account_key: String;
        /// Whether `endpoint` may be plain http to other machines.
        allow_http: bool = false;
    }
}

choice! {
    /// A sink for access records.
    Sink {
        /// Standard output.
        "stdout" => Stdout,
        /// A file.
        "file" => File,
        /// An object store, by way of a spool on disk.
        "object_store" => ObjectStore,
        /// None.
        "off" => Off,
    }
}

choice! {
    /// What a worker does when the log buffer is full.
    OnFull {
        /// Drop the record and count it.
        "drop" => Drop,
        /// Wait for room.
        "block" => Block,
    }
}

/// A place in an object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrl {
    /// `s3`, `gs`, `az` or `file`.
    pub(crate) scheme: &'static str,
    pub(crate) text: String,
}

impl Shape for StoreUrl {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match parse(&scalar.text) {
            Ok(scheme) => Some(StoreUrl { scheme, text: scalar.text.to_string() }),
            Err(why) => {
                let message = format!("bad URL `{}`: {why}", shown(node, report));
                report.push(Finding::error(Code::BadValue, node.span(), message));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("URL", json!({ "type": "string", "pattern": r"^(s3|gs|az|file)://|\$\{" }))
    }
}

/// The scheme; or what is wrong, in words that repeat nothing of the URL.
fn parse(url: &str) -> Result<&'static str, &'static str> {
    let known = ["s3", "gs", "az", "file"];
    let split = url.split_once("://");
    let scheme = split.and_then(|(scheme, _)| known.into_iter().find(|known| *known == scheme));
    let (Some(scheme), Some((_, rest))) = (scheme, split) else {
        return Err("it must begin with s3://, gs://, az:// or file://");
    };
    if rest.contains(['?', '#', '@']) || rest.chars().any(char::is_control) {
        return Err("it has no user, no options and no fragment; credentials stand under `store`");
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    match (scheme, bucket) {
        ("file", "") if rest.starts_with('/') => {}
        ("file", _) => return Err("a directory is named by its whole path, as in file:///var/log/tollgate"),
        (_, "") => return Err("the bucket is missing"),
        (_, bucket) if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) => {
            return Err("that is no name of a bucket");
        }
        _ => {}
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    if !prefix.is_empty() && prefix.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("its path has an empty part, `.` or `..`");
    }
    Ok(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (url, scheme) in [
            ("s3://bucket", "s3"),
            ("s3://bucket/", "s3"),
            ("gs://b.example.com/logs/edge/", "gs"),
            ("az://container/logs", "az"),
            ("file:///var/log/tollgate", "file"),
        ] {
            assert_eq!(parse(url), Ok(scheme), "{url}");
        }
        for url in [
            "",
            "bucket",
            "http://bucket/x",
            "s3:bucket",
            "s3://",
            "s3:///x",
            "s3://key:secret@bucket",
            "s3://bucket?region=x",
            "s3://b c",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "file://relative/x",
            "file:relative",
            "file:///a/../b",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
