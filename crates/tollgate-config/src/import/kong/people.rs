//! Consumers with their credentials and groups. Keys and passwords become hashes; secrets of tokens become issuers,
//! and stand elsewhere.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{named, reference};
use crate::import::Hashes;
use crate::import::document::{at, list, text};
use crate::import::draft::{Draft, Item};
use crate::import::findings::Findings;
use crate::import::secrets;

/// The shortest secret that the gateway takes.
const SECRET_BYTES_MIN: usize = 32;

const ELSEWHERE: &str =
    "a credential is not in the file but in a vault or the environment; left out: put it in and import again";

/// Whether a secret only says where it is: `{vault://…}`, or a placeholder of decK.
fn is_elsewhere(secret: &str) -> bool {
    secret.starts_with("{vault://") || secret.starts_with("${")
}

/// What routes may refer to.
#[derive(Default)]
pub(super) struct People {
    /// Issuers of tokens, by name, with whether each of Kong's was carried over.
    pub(super) issuers: Vec<String>,
    pub(super) issuers_complete: bool,
    pub(super) groups: BTreeSet<String>,
    pub(super) keys: bool,
    pub(super) passwords: bool,
}

pub(super) fn carry(document: &Value, hashes: &Hashes, draft: &mut Draft, findings: &mut Findings) -> People {
    let mut people = People { issuers_complete: true, ..People::default() };
    let known: Vec<String> = list(document, "consumers").iter().map(named).collect();
    for consumer in list(document, "consumers") {
        let made = Making { document, consumer, name: named(consumer), hashes, element: String::new() };
        made.carry(&mut people, draft, findings);
    }
    for kind in ["keyauth_credentials", "basicauth_credentials", "jwt_secrets", "acls"] {
        let stray = list(document, kind)
            .iter()
            .any(|one| reference(one, "consumer").is_none_or(|name| !known.contains(&name)));
        if stray {
            findings.unsafe_(kind, "the consumer of one of them is not in this file; it is left out");
            people.issuers_complete &= kind != "jwt_secrets";
        }
    }
    people
}

struct Making<'v> {
    document: &'v Value,
    consumer: &'v Value,
    name: String,
    hashes: &'v Hashes,
    element: String,
}

