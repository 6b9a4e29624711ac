//! What an access record must not hold: the values of credentials, whatever the operator chose to log.
//!
//! Names are judged, because values cannot be: those on the lists below, and those under which some route takes
//! credentials. Each function hands out the pieces of what may be written.

use tollgate_plan::plan::AccessLog;
use tollgate_plan::query::Pair;
use tollgate_plan::secret::CREDENTIAL_HEADERS;
use tollgate_wire::Name;

/// Stands in the place of a credential.
const MASK: &[u8] = b"***";

/// Query parameters that carry credentials: in lower case and without `_` and `-`, as [`Folded`] makes them.
const CREDENTIAL_PARAMETERS: [&str; 30] = [
    "accesstoken",
    "apikey",
    "apitoken",
    "assertion",
    "auth",
    "authorization",
    "authtoken",
    "bearertoken",
    "clientassertion",
    "clientsecret",
    "code",
    "credential",
    "credentials",
    "idtoken",
    "jwt",
    "key",
    "passwd",
    "password",
    "pwd",
    "refreshtoken",
    "secret",
    "sessionid",
    "sessiontoken",
    "sig",
    "signature",
    "token",
    "xamzcredential",
    "xamzsecuritytoken",
    "xamzsignature",
    "xgoogsignature",
];

/// Schemes (RFC 9110 section 11.1) that give a credential away wherever it stands.
const CREDENTIAL_SCHEMES: [&[u8]; 4] = [b"bearer", b"basic", b"digest", b"negotiate"];

/// A header's value, its credentials replaced by `***`. `name` is in lower case.
pub fn header(log: &AccessLog, name: &str, value: &[u8], mut piece: impl FnMut(&[u8])) {
    let scheme = |scheme: &&[u8]| {
        let split = value.split_at_checked(scheme.len());
        split.is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(scheme) && rest.first().is_some_and(|byte| b" \t".contains(byte))
        })
    };
    // A client that writes `_` for `-` sends the same credential.
    let hyphens = |b: u8| if b == b'_' { b'-' } else { b };
    let named = |known: &str| name.bytes().map(hyphens).eq(known.bytes().map(hyphens));
    let masked = log.masked_headers.iter().map(Name::as_str).chain(CREDENTIAL_HEADERS).any(named);
    if masked || CREDENTIAL_SCHEMES.iter().any(scheme) {
        piece(MASK);
        return;
    }
    // Referer and its like hold a whole URL.
    let (before, parameters) = match memchr::memchr(b'?', value) {
        Some(at) => value.split_at(at + 1),
        None => (value, [].as_slice()),
    };
    url_before_query(before, &mut piece);
    query(log, parameters, piece);
}

/// A query, without the question mark, its credentials replaced by `***`.
pub fn query(log: &AccessLog, query: &[u8], mut piece: impl FnMut(&[u8])) {
    for pair in query.split_inclusive(|&byte| byte == b'&') {
        let (body, separator) = split_end(pair, b"&");
        match named(body) {
            // As the gateway reads it: what follows a `;` belongs to the value.
            Some((name, value)) if !value.is_empty() && is_masked(log, name) => {
                piece(name);
                piece(MASK);
            }
            _ => semicolons(log, body, &mut piece),
        }
        piece(separator);
    }
}

/// Some servers read `;` as `&`, so a credential may stand behind either.
fn semicolons(log: &AccessLog, pair: &[u8], piece: &mut impl FnMut(&[u8])) {
    for parameter in pair.split_inclusive(|&byte| byte == b';') {
        let (body, separator) = split_end(parameter, b";");
        match named(body) {
            Some((name, value)) if !value.is_empty() && (names_credential(name) || is_masked(log, name)) => {
                piece(name);
                piece(MASK);
            }
            _ => piece(body),
        }
        piece(separator);
    }
}

fn split_end<'a>(text: &'a [u8], separator: &[u8]) -> (&'a [u8], &'a [u8]) {
    let body = text.strip_suffix(separator).unwrap_or(text);
    (body, text.get(body.len()..).unwrap_or_default())
}

/// Name, with its `=`, and value.
fn named(parameter: &[u8]) -> Option<(&[u8], &[u8])> {
    memchr::memchr(b'=', parameter).map(|at| parameter.split_at(at + 1))
}

/// Whether some route takes credentials from the parameter. `raw` ends with `=`.
fn is_masked(log: &AccessLog, raw: &[u8]) -> bool {
    let pair = Pair { name: raw.strip_suffix(b"=").unwrap_or(raw), value: &[] };
    log.masked_query.iter().any(|masked| pair.is(masked))
}

/// Masks `user:password@` of a URL.
fn url_before_query(url: &[u8], piece: &mut impl FnMut(&[u8])) {
    let authority = memchr::memmem::find(url, b"://").map(|at| url.split_at(at + 3));
    let Some((scheme, rest)) = authority else { return piece(url) };
    let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
    match rest.get(..end).and_then(|authority| memchr::memrchr(b'@', authority)) {
        Some(at) => {
            piece(scheme);
            piece(MASK);
            piece(rest.get(at..).unwrap_or_default());
        }
        None => piece(url),
    }
}

/// Whether any word of a parameter's name (percent-encoded, `=` included) is that of a credential: `token`,
/// `user[password]`, `Access-Token`, `%74oken`.
fn names_credential(raw: &[u8]) -> bool {
    let mut folded = Folded::default();
    for byte in decoded(raw) {
        match byte {
            b'_' | b'-' => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => folded.push(byte.to_ascii_lowercase()),
            _ if folded.is_credential() => return true,
            _ => folded = Folded::default(),
        }
    }
    folded.is_credential()
}

