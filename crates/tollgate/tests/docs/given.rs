//! What a page takes for granted: files beside its configuration, what stands in the environment, the rest of a
//! configuration of which it shows a part.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Documents, and what is done before they begin. `$root` is the root of the repository.
const BEFORE: &[(&str, &str)] = &[
    ("docs/admin.md", "echo 'routes: [{ path: /orders, respond: { body: ok } }]' > tollgate.yaml"),
    ("docs/console.md", "export TOLLGATE_ADMIN_TOKEN=0123456789abcdef; TOKEN=$TOLLGATE_ADMIN_TOKEN"),
    (
        "docs/from-kong.md",
        "cat > kong.yml <<'END'
_format_version: '3.0'
services:
  - { name: orders, url: 'http://127.0.0.1:3000', routes: [{ name: orders, paths: [/orders] }] }
END",
    ),
    (
        "docs/from-krakend.md",
        "cat > krakend.json <<'END'
{ \"version\": 3, \"endpoints\": [{ \"endpoint\": \"/orders\", \"backend\": [{ \"url_pattern\": \"/orders\", \"host\": [\"http://127.0.0.1:3000\"] }] }] }
END",
    ),
    (
        "docs/logs.md",
        "echo '{\"time\":\"2026-11-22T14:00:00.000Z\",\"route\":\"orders\",\"duration_ms\":251,\"status\":200}' > access.log",
    ),
    (
        "docs/lua.md",
        "mkdir -p scripts; cp \"$root\"/examples/lua/*.lua scripts/; export SIGNING_KEY=0123456789abcdef0123456789abcdef",
    ),
    (
        "docs/validation.md",
        "mkdir -p schemas apis; echo '{ \"type\": \"object\" }' > schemas/order.json
cat > apis/pets.yaml <<'END'
openapi: 3.1.0
info: { title: Pets, version: '1' }
servers: [{ url: /v1 }]
paths: { /pets: { get: { responses: { '200': { description: pets } } } } }
END",
    ),
];

/// Names of upstreams and issuers that pages use as they come, and what they are then: what is looked for in a block, the
/// key that is added unless the block has it, and the rest.
const COMPLETED: &[(&str, &str, &str)] = &[
    (
        "jwt: main",
        "issuers:",
        " { main: { issuer: 'https://id.example.com/', audience: [api], algorithms: [RS256] } }\n",
    ),
    (
        "to: orders",
        "upstreams:",
        "\n  orders: { targets: ['http://127.0.0.1:3000'] }\n  reports: { targets: ['http://127.0.0.1:3001'] }\n",
    ),
    ("to: events", "upstreams:", " { events: { targets: ['http://127.0.0.1:3000'] } }\n"),
    ("", "routes:", " [{ path: /, respond: { body: ok } }]\n"),
];

/// What an indented block stands in, by its first key.
const AROUND: &[(&str, &str)] = &[
    ("tls:", "listeners:\n  - address: 127.0.0.1:8443\n"),
    ("headers:", "routes:\n  - path: /a\n    to: http://127.0.0.1:3000\n"),
];

/// What the shell does before a document begins.
pub(crate) fn script(document: &str) -> &'static str {
    BEFORE.iter().find(|(own, _)| *own == document).map_or("", |(_, script)| script)
}

/// A whole configuration of what a page shows.
pub(crate) fn completed(text: &str) -> String {
    let mut whole = String::new();
    if text.starts_with(' ') {
        let (_, around) = AROUND
            .iter()
            .find(|(key, _)| text.trim_start().starts_with(key))
            .unwrap_or_else(|| panic!("what this stands in is not known:\n{text}"));
        whole.push_str(around);
    }
    whole.push_str(text);
    for (name, key, rest) in COMPLETED {
        if text.contains(name) && !whole.lines().any(|line| line.starts_with(key)) {
            whole.push_str(&format!("{key}{rest}"));
        }
    }
    whole
}

/// Certificates under the names that pages use, each vouching for itself.
pub(crate) fn certificates(dir: &Path) {
    let names = ["localhost", "api.example.com", "orders.internal"].map(str::to_owned);
    let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let cert = pem("CERTIFICATE", own.cert.der());
    let key = pem("PRIVATE KEY", &own.signing_key.serialize_der());
    fs::create_dir(dir.join("certs")).expect("a folder");
    for name in ["site", "certs/site", "certs/shop", "certs/gateway", "certs/clients", "certs/internal-ca"] {
        fs::write(dir.join(format!("{name}.pem")), &cert).expect("a file");
        fs::write(dir.join(format!("{name}.key")), &key).expect("a file");
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
