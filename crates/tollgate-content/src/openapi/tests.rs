use std::sync::Arc;

use super::*;

const SHOP: &str = r##"
openapi: 3.1.0
servers: [{ url: "https://api.example.com/v1" }, { url: "/{stage}/v1", variables: { stage: { default: dev, enum: [dev, test] } } }]
paths:
  /orders:
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100 } }
        - { name: tag, in: query, schema: { type: array, maxItems: 2, items: { type: string } } }
        - { name: ids, in: query, explode: false, schema: { type: array, items: { type: integer } } }
        - { name: words, in: query, style: spaceDelimited, explode: false, schema: { type: array, minItems: 2 } }
        - { name: sizes, in: query, style: pipeDelimited, explode: false, schema: { type: array, items: { enum: [1, 2] } } }
        - { name: filter, in: query, style: deepObject, schema: { $ref: "#/components/schemas/Filter" } }
        - { name: page, in: query, schema: { $ref: "#/components/schemas/Page" } }
        - { name: free, in: query, required: true, schema: { type: object, minProperties: 9 } }
        - { name: either, in: query, schema: { anyOf: [{ type: boolean }, { type: object, properties: { sub: { type: integer } } }] } }
        - { name: at, in: query, explode: false, schema: { type: object, properties: { x: { type: integer } }, required: [x] } }
        - { name: where, in: query, content: { application/json: { schema: { type: object, required: [a] } } } }
        - { name: empty, in: query, allowEmptyValue: true, schema: { type: boolean } }
        - { name: X-Trace, in: header, schema: { type: string, pattern: "^[0-9a-f]+$" } }
        - { name: X-List, in: header, schema: { type: array, items: { type: integer } } }
        - { name: Accept, in: header, required: true, schema: { const: nothing } }
        - { name: session, in: cookie, schema: { type: string, minLength: 4 } }
    post:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Order" } }
          application/x-www-form-urlencoded:
            schema: { $ref: "#/components/schemas/Order" }
            encoding: { tags: { explode: false } }
          text/*: {}
  /orders/{id}:
    parameters:
      - $ref: "#/components/parameters/Id"
    get: {}
    put:
      parameters: [{ name: id, in: path, required: true, schema: { type: string, maxLength: 3 } }]
      requestBody: { $ref: "#/components/requestBodies/Any" }
    delete: {}
  /orders/mine: { get: {} }
  /files/{name}.{ending}: { get: { parameters: [{ name: ending, in: path, required: true, schema: { enum: [txt, md] } }] } }
  /label/{l}: { get: { parameters: [{ name: l, in: path, style: label, schema: { type: array, items: { type: integer } } }] } }
  /matrix/{m}: { get: { parameters: [{ name: m, in: path, style: matrix, schema: { type: integer } }] } }
  /points/{p}: { get: { parameters: [{ name: p, in: path, explode: true, schema: { type: object, properties: { x: { type: integer } } } }] } }
  /own: { servers: [{ url: "/" }], get: {} }
components:
  parameters:
    Id: { name: id, in: path, required: true, schema: { type: integer } }
  requestBodies:
    Any: { content: { "*/*": { schema: { type: object } } } }
  schemas:
    Filter: { type: object, additionalProperties: false, properties: { color: { type: string }, max: { type: integer }, in: { type: array } } }
    Page: { type: object, properties: { size: { type: integer }, after: { type: string } } }
    Order:
      type: object
      required: [id, items]
      properties:
        id: { type: integer, readOnly: true }
        note: { type: [string, "null"] }
        tags: { type: array, items: { type: string } }
        at: { type: string, format: date-time }
        items: { type: array, items: { $ref: "#/components/schemas/Item" } }
        ship: { type: object, properties: { to: { type: string } }, required: [to] }
    Item: { type: object, required: [sku], properties: { sku: { type: string }, price: { type: number, minimum: 0 }, parts: { type: array, items: { $ref: "#/components/schemas/Item" } } } }
"##;

