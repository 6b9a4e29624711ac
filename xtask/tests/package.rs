//! What packages hold, and that the same binary gives the same bytes. Packed is a stand-in: what the gateway itself does in them
//! is tried by `./dev package --check`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tollgate_config::MemorySources;
use tollgate_content::decode::{Notation, decode};
use xtask::package::{Image, Job, Part, Target, pack, verify_image};
use xtask::tree;

const ALL: [Part; 4] = [Part::Tar, Part::Sbom, Part::Image, Part::Deb];

/// Packs a file that stands in for a binary of `target` into a new folder.
fn packed(target: Target, folder: &Path) -> BTreeMap<String, PathBuf> {
    fs::create_dir_all(folder).expect("a folder");
    let binary = folder.join("stand-in");
    fs::write(&binary, b"no program").expect("a file");
    let job = Job { target, binary, out: folder.to_owned(), epoch: 1_700_000_000 };
    let made = pack(&job, &ALL).expect("parcels");
    let name = |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
    made.iter().map(|path| (name(path), path.clone())).collect()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn ending<'a>(made: &'a BTreeMap<String, PathBuf>, end: &str) -> &'a str {
    let found = made.iter().find(|(name, _)| name.ends_with(end));
    found.and_then(|(_, path)| path.to_str()).expect(end)
}

fn read(path: &str) -> String {
    fs::read_to_string(tree::root().join(path)).expect(path)
}

#[test]
fn the_same_binary_gives_the_same_parcels() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) =
        (packed(Target::X86_64, &folder.path().join("a")), packed(Target::X86_64, &folder.path().join("b")));
    assert_eq!(first.len(), ALL.len());
    for (name, path) in &first {
        assert!(fs::read(path).expect(name) == fs::read(&second[name]).expect(name), "{name} differs");
    }
    let sums = folder.path().join("a/SHA256SUMS");
    let listed = fs::read_to_string(&sums).expect("sums");
    assert_eq!(listed.lines().count(), ALL.len(), "{listed}");
    let mut check = Command::new("sha256sum");
    check.args(["--check", "--strict", "--quiet"]).arg(&sums).current_dir(folder.path().join("a"));
    assert!(check.status().expect("sha256sum").success());
    check_archive(ending(&first, ".tar.gz"));
    check_package(ending(&first, ".deb"));
    check_sbom(ending(&first, ".cdx.json"));
}

fn check_archive(path: &str) {
    let listed = output("tar", &["--list", "--verbose", "--numeric-owner", "--gzip", "--file", path]);
    for part in [
        "tollgate\n",
        "LICENSE\n",
        "THIRD-PARTY-NOTICES\n",
        "SHA256SUMS\n",
        "tollgate.yaml\n",
        "tollgate.cdx.json\n",
        "packaging/systemd/tollgate.service\n",
        "docs/operate.md\n",
        "man/tollgate.1\n",
        "completions/tollgate.bash\n",
        "examples/first/tollgate.yaml\n",
    ] {
        assert!(listed.contains(&format!("-x86_64-unknown-linux-gnu/{part}")), "{part}: {listed}");
    }
    for line in listed.lines() {
        assert!(line.contains(" 0/0 ") && line.contains("2023-11-14"), "{line}");
    }
    let notices = output(
        "tar",
        &["--extract", "--to-stdout", "--gzip", "--file", path, "--wildcards", "*/THIRD-PARTY-NOTICES"],
    );
    for part in [
        "  aws-lc-sys ",
        "  luau0-src ",
        "  tokio ",
        "GNU C Library",
        "GNU LESSER GENERAL PUBLIC LICENSE",
        "Lua.org",
    ] {
        assert!(notices.contains(part), "{part}");
    }
    assert!(!notices.contains("  proptest "), "a library of tests");
}

