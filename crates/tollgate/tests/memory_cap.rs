//! `limits.memory`: floods of everything that a client can make the gateway hold, and a process that lives through them
//! within its cap and serves as before when they are over. Where this process may make a control group, the kernel ends what
//! passes the cap by more than `docs/operate.md` allows for; everywhere it refuses it to allocate more.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use tollgate_testkit::behaviour::response;
use tollgate_testkit::{Client, Gateway, Origin, assert_problem, gateway, pause, wait_for};

const CAP_MIB: u64 = 128;

/// Of the cap, what bodies, heads and connections may be held out of: 36%.
const BUFFERS: usize = 128 * 1024 * 1024 / 100 * 36;

const CONFIG: &str = "
workers: 2
limits: { memory: 128MiB, header_timeout: 30s, keepalive_timeout: 10m }
access_log: { sink: off }
shutdown: { grace: 0s }
routes:
  - { path: /hi, respond: { body: hi } }
  - { path: /body, validate: { body: { type: object } }, respond: { body: fine } }
  - { path: /large, to: \"@ORIGIN@\" }
  - { path: /keys, rate_limit: { rate: 1/m, per: \"header:x-key\" }, respond: { body: hi } }
  - { path: /health, health: {} }
";

/// What a flooded gateway stands between.
struct Around {
    origin: Origin,
    _group: Option<Group>,
}

fn start() -> (Gateway, Around) {
    let origin = Origin::start(|conn| {
        loop {
            conn.request()?;
            conn.send(response(200, &[b'x'; 4 << 20]))?;
        }
    });
    let gateway = gateway!(CONFIG, ORIGIN = origin.url());
    enforce(&gateway);
    let group = Group::around(gateway.pid(), ROOM_BYTES);
    if group.is_none() {
        say("no control group can be made here: the limit on data alone holds the gateway");
    }
    (gateway, Around { origin, _group: group })
}

/// Tells whoever runs the test by hand; there is nobody else to tell where that fails.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The cap, and the room that `docs/operate.md` wants beside it.
const ROOM_BYTES: u64 = (CAP_MIB << 20) * 10 / 8;

/// Has the kernel refuse what is beyond that: then an allocation fails, which ends the process. Unlike a control group this
/// needs no right, and it counts what is reserved, touched or not.
fn enforce(gateway: &Gateway) {
    let most = Some(ROOM_BYTES);
    let pid = Pid::from_raw(gateway.pid().cast_signed()).expect("a process id");
    prlimit(Some(pid), Resource::Data, Rlimit { current: most, maximum: most }).expect("a limit is set");
}

/// A control group with a hard limit (cgroups(7)). Unlike the limit on data it counts what the kernel holds for the process as
/// well. It goes when it is dropped.
struct Group {
    dir: PathBuf,
    /// Of version 1, or else 2.
    first: bool,
}

impl Group {
    /// Puts a process into one of its own; none where this process may not make one.
    fn around(pid: u32, bytes: u64) -> Option<Group> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let (parent, first) = own.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            match controllers {
                "" => Some((format!("/sys/fs/cgroup{path}"), false)),
                _ if controllers.split(',').any(|one| one == "memory") => {
                    Some((format!("/sys/fs/cgroup/memory{path}"), true))
                }
                _ => None,
            }
        })?;
        let name = format!("tollgate-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let group = Group { dir: PathBuf::from(parent).join(name), first };
        fs::create_dir(&group.dir).ok()?;
        let limit = if first { "memory.limit_in_bytes" } else { "memory.max" };
        fs::write(group.dir.join(limit), bytes.to_string()).ok()?;
        fs::write(group.dir.join("cgroup.procs"), pid.to_string()).ok()?;
        Some(group)
    }

    /// The most that was used at once, in bytes, pages of files and the kernel's own included.
    fn peak(&self) -> Option<u64> {
        let file = if self.first { "memory.max_usage_in_bytes" } else { "memory.peak" };
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(peak) = self.peak() {
            say(&format!("the control group used {} KiB at most, of {} KiB", peak >> 10, ROOM_BYTES >> 10));
        }
        // Who is still in it goes back to where the group is: only an empty one can be removed.
        let parent = self.dir.parent().unwrap_or(&self.dir).join("cgroup.procs");
        for pid in fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(&parent, pid);
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Runs a flood, looks at the resident memory all the while, and expects an ordinary life afterwards.
fn flood(gateway: &mut Gateway, flood: impl FnOnce(&Gateway)) {
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let watched: &Gateway = gateway;
        let (over, most) = (&over, &most);
        scope.spawn(move || {
            while !over.load(Relaxed) {
                most.fetch_max(watched.resident_kib(), Relaxed);
                pause(Duration::from_millis(10));
            }
        });
        // Also when the flood fails: the test would wait for the watch for ever.
        let _end = End(over);
        flood(watched);
    });
    let most = most.load(Relaxed) / 1024;
    assert!(most < CAP_MIB, "{most} MiB were resident");
    assert!(gateway.is_running());
    wait_for("requests to be served again", || {
        Client::try_connect(&gateway.address()).is_ok_and(|mut client| {
            client.send("GET /hi HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            client.try_response().is_ok_and(|answer| answer.status == 200)
        })
    });
    wait_for("memory to be calm", || memory(gateway)["state"] == "calm");
}

/// Ends the watch over a flood.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn memory(gateway: &Gateway) -> Value {
    gateway.admin("/api/v1/limits").json()["memory"].clone()
}

/// As much of `bytes` as goes; a refusal may come in between.
fn push(client: &mut Client, bytes: &[u8]) {
    client.send_while_taken(bytes, Duration::from_millis(500));
}

#[test]
fn bodies_that_are_held_stay_within_their_share() {
    let (mut gateway, _around) = start();
    flood(&mut gateway, |gateway| {
        let payload = vec![b' '; 9 << 20];
        let mut clients: Vec<Client> = (0..24).map(|_| gateway.client()).collect();
        for client in &mut clients {
            let length = (9 << 20) + 2;
            push(
                client,
                format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
            );
            push(client, &payload);
        }
        assert!(memory(gateway)["held"].as_u64().is_some_and(|held| held as usize <= BUFFERS));
        let mut served = 0;
        for client in &mut clients {
            // Those that were refused may have been closed before they could send all of it.
            let _ = client.try_send("{}");
            match client.try_response() {
                Ok(answer) if answer.status == 200 => served += 1,
                Ok(answer) => assert_problem(&answer, "overloaded"),
                Err(_) => {}
            }
        }
        assert!((1..24).contains(&served), "{served} of 24 had room");
    });
}

#[test]
fn heads_that_come_in_parts_stay_within_their_share() {
    let (mut gateway, _around) = start();
    flood(&mut gateway, |gateway| {
        let head = format!("GET /hi HTTP/1.1\r\nHost: x\r\nX-Long: {}", "a".repeat(30_000));
        let mut clients: Vec<Client> =
            (0..2_000).filter_map(|_| Client::try_connect(&gateway.address()).ok()).collect();
        clients.iter_mut().for_each(|client| drop(client.try_send(&head)));
        wait_for("the share to be used up", || memory(gateway)["state"] == "full");
        // Whoever asks for the gateway's health is told, and new requests are told to come again.
        let refused = clients.iter_mut().rev().take(200).filter_map(|client| {
            client.set_patience(Duration::from_millis(20));
            client.try_response().ok()
        });
        let refused: Vec<_> = refused.collect();
        refused.iter().for_each(|answer| assert_problem(answer, "overloaded"));
        assert!(memory(gateway)["held"].as_u64().is_some_and(|held| held as usize <= BUFFERS));
    });
}

#[test]
fn clients_that_do_not_read_stay_within_their_share() {
    let (mut gateway, _around) = start();
    flood(&mut gateway, |gateway| {
        let clients: Vec<Client> = (0..1_500)
            .filter_map(|_| {
                let mut client = Client::try_connect(&gateway.address()).ok()?;
                client.try_send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
                Some(client)
            })
            .collect();
        wait_for("something to be held", || {
            memory(gateway)["held"].as_u64().is_some_and(|held| held > 4 << 20)
        });
        drop(clients);
    });
}

#[test]
fn keys_of_rate_limits_stay_within_their_share() {
    let (mut gateway, _around) = start();
    flood(&mut gateway, |gateway| {
        let mut client = gateway.client();
        for round in 0..600 {
            let requests: String = (0..100)
                .map(|number| format!("GET /keys HTTP/1.1\r\nHost: x\r\nX-Key: {round}-{number}\r\n\r\n"))
                .collect();
            client.send(requests);
            (0..100).for_each(|_| assert!(matches!(client.response().status, 200 | 429)));
        }
        let buckets = gateway.admin("/api/v1/limits").json()["buckets"].clone();
        let (now, max) = (buckets["now"].as_u64().unwrap(), buckets["max"].as_u64().unwrap());
        // The table rounds its bound up to a multiple of its 64 parts.
        assert!(max < 100_000 && now <= max + 64, "{buckets}");
    });
}

#[test]
fn near_the_cap_the_idle_go_and_those_with_something_under_way_stay() {
    let (mut gateway, _around) = start();
    flood(&mut gateway, |gateway| {
        let mut idle: Vec<Client> = (0..300).map(|_| gateway.client()).collect();
        idle.iter_mut().for_each(|client| assert_eq!(client.get("/hi").status, 200));
        let mut busy: Vec<Client> = (0..4).map(|_| gateway.client()).collect();
        for client in &mut busy {
            let (rest, all) = ((8 << 20) - 1024, (8 << 20) - 1022);
            client.send(format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {all}\r\n\r\n"));
            client.send(vec![b' '; rest]);
        }
        wait_for("the idle to be closed", || {
            memory(gateway)["connections_closed"].as_u64().is_some_and(|closed| closed >= 300)
        });
        idle.iter_mut().for_each(Client::assert_closed_cleanly);
        for client in &mut busy {
            client.send("{}");
            assert_eq!(client.response().status, 200, "what is under way comes to its end");
        }
        assert_eq!(gateway.metrics().get("tollgate_memory_limit_bytes"), (CAP_MIB << 20) as f64);
    });
}

#[test]
fn a_reload_sets_the_cap_and_takes_it_away() {
    let (gateway, around) = start();
    assert_eq!(memory(&gateway)["max"], CAP_MIB << 20);
    let names = [("ORIGIN", around.origin.url())];
    for (generation, cap) in [(2, "0"), (3, "256MiB")] {
        let text = CONFIG.replace("memory: 128MiB", &format!("memory: {cap}"));
        gateway.replace_file(&gateway.complete(&text, &names));
        gateway.wait_generation(generation);
        let max = memory(&gateway)["max"].clone();
        assert_eq!(max.as_u64(), if cap == "0" { None } else { Some(256 << 20) });
    }
}
