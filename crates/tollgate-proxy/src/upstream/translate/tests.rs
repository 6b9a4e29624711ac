//! Heads in both forms.

use expect_test::{Expect, expect};

use super::*;

#[track_caller]
fn check_request(method: &str, host: &str, target: [&str; 2], lines: &str, expect: Expect) {
    let parts = Parts {
        method,
        secure: false,
        host: host.as_bytes(),
        target: target.map(str::as_bytes),
        lines: lines.as_bytes(),
    };
    let shown = match request(&parts) {
        Err(reject) => format!("{:?}", reject.reason),
        Ok(request) => {
            let head = format!("{} {}\n", request.method(), request.uri());
            let fields = request.headers().iter().map(|(name, value)| {
                let secret = if value.is_sensitive() { "!" } else { "" };
                format!("{name}{secret}: {}\n", String::from_utf8_lossy(value.as_bytes()))
            });
            head + &fields.collect::<String>()
        }
    };
    expect.assert_eq(&shown);
}

#[test]
fn requests() {
    check_request(
        "GET",
        "a.test:81",
        ["/v1", "/x?y=1"],
        "X-A: 1\r\nx-a: \t2\r\nempty:\r\n",
        expect![[r#"
            GET http://a.test:81/v1/x?y=1
            x-a: 1
            x-a: 2
            empty: 
        "#]],
    );
    check_request(
        "PURGE",
        "[::1]",
        ["", "/"],
        "Host: b\r\nConnection: x\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\n\
         Proxy-Connection: x\r\nHTTP2-Settings: x\r\nTE: gzip\r\nTE: trailers\r\nAuthorization: x\r\nCookie: y\r\n",
        expect![[r#"
            PURGE http://[::1]/
            te: trailers
            authorization!: x
            cookie!: y
        "#]],
    );
    check_request(
        "GET",
        "a",
        ["", "/a\"<b>`{|}\\^\u{e9}?\"<x>"],
        "",
        expect![[r#"
            GET http://a/a%22%3Cb%3E%60%7B%7C%7D%5C%5E%C3%A9?%22%3Cx%3E
        "#]],
    );
    check_request("GET", "a b", ["", "/"], "", expect!["BadHost"]);
    let long = "x".repeat(70_000);
    check_request("GET", "a", ["/", &long], "", expect!["UriTooLong"]);
}

#[track_caller]
fn check_response(status: u16, fields: &[(&str, &str)], ended: bool, method: Method, expect: Expect) {
    let mut response = http::Response::new(());
    *response.status_mut() = status.try_into().expect("a status");
    for (name, value) in fields {
        let name = HeaderName::try_from(*name).expect("a name");
        response.headers_mut().append(name, HeaderValue::try_from(*value).expect("a value"));
    }
    let (mut text, mut head) = (Vec::new(), ResponseHead::default());
    let read = super::response(&response.into_parts().0, ended, &method, &mut text, &mut head);
    let shown = match read {
        Err(error) => format!("{error:?}"),
        Ok(()) => format!("{} {:?} {:?}", head.status, String::from_utf8_lossy(head.reason()), head.body),
    };
    expect.assert_eq(&shown);
}

#[test]
fn responses() {
    check_response(200, &[], false, Method::Get, expect![[r#"200 "OK" UntilClose"#]]);
    check_response(200, &[], true, Method::Get, expect![[r#"200 "OK" Length(0)"#]]);
    check_response(299, &[("content-length", "7")], false, Method::Get, expect![[r#"299 "" Length(7)"#]]);
    check_response(200, &[("content-length", "7")], true, Method::Head, expect![[r#"200 "OK" None"#]]);
    check_response(204, &[], true, Method::Get, expect![[r#"204 "No Content" None"#]]);
    check_response(304, &[], true, Method::Get, expect![[r#"304 "Not Modified" None"#]]);
}

/// What is ambiguous in HTTP/1 is refused, whatever it came in.
#[test]
fn responses_that_would_be_ambiguous() {
    let get = || Method::Get;
    let two = [("content-length", "1"), ("content-length", "2")];
    check_response(200, &two, false, get(), expect!["DifferingLengths"]);
    check_response(200, &[("content-length", "+1")], false, get(), expect!["MalformedLength"]);
    check_response(200, &[("content_length", "1")], false, get(), expect!["DisguisedFraming"]);
    check_response(200, &[("transfer-encoding", "gzip")], false, get(), expect!["UnknownTransferCoding"]);
    let many: Vec<(&str, &str)> = vec![("x", "y"); 200];
    check_response(200, &many, false, get(), expect!["TooManyHeaders"]);
    let long = "v".repeat(66_000);
    check_response(200, &[("x", &long)], false, get(), expect!["HeadTooLong"]);
}
