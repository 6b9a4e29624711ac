//! The conversation, and processes that do not hold it.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::time::Duration;

use tollgate_plan::listener::ListenAddress;
use tollgate_proxy::Held;

use super::successor::converse;
use super::*;

/// Sockets as descriptors of one that is there.
fn sockets(count: usize) -> Vec<OwnedFd> {
    let socket: OwnedFd = TcpListener::bind("127.0.0.1:0").expect("a port").into();
    (0..count).map(|_| socket.try_clone().expect("a descriptor")).collect()
}

fn address(port: u16) -> ListenAddress {
    ListenAddress::Tcp(([127, 0, 0, 1], port).into())
}

fn parcel(counts: &[usize]) -> Parcel {
    let held = |(at, count): (usize, &usize)| Held {
        address: address(at as u16 + 1),
        sockets: sockets(*count),
        lent: at % 2 == 1,
    };
    Parcel { listeners: counts.iter().enumerate().map(held).collect(), admin: sockets(1).remove(0) }
}

/// More sockets than fit into one packet included.
#[test]
fn sockets_arrive_with_their_addresses() {
    let (ours, theirs) = Channel::open().expect("a channel").into_ends();
    let counts = [1, 2, 150];
    let receiver = std::thread::spawn(move || {
        let predecessor = Predecessor::on(theirs);
        let handed = predecessor.receive().expect("all of it");
        predecessor.ready(&[address(1), address(3)]).expect("somebody listens");
        handed
    });
    let (kept, pid) = converse(&ours, &parcel(&counts), Duration::from_secs(10)).expect("it is ready");
    assert_eq!((&*kept, pid), (&[address(1), address(3)][..], Some(std::process::id())));
    let handed = receiver.join().expect("no panic");
    let seen: Vec<_> =
        handed.listeners.iter().map(|held| (held.address.clone(), held.sockets.len(), held.lent)).collect();
    assert_eq!(seen, [(address(1), 1, false), (address(2), 2, true), (address(3), 150, false)]);
    assert!(handed.admin.is_some());
    let listening = |socket: &OwnedFd| rustix::net::sockopt::socket_acceptconn(socket).expect("a socket");
    assert!(handed.listeners.iter().flat_map(|held| &held.sockets).all(listening));
}

#[test]
fn an_old_process_that_ends_in_the_middle() {
    let (ours, theirs) = Channel::open().expect("a channel").into_ends();
    drop(ours);
    assert!(Predecessor::on(theirs).receive().is_err());
}

/// Whatever the new process does, it is gone afterwards, and how it went is told.
#[test]
fn a_new_process_that_does_not_take_over() {
    let check = |name: &str, arguments: &[&str], within: u64, expect: &str| {
        let program = Program::named(name, arguments);
        let channel = Channel::open().expect("a channel");
        let failure = hand_over(&program, channel, &parcel(&[2]), Duration::from_millis(within));
        let told = failure.expect_err(name).to_string();
        assert!(told.contains(expect), "{name}: {told}");
    };
    check("no-such-program-as-this", &[], 10_000, "cannot be started");
    check("false", &[], 10_000, "exit status: 1");
    check("true", &[], 10_000, "exit status: 0");
    check("sleep", &["1000"], 200, "was not ready within");
}

#[test]
fn a_hand_over_that_is_called_off() {
    let channel = Channel::open().expect("a channel");
    let cancel = channel.canceller().expect("a descriptor");
    let handing = std::thread::spawn(move || {
        hand_over(&Program::named("sleep", &["1000"]), channel, &parcel(&[1]), Duration::from_secs(60))
    });
    cancel();
    assert!(matches!(handing.join().expect("no panic"), Err(Failure::Ended(_) | Failure::Channel(_))));
}
