//! Waits for the notice that this machine is about to go: clouds take spot instances back, and tell them a short time
//! ahead.

mod notice;
mod when;

use std::time::{Duration, SystemTime};

use tollgate_plan::issuer::HttpUrl;
use tollgate_plan::notice::NoticeSource;
use tollgate_proxy::{Ask, Control, Told, ask};

use notice::Notice;

/// The metadata service of all three clouds: an address of the link, that only this machine reaches.
const METADATA: &str = "http://169.254.169.254";
/// The variable with another address of it, for tests and for machines that reach it through a proxy.
const ENDPOINT: &str = "TOLLGATE_METADATA_ENDPOINT";
/// A metadata service answers at once or not at all.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of its answers; a list of scheduled events is the longest.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long a token of EC2's metadata is asked to be good for, the longest there is; and when another one is asked for.
const TOKEN_TTL_S: u32 = 21_600;
const TOKEN_RENEWED_AFTER: Duration = Duration::from_secs(21_600 / 2);

/// Waits until the machine is about to go; the time that is left, where somebody says. For ever, when nothing says so.
pub(crate) async fn announced(control: &Control) -> Option<Duration> {
    let mut watcher: Option<Watcher> = None;
    loop {
        let plan = control.plan();
        let source = plan.notice.clone();
        drop(plan);
        // A reload may have named somebody else.
        if watcher.as_ref().map(|watcher| &watcher.source) != source.as_ref() {
            watcher = source.map(Watcher::new);
        }
        let Some(watcher) = &mut watcher else {
            tokio::time::sleep(Duration::from_secs(5)).await;
            continue;
        };
        if let Some(notice) = watcher.look().await {
            let left = notice.left(SystemTime::now());
            let when = left.map_or("and not when".to_owned(), |left| format!("in {} s", left.as_secs()));
            let (name, what) = (watcher.source.name(), &notice.what);
            tracing::warn!("{name} says that this machine goes, {when} ({what}): draining");
            return left;
        }
        tokio::time::sleep(every(&watcher.source)).await;
    }
}

/// How often is asked: as the providers advise, for the time that their notices leave.
fn every(source: &NoticeSource) -> Duration {
    match source {
        NoticeSource::Aws | NoticeSource::Url(_) => Duration::from_secs(5),
        NoticeSource::Gcp | NoticeSource::Azure => Duration::from_secs(1),
    }
}

/// Asks one source.
struct Watcher {
    source: NoticeSource,
    /// What lets in at EC2's metadata, and since when.
    token: Option<(String, tokio::time::Instant)>,
    /// This machine among those that Azure tells about.
    machine: Option<String>,
    failing: bool,
}

impl Watcher {
    fn new(source: NoticeSource) -> Watcher {
        Watcher { source, token: None, machine: None, failing: false }
    }

    /// The notice, if there is one. A source that does not answer is told about once.
    async fn look(&mut self) -> Option<Notice> {
        let outcome = match self.source.clone() {
            NoticeSource::Aws => self.aws().await,
            NoticeSource::Gcp => self.gcp().await,
            NoticeSource::Azure => self.azure().await,
            NoticeSource::Url(url) => {
                get(&url, &[]).await.and_then(|told| notice::url(told.status, &told.body))
            }
        };
        let name = self.source.name();
        match &outcome {
            Err(why) if !self.failing => {
                tracing::warn!("{name} cannot be asked whether this machine goes: {why}");
            }
            Ok(_) if self.failing => tracing::info!("{name} answers again"),
            Ok(_) | Err(_) => {}
        }
        self.failing = outcome.is_err();
        outcome.ok().flatten()
    }

    async fn aws(&mut self) -> Result<Option<Notice>, String> {
        let renew = self.token.as_ref().is_none_or(|(_, since)| since.elapsed() >= TOKEN_RENEWED_AFTER);
        if renew {
            let wanted = ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL_S.to_string());
            let told = question(true, &at("/latest/api/token")?, &[wanted]).await?;
            let token = String::from_utf8(told.body.to_vec()).map_err(|error| error.to_string())?;
            if told.status != 200 {
                return Err(format!("its token: answered {}", told.status));
            }
            self.token = Some((token, tokio::time::Instant::now()));
        }
        let token = self.token.as_ref().map(|(token, _)| token.clone()).unwrap_or_default();
        let url = at("/latest/meta-data/spot/instance-action")?;
        let told = get(&url, &[("x-aws-ec2-metadata-token", token)]).await?;
        if told.status == 401 {
            // It is good no more; the next question brings another one.
            self.token = None;
        }
        notice::aws(told.status, &told.body)
    }

    async fn gcp(&mut self) -> Result<Option<Notice>, String> {
        let url = at("/computeMetadata/v1/instance/preempted")?;
        let headers =
            [("metadata-flavor", "Google".to_owned()), ("host", "metadata.google.internal".to_owned())];
        let told = get(&url, &headers).await?;
        notice::gcp(told.status, &told.body)
    }

    async fn azure(&mut self) -> Result<Option<Notice>, String> {
        let flag = [("metadata", "true".to_owned())];
        if self.machine.is_none() {
            let url = at("/metadata/instance/compute/name?api-version=2021-02-01&format=text")?;
            let told = get(&url, &flag).await?;
            if told.status != 200 {
                return Err(format!("the machine's name: answered {}", told.status));
            }
            self.machine = Some(String::from_utf8_lossy(&told.body).trim().to_owned());
        }
        let told = get(&at("/metadata/scheduledevents?api-version=2020-07-01")?, &flag).await?;
        notice::azure(told.status, &told.body, self.machine.as_deref().unwrap_or_default())
    }
}

fn at(path: &str) -> Result<HttpUrl, String> {
    let endpoint = std::env::var(ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty());
    let endpoint = endpoint.as_deref().unwrap_or(METADATA).trim_end_matches('/');
    HttpUrl::parse(&format!("{endpoint}{path}")).map_err(|why| format!("{ENDPOINT}: {why}"))
}

async fn get(url: &HttpUrl, headers: &[(&'static str, String)]) -> Result<Told, String> {
    question(false, url, headers).await
}

async fn question(put: bool, url: &HttpUrl, headers: &[(&'static str, String)]) -> Result<Told, String> {
    let question = Ask { put, url, headers, bytes_max: ANSWER_BYTES_MAX, within: ASK_WITHIN };
    ask(question).await.map_err(|error| error.to_string())
}