fn read(text: &str) -> Result<Documents, Fault> {
    Documents::read("api.yaml", text.as_bytes(), &mut |_| Err("does not exist".to_owned()))
}

fn compiled(text: &str) -> OpenApi {
    let documents = read(text).unwrap_or_else(|fault| panic!("{fault:?}"));
    OpenApi::compile(&documents, None).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn matches(got: Result<(), String>, wanted: Result<(), &str>, what: &str) {
    match wanted {
        Ok(()) => assert_eq!(got, Ok(()), "{what}"),
        Err(part) => {
            let why = got.expect_err(what);
            assert!(why.contains(part), "{what}: {why}");
        }
    }
}

/// What becomes of a request without a body; `lines` are its headers.
fn head(api: &OpenApi, request: &str, lines: &[(&str, &str)]) -> Result<(), String> {
    let (method, target) = request.split_once(' ').expect("a method and a target");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header =
        |name: &str| lines.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    api.find(method, path)?.check(query.as_bytes(), &header)
}

#[test]
fn paths_and_methods() {
    let api = compiled(SHOP);
    let check = |request: &str, wanted: Result<(), &str>| matches(head(&api, request, &[]), wanted, request);
    check("GET /v1/orders", Ok(()));
    check("HEAD /v1/orders", Ok(()));
    check("GET /test/v1/orders", Ok(()));
    check("GET /orders", Err("path: "));
    check("GET /prod/v1/orders", Err("path: "));
    check("GET /v1/orders/", Err("path: "));
    check("GET /v1", Err("path: "));
    check("PATCH /v1/orders", Err("method: `/orders` has GET, POST only"));
    check("get /v1/orders", Err("method: "));
    check("GET /v1/orders/7", Ok(()));
    check("GET /v1/orders/mine", Ok(()));
    // The concrete path is the one, also for methods that it does not have.
    check("DELETE /v1/orders/mine", Err("method: `/orders/mine` has GET only"));
    check("DELETE /v1/orders/7", Ok(()));
    check("GET /own", Ok(()));
    check("GET /v1/own", Err("path: "));
    for (beginning, whole, wanted) in [
        ("/v1", false, true),
        ("/v1/orders/7", true, true),
        ("/v1/orders/7", false, true),
        ("/v1/orders/7/x", false, false),
        ("/v2", false, false),
        ("/v1", true, false),
        ("/", false, true),
        ("/", true, false),
    ] {
        assert_eq!(api.has_path(beginning, whole), wanted, "{beginning} {whole}");
    }
    let based = OpenApi::compile(&read(SHOP).expect("documents"), Some("/shop/")).expect("a description");
    matches(head(&based, "GET /shop/orders", &[]), Ok(()), "in place of the servers");
    matches(head(&based, "GET /shop/own", &[]), Ok(()), "in place of all servers");
    matches(head(&based, "GET /v1/orders", &[]), Err("path: "), "in place of the servers");
}

#[test]
fn parameters_in_paths() {
    let api = compiled(SHOP);
    let check = |request: &str, wanted: Result<(), &str>| matches(head(&api, request, &[]), wanted, request);
    check("GET /v1/orders/x", Err("path parameter `id`: "));
    check("GET /v1/orders/1.5", Err("path parameter `id`: "));
    check("GET /v1/orders/%37", Ok(()));
    check("GET /v1/orders/%FF", Err("path parameter `id`: it is not UTF-8"));
    // The operation's own replaces that of the path.
    check("PUT /v1/orders/abc", Ok(()));
    check("PUT /v1/orders/abcd", Err("path parameter `id`: "));
    check("GET /v1/files/a.b.txt", Err("path parameter `ending`: "));
    check("GET /v1/files/a.md", Ok(()));
    check("GET /v1/files/.md", Err("path: "));
    check("GET /v1/files/a.", Err("path: "));
    check("GET /v1/label/.1", Ok(()));
    check("GET /v1/label/.1,x", Err("path parameter `l`: at /1: "));
    check("GET /v1/label/1", Err("does not begin with a dot"));
    check("GET /v1/matrix/;m=1", Ok(()));
    check("GET /v1/matrix/;m=x", Err("path parameter `m`: "));
    check("GET /v1/matrix/;n=1", Err("not written as a matrix"));
    check("GET /v1/points/x=1,y=a", Ok(()));
    check("GET /v1/points/x=a", Err("path parameter `p`: at /x: "));
    check("GET /v1/points/x", Err("a member has no `=`"));
}

#[test]
fn parameters_in_queries() {
    let api = compiled(SHOP);
    let check = |query: &str, wanted: Result<(), &str>| {
        matches(head(&api, &format!("GET /v1/orders?{query}"), &[]), wanted, query);
    };
    check("limit=10&other=1", Ok(()));
    check("limit=%31%30", Ok(()));
    check("limit=0", Err("query parameter `limit`: "));
    check("limit=010", Err("query parameter `limit`: "));
    check("limit=", Err("query parameter `limit`: "));
    check("limit=1&limit=2", Err("query parameter `limit`: it is given more than once"));
    check("limit=1&l%69mit=2", Err("query parameter `limit`: it is given more than once"));
    check("tag=a&tag=b", Ok(()));
    check("tag=a&tag=b&tag=c", Err("query parameter `tag`: "));
    check("ids=1,2,3", Ok(()));
    check("ids=1,x", Err("query parameter `ids`: at /1: "));
    check("ids=1%2C2", Err("query parameter `ids`: at /0: "));
    check("ids=", Ok(()));
    check("ids=1&ids=2", Err("given more than once"));
    check("words=a%20b", Ok(()));
    check("words=a+b", Ok(()));
    check("words=a", Err("query parameter `words`: "));
    check("sizes=1|2", Ok(()));
    check("sizes=1%7C3", Err("query parameter `sizes`: at /1: "));
    check("filter[color]=red&filter%5Bmax%5D=3&filter[in]=a&filter[in]=b", Ok(()));
    check("filter[max]=x", Err("query parameter `filter`: at /max: "));
    check("filter[other]=x", Err("query parameter `filter`: "));
    check("filter[max]=1&filter[max]=2", Err("a member is given more than once"));
    check("filter[max][gt]=1", Err("nested deeper"));
    check("size=3&after=x", Ok(()));
    check("size=x", Err("query parameter `page`: at /size: "));
    check("size=3&size=4", Err("query parameter `page`: a member is given more than once"));
    check("either=true", Ok(()));
    check("either=maybe", Err("query parameter `either`: "));
    check("sub=1", Ok(()));
    check("sub=x", Err("query parameter `either`: "));
    check("at=x,1,y,z", Ok(()));
    check("at=x,a", Err("query parameter `at`: at /x: "));
    check("at=x", Err("a member has no value"));
    check("at=y,1", Err("query parameter `at`: "));
    check("where=%7B%22a%22:1%7D", Ok(()));
    check("where=%7B%7D", Err("query parameter `where`: "));
    check("where=%7B", Err("it is no JSON"));
    check("where=%7B%22a%22:1,%22a%22:2%7D", Err("it is no JSON"));
    check("empty", Ok(()));
    check("empty=", Ok(()));
    check("empty=true", Ok(()));
    check("empty=maybe", Err("query parameter `empty`: "));
    check("limit=%FF", Err("it is not UTF-8"));
    check(&"a=1&".repeat(1_001), Err("query: there are more than 1000 names"));
    // The first three are told.
    check("limit=0&ids=x&size=x&filter[max]=x", Err("`limit`: "));
    let why = head(&api, "GET /v1/orders?limit=hunter2&ids=x&size=x&filter[max]=x", &[]).expect_err("faults");
    assert_eq!(why.matches("query parameter").count(), 3, "{why}");
    assert!(!why.contains("hunter2"), "values are not told: {why}");
}

#[test]
fn headers_and_cookies() {
    let api = compiled(SHOP);
    let check = |name: &str, value: &str, wanted: Result<(), &str>| {
        matches(head(&api, "GET /v1/orders", &[(name, value)]), wanted, value);
    };
    check("x-trace", "0af", Ok(()));
    check("x-trace", "xyz", Err("header `x-trace`: "));
    check("x-trace", "%30", Err("header `x-trace`: "));
    check("x-list", "1, 2,3", Ok(()));
    check("x-list", "1, x", Err("header `x-list`: at /1: "));
    check("accept", "whatever", Ok(()));
    check("cookie", "a=1; session=abcd", Ok(()));
    check("cookie", "session=abc", Err("cookie `session`: "));
    // Services take the spaces off.
    check("cookie", "session =abc", Err("cookie `session`: "));
    check("cookie", "a=1;\tsession\t=abc", Err("cookie `session`: "));
    check("cookie", "session= abc ", Err("cookie `session`: "));
    check("cookie", "session = abcd", Ok(()));
    check("cookie", "session=abcd; session =efgh", Err("cookie `session`: it is given more than once"));
    check("cookie", "session=abcd; session=efgh", Err("cookie `session`: it is given more than once"));
}

#[test]
fn bodies() {
    let api = compiled(SHOP);
    let check = |request: &str, kind: &str, body: &str, wanted: Result<(), &str>| {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let call = api.find(method, path).expect("an operation");
        let kind = Some(kind).filter(|kind| !kind.is_empty());
        let rest = call.body(!body.is_empty(), kind);
        let got = rest.and_then(|rest| rest.map_or(Ok(()), |rest| rest.check(body.as_bytes())));
        matches(got, wanted, body);
    };
    let post = |kind: &str, body: &str, wanted| check("POST /v1/orders", kind, body, wanted);
    let json = "application/json";
    post(json, r#"{"items": [{"sku": "a", "price": 1.5}], "note": null}"#, Ok(()));
    post("Application/JSON; charset=utf-8", r#"{"items": []}"#, Ok(()));
    post(json, r#"{"items": [{"sku": "a", "price": -1}]}"#, Err("body: at /items/0/price: "));
    post(json, r#"{"items": [{"sku": "a", "parts": [{}]}]}"#, Err("body: at /items/0/parts/0: "));
    post(json, r#"{"items": [], "at": "yesterday"}"#, Err("body: at /at: "));
    post(json, r#"{"items": [], "items": []}"#, Err("body: it is no JSON"));
    post(json, "{}", Err("body: "));
    post(json, "", Err("body: there is none"));
    post("", "{}", Err("body: its `Content-Type` must be"));
    post("application/json; charset=utf-16", "{}", Err("body: its `charset` must be"));
    post("application/x-www-form-urlencoded; charset=utf-7", "a=b", Err("body: its `charset` must be"));
    post(
        "application/xml",
        "<a/>",
        Err("`application/json` or `application/x-www-form-urlencoded` or `text/*`"),
    );
    post("text/plain", "whatever", Ok(()));
    let form = "application/x-www-form-urlencoded";
    post(form, "items=%7B%7D&items=x", Err("body: at /items/0: "));
    post(form, "note=a+b&tags=x,y&ship=%7B%22to%22:%22b%22%7D", Err("body: "));
    check("PUT /v1/orders/7", form, "a=1&a=2&b=%zz", Ok(()));
    check("PUT /v1/orders/7", form, "b=%FF", Err("body: it is not UTF-8"));
    check("PUT /v1/orders/7", "", "", Ok(()));
    check("PUT /v1/orders/7", "application/merge-patch+json", "[]", Err("body: "));
    check("PUT /v1/orders/7", "application/octet-stream", "[]", Ok(()));
    check("DELETE /v1/orders/7", json, "{}", Err("body: this operation takes none"));

    let call = api.find("POST", "/v1/orders").expect("an operation");
    let rest = call.body(true, Some(json)).expect("a type").expect("a check");
    matches(rest.check(b""), Err("body: there is none"), "a body without a byte");
}

#[test]
fn forms() {
    let api = compiled(
        r##"
openapi: 3.0.3
paths:
  /f:
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema:
              type: object
              required: [n]
              additionalProperties: false
              properties: { n: { type: integer }, tags: { type: array, items: { type: integer } }, ship: { type: object, required: [to] }, ids: { type: array, items: { type: integer } } }
            encoding: { ids: { style: pipeDelimited, explode: false } }
"##,
    );
    let check = |body: &str, wanted: Result<(), &str>| {
        let call = api.find("POST", "/f").expect("an operation");
        let rest = call.body(true, Some("application/x-www-form-urlencoded")).expect("a type");
        matches(rest.expect("a check").check(body.as_bytes()), wanted, body);
    };
    check("n=1", Ok(()));
    check("n=1&tags=1&tags=2&ids=3|4&ship=%7B%22to%22%3A1%7D", Ok(()));
    check("n=x", Err("body: at /n: "));
    check("n=1&n=2", Err("body: at /n: it is given more than once"));
    check("n=1&tags=x", Err("body: at /tags/0: "));
    check("n=1&ids=3|x", Err("body: at /ids/1: "));
    check("n=1&ship=x", Err("body: at /ship: it is no JSON"));
    check("n=1&ship=%7B%7D", Err("body: at /ship: "));
    check("n=1&other=x", Err("body: "));
    check("tags=1", Err("body: "));
}

#[test]
fn faults_of_descriptions() {
    let check = |text: &str, pointer: &str, part: &str| {
        let faults = match read(text) {
            Err(fault) => vec![fault],
            Ok(documents) => OpenApi::compile(&documents, None).expect_err(text),
        };
        let fault = faults.first().expect("a fault");
        assert_eq!(fault.pointer, pointer, "{text}: {fault:?}");
        assert!(fault.message.contains(part), "{text}: {fault:?}");
    };
    let in_get = |more: &str| format!("openapi: 3.1.0\npaths: {{ /a: {{ get: {{ {more} }} }} }}");
    let parameter = |more: &str| in_get(&format!("parameters: [{{ {more} }}]"));
    check("openapi: 3.1.0", "", "no operation");
    check("openapi: 3.1.0\npaths: { /a: {} }", "", "no operation");
    check("swagger: '2.0'", "/swagger", "Swagger 2.0");
    check("openapi: [", "", "cannot be read");
    check("openapi: 3.1.0\nopenapi: 3.1.0", "", "stands twice");
    check("openapi: 3.1.0\npaths: { a: { get: {} } }", "/paths/a/get", "must begin with `/`");
    check("openapi: 3.1.0\npaths: { '/{a': { get: {} } }", "/paths/~1{a/get", "without its `}`");
    check(
        "openapi: 3.1.0\npaths: { '/{a}{b}': { get: {} } }",
        "/paths/~1{a}{b}/get",
        "between two variables",
    );
    check(
        "openapi: 3.1.0\npaths: { '/{a}': { get: {} }, '/{b}': { get: {} } }",
        "/paths/~1{b}/get",
        "`GET /{a}`",
    );
    let at = "/paths/~1a/get/parameters/0";
    check(&parameter("in: query"), at, "needs a `name`");
    check(&parameter("name: q, in: body"), at, "needs `in`");
    check(&parameter("name: 'q r', in: header"), at, "is no name of a header");
    check(&parameter("name: [q], in: query"), "/paths/~1a/get/parameters/0/name", "must be text");
    check(&parameter("name: q, in: query, required: 1"), &format!("{at}/required"), "true or false");
    check(&parameter("name: q, in: query, style: matrix"), at, "no style `matrix`");
    check(&parameter("name: q, in: path"), "/paths/~1a/get", "no variable for the parameter `q`");
    check(
        &parameter("name: q, in: query }, { name: q, in: query"),
        "/paths/~1a/get/parameters/1",
        "stands twice",
    );
    check(&parameter("$ref: '#/components/parameters/Q'"), at, "points at nothing");
    check(&parameter("$ref: '#anchor'"), at, "names an anchor");
    check(&parameter("$ref: 'https://example.com/a.yaml'"), at, "nothing is fetched");
    check(&parameter("$ref: '../a.yaml'"), at, "leads out of the folder");
    check(&parameter("$ref: 'b.yaml#/a'"), at, "it does not exist");
    let schema = |more: &str| parameter(&format!("name: q, in: query, schema: {{ {more} }}"));
    check(&schema("type: strin"), &format!("{at}/schema/type"), "");
    check(&schema("properties: { a: { minimum: x } }"), &format!("{at}/schema/properties/a/minimum"), "");
    check(&schema("pattern: '(?=a)'"), &format!("{at}/schema"), "no schema that works");
    check(&schema("$ref: '#/components/schemas/None'"), &format!("{at}/schema"), "no schema that works");
    check(&schema("$ref: 'https://example.com/a'"), &format!("{at}/schema"), "no schema that works");
    check(&in_get("requestBody: {}"), "/paths/~1a/get/requestBody", "needs `content`");
    check(&in_get("requestBody: { content: {} }"), "/paths/~1a/get/requestBody/content", "at least one");
    check(&in_get("servers: [{}]"), "/paths/~1a/get/servers/0", "needs a `url`");
    check(&in_get("servers: [{ url: '/{a}' }]"), "/paths/~1a/get/servers/0", "does not name");
    let cycle = "openapi: 3.1.0\npaths: { /a: { parameters: [{ $ref: '#/components/parameters/A' }], get: {} } }
components: { parameters: { A: { $ref: '#/components/parameters/B' }, B: { $ref: '#/components/parameters/A' } } }";
    check(cycle, "/paths/~1a/parameters/0", "back to itself");
}

#[test]
fn a_schema_that_is_only_referred_to_is_looked_at() {
    let text = "openapi: 3.1.0
paths: { /a: { get: { parameters: [{ name: q, in: query, schema: { $ref: '#/components/schemas/A' } }] } } }
components: { schemas: { A: { items: { $ref: '#/components/schemas/B' } }, B: { type: [a] } } }";
    let faults = OpenApi::compile(&read(text).expect("documents"), None).expect_err("faults");
    assert!(faults[0].pointer.starts_with("/components/schemas/B"), "{faults:?}");
}

#[test]
fn several_files() {
    let files = [
        ("paths/pets.yaml", "get: { parameters: [{ $ref: '../common.json#/limit' }] }"),
        (
            "common.json",
            r#"{ "limit": { "name": "limit", "in": "query", "schema": { "$ref": "schemas/n.yaml#/N" } } }"#,
        ),
        (
            "schemas/n.yaml",
            "N: { type: integer, minimum: 1, nullable: true, allOf: [{ $ref: '../api.yaml#/components/schemas/M' }] }",
        ),
    ];
    let mut asked = Vec::new();
    let text = "openapi: 3.0.0
paths: { /pets: { $ref: 'paths/pets.yaml' }, /none: { get: { responses: { default: { $ref: 'gone.yaml' } } } } }
components: { schemas: { M: { maximum: 9 } } }";
    let documents = Documents::read("api.yaml", text.as_bytes(), &mut |name| {
        asked.push(name.to_owned());
        let found = files.iter().find(|(known, _)| *known == name).ok_or("does not exist")?;
        Ok(Arc::from(found.1.as_bytes()))
    });
    let api =
        OpenApi::compile(&documents.expect("documents"), None).expect("what answers are is not looked at");
    assert_eq!(asked, ["paths/pets.yaml", "gone.yaml", "common.json", "schemas/n.yaml"]);
    matches(head(&api, "GET /pets?limit=3", &[]), Ok(()), "within");
    matches(head(&api, "GET /pets?limit=0", &[]), Err("query parameter `limit`: "), "below");
    matches(head(&api, "GET /pets?limit=10", &[]), Err("query parameter `limit`: "), "above");
    matches(head(&api, "GET /pets?limit=x", &[]), Err("query parameter `limit`: "), "no number");
}
