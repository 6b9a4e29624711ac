//! Counting what a client sends in frames that cost it next to nothing: pings, settings, resets, and what the gateway has
//! to reset because it is against the rules.
//!
//! Each is answered or acted on, so a stream of them is work without a request (CVE-2019-9512, CVE-2019-9515,
//! CVE-2023-44487, CVE-2025-8671). What an honest client sends of them goes with requests and bodies; so those, and time, earn an
//! allowance, and a client that has used it up is told to calm down.
//!
//! The meter looks at frame headers (RFC 9113 section 4.1), and at what the gateway's own resets say; it judges nothing
//! else: that is the library's part.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The client's connection preface, in front of the first frame.
const PREFACE_BYTES: u32 = 24;

/// The header of a frame.
const HEADER_BYTES: usize = 9;

/// Frames beside requests and bodies that a client may send at once, and regains in a second.
const CHATTER_MAX: u32 = 1_000;
const CHATTER_PER_SECOND: u32 = 10;

/// A request earns so many of them, and so does each of so many bytes of bodies in either direction: what a browser
/// sends along with a request is a handful, and who reads a body sends window updates for it.
const CHATTER_PER_REQUEST: u32 = 10;
const BODY_BYTES_PER_CHATTER: u64 = 1024;

/// A piece of an answer earns so many, however short it is: clients of gRPC send a window update for the stream and one
/// for the connection behind each message, and a ping now and then.
const CHATTER_PER_PIECE: u32 = 3;

/// Requests that a client may take back at once, and regains in a second. Leaving a page takes back what it asked for.
const RESETS_MAX: u32 = 200;
const RESETS_PER_SECOND: u32 = 20;

/// Requests that the gateway may have to reset at once because they are against the rules, and those that it forgives in
/// a second: who breaks them so often does it on purpose.
const FAULTY_MAX: u32 = 256;
const FAULTY_PER_SECOND: u32 = 10;

/// Streams that the gateway reset last, which it remembers: what was on its way to them may still come (RFC 9113
/// section 5.4.2). More than any client has open at once by default, and 4 KiB at most.
const RESET_KNOWN_MAX: usize = 1024;

/// A reset of a stream earns so many: frames of a body that were sent before the client heard of it are answered by
/// resets in their turn.
const CHATTER_PER_RESET: u32 = 64;

/// What a client has sent so far, as far as it has to be counted.
pub(super) struct Meter {
    incoming: Frames,
    outgoing: Frames,
    begun: bool,
    chatter: Allowance,
    resets: Allowance,
    faulty: Allowance,
    /// What is going out is a RST_STREAM of this stream: its last byte tells why.
    resetting: Option<u32>,
    /// Streams that were reset, the latest last.
    reset: VecDeque<u32>,
    /// Bytes of bodies that have not earned anything yet.
    body_bytes: u64,
    fault: Option<Fault>,
}

/// What a client did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The first frame is not its settings (RFC 9113 section 3.4).
    NoSettings,
    /// Too many frames that are neither requests nor bodies.
    Chatter,
    /// Too many requests that it took back.
    Resets,
    /// Too many requests that were against the rules.
    Faulty,
}

