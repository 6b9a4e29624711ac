//! Who says that the machine is about to go.

use crate::issuer::HttpUrl;

/// Where the notice of an interruption is asked for. A machine that a cloud takes back tells it a short time ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeSource {
    /// EC2's instance metadata, version 2: `spot/instance-action`, two minutes ahead.
    Aws,
    /// Compute Engine's metadata: `instance/preempted`, half a minute ahead.
    Gcp,
    /// Azure's scheduled events: `Preempt` and `Terminate`, half a minute ahead or more.
    Azure,
    /// A URL of the operator's own: 200 says that the machine goes, 404 or 204 that it stays.
    Url(HttpUrl),
}

impl NoticeSource {
    /// Its name, for the operator's log.
    pub fn name(&self) -> &'static str {
        match self {
            NoticeSource::Aws => "aws",
            NoticeSource::Gcp => "gcp",
            NoticeSource::Azure => "azure",
            NoticeSource::Url(_) => "url",
        }
    }
}
