//! `tollgate demo`: two services and an issuer of tokens, the gateway in front of them, and requests to try.

use std::process::ExitCode;

use crate::demo::issuer::Issuer;
use crate::demo::setup::{API_KEY, Setup};
use crate::demo::{issuer, origins, traffic};
use crate::{log, output, serve};

pub(super) fn demo() -> ExitCode {
    log::init();
    let (setup, issuer) = match prepare() {
        Ok(ready) => ready,
        Err(error) => {
            output::error(format!("the demo cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = serve::serve(setup.config.clone().into(), None, |_| {
        // The demo serves also where nobody reads of it; what was lost has been told.
        let _ = output::out(&introduction(&setup, &issuer));
        if let Err(error) = traffic::start(setup.gateway, issuer) {
            tracing::warn!(%error, "the demo sends no traffic");
        }
    });
    drop(setup);
    code
}

fn prepare() -> std::io::Result<(Setup, Issuer)> {
    let (origins, issuer) = (origins::start()?, issuer::start()?);
    Ok((Setup::write(&origins, &issuer)?, issuer))
}

fn introduction(setup: &Setup, issuer: &Issuer) -> String {
    let (gateway, admin, issuer) = (setup.gateway, setup.admin, issuer.name());
    let notes: String = setup.notes.iter().map(|note| format!("  {note}\n")).collect();
    let requests: String = [
        (format!("curl -i http://{gateway}/users/1"), "a route; see what the service saw"),
        (
            format!("curl -i http://{gateway}/orders/7"),
            "a parameter, another path upstream, headers set and removed",
        ),
        (format!("curl -i http://{gateway}/hello/you"), "an answer of the gateway itself, from a template"),
        (format!("curl -i http://{gateway}/old/2"), "a redirect"),
        (format!("curl -i http://{gateway}/nothing"), "404 as problem JSON, with a stable code"),
        (format!("curl -i -X DELETE http://{gateway}/orders/7"), "405 with Allow"),
        (format!("curl -i http://{gateway}/report"), "the service is too slow: 504 upstream_timeout"),
        (format!("curl -i http://{gateway}/account"), "401: this one wants a token"),
        (
            format!("TOKEN=$(curl -s -u demo:demo -H accept:text/plain -d grant_type=client_credentials {issuer}/token)"),
            "get one",
        ),
        (
            format!("curl -i -H \"Authorization: Bearer $TOKEN\" http://{gateway}/account"),
            "with it; the service sees x-user",
        ),
        (format!("curl -s -X POST {issuer}/rotate"), "a new signing key; the gateway finds it, the token stays good"),
        (format!("curl -i -H x-api-key:{API_KEY} http://{gateway}/partner/orders/7"), "an API key"),
        (format!("curl -i http://{gateway}/limited"), "the fourth in a row is 429, with Retry-After"),
        (format!("curl -i http://{gateway}/health"), "the health of the services"),
        (format!("curl -s http://{admin}/metrics"), "the metrics"),
        (format!("curl -s -X POST http://{admin}/api/v1/reload"), "reload; saving the file does the same"),
    ]
    .iter()
    .map(|(command, meaning)| format!("  {command:<52} # {meaning}\n"))
    .collect();
    format!(
        "\nTollgate demo: http://{gateway}, admin http://{admin}\n{notes}\nConfiguration, reloaded when you save it:\n  \
         {}\n\nTry:\n{requests}\nBelow: the access log, with a request of the demo itself every two seconds. \
         Ctrl-C stops.\n\n",
        setup.config.display()
    )
}
