//! The machines that there are packages for, and what each is called by whom.

use anyhow::{Result, bail};

/// A machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Target {
    /// 64-bit Intel and AMD.
    #[value(name = "x86_64")]
    X86_64,
    /// 64-bit ARM: Raspberry Pi 3 and later, Graviton.
    #[value(name = "aarch64")]
    Aarch64,
    /// 32-bit ARM with hardware floating point: Raspberry Pi 2.
    #[value(name = "armv7")]
    Armv7,
}

impl Target {
    const ALL: [Target; 3] = [Target::X86_64, Target::Aarch64, Target::Armv7];

    /// As Rust says it.
    pub fn triple(self) -> &'static str {
        match self {
            Target::X86_64 => "x86_64-unknown-linux-gnu",
            Target::Aarch64 => "aarch64-unknown-linux-gnu",
            Target::Armv7 => "armv7-unknown-linux-gnueabihf",
        }
    }

    /// As Debian says it.
    pub fn debian(self) -> &'static str {
        match self {
            Target::X86_64 => "amd64",
            Target::Aarch64 => "arm64",
            Target::Armv7 => "armhf",
        }
    }

    /// As images say it (GOARCH), with the variant.
    pub fn image(self) -> (&'static str, Option<&'static str>) {
        match self {
            Target::X86_64 => ("amd64", None),
            Target::Aarch64 => ("arm64", Some("v8")),
            Target::Armv7 => ("arm", Some("v7")),
        }
    }

    /// `e_machine` of an ELF header.
    pub fn machine(self) -> u16 {
        match self {
            Target::X86_64 => 62,
            Target::Aarch64 => 183,
            Target::Armv7 => 40,
        }
    }

    /// The sizes of a page of memory that its kernels are built for, in bytes, rising.
    pub(super) fn pages_bytes(self) -> &'static [u64] {
        match self {
            Target::X86_64 | Target::Armv7 => &[4 << 10],
            // Debian and Raspberry Pi 4; Raspberry Pi 5; some of Red Hat's.
            Target::Aarch64 => &[4 << 10, 16 << 10, 64 << 10],
        }
    }

    /// What segments have to be aligned to, in bytes: what is aligned to less than a page cannot be mapped.
    pub(super) fn alignment_bytes(self) -> u64 {
        self.pages_bytes().last().copied().unwrap_or_default()
    }

    /// What the names of the C compiler and the linker begin with.
    pub(super) fn compilers(self) -> &'static str {
        match self {
            Target::X86_64 => "x86_64-linux-gnu",
            Target::Aarch64 => "aarch64-linux-gnu",
            Target::Armv7 => "arm-linux-gnueabihf",
        }
    }

    /// What runs its programs elsewhere.
    pub(super) fn emulator(self) -> &'static str {
        match self {
            Target::X86_64 => "qemu-x86_64-static",
            Target::Aarch64 => "qemu-aarch64-static",
            Target::Armv7 => "qemu-arm-static",
        }
    }

    /// Whether its programs run here.
    pub(super) fn is_here(self) -> bool {
        self.triple().starts_with(std::env::consts::ARCH)
    }

    /// The one with that `e_machine`.
    pub(super) fn of_machine(machine: u16) -> Result<Target> {
        match Target::ALL.into_iter().find(|target| target.machine() == machine) {
            Some(target) => Ok(target),
            None => bail!("there are no packages for machine {machine} of ELF"),
        }
    }
}
