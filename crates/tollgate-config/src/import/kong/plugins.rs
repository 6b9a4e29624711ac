//! Plugins of Kong: who may call, how often, and what is kept. Those that edit are in `edits`.

use serde_json::{Value, json};

use super::{Plugin, Scope, World, edits};
use crate::import::document::{at, is, list, number, text, texts};
use crate::import::draft::Item;
use crate::import::{secrets, write};

/// What refuses nobody, so that a route without it protects as much as before.
const HARMLESS: &[&str] = &[
    "prometheus",
    "file-log",
    "http-log",
    "tcp-log",
    "udp-log",
    "syslog",
    "loggly",
    "statsd",
    "datadog",
    "zipkin",
    "opentelemetry",
    "correlation-id",
    "proxy-cache",
    "grpc-web",
    "grpc-gateway",
];

/// Those by which callers say who they are.
const IDENTITY: &[&str] = &["key-auth", "jwt", "basic-auth"];

/// What concerns the process and not a route.
pub(super) fn everywhere(world: &mut World<'_>) {
    let document = world.document;
    let nested = ["services", "routes"].into_iter().flat_map(|kind| list(document, kind));
    let inner = nested.clone().flat_map(|one| list(one, "routes")).flat_map(|one| list(one, "plugins"));
    let all =
        list(document, "plugins").iter().chain(nested.flat_map(|one| list(one, "plugins"))).chain(inner);
    for plugin in all.filter(|one| at(one, "enabled") != Some(&Value::Bool(false))) {
        let name = text(plugin, "name").unwrap_or_default();
        let element = format!("plugins.{name}");
        match name.as_str() {
            "prometheus" => world
                .findings
                .near(element, "metrics are on the admin address under /metrics, with names of their own"),
            "file-log" => {
                let path = text(plugin, "config/path").unwrap_or_else(|| "/dev/stdout".to_owned());
                let log = match path.as_str() {
                    "/dev/stdout" => json!({ "sink": "stdout" }),
                    _ => json!({ "sink": "file", "path": path }),
                };
                world.draft.root.insert("access_log".into(), log);
                world.findings.near(element, "one access log for all routes, with fields of its own");
            }
            "http-log" => world.findings.lost(
                element,
                "records go to a file or an object store here (`access_log`); let a log shipper send them on",
            ),
            other if HARMLESS.contains(&other) && !["correlation-id", "proxy-cache"].contains(&other) => {
                world.findings.lost(element, "there is no such thing here");
            }
            _ => {}
        }
    }
}

/// What the plugins of a route make of it.
pub(super) fn apply(
    world: &mut World<'_>,
    service: Option<&str>,
    route: &str,
    plugins: &[Plugin<'_>],
    item: &mut Item,
) {
    let identities = plugins.iter().filter(|plugin| IDENTITY.contains(&plugin.name)).count();
    for plugin in plugins {
        if let Some(why) = plugin.refused {
            item.refuse(&format!("`{}` is not carried over: {why}", plugin.name));
            continue;
        }
        let element = match (plugin.scope, service) {
            (Scope::Global, _) => format!("plugins.{}", plugin.name),
            (Scope::Service, Some(service)) => format!("services.{service}.plugins.{}", plugin.name),
            _ => format!("{route}.plugins.{}", plugin.name),
        };
        let mut one = Applied { world, element, config: plugin.config, item };
        match plugin.name {
            _ if identities > 1 && IDENTITY.contains(&plugin.name) => {
                one.refuse("with several of these Kong asks for all of them, here any one would do: refused");
            }
            "key-auth" => one.key_auth(),
            "basic-auth" => one.basic_auth(),
            "jwt" => one.jwt(),
            "acl" => one.acl(plugins),
            "rate-limiting" => one.rate_limiting(plugin.scope, service, identities == 1),
            "ip-restriction" => one.ip_restriction(),
            "cors" => one.cors(),
            "request-size-limiting" => one.size(),
            "request-termination" => one.termination(),
            "proxy-cache" => one.cache(identities > 0),
            "correlation-id" => edits::correlation(one.world, one.element, one.config, one.item),
            "request-transformer" => edits::request(one.world, one.element, one.config, one.item),
            "response-transformer" => edits::response(one.world, one.element, one.config, one.item),
            name if HARMLESS.contains(&name) => {}
            name => {
                let why = format!("there is no `{name}` here; refused, since it may protect");
                one.refuse(&why);
            }
        }
    }
}

struct Applied<'a, 'w, 'v> {
    world: &'a mut World<'w>,
    element: String,
    config: &'v Value,
    item: &'a mut Item,
}

