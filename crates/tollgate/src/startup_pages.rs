//! Gives memory back that only the start needed.
//!
//! Reading a configuration, binding, and printing run through several MiB of code that no request runs through, and
//! every page of it stays mapped and counted until the machine runs out of memory. Given back, a page that is used
//! after all is mapped again from the file at the next use (docs/decisions/0025).

use std::fs;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

/// Unmaps the pages of the program's code; what runs next maps what it needs. Nothing depends on it.
pub(crate) fn give_back() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    let here = give_back as fn() as usize;
    if let Some(code) = maps.lines().filter_map(code).find(|range| range.contains(&here)) {
        unmap(code);
    }
}

/// The addresses of a line that maps a file, to be read and executed and never written: `55a0-55f0 r-xp 0000 08:01 7 /bin/x`.
fn code(line: &str) -> Option<Range<usize>> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    if fields.next()? != "r-xp" || !fields.nth(3)?.starts_with('/') {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some(address(start)?..address(end)?)
}

#[expect(unsafe_code, reason = "the compiler cannot see that the pages come back as they were")]
fn unmap(code: Range<usize>) {
    let start = std::ptr::with_exposed_provenance_mut(code.start);
    // SAFETY: the range is one whole mapping of the running program's file, private, and neither writable now nor
    // written before: relocations are in other segments (the linker refuses text relocations), so each page equals
    // what the file has there and comes back as that when it is touched next.
    let _ = unsafe { madvise(start, code.len(), Advice::LinuxDontNeed) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_from_a_file_is_given_back() {
        for (line, found) in [
            ("1000-3000 r-xp 00001000 08:01 77 /usr/bin/tollgate", Some(0x1000..0x3000)),
            ("1000-3000 r--p 00001000 08:01 77 /usr/bin/tollgate", None),
            ("1000-3000 rw-p 00001000 08:01 77 /usr/bin/tollgate", None),
            ("1000-3000 rwxp 00001000 08:01 77 /usr/bin/tollgate", None),
            ("1000-3000 r-xp 00000000 00:00 0 [vdso]", None),
            ("1000-3000 r-xp 00000000 00:00 0", None),
            ("nonsense", None),
            ("", None),
        ] {
            assert_eq!(code(line), found, "{line}");
        }
    }

    #[test]
    fn what_was_given_back_still_runs() {
        for _ in 0..3 {
            give_back();
            assert_eq!("7".parse(), Ok(7));
        }
    }
}