impl Meter {
    pub(super) fn new(now: Instant) -> Meter {
        Meter {
            incoming: Frames { skip: PREFACE_BYTES, ..Frames::default() },
            outgoing: Frames::default(),
            begun: false,
            chatter: Allowance::new(CHATTER_MAX, CHATTER_PER_SECOND, now),
            resets: Allowance::new(RESETS_MAX, RESETS_PER_SECOND, now),
            faulty: Allowance::new(FAULTY_MAX, FAULTY_PER_SECOND, now),
            resetting: None,
            reset: VecDeque::new(),
            body_bytes: 0,
            fault: None,
        }
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Bytes that came.
    pub(super) fn received(&mut self, mut bytes: &[u8], now: Instant) {
        while self.fault.is_none()
            && let Some(header) = self.incoming.next(&mut bytes)
        {
            self.frame(header, now);
        }
    }

    /// Bytes that are to go out.
    pub(super) fn sending(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) {
        loop {
            let header = self.outgoing.next(&mut bytes);
            if let Some(code) = self.outgoing.last.take()
                && let Some(stream) = self.resetting.take()
            {
                self.resets_stream(stream, code, &now);
            }
            let Some([a, b, c, kind, _, stream @ ..]) = header else { return };
            self.resetting = (kind == 3).then(|| u32::from_be_bytes(stream));
            let data = kind == 0 && [a, b, c] != [0; 3];
            self.chatter.earn(if data { CHATTER_PER_PIECE } else { 0 });
        }
    }

    /// The gateway resets a stream. What comes for one that is reset is answered by another reset, and no fault: its
    /// sender had not heard of the first one. It makes nothing of a request, so it counts as chatter does.
    fn resets_stream(&mut self, stream: u32, code: u8, now: impl Fn() -> Instant) {
        if code == STREAM_CLOSED && self.reset.contains(&stream) {
            if !self.chatter.spend(now()) {
                self.fault.get_or_insert(Fault::Chatter);
            }
            return;
        }
        if self.reset.len() == RESET_KNOWN_MAX {
            self.reset.pop_front();
        }
        self.reset.push_back(stream);
        self.chatter.earn(CHATTER_PER_RESET);
        if is_the_clients_fault(code) && !self.faulty.spend(now()) {
            self.fault.get_or_insert(Fault::Faulty);
        }
    }

    /// Bytes that went out: most of them are bodies.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.earn(bytes);
    }

    fn frame(&mut self, [a, b, c, kind, flags, ..]: [u8; HEADER_BYTES], now: Instant) {
        let length = u32::from_be_bytes([0, a, b, c]);
        const ACK: u8 = 1;
        if !std::mem::replace(&mut self.begun, true) && (kind != 4 || flags & ACK != 0) {
            self.fault = Some(Fault::NoSettings);
            return;
        }
        match kind {
            // DATA; an empty one moves nothing.
            0 if length > 0 => self.earn(u64::from(length)),
            // HEADERS. What CONTINUATION may add to them is bounded by the library.
            1 => self.chatter.earn(CHATTER_PER_REQUEST),
            9 => {}
            // RST_STREAM
            3 if !self.resets.spend(now) => self.fault = Some(Fault::Resets),
            3 => {}
            _ if !self.chatter.spend(now) => self.fault = Some(Fault::Chatter),
            _ => {}
        }
    }

    fn earn(&mut self, bytes: u64) {
        self.body_bytes += bytes;
        let earned = self.body_bytes / BODY_BYTES_PER_CHATTER;
        self.body_bytes %= BODY_BYTES_PER_CHATTER;
        self.chatter.earn(u32::try_from(earned).unwrap_or(u32::MAX));
    }

    /// A request was answered to its end, or taken back after it had held its place for a while: a client that takes back
    /// others less often than that goes on for ever.
    pub(super) fn finished(&mut self) {
        self.resets.earn(1);
    }

    /// One of the resets to come is not the client's fault.
    pub(super) fn forgive(&mut self) {
        self.faulty.earn(1);
    }
}

/// For a frame on a stream that is over (RFC 9113 section 7).
const STREAM_CLOSED: u8 = 5;

/// Whether a reset with this code (RFC 9113 section 7) blames the client: PROTOCOL_ERROR, FLOW_CONTROL_ERROR,
/// STREAM_CLOSED, FRAME_SIZE_ERROR, and REFUSED_STREAM for more requests at once than it may have. The others tell how
/// the request went.
fn is_the_clients_fault(code: u8) -> bool {
    matches!(code, 1 | 3 | STREAM_CLOSED | 6 | 7)
}

/// The headers of the frames of one direction.
#[derive(Default)]
struct Frames {
    /// What is there of the next one.
    header: [u8; HEADER_BYTES],
    have: usize,
    /// Bytes of the frame before it that are still to come.
    skip: u32,
    /// The last byte of a frame that has just come to its end; whoever looks at it takes it.
    last: Option<u8>,
}

