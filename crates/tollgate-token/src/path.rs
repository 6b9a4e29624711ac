//! A dotted path into the claims: `realm_access.roles`.

use std::fmt;
use std::str::FromStr;

use crate::document::{Json, Object};

/// Most parts of a path. Claims are not nested deeper than the reader allows anyway.
pub const MAX_PATH_PARTS: usize = 16;

/// Where a claim stands. A member whose own name has dots (`https://example.com/roles`, or a client's name below
/// Keycloak's `resource_access`) is tried before the parts of the name: the longest name first.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClaimPath {
    text: Box<str>,
}

impl ClaimPath {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands there.
    pub fn find<'a>(&self, claims: Object<'a>) -> Option<Json<'a>> {
        find(claims, &self.text)
    }
}

fn find<'a>(members: Object<'a>, path: &str) -> Option<Json<'a>> {
    if let Some(value) = members.get(path) {
        return Some(value);
    }
    path.rmatch_indices('.').find_map(|(at, _)| {
        let (name, rest) = (path.get(..at)?, path.get(at + 1..)?);
        find(members.get(name)?.as_object()?, rest)
    })
}

impl FromStr for ClaimPath {
    type Err = BadClaimPath;

    fn from_str(text: &str) -> Result<Self, BadClaimPath> {
        if text.is_empty() || text.split('.').count() > MAX_PATH_PARTS {
            return Err(BadClaimPath);
        }
        Ok(Self { text: text.into() })
    }
}

impl fmt::Debug for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Empty, or more than [`MAX_PATH_PARTS`] parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadClaimPath;

impl fmt::Display for BadClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a path to a claim has 1 to {MAX_PATH_PARTS} parts, separated by dots")
    }
}

impl std::error::Error for BadClaimPath {}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_longest_name_comes_first() {
        let claims = json!({
            "sub": "u1",
            "realm_access": { "roles": ["a"] },
            "https://example.com/roles": ["b"],
            "resource_access": { "api.example.com": { "roles": ["c"] }, "api": { "example": 1 } },
            "x.y": "whole", "x": { "y": "parts" },
            "text": "no object",
        });
        let cases = [
            ("sub", json!("u1")),
            ("realm_access.roles", json!(["a"])),
            ("https://example.com/roles", json!(["b"])),
            ("resource_access.api.example.com.roles", json!(["c"])),
            ("resource_access.api.example", json!(1)),
            ("x.y", json!("whole")),
            ("text.length", Value::Null),
            ("realm_access.", Value::Null),
            (".sub", Value::Null),
            ("missing", Value::Null),
        ];
        let claims = crate::json::object(claims.to_string().as_bytes()).unwrap();
        for (path, expect) in cases {
            let path: ClaimPath = path.parse().unwrap();
            let found = path.find(claims.object()).map(Json::to_value).unwrap_or_default();
            assert_eq!(found, expect, "{path}");
        }
    }

    #[test]
    fn a_path_is_bounded() {
        assert_eq!("".parse::<ClaimPath>(), Err(BadClaimPath));
        assert!(["a"; MAX_PATH_PARTS].join(".").parse::<ClaimPath>().is_ok());
        assert_eq!(["a"; MAX_PATH_PARTS + 1].join(".").parse::<ClaimPath>(), Err(BadClaimPath));
    }
}
