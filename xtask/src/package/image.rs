//! The image, written without any engine: an OCI layout (image-spec 1.1) in a tar archive, with one layer.
//!
//! `docker load`, `podman load` and `skopeo copy oci-archive:…` read it. Beside what OCI says stand Docker's own `Healthcheck`
//! in the configuration, and `manifest.json`, by which older engines find the parts.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::stage::{PROGRAM, Stage, TEXT};
use super::{Job, Texts, archive, version};
use crate::run;

/// Who it runs as; a number that orchestrators can compare ("runAsNonRoot"), beyond those of any host's users.
const USER: u32 = 65532;

/// Uncompressed, in decimal megabytes: what it is meant to keep below.
pub(super) const BAR_MB: f64 = 15.0;

/// Authorities of the machine that packs, in the places of Debian and Fedora. The gateway has roots of its own where there are none.
const BUNDLES: &[&str] = &["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

const PASSWD: &str =
    "root:x:0:0:root:/:/sbin/nologin\ntollgate:x:65532:65532:tollgate:/var/lib/tollgate:/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ntollgate:x:65532:\n";

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Writes `NAME-image.tar`.
pub(super) fn write(job: &Job, texts: &Texts) -> Result<PathBuf> {
    let layer = layer(job, texts)?;
    let diff = archive::sha256(&layer)?;
    let layer = archive::gzip(&layer)?;
    let layout = Stage::empty(job.stage("image"))?;
    let layer = blob(&layout, LAYER, &fs::read(&layer)?)?;
    let created = archive::rfc3339(job.epoch)?;
    let config = blob(&layout, CONFIG, text(&config(job, &created, &diff)).as_bytes())?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
    });
    let mut manifest = blob(&layout, MANIFEST, text(&manifest).as_bytes())?;
    let name = format!("tollgate:{}", version());
    manifest["platform"] = platform(job);
    manifest["annotations"] = json!({
        "io.containerd.image.name": name,
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.ref.name": version(),
    });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest] });
    layout.write("index.json", text(&index), TEXT)?;
    layout.write("oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", TEXT)?;
    let older = json!([{ "Config": place(&config), "RepoTags": [name], "Layers": [place(&layer)] }]);
    layout.write("manifest.json", text(&older), TEXT)?;
    let out = job.out.join(format!("{}-image.tar", job.name()));
    archive::tar(layout.root(), &["oci-layout", "index.json", "manifest.json", "blobs"], &out, job.epoch)?;
    Ok(out)
}

/// The root file system as one archive.
fn layer(job: &Job, texts: &Texts) -> Result<PathBuf> {
    let root = Stage::empty(job.stage("root"))?;
    root.copy(&job.binary, "usr/bin/tollgate", PROGRAM)?;
    root.write("etc/passwd", PASSWD, TEXT)?;
    root.write("etc/group", GROUP, TEXT)?;
    let bundle = BUNDLES.iter().map(Path::new).find(|path| path.is_file());
    let bundle =
        bundle.context("no bundle of authorities here: on Debian, `apt-get install ca-certificates`")?;
    root.copy(bundle, "etc/ssl/certs/ca-certificates.crt", TEXT)?;
    root.take("packaging/tollgate.yaml", "etc/tollgate/tollgate.yaml")?;
    root.take("LICENSE", "usr/share/doc/tollgate/LICENSE")?;
    root.compressed("usr/share/doc/tollgate/THIRD-PARTY-NOTICES", &texts.notices)?;
    root.folder("var/lib/tollgate")?;
    let out = job.stage("layer.tar");
    archive::tar(root.root(), &["etc", "usr"], &out, job.epoch)?;
    // What it may write, where a volume is mounted over it and where the root is writable.
    archive::tar_more(root.root(), &["var/lib/tollgate"], &out, job.epoch, USER)?;
    Ok(out)
}

fn config(job: &Job, created: &str, diff: &str) -> Value {
    let (architecture, variant) = job.target.image();
    let mut config = json!({
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "ExposedPorts": { "8080/tcp": {} },
            // The default configuration serves this machine only, which in a container is nobody.
            "Env": ["PATH=/usr/bin", "TOLLGATE_LISTEN=0.0.0.0:8080"],
            "Entrypoint": ["/usr/bin/tollgate"],
            "Cmd": ["run", "--config", "/etc/tollgate/tollgate.yaml"],
            "WorkingDir": "/etc/tollgate",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "tollgate",
                "org.opencontainers.image.description": "An API gateway in one static binary and one YAML file",
                "org.opencontainers.image.version": version(),
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
            // Times are nanoseconds.
            "Healthcheck": {
                "Test": ["CMD", "/usr/bin/tollgate", "status", "--ready", "--config", "/etc/tollgate/tollgate.yaml"],
                "Interval": 10_000_000_000_u64,
                "Timeout": 6_000_000_000_u64,
                "StartPeriod": 5_000_000_000_u64,
                "Retries": 3,
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff}")] },
        "history": [{ "created": created, "created_by": "./dev package" }],
    });
    if let Some(variant) = variant {
        config["variant"] = variant.into();
    }
    config
}

