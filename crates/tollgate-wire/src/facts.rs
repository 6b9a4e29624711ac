//! What the header lines of one head say about the connection and the message, collected in one pass.
//!
//! Collecting judges nothing: that is [`framing`](crate::framing)'s and the heads' part.

use crate::block::members;
use crate::name::{Known, KnownSet};

/// How often a field that may stand once does stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    #[default]
    Absent,
    Once(&'a [u8]),
    /// More than once; whether always with the same value.
    Repeated {
        first: &'a [u8],
        same: bool,
    },
}

/// The fields that steer parsing.
#[derive(Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) content_length: Line<'a>,
    pub(crate) transfer_encoding: Line<'a>,
    pub(crate) host: Line<'a>,
    pub(crate) expect: Line<'a>,
    /// `Connection` has `close`.
    pub(crate) close: bool,
    /// `Connection` has `keep-alive`.
    pub(crate) keep_alive: bool,
    /// `Connection` has `upgrade`.
    pub(crate) connection_upgrade: bool,
    /// `Upgrade` is there and not empty.
    pub(crate) upgrade: bool,
    /// `TE` has `trailers`.
    pub(crate) trailers: bool,
    /// A framing field is spelled with underscores.
    pub(crate) disguised: bool,
}

/// The fields that [`Facts::note`] looks at: all others pass with one test.
const STEERING: KnownSet = KnownSet::of(&[
    Known::CONTENT_LENGTH,
    Known::TRANSFER_ENCODING,
    Known::HOST,
    Known::EXPECT,
    Known::CONNECTION,
    Known::UPGRADE,
    Known::TE,
]);

impl<'a> Facts<'a> {
    /// Takes note of one line.
    pub(crate) fn note(&mut self, known: Option<Known>, name: &[u8], value: &'a [u8]) {
        match known {
            Some(known) if STEERING.has(known) => self.note_steering(known, value),
            Some(_) => {}
            None => self.disguised |= is_disguised(name),
        }
    }

    fn note_steering(&mut self, known: Known, value: &'a [u8]) {
        match known {
            Known::CONTENT_LENGTH => self.content_length.note(value),
            Known::TRANSFER_ENCODING => self.transfer_encoding.note(value),
            Known::HOST => self.host.note(value),
            Known::EXPECT => self.expect.note(value),
            Known::UPGRADE => self.upgrade |= !value.is_empty(),
            Known::TE => self.trailers |= members(value).any(|m| m.eq_ignore_ascii_case(b"trailers")),
            // The whole value of nearly every message.
            Known::CONNECTION if value.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
            Known::CONNECTION => {
                for option in members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.connection_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            _ => {}
        }
    }
}

impl<'a> Line<'a> {
    fn note(&mut self, value: &'a [u8]) {
        *self = match *self {
            Line::Absent => Line::Once(value),
            Line::Once(first) => Line::Repeated { first, same: first == value },
            Line::Repeated { first, same } => Line::Repeated { first, same: same && first == value },
        };
    }
}

/// Whether `name` is a framing field with underscores for hyphens: servers that hand headers to programs as
/// variables read `Content_Length` as the length.
fn is_disguised(name: &[u8]) -> bool {
    let is = |real: &[u8]| {
        name.len() == real.len()
            && name.iter().zip(real).all(|(&b, &r)| b.eq_ignore_ascii_case(&r) || (r == b'-' && b == b'_'))
    };
    is(b"content-length") || is(b"transfer-encoding")
}
