//! Credentials and the access log: what a route takes for one never stands in a record.

use std::collections::HashSet;

use tollgate_plan::auth::Place;
use tollgate_plan::plan::AccessLog;
use tollgate_plan::route::Route;
use tollgate_wire::{Name, name};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Slot};
use crate::spec;

/// Masks the places of all routes' credentials, and refuses headers that would log one.
pub(super) fn mask(log: &mut AccessLog, slot: &Slot<spec::AccessLog>, routes: &[Route], report: &mut Report) {
    let mut headers: HashSet<Name> = HashSet::new();
    let mut query: HashSet<&str> = HashSet::new();
    for auth in routes.iter().filter_map(|route| route.auth.as_deref()) {
        if auth.basic {
            headers.insert(name::AUTHORIZATION);
        }
        for place in auth.token_from.iter().chain(&auth.api_key) {
            match place {
                Place::Header(header) if headers.contains(header) => {}
                Place::Header(header) => {
                    headers.insert(header.clone());
                }
                Place::Cookie(_) => {
                    headers.insert(name::COOKIE);
                }
                Place::Query(parameter) => {
                    query.insert(parameter);
                }
            }
        }
    }
    let logged = slot.value().and_then(|log| log.headers.value()).map(|List(names)| names.as_slice());
    for At { value, span, .. } in
        logged.unwrap_or_default().iter().filter(|name| headers.contains(&name.value.0))
    {
        let message = format!("`{}` carries credentials of a route, which are never logged", value.0);
        report.push(Finding::error(Code::BadValue, *span, message));
    }
    log.masked_headers = headers.into_iter().collect();
    log.masked_headers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    log.masked_query = query.into_iter().map(Box::from).collect();
    log.masked_query.sort();
}
