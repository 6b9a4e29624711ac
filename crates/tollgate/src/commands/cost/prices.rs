//! Prices as data: a table that is committed, or one of the user's in the same form.

use std::path::Path;

use serde_json::Value;

use super::cpu;

/// What stands for prices where the user names none.
const LISTED: &str = include_str!("prices.json");

/// Clouds, and types of a cloud: a table has a line for each.
const ENTRIES_MAX: usize = 100;

/// What things cost, in dollars.
#[derive(Debug)]
pub(super) struct Prices {
    /// When that was so, in words.
    pub(super) as_of: String,
    /// Who says so, in words.
    pub(super) source: String,
    pub(super) clouds: Vec<Cloud>,
}

#[derive(Debug)]
pub(super) struct Cloud {
    pub(super) name: String,
    pub(super) region: String,
    /// What a spot machine costs, as a share of the price on demand.
    pub(super) spot_share: f64,
    pub(super) types: Vec<Type>,
    /// A gigabyte of a machine's disk for a month.
    pub(super) disk_gb_month: f64,
    pub(super) standard: Storage,
    pub(super) cold: Storage,
    /// A gigabyte to the internet, in the first tier.
    pub(super) egress_gb: f64,
    /// A gigabyte from a zone to another one, both ends' parts together.
    pub(super) between_zones_gb: f64,
}

/// A type of machine.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: String,
    pub(super) vcpus: f64,
    /// The share of each vCPU that it may use for ever; below 1 where it lives on credits.
    pub(super) sustained: f64,
    pub(super) memory_gib: f64,
    /// An hour on demand.
    pub(super) hour: f64,
}

/// A class of object storage.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) name: String,
    pub(super) gb_month: f64,
    /// A thousand objects written.
    pub(super) put_1000: f64,
    /// What is removed earlier is paid for so many days.
    pub(super) least_days: f64,
}

impl Prices {
    pub(super) fn of(path: Option<&Path>) -> Result<Prices, String> {
        let text = Prices::text(path)?;
        let name = path.map_or_else(|| "the listed prices".to_owned(), |path| path.display().to_string());
        Prices::parse(&text).map_err(|error| format!("{name}: {error}"))
    }

    /// The table as it stands.
    pub(super) fn text(path: Option<&Path>) -> Result<String, String> {
        match path {
            Some(path) => cpu::read(path).map_err(|error| format!("{}: {error}", path.display())),
            None => Ok(LISTED.to_owned()),
        }
    }

    fn parse(text: &str) -> Result<Prices, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
        let whole = At { path: String::new(), value: &value };
        Ok(Prices {
            as_of: whole.text("as_of")?,
            source: whole.text("source")?,
            clouds: whole.list("clouds")?.iter().map(cloud).collect::<Result<_, _>>()?,
        })
    }
}

fn cloud(at: &At<'_>) -> Result<Cloud, String> {
    let storage = at.member("storage")?;
    Ok(Cloud {
        name: at.text("name")?,
        region: at.text("region")?,
        spot_share: at.number("spot_share", 0.01, 1.0)?,
        types: at.list("types")?.iter().map(machine).collect::<Result<_, _>>()?,
        disk_gb_month: at.price("disk_gb_month")?,
        standard: class(&storage.member("standard")?)?,
        cold: class(&storage.member("cold")?)?,
        egress_gb: at.price("egress_gb")?,
        between_zones_gb: at.price("between_zones_gb")?,
    })
}

fn machine(at: &At<'_>) -> Result<Type, String> {
    Ok(Type {
        name: at.text("name")?,
        vcpus: at.number("vcpus", 0.1, 10_000.0)?,
        sustained: at.number("sustained", 0.001, 1.0)?,
        memory_gib: at.number("memory_gib", 0.1, 100_000.0)?,
        hour: at.price("hour")?,
    })
}

fn class(at: &At<'_>) -> Result<Storage, String> {
    Ok(Storage {
        name: at.text("name")?,
        gb_month: at.price("gb_month")?,
        put_1000: at.price("put_1000")?,
        least_days: at.number("least_days", 0.0, 3650.0)?,
    })
}

/// A value and where it stands, for errors that say it.
struct At<'a> {
    path: String,
    value: &'a Value,
}

impl<'a> At<'a> {
    fn member(&self, key: &str) -> Result<At<'a>, String> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        match self.value.get(key) {
            Some(value) => Ok(At { path, value }),
            None => Err(format!("`{path}` is missing")),
        }
    }

    fn text(&self, key: &str) -> Result<String, String> {
        let at = self.member(key)?;
        match at.value.as_str() {
            Some(text) if !text.contains(char::is_control) => Ok(text.to_owned()),
            _ => Err(format!("`{}` has to be a text of one line", at.path)),
        }
    }

    /// Dollars; more than a million is a slip.
    fn price(&self, key: &str) -> Result<f64, String> {
        self.number(key, 0.0, 1e6)
    }

    fn number(&self, key: &str, least: f64, most: f64) -> Result<f64, String> {
        let at = self.member(key)?;
        let number = at.value.as_f64().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| format!("`{}` has to be a number from {least} to {most}", at.path))
    }

    fn list(&self, key: &str) -> Result<Vec<At<'a>>, String> {
        let at = self.member(key)?;
        match at.value.as_array() {
            Some(list) if (1..=ENTRIES_MAX).contains(&list.len()) => {
                let path = |index: usize| format!("{}[{index}]", at.path);
                Ok(list.iter().enumerate().map(|(index, value)| At { path: path(index), value }).collect())
            }
            _ => Err(format!("`{}` has to be a list of 1 to {ENTRIES_MAX}", at.path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_table_is_good() {
        let prices = Prices::parse(LISTED).expect("prices");
        assert_eq!(prices.clouds.len(), 3);
        assert!(prices.clouds.iter().all(|cloud| cloud.cold.gb_month < cloud.standard.gb_month));
    }

    #[test]
    fn errors_say_where() {
        for (from, to, expect) in [
            ("\"hour\": 0.0385", "\"hour\": \"x\"", "`clouds[1].types[0].hour`"),
            ("\"hour\": 0.0385", "\"hour\": -1", "`clouds[1].types[0].hour`"),
            (
                "\"vcpus\": 2, \"sustained\": 0.05",
                "\"sustained\": 0.05",
                "`clouds[0].types[0].vcpus` is missing",
            ),
            ("\"spot_share\": 0.4", "\"spot_share\": 0", "`clouds[0].spot_share`"),
            ("\"cold\"", "\"warm\"", "`clouds[0].storage.cold` is missing"),
            ("\"as_of\": \"2025\"", "\"as_of\": \"\\u001b[0m\"", "`as_of`"),
            ("\"clouds\": [", "\"clouds\": [], \"x\": [", "`clouds` has to be a list"),
            ("{", "", "no JSON"),
        ] {
            let text = LISTED.replacen(from, to, 1);
            assert_ne!(text, LISTED, "{from}");
            let error = Prices::parse(&text).expect_err(expect);
            assert!(error.contains(expect), "{error}");
        }
    }
}