impl Frames {
    /// The next header, once all of it is there. Takes what was looked at from `bytes`.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEADER_BYTES]> {
        let skipped = bytes.len().min(self.skip as usize);
        self.skip -= skipped as u32;
        if skipped > 0 && self.skip == 0 {
            self.last = bytes.get(skipped - 1).copied();
        }
        let rest = bytes.get(skipped..)?;
        let room = self.header.get_mut(self.have..)?;
        let (taken, rest) = rest.split_at(rest.len().min(room.len()));
        room.split_at_mut(taken.len()).0.copy_from_slice(taken);
        *bytes = rest;
        self.have += taken.len();
        if self.have < HEADER_BYTES {
            return None;
        }
        self.have = 0;
        let [a, b, c, ..] = self.header;
        self.skip = u32::from_be_bytes([0, a, b, c]);
        Some(self.header)
    }
}

/// So many at once, and so many more in a second.
struct Allowance {
    left: u32,
    max: u32,
    per_second: u32,
    since: Instant,
}

impl Allowance {
    fn new(max: u32, per_second: u32, now: Instant) -> Allowance {
        Allowance { left: max, max, per_second, since: now }
    }

    fn earn(&mut self, count: u32) {
        self.left = self.left.saturating_add(count).min(self.max);
    }

    /// Takes one; false when there is none. The clock matters only then.
    fn spend(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            let seconds = now.saturating_duration_since(self.since).as_secs();
            self.since += Duration::from_secs(seconds);
            let earned = seconds.saturating_mul(u64::from(self.per_second));
            self.earn(u32::try_from(earned).unwrap_or(u32::MAX));
        }
        let any = self.left > 0;
        self.left -= u32::from(any);
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
    const PING: &[u8] = &[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    const RESET: &[u8] = &[0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];
    const REQUEST: &[u8] = &[0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82];
    const EMPTY_DATA: &[u8] = &[0, 0, 0, 0, 0, 0, 0, 0, 1];

    /// Sends the frames, `each` so many times in turn, after the preface and settings and in pieces of `piece` bytes.
    fn check(frames: &[(&[u8], usize)], seconds: u64, expect: Option<Fault>) {
        for piece in [1, 7, 4096] {
            let start = Instant::now();
            let mut meter = Meter::new(start);
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            bytes.extend_from_slice(SETTINGS);
            for (frame, times) in frames {
                bytes.extend(frame.repeat(*times));
            }
            let pieces: Vec<&[u8]> = bytes.chunks(piece).collect();
            for (at, piece) in pieces.iter().enumerate() {
                let now = start + Duration::from_secs(seconds * at as u64 / pieces.len() as u64);
                meter.received(piece, now);
            }
            assert_eq!(meter.fault(), expect, "{frames:?} in pieces of {piece}");
        }
    }

    #[test]
    fn honest_clients_go_on() {
        check(&[], 0, None);
        check(&[(PING, 900)], 0, None);
        check(&[(RESET, 200)], 0, None);
        let busy = [REQUEST, PING, PING, PING].concat();
        check(&[(&busy, 5_000)], 0, None);
        check(&[(PING, 1_500)], 100, None);
    }

    #[test]
    fn floods_do_not() {
        check(&[(PING, 1_001)], 0, Some(Fault::Chatter));
        check(&[(SETTINGS, 1_001)], 0, Some(Fault::Chatter));
        check(&[(EMPTY_DATA, 1_001)], 0, Some(Fault::Chatter));
        let rapid = [REQUEST, RESET].concat();
        check(&[(&rapid, 201)], 0, Some(Fault::Resets));
    }

    /// As a client of gRPC reads a stream of short messages.
    #[test]
    fn who_reads_many_pieces_may_say_so() {
        let (now, update) = (Instant::now(), [0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0, 9]);
        let piece = [&[0u8, 0, 9, 0, 0, 0, 0, 0, 1][..], &[7; 9]].concat();
        let mut meter = Meter::new(now);
        meter.received(&[&[0u8; 24][..], SETTINGS].concat(), now);
        for _ in 0..5_000 {
            piece.chunks(5).for_each(|bytes| meter.sending(bytes, || now));
            meter.received(&update.repeat(2), now);
        }
        assert_eq!(meter.fault(), None);
        // What is no body earns nothing.
        for _ in 0..2_000 {
            meter.sending(PING, || now);
            meter.received(PING, now);
        }
        assert_eq!(meter.fault(), Some(Fault::Chatter));
    }

    /// Those that it is to blame for, whatever the pieces that they go out in.
    #[test]
    fn resets_of_the_gateway_are_forgiven_in_time() {
        let reset =
            |stream: u32, code: u8| [&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, code]].concat();
        let check = |code: u8, times: u64, every: Duration, expect: Option<Fault>| {
            for piece in [1, 4, 13, 4096] {
                let start = Instant::now();
                let mut meter = Meter::new(start);
                for n in 0..times {
                    let now = start + every * n as u32;
                    let frames = [&reset(2 * n as u32 + 1, code)[..], PING].concat();
                    frames.chunks(piece).for_each(|bytes| meter.sending(bytes, || now));
                }
                assert_eq!(meter.fault(), expect, "{times} of {code}, {every:?} apart, in pieces of {piece}");
            }
        };
        let apart = Duration::from_secs(2);
        check(1, 256, Duration::ZERO, None);
        check(1, 257, Duration::ZERO, Some(Fault::Faulty));
        check(7, 257, Duration::ZERO, Some(Fault::Faulty));
        check(5, 10_000, Duration::from_millis(10), Some(Fault::Faulty));
        check(1, 10_000, apart, None);
        for ours in [0, 2, 8, 11] {
            check(ours, 10_000, Duration::ZERO, None);
        }
    }

