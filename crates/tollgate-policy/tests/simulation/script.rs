//! The script that Redis runs, in a Redis, beside `store.rs`: the same questions at the same times get the same answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tollgate_policy::limit::lease::lease_max;
use tollgate_policy::limit::script::{Ask, BUCKET};

use crate::dice::Dice;
use crate::level::quota;
use crate::store::Kept;

const CALLS: u32 = 6_000;
/// Tokens, seconds, burst. Quick ones are full again while the test runs, slow ones stay empty.
const LIMITS: [(u64, u64, u64); 5] =
    [(3_000, 1, 30), (100, 1, 200), (7, 60, 5), (999_999_937, 86_400, 1_000_000), (20_000, 1, 4_000)];

#[test]
fn redis_answers_as_the_simulation_does() {
    let mut redis = Redis::start();
    let mut dice = Dice::new(7);
    let mut kept = [Kept::default(); LIMITS.len()];
    let mut out: Vec<(usize, u32, u64)> = Vec::new();
    let mut returned = 0;
    for call in 0..CALLS {
        let limit = dice.below(LIMITS.len() as u64) as usize;
        let quota = quota(LIMITS[limit]);
        let back = (!out.is_empty() && dice.percent(45)).then(|| dice.below(out.len() as u64) as usize);
        let (limit, ask) = match back.map(|at| out.swap_remove(at)) {
            Some((limit, tokens, taken_at_us)) => (limit, Ask::GiveBack { tokens, taken_at_us }),
            None if dice.percent(20) => (limit, Ask::Take(dice.below(3) as u32)),
            None => (limit, Ask::Lease(1 + dice.below(u64::from(lease_max(&quota)) * 3 / 2) as u32)),
        };
        let quota = crate::level::quota(LIMITS[limit]);
        let args = ask.args(&quota);
        let answer = redis.run(&format!("bucket{limit}"), &args);
        let now_us = answer[3] as u64;
        assert_eq!(answer, kept[limit].run(args, now_us), "call {call}: {ask:?} of {quota:?}");
        match ask {
            Ask::GiveBack { .. } => returned += 1,
            _ if answer[0] > 0 => out.push((limit, answer[0] as u32, now_us)),
            _ => {}
        }
    }
    assert!(returned > 1_000, "{returned} returns");
}

/// A Redis of its own, which ends with the test.
struct Redis {
    process: Child,
    stream: BufReader<TcpStream>,
}

impl Redis {
    fn start() -> Redis {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
        let port = free.port().to_string();
        let words = ["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"];
        let process = Command::new("redis-server").args(words).stdout(Stdio::null()).spawn();
        let process = process.expect("redis-server is there: ./dev test installs it");
        let until = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match TcpStream::connect(free) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "Redis does not listen: {error}"),
            }
            std::thread::yield_now();
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time limit");
        Redis { process, stream: BufReader::new(stream) }
    }

    fn run(&mut self, key: &str, args: &[u64; 12]) -> [i64; 4] {
        let args: Vec<String> = args.iter().map(u64::to_string).collect();
        let words = ["EVAL", BUCKET, "1", key].into_iter().chain(args.iter().map(String::as_str));
        let mut text = String::from("*16\r\n");
        for word in words {
            text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        self.stream.get_mut().write_all(text.as_bytes()).expect("Redis listens");
        assert_eq!(self.line(), "*4");
        [0; 4].map(|_| self.line().strip_prefix(':').expect("a number").parse().expect("a number"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("Redis answers");
        line.trim_end().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It is gone either way.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