fn check_package(path: &str) {
    let control = output("dpkg-deb", &["--field", path]);
    for part in ["Package: tollgate\n", "Architecture: amd64\n", "Depends: adduser", "Installed-Size: "] {
        assert!(control.contains(part), "{part}: {control}");
    }
    let listed = output("dpkg-deb", &["--contents", path]);
    for part in [
        "-rwxr-xr-x root/root",
        "./usr/bin/tollgate\n",
        "./etc/tollgate/tollgate.yaml\n",
        "./usr/lib/systemd/system/tollgate.service\n",
        "./usr/share/doc/tollgate/copyright\n",
        "./usr/share/doc/tollgate/changelog.gz\n",
        "./usr/share/man/man1/tollgate.1.gz\n",
        "./usr/share/man/man1/tollgate-run.1.gz\n",
        "./usr/share/bash-completion/completions/tollgate\n",
        "./usr/share/fish/vendor_completions.d/tollgate.fish\n",
        "./usr/share/zsh/vendor-completions/_tollgate\n",
    ] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    for line in listed.lines() {
        assert!(line.contains(" root/root "), "{line}");
        assert!(matches!(line.get(..10), Some("drwxr-xr-x" | "-rwxr-xr-x" | "-rw-r--r--")), "{line}");
    }
    assert_eq!(output("dpkg-deb", &["--info", path, "conffiles"]), "/etc/tollgate/tollgate.yaml\n");
    for script in ["postinst", "prerm", "postrm"] {
        let file = tree::root().join("packaging/debian").join(script);
        output("sh", &["-n", file.to_str().expect("a path")]);
    }
}

fn check_sbom(path: &str) {
    let document: Value = serde_json::from_str(&fs::read_to_string(path).expect("a document")).expect("JSON");
    assert_eq!(
        (document["bomFormat"].as_str(), document["specVersion"].as_str()),
        (Some("CycloneDX"), Some("1.5"))
    );
    assert_eq!(document["metadata"]["timestamp"], "2023-11-14T22:13:20Z");
    let components = document["components"].as_array().expect("components");
    let find = |name: &str| components.iter().find(|component| component["name"] == name);
    let tokio = find("tokio").expect("the runtime");
    let purl = tokio["purl"].as_str().expect("a package URL");
    assert!(purl.starts_with("pkg:cargo/tokio@1."), "{purl}");
    assert_eq!(tokio["hashes"][0]["content"].as_str().map(str::len), Some(64));
    assert_eq!(tokio["licenses"][0]["expression"], "MIT");
    for name in ["glibc", "rust-std", "tollgate-proxy", "aws-lc-sys"] {
        assert!(find(name).is_some(), "{name}");
    }
    // Runs in the compiler, builds C, tests.
    for name in ["serde_derive", "cc", "proptest", "tollgate-testkit", "xtask"] {
        assert!(find(name).is_none(), "{name} is not linked");
    }
    // Every edge leads to something that is there.
    let mut known: Vec<&str> =
        components.iter().filter_map(|component| component["bom-ref"].as_str()).collect();
    known.extend(document["metadata"]["component"]["bom-ref"].as_str());
    let count = known.len();
    known.sort_unstable();
    known.dedup();
    assert_eq!(known.len(), count, "a reference twice");
    for edge in document["dependencies"].as_array().expect("edges") {
        let ends = edge["dependsOn"].as_array().expect("a list").iter().chain([&edge["ref"]]);
        for end in ends.filter_map(Value::as_str) {
            assert!(known.binary_search(&end).is_ok(), "{end} is no component");
        }
    }
}

#[test]
fn the_image_holds_together() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = packed(Target::Aarch64, &folder.path().join("made"));
    let archive = ending(&made, "-image.tar");
    let Image { config, root, bytes } =
        verify_image(Path::new(archive), &folder.path().join("image")).expect("an image");
    assert!(bytes > 10_240, "{bytes}");
    assert_eq!((config["architecture"].as_str(), config["variant"].as_str()), (Some("arm64"), Some("v8")));
    let settings = &config["config"];
    assert_eq!(settings["User"], "65532:65532");
    assert_eq!(settings["Entrypoint"][0], "/usr/bin/tollgate");
    assert_eq!(settings["Healthcheck"]["Test"][2], "status");
    assert_eq!(fs::read(root.join("usr/bin/tollgate")).expect("the binary"), b"no program");
    assert!(fs::read_to_string(root.join("etc/passwd")).expect("users").contains("tollgate:x:65532:65532:"));
    let authorities =
        fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).expect("authorities");
    assert!(authorities.contains("BEGIN CERTIFICATE"));
    // The Dockerfile makes the same: what it says, it says alike.
    let dockerfile = read("packaging/image/Dockerfile");
    let list = |value: &Value| value.to_string().replace("\",\"", "\", \"");
    for part in [
        format!("USER {}", settings["User"].as_str().expect("a user")),
        format!("ENTRYPOINT {}", list(&settings["Entrypoint"])),
        format!("CMD {}", list(&settings["Cmd"])),
        format!("ENV {}", list(&settings["Env"]).replace(['[', ']', '"', ','], "")),
    ] {
        assert!(dockerfile.contains(&part), "{part}");
    }
}

