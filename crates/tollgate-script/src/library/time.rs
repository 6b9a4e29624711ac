//! `time.now()` in seconds since 1970, and `time.iso(t)` as RFC 3339 in UTC.

use std::rc::Rc;

use mlua::{Lua, Table};
use tollgate_wire::civil_from_days;

use crate::desk::{Desk, refuse};
use crate::face::functions;

/// The last second of the year 9999: four digits hold no more.
const MAX_SECONDS: f64 = 253_402_300_799.999;

pub(super) fn add(lua: &Lua, desk: &Rc<Desk>, globals: &Table) -> mlua::Result<()> {
    let time = lua.create_table()?;
    functions(lua, &time, desk, &[("now", |_, desk, ()| Ok(now(desk)))])?;
    functions(lua, &time, desk, &[("iso", |_, desk, t: Option<f64>| iso(t.unwrap_or_else(|| now(desk))))])?;
    globals.raw_set("time", time)
}

/// Seconds, exact to the millisecond.
fn now(desk: &Desk) -> f64 {
    desk.host.unix_time().as_millis() as f64 / 1000.0
}

/// A time as text; with milliseconds where it has any.
fn iso(t: f64) -> mlua::Result<String> {
    if !(0.0..=MAX_SECONDS).contains(&t) {
        return Err(refuse("a time is a number of seconds from 1970 to the year 9999"));
    }
    let millis = (t * 1000.0).round() as u64;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(days);
    let mut text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    );
    if millis != 0 {
        text.push_str(&format!(".{millis:03}"));
    }
    text.push('Z');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_text() {
        for (t, expect) in [
            (0.0, "1970-01-01T00:00:00Z"),
            (951_782_400.0, "2000-02-29T00:00:00Z"),
            (1_763_798_225.25, "2025-11-22T07:57:05.250Z"),
            (4_107_542_399.0, "2100-02-28T23:59:59Z"),
            (4_107_542_400.0, "2100-03-01T00:00:00Z"),
            (253_402_300_799.0, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(iso(t).unwrap(), expect);
        }
        for t in [-1.0, f64::NAN, f64::INFINITY, 1e12] {
            iso(t).unwrap_err();
        }
    }
}
