//! `tollgate demo`: two services, the gateway in front of them, and requests to try.

use std::process::ExitCode;

use crate::demo::setup::Setup;
use crate::demo::{origins, traffic};
use crate::{log, output, serve};

pub(super) fn demo() -> ExitCode {
    log::init();
    let setup = match origins::start().and_then(|origins| Setup::write(&origins)) {
        Ok(setup) => setup,
        Err(error) => {
            output::error(format!("the demo cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = serve::serve(&setup.config, |_| {
        output::out(&introduction(&setup));
        if let Err(error) = traffic::start(setup.gateway) {
            tracing::warn!(%error, "the demo sends no traffic");
        }
    });
    drop(setup);
    code
}

fn introduction(setup: &Setup) -> String {
    let (gateway, admin) = (setup.gateway, setup.admin);
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
