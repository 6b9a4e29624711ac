//! Tables of Markdown, and numbers in them.

/// A table, a row at a time.
pub(crate) struct Table(pub(crate) String);

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Table {
        Table(format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len())))
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        self.0.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

/// A value with its unit; a dash where there is none.
pub(crate) fn shown(value: Option<f64>, unit: &str, digits: usize) -> String {
    value.map_or("–".into(), |value| format!("{}{unit}", grouped(value, digits)))
}

/// With commas between thousands.
pub(crate) fn grouped(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut out = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_what_is_not_there_is_a_dash() {
        assert_eq!(grouped(2_000_000.0, 0), "2,000,000");
        assert_eq!(grouped(723.456, 1), "723.5");
        assert_eq!(grouped(1234.5, 1), "1,234.5");
        assert_eq!(shown(Some(4980.0), " s", 0), "4,980 s");
        assert_eq!(shown(None, " s", 0), "–");
    }

    #[test]
    fn a_row_is_a_line() {
        let mut table = Table::new(&["", "ours"]);
        table.row(["p95".to_owned(), "1 ms".to_owned()]);
        assert_eq!(table.0, "|  | ours |\n|---|---|\n| p95 | 1 ms |\n");
    }
}
