//! Blocks that are only shown: no language stands behind their fence, and each has its reason here.

/// A document, how the block begins, and why nothing runs or checks it.
pub(crate) const SHOWN: &[(&str, &str, &str)] = &[
    ("README.md", "            ┌──────", "a picture"),
    ("README.md", "./dev demo", "builds everything; `demo.rs` and the gate itself run what they start"),
    ("docs/admin.md", "curl -sN", "does not end; `admin_api.rs` follows"),
    ("docs/cost.md", "CLOUD  TYPE", "as printed on a day; the tests of `cost` reckon"),
    ("docs/cost.md", "du --bytes", "wants a day's objects"),
    ("docs/decisions/README.md", "# NNNN", "the form of a record"),
    ("docs/install.md", "tar -xzf", "wants the archive; `xtask package --check` unpacks it"),
    ("docs/install.md", "apt install", "wants the package; `xtask package --check` installs it"),
    ("docs/install.md", "docker load", "wants an engine"),
    ("docs/install.md", "kubectl", "wants a cluster"),
    ("docs/install.md", "./dev package", "builds for minutes"),
    ("docs/limits.md", "HTTP/1.1 429", "an answer of a moment; `rate_limits.rs` has its headers"),
    ("docs/limits.md", "ACL SETUSER", "a command of Redis; the tests of `redis/` use such a user"),
    ("docs/listeners.md", "WARN a connection", "a line of the log; `proxy_protocol.rs` has it"),
    ("docs/logs.md", "logs/dt=", "the name of an object; `log_shipping.rs` has it"),
    ("docs/logs.md", "tollgate logs s3", "wants an object store; `log_shipping.rs` has one"),
    ("docs/operate.md", "install -m 755 tollgate ", "changes the system"),
    ("docs/operate.md", "install -m 755 tollgate-new", "changes the system; `handover.rs` does the same"),
    ("docs/operate.md", "TOLLGATE_CONFIG_TOKEN", "wants a server; `remote_config.rs` has one"),
    ("docs/testing.md", "FAILED", "of a test that fails on purpose; `proof/` has it"),
    ("docs/tokens.md", "HTTP/1.1 401", "an answer of a moment; `tokens.rs` has its headers"),
    ("docs/upgrading.md", "tollgate version", "wants two versions"),
    ("docs/websocket.md", "python2.7", "wants Python 2.7"),
    ("docs/zero-downtime.md", "install -m 755", "changes the system; `handover.rs` does the same"),
];