impl Applied<'_, '_, '_> {
    fn refuse(&mut self, why: &str) {
        self.world.findings.unsafe_(self.element.clone(), why);
        self.item.refuse(&format!("`{}` is not carried over: {why}", self.element));
    }

    fn exact(&mut self) {
        self.world.findings.exact(self.element.clone());
    }

    /// What the three kinds of credentials have in common; false when the route refuses.
    fn identity(&mut self) -> bool {
        if text(self.config, "anonymous").is_some_and(|who| !who.is_empty()) {
            self.refuse(
                "`anonymous` lets a bad credential through, which has no like here; see `auth.optional`",
            );
            return false;
        }
        if is(self.config, "hide_credentials") {
            self.item.set_in("auth", "strip", true);
        }
        true
    }

    fn key_auth(&mut self) {
        if !self.identity() {
            return;
        }
        if !self.world.people.keys {
            return self.refuse("no consumer in this file has a key");
        }
        let names = texts(self.config, "key_names");
        let name = names.first().cloned().unwrap_or_else(|| "apikey".to_owned());
        let header = at(self.config, "key_in_header") != Some(&Value::Bool(false));
        let query = at(self.config, "key_in_query") != Some(&Value::Bool(false));
        if !header && !query {
            return self.refuse("a key in the body is not read here");
        }
        let place =
            if header { json!({ "header": name.to_ascii_lowercase() }) } else { json!({ "query": name }) };
        self.item.set_in("auth", "api_key", place);
        if names.len() > 1 || header && query || is(self.config, "key_in_body") {
            let only = if header { "header" } else { "query parameter" };
            let note = format!(
                "the key is read in the {only} `{name}` alone; clients that send it elsewhere are refused"
            );
            self.world.findings.guarded(self.element.clone(), note);
        } else {
            self.exact();
        }
    }

    fn basic_auth(&mut self) {
        if !self.identity() {
            return;
        }
        if !self.world.people.passwords {
            return self.refuse("no consumer in this file has a password that could be carried over");
        }
        self.item.set_in("auth", "basic", true);
        self.exact();
    }

    fn jwt(&mut self) {
        if !self.identity() {
            return;
        }
        let claim = text(self.config, "key_claim_name").unwrap_or_else(|| "iss".to_owned());
        if self.world.people.issuers.is_empty() || claim != "iss" || is(self.config, "secret_is_base64") {
            let why = match claim.as_str() {
                "iss" if is(self.config, "secret_is_base64") => "`secret_is_base64`: secrets are text here",
                "iss" => "no secret of a consumer could become an issuer",
                _ => "tokens are told apart by `iss` alone here",
            };
            return self.refuse(why);
        }
        let verified = texts(self.config, "claims_to_verify");
        let mut strict = !verified.iter().any(|claim| claim == "exp");
        strict |= number(self.config, "maximum_expiration").is_some_and(|longest| longest > 0.0);
        if number(self.config, "maximum_expiration").is_some_and(|longest| longest > 0.0) {
            return self.refuse("`maximum_expiration` has no like here");
        }
        self.item.set_in("auth", "jwt", self.world.people.issuers.clone());
        let mut from: Vec<String> = Vec::new();
        let headers = texts(self.config, "header_names");
        let headers = if headers.is_empty() { vec!["authorization".to_owned()] } else { headers };
        from.extend(headers.iter().map(|name| format!("header:{}", name.to_ascii_lowercase())));
        let queries = match at(self.config, "uri_param_names") {
            None => vec!["jwt".to_owned()],
            Some(_) => texts(self.config, "uri_param_names"),
        };
        from.extend(queries.iter().map(|name| format!("query:{name}")));
        from.extend(texts(self.config, "cookie_names").iter().map(|name| format!("cookie:{name}")));
        self.item.set_in("auth", "token_from", from);
        match (strict, self.world.people.issuers_complete) {
            (_, false) => self
                .world
                .findings
                .guarded(self.element.clone(), "tokens of consumers whose secret was left out are refused"),
            (true, _) => self.world.findings.guarded(
                self.element.clone(),
                "`exp` and `nbf` are always looked at here, and `exp` must be there",
            ),
            _ => self.exact(),
        }
    }

    fn acl(&mut self, plugins: &[Plugin<'_>]) {
        let mut allow = texts(self.config, "allow");
        allow.extend(texts(self.config, "whitelist"));
        let denies = !list(self.config, "deny").is_empty() || !list(self.config, "blacklist").is_empty();
        if denies {
            return self.refuse(
                "groups that may not call have no like here; name those that may in `auth.require.groups`",
            );
        }
        if !plugins.iter().any(|plugin| ["key-auth", "basic-auth"].contains(&plugin.name)) {
            return self.refuse("groups are of callers with a key or a password; tokens have roles, scopes and claims (`auth.require`)");
        }
        allow.retain(|group| self.world.people.groups.contains(group));
        if allow.is_empty() {
            return self.refuse("nobody in this file is in one of its groups");
        }
        self.item.put("auth", "require", "groups", allow);
        self.exact();
    }

    fn rate_limiting(&mut self, scope: Scope, service: Option<&str>, identified: bool) {
        let by = text(self.config, "limit_by").unwrap_or_else(|| "consumer".to_owned());
        let per = match by.as_str() {
            "consumer" | "credential" if identified => "consumer".to_owned(),
            // Without a caller that is known, Kong counts addresses.
            "consumer" | "credential" | "ip" => "ip".to_owned(),
            "service" => "all".to_owned(),
            "header" => match text(self.config, "header_name") {
                Some(name) => format!("header:{}", name.to_ascii_lowercase()),
                None => return self.refuse("`limit_by: header` without `header_name`"),
            },
            other => {
                let why = format!("`limit_by: {other}` has no like here");
                return self.refuse(&why);
            }
        };
        let policy = text(self.config, "policy").unwrap_or_else(|| "local".to_owned());
        let redis = policy == "redis" && self.redis();
        let shared = match (scope, service) {
            (Scope::Global, _) => Some("kong".to_owned()),
            (Scope::Service, Some(service)) => Some(format!("kong-{service}")),
            _ => None,
        };
        let mut any = false;
        for (unit, letter, days) in [
            ("second", "s", 0),
            ("minute", "m", 0),
            ("hour", "h", 0),
            ("day", "d", 0),
            ("month", "d", 30),
            ("year", "d", 365),
        ] {
            let Some(count) = number(self.config, unit).filter(|count| *count >= 1.0) else { continue };
            any = true;
            let count = count as u64;
            let mut limit = json!({ "rate": format!("{count}/{letter}"), "per": per });
            if days > 0 {
                if count < days {
                    let why = format!("{count} in a {unit} is less than one a day");
                    return self.refuse(&why);
                }
                limit = json!({ "rate": format!("{}/d", count / days), "burst": count, "per": per });
            }
            if redis {
                limit["store"] = "redis".into();
            }
            if let Some(name) = &shared {
                limit["name"] = format!("{name}-{unit}-{}", per.replace(':', "-")).into();
            }
            self.item.append("rate_limit", limit);
        }
        match (any, policy.as_str()) {
            (false, _) => self.refuse("it counts nothing that is known here"),
            (_, "cluster") => self.world.findings.guarded(
                self.element.clone(),
                "`policy: cluster`: each gateway counts by itself; for all together use `store: redis`",
            ),
            (_, "redis") if !redis => self.refuse("`policy: redis` without a host"),
            _ => self.world.findings.near(
                self.element.clone(),
                "a token bucket in the place of a window: what was used comes back bit by bit",
            ),
        }
    }

    /// Where Redis is; false when it does not say.
    fn redis(&mut self) -> bool {
        let of = |key: &str| {
            text(self.config, &format!("redis/{key}")).or_else(|| text(self.config, &format!("redis_{key}")))
        };
        let Some(host) = of("host") else { return false };
        let port = of("port").unwrap_or_else(|| "6379".to_owned());
        let encode = |text: &str| {
            text.bytes()
                .map(|byte| match byte {
                    byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
                    byte => format!("%{byte:02X}"),
                })
                .collect::<String>()
        };
        let login =
            of("password").filter(|password| !password.is_empty()).map_or_else(String::new, |password| {
                format!("{}:{}@", encode(&of("username").unwrap_or_default()), encode(&password))
            });
        let scheme = if of("ssl").as_deref() == Some("true") { "rediss" } else { "redis" };
        let database = of("database")
            .filter(|number| number != "0")
            .map_or_else(String::new, |number| format!("/{number}"));
        let url = format!("{scheme}://{login}{host}:{port}{database}");
        let url = if login.is_empty() {
            Value::from(url)
        } else {
            let url =
                self.world.draft.secrets.refer("redis_url", &format!("{} (as a URL)", self.element), &url);
            let note = format!("its URL with the password comes from {}", secrets::shown(&url));
            self.world.findings.near("redis", note);
            url
        };
        let redis = self.world.draft.root.entry("redis").or_insert_with(|| json!({ "url": url }));
        redis["url"] == url
    }

    fn ip_restriction(&mut self) {
        let mut any = false;
        for (theirs, old, ours) in [("allow", "whitelist", "allow_ips"), ("deny", "blacklist", "deny_ips")] {
            let mut blocks = texts(self.config, theirs);
            blocks.extend(texts(self.config, old));
            if !blocks.is_empty() {
                self.item.set(ours, blocks);
                any = true;
            }
        }
        if !any {
            return self.refuse("it says neither whom to allow nor whom to deny");
        }
        self.exact();
        if text(self.config, "status").is_some_and(|status| status != "403")
            || at(self.config, "message").is_some()
        {
            self.world.findings.near(format!("{}.status", self.element), "the answer is 403 `ip_denied`");
        }
    }

    fn cors(&mut self) {
        let origins = texts(self.config, "origins");
        let origins = if origins.is_empty() { vec!["*".to_owned()] } else { origins };
        let credentials = is(self.config, "credentials");
        let (plain, odd): (Vec<String>, Vec<String>) = origins.into_iter().partition(|origin| {
            let letters = |c: char| c.is_ascii_alphanumeric() || ":/.-".contains(c);
            origin == "*" || origin.contains("://") && origin.chars().all(letters)
        });
        if !odd.is_empty() {
            let note = format!(
                "{} of its origins are expressions: write them out, or as https://*.example.com",
                odd.len()
            );
            self.world.findings.guarded(format!("{}.origins", self.element), note);
        }
        let any = plain.iter().any(|origin| origin == "*");
        if plain.is_empty() || any && credentials {
            let why = "every origin with credentials: any site could act for its visitors; no origin is allowed until some are named";
            let note =
                if plain.is_empty() { "no origin could be carried over; none is allowed" } else { why };
            return self.world.findings.unsafe_(self.element.clone(), note);
        }
        let mut cors = json!({ "origins": if any { vec!["*".to_owned()] } else { plain } });
        let methods = texts(self.config, "methods");
        let all = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"];
        let usual = all[..6].iter().map(|&name| name.to_owned()).collect();
        let methods = if methods.is_empty() { usual } else { methods };
        cors["methods"] = json!(
            methods.iter().filter(|name| !["TRACE", "CONNECT"].contains(&name.as_str())).collect::<Vec<_>>()
        );
        let headers = texts(self.config, "headers");
        cors["headers"] = json!(if headers.is_empty() { vec!["*".to_owned()] } else { headers });
        let exposed = texts(self.config, "exposed_headers");
        if !exposed.is_empty() {
            cors["expose"] = json!(exposed);
        }
        if credentials {
            cors["credentials"] = true.into();
        }
        if let Some(seconds) = number(self.config, "max_age") {
            cors["max_age"] = write::duration(seconds.max(0.0) as u64 * 1000).into();
        }
        self.item.set("cors", cors);
        if is(self.config, "preflight_continue") {
            self.world
                .findings
                .near(format!("{}.preflight_continue", self.element), "the gateway answers preflights");
        }
        self.exact();
    }

    fn size(&mut self) {
        let size = number(self.config, "allowed_payload_size").unwrap_or(128.0).max(0.0) as u64;
        let unit = match text(self.config, "size_unit").as_deref() {
            Some("bytes") => "B",
            Some("kilobytes") => "KiB",
            _ => "MiB",
        };
        self.item.set("max_body", format!("{size}{unit}"));
        self.exact();
    }

    fn termination(&mut self) {
        if at(self.config, "trigger").is_some() {
            return self.refuse("`trigger` has no like here");
        }
        let status = number(self.config, "status_code").unwrap_or(503.0) as u64;
        let mut respond = json!({ "status": status });
        if let Some(body) = text(self.config, "body") {
            respond["body"] = edits::braces(&body).into();
            if let Some(kind) = text(self.config, "content_type") {
                respond["headers"] = json!({ "content-type": kind });
            }
        } else if let Some(message) = text(self.config, "message") {
            respond["json"] = json!({ "message": edits::braces(&message) });
        }
        self.item.set("respond", respond);
        self.exact();
    }

    fn cache(&mut self, identified: bool) {
        let ttl = number(self.config, "cache_ttl").unwrap_or(300.0).max(0.0) as u64;
        let mut cache = json!({ "ttl": write::duration(ttl.saturating_mul(1000)), "respect": is(self.config, "cache_control") });
        let vary: Vec<String> =
            texts(self.config, "vary_headers").iter().map(|name| name.to_ascii_lowercase()).collect();
        if !vary.is_empty() {
            cache["vary"] = json!(vary);
        }
        if identified {
            cache["private"] = true.into();
        }
        self.item.set("cache", cache);
        self.world.findings.near(
            self.element.clone(),
            "kept by RFC 9111: the whole query counts, `response_code` and `content_type` are not chosen",
        );
    }
}
