//! The lines of one screen. It knows no terminal: what is shown is text with a meaning, as wide and high as is asked for.

use super::view::{ReasonRow, RouteRow, Sort, UpstreamRow, View};
use crate::commands::status::uptime;

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Faint,
    Good,
    Bad,
}

/// One line: pieces of text.
pub(super) type Line = Vec<(Tone, String)>;

/// How much room there is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) width: usize,
    /// None: as many lines as there are.
    pub(super) height: Option<usize>,
}

/// What is shown beside the numbers.
pub(super) struct Situation<'a> {
    pub(super) address: &'a str,
    pub(super) sort: Sort,
    pub(super) paused: bool,
    /// Why the last look failed.
    pub(super) fault: Option<&'a str>,
}

const KEYS: &str = "q quit  p pause  space look now  sort by r rate  l latency  e errors  n name";

/// Under this width, columns are left out.
const NARROW: usize = 60;

/// The screen.
pub(super) fn frame(view: &View, situation: &Situation<'_>, room: Room) -> Vec<Line> {
    let mut lines = head(view, situation, room.width);
    let foot = vec![(Tone::Faint, KEYS.to_owned())];
    let rows = [view.routes.len(), view.upstreams.len(), view.reasons.len()];
    // An empty line and a heading for each table, and one row at least; the foot.
    let left = room.height.map(|height| height.saturating_sub(lines.len() + 1));
    let tables = left.map_or(rows.len(), |left| (left / 3).min(rows.len()));
    let heights = left.map_or(rows, |left| share(rows, tables, left.saturating_sub(2 * tables)));
    let all = [
        table(route_columns(room.width, situation.sort), &view.routes, heights[0], room.width, route_cells),
        table(upstream_columns(room.width), &view.upstreams, heights[1], room.width, upstream_cells),
        table(reason_columns(), &view.reasons, heights[2], room.width, reason_cells),
    ];
    for table in all.into_iter().take(tables) {
        lines.push(Line::new());
        lines.extend(table);
    }
    if let Some(height) = room.height {
        lines.truncate(height.saturating_sub(1));
        lines.push(foot);
    }
    lines.into_iter().map(|line| cut(line, room.width)).collect()
}

/// How many rows each of the first tables gets of those that fit: what one leaves over, the others get.
fn share(mut rows: [usize; 3], tables: usize, mut room: usize) -> [usize; 3] {
    rows.iter_mut().skip(tables).for_each(|rows| *rows = 0);
    let mut given = [0; 3];
    while room > 0 && given != rows {
        for (given, rows) in given.iter_mut().zip(rows) {
            if room > 0 && *given < rows {
                *given += 1;
                room -= 1;
            }
        }
    }
    given
}

fn head(view: &View, situation: &Situation<'_>, width: usize) -> Vec<Line> {
    let state = match view.state {
        "ready" => Tone::Good,
        _ => Tone::Bad,
    };
    let mut first = vec![
        (Tone::Strong, format!("tollgate {}  ", view.version)),
        (state, view.state.to_owned()),
        (Tone::Plain, format!("  up {}  configuration {}", uptime(view.uptime_s), view.generation)),
    ];
    if view.reload_refused {
        first.push((Tone::Bad, "  the last one was refused".to_owned()));
    }
    if situation.paused {
        first.push((Tone::Bad, "  paused".to_owned()));
    }
    first.push((Tone::Faint, format!("  {}", situation.address)));
    let [p50, p95, p99] = view.latency.map(time);
    let [g50, g95, g99] = view.overhead.map(time);
    let errors = if view.server_errors > 0.0 { Tone::Bad } else { Tone::Plain };
    let per_request =
        view.cpu_per_request.map_or(String::new(), |cpu| format!(", {} a request", time(Some(cpu))));
    let mut lines = vec![
        first,
        vec![
            (
                Tone::Plain,
                format!("requests  {}/s  4xx {}/s  ", rate(view.requests), rate(view.client_errors)),
            ),
            (errors, format!("5xx {}/s", rate(view.server_errors))),
            (Tone::Plain, format!("  refused {}/s  in flight {}", rate(view.refused), whole(view.in_flight))),
        ],
        vec![(Tone::Plain, format!("latency   p50 {p50}  p95 {p95}  p99 {p99}"))],
        vec![(Tone::Plain, format!("gateway   p50 {g50}  p95 {g95}  p99 {g99}"))],
        vec![(
            Tone::Plain,
            format!(
                "process   cpu {:.0}%{per_request}  memory {}  connections {}  files {}",
                view.cpu * 100.0,
                size(view.memory),
                whole(view.connections),
                whole(view.files.0),
            ),
        )],
    ];
    if let Some(fault) = situation.fault {
        lines.push(vec![(Tone::Bad, fault.to_owned())]);
    }
    lines.into_iter().map(|line| cut(line, width)).collect()
}

/// A column: its heading, and how wide it is; none takes what is left.
struct Column {
    name: &'static str,
    width: Option<usize>,
    sorted: bool,
}

fn column(name: &'static str, width: Option<usize>) -> Column {
    Column { name, width, sorted: false }
}

