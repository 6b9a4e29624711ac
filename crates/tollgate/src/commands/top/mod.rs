//! `tollgate top`: a running gateway live, from its admin side.

mod frame;
pub(super) mod numbers;
mod screen;
mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Instant;

use crate::admin_side::AdminSide;
use crate::cli::TopArgs;
use crate::output;
use frame::{Line, Room, Situation, frame};
use numbers::Numbers;
use view::{Look, Sort, View};

/// Columns of a screen that is printed and has no terminal.
const WIDTH: usize = 80;

pub(super) fn top(arguments: &TopArgs) -> ExitCode {
    let once = arguments.once || arguments.json;
    let live = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !once && !live {
        output::error("this is no terminal; --once prints one screen, --json what it shows");
        return ExitCode::from(2);
    }
    let Some(admin) = AdminSide::of(&arguments.admin) else {
        output::failed_as_told(arguments.json);
        return ExitCode::FAILURE;
    };
    let shown = look(&admin).and_then(|first| match once {
        true => print(arguments, &admin, first),
        false => screen::run(admin, arguments.every, first).map(|()| ExitCode::SUCCESS),
    });
    match shown {
        Ok(code) => code,
        Err(message) => {
            output::failed(arguments.json, message);
            ExitCode::FAILURE
        }
    }
}

/// One look at the gateway, and when it was.
fn look(admin: &AdminSide) -> Result<(Instant, Look), String> {
    let ready = admin.ready()?;
    let health = admin.json("/health")?;
    let numbers = Numbers::parse(&admin.text("/metrics")?);
    Ok((Instant::now(), Look { numbers, health, ready }))
}

/// Two looks, and what happened between them.
#[expect(clippy::disallowed_methods, reason = "the time between two looks is what was asked for")]
fn print(
    arguments: &TopArgs,
    admin: &AdminSide,
    (began, first): (Instant, Look),
) -> Result<ExitCode, String> {
    std::thread::sleep(arguments.every);
    let (ended, second) = look(admin)?;
    let view = View::between(&first, &second, ended - began, Sort::Rate);
    if arguments.json {
        return Ok(output::json(&view.to_json()).exit(true));
    }
    let address = admin.address.to_string();
    let situation = Situation { address: &address, sort: Sort::Rate, paused: false, fault: None };
    let width = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(WIDTH);
    let lines = frame(&view, &situation, Room { width, height: None });
    Ok(output::out(&lines.iter().map(plain).collect::<String>()).exit(true))
}

/// A line without colours.
fn plain(line: &Line) -> String {
    let text: String = line.iter().map(|(_, text)| text.as_str()).collect();
    format!("{}\n", text.trim_end())
}
