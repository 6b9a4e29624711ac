//! A small DNS server on a free loopback port, whose answers a test changes while it runs (RFC 1035, RFC 2782).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::pause;

/// The server looks so often whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// A running DNS server; it stops when dropped.
pub struct Dns {
    address: String,
    state: Arc<State>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    names: Mutex<HashMap<String, Says>>,
    asked: Mutex<HashMap<String, usize>>,
}

/// What the server says about a name. One that it was told nothing about does not exist.
#[derive(Clone, Debug)]
pub enum Says {
    /// These addresses, with their TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// These services, with their TTL in seconds.
    Services(Vec<Service>, u32),
    /// That the name exists and has no records.
    Nothing,
    /// That the server failed.
    Failure,
    /// Not a word.
    Silence,
    /// That its answer does not fit into a datagram; over TCP it gives this one.
    OverTcp(Box<Says>),
}

/// One SRV record.
#[derive(Clone, Debug)]
pub struct Service {
    /// The lower is tried first.
    pub priority: u16,
    /// Share among those of the same priority.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Name of the host.
    pub target: String,
}

impl Service {
    /// A record of priority 0 and weight 1 for `target:port`.
    pub fn at(target: &str, port: u16) -> Service {
        Service { priority: 0, weight: 1, port, target: target.to_owned() }
    }
}

impl Dns {
    /// Starts on 127.0.0.1. It knows no name.
    #[track_caller]
    pub fn start() -> Dns {
        let (socket, listener) = bind();
        socket.set_read_timeout(Some(LOOK_EVERY)).expect("a timeout can be set");
        listener.set_nonblocking(true).expect("a listener need not block");
        let address = socket.local_addr().expect("a bound socket has an address").to_string();
        let state = Arc::<State>::default();
        let (theirs, others) = (state.clone(), state.clone());
        let threads = vec![
            std::thread::spawn(move || theirs.serve(&socket)),
            std::thread::spawn(move || others.accept(&listener)),
        ];
        Dns { address, state, threads }
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// From now on, that is what it says about `name`.
    pub fn say(&self, name: &str, says: Says) {
        lock(&self.state.names).insert(name.to_owned(), says);
    }

    /// The name does not exist any more.
    pub fn forget(&self, name: &str) {
        lock(&self.state.names).remove(name);
    }

    /// How often it was asked about `name`.
    pub fn asked(&self, name: &str) -> usize {
        lock(&self.state.asked).get(name).copied().unwrap_or_default()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One port for both; another program may have it in one of the two.
#[track_caller]
fn bind() -> (UdpSocket, TcpListener) {
    let pair = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let address = socket.local_addr().expect("a bound socket has an address");
        TcpListener::bind(address).ok().map(|listener| (socket, listener))
    };
    std::iter::repeat_with(pair).take(100).flatten().next().expect("a port is free in UDP and TCP")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn serve(&self, socket: &UdpSocket) {
        let mut buffer = [0; 1500];
        while !self.stop.load(Ordering::Relaxed) {
            match socket.recv_from(&mut buffer) {
                Ok((length, client)) => {
                    if let Some(answer) = self.answer(&buffer[..length], false) {
                        let _ = socket.send_to(&answer, client);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A client that is gone already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => panic!("the DNS server cannot read: {error}"),
            }
        }
    }

    /// One connection after the other.
    fn accept(&self, listener: &TcpListener) {
        while !self.stop.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((client, _)) => {
                    // A client that is gone already, or keeps its connection for later.
                    let _ = self.converse(client);
                }
                Err(_) => pause(LOOK_EVERY),
            }
        }
    }

    /// Questions and answers, their lengths in front (RFC 1035 section 4.2.2).
    fn converse(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nonblocking(false)?;
        client.set_read_timeout(Some(LOOK_EVERY))?;
        loop {
            let mut length = [0; 2];
            client.read_exact(&mut length)?;
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            client.read_exact(&mut query)?;
            let Some(answer) = self.answer(&query, true) else { return Ok(()) };
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            client.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
        }
    }

    /// Header, the question as it came, the records.
    fn answer(&self, query: &[u8], over_tcp: bool) -> Option<Vec<u8>> {
        let (name, end) = read_name(query)?;
        let question = query.get(12..end + 4)?;
        let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
        *lock(&self.asked).entry(name.clone()).or_default() += 1;
        let says = lock(&self.names).get(&name).cloned();
        let mut records: Vec<Vec<u8>> = Vec::new();
        let (mut code, mut truncated) = (0, 0);
        let says = match says {
            Some(Says::OverTcp(says)) if over_tcp => Some(*says),
            other => other,
        };
        match says {
            None => code = 3,
            Some(Says::Silence) => return None,
            Some(Says::Failure) => code = 2,
            Some(Says::Nothing) => {}
            Some(Says::OverTcp(_)) => truncated = 2,
            Some(Says::Addresses(all, ttl)) => records.extend(all.iter().filter_map(|ip| match (ip, kind) {
                (IpAddr::V4(ip), A) => Some(record(A, ttl, &ip.octets())),
                (IpAddr::V6(ip), AAAA) => Some(record(AAAA, ttl, &ip.octets())),
                _ => None,
            })),
            Some(Says::Services(all, ttl)) if kind == SRV => {
                records.extend(all.iter().map(|service| record(SRV, ttl, &service.data())));
            }
            Some(Says::Services(..)) => {}
        }
        let mut out = query.get(..2)?.to_vec();
        let count = u16::try_from(records.len()).ok()?.to_be_bytes();
        out.extend([0x81 | truncated, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0]);
        out.extend(question);
        records.iter().for_each(|record| out.extend(record));
        Some(out)
    }
}

impl Service {
    fn data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for number in [self.priority, self.weight, self.port] {
            data.extend(number.to_be_bytes());
        }
        for label in self.target.split('.').filter(|label| !label.is_empty()) {
            data.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
            data.extend(label.as_bytes());
        }
        data.push(0);
        data
    }
}

/// A record of the name in the question, which stands at offset 12.
fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0xc0, 12];
    out.extend(kind.to_be_bytes());
    out.extend([0, 1]);
    out.extend(ttl.to_be_bytes());
    out.extend(u16::try_from(data.len()).expect("a short record").to_be_bytes());
    out.extend(data);
    out
}

/// The name in the question, in lower case and without a dot at the end, and where it ends.
fn read_name(query: &[u8]) -> Option<(String, usize)> {
    let (mut name, mut at) = (String::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(&String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}
