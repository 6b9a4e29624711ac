//! What two implementations of WebSocket have to say to each other: every kind of frame, sizes around each length that
//! the framing knows, fragments, closing from either side, and what is wrong, which is theirs to refuse.
//!
//! The gateway looks at none of it. Autobahn's own cases run by hand: see `docs/websocket.md`.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use tollgate_testkit::{Gateway, PATIENCE, gateway};
use tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{ClientRequestBuilder, Error, Message, WebSocket};

use crate::ROUTES;

/// The longest message that the suite of Autobahn sends.
const LONGEST: usize = 16 * 1024 * 1024;

fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(2 * LONGEST)).max_frame_size(Some(2 * LONGEST))
}

/// A gateway in front of a server for one connection, and that connection.
struct Pair {
    _gateway: Gateway,
    client: WebSocket<TcpStream>,
    /// Says with what the server's side ended.
    server: JoinHandle<Error>,
}

fn connect() -> Pair {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || serve(listener.accept().expect("a connection").0));
    let gateway = gateway!(ROUTES, ORIGIN = origin);
    let stream = prepared(TcpStream::connect(gateway.address()).expect("the gateway accepts"));
    let url = format!("ws://{}/chat", gateway.address()).parse().expect("a URL");
    let request = ClientRequestBuilder::new(url).with_sub_protocol("chat.v1").with_sub_protocol("chat.v2");
    let (client, answer) =
        tungstenite::client::client_with_config(request, stream, Some(config())).expect("a handshake");
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v2");
    Pair { _gateway: gateway, client, server }
}

fn prepared(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Serves one connection to its end: sends messages back, and does what some texts ask for.
fn serve(stream: TcpStream) -> Error {
    #[expect(clippy::result_large_err, reason = "the shape of a callback")]
    let choose = |request: &Request, mut answer: Response| -> Result<Response, ErrorResponse> {
        assert_eq!(request.headers()["sec-websocket-protocol"], "chat.v1, chat.v2");
        answer.headers_mut().insert("sec-websocket-protocol", "chat.v2".parse().expect("a value"));
        Ok(answer)
    };
    let accepted = tungstenite::accept_hdr_with_config(prepared(stream), choose, Some(config()));
    let Ok(mut socket) = accepted else { panic!("no handshake") };
    loop {
        let answer = match socket.read() {
            Ok(Message::Text(text)) if text.as_str() == "ping me" => Message::Ping("are you there".into()),
            Ok(Message::Text(text)) if text.as_str() == "leave" => {
                Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "as you wish".into() }))
            }
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => message,
            Ok(Message::Pong(what)) => Message::text(format!("pong {}", String::from_utf8_lossy(&what))),
            Ok(_) => continue,
            Err(error) => return error,
        };
        if let Err(error) = socket.send(answer) {
            return error;
        }
    }
}

impl Pair {
    /// Sends bytes as they are, one by one: each boundary between reads is tried.
    fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.client.get_mut().write_all(&[*byte]).expect("the gateway takes it");
        }
    }

    #[track_caller]
    fn expect(&mut self, messages: &[Message]) {
        for message in messages {
            assert_eq!(&self.client.read().expect("a message"), message);
        }
    }

    /// Both sides have ended as the protocol has it.
    #[track_caller]
    fn assert_closed(mut self) {
        let last = self.client.read();
        assert!(matches!(last, Err(Error::ConnectionClosed)), "{last:?}");
        let last = self.server.join().expect("the server");
        assert!(matches!(last, Error::ConnectionClosed), "{last:?}");
    }
}

/// A short frame of a client; `first` is FIN, reserved bits and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let masked = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [first, 0x80 | payload.len() as u8].into_iter().chain(mask).chain(masked).collect()
}