fn route_columns(width: usize, sort: Sort) -> Vec<Column> {
    let sorted = |column: Column, by: Sort| Column { sorted: by == sort, ..column };
    let mut columns = vec![
        sorted(column("route", None), Sort::Name),
        sorted(column("req/s", Some(8)), Sort::Rate),
        column("p50", Some(8)),
        sorted(column("p99", Some(8)), Sort::Latency),
        sorted(column("5xx/s", Some(8)), Sort::Errors),
        column("refused/s", Some(10)),
    ];
    if width < NARROW {
        columns.truncate(4);
        columns.remove(2);
    }
    columns
}

fn upstream_columns(width: usize) -> Vec<Column> {
    let mut columns = vec![
        column("upstream", None),
        column("req/s", Some(8)),
        column("failed/s", Some(9)),
        column("state", Some(18)),
    ];
    if width < NARROW {
        columns.remove(1);
        columns[2].width = Some(9);
    }
    columns
}

fn reason_columns() -> Vec<Column> {
    vec![column("refused because", None), column("req/s", Some(8)), column("in all", Some(10))]
}

type Cell = (Tone, String);

fn route_cells(row: &RouteRow, columns: usize) -> Vec<Cell> {
    let errors = if row.errors > 0.0 { Tone::Bad } else { Tone::Plain };
    let quiet = if row.requests > 0.0 { Tone::Plain } else { Tone::Faint };
    let cells = vec![
        (quiet, row.name.clone()),
        (quiet, rate(row.requests)),
        (quiet, time(row.latency[0])),
        (quiet, time(row.latency[1])),
        (errors, rate(row.errors)),
        (quiet, rate(row.refused)),
    ];
    match columns {
        6 => cells,
        _ => [0, 1, 3].into_iter().filter_map(|at| cells.get(at).cloned()).collect(),
    }
}

fn upstream_cells(row: &UpstreamRow, columns: usize) -> Vec<Cell> {
    let failures = if row.failures > 0.0 { Tone::Bad } else { Tone::Plain };
    let state = if row.well { Tone::Good } else { Tone::Bad };
    let name = if row.is_target { format!("  {}", row.name) } else { row.name.clone() };
    let mut cells = vec![
        (Tone::Plain, name),
        (Tone::Plain, rate(row.requests)),
        (failures, rate(row.failures)),
        (state, row.state.clone()),
    ];
    if columns < cells.len() {
        cells.remove(1);
    }
    cells
}

fn reason_cells(row: &ReasonRow, _: usize) -> Vec<Cell> {
    vec![(Tone::Plain, row.reason.clone()), (Tone::Plain, rate(row.rate)), (Tone::Faint, whole(row.total))]
}

/// A heading and so many rows; the last one counts those that have no room.
fn table<R>(
    columns: Vec<Column>,
    rows: &[R],
    height: usize,
    width: usize,
    cells: impl Fn(&R, usize) -> Vec<Cell>,
) -> Vec<Line> {
    let fixed: usize = columns.iter().filter_map(|column| column.width).sum();
    let rest = width.saturating_sub(fixed).max(8);
    let widths: Vec<usize> = columns.iter().map(|column| column.width.unwrap_or(rest)).collect();
    let heading = columns.iter().map(|column| {
        let tone = if column.sorted { Tone::Strong } else { Tone::Faint };
        (tone, column.name.to_uppercase())
    });
    let mut lines = vec![row(heading.collect(), &widths)];
    let shown = if rows.len() > height { height.saturating_sub(1) } else { rows.len() };
    lines.extend(rows.iter().take(shown).map(|one| row(cells(one, columns.len()), &widths)));
    if shown < rows.len() && height > 0 {
        lines.push(vec![(Tone::Faint, format!("and {} more", rows.len() - shown))]);
    }
    lines
}

/// The first cell to the left, the others to the right of their columns.
fn row(cells: Vec<Cell>, widths: &[usize]) -> Line {
    let cells = cells.into_iter().zip(widths).enumerate();
    cells
        .map(|(at, ((tone, text), width))| {
            // A blank between two columns at least.
            let text = shortened(&text, width.saturating_sub(1));
            let text = if at == 0 { format!("{text:<width$}") } else { format!("{text:>width$}") };
            (tone, text)
        })
        .collect()
}

/// What is too long ends in `…`; what a terminal would act on is `?`.
fn shortened(text: &str, width: usize) -> String {
    let plain = text.chars().map(|character| if character.is_control() { '?' } else { character });
    if text.chars().count() <= width {
        return plain.collect();
    }
    plain.take(width.saturating_sub(1)).chain(['…']).collect()
}

fn cut(line: Line, width: usize) -> Line {
    let mut left = width;
    let mut pieces = Line::new();
    for (tone, text) in line {
        let text = shortened(&text, left);
        left = left.saturating_sub(text.chars().count());
        pieces.push((tone, text));
        if left == 0 {
            break;
        }
    }
    pieces
}

/// `0`, `0.25`, `12.5`, `1240`.
fn rate(value: f64) -> String {
    match value {
        value if value <= 0.0 => "0".to_owned(),
        value if value < 0.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

/// `75µs`, `1.25ms`, `2.5s`; `-` where nothing came.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".to_owned(),
        Some(seconds) if seconds < 1e-3 => format!("{:.0}µs", seconds * 1e6),
        Some(seconds) if seconds < 1e-1 => format!("{:.2}ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0}ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.2}s"),
    }
}

fn size(bytes: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    if bytes < 1024.0 * MIB {
        format!("{:.1} MiB", bytes / MIB)
    } else {
        format!("{:.2} GiB", bytes / 1024.0 / MIB)
    }
}

#[cfg(test)]
mod tests;
