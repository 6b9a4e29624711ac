//! Draws the samples of a soak: memory, descriptors and requests over time, as an SVG of plain lines.

use std::fmt::Write;

use anyhow::{Context, Result, bail};

/// What stands in the first line of the file.
const COLUMNS: &str = "seconds,requests,bad,reloads,own_kib,resident_kib,descriptors,threads";

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    seconds: f64,
    requests: f64,
    own_mib: f64,
    resident_mib: f64,
    descriptors: f64,
}

/// Reads the file that a soak has written.
pub(super) fn read(text: &str) -> Result<Vec<Sample>> {
    let mut lines = text.lines();
    if lines.next() != Some(COLUMNS) {
        bail!("the samples have other columns than {COLUMNS}");
    }
    lines
        .map(|line| {
            let fields: Vec<f64> = line.split(',').map(str::parse).collect::<Result<_, _>>()?;
            let [seconds, requests, _, _, own_kib, resident_kib, descriptors, _] = fields[..] else {
                bail!("{} fields", fields.len());
            };
            let (own_mib, resident_mib) = (own_kib / 1024.0, resident_kib / 1024.0);
            Ok(Sample { seconds, requests, own_mib, resident_mib, descriptors })
        })
        .map(|sample: Result<Sample>| sample.context("a line of the samples"))
        .collect()
}

/// A line of one panel: what it is called, its colour, and its points.
struct Line {
    name: &'static str,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 840.0;
const PANEL: f64 = 150.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 34.0;
const GAP: f64 = 46.0;

/// Three panels, one above the other, with one axis of time.
pub(super) fn svg(samples: &[Sample]) -> String {
    let line = |name, colour, value: fn(&Sample) -> f64| Line {
        name,
        colour,
        points: samples.iter().map(|sample| (sample.seconds / 60.0, value(sample))).collect(),
    };
    let panels = [
        (
            "memory, MiB",
            vec![
                line("resident", "#7a8794", |sample| sample.resident_mib),
                line("its own", "#1f5f99", |sample| sample.own_mib),
            ],
        ),
        ("open descriptors", vec![line("descriptors", "#a4511f", |sample| sample.descriptors)]),
        ("requests per second", vec![Line { name: "requests", colour: "#3c7a3c", points: rates(samples) }]),
    ];
    let minutes = samples.last().map_or(1.0, |sample| sample.seconds / 60.0).max(0.1);
    let height = TOP + panels.len() as f64 * (PANEL + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (at, (title, lines)) in panels.iter().enumerate() {
        panel(&mut text, TOP + at as f64 * (PANEL + GAP), title, lines, minutes);
    }
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{:.0}\" fill=\"#444\">minutes</text>", height - 8.0);
    text.push_str("</svg>\n");
    text
}

/// Requests a second between each two samples.
fn rates(samples: &[Sample]) -> Vec<(f64, f64)> {
    let between = samples.windows(2).filter_map(|pair| {
        let [before, after] = pair else { return None };
        let rate = (after.requests - before.requests) / (after.seconds - before.seconds).max(0.001);
        Some((after.seconds / 60.0, rate))
    });
    between.collect()
}

fn panel(text: &mut String, top: f64, title: &str, lines: &[Line], minutes: f64) {
    let most = lines.iter().flat_map(|line| &line.points).map(|point| point.1).fold(0.0, f64::max);
    let step = step(most);
    let most = (most / step).ceil().max(1.0) * step;
    let (x, y) = (
        |minute: f64| LEFT + minute / minutes * (WIDTH - LEFT - RIGHT),
        |value: f64| top + PANEL - value / most * PANEL,
    );
    // Writing into a text cannot fail.
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{title}</text>", top - 10.0);
    let mut value = 0.0;
    while value <= most + step / 2.0 {
        let (left, right, at) = (x(0.0), x(minutes), y(value));
        let _ = writeln!(
            text,
            "<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\" fill=\"#444\">{value:.0}</text>",
            left - 6.0,
            at + 4.0
        );
        value += step;
    }
    for tick in 0..=6 {
        let minute = minutes * f64::from(tick) / 6.0;
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444\">{minute:.0}</text>",
            x(minute),
            top + PANEL + 16.0
        );
    }
    for line in lines {
        let points: Vec<String> =
            line.points.iter().map(|at| format!("{:.1},{:.1}", x(at.0), y(at.1))).collect();
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" points=\"{}\"/>",
            line.colour,
            points.join(" ")
        );
        if let Some(last) = line.points.last() {
            let _ = writeln!(
                text,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{}\">{} {:.0}</text>",
                x(last.0) + 6.0,
                y(last.1) + 4.0,
                line.colour,
                line.name,
                last.1
            );
        }
    }
}

/// A distance of grid lines that gives three to seven of them: 1, 2 or 5 times a power of ten.
fn step(most: f64) -> f64 {
    let rough = (most / 5.0).max(1e-9);
    let power = 10f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|by| by * power).find(|step| *step >= rough).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_drawn() {
        let text = format!("{COLUMNS}\n10.0,3000,0,0,20480,30720,40,5\n20.0,6100,0,0,21504,30720,41,5\n");
        let samples = read(&text).expect("two samples");
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].own_mib, samples[1].descriptors), (20.0, 41.0));
        assert_eq!(rates(&samples), [(20.0 / 60.0, 310.0)]);
        let svg = svg(&samples);
        for part in ["<svg ", "resident 30<", "its own 21<", "descriptors 41<", "requests 310<", "</svg>"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "a,b\n", &format!("{COLUMNS}\n1,2\n"), &format!("{COLUMNS}\n1,2,3,4,5,6,7,x\n")] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn grids_are_round() {
        for (most, expect) in [(30.0, 10.0), (41.0, 10.0), (310.0, 100.0), (7.0, 2.0), (4.0, 1.0)] {
            assert!((step(most) - expect).abs() < 1e-9, "{most}: {}", step(most));
        }
    }
}
