//! Ten thousand routes.

use crate::route::RouteId;
use crate::table::fixture::{Request, route};
use crate::table::{Found, Params, RouteTable};

const ROUTES: u32 = 10_000;

/// Each shape of route, ten thousand times, and a request for one of them.
const SHAPES: &[(&str, &str)] = &[
    ("GET - /service-N/orders", "GET - /service-N/orders"),
    ("- - /service-N/orders/{id}", "POST - /service-N/orders/7"),
    ("- - /v1/{tenant}/service-N/*", "GET - /v1/t/service-N/a/b"),
    ("- hN.example.com /{id}", "GET hN.example.com /7"),
    ("- *.hN.example.com /a", "GET x.hN.example.com /a"),
    ("- - /files/{name}.tN", "GET - /files/a.tN"),
    ("- - /files/kN-{name}.json", "GET - /files/kN-a.json"),
];

#[test]
fn every_one_of_many_is_found() {
    for (shape, request) in SHAPES {
        let specs = (0..ROUTES).map(|n| route(n, &shape.replace('N', &n.to_string())));
        let table = RouteTable::build(specs.collect());
        let mut params = Params::default();
        for n in (0..ROUTES).step_by(97).chain([ROUTES - 1]) {
            let request = Request::parse(&request.replace('N', &n.to_string()));
            let found = table.find(&request.host, &request.path, &request, &mut params);
            assert_eq!(found, Found::Route(RouteId(n)), "{request:?}");
        }
        let beyond = Request::parse(&request.replace('N', &ROUTES.to_string()));
        assert_eq!(
            table.find(&beyond.host, &beyond.path, &beyond, &mut params),
            Found::NotFound,
            "{beyond:?}"
        );
    }
}

/// The look-up must not visit routes that the path rules out. Visits cannot be counted from outside, so a table is
/// compared with one a hundred times smaller; if the look-up went through all routes it would take a hundred times
/// as long, and a factor of twenty leaves room for caches and a busy machine.
#[test]
fn many_routes_cost_no_more_than_few() {
    for (shape, request) in SHAPES {
        let time = |routes: u32| {
            let specs = (0..routes).map(|n| route(n, &shape.replace('N', &n.to_string())));
            let table = RouteTable::build(specs.collect());
            let mut params = Params::default();
            let request = Request::parse(&request.replace('N', &(routes - 1).to_string()));
            let mut look_up = || {
                let began = std::time::Instant::now();
                for _ in 0..200 {
                    let found = table.find(&request.host, &request.path, &request, &mut params);
                    assert_eq!(found, Found::Route(RouteId(routes - 1)));
                }
                began.elapsed()
            };
            (0..20).map(|_| look_up()).min().unwrap()
        };
        let (few, many) = (time(ROUTES / 100), time(ROUTES));
        assert!(many < few * 20, "{shape}: {few:?} for {} routes, {many:?} for {ROUTES}", ROUTES / 100);
    }
}
