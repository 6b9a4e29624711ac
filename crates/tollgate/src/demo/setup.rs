//! Writes the demo's configuration to a directory of its own, with addresses that are free.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::issuer::Issuer;
use super::origins::Origins;

const TEMPLATE: &str = include_str!("../../demo/tollgate.yaml");
/// The addresses that stand in the template, each to be replaced by the real one.
const GATEWAY: &str = "127.0.0.1:8080";
const ADMIN: &str = "127.0.0.1:9900";
const USERS: &str = "127.0.0.1:3001";
const ORDERS: &str = "127.0.0.1:3002";
const ISSUER: &str = "127.0.0.1:3003";
/// The key whose hash stands in the template.
pub(crate) const API_KEY: &str = "tg_everybodyKnowsThisKeyOfTheDemoSoNeverUseIt0";
/// Ports tried beside the usual one.
const PORTS_TRIED: u16 = 50;

/// A demo that is ready to be started. Its directory is removed when it is dropped.
pub(crate) struct Setup {
    directory: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// What is not at its usual place, for the user.
    pub(crate) notes: Vec<String>,
}

impl Setup {
    pub(crate) fn write(origins: &Origins, issuer: &Issuer) -> io::Result<Setup> {
        let mut notes = Vec::new();
        let gateway = free(8080, "the gateway", &mut notes)?;
        let admin = free(9900, "the admin side", &mut notes)?;
        let text = fill(gateway, admin, origins, issuer.address);
        let directory = own_directory(&std::env::temp_dir())?;
        let config = directory.join("tollgate.yaml");
        // From here on the directory is removed, also when writing fails.
        let setup = Setup { directory, config, gateway, admin, notes };
        fs::write(&setup.config, text)?;
        Ok(setup)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        // A directory that somebody else emptied or filled is theirs to keep.
        let _ = fs::remove_file(&self.config);
        let _ = fs::remove_dir(&self.directory);
    }
}

fn fill(gateway: SocketAddr, admin: SocketAddr, origins: &Origins, issuer: SocketAddr) -> String {
    // In one pass over all: a port that was just filled in is never replaced again.
    let places = [
        (GATEWAY, gateway),
        (ADMIN, admin),
        (USERS, origins.users),
        (ORDERS, origins.orders),
        (ISSUER, issuer),
    ];
    let mut text = String::with_capacity(TEMPLATE.len());
    let mut rest = TEMPLATE;
    while let Some((at, from, to)) = places
        .iter()
        .filter_map(|(from, to)| rest.find(from).map(|at| (at, from, to)))
        .min_by_key(|found| found.0)
    {
        text.push_str(&rest[..at]);
        text.push_str(&to.to_string());
        rest = &rest[at + from.len()..];
    }
    text.push_str(rest);
    text
}

/// The usual port, or the next one that nobody uses.
fn free(usual: u16, what: &str, notes: &mut Vec<String>) -> io::Result<SocketAddr> {
    for port in usual..usual + PORTS_TRIED {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            if port != usual {
                notes.push(format!("port {usual} is taken: {what} listens on {port}"));
            }
            return Ok(address);
        }
    }
    let last = usual + PORTS_TRIED - 1;
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("the ports {usual} to {last} are all taken")))
}

/// A new directory that only this user can enter, whatever others have put into the temporary directory.
fn own_directory(parent: &Path) -> io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    for attempt in 0..100 {
        let directory = parent.join(format!("tollgate-demo-{}-{attempt}", std::process::id()));
        match fs::DirBuilder::new().mode(0o700).create(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free name for a temporary directory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        // The users' port is the template's port of orders: what was filled in stays.
        Origins { users: ORDERS.parse().unwrap(), orders: "127.0.0.1:5".parse().unwrap() }
    }

    #[test]
    fn every_address_is_filled_in_once() {
        let (admin, issuer) = ("127.0.0.1:6".parse().unwrap(), "127.0.0.1:7".parse().unwrap());
        let text = fill(ADMIN.parse().unwrap(), admin, &origins(), issuer);
        assert!(text.contains("listeners:\n  - address: 127.0.0.1:9900"), "{text}");
        assert!(text.contains("admin:\n  address: 127.0.0.1:6"), "{text}");
        assert!(text.contains("targets: [http://127.0.0.1:3002]"), "{text}");
        assert!(text.contains("targets: [http://127.0.0.1:5]"), "{text}");
        assert!(text.contains("issuer: http://127.0.0.1:7\n"), "{text}");
    }

    #[test]
    fn the_configuration_is_good_and_goes_with_the_demo() {
        let setup = Setup::write(&origins(), &super::super::issuer::start().unwrap()).unwrap();
        let config = setup.config.clone();
        let loaded = tollgate_config::load(&config, &tollgate_config::OsSources);
        let loaded = loaded.unwrap_or_else(|failed| {
            panic!("{}", tollgate_config::render(&failed.diagnostics, &failed.sources, false))
        });
        assert_eq!(loaded.warnings, []);
        drop(setup);
        assert!(!config.exists() && !config.parent().unwrap().exists());
    }
}
