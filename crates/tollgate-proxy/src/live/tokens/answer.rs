//! What a token endpoint answers (RFC 6749 sections 5.1 and 5.2).

use std::time::Duration;

use serde_json::Value;
use tollgate_plan::secret::Secret;

use crate::live::http::Fault;

/// Longest token, in bytes: it goes along with every request, and few services read longer lines.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// No token is used for longer than this, whatever its issuer says.
const LIFE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// Longest name of an error that is told on. Those of the RFC have 22 bytes at most.
const ERROR_BYTES_MAX: usize = 64;

/// A token.
pub(super) struct Granted {
    /// The value of `Authorization`.
    pub(super) line: Secret,
    /// How long it is good; none when the issuer does not tell.
    pub(super) life: Option<Duration>,
}

/// Reads an answer: of a 200 the token, of any other the reason.
pub(super) fn read(status: u16, body: &[u8]) -> Result<Granted, Fault> {
    let fault = |why: &str| Fault::Content(format!("the token endpoint's answer {why}"));
    let answer = serde_json::from_slice::<Value>(body).ok();
    if status != 200 {
        return Err(match answer.as_ref().and_then(error) {
            Some(error) => Fault::Refused(status, error.into()),
            None => Fault::Status(status),
        });
    }
    let answer = answer.ok_or_else(|| fault("is not JSON"))?;
    let token = answer.get("access_token").and_then(Value::as_str);
    let token = token.ok_or_else(|| fault("has no access_token"))?;
    // What is no visible ASCII would end the header's line, or mean another token to the one who reads it.
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !token.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Err(fault("has an access_token that no header can hold"));
    }
    // RFC 6749 section 7.1: a type that is not understood must not be used. Some leave it out and mean this one.
    match answer.get("token_type") {
        None => {}
        Some(Value::String(kind)) if kind.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err(fault("has a token_type other than Bearer")),
    }
    let life = life(&answer).map_err(|()| fault("has an expires_in that is no time to come"))?;
    Ok(Granted { line: Secret::from(format!("Bearer {token}").as_str()), life })
}

/// Seconds, as a number; some write it as text.
fn life(answer: &Value) -> Result<Option<Duration>, ()> {
    let seconds = match answer.get("expires_in") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let seconds = seconds.filter(|seconds| *seconds > 0.0).ok_or(())?;
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(LIFE_MAX).min(LIFE_MAX)))
}

/// Its name: it ends up in logs.
fn error(answer: &Value) -> Option<&str> {
    let name = answer.get("error")?.as_str()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (!name.is_empty() && name.len() <= ERROR_BYTES_MAX && name.bytes().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expect: Result<(&str, Option<u64>), &str>) {
        let found = read(status, body.as_bytes());
        let found = found.map(|granted| (granted.line.expose().to_owned(), granted.life));
        let expect = expect.map(|(line, life)| (line.to_owned(), life.map(Duration::from_secs)));
        match (found, expect) {
            (Err(fault), Err(words)) => assert!(fault.to_string().contains(words), "{body}: {fault}"),
            (found, expect) => {
                assert_eq!(found.map_err(|fault| fault.to_string()), expect.map_err(str::to_owned))
            }
        }
    }

    #[test]
    fn tokens() {
        check(
            200,
            r#"{"access_token":"a.b-c","token_type":"Bearer","expires_in":60}"#,
            Ok(("Bearer a.b-c", Some(60))),
        );
        check(
            200,
            r#"{"access_token":"a","token_type":"bearer","expires_in":"60"}"#,
            Ok(("Bearer a", Some(60))),
        );
        check(200, r#"{"access_token":"a","expires_in":null,"scope":"x"}"#, Ok(("Bearer a", None)));
        check(200, r#"{"access_token":"a","expires_in":1e300}"#, Ok(("Bearer a", Some(2_592_000))));
        for (body, words) in [
            ("<html>", "is not JSON"),
            ("[]", "no access_token"),
            (r#"{"token_type":"Bearer"}"#, "no access_token"),
            (r#"{"access_token":7}"#, "no access_token"),
            (r#"{"access_token":""}"#, "no header can hold"),
            (r#"{"access_token":"a b"}"#, "no header can hold"),
            (r#"{"access_token":"a\r\nx-evil: 1"}"#, "no header can hold"),
            (r#"{"access_token":"é"}"#, "no header can hold"),
            (r#"{"access_token":"a","token_type":"mac"}"#, "other than Bearer"),
            (r#"{"access_token":"a","token_type":1}"#, "other than Bearer"),
            (r#"{"access_token":"a","expires_in":0}"#, "no time to come"),
            (r#"{"access_token":"a","expires_in":-1}"#, "no time to come"),
            (r#"{"access_token":"a","expires_in":"soon"}"#, "no time to come"),
            (r#"{"access_token":"a","expires_in":"NaN"}"#, "no time to come"),
            (r#"{"access_token":"a","expires_in":[]}"#, "no time to come"),
        ] {
            check(200, body, Err(words));
        }
        let long = format!(r#"{{"access_token":"{}"}}"#, "x".repeat(TOKEN_BYTES_MAX + 1));
        check(200, &long, Err("no header can hold"));
    }

    #[test]
    fn refusals() {
        check(
            401,
            r#"{"error":"invalid_client","error_description":"s3cret"}"#,
            Err("answered 401: invalid_client"),
        );
        check(400, r#"{"error":"invalid client\nforged=line"}"#, Err("answered 400 instead of 200"));
        check(400, "<html>", Err("answered 400 instead of 200"));
        check(403, &format!(r#"{{"error":"{}"}}"#, "x".repeat(65)), Err("answered 403 instead of 200"));
    }
}
