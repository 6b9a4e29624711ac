//! Against a tiny DNS server, bytes by hand.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;

use hickory_resolver::Hosts;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverConfig};
use tokio::net::UdpSocket;

use super::*;

/// What the server says about every name.
#[derive(Clone, Default)]
enum Says {
    #[default]
    NoSuchName,
    Silence,
    ServerFailure,
    /// Of either family, with the TTL in seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The same, but nothing at all about IPv6.
    OnlyV4Answers(Vec<IpAddr>, u32),
}

struct Server {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    /// Questions about IPv4 addresses.
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(says: Says) -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let server =
            Server { address, says: Arc::new(Mutex::new(says)), asked: Arc::new(AtomicUsize::new(0)) };
        let (says, asked) = (server.says.clone(), server.asked.clone());
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            loop {
                let (len, client) = socket.recv_from(&mut buffer).await.unwrap();
                let says = says.lock().unwrap().clone();
                if let Some(answer) = answer(&buffer[..len], &says, &asked) {
                    socket.send_to(&answer, client).await.unwrap();
                }
            }
        });
        server
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Relaxed)
    }

    fn resolver(&self) -> Resolver {
        let bounds = Bounds {
            ttl_min: Duration::from_millis(40),
            failure: Duration::from_millis(40),
            stale_wait: Duration::from_millis(60),
            ..BOUNDS
        };
        Resolver::with(System::fixed(self.config(), Hosts::default()), bounds)
    }

    fn config(&self) -> ResolverConfig {
        let mut connection = ConnectionConfig::new(ProtocolConfig::Udp);
        connection.port = self.address.port();
        let server = NameServerConfig::new(self.address.ip(), true, vec![connection]);
        ResolverConfig::from_parts(None, Vec::new(), vec![server])
    }
}