#[test]
fn messages_of_every_length() {
    let mut pair = connect();
    for length in [0, 1, 125, 126, 127, 128, 4096, 65_535, 65_536, 65_537, 1_000_000, LONGEST] {
        let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        pair.client.send(Message::binary(bytes.clone())).expect("the gateway takes it");
        assert!(pair.client.read().expect("a message") == Message::binary(bytes), "{length} bytes");
        let text = "a\u{df}\u{20ac}\u{1f980}".repeat(length / 10);
        pair.client.send(Message::text(text.clone())).expect("the gateway takes it");
        assert!(
            pair.client.read().expect("a message") == Message::text(text),
            "about {length} bytes of text"
        );
    }
    pair.client.close(None).expect("a close frame");
    pair.expect(&[Message::Close(None)]);
    pair.assert_closed();
}

#[test]
fn a_thousand_small_messages_keep_their_order() {
    let mut pair = connect();
    let message = |at: usize| Message::text(format!("message {at}"));
    (0..1000).for_each(|at| pair.client.send(message(at)).expect("the gateway takes it"));
    (0..1000).for_each(|at| pair.expect(&[message(at)]));
}

#[test]
fn pings_from_either_side() {
    let mut pair = connect();
    for payload in ["", "x", &"p".repeat(125)] {
        pair.client.send(Message::Ping(payload.to_owned().into())).expect("the gateway takes it");
        pair.expect(&[Message::Pong(payload.to_owned().into())]);
    }
    pair.client.send(Message::text("ping me")).expect("the gateway takes it");
    pair.expect(&[Message::Ping("are you there".into()), Message::text("pong are you there")]);
}

/// Fragments, a ping between them, a code point cut in two: with a packet for each byte, and all in one.
#[test]
fn fragments_in_pieces_of_every_size() {
    let text = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}\u{1f980}";
    let (start, rest) = text.as_bytes().split_at(3);
    let (middle, end) = rest.split_at(9);
    let sent =
        [frame(0x01, start), frame(0x89, b"now"), frame(0x00, middle), frame(0x00, b""), frame(0x80, end)]
            .concat();
    let mut pair = connect();
    let came = [Message::Pong("now".into()), Message::text(text)];
    pair.drip(&sent);
    pair.expect(&came);
    pair.client.get_mut().write_all(&sent).expect("the gateway takes it");
    pair.expect(&came);
    for size in [2, 3, 5, 7] {
        for piece in sent.chunks(size) {
            pair.client.get_mut().write_all(piece).expect("the gateway takes it");
        }
        pair.expect(&came);
    }
}

#[test]
fn closing_from_either_side() {
    let mut pair = connect();
    let frame = CloseFrame { code: CloseCode::Normal, reason: "done".into() };
    pair.client.close(Some(frame.clone())).expect("a close frame");
    pair.expect(&[Message::Close(Some(frame))]);
    pair.assert_closed();

    let mut pair = connect();
    pair.client.send(Message::text("leave")).expect("the gateway takes it");
    let frame = CloseFrame { code: CloseCode::Away, reason: "as you wish".into() };
    pair.expect(&[Message::Close(Some(frame))]);
    pair.assert_closed();
}

/// It is for the two sides to refuse: the frame arrives as it was sent, and the end comes back.
#[test]
fn what_is_wrong_passes_too() {
    let unmasked = vec![0x81, 2, b'n', b'o'];
    let long_ping = [vec![0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0], vec![0; 126]].concat();
    for wrong in [
        frame(0xf1, b"reserved bits"),
        frame(0x83, b"an opcode that is not known"),
        frame(0x80, b"a continuation of nothing"),
        frame(0x81, b"no \xff text"),
        unmasked,
        long_ping,
    ] {
        let mut pair = connect();
        pair.drip(&wrong);
        let end = pair.server.join().expect("the server");
        assert!(matches!(end, Error::Protocol(_) | Error::Utf8(_)), "{end:?}");
        let end = loop {
            match pair.client.read() {
                Ok(Message::Close(_)) => {}
                Ok(message) => panic!("{message:?}"),
                Err(error) => break error,
            }
        };
        assert!(
            !matches!(end, Error::Io(ref error) if error.kind() == std::io::ErrorKind::WouldBlock),
            "{end:?}"
        );
    }
}
