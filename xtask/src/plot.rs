//! Plain line charts as SVG: panels one above the other, each with axes of its own.
//!
//! One look for every plot of the documentation, and nothing that a browser would have to fetch.

use std::fmt::Write;

/// A line of one panel.
pub struct Line {
    /// Stands at its end, with its last value.
    pub name: &'static str,
    /// As SVG has it.
    pub colour: &'static str,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
}

/// Some lines over one axis.
pub struct Panel {
    /// With the unit of y.
    pub title: String,
    /// What the axis of x is, with its unit.
    pub x: String,
    /// Whether that axis is logarithmic. Its values are marked as they are then; 0 stands where 1 would.
    pub log: bool,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// Colours that can be told apart, also without seeing red and green.
pub const COLOURS: [&str; 4] = ["#1f5f99", "#a4511f", "#3c7a3c", "#7a8794"];

const WIDTH: f64 = 840.0;
const PANEL: f64 = 150.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 34.0;
const GAP: f64 = 66.0;

/// The panels, one above the other.
pub fn svg(panels: &[Panel]) -> String {
    let height = TOP + panels.len() as f64 * (PANEL + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (at, panel) in panels.iter().enumerate() {
        panel.draw(&mut text, TOP + at as f64 * (PANEL + GAP));
    }
    text.push_str("</svg>\n");
    text
}

// Writing into a text cannot fail: results of `writeln!` are dropped below.
impl Panel {
    fn draw(&self, text: &mut String, top: f64) {
        let values = self.lines.iter().flat_map(|line| &line.points);
        let highest = values.map(|point| point.1).fold(0.0, f64::max);
        let step = step(highest);
        let highest = (highest / step).ceil().max(1.0) * step;
        let y = |value: f64| top + PANEL - value / highest * PANEL;
        let x = self.across();
        let _ = writeln!(
            text,
            "<text x=\"{LEFT}\" y=\"{:.1}\" font-weight=\"bold\">{}</text>",
            top - 10.0,
            self.title
        );
        let mut value = 0.0;
        while value <= highest + step / 2.0 {
            let (right, at) = (WIDTH - RIGHT, y(value));
            let _ = writeln!(
                text,
                "<path d=\"M{LEFT:.1} {at:.1}H{right:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\" fill=\"#444\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                figure(value)
            );
            value += step;
        }
        for mark in self.marks() {
            let (at, below) = (x(mark), top + PANEL + 16.0);
            let shown = figure(mark);
            let _ = writeln!(
                text,
                "<text x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\" fill=\"#444\">{shown}</text>"
            );
        }
        let _ = writeln!(
            text,
            "<text x=\"{LEFT}\" y=\"{:.1}\" fill=\"#444\">{}</text>",
            top + PANEL + 34.0,
            self.x
        );
        for line in &self.lines {
            line.draw(text, &x, &y);
        }
    }

    /// Where a value of x stands.
    fn across(&self) -> impl Fn(f64) -> f64 {
        let log = self.log;
        let place = move |value: f64| if log { value.max(1.0).log10() } else { value };
        let (first, last) = self.ends();
        let (first, last) = (place(first), place(last));
        let width = (last - first).max(1e-9);
        move |value| LEFT + (place(value) - first) / width * (WIDTH - LEFT - RIGHT)
    }

    fn ends(&self) -> (f64, f64) {
        let xs = || self.lines.iter().flat_map(|line| &line.points).map(|point| point.0);
        let last = xs().fold(0.0, f64::max);
        (if self.log { xs().fold(last, f64::min) } else { 0.0 }, last)
    }

    fn marks(&self) -> Vec<f64> {
        if self.log {
            // Not those of every line: they were all measured at the same places.
            return self
                .lines
                .first()
                .map(|line| line.points.iter().map(|at| at.0).collect())
                .unwrap_or_default();
        }
        let last = self.ends().1;
        (0..=6).map(|tick| last * f64::from(tick) / 6.0).collect()
    }
}

impl Line {
    fn draw(&self, text: &mut String, x: &impl Fn(f64) -> f64, y: &impl Fn(f64) -> f64) {
        let points: Vec<String> =
            self.points.iter().map(|at| format!("{:.1},{:.1}", x(at.0), y(at.1))).collect();
        let (colour, points) = (self.colour, points.join(" "));
        let _ = writeln!(
            text,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{points}\"/>"
        );
        if let Some(last) = self.points.last() {
            let (at, beside) = (x(last.0) + 6.0, y(last.1) + 4.0);
            let (name, shown) = (self.name, figure(last.1));
            let _ = writeln!(
                text,
                "<text x=\"{at:.1}\" y=\"{beside:.1}\" fill=\"{colour}\">{name} {shown}</text>"
            );
        }
    }
}

/// Whole from 10 on, with what a small value needs below.
fn figure(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{:.0}M", value / 1e6),
        value if value >= 1e4 => format!("{:.0}k", value / 1e3),
        value if value >= 10.0 || value.fract().abs() < 1e-9 => format!("{value:.0}"),
        value => format!("{value:.1}"),
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

    fn panel(log: bool, points: &[(f64, f64)]) -> Panel {
        let line = Line { name: "ours", colour: COLOURS[0], points: points.to_vec() };
        Panel { title: "CPU, µs".into(), x: "routes".into(), log, lines: vec![line] }
    }

    #[test]
    fn lines_are_drawn_with_their_last_value() {
        let svg = svg(&[panel(false, &[(0.0, 1.0), (60.0, 4.25)])]);
        for part in ["<svg ", "CPU, µs<", "routes<", "ours 4.2<", ">60<", "</svg>"] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
    }

    #[test]
    fn a_logarithmic_axis_has_equal_ways_between_powers() {
        let panel = panel(true, &[(10.0, 1.0), (100.0, 1.0), (1000.0, 1.0)]);
        let x = panel.across();
        assert!(((x(100.0) - x(10.0)) - (x(1000.0) - x(100.0))).abs() < 1e-6);
        assert_eq!(panel.marks(), [10.0, 100.0, 1000.0]);
    }

    #[test]
    fn grids_are_round() {
        for (most, expect) in [(30.0, 10.0), (41.0, 10.0), (310.0, 100.0), (7.0, 2.0), (4.0, 1.0)] {
            assert!((step(most) - expect).abs() < 1e-9, "{most}: {}", step(most));
        }
    }

    #[test]
    fn figures_are_short() {
        let shown = [0.0, 0.5, 9.0, 12.4, 12_000.0, 10_485_760.0].map(figure);
        assert_eq!(shown, ["0", "0.5", "9", "12", "12k", "10M"]);
    }
}