/// RFC 1035 section 4: header, the question as it came, one record for each address.
fn answer(query: &[u8], says: &Says, asked: &AtomicUsize) -> Option<Vec<u8>> {
    let end_of_name = 12 + query[12..].iter().position(|&byte| byte == 0)? + 1;
    let question = &query[12..end_of_name + 4];
    let is_v4 = query[end_of_name..end_of_name + 2] == [0, 1];
    if is_v4 {
        asked.fetch_add(1, Relaxed);
    }
    let (code, addresses, ttl) = match says {
        Says::Silence => return None,
        Says::OnlyV4Answers(..) if !is_v4 => return None,
        Says::NoSuchName => (3, Vec::new(), 0),
        Says::ServerFailure => (2, Vec::new(), 0),
        Says::Addresses(all, ttl) | Says::OnlyV4Answers(all, ttl) => {
            (0, all.iter().filter(|ip| ip.is_ipv4() == is_v4).collect(), *ttl)
        }
    };
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(question);
    for address in addresses {
        let bytes = match address {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        out.extend([0xc0, 12, 0, if is_v4 { 1 } else { 28 }, 0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, u8::try_from(bytes.len()).unwrap()]);
        out.extend(bytes);
    }
    Some(out)
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

/// Looks a name up until the result is as wished.
async fn until(resolver: &Resolver, host: &str, wish: impl Fn(&Result<Arc<[IpAddr]>, ResolveError>) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut pause = tokio::time::interval(Duration::from_millis(5));
    loop {
        let result = resolver.lookup(host).await;
        if wish(&result) {
            return;
        }
        assert!(Instant::now() < deadline, "{host}: still {result:?}");
        // Between two looks the server has its turn, and the processor a rest.
        pause.tick().await;
    }
}

#[test]
fn some_names_need_no_server() {
    run(async {
        let server = Server::start(Says::NoSuchName).await;
        let resolver = server.resolver();
        for (host, expect) in [
            ("localhost", &["127.0.0.1", "::1"][..]),
            ("localhost.", &["127.0.0.1", "::1"]),
            ("api.localhost", &["127.0.0.1", "::1"]),
            ("192.0.2.7", &["192.0.2.7"]),
            ("[2001:db8::1]", &["2001:db8::1"]),
            ("::1", &["::1"]),
        ] {
            assert_eq!(resolver.lookup(host).await.unwrap().to_vec(), ips(expect), "{host}");
        }
        assert_eq!(server.asked(), 0);
    });
}

#[test]
fn the_system_resolver_knows_localhost_whatever_the_files_say() {
    run(async {
        assert_eq!(
            Resolver::new(&NameServers::default()).lookup("localhost").await.unwrap().to_vec(),
            ips(&["127.0.0.1", "::1"])
        );
    });
}

#[test]
fn both_families_come_in_turn_and_are_asked_once_by_all() {
    run(async {
        let all = ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        let server = Server::start(Says::Addresses(all, 300)).await;
        let resolver = server.resolver();
        let first = resolver.lookup("orders.internal");
        let (first, second) = tokio::join!(first, resolver.lookup("orders.internal"));
        let expect = ips(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        assert_eq!(first.unwrap().to_vec(), expect);
        assert_eq!(second.unwrap().to_vec(), expect);
        assert_eq!(resolver.lookup("orders.internal").await.unwrap().to_vec(), expect);
        assert_eq!(server.asked(), 1);
        resolver.lookup("my_service").await.unwrap();
        assert_eq!(server.asked(), 2);
    });
}

#[test]
fn an_answer_is_asked_again_when_its_time_is_over() {
    run(async {
        let server = Server::start(Says::Addresses(ips(&["192.0.2.1"]), 1)).await;
        let resolver = server.resolver();
        let began = Instant::now();
        assert_eq!(resolver.lookup("a.internal").await.unwrap().to_vec(), ips(&["192.0.2.1"]));
        server.say(Says::Addresses(ips(&["192.0.2.2"]), 1));
        until(&resolver, "a.internal", |r| matches!(r, Ok(ips) if ips[0] == IpAddr::from([192, 0, 2, 2])))
            .await;
        let after = began.elapsed();
        assert!(
            after >= Duration::from_millis(750),
            "its TTL of 1 s counts, but asked again after {after:?}"
        );
        assert_eq!(server.asked(), 2, "one question in the background, no more");
    });
}

#[test]
fn a_ttl_of_zero_is_held_for_the_least_time() {
    run(async {
        let server = Server::start(Says::Addresses(ips(&["192.0.2.1"]), 0)).await;
        let resolver = Resolver::with(System::fixed(server.config(), Hosts::default()), BOUNDS);
        for _ in 0..10 {
            resolver.lookup("a.internal").await.unwrap();
        }
        assert_eq!(server.asked(), 1);
    });
}

#[test]
fn a_name_that_vanishes_keeps_its_old_addresses() {
    for vanished in [Says::NoSuchName, Says::ServerFailure, Says::Silence, Says::Addresses(Vec::new(), 60)] {
        run(async {
            let server = Server::start(Says::Addresses(ips(&["192.0.2.1"]), 0)).await;
            let resolver = server.resolver();
            resolver.lookup("a.internal").await.unwrap();
            server.say(vanished);
            let asked = server.asked();
            let is_old = Cell::new(true);
            until(&resolver, "a.internal", |result| {
                is_old.set(is_old.get() && matches!(result, Ok(old) if **old == ips(&["192.0.2.1"])));
                server.asked() > asked + 1
            })
            .await;
            assert!(is_old.get());
            server.say(Says::Addresses(ips(&["192.0.2.9"]), 60));
            until(&resolver, "a.internal", |r| matches!(r, Ok(new) if **new == ips(&["192.0.2.9"]))).await;
        });
    }
}

#[test]
fn a_name_that_never_was_is_an_error_for_a_while() {
    run(async {
        let server = Server::start(Says::NoSuchName).await;
        let patient = Resolver::with(System::fixed(server.config(), Hosts::default()), BOUNDS);
        for _ in 0..10 {
            assert_eq!(patient.lookup("a.internal").await, Err(ResolveError::NoAddress));
        }
        assert_eq!(server.asked(), 1);
        let quick = server.resolver();
        assert_eq!(quick.lookup("a.internal").await, Err(ResolveError::NoAddress));
        server.say(Says::Addresses(ips(&["192.0.2.1"]), 60));
        until(&quick, "a.internal", Result::is_ok).await;
    });
}

#[test]
fn other_failures_are_told_from_no_address() {
    run(async {
        let server = Server::start(Says::ServerFailure).await;
        assert!(matches!(server.resolver().lookup("a.internal").await, Err(ResolveError::Failed(_))));
        server.say(Says::Addresses(Vec::new(), 0));
        assert_eq!(server.resolver().lookup("a.internal").await, Err(ResolveError::NoAddress));
        assert_eq!(server.resolver().lookup(&"a".repeat(64)).await, Err(ResolveError::BadName));
    });
}

#[test]
fn a_server_that_ignores_one_family_delays_little() {
    run(async {
        let server = Server::start(Says::OnlyV4Answers(ips(&["192.0.2.1"]), 60)).await;
        let began = Instant::now();
        assert_eq!(server.resolver().lookup("a.internal").await.unwrap().to_vec(), ips(&["192.0.2.1"]));
        assert!(began.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn the_hosts_file_goes_before_dns_and_needs_none() {
    run(async {
        let server = Server::start(Says::Silence).await;
        let mut hosts = Hosts::default();
        hosts.read_hosts_conf(&b"192.0.2.5 db db.internal\n2001:db8::5 db\n"[..]).unwrap();
        let resolver = Resolver::with(System::fixed(server.config(), hosts), BOUNDS);
        assert_eq!(resolver.lookup("db").await.unwrap().to_vec(), ips(&["192.0.2.5", "2001:db8::5"]));
        assert_eq!(resolver.lookup("db.internal").await.unwrap().to_vec(), ips(&["192.0.2.5"]));
        assert_eq!(server.asked(), 0);
    });
}

#[test]
fn a_request_that_gives_up_does_not_cancel_the_question() {
    run(async {
        let server = Server::start(Says::Addresses(ips(&["192.0.2.1"]), 60)).await;
        let resolver = server.resolver();
        {
            // Polled once, so that the question is on its way, and dropped.
            let mut lookup = pin!(resolver.lookup("a.internal"));
            let polled = poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx).is_pending())).await;
            assert!(polled, "the server cannot have answered yet");
        }
        assert_eq!(resolver.lookup("a.internal").await.unwrap().to_vec(), ips(&["192.0.2.1"]));
        assert_eq!(server.asked(), 1);
    });
}

#[test]
fn who_has_no_answer_takes_anothers() {
    run(async {
        let server = Server::start(Says::Addresses(ips(&["192.0.2.1"]), 0)).await;
        let shared = NameServers::default();
        let resolver = || Resolver { shared: shared.clone(), ..server.resolver() };
        let (first, second) = (resolver(), resolver());
        first.lookup("a.internal").await.unwrap();
        server.say(Says::NoSuchName);
        until(&first, "a.internal", |_| server.asked() > 2).await;
        assert_eq!(second.lookup("a.internal").await.unwrap().to_vec(), ips(&["192.0.2.1"]));
        assert_eq!(resolver().lookup("b.internal").await, Err(ResolveError::NoAddress));
    });
}

#[test]
fn the_memory_is_bounded() {
    let mut names = HashMap::new();
    let start = Instant::now();
    for n in 0..NAMES_MAX + 10 {
        entry(&mut names, &format!("n{n}"), start + Duration::from_millis(n as u64));
    }
    assert_eq!(names.len(), NAMES_MAX);
    assert!(!names.contains_key("n0") && names.contains_key(&*format!("n{}", NAMES_MAX + 9)));
}

#[test]
fn the_shared_memory_is_bounded() {
    let (shared, start) = (NameServers::default(), Instant::now());
    let answer = |at: Instant| Answer { addresses: Arc::default(), refresh: at, expires: at };
    for n in 0..NAMES_MAX + 10 {
        shared.learned(&format!("n{n}"), &answer(start + Duration::from_millis(n as u64)));
    }
    assert!(shared.last("n0").is_none() && shared.last("n9").is_none() && shared.last("n10").is_some());
}