fn platform(job: &Job) -> Value {
    let (architecture, variant) = job.target.image();
    let mut platform = json!({ "architecture": architecture, "os": "linux" });
    if let Some(variant) = variant {
        platform["variant"] = variant.into();
    }
    platform
}

/// Puts content under its own sum; gives the descriptor.
fn blob(layout: &Stage, media: &str, content: &[u8]) -> Result<Value> {
    layout.write("blobs/sha256/new", content, TEXT)?;
    let folder = layout.root().join("blobs/sha256");
    let sum = archive::sha256(&folder.join("new"))?;
    fs::rename(folder.join("new"), folder.join(&sum))?;
    Ok(json!({ "mediaType": media, "digest": format!("sha256:{sum}"), "size": content.len() }))
}

/// Where a descriptor's content lies in the layout.
fn place(descriptor: &Value) -> String {
    format!("blobs/{}", descriptor["digest"].as_str().unwrap_or_default().replacen(':', "/", 1))
}

fn text(value: &Value) -> String {
    value.to_string()
}

/// An image that holds together.
pub struct Image {
    /// Its configuration, as OCI has it.
    pub config: Value,
    /// The unpacked root file system, in the folder that [`verify`] was given.
    pub root: PathBuf,
    /// Bytes of the layer, uncompressed.
    pub bytes: u64,
}

/// Unpacks an archive into `folder` as an engine would: every digest and size is compared, from the index down.
pub fn verify(image: &Path, folder: &Path) -> Result<Image> {
    let layout = folder.join("layout");
    unpack(image, &layout)?;
    let marker = json(&fs::read(layout.join("oci-layout"))?)?;
    ensure!(marker["imageLayoutVersion"] == "1.0.0", "oci-layout says {marker}");
    let index = json(&fs::read(layout.join("index.json"))?)?;
    let manifest = json(&checked(&layout, &index["manifests"][0], MANIFEST)?)?;
    let config = json(&checked(&layout, &manifest["config"], CONFIG)?)?;
    let layers = manifest["layers"].as_array().context("a manifest has layers")?;
    let diffs = config["rootfs"]["diff_ids"].as_array().context("a configuration names layers")?;
    ensure!(layers.len() == diffs.len(), "{} layers, {} of them named", layers.len(), diffs.len());
    let root = folder.join("root");
    let mut bytes = 0;
    for (layer, diff) in layers.iter().zip(diffs) {
        checked(&layout, layer, LAYER)?;
        let compressed = folder.join("layer.tar.gz");
        fs::copy(layout.join(place(layer)), &compressed)?;
        run::output(run::command("gzip", &["--decompress", "--force"]).arg(&compressed))?;
        let plain = folder.join("layer.tar");
        let sum = format!("sha256:{}", archive::sha256(&plain)?);
        ensure!(*diff == sum, "the layer is {sum} and not {diff}");
        bytes += fs::metadata(&plain)?.len();
        unpack(&plain, &root)?;
    }
    let platform = &index["manifests"][0]["platform"];
    ensure!(platform["architecture"] == config["architecture"], "two architectures: {platform}");
    Ok(Image { config, root, bytes })
}

/// What a descriptor describes, when it does.
fn checked(layout: &Path, descriptor: &Value, media: &str) -> Result<Vec<u8>> {
    ensure!(descriptor["mediaType"] == media, "{descriptor} is not {media}");
    let path = layout.join(place(descriptor));
    let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    let sum = format!("sha256:{}", archive::sha256(&path)?);
    if descriptor["digest"] != sum || descriptor["size"] != content.len() {
        bail!("{descriptor} is said of {} bytes with {sum}", content.len());
    }
    Ok(content)
}

fn json(content: &[u8]) -> Result<Value> {
    serde_json::from_slice(content).context("a document of the image")
}

fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut tar = run::command("tar", &["--extract", "--numeric-owner", "--file"]);
    run::output(tar.arg(archive).arg("--directory").arg(folder)).map(drop)
}

/// What it is beside what it is meant to be.
pub(super) fn size(image: &Image) -> String {
    let mb = image.bytes as f64 / 1e6;
    let verdict = if mb <= BAR_MB { "within" } else { "OVER" };
    format!("image uncompressed: {mb:.1} MB, {verdict} the bar of {BAR_MB} MB")
}