    /// A client that sends on, until it hears that a request was answered without its body.
    #[test]
    fn what_was_on_its_way_to_a_stream_that_was_reset_is_no_fault() {
        let reset =
            |stream: u32, code: u8| [&[0, 0, 4, 3, 0][..], &stream.to_be_bytes(), &[0, 0, 0, code]].concat();
        let now = Instant::now();
        for first in [0, 8, 1] {
            let mut meter = Meter::new(now);
            meter.received(&[&[0u8; 24][..], SETTINGS].concat(), now);
            let streams = if first == 1 { 200 } else { 10_000 };
            for stream in 1..=streams {
                meter.sending(&reset(stream, first), || now);
                (0..50).for_each(|_| meter.sending(&reset(stream, 5), || now));
            }
            assert_eq!(meter.fault(), None, "{first}");
            // It should have heard of it by now.
            (0..5_000).for_each(|_| meter.sending(&reset(streams, 5), || now));
            assert_eq!(meter.fault(), Some(Fault::Chatter), "{first}");
        }
        // What was never reset before is another matter, and what was so long ago.
        let mut meter = Meter::new(now);
        (1..=2_000).for_each(|stream| meter.sending(&reset(stream, 8), || now));
        (1..=257).for_each(|stream| meter.sending(&reset(stream, 5), || now));
        assert_eq!(meter.fault(), Some(Fault::Faulty));
    }

    #[test]
    fn who_lets_most_requests_finish_may_take_back_the_rest() {
        let mut meter = Meter::new(Instant::now());
        meter.received(&[&[0u8; 24][..], SETTINGS].concat(), Instant::now());
        for _ in 0..5_000 {
            meter.received(&[REQUEST, REQUEST, RESET].concat(), Instant::now());
            meter.finished();
        }
        assert_eq!(meter.fault(), None);
    }

    #[test]
    fn the_first_frame_is_settings() {
        for (first, expect) in [
            (PING, Some(Fault::NoSettings)),
            (&[0, 0, 0, 4, 1, 0, 0, 0, 0], Some(Fault::NoSettings)),
            (SETTINGS, None),
        ] {
            let mut meter = Meter::new(Instant::now());
            meter.received(&[&[0u8; 24][..], first].concat(), Instant::now());
            assert_eq!(meter.fault(), expect, "{first:?}");
        }
    }
}
