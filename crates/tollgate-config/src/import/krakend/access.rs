//! Who may call, and how often.

use serde_json::{Value, json};

use super::{World, has, name_of, seconds};
use crate::import::document::{is, list, number, plain, text, texts};
use crate::import::draft::Item;

/// Tokens.
pub(super) fn validator(world: &mut World<'_>, config: &Value, element: &str, item: &mut Item) {
    match tokens(world, config, item) {
        Ok(notes) if notes.is_empty() => world.findings.exact(element),
        Ok(notes) => world.findings.guarded(element, notes.join("; ")),
        Err(why) => {
            world.findings.unsafe_(element, format!("{why}; refused"));
            item.refuse(&format!("its token validation is not carried over: {why}"));
        }
    }
}

/// What is stricter here; or why it cannot be written.
fn tokens(world: &mut World<'_>, config: &Value, item: &mut Item) -> Result<Vec<&'static str>, String> {
    let mut notes = Vec::new();
    let Some(issuer) = text(config, "issuer").filter(|issuer| !issuer.is_empty()) else {
        return Err("it has no `issuer`, and here `iss` is always compared".to_owned());
    };
    // What is left out for its shape would be asked of nobody.
    for key in ["audience", "roles", "scopes"] {
        if list(config, key).iter().any(|one| plain(one).is_none()) {
            return Err(format!("`{key}` is no list of texts"));
        }
    }
    let mut keys = json!({ "issuer": issuer });
    let audience = texts(config, "audience");
    keys["audience"] = audience.first().cloned().unwrap_or_else(|| "any".to_owned()).into();
    keys["algorithms"] = json!([text(config, "alg").unwrap_or_else(|| "RS256".to_owned())]);
    match (text(config, "jwk_url"), text(config, "jwk_local_path")) {
        (Some(url), _) => {
            if url.starts_with("http://") && is(config, "disable_jwk_security") {
                keys["allow_http"] = true.into();
            }
            keys["jwks_url"] = url.into();
        }
        (None, Some(path)) => keys["jwks_file"] = path.into(),
        (None, None) => return Err("it has no keys".to_owned()),
    }
    for odd in ["jwk_fingerprints", "cipher_key", "secret_url", "key_identify_strategy"] {
        let usual = odd == "key_identify_strategy" && text(config, odd).as_deref() == Some("kid");
        if has(config, odd) && !usual {
            return Err(format!("`{odd}` has no like here"));
        }
    }
    // All audiences are asked for there, any of them here.
    for more in audience.iter().skip(1) {
        let quoted = Value::String(more.clone());
        item.append("guard", json!({ "if": format!("{quoted} in claims.aud"), "status": 401, "detail": "another audience is needed" }));
        notes.push("its audiences are asked for one by one: a token must list them");
    }
    let roles = texts(config, "roles");
    if !roles.is_empty() {
        let key = text(config, "roles_key").unwrap_or_else(|| "roles".to_owned());
        if key.contains('.') && !is(config, "roles_key_is_nested") {
            return Err(format!("the claim `{key}` has a dot in its name"));
        }
        keys["roles_claim"] = key.into();
        item.put("auth", "require", "roles", roles);
    }
    scopes(config, item, &mut notes)?;
    for pair in list(config, "propagate_claims") {
        if let [claim, header] = texts(&json!({ "v": pair }), "v").as_slice() {
            item.put("auth", "forward", &header.to_ascii_lowercase(), claim.clone());
        }
    }
    if let Some(cookie) = text(config, "cookie_key") {
        item.set_in("auth", "token_from", json!(["header:authorization", format!("cookie:{cookie}")]));
    }
    let known = world.issuers.iter().find(|(known, _)| *known == keys).map(|(_, name)| name.clone());
    let name = known.unwrap_or_else(|| {
        let name = name_of(&issuer, &world.issuers);
        world.draft.issuers.push(Item::new(name.clone(), keys.clone()));
        world.issuers.push((keys, name.clone()));
        name
    });
    item.set_in("auth", "jwt", name);
    Ok(notes)
}

fn scopes(config: &Value, item: &mut Item, notes: &mut Vec<&'static str>) -> Result<(), String> {
    let scopes = texts(config, "scopes");
    if scopes.is_empty() {
        return Ok(());
    }
    let key = text(config, "scopes_key").unwrap_or_else(|| "scope".to_owned());
    if key != "scope" && key != "scp" {
        return Err(format!("scopes in the claim `{key}`"));
    }
    if scopes.len() == 1 || text(config, "scopes_matcher").as_deref() == Some("all") {
        item.put("auth", "require", "scopes", scopes);
        return Ok(());
    }
    let any = scopes.iter().map(|one| regex::escape(one)).collect::<Vec<_>>().join("|");
    let quoted = Value::String(format!("(^| )({any})( |$)"));
    item.append(
        "guard",
        json!({ "if": format!("claims.{key}.matches({quoted})"), "detail": "a scope is missing" }),
    );
    notes.push("any of its scopes, as a guard: the claim must be text");
    Ok(())
}

/// Limits of an endpoint, or of one backend.
pub(super) fn limits(world: &mut World<'_>, config: &Value, element: &str, item: &mut Item) {
    let every =
        text(config, "every").as_deref().and_then(seconds).filter(|every| *every > 0.0).unwrap_or(1.0);
    let client = match text(config, "strategy").as_deref() {
        Some("header") => text(config, "key").map(|key| format!("header:{}", key.to_ascii_lowercase())),
        Some("param") => text(config, "key").map(|key| format!("route-param:{key}")),
        _ => Some("ip".to_owned()),
    };
    let kinds =
        [("max_rate", "capacity", Some("all".to_owned())), ("client_max_rate", "client_capacity", client)];
    for (rate, capacity, per) in kinds {
        let Some(count) = number(config, rate).filter(|count| *count > 0.0) else { continue };
        let (Some(per), Some(written)) = (per, written(count / every)) else {
            world.findings.unsafe_(format!("{element}.{rate}"), "the limit cannot be written here; refused");
            item.refuse("a limit is not carried over");
            continue;
        };
        let burst = number(config, capacity).filter(|burst| *burst >= 1.0).unwrap_or(count.max(1.0));
        item.append("rate_limit", json!({ "rate": written, "burst": burst as u64, "per": per }));
    }
    world.findings.exact(element);
}

/// A rate in the unit in which it is whole; else rounded down, by less than a hundredth.
fn written(per_second: f64) -> Option<String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    let whole = |count: f64| (count - count.round()).abs() < 1e-6 && count.round() >= 1.0;
    let exact = units.iter().find(|(_, seconds)| whole(per_second * seconds));
    let near = || units.iter().find(|(_, seconds)| per_second * seconds >= 100.0);
    let (unit, seconds) = exact.or_else(near)?;
    Some(format!("{}/{unit}", (per_second * seconds + 1e-6).floor() as u64))
}

/// Programs that may not call.
pub(super) fn robots(world: &mut World<'_>, config: &Value, element: &str, item: &mut Item) {
    let mut deny = texts(config, "deny");
    deny.extend(list(config, "patterns").iter().filter_map(plain).map(|pattern| format!("~{pattern}")));
    let mut agents = json!({ "deny": deny });
    let allow = texts(config, "allow");
    if !allow.is_empty() {
        agents["allow"] = json!(allow);
    }
    if is(config, "empty_user_agent_is_bot") {
        agents["empty"] = "deny".into();
    }
    item.set("user_agents", agents);
    world.findings.exact(element);
}