#[test]
fn a_damaged_image_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = packed(Target::X86_64, &folder.path().join("made"));
    let archive = ending(&made, "-image.tar");
    let mut content = fs::read(archive).expect("an image");
    let at = content.windows(11).position(|part| part == b"65532:65532").expect("the user");
    content[at] = b'0';
    fs::write(archive, content).expect("a file");
    let error = verify_image(Path::new(archive), &folder.path().join("image")).err().expect("an error");
    assert!(error.to_string().contains("sha256:"), "{error}");
}

/// Loads a configuration whose environment has a token.
fn loads(name: &str, text: &str) -> tollgate_config::Loaded {
    let mut sources = MemorySources::default();
    sources.variables.insert("TOLLGATE_ADMIN_TOKEN".into(), "an-admin-token-for-a-test-of-files".into());
    match tollgate_config::load_text(name, text, &sources) {
        Ok(loaded) => loaded,
        Err(failed) => panic!("{name}: {:#?}", failed.diagnostics),
    }
}

#[test]
fn the_default_configuration_loads_with_and_without_its_comments() {
    let text = read("packaging/tollgate.yaml");
    let plain = loads("tollgate.yaml", &text);
    assert!(plain.warnings.is_empty(), "{:?}", plain.warnings);
    // From the first key on, `#` before a key or before two spaces hides something; TLS needs files that are not there.
    let (head, keys) = text.split_once("\nlisteners:").expect("listeners");
    let shown: Vec<String> = keys
        .lines()
        .filter(|line| {
            !["0.0.0.0:443", "tls:", "certificates:", "cert:"]
                .iter()
                .any(|part| line.starts_with('#') && line.contains(part))
        })
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if rest.starts_with("  ") || rest.starts_with(|c: char| c.is_ascii_lowercase()) => {
                rest.to_owned()
            }
            _ => line.to_owned(),
        })
        .collect();
    let shown = format!("{head}\nlisteners:{}\n", shown.join("\n"));
    let whole = loads("tollgate.yaml", &shown);
    assert!(whole.plan.routes.len() > plain.plan.routes.len(), "{shown}");
}

/// The documents of a file of YAML.
fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    let decoded = text
        .split("\n---\n")
        .map(|part| decode(part.as_bytes(), Notation::Yaml, 1 << 20).expect(path).into_owned());
    decoded.map(|text| serde_json::from_str(&text).expect(path)).collect()
}

#[test]
fn manifests_agree_with_the_configuration_in_them() {
    let objects = documents("packaging/kubernetes/tollgate.yaml");
    let of = |kind: &str, name: &str| {
        let found =
            objects.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let text = of("ConfigMap", "tollgate")["data"]["tollgate.yaml"].as_str().expect("a configuration");
    let plan = loads("the ConfigMap", text).plan;
    let deployment = &of("Deployment", "tollgate")["spec"];
    let pod = &deployment["template"]["spec"];
    let container = &pod["containers"][0];
    let needed = (plan.shutdown.delay + plan.shutdown.grace).as_secs();
    let given = pod["terminationGracePeriodSeconds"].as_u64().expect("seconds");
    assert!(given > needed, "{given} s for a drain of {needed} s");
    assert!(plan.shutdown.delay.as_secs() >= 5, "endpoints are removed while it waits");
    assert_eq!(container["ports"][1]["containerPort"], plan.admin.address.port());
    for (probe, path) in
        [("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/readyz")]
    {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], container["ports"][1]["name"]);
    }
    assert_eq!(pod["securityContext"]["runAsUser"], 65532);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let labels = &deployment["template"]["metadata"]["labels"];
    assert_eq!(labels, &deployment["selector"]["matchLabels"]);
    assert_eq!(labels, &of("PodDisruptionBudget", "tollgate")["spec"]["selector"]["matchLabels"]);
    assert_eq!(labels, &of("NetworkPolicy", "tollgate")["spec"]["podSelector"]["matchLabels"]);
    for service in ["tollgate", "tollgate-admin"] {
        assert_eq!(labels, &of("Service", service)["spec"]["selector"]);
    }
    assert!(
        objects
            .iter()
            .all(|object| object["kind"] == "Namespace" || object["metadata"]["namespace"] == "tollgate")
    );
    let image = container["image"].as_str().expect("an image");
    assert_eq!(image, format!("tollgate:{}", env!("CARGO_PKG_VERSION")), "the version stands in one place");
}

