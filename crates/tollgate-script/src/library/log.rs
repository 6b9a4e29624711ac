//! `log`: lines for the operator, bounded in number and length, and always one line.

use mlua::LuaString;

use crate::desk::Desk;
use crate::failure::bounded_line;
use crate::host::Level;

/// Longest line, in bytes.
const MAX_LINE_BYTES: usize = 1024;

pub(crate) fn write(desk: &Desk, level: u8, line: &LuaString) -> mlua::Result<()> {
    if !desk.may_log() {
        return Ok(());
    }
    let level = match level {
        0 => Level::Info,
        1 => Level::Warn,
        _ => Level::Error,
    };
    let bytes = line.as_bytes();
    let head = String::from_utf8_lossy(bytes.get(..MAX_LINE_BYTES * 2).unwrap_or(&bytes)).into_owned();
    let running = desk.running.borrow();
    let script = running.as_ref().and_then(|loaded| loaded.files.first()).map_or("", |file| file);
    desk.host.log(script, level, &bounded_line(&head, MAX_LINE_BYTES));
    Ok(())
}