impl Making<'_> {
    fn carry(mut self, people: &mut People, draft: &mut Draft, findings: &mut Findings) {
        self.element = format!("consumers.{}", self.name);
        let own_rules = self.own_rules();
        if let Some(plugin) = &own_rules {
            let note = format!(
                "`{plugin}` for one consumer alone has no like here; the consumer gets no credentials"
            );
            findings.unsafe_(format!("{}.plugins.{plugin}", self.element), note);
        }
        let refused = own_rules.is_some();
        let groups: Vec<String> = self.of("acls").filter_map(|acl| text(acl, "group")).collect();
        self.tokens(refused, people, draft, findings);
        let keys = self.keys(findings);
        let passwords = self.passwords(findings);
        if refused {
            return;
        }
        if keys.is_empty() && passwords.is_empty() {
            findings.exact(&self.element);
            return;
        }
        people.groups.extend(groups.iter().cloned());
        people.keys |= !keys.is_empty();
        people.passwords |= !passwords.is_empty();
        let mut item = Item::new(&self.name, json!({ "name": self.name }));
        if !keys.is_empty() {
            item.set("keys", keys.iter().map(|key| (self.hashes.key)(key)).collect::<Vec<_>>());
            findings.exact(format!("{}.keyauth_credentials", self.element));
        }
        let mut passwords = passwords.into_iter();
        if let Some(basic) = passwords.next() {
            item.set("basic", basic);
        }
        if !groups.is_empty() {
            item.set("groups", groups.clone());
        }
        draft.consumers.push(item);
        for (at, basic) in passwords.enumerate() {
            let name = format!("{}-{}", self.name, at + 2);
            findings.guarded(
                format!("{}.basicauth_credentials", self.element),
                format!("a consumer has one password here: another became the consumer `{name}`"),
            );
            let mut item = Item::new(&name, json!({ "name": name, "basic": basic }));
            if !groups.is_empty() {
                item.set("groups", groups.clone());
            }
            draft.consumers.push(item);
        }
        findings.exact(&self.element);
    }

    /// What stands inside of the consumer, and what refers to it from beside.
    fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let name = self.name.clone();
        let beside = list(self.document, kind).iter();
        let beside = beside.filter(move |one| reference(one, "consumer").as_ref() == Some(&name));
        list(self.consumer, kind).iter().chain(beside)
    }

    /// The name of a plugin that is for this consumer alone.
    fn own_rules(&self) -> Option<String> {
        let document = self.document;
        let nested = ["services", "routes"].into_iter().flat_map(|kind| list(document, kind));
        let inner = nested.clone().flat_map(|one| list(one, "routes")).flat_map(|one| list(one, "plugins"));
        let elsewhere =
            list(document, "plugins").iter().chain(nested.flat_map(|one| list(one, "plugins"))).chain(inner);
        let of_this = elsewhere.filter(|one| reference(one, "consumer").as_ref() == Some(&self.name));
        let mut all = list(self.consumer, "plugins").iter().chain(of_this);
        let first = all.find(|one| at(one, "enabled") != Some(&Value::Bool(false)))?;
        Some(text(first, "name").unwrap_or_default())
    }

    fn keys(&self, findings: &mut Findings) -> Vec<String> {
        let element = format!("{}.keyauth_credentials", self.element);
        let all = self.of("keyauth_credentials").filter_map(|one| text(one, "key"));
        let (elsewhere, keys): (Vec<String>, Vec<String>) = all.partition(|key| is_elsewhere(key));
        if !elsewhere.is_empty() {
            findings.unsafe_(element, ELSEWHERE);
        }
        keys
    }

    fn passwords(&self, findings: &mut Findings) -> Vec<Value> {
        let mut made = Vec::new();
        for one in self.of("basicauth_credentials") {
            let element = format!("{}.basicauth_credentials", self.element);
            let (Some(user), Some(password)) = (text(one, "username"), text(one, "password")) else {
                continue;
            };
            if is_elsewhere(&password) {
                findings.unsafe_(element, ELSEWHERE);
                continue;
            }
            if password.len() == 40 && password.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                findings.unsafe_(element, "a password is a SHA-1 hash of Kong, which nobody can turn back; set a new one: `tollgate key hash --password`");
                continue;
            }
            match (self.hashes.password)(&password) {
                Some(hash) => {
                    made.push(json!({ "user": user, "password": hash }));
                    findings.exact(element);
                }
                None => findings.unsafe_(
                    element,
                    "a password that no client can send, or longer than 512 bytes; left out",
                ),
            }
        }
        made
    }

    fn tokens(&self, refused: bool, people: &mut People, draft: &mut Draft, findings: &mut Findings) {
        for (index, one) in self.of("jwt_secrets").enumerate() {
            let suffix = if index == 0 { String::new() } else { format!("-{}", index + 1) };
            let name = format!("{}{suffix}", self.name);
            let element = format!("{}.jwt_secrets", self.element);
            let algorithm = text(one, "algorithm").unwrap_or_else(|| "HS256".to_owned());
            let why = match (text(one, "key"), text(one, "secret")) {
                _ if refused => Some("its consumer has rules of its own".to_owned()),
                (None, _) => Some("it has no `key`, which Kong would make up".to_owned()),
                _ if !algorithm.starts_with("HS") => Some(format!(
                    "write its public key into a file, and an issuer with `issuer: <its key>`, `audience: any`, `algorithms: [{algorithm}]` and `public_key_file`"
                )),
                (_, None) => Some("it has no `secret`, which Kong would make up".to_owned()),
                (_, Some(secret)) if is_elsewhere(&secret) => Some(ELSEWHERE.to_owned()),
                (_, Some(secret)) if secret.len() < SECRET_BYTES_MIN => Some(
                    "the secret is shorter than 32 bytes: anybody could find it by trying; make a longer one"
                        .to_owned(),
                ),
                (Some(issuer), Some(secret)) => {
                    let secret = draft.secrets.refer(&format!("jwt_secret_{name}"), &element, &secret);
                    let note = format!(
                        "an issuer now, whose secret comes from {}. Such a token is accepted, but is no consumer here, so it is in no groups and gives no X-Consumer headers",
                        secrets::shown(&secret)
                    );
                    let keys = json!({ "issuer": issuer, "audience": "any", "algorithms": [algorithm], "secret": secret, "leeway": "0s" });
                    let mut item = Item::new(&name, keys);
                    item.note(format!("Tokens of the consumer {}.", self.name));
                    draft.issuers.push(item);
                    people.issuers.push(name);
                    findings.guarded(element.clone(), note);
                    None
                }
            };
            if let Some(why) = why {
                people.issuers_complete = false;
                findings.unsafe_(element, format!("left out: {why}"));
            }
        }
    }
}
