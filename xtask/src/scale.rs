//! `./dev scale`: a thousand gateways and one Redis, simulated with the decider's own code, and what came of it drawn.
//!
//! The simulation is a test of `tollgate-policy`, in `crates/tollgate-policy/tests/simulation`, and says what it does; here
//! it is built for speed and told where its figures go.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::plot::{self, COLOURS, Line, Panel};
use crate::{run, say, tree};

/// Where the figures are kept: one line for each run, and the course of those in which Redis goes away.
const FOLDER: &str = "bench/results";
const RUNS: &str = "bench/results/scale.csv";
const COURSES: &str = "bench/results/scale-outage.csv";

/// What to do.
#[derive(clap::Args)]
pub struct Args {
    /// Only draw the figures of the last run again
    #[arg(long)]
    plot: bool,
}

/// Runs it; false when the simulation failed.
pub fn run(args: &Args) -> Result<bool> {
    if !args.plot {
        say::step("the fleet at scale: some minutes, two gigabytes of memory");
        let mut command = run::cargo(&[
            "test",
            "--quiet",
            "--locked",
            // The decider and the simulation alone: everything else is as the other tests have it.
            "--config",
            "profile.dev.package.tollgate-policy.opt-level=3",
            "--package",
            "tollgate-policy",
            "--test",
            "simulation",
            "--",
            "--ignored",
            "--nocapture",
            "the_fleet",
        ]);
        if !run::succeeds(command.env("TOLLGATE_SCALE", tree::root().join(FOLDER)))? {
            return Ok(false);
        }
    }
    let (runs, courses) = (Table::read(RUNS)?, Table::read(COURSES)?);
    draw("docs/scale-load.svg", &load(&runs)?)?;
    draw("docs/scale-error.svg", &error(&runs)?)?;
    draw("docs/scale-outage.svg", &outage(&courses)?)?;
    Ok(true)
}

fn draw(path: &str, panels: &[Panel]) -> Result<()> {
    fs::write(tree::root().join(path), plot::svg(panels)).with_context(|| format!("writing {path}"))?;
    say::line(format_args!("{path} is drawn"));
    Ok(())
}

/// What Redis is asked, by what the fleet is.
fn load(runs: &Table) -> Result<Vec<Panel>> {
    let lines = |column| -> Result<Vec<Line>> {
        let of = |spread| runs.line(&[("group", "load"), ("spread", spread)], "requests_s", column);
        Ok(named(vec![("any", of("Any")?), ("by client", of("Sticky")?)]))
    };
    let x = || "requests a second to the fleet".to_owned();
    Ok(vec![
        Panel {
            title: "questions to Redis a second".to_owned(),
            x: x(),
            log: true,
            lines: lines("calls_s")?,
        },
        Panel {
            title: "requests that waited for Redis, %".to_owned(),
            x: x(),
            log: true,
            lines: lines("waited_pct")?,
        },
    ])
}

/// How far the fleet is from one limiter.
fn error(runs: &Table) -> Result<Vec<Panel>> {
    let lines = |group, spread, x| -> Result<Vec<Line>> {
        let only = [("group", group), ("spread", spread)];
        let of = |column| runs.line(&only, x, column);
        Ok(named(vec![("too few", of("limited_under_pct")?), ("too many", of("limited_over_pct")?)]))
    };
    Ok(vec![
        Panel {
            title: "keys beyond their limit: % of what one limiter lets pass".to_owned(),
            x: "gateways".to_owned(),
            log: true,
            lines: lines("gateways", "Any", "gateways")?,
        },
        Panel {
            title: "the same, with messages that get lost".to_owned(),
            x: "lost of a million".to_owned(),
            log: true,
            lines: lines("loss", "Any", "lost_per_million")?,
        },
    ])
}

/// What passes while Redis is away and after.
fn outage(courses: &Table) -> Result<Vec<Panel>> {
    let mut panels = Vec::new();
    for (title, outage, spread) in [
        (
            "Redis killed for 10 s, comes back empty; any gateway: requests that pass in 0.1 s",
            "killed 10000 ms",
            "Any",
        ),
        ("the same, one gateway for each client", "killed 10000 ms", "Sticky"),
        ("Redis silent for 10 s, comes back as it was; any gateway", "silent 10000 ms", "Any"),
    ] {
        let of = |column| courses.line(&[("outage", outage), ("spread", spread)], "seconds", column);
        let lines =
            named(vec![("ideal", of("ideal")?), ("fleet", of("passed")?), ("questions", of("calls")?)]);
        panels.push(Panel { title: title.to_owned(), x: "seconds".to_owned(), log: false, lines });
    }
    Ok(panels)
}

/// Lines in colours of their own.
fn named(lines: Vec<(&'static str, Vec<(f64, f64)>)>) -> Vec<Line> {
    lines.into_iter().zip(COLOURS).map(|((name, points), colour)| Line { name, colour, points }).collect()
}

/// A file of figures with names in its first line. No field holds a comma.
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn read(path: &str) -> Result<Table> {
        let text = fs::read_to_string(tree::root().join(path)).with_context(|| format!("reading {path}"))?;
        Table::parse(&text).with_context(|| format!("reading {path}"))
    }

    fn parse(text: &str) -> Result<Table> {
        let mut rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let names = rows.next().context("it is empty")?;
        let rows: Vec<_> = rows.collect();
        if let Some(row) = rows.iter().find(|row| row.len() != names.len()) {
            bail!("{} fields where {} are named", row.len(), names.len());
        }
        Ok(Table { names, rows })
    }

    /// The points of those rows whose fields are these.
    fn line(&self, only: &[(&str, &str)], x: &str, y: &str) -> Result<Vec<(f64, f64)>> {
        let only: Vec<(usize, &str)> =
            only.iter().map(|(name, value)| Ok((self.column(name)?, *value))).collect::<Result<_>>()?;
        let (x, y) = (self.column(x)?, self.column(y)?);
        let rows = self.rows.iter().filter(|row| only.iter().all(|(at, value)| row[*at] == *value));
        let mut points =
            rows.map(|row| Ok((row[x].parse()?, row[y].parse()?))).collect::<Result<Vec<(f64, f64)>>>()?;
        if points.is_empty() {
            bail!("no row has {only:?}");
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(points)
    }

    fn column(&self, name: &str) -> Result<usize> {
        self.names.iter().position(|known| known == name).with_context(|| format!("no column {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_and_in_order() {
        let table = Table::parse("group,x,y\na,2,5\nb,1,9\na,1,4\n").expect("a table");
        let line = table.line(&[("group", "a")], "x", "y").expect("two rows");
        assert_eq!(line, [(1.0, 4.0), (2.0, 5.0)]);
        for (only, x) in
            [(("group", "c"), "x"), (("other", "a"), "x"), (("group", "a"), "z"), (("group", "a"), "group")]
        {
            assert!(table.line(&[only], x, "y").is_err(), "{only:?} {x}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "a,b\n1\n", "a\n1,2\n"] {
            assert!(Table::parse(text).is_err(), "{text:?}");
        }
    }
}
