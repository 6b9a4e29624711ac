//! The requirements of h2spec (github.com/summerwind/h2spec), written as frames: what a server has to do with a
//! connection that breaks RFC 9113 or RFC 7541, and with one that only looks odd.
//!
//! Names are h2spec's sections and cases. Not here: cases of HTTP/2 that are met elsewhere in these tests (8.1.2.x in
//! `heads.rs`, 5.1.2 in `life.rs`), and `generic`, whose well-behaved requests every other test makes.

use tollgate_testkit::{Frame, Gateway, PREFACE, block, gateway};

use crate::fields;
use crate::peer::{End, Peer};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const ACK: u8 = 1;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 0x20;
const END: u8 = Frame::END_STREAM | Frame::END_HEADERS;

/// What has to come of it.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// The connection lives, and stream 1 is answered.
    Answer,
    /// The connection lives.
    Alive,
    /// The stream ends for one of these reasons; or the connection does.
    Stream(&'static [u32]),
    /// The connection ends for one of these reasons, or without a word.
    Connection(&'static [u32]),
}
use Expect::{Alive, Answer, Connection, Stream};

type Case = (&'static str, Vec<Frame>, Expect);

fn get() -> Frame {
    Frame::headers(1, &fields("GET", "/", &[]), true)
}

/// A head that a body follows.
fn post() -> Frame {
    Frame::headers(1, &fields("POST", "/", &[]), false)
}

/// A request with this header block.
fn head(flags: u8, block: impl Into<Vec<u8>>) -> Frame {
    Frame::new(Frame::HEADERS, flags, 1, block)
}

fn request_block() -> Vec<u8> {
    block(&fields("GET", "/", &[]))
}

/// A request block with these bytes behind it.
fn followed_by(bytes: &[u8]) -> Vec<u8> {
    [&request_block()[..], bytes].concat()
}

#[track_caller]
fn check(gateway: &Gateway, (name, frames, expect): Case) {
    let mut peer = Peer::connect(gateway);
    peer.send(&frames);
    match expect {
        Answer => assert_eq!(peer.answer(1), 2, "{name}"),
        Alive => {}
        Stream(codes) => {
            let code = loop {
                match peer.frame() {
                    None => break None,
                    Some(frame) if frame.code().is_some() => break frame.code(),
                    Some(_) => {}
                }
            };
            return assert!(code.is_none_or(|code| is_one_of(code, codes)), "{name}: {code:?}");
        }
        Connection(codes) => {
            return match peer.end() {
                End::GoAway(code) => assert!(is_one_of(code, codes), "{name}: {code}"),
                End::Closed => {}
            };
        }
    }
    assert!(peer.is_alive(), "{name}: the connection has ended");
}

/// The library calls nearly every offence PROTOCOL_ERROR. The code is for people who look for a fault; h2spec, too, is
/// content with an end.
fn is_one_of(code: u32, codes: &[u32]) -> bool {
    code == PROTOCOL_ERROR || codes.contains(&code)
}

fn run(cases: Vec<Case>) {
    let gateway = gateway!("workers: 1\nroutes:\n  - { path: /*, respond: { body: ok } }\n");
    for case in cases {
        check(&gateway, case);
    }
}

#[test]
fn http2_3_5_connection_preface() {
    let gateway = gateway!("routes:\n  - { path: /*, respond: { body: ok } }\n");
    let mut peer = Peer::silent(&gateway);
    peer.send_bytes(PREFACE);
    assert_eq!(peer.wait(Frame::SETTINGS, 0).flags, 0, "3.5/1: settings come first");
    let mut peer = Peer::silent(&gateway);
    peer.send_bytes(&[&PREFACE[..20], b"XXXX"].concat());
    assert_eq!(peer.end(), End::Closed, "3.5/2, of a client that was taken at its word");
    let mut peer = Peer::silent(&gateway);
    peer.send_bytes(PREFACE);
    peer.send(&[get()]);
    assert!(matches!(peer.end(), End::GoAway(PROTOCOL_ERROR) | End::Closed), "settings are not optional");
}

#[test]
fn http2_4_frames() {
    let large = vec![0u8; 16 * 1024 + 1];
    let mut reserved = Frame::new(Frame::PING, 0, 0, [0; 8]);
    reserved.stream |= 1 << 31;
    run(vec![
        ("4.1/1 unknown type", vec![Frame::new(0xff, 0, 0, []), get()], Answer),
        ("4.1/2 undefined flag", vec![Frame::new(Frame::PING, 0x16, 0, [0; 8]), get()], Answer),
        ("4.1/3 reserved bit", vec![reserved, get()], Answer),
        ("4.2/1 DATA of 2^14", vec![post(), Frame::data(1, vec![0; 16 * 1024], true)], Answer),
        (
            "4.2/2 DATA too large",
            vec![post(), Frame::data(1, large.clone(), true)],
            Stream(&[FRAME_SIZE_ERROR]),
        ),
        ("4.2/3 HEADERS too large", vec![head(END, large)], Connection(&[FRAME_SIZE_ERROR])),
        ("4.3/1 invalid block", vec![head(END, [0x40, 0x01, 0x41, 0xff])], Connection(&[COMPRESSION_ERROR])),
        (
            "4.3/2 PRIORITY inside a block",
            vec![head(0, request_block()), Frame::new(PRIORITY, 0, 1, [0, 0, 0, 0, 255])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "4.3/3 HEADERS of another stream inside a block",
            vec![head(0, request_block()), Frame::headers(3, &fields("GET", "/", &[]), true)],
            Connection(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn http2_5_streams() {
    let closed: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
    let continuation = || Frame::new(Frame::CONTINUATION, Frame::END_HEADERS, 1, request_block());
    run(vec![
        ("5.1/1 idle: DATA", vec![Frame::data(1, "x", true)], Connection(&[PROTOCOL_ERROR])),
        ("5.1/2 idle: RST_STREAM", vec![Frame::reset(1, 8)], Connection(&[PROTOCOL_ERROR])),
        ("5.1/3 idle: WINDOW_UPDATE", vec![Frame::window_update(1, 100)], Connection(&[PROTOCOL_ERROR])),
        ("5.1/4 idle: CONTINUATION", vec![continuation()], Connection(&[PROTOCOL_ERROR])),
        ("5.1/5 half closed: DATA", vec![get(), Frame::data(1, "x", true)], Stream(closed)),
        ("5.1/6 half closed: HEADERS", vec![get(), get()], Stream(closed)),
        ("5.1/7 half closed: CONTINUATION", vec![get(), continuation()], Connection(closed)),
        ("5.1/8 reset: DATA", vec![post(), Frame::reset(1, 8), Frame::data(1, "x", true)], Stream(closed)),
        ("5.1/9 reset: HEADERS", vec![post(), Frame::reset(1, 8), get()], Stream(closed)),
        ("5.1/10 reset: CONTINUATION", vec![post(), Frame::reset(1, 8), continuation()], Connection(closed)),
        (
            "5.1.1/1 even number",
            vec![Frame::headers(2, &fields("GET", "/", &[]), true)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "5.1.1/2 number lower than before",
            vec![
                Frame::headers(5, &fields("GET", "/", &[]), true),
                Frame::headers(3, &fields("GET", "/", &[]), true),
            ],
            Connection(closed),
        ),
        (
            "5.3.1/1 HEADERS that depend on themselves",
            vec![head(END | WITH_PRIORITY, [&[0, 0, 0, 1, 255][..], &request_block()].concat())],
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "5.3.1/2 PRIORITY that depends on itself",
            vec![Frame::new(PRIORITY, 0, 1, [0, 0, 0, 1, 255])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        ("5.4.1/1 invalid PING", vec![Frame::new(Frame::PING, 0, 3, [0; 8])], Connection(&[PROTOCOL_ERROR])),
        ("5.5/1 unknown extension", vec![Frame::new(0xfe, 0, 0, [1, 2, 3]), get()], Answer),
        (
            "5.5/2 unknown extension inside a block",
            vec![head(0, request_block()), Frame::new(0xfe, 0, 0, [])],
            Connection(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn http2_6_1_to_6_4() {
    run(vec![
        ("6.1/1 DATA on 0", vec![post(), Frame::data(0, "x", true)], Connection(&[PROTOCOL_ERROR])),
        (
            "6.1/2 DATA on a closed stream",
            vec![get(), Frame::data(1, "x", true)],
            Stream(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        (
            "6.1/3 invalid pad length",
            vec![post(), Frame::new(Frame::DATA, PADDED | 1, 1, [200, 1, 2])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        ("6.1 padding", vec![post(), Frame::new(Frame::DATA, PADDED | 1, 1, [2, b'x', 0, 0])], Answer),
        (
            "6.2/3 HEADERS on 0",
            vec![Frame::headers(0, &fields("GET", "/", &[]), true)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.2/4 invalid pad length",
            vec![head(END | PADDED, [&[200][..], &request_block()].concat())],
            Connection(&[PROTOCOL_ERROR]),
        ),
        ("6.2 padding", vec![head(END | PADDED, [&[2][..], &request_block(), &[0, 0]].concat())], Answer),
        (
            "6.2 priority",
            vec![head(END | WITH_PRIORITY, [&[0, 0, 0, 0, 255][..], &request_block()].concat())],
            Answer,
        ),
        (
            "6.3/1 PRIORITY on 0",
            vec![Frame::new(PRIORITY, 0, 0, [0, 0, 0, 1, 255])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        ("6.3/2 PRIORITY of 4 bytes", vec![Frame::new(PRIORITY, 0, 1, [0; 4])], Stream(&[FRAME_SIZE_ERROR])),
        ("6.4/1 RST_STREAM on 0", vec![post(), Frame::reset(0, 8)], Connection(&[PROTOCOL_ERROR])),
        ("6.4/2 RST_STREAM of an idle stream", vec![Frame::reset(1, 8)], Connection(&[PROTOCOL_ERROR])),
        (
            "6.4/3 RST_STREAM of 3 bytes",
            vec![post(), Frame::new(Frame::RST_STREAM, 0, 1, [0; 3])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
    ]);
}

#[test]
fn http2_6_5_settings() {
    run(vec![
        (
            "6.5/1 ACK with a payload",
            vec![Frame::new(Frame::SETTINGS, ACK, 0, [0])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.5/2 on a stream",
            vec![Frame::new(Frame::SETTINGS, 0, 1, [0, 3, 0, 0, 0, 9])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.5/3 of 3 bytes",
            vec![Frame::new(Frame::SETTINGS, 0, 0, [0; 3])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        ("6.5.2/1 ENABLE_PUSH 2", vec![Frame::settings(&[(2, 2)])], Connection(&[PROTOCOL_ERROR])),
        (
            "6.5.2/2 window too large",
            vec![Frame::settings(&[(4, 1 << 31)])],
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        ("6.5.2/3 frame too small", vec![Frame::settings(&[(5, 16_383)])], Connection(&[PROTOCOL_ERROR])),
        ("6.5.2/4 frame too large", vec![Frame::settings(&[(5, 1 << 24)])], Connection(&[PROTOCOL_ERROR])),
        ("6.5.2/5 unknown identifier", vec![Frame::settings(&[(0xff, 1)]), get()], Answer),
    ]);
    let gateway = gateway!("routes:\n  - { path: /*, respond: { body: ok } }\n");
    let mut peer = Peer::with(&gateway, &[(4, 100), (4, 1)]);
    peer.get(1, "/");
    assert_eq!(peer.wait(Frame::DATA, 1).payload.len(), 1, "6.5.3/1: the last value counts");
    let mut peer = Peer::connect(&gateway);
    while peer.wait(Frame::SETTINGS, 0).flags != ACK {}
    peer.send(&[Frame::settings(&[(3, 100)])]);
    assert_eq!(peer.wait(Frame::SETTINGS, 0).flags, ACK, "6.5.3/2: settings are acknowledged");
}

#[test]
fn http2_6_7_to_6_9() {
    let most = Frame::window_update(0, (1 << 31) - 1);
    let of_stream = Frame::window_update(1, (1 << 31) - 1);
    run(vec![
        ("6.7/1 PING", vec![Frame::new(Frame::PING, 0, 0, [1; 8])], Alive),
        ("6.7/2 PING with ACK", vec![Frame::new(Frame::PING, ACK, 0, *b"invalid!")], Alive),
        (
            "6.7/3 PING on a stream",
            vec![Frame::new(Frame::PING, 0, 1, [0; 8])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.7/4 PING of 6 bytes",
            vec![Frame::new(Frame::PING, 0, 0, [0; 6])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        (
            "6.8/1 GOAWAY on a stream",
            vec![Frame::new(Frame::GOAWAY, 0, 1, [0; 8])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        ("6.9/1 increment 0", vec![Frame::window_update(0, 0)], Connection(&[PROTOCOL_ERROR])),
        (
            "6.9/2 increment 0 on a stream",
            vec![post(), Frame::window_update(1, 0)],
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "6.9/3 of 3 bytes",
            vec![Frame::new(Frame::WINDOW_UPDATE, 0, 0, [0; 3])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        ("6.9.1/2 above 2^31-1", vec![most.clone(), most], Connection(&[FLOW_CONTROL_ERROR])),
        (
            "6.9.1/3 above 2^31-1 on a stream",
            vec![post(), of_stream.clone(), of_stream],
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "6.9.2/3 above the maximum",
            vec![Frame::settings(&[(4, u32::MAX)])],
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
    ]);
    let gateway = gateway!("routes:\n  - { path: /*, respond: { body: ok } }\n");
    let mut peer = Peer::with(&gateway, &[(4, 0)]);
    peer.get(1, "/");
    peer.wait(Frame::HEADERS, 1);
    peer.send(&[Frame::settings(&[(4, 1)])]);
    assert_eq!(peer.wait(Frame::DATA, 1).payload.len(), 1, "6.9.2/1: the window changes under way");
    let mut peer = Peer::with(&gateway, &[(4, 1)]);
    peer.get(1, "/");
    peer.wait(Frame::DATA, 1);
    peer.send(&[Frame::settings(&[(4, 0)]), Frame::window_update(1, 2)]);
    assert_eq!(peer.wait(Frame::DATA, 1).payload.len(), 1, "6.9.2/2: a negative window is made up for");
}

#[test]
fn http2_6_10_to_8() {
    let whole = request_block();
    let (first, rest) = whole.split_at(whole.len() / 2);
    let (second, third) = rest.split_at(rest.len() / 2);
    let more = |flags: u8, stream: u32, bytes: &[u8]| Frame::new(Frame::CONTINUATION, flags, stream, bytes);
    let last = Frame::END_HEADERS;
    run(vec![
        (
            "6.10/1 several CONTINUATION",
            vec![head(Frame::END_STREAM, first), more(0, 1, second), more(last, 1, third)],
            Answer,
        ),
        (
            "6.10/2 another frame between",
            vec![head(0, first), more(0, 1, second), Frame::data(1, "x", true)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        ("6.10/3 on 0", vec![head(0, first), more(last, 0, rest)], Connection(&[PROTOCOL_ERROR])),
        (
            "6.10/4 behind the end",
            vec![head(last, &whole[..]), more(last, 1, rest)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10/5 behind an end",
            vec![head(0, first), more(last, 1, rest), more(last, 1, rest)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "6.10/6 behind DATA",
            vec![post(), Frame::data(1, "x", false), more(last, 1, rest)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        ("7/1 GOAWAY of an unknown code", vec![Frame::go_away(0, 255)], Connection(&[0, PROTOCOL_ERROR])),
        ("7/2 RST_STREAM of an unknown code", vec![post(), Frame::reset(1, 255)], Alive),
        (
            "8.1/1 HEADERS behind a body that do not end it",
            vec![post(), Frame::data(1, "x", false), Frame::headers(1, &[("x-t", "1")], false)],
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "8.1.2.1/3 a pseudo field as a trailer",
            // The library drops it: neither the gateway nor a service ever sees it.
            vec![post(), Frame::headers(1, &[(":method", "GET")], true)],
            Answer,
        ),
        (
            "8.1.2.6/1 a length that is not that of the body",
            vec![
                Frame::headers(1, &fields("POST", "/", &[("content-length", "1")]), false),
                Frame::data(1, "test", true),
            ],
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "8.1.2.6/2 nor that of all its pieces",
            vec![
                Frame::headers(1, &fields("POST", "/", &[("content-length", "1")]), false),
                Frame::data(1, "te", false),
                Frame::data(1, "st", true),
            ],
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "8.2/1 PUSH_PROMISE",
            vec![post(), Frame::new(PUSH_PROMISE, last, 1, [&[0, 0, 0, 2][..], &whole].concat())],
            Connection(&[PROTOCOL_ERROR]),
        ),
    ]);
}

#[test]
fn hpack() {
    let broken = Connection(&[COMPRESSION_ERROR]);
    run(vec![
        ("2.3.3/1 index beyond the table", vec![head(END, followed_by(&[0xc6]))], broken),
        ("2.3.3/2 name beyond the table", vec![head(END, followed_by(&[0x7f, 0x07, 0x01, b'x']))], broken),
        ("4.2/1 a size update at the end of a block", vec![head(END, followed_by(&[0x20]))], broken),
        (
            "5.2/1 padding of more than 7 bits",
            vec![head(END, followed_by(&[0, 1, b'a', 0x82, 0x1f, 0xff]))],
            broken,
        ),
        ("5.2/2 padding of zeros", vec![head(END, followed_by(&[0, 1, b'a', 0x81, 0x18]))], broken),
        (
            "5.2/3 the end-of-string symbol",
            vec![head(END, followed_by(&[0, 1, b'a', 0x84, 0xff, 0xff, 0xff, 0xfc]))],
            broken,
        ),
        ("6.1/1 index 0", vec![head(END, followed_by(&[0x80]))], broken),
        (
            "6.3/1 a table larger than allowed",
            vec![head(END, [&[0x3f, 0xe2, 0x1f][..], &request_block()].concat())],
            broken,
        ),
        ("generic 5/14 a size update", vec![head(END, [&[0x20][..], &request_block()].concat())], Answer),
        (
            "generic 5/1 indexed fields",
            vec![head(END, [&[0x82, 0x86, 0x84, 0x41, 0x04][..], b"test"].concat())],
            Answer,
        ),
    ]);
}
