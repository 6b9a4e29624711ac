//! `POST /api/v1/cache/purge`: kept answers that are of no use any more.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use tollgate_proxy::{Purge, PurgeError};

use crate::Admin;
use crate::problem::Problem;

/// Forgets what `route`, `url` and `prefix` of the body say together; all of it where they say nothing.
pub(crate) async fn purge(State(admin): State<Admin>, body: Bytes) -> Result<Json<Value>, Problem> {
    let purge = read(&body).map_err(|detail| Problem::new(StatusCode::BAD_REQUEST, "bad_purge", detail))?;
    let purged = admin.control.purge(&purge).map_err(|error| {
        let (status, code, detail) = match error {
            PurgeError::UnknownRoute => (StatusCode::NOT_FOUND, "route_unknown", "no route has this name"),
            PurgeError::NothingKept => (StatusCode::CONFLICT, "nothing_kept", "the route has no cache"),
            PurgeError::BadUrl => (
                StatusCode::BAD_REQUEST,
                "bad_purge",
                "write https://host/path?query, or a path beginning with /",
            ),
        };
        Problem::new(status, code, detail)
    })?;
    Ok(Json(json!({ "purged": purged })))
}

fn read(body: &[u8]) -> Result<Purge, String> {
    let mut purge = Purge::default();
    if body.trim_ascii().is_empty() {
        return Ok(purge);
    }
    let document: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is no JSON: {error}"))?;
    let members = document.as_object().ok_or("the body is no object")?;
    for (name, value) in members {
        let place = match name.as_str() {
            "route" => &mut purge.route,
            "url" => &mut purge.url,
            "prefix" => &mut purge.prefix,
            other => return Err(format!("there is `route`, `url` and `prefix`, not `{other}`")),
        };
        // A purge that says less than it means would forget more.
        let text = value.as_str().ok_or_else(|| format!("`{name}` is no text"))?;
        *place = Some(text.to_owned());
    }
    Ok(purge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_says_what_is_forgotten_and_nothing_else() {
        let purge = |route: Option<&str>, url: Option<&str>, prefix: Option<&str>| {
            Ok(Purge {
                route: route.map(str::to_owned),
                url: url.map(str::to_owned),
                prefix: prefix.map(str::to_owned),
            })
        };
        for (body, expect) in [
            ("", purge(None, None, None)),
            (" \n", purge(None, None, None)),
            ("{}", purge(None, None, None)),
            (r#"{"route":"a","prefix":"/b"}"#, purge(Some("a"), None, Some("/b"))),
            (r#"{"url":"https://h/p?q"}"#, purge(None, Some("https://h/p?q"), None)),
            (r#"{"url":null}"#, Err("`url` is no text".to_owned())),
            (r#"{"urls":"/a"}"#, Err("there is `route`, `url` and `prefix`, not `urls`".to_owned())),
            ("[]", Err("the body is no object".to_owned())),
        ] {
            assert_eq!(read(body.as_bytes()), expect, "{body}");
        }
        assert!(read(b"{").is_err());
    }
}