/// The version stands in the root's Cargo.toml. Where it has to be written once more, it is the same.
#[test]
fn the_version_stands_in_one_place() {
    let version = env!("CARGO_PKG_VERSION");
    let tree = tree::Tree::read(&tree::root()).expect("the repository");
    let manifests = tree.files.iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    for file in manifests.filter(|file| file.package().is_some()) {
        assert!(file.text.contains("\nversion.workspace = true\n"), "{}", file.path);
    }
    let install = read("docs/install.md");
    for name in [
        format!("tollgate-{version}-x86_64"),
        format!("tollgate_{version}_amd64.deb"),
        format!("tollgate:{version}"),
    ] {
        assert!(install.contains(&name), "docs/install.md has no {name}");
    }
    for file in ["docs/upgrading.md", "CHANGELOG.md"] {
        let said = read(file).lines().any(|line| line.trim_start_matches('#').trim().starts_with(version));
        assert!(said, "{file} has no section of {version}");
    }
    let changes = read("CHANGELOG.md");
    let newest = changes.lines().find(|line| line.starts_with("## "));
    assert_eq!(newest, Some("## Unreleased"), "what comes next is written on top");
}

#[test]
fn compose_names_what_is_there() {
    let compose = &documents("packaging/compose/compose.yaml")[0];
    let plan = loads("tollgate.yaml", &read("packaging/compose/gateway/tollgate.yaml")).plan;
    let services = compose["services"].as_object().expect("services");
    for (name, service) in services {
        for volume in service["volumes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            let (source, _) = volume.split_once(':').expect("a source");
            let there = match source.strip_prefix('.') {
                Some(_) => tree::root().join("packaging/compose").join(source).exists(),
                None => compose["volumes"].as_object().is_some_and(|volumes| volumes.contains_key(source)),
            };
            assert!(there, "{name}: {source}");
        }
    }
    assert_eq!(services["gateway"]["stop_grace_period"], "40s");
    assert!((plan.shutdown.delay + plan.shutdown.grace).as_secs() < 40);
    let image = services["gateway"]["image"].as_str().expect("an image");
    assert!(image.contains(&format!(":-tollgate:{}", env!("CARGO_PKG_VERSION"))), "{image}");
    let prometheus = &documents("packaging/compose/prometheus.yml")[0];
    let scrape = &prometheus["scrape_configs"][0];
    assert_eq!(scrape["job_name"], "tollgate", "the dashboard and the alerts ask for that job");
    assert_eq!(scrape["dns_sd_configs"][0]["port"], plan.admin.address.port());
    assert_eq!(scrape["authorization"]["credentials_file"], services["prometheus"]["configs"][0]["target"]);
    let source = &documents("packaging/compose/grafana/provisioning/datasources/prometheus.yaml")[0];
    assert_eq!(source["datasources"][0]["url"], "http://prometheus:9090");
    let provider =
        &documents("packaging/compose/grafana/provisioning/dashboards/tollgate.yaml")[0]["providers"][0];
    let folder = provider["options"]["path"].as_str().expect("a folder");
    let mounted =
        services["grafana"]["volumes"].as_array().expect("volumes").iter().filter_map(Value::as_str);
    assert!(mounted.clone().any(|volume| volume.starts_with(&format!("../grafana:{folder}"))), "{folder}");
}
