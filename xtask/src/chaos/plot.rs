//! Draws the samples of a soak: memory, descriptors and requests over time, as an SVG of plain lines.

use anyhow::{Context, Result, bail};

use crate::plot::{self, COLOURS, Line, Panel};

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

/// Three panels with one axis of time.
pub(super) fn svg(samples: &[Sample]) -> String {
    let line = |name, colour, value: fn(&Sample) -> f64| Line {
        name,
        colour,
        points: samples.iter().map(|sample| (sample.seconds / 60.0, value(sample))).collect(),
    };
    let [own, descriptors, requests, resident] = COLOURS;
    let requests = Line { name: "requests", colour: requests, points: rates(samples) };
    let panels = [
        (
            "memory, MiB",
            vec![
                line("resident", resident, |sample| sample.resident_mib),
                line("its own", own, |sample| sample.own_mib),
            ],
        ),
        ("open descriptors", vec![line("descriptors", descriptors, |sample| sample.descriptors)]),
        ("requests per second", vec![requests]),
    ];
    let panel =
        |(title, lines): (&str, _)| Panel { title: title.into(), x: "minutes".into(), log: false, lines };
    plot::svg(&panels.map(panel))
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
}