/// One word of a parameter's name. A word longer than any on the list is on none.
#[derive(Default)]
struct Folded {
    word: [u8; 20],
    len: usize,
}

impl Folded {
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.word.get_mut(self.len) {
            *place = byte;
        }
        self.len = self.len.saturating_add(1);
    }

    fn is_credential(&self) -> bool {
        let word = self.word.get(..self.len).unwrap_or_default();
        CREDENTIAL_PARAMETERS.iter().any(|known| known.as_bytes() == word)
    }
}

/// The bytes behind the percent-encoding. What is no encoding stands for itself.
fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = raw;
    std::iter::from_fn(move || {
        if let [b'%', high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (char::from(*high).to_digit(16), char::from(*low).to_digit(16))
        {
            rest = after;
            return Some((high * 16 + low) as u8);
        }
        let (first, after) = rest.split_first()?;
        rest = after;
        Some(*first)
    })
}

#[cfg(test)]
mod tests {

    use super::*;

    /// The parameter `k` and the header `x-k` carry credentials here.
    fn log() -> AccessLog {
        AccessLog {
            masked_query: vec!["k".into()],
            masked_headers: vec![Name::new("x-k").unwrap()],
            ..super::super::fixture::plan(&[], &[]).access_log
        }
    }

    fn check_query(input: &str, expected: &str) {
        let mut out = Vec::new();
        query(&log(), input.as_bytes(), |piece| out.extend_from_slice(piece));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn check_header(name: &str, value: &str, expected: &str) {
        let mut out = Vec::new();
        header(&log(), name, value.as_bytes(), |piece| out.extend_from_slice(piece));
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_credential_in_the_query_is_masked_and_nothing_else() {
        check_query("", "");
        check_query("page=2&q=x", "page=2&q=x");
        check_query("access_token=abc", "access_token=***");
        check_query("a=1&token=abc&b=2", "a=1&token=***&b=2");
        check_query("a=1;token=abc;b=2", "a=1;token=***;b=2");
        check_query("token=a&token=b", "token=***&token=***");
        check_query("token=a=b==", "token=***");
        check_query("token=", "token=");
        check_query("token", "token");
        check_query("&&=&a==&", "&&=&a==&");
        check_query("tokens=1&keyboard=2&mykey=3&codec=4", "tokens=1&keyboard=2&mykey=3&codec=4");
        for name in ["token", "api_key", "apikey", "key", "password", "secret", "code", "id_token"] {
            check_query(&format!("{name}=v"), &format!("{name}=***"));
        }
        for name in ["refresh_token", "signature", "sig", "X-Amz-Signature", "client_secret", "accessToken"] {
            check_query(&format!("{name}=v"), &format!("{name}=***"));
        }
    }

    #[test]
    fn what_a_route_takes_credentials_from_is_masked() {
        check_query("k=v&kk=v&K=v", "k=***&kk=v&K=v");
        check_query("%6B=v", "%6B=***");
        check_query("a=1;k=v;b=2", "a=1;k=***;b=2");
        check_query("k=v;w&b=2", "k=***&b=2");
        check_query("a=1;b=2", "a=1;b=2");
        check_header("x-k", "v", "***");
        check_header("x_k", "v", "***");
        check_header("x-kk", "v", "v");
        check_header("referer", "https://a.example/?k=1&l=2", "https://a.example/?k=***&l=2");
    }

    #[test]
    fn a_name_in_disguise_is_the_same_name() {
        check_query("ACCESS-TOKEN=v", "ACCESS-TOKEN=***");
        check_query("%74oken=v", "%74oken=***");
        check_query("t%4Fken=v", "t%4Fken=***");
        check_query("user[password]=v", "user[password]=***");
        check_query("user%5Bpassword%5D=v", "user%5Bpassword%5D=***");
        check_query("token[]=v", "token[]=***");
        check_query("login.password=v", "login.password=***");
        check_query("%=v&%7=v&%zz=v", "%=v&%7=v&%zz=v");
        check_query(&format!("{}[key]=v", "x".repeat(500)), &format!("{}[key]=***", "x".repeat(500)));
    }

    #[test]
    fn every_listed_name_is_written_as_it_is_looked_up() {
        for name in CREDENTIAL_PARAMETERS {
            assert!(names_credential(name.as_bytes()), "{name}");
        }
        for name in CREDENTIAL_HEADERS {
            assert_eq!(name, name.to_ascii_lowercase());
        }
    }

    #[test]
    fn a_credential_in_a_header_is_masked() {
        for name in CREDENTIAL_HEADERS {
            check_header(name, "abc", "***");
        }
        check_header("user-agent", "curl/8", "curl/8");
        check_header("x-original-auth", "BeaRer abc", "***");
        check_header("x-other", "Basic YTpi", "***");
        check_header("x-other", "bearer\tabc", "***");
        check_header("x_api-key", "abc", "***");
        check_header("x-other", "Basically", "Basically");
        check_header("x-other", "Bearer", "Bearer");
        check_header(
            "referer",
            "https://a.example/cb?code=1&state=2",
            "https://a.example/cb?code=***&state=2",
        );
        check_header("referer", "https://u:p@a.example/x?y=1", "https://***@a.example/x?y=1");
        check_header("referer", "https://u:p@a.example", "https://***@a.example");
        check_header("referer", "https://a.example/@me", "https://a.example/@me");
    }
}
