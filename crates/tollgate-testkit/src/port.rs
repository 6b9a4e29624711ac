//! Ports for processes that bind by themselves.
//!
//! Binding port 0 and letting go is not enough: the gateway listens with `SO_REUSEPORT`, so two tests that
//! were given the same port would both start, and each would get some of the other's connections. A port is
//! therefore reserved by a locked file for as long as its [`Port`] lives, across test processes, and lies below
//! the kernel's ephemeral range, so that no outgoing connection takes it either.

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 12_000;
const COUNT: u16 = 18_000;

/// A reserved port on 127.0.0.1 that nobody listens on yet.
pub struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Port {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = std::process::id().wrapping_mul(37) as u16;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + start.wrapping_add(step) % COUNT;
            if let Some(port) = Port::try_reserve(number) {
                return port;
            }
        }
        panic!("no free port between {FIRST} and {}", FIRST + COUNT);
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// `127.0.0.1:<number>`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    fn try_reserve(number: u16) -> Option<Port> {
        let dir = std::env::temp_dir().join("tollgate-test-ports");
        std::fs::create_dir_all(&dir).expect("the directory of port locks can be made");
        let path = dir.join(number.to_string());
        let lock =
            OpenOptions::new().create(true).append(true).open(path).expect("a port lock can be opened");
        lock.try_lock().ok()?;
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Port { number, _lock: lock })
    }
}
