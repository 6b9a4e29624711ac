//! What a route requires of a token's claims.

use serde_json::Value;

use crate::claims::Claims;
use crate::document::Json;
use crate::path::ClaimPath;

/// `auth.require` of a route, but for consumer groups, of which a token knows nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requirement {
    /// Scopes that must all be granted.
    pub scopes: Vec<Box<str>>,
    /// Roles of which the token must have one; none: roles do not matter.
    pub roles: Vec<Box<str>>,
    /// Claims, and the values of which each must have one.
    pub claims: Vec<(ClaimPath, Vec<Value>)>,
}

/// What a token lacks. Each is a 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// A scope.
    Scope,
    /// Any of the roles.
    Role,
    /// A claim, or the right value in it.
    Claim,
}

impl Requirement {
    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        self.scopes.is_empty() && self.roles.is_empty() && self.claims.is_empty()
    }

    /// Whether the claims do. `roles_claim` says where this issuer's roles stand.
    pub fn check(&self, claims: &Claims, roles_claim: &ClaimPath) -> Result<(), Lacking> {
        let granted = |scope: &str| claims.scopes().any(|granted| granted == scope);
        if !self.scopes.iter().all(|scope| granted(scope)) {
            return Err(Lacking::Scope);
        }
        let held = |role: &str| claims.strings(roles_claim).any(|held| held == role);
        if !self.roles.is_empty() && !self.roles.iter().any(|role| held(role)) {
            return Err(Lacking::Role);
        }
        let fits = |(path, wanted): &(ClaimPath, Vec<Value>)| {
            claims.get(path).is_some_and(|found| wanted.iter().any(|wanted| has(found, wanted)))
        };
        if !self.claims.iter().all(fits) {
            return Err(Lacking::Claim);
        }
        Ok(())
    }
}

/// Equal, or a list with it as an element.
fn has(found: Json<'_>, wanted: &Value) -> bool {
    found == *wanted || found.as_list().is_some_and(|list| list.iter().any(|item| item == *wanted))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> Claims {
        let value = json!({
            "scope": "orders:read  orders:write", "scp": ["billing", 7, "a b"], "roles": ["admin", 7],
            "realm_access": { "roles": ["editor"] }, "role": "lone", "tenant": "acme", "level": 3,
            "address": { "country": "DE" }, "groups": ["x", "y"], "beta": true, "nothing": null,
        });
        Claims::new(crate::json::object(value.to_string().as_bytes()).unwrap(), None)
    }

    fn check(scopes: &[&str], roles: (&str, &[&str]), wanted: Value, expect: Result<(), Lacking>) {
        let texts = |list: &[&str]| list.iter().map(|text| Box::from(*text)).collect();
        let wanted = wanted.as_object().unwrap().iter();
        let requirement = Requirement {
            scopes: texts(scopes),
            roles: texts(roles.1),
            claims: wanted
                .map(|(path, values)| (path.parse().unwrap(), values.as_array().unwrap().clone()))
                .collect(),
        };
        let verdict = requirement.check(&claims(), &roles.0.parse().unwrap());
        assert_eq!(verdict, expect, "{requirement:?}");
        assert_eq!(requirement.is_empty(), requirement == Requirement::default());
    }

    #[test]
    fn scopes_are_all_of() {
        check(&[], ("roles", &[]), json!({}), Ok(()));
        check(&["orders:read", "orders:write", "billing", "a", "b"], ("roles", &[]), json!({}), Ok(()));
        for lacking in
            ["orders", "orders:read ", "ORDERS:READ", "", " ", "7", "a b", "orders:read orders:write"]
        {
            check(&["billing", lacking], ("roles", &[]), json!({}), Err(Lacking::Scope));
        }
    }

    #[test]
    fn roles_are_any_of() {
        check(&[], ("roles", &["x", "admin"]), json!({}), Ok(()));
        check(&[], ("realm_access.roles", &["editor"]), json!({}), Ok(()));
        check(&[], ("role", &["lone"]), json!({}), Ok(()));
        check(&[], ("roles", &["x", "Admin", "7"]), json!({}), Err(Lacking::Role));
        check(&[], ("realm_access", &["roles"]), json!({}), Err(Lacking::Role));
        check(&[], ("missing", &["admin"]), json!({}), Err(Lacking::Role));
    }

    #[test]
    fn each_claim_has_one_of_its_values() {
        let cases = [
            (json!({ "tenant": ["acme"], "address.country": ["AT", "DE"], "level": [3] }), Ok(())),
            (json!({ "groups": ["z", "y"], "beta": [true], "nothing": [null] }), Ok(())),
            (json!({ "groups": [["x", "y"]] }), Ok(())),
            (json!({ "tenant": ["acme"], "level": ["3"] }), Err(Lacking::Claim)),
            (json!({ "tenant": ["ac"] }), Err(Lacking::Claim)),
            (json!({ "groups": ["z"] }), Err(Lacking::Claim)),
            (json!({ "missing": [null] }), Err(Lacking::Claim)),
            (json!({ "tenant": [] }), Err(Lacking::Claim)),
        ];
        for (wanted, expect) in cases {
            check(&[], ("roles", &[]), wanted, expect);
        }
    }

    #[test]
    fn scopes_come_first_and_claims_last() {
        check(&["x"], ("roles", &["x"]), json!({ "x": [1] }), Err(Lacking::Scope));
        check(&[], ("roles", &["x"]), json!({ "x": [1] }), Err(Lacking::Role));
    }

    #[test]
    fn claims_show_names_only() {
        let shown = format!("{:?}", claims());
        assert!(shown.contains("tenant") && !shown.contains("acme"), "{shown}");
        assert!(claims().size_bytes() > claims().to_value().to_string().len());
    }
}
