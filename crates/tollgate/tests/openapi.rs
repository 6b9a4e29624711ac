//! `validate.openapi`: only requests of the described interface reach the service.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tollgate_testkit::behaviour::named;
use tollgate_testkit::{Gateway, Origin, assert_problem, gateway, wait_for};

const PETS: &str = r##"
openapi: 3.1.0
info: { title: Pets, version: 1.4.0 }
servers:
  - url: https://pets.example.com/v1
paths:
  /pets:
    get:
      operationId: listPets
      parameters:
        - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100 } }
        - { name: status, in: query, schema: { type: array, items: { enum: [available, pending, sold] } } }
        - { name: filter, in: query, style: deepObject, schema: { type: object, properties: { minAge: { type: integer } } } }
        - { name: X-Request-Source, in: header, schema: { enum: [web, app] } }
      responses: { default: { description: pets } }
    post:
      operationId: addPet
      requestBody: { $ref: "#/components/requestBodies/Pet" }
      responses: { default: { description: the pet } }
  /pets/{petId}:
    parameters:
      - { name: petId, in: path, required: true, schema: { type: integer } }
    get: { responses: { default: { description: the pet } } }
    delete:
      parameters:
        - { name: X-Api-Version, in: header, required: true, schema: { const: "2" } }
        - { name: session, in: cookie, required: true, schema: { type: string, format: uuid } }
      responses: { default: { description: gone } }
  /pets/findByOwner:
    get:
      parameters:
        - { name: owner, in: query, required: true, content: { application/json: { schema: { $ref: "schemas/owner.json" } } } }
      responses: { default: { description: pets } }
  /pets/{petId}/photo:
    put:
      requestBody: { required: true, content: { image/*: {} } }
      responses: { default: { description: ok } }
components:
  requestBodies:
    Pet:
      required: true
      content:
        application/json: { schema: { $ref: "#/components/schemas/Pet" } }
        application/x-www-form-urlencoded: { schema: { $ref: "#/components/schemas/Pet" } }
  schemas:
    Pet:
      type: object
      required: [id, name]
      additionalProperties: false
      properties:
        id: { type: integer, readOnly: true }
        name: { type: string, minLength: 1 }
        age: { type: integer, minimum: 0 }
        tags: { type: array, items: { type: string } }
        friends: { type: array, items: { $ref: "#/components/schemas/Pet" } }
"##;

const OWNER: &str = r#"{ "type": "object", "required": ["name"] }"#;

const ROUTES: &str = r#"
workers: 1
routes:
  - path: /v1/*
    cors: { origins: ["https://shop.example.com"], methods: [GET, POST, DELETE] }
    validate: { openapi: @API@ }
    to: @ORIGIN@
  - path: /shop/*
    max_body: 1KiB
    validate: { openapi: { file: @API@, base: /shop }, query: { additionalProperties: false, properties: { limit: {} } } }
    request: { strip_prefix: /shop }
    to: @ORIGIN@
"#;

/// A folder with the description, beside which its schemas are.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("schemas")).expect("a folder");
    write(&dir.path().join("pets.yaml"), PETS);
    write(&dir.path().join("schemas/owner.json"), OWNER);
    dir
}

fn write(path: &Path, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).expect("the file is written");
    fs::rename(&fresh, path).expect("the file takes its place");
}

fn start(dir: &TempDir) -> (Gateway, Origin) {
    let origin = Origin::start(named("origin"));
    let gateway = gateway!(ROUTES, ORIGIN = origin.url(), API = dir.path().join("pets.yaml").display());
    (gateway, origin)
}

/// Sends a request to the gateway; it is answered by the service, or refused with a detail of which a part is given.
fn check(gateway: &Gateway, origin: &Origin, head: &str, body: &str, wanted: Result<(), &str>) {
    let before = origin.count();
    let (line, lines) = head.split_once('\n').unwrap_or((head, ""));
    let lines: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
    let length = match body.is_empty() {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let sent = format!("{line} HTTP/1.1\r\nHost: test\r\n{lines}{length}\r\n{body}");
    let reply = gateway.client().exchange(sent);
    match wanted {
        Ok(()) => {
            assert_eq!(reply.status, 200, "{head} {body}: {}", reply.text());
            assert_eq!(origin.count(), before + 1);
        }
        Err(detail) => {
            assert_problem(&reply, "schema_invalid");
            assert!(reply.text().contains(detail), "{head} {body}: {}", reply.text());
            assert_eq!(origin.count(), before, "{head}: what is refused goes nowhere");
        }
    }
}

#[test]
fn operations_and_parameters() {
    let dir = folder();
    let (gateway, origin) = start(&dir);
    let check = |head: &str, wanted: Result<(), &str>| check(&gateway, &origin, head, "", wanted);
    check("GET /v1/pets", Ok(()));
    check("GET /v1/pets?limit=10&status=sold&status=pending&filter[minAge]=2&utm_source=x", Ok(()));
    check("GET /v1/./pets?limit=10", Ok(()));
    check("GET /v1/cats", Err("path: "));
    check("GET /v1/pets/", Err("path: "));
    check("PUT /v1/pets", Err("`/pets` has GET, POST only"));
    check("GET /v1/pets?limit=1000", Err("query parameter `limit`: "));
    check("GET /v1/pets?limit=hunter2", Err("query parameter `limit`: "));
    check("GET /v1/pets?limit=1&limit=2", Err("query parameter `limit`: it is given more than once"));
    check("GET /v1/pets?status=lost", Err("query parameter `status`: at /0: "));
    check("GET /v1/pets?filter[minAge]=x", Err("query parameter `filter`: at /minAge: "));
    check("GET /v1/pets\nX-Request-Source: web", Ok(()));
    check("GET /v1/pets\nX-REQUEST-SOURCE: tv", Err("header `x-request-source`: "));
    check("GET /v1/pets\nX-Request-Source: web\nX-Request-Source: app", Err("header `x-request-source`: "));
    check("GET /v1/pets/7", Ok(()));
    check("GET /v1/pets/seven", Err("path parameter `petId`: "));
    check("GET /v1/pets/7/photo", Err("`/pets/{petId}/photo` has PUT only"));
    let session = "Cookie: a=1; session=123e4567-e89b-12d3-a456-426614174000";
    check(&format!("DELETE /v1/pets/7\nX-Api-Version: 2\n{session}"), Ok(()));
    check(&format!("DELETE /v1/pets/7\n{session}"), Err("header `x-api-version`: it is required"));
    check("DELETE /v1/pets/7\nX-Api-Version: 2\nCookie: session=7", Err("cookie `session`: "));
    check("DELETE /v1/pets/7\nX-Api-Version: 2", Err("cookie `session`: it is required"));
    // The concrete path is not the one with the variable.
    check("GET /v1/pets/findByOwner?owner=%7B%22name%22:%22a%22%7D", Ok(()));
    check("GET /v1/pets/findByOwner?owner=%7B%7D", Err("query parameter `owner`: "));
    check("GET /v1/pets/findByOwner", Err("query parameter `owner`: it is required"));

    let head = gateway
        .client()
        .exchange("HEAD /v1/pets?limit=7 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(head.status, 200, "who answers GET answers HEAD");
    let preflight = "OPTIONS /v1/pets HTTP/1.1\r\nHost: test\r\nOrigin: https://shop.example.com\r\n\
        Access-Control-Request-Method: POST\r\n\r\n";
    assert_eq!(gateway.client().exchange(preflight).status, 204, "preflights come before");
}

#[test]
fn bodies() {
    let dir = folder();
    let (gateway, origin) = start(&dir);
    let check =
        |head: &str, body: &str, wanted: Result<(), &str>| check(&gateway, &origin, head, body, wanted);
    let json = "POST /v1/pets\nContent-Type: application/json; charset=utf-8";
    check(json, r#"{"name": "Rex", "friends": [{"name": "Ada"}]}"#, Ok(()));
    assert_eq!(&*origin.last().body, br#"{"name": "Rex", "friends": [{"name": "Ada"}]}"#, "byte by byte");
    check(json, r#"{"name": "Rex", "age": -1}"#, Err("body: at /age: "));
    check(json, r#"{"name": "Rex", "friends": [{"name": ""}]}"#, Err("body: at /friends/0/name: "));
    check(json, r#"{"name": "Rex", "name": "Ada"}"#, Err("body: it is no JSON"));
    check(json, r#"{"name": "Rex", "password": "hunter2"}"#, Err("body: "));
    check(json, "", Err("body: there is none"));
    let form = "POST /v1/pets\nContent-Type: application/x-www-form-urlencoded";
    check(form, "name=Rex&age=3&tags=a&tags=b", Ok(()));
    check(form, "name=Rex&age=old", Err("body: at /age: "));
    check(
        "POST /v1/pets",
        r#"{"name": "Rex"}"#,
        Err("body: its `Content-Type` must be `application/json` or "),
    );
    check("POST /v1/pets\nContent-Type: text/xml", "<pet/>", Err("body: its `Content-Type` must be "));
    check(&format!("{json}\nContent-Encoding: gzip"), "x", Err("content coding"));
    check("PUT /v1/pets/7/photo\nContent-Type: image/png", "\u{89}PNG", Ok(()));
    check("PUT /v1/pets/7/photo\nContent-Type: text/plain", "PNG", Err("`image/*`"));
    check("GET /v1/pets\nContent-Type: application/json", "{}", Err("body: this operation takes none"));

    let chunked = "POST /v1/pets HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let reply =
        gateway.client().exchange(format!("{chunked}4\r\n{{\"na\r\nb\r\nme\":\"Rex\"}}\n\r\n0\r\n\r\n"));
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = gateway.client().exchange(format!("{chunked}0\r\n\r\n"));
    assert_problem(&reply, "schema_invalid");
    assert!(reply.text().contains("body: there is none"), "{}", reply.text());
}

#[test]
fn another_base_and_other_schemas_beside() {
    let dir = folder();
    let (gateway, origin) = start(&dir);
    check(&gateway, &origin, "GET /shop/pets?limit=3", "", Ok(()));
    assert_eq!(origin.last().target(), "/pets?limit=3");
    check(&gateway, &origin, "GET /shop/pets?limit=0", "", Err("query parameter `limit`: "));
    check(&gateway, &origin, "GET /shop/pets?other=1", "", Err("query: "));
    check(&gateway, &origin, "GET /shop/v1/pets", "", Err("path: "));
    let large = format!(r#"{{"name": "{}"}}"#, "x".repeat(2_000));
    let sent = format!(
        "POST /shop/pets HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{large}",
        large.len()
    );
    assert_problem(&gateway.client().exchange(sent), "body_too_large");
}

#[test]
fn descriptions_are_loaded_anew() {
    let dir = folder();
    let (gateway, origin) = start(&dir);
    check(&gateway, &origin, "GET /v1/pets?limit=50", "", Ok(()));
    write(&dir.path().join("pets.yaml"), &PETS.replace("maximum: 100", "maximum: 10"));
    gateway.wait_generation(2);
    check(&gateway, &origin, "GET /v1/pets?limit=50", "", Err("query parameter `limit`: "));

    // So is what it refers to; and what cannot be used is not.
    let owner = "GET /v1/pets/findByOwner?owner=%7B%22name%22:1%7D";
    check(&gateway, &origin, owner, "", Ok(()));
    write(&dir.path().join("schemas/owner.json"), r#"{ "properties": { "name": { "type": "text" } } }"#);
    wait_for("the refusal", || gateway.stderr().text().contains("/properties/name/type"));
    check(&gateway, &origin, owner, "", Ok(()));
    write(&dir.path().join("schemas/owner.json"), r#"{ "properties": { "name": { "type": "string" } } }"#);
    gateway.wait_generation(3);
    check(&gateway, &origin, owner, "", Err("query parameter `owner`: at /name: "));
}
