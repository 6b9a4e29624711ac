//! What the binary is made of, for programs: CycloneDX 1.5 as JSON (ECMA-424's predecessor, cyclonedx.org/docs/1.5/json).

use anyhow::Result;
use serde_json::{Value, json};

use super::linked::{Crate, Key, Linked};
use super::{Job, archive, notices, version};

/// The document, the same for the same binary and lock file.
pub(super) fn write(job: &Job, linked: &Linked) -> Result<String> {
    let sum = archive::sha256(&job.binary)?;
    let own = reference(&("tollgate".to_owned(), version().to_owned()));
    let others = linked.0.values().filter(|krate| krate.name != "tollgate");
    let mut components: Vec<Value> = others.map(component).collect();
    components.extend(notices::LIBRARIES.iter().map(|library| {
        json!({
            "type": "library",
            "bom-ref": library.name,
            "name": library.name,
            "description": library.what,
            "licenses": [{ "expression": library.licence }],
        })
    }));
    let mut dependencies: Vec<Value> = Vec::new();
    for (key, krate) in &linked.0 {
        let mut needs: Vec<String> = krate.needs.iter().map(reference).collect();
        if krate.name == "tollgate" {
            needs.extend(notices::LIBRARIES.iter().map(|library| library.name.to_owned()));
        }
        dependencies.push(json!({ "ref": reference(key), "dependsOn": needs }));
    }
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": serial(&sum),
        "version": 1,
        "metadata": {
            "timestamp": archive::rfc3339(job.epoch)?,
            "tools": { "components": [{ "type": "application", "name": "tollgate-xtask", "version": version() }] },
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "tollgate",
                "version": version(),
                "description": format!("API gateway, static binary for {}", job.target.triple()),
                "hashes": [{ "alg": "SHA-256", "content": sum }],
                "licenses": [{ "expression": "Apache-2.0" }],
                "purl": format!("pkg:generic/tollgate@{}?arch={}", version(), job.target.debian()),
            },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(format!("{document:#}\n"))
}

fn component(krate: &Crate) -> Value {
    let key = (krate.name.clone(), krate.version.clone());
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(&key),
        "name": krate.name,
        "version": krate.version,
    });
    // Our own crates are at no registry.
    if let Some(sum) = &krate.checksum {
        component["purl"] = reference(&key).into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    if let Some(licence) = &krate.licence {
        component["licenses"] = json!([{ "expression": licence }]);
    }
    if let Some(url) = &krate.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": url }]);
    }
    component
}

/// A package URL; a plus sign in a version is data there.
fn reference((name, version): &Key) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// A UUID made of the binary's sum (version 8 of RFC 9562): another binary is another document.
fn serial(sum: &str) -> String {
    let part = |range: std::ops::Range<usize>| sum.get(range).unwrap_or_default();
    format!("urn:uuid:{}-{}-8{}-8{}-{}", part(0..8), part(8..12), part(12..15), part(15..18), part(18..30))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_others_read() {
        let key = |version: &str| ("luau0-src".to_owned(), version.to_owned());
        assert_eq!(reference(&key("0.20.1+luau700")), "pkg:cargo/luau0-src@0.20.1%2Bluau700");
        let sum = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(serial(sum), "urn:uuid:01234567-89ab-8cde-8f01-23456789abcd");
    }
}
