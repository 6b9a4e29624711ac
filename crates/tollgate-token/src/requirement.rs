//! What a route requires of a token's claims.

use serde_json::Value;

use crate::claims::Claims;
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
        let granted = |scope: &Box<str>| claims.scopes().any(|granted| *granted == **scope);
        if !self.scopes.iter().all(granted) {
            return Err(Lacking::Scope);
        }
        let held = |role: &Box<str>| claims.strings(roles_claim).any(|held| *held == **role);
        if !self.roles.is_empty() && !self.roles.iter().any(held) {
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
fn has(found: &Value, wanted: &Value) -> bool {
    found == wanted || found.as_array().is_some_and(|list| list.contains(wanted))
}
