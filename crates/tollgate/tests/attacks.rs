//! What attackers send, and what becomes of it: nothing of it reaches the service.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tollgate_testkit::{Gateway, Issuer, Origin, Response, SigningKey, assert_problem, gateway, now_unix_s};

const GUARDED: &str = "
issuers:
  main: { issuer: @ISSUER@, audience: [api], algorithms: [RS256, ES256] }
routes:
  - path: /told/*
    auth: { jwt: main, forward: { x-user: sub } }
    request: { set_headers: { x-source: gateway }, remove_headers: [x-internal] }
    to: @ORIGIN@
  - path: /scripted/*
    auth: { jwt: main }
    to: @ORIGIN@
    lua: |
      function request(req)
          req.headers['x-user'] = req.claims.sub
          req.headers['x-role'] = nil
          req.headers['x_plan'] = 'free'
          req.headers['content_length'] = '0'
      end
  - path: /places/*
    auth: { jwt: main, token_from: ['header:authorization', 'cookie:session', 'query:access_token'] }
    to: @ORIGIN@
  - path: /*
    auth: { jwt: main }
    to: @ORIGIN@
";

/// An issuer, a service and the gateway between.
struct World {
    issuer: Issuer,
    origin: Origin,
    gateway: Gateway,
}

fn world() -> World {
    let (issuer, origin) = (Issuer::with_keys(&["RS256", "ES256"]), Origin::echo());
    let gateway = gateway!(GUARDED, ISSUER = issuer.url(), ORIGIN = origin.url());
    World { issuer, origin, gateway }
}

impl World {
    fn get(&self, target: &str, lines: &str) -> Response {
        self.gateway.client().exchange(format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"))
    }

    fn bear(&self, token: &str) -> Response {
        self.get("/x", &format!("Authorization: Bearer {token}\r\n"))
    }

    /// Claims that would pass, were they signed.
    fn claims(&self) -> Value {
        self.issuer.claims(json!({ "sub": "evil" }))
    }

    #[track_caller]
    fn refused(&self, what: &str, token: &str, codes: &str) {
        let answer = self.bear(token);
        assert!(answer.status == 401, "{what}: {answer:#?}");
        assert_problem(&answer, codes);
    }

    /// The service saw nothing, and the next honest request is served.
    #[track_caller]
    fn unharmed(&self) {
        self.origin.assert_untouched();
        assert_eq!(self.bear(&self.issuer.token(json!({ "sub": "u1" }))).status, 200);
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn none_is_no_algorithm_however_it_is_written() {
    let world = world();
    let claims = encode(world.claims().to_string());
    for alg in ["none", "None", "NONE", "nOnE", "", " RS256", "RS256 ", "rs256", "RS1", "ES256K"] {
        let header = encode(json!({ "alg": alg, "typ": "JWT" }).to_string());
        for signature in ["", "AA"] {
            let token = format!("{header}.{claims}.{signature}");
            world.refused(alg, &token, "token_malformed|token_algorithm");
        }
    }
    let headerless = format!("{}.{claims}.AA", encode(json!({ "typ": "JWT" }).to_string()));
    world.refused("no alg", &headerless, "token_malformed");
    world.unharmed();
}

/// An HMAC with the public key, which everybody has.
#[test]
fn a_public_key_is_no_secret() {
    let world = world();
    for algorithm in ["RS256", "ES256"] {
        let key = world.issuer.key_for(algorithm);
        let (pem, der) = (key.public_pem(), key.public_der());
        for (what, secret) in
            [("PEM", pem.as_bytes()), ("PEM, trimmed", pem.trim().as_bytes()), ("DER", &der)]
        {
            let input = format!(
                "{}.{}",
                encode(json!({ "alg": "HS256", "typ": "JWT", "kid": key.id }).to_string()),
                encode(world.claims().to_string())
            );
            let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
            world.refused(what, &format!("{input}.{}", encode(signature)), "token_algorithm");
        }
    }
    world.unharmed();
}

#[test]
fn a_token_cannot_bring_its_own_key_nor_demand_anything() {
    let world = world();
    let (own, theirs) = (SigningKey::generate("RS256", "mine"), world.issuer.key());
    let away = world.issuer.jwks_url();
    for (member, value) in
        [("jwk", own.jwk()), ("jku", json!(away)), ("x5u", json!(away)), ("x5c", json!(["MIIB"]))]
    {
        let header = json!({ "alg": "RS256", "kid": theirs.id, member: value });
        world.refused(member, &own.token_under(&header, &world.claims()), "token_malformed");
        // Not even from someone who may sign.
        world.refused(member, &theirs.token_under(&header, &world.claims()), "token_malformed");
    }
    for (what, header) in [
        ("crit", json!({ "alg": "RS256", "kid": theirs.id, "crit": ["exp"], "exp": 1 })),
        ("b64", json!({ "alg": "RS256", "kid": theirs.id, "crit": ["b64"], "b64": false })),
        ("b64 alone", json!({ "alg": "RS256", "kid": theirs.id, "b64": false })),
        ("zip", json!({ "alg": "RS256", "kid": theirs.id, "zip": "DEF" })),
        ("a list as kid", json!({ "alg": "RS256", "kid": [theirs.id] })),
    ] {
        world.refused(what, &theirs.token_under(&header, &world.claims()), "token_malformed|token_algorithm");
    }
    let asked = world.issuer.count_jwks();
    for kid in ["../../../dev/null", "/etc/passwd", "key-1' OR '1'='1", "key-1\u{0}", "http://127.0.0.1/", ""]
    {
        let header = json!({ "alg": "RS256", "kid": kid });
        world.refused(kid, &own.token_under(&header, &world.claims()), "token_key_unknown");
    }
    assert!(world.issuer.count_jwks() <= asked + 1, "unknown keys were asked for once at most");
    // The right name does not make it the right key.
    let header = json!({ "alg": "RS256", "kid": theirs.id });
    world.refused("another's kid", &own.token_under(&header, &world.claims()), "token_signature");
    world.unharmed();
}

#[test]
fn signatures_that_are_none() {
    let world = world();
    let key = world.issuer.key_for("ES256");
    let good = key.token(&world.claims());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut flipped = raw.clone();
    flipped[40] ^= 1;
    for (what, bytes) in [
        ("r = s = 0", vec![0; 64]),
        ("flipped", flipped),
        ("short", raw[..63].to_vec()),
        ("long", [&raw[..], &[0]].concat()),
        ("DER", [&[0x30, 0x44, 0x02, 0x20], &raw[..32], &[0x02, 0x20], &raw[32..]].concat()),
    ] {
        world.refused(what, &format!("{signed}.{}", encode(bytes)), "token_signature");
    }
    // Other claims under a good signature.
    let (header, _) = signed.split_once('.').unwrap();
    let other = encode(world.issuer.claims(json!({ "sub": "root" })).to_string());
    world.refused("other claims", &format!("{header}.{other}.{signature}"), "token_signature");
    world.unharmed();
}

#[test]
fn encodings_that_are_almost_right() {
    let world = world();
    let key = world.issuer.key();
    let good = key.token(&world.claims());
    let parts: Vec<&str> = good.split('.').collect();
    let last = parts[2].chars().last().unwrap();
    // Another character that decodes to the same bytes: its lowest bits are not used.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    let twin = alphabet.chars().nth(at + 1).unwrap();
    let stem = &good[..good.len() - 1];
    let payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
    let padded = URL_SAFE.encode([&payload[..], b" "].concat());
    for (what, token) in [
        ("padded", format!("{good}=")),
        ("doubly padded", format!("{good}==")),
        ("a padded part", format!("{}.{padded}.{}", parts[0], parts[2])),
        ("a non-canonical end", format!("{stem}{twin}")),
        ("the standard alphabet", format!("{}.{}.{}", parts[0], STANDARD.encode([0xfb, 0xff]), parts[2])),
        ("a dot behind", format!("{good}.")),
        ("a dot before", format!(".{good}")),
        ("five parts", format!("{good}.AA.AA")),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("dots", "...".to_owned()),
        ("only dots", "..".to_owned()),
        ("a dot", ".".to_owned()),
        ("a percent", good.replace('.', "%2E")),
        ("a tab inside", format!("{}.\t{}.{}", parts[0], parts[1], parts[2])),
        ("two tokens", format!("{good},{good}")),
    ] {
        world.refused(what, &token, "token_malformed|token_signature");
    }
    for (what, header, claims) in [
        ("alg twice", r#"{"alg":"RS256","alg":"none","kid":"key-1"}"#.to_owned(), world.claims().to_string()),
        ("no object", "[]".to_owned(), world.claims().to_string()),
        ("claims that are no object", r#"{"alg":"RS256","kid":"key-1"}"#.to_owned(), "\"sub\"".to_owned()),
    ] {
        world.refused(what, &key.token_of(header.as_bytes(), claims.as_bytes()), "token_malformed");
    }
    let twice = world.claims().to_string().replacen('{', r#"{"sub":"u1","#, 1);
    let header = json!({ "alg": "RS256", "kid": key.id }).to_string();
    world.refused("sub twice", &key.token_of(header.as_bytes(), twice.as_bytes()), "token_malformed");
    world.unharmed();
}

#[test]
fn times_that_are_none() {
    let world = world();
    let key = world.issuer.key();
    let now = now_unix_s();
    let claims = |exp: &str| {
        let (issuer, exp) = (world.issuer.url(), exp.to_owned());
        format!(r#"{{"iss":"{issuer}","aud":"api","sub":"u1"{exp}}}"#)
    };
    let header = json!({ "alg": "RS256", "kid": key.id }).to_string();
    let check = |exp: &str, expect: &str| {
        let token = key.token_of(header.as_bytes(), claims(exp).as_bytes());
        match expect {
            "ok" => assert_eq!(world.bear(&token).status, 200, "{exp}"),
            codes => world.refused(exp, &token, codes),
        }
    };
    check("", "token_malformed");
    check(&format!(r#","exp":"{}""#, now + 600), "token_malformed");
    check(r#","exp":null"#, "token_malformed");
    check(r#","exp":true"#, "token_malformed");
    check(r#","exp":[9999999999]"#, "token_malformed");
    check(r#","exp":-1"#, "token_expired");
    check(r#","exp":0"#, "token_expired");
    check(r#","exp":1e400"#, "token_malformed|token_expired");
    check(r#","exp":-1e400"#, "token_malformed|token_expired");
    check(&format!(r#","exp":{},"exp":{}"#, now - 600, now + 600), "token_malformed");
    world.origin.assert_untouched();
    check(&format!(r#","exp":{}.5"#, now + 600), "ok");
    check(r#","exp":9.9e11"#, "ok");
}

/// Where two could stand, none is chosen.
#[test]
fn two_credentials_of_one_kind() {
    let world = world();
    let good = world.issuer.token(json!({ "sub": "u1" }));
    let bad = world.issuer.token(json!({ "sub": "u1", "exp": 1 }));
    let check = |target: &str, lines: &str, codes: &str| {
        let (target, lines) =
            (target.replace("GOOD", &good), lines.replace("GOOD", &good).replace("BAD", &bad));
        assert_problem(&world.get(&target.replace("BAD", &bad), &lines), codes);
    };
    check("/x", "Authorization: Bearer GOOD\r\nAuthorization: Bearer GOOD\r\n", "token_malformed");
    check("/x", "Authorization: Bearer GOOD\r\nauthorization: Basic YTpi\r\n", "token_malformed");
    check("/x", "Authorization: Bearer GOOD, Bearer GOOD\r\n", "token_malformed");
    check("/places/x", "Cookie: session=GOOD; session=BAD\r\n", "token_malformed");
    check("/places/x", "Cookie: session=GOOD\r\nCookie: session=GOOD\r\n", "token_malformed");
    check("/places/x?access_token=GOOD&access_token=BAD", "", "token_malformed");
    check("/places/x?access_token=GOOD&access%5ftoken=GOOD", "", "token_malformed");
    // A bad one is not made good by a good one elsewhere.
    check("/places/x?access_token=BAD", "Authorization: Bearer GOOD\r\n", "token_expired");
    check("/places/x", "Authorization: Bearer BAD\r\nCookie: session=GOOD\r\n", "token_expired");
    check("/places/x", "Authorization: Bearer\r\nCookie: session=GOOD\r\n", "token_malformed");
    world.origin.assert_untouched();
    let both = format!("Authorization: Bearer {good}\r\nCookie: session={good}\r\n");
    assert_eq!(world.get("/places/x", &both).status, 200);
}

#[test]
fn headers_that_pretend_to_be_the_gateways() {
    let world = world();
    let token = world.issuer.token(json!({ "sub": "u1" }));
    let mut lines = format!("Authorization: Bearer {token}\r\nConnection: x-user, x-forwarded-for\r\n");
    for name in
        ["X-User", "x-user", "X-USER", "X_User", "x_user", "X-Forwarded-For", "X_Forwarded_For", "X-Real-IP"]
    {
        write!(lines, "{name}: evil\r\n").unwrap();
    }
    let answer = world.get("/told/x", &lines).json();
    assert!(!answer.to_string().contains("evil"), "{answer}");
    assert_eq!(answer["headers"]["x-user"], json!(["u1"]));
    assert_eq!(answer["headers"]["x-forwarded-for"], json!(["127.0.0.1"]));
}

#[test]
fn what_the_route_sets_or_takes_away_comes_from_no_client() {
    let world = world();
    let token = world.issuer.token(json!({ "sub": "u1" }));
    let names = ["X-Source", "x_source", "X_Internal", "x-internal"];
    let evil = |names: &[&str]| names.iter().map(|name| format!("{name}: evil\r\n")).collect::<String>();
    let head = format!(
        "POST /told/x HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked"
    );
    let behind = evil(&names) + &evil(&["X-User", "x_user"]);
    world.gateway.client().exchange(format!("{head}\r\n\r\n2\r\nhi\r\n0\r\n{behind}X-Sum: 7\r\n\r\n"));
    let trailers = world.origin.last().trailers;
    assert!(matches!(&trailers[..], [(name, _)] if name.eq_ignore_ascii_case("x-sum")), "{trailers:?}");

    let answer = world.get("/told/x", &format!("Authorization: Bearer {token}\r\n{}", evil(&names))).json();
    assert!(!answer.to_string().contains("evil"), "{answer}");
    assert_eq!(answer["headers"]["x-source"], json!(["gateway"]));
}

/// The same by a script.
#[test]
fn what_a_script_sets_or_takes_away_comes_from_no_client() {
    let world = world();
    let token = world.issuer.token(json!({ "sub": "u1" }));
    let names = ["X-User", "x_user", "X_User", "X-Role", "X_Role", "x-plan", "X_Plan"];
    let evil = names.map(|name| format!("{name}: evil\r\n")).concat();
    let head = format!("Host: test\r\nAuthorization: Bearer {token}\r\n{evil}");
    let check = |framing: &str, body: &str| {
        let request = format!("POST /scripted/x HTTP/1.1\r\n{head}{framing}\r\n\r\n{body}");
        let answer = world.gateway.client().exchange(request).json();
        assert!(!answer.to_string().contains("evil"), "{answer}");
        assert_eq!(answer["headers"]["x-user"], json!(["u1"]));
        assert_eq!(answer["headers"]["x_plan"], json!(["free"]));
        // What frames the message is not taken for the script's.
        assert_eq!(world.origin.last().body, b"hi");
    };
    check("Content-Length: 2", "hi");
    check("Transfer-Encoding: chunked", &format!("2\r\nhi\r\n0\r\n{evil}X-Sum: 7\r\n\r\n"));
    let trailers = world.origin.last().trailers;
    assert!(matches!(&trailers[..], [(name, _)] if name.eq_ignore_ascii_case("x-sum")), "{trailers:?}");
}

/// A token of a MiB never becomes one: the head ends before.
#[test]
fn huge_tokens() {
    let world = world();
    let mut client = world.gateway.client();
    let huge = "a".repeat(1024 * 1024);
    // The gateway may close while this is still on its way.
    let _ = client.try_send(format!("GET /x HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {huge}\r\n\r\n"));
    if let Ok(answer) = client.try_response() {
        assert_problem(&answer, "headers_too_large");
    }
    // What fits into a head but is longer than any token.
    let long = "a".repeat(20 * 1024);
    world.refused("20 KiB", &long, "token_malformed");
    world.refused("20 KiB in three parts", &format!("{long}.e30.AA"), "token_malformed");
    let deep = encode(format!("{}{}", "[".repeat(6000), "]".repeat(6000)));
    world.refused("nested", &format!("{deep}.e30.AA"), "token_malformed");
    world.unharmed();
}
