//! `tollgate explain`: what would become of a request, out of a configuration or asked of a gateway that runs.

mod shown;

use std::process::ExitCode;

use serde_json::{Map, Value, json};
use tollgate_proxy::{Asked, Gateway};

use crate::admin_side::AdminSide;
use crate::cli::ExplainArgs;
use crate::{config_file, output};

/// Wrong usage, as clap says it.
const USAGE: u8 = 2;

pub(super) fn explain(arguments: &ExplainArgs) -> ExitCode {
    let asked = asked(arguments);
    if let Err(fault) = asked.check() {
        output::error(fault);
        return USAGE.into();
    }
    let told = match arguments.live {
        None => offline(arguments, &asked),
        Some(address) => live(arguments, address.map(AdminSide::at)),
    };
    let told = match told {
        Ok(told) => told,
        Err(Refused::Said) => {
            output::failed_as_told(arguments.output.json);
            return ExitCode::FAILURE;
        }
        Err(Refused::Because(message)) => {
            output::failed(arguments.output.json, message);
            return ExitCode::FAILURE;
        }
    };
    let written = if arguments.output.json { output::json(&told) } else { output::out(&shown::text(&told)) };
    written.exit(true)
}

/// There is no explanation.
enum Refused {
    /// Why is already on standard error.
    Said,
    Because(String),
}

fn asked(arguments: &ExplainArgs) -> Asked {
    Asked {
        method: arguments.method.clone(),
        url: arguments.url.clone(),
        headers: arguments.headers.clone(),
        body: arguments.data.clone().unwrap_or_default().into_bytes(),
        ip: Some(arguments.ip),
    }
}

/// By a gateway in this process that has neither listeners nor a network.
fn offline(arguments: &ExplainArgs, asked: &Asked) -> Result<Value, Refused> {
    let loaded = config_file::load(&arguments.config).ok_or(Refused::Said)?;
    let gateway = Gateway::offline(loaded.plan).map_err(refused)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(refused)?;
    let explained = runtime.block_on(gateway.control().explain(asked)).map_err(refused)?;
    Ok(explained.to_json())
}

/// By the gateway that runs.
fn live(arguments: &ExplainArgs, admin: Option<AdminSide>) -> Result<Value, Refused> {
    let configured = || {
        let loaded = config_file::load(&arguments.config)?;
        Some(AdminSide::configured(&loaded.plan.admin))
    };
    let admin = admin.or_else(configured).ok_or(Refused::Said)?;
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in &arguments.headers {
        let lines = headers.entry(name.clone()).or_insert_with(|| json!([]));
        if let Value::Array(lines) = lines {
            lines.push(value.clone().into());
        }
    }
    let document = json!({
        "method": arguments.method, "url": arguments.url, "headers": headers, "body": arguments.data,
        "ip": arguments.ip.to_string(),
    });
    admin.post("/api/v1/explain", &document).map_err(refused)
}

fn refused(fault: impl std::fmt::Display) -> Refused {
    Refused::Because(fault.to_string())
}
