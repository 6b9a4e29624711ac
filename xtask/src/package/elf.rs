//! What an ELF file says of the machine it needs: its kind, whether it is static, how its segments are aligned.
//!
//! Read from the file's first pages, since that is less than what `readelf` prints and says the same on every machine.
//! Fields and offsets are those of elf(5).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Target;

/// Program headers follow the file's header at once; more than this is no binary of ours.
const HEAD_BYTES_MAX: u64 = 16 << 10;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elf {
    /// `e_machine`.
    pub(super) machine: u16,
    /// It names a program that has to load it, and so the libraries of the machine that it runs on.
    pub(super) interpreted: bool,
    /// The least alignment of a segment that is mapped, in bytes.
    pub(super) alignment: u64,
}

impl Elf {
    pub(super) fn read(path: &Path) -> Result<Elf> {
        let mut head = Vec::new();
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        file.take(HEAD_BYTES_MAX).read_to_end(&mut head)?;
        Elf::parse(&head).with_context(|| format!("{} is no ELF file of a known kind", path.display()))
    }

    /// Little-endian, 32 or 64 bits.
    fn parse(head: &[u8]) -> Option<Elf> {
        if head.get(..4)? != b"\x7fELF" || *head.get(5)? != 1 {
            return None;
        }
        let wide = *head.get(4)? == 2;
        let word = |at: usize| number(head, at, if wide { 8 } else { 4 });
        let (table, size, count) = if wide {
            (word(32)?, number(head, 54, 2)?, number(head, 56, 2)?)
        } else {
            (word(28)?, number(head, 42, 2)?, number(head, 44, 2)?)
        };
        let mut elf = Elf { machine: number(head, 18, 2)? as u16, interpreted: false, alignment: u64::MAX };
        for index in 0..count {
            let entry = usize::try_from(table + index * size).ok()?;
            match number(head, entry, 4)? as u32 {
                PT_LOAD => {
                    let alignment = word(entry + if wide { 48 } else { 28 })?;
                    elf.alignment = elf.alignment.min(alignment);
                }
                PT_INTERP => elf.interpreted = true,
                _ => {}
            }
        }
        Some(elf)
    }

    /// An error where it would not run wherever the target's binaries have to.
    pub(super) fn check(&self, path: &Path, target: Target) -> Result<()> {
        if self.interpreted {
            bail!("{} is not static: it needs the libraries of the machine it runs on", path.display());
        }
        if self.alignment < target.alignment_bytes() {
            bail!(
                "{} has segments aligned to {} bytes; kernels of {} with pages of {} cannot map them",
                path.display(),
                self.alignment,
                target.triple(),
                target.alignment_bytes()
            );
        }
        Ok(())
    }
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header and program headers of kind and alignment, 64 bits wide.
    fn wide(machine: u16, segments: &[(u32, u64)]) -> Vec<u8> {
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32] = 64;
        head[54] = 56;
        head[56] = segments.len() as u8;
        for (kind, alignment) in segments {
            let mut entry = [0; 56];
            entry[..4].copy_from_slice(&kind.to_le_bytes());
            entry[48..].copy_from_slice(&alignment.to_le_bytes());
            head.extend(entry);
        }
        head
    }

    #[test]
    fn headers_say_where_it_runs() {
        let check = |segments: &[(u32, u64)], target: Target| {
            let elf = Elf::parse(&wide(target.machine(), segments)).expect("a header");
            assert_eq!(Target::of_machine(elf.machine).expect("known"), target);
            elf.check(Path::new("x"), target).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[(PT_LOAD, 0x1000), (6, 8)], Target::X86_64), Ok(()));
        assert_eq!(check(&[(PT_LOAD, 0x10000)], Target::Aarch64), Ok(()));
        let small = check(&[(PT_LOAD, 0x10000), (PT_LOAD, 0x1000)], Target::Aarch64);
        assert!(small.is_err_and(|error| error.contains("4096")));
        let dynamic = check(&[(PT_INTERP, 1), (PT_LOAD, 0x1000)], Target::X86_64);
        assert!(dynamic.is_err_and(|error| error.contains("not static")));
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        let whole = wide(62, &[(PT_LOAD, 0x1000)]);
        for length in 0..whole.len() {
            assert_eq!(Elf::parse(&whole[..length]), None, "{length} bytes of it");
        }
        assert_eq!(Elf::parse(b"#!/bin/sh\nexit 0\n"), None);
        assert!(Target::of_machine(243).is_err(), "RISC-V");
    }

    #[test]
    fn this_test_is_one_too() {
        let own = Elf::read(&std::env::current_exe().expect("a path")).expect("an ELF file");
        assert!(own.interpreted && own.alignment >= 4096, "{own:?}");
    }
}
