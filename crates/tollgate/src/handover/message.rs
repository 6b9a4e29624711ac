//! What is said between the two processes: one JSON object in each packet, with descriptors beside it.
//!
//! The two may be of different versions, in both directions (an upgrade, and the way back): what one does not know it
//! passes over.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde_json::{Value, json};
use tollgate_plan::listener::ListenAddress;

/// Sockets in one packet; the kernel takes no more than 253. An address with more of them is named again.
pub(super) const SOCKETS_MAX: usize = 64;

/// Bytes of one packet: a path of a unix socket is all that has a length of its own, and it has 107 at most.
const BYTES_MAX: usize = 4096;

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// To the new process: beside it, sockets that listen on this address.
    Listener { address: ListenAddress, lent: bool },
    /// To the new process: beside it, the socket of the admin side.
    Admin,
    /// To the new process: that was all.
    End,
    /// To the old process: this address is served on the sockets that came.
    Kept(ListenAddress),
    /// To the old process: clients are served, by this process. A version that does not say its id is the old one's child.
    Ready(Option<u32>),
    /// Something that only another version knows.
    Unknown,
}

impl Message {
    fn to_json(&self) -> Value {
        let (is, address) = match self {
            Message::Listener { address, lent } => {
                let mut value = place("listener", address);
                value["lent"] = (*lent).into();
                return value;
            }
            Message::Kept(address) => ("kept", Some(address)),
            Message::Admin => ("admin", None),
            Message::End => ("end", None),
            Message::Ready(Some(pid)) => return json!({ "is": "ready", "pid": pid }),
            Message::Ready(None) => ("ready", None),
            Message::Unknown => ("unknown", None),
        };
        address.map_or_else(|| json!({ "is": is }), |address| place(is, address))
    }

    fn parse(bytes: &[u8]) -> Option<Message> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let address = || match (value["tcp"].as_str(), value["unix"].as_str()) {
            (Some(tcp), _) => tcp.parse().ok().map(ListenAddress::Tcp),
            (None, Some(path)) => Some(ListenAddress::Unix(path.into())),
            (None, None) => None,
        };
        Some(match value["is"].as_str()? {
            "listener" => {
                Message::Listener { address: address()?, lent: value["lent"].as_bool().unwrap_or(false) }
            }
            "admin" => Message::Admin,
            "end" => Message::End,
            "kept" => Message::Kept(address()?),
            "ready" => Message::Ready(value["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())),
            _ => Message::Unknown,
        })
    }
}

fn place(is: &str, address: &ListenAddress) -> Value {
    match address {
        ListenAddress::Tcp(address) => json!({ "is": is, "tcp": address.to_string() }),
        // From a configuration, which is text.
        ListenAddress::Unix(path) => json!({ "is": is, "unix": path.to_string_lossy() }),
    }
}

/// Sends one packet.
pub(super) fn send(channel: impl AsFd, message: &Message, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = message.to_json().to_string();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many sockets for one packet"));
    }
    loop {
        match sendmsg(&channel, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop).map_err(Into::into),
        }
    }
}

/// Waits for one packet; none at the end.
pub(super) fn receive(channel: impl AsFd) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let mut bytes = [0; BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = loop {
        let mut into = [IoSliceMut::new(&mut bytes)];
        match recvmsg(&channel, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            got => break got?,
        }
    };
    let mut sockets = Vec::new();
    for beside in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = beside {
            sockets.extend(received);
        }
    }
    if got.bytes == 0 {
        return Ok(None);
    }
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
    if got.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        // Without room for the descriptors this process has too many files open.
        return Err(bad("a packet was cut"));
    }
    let text = bytes.get(..got.bytes).unwrap_or_default();
    let message = Message::parse(text).ok_or_else(|| bad("a packet cannot be read"))?;
    Ok(Some((message, sockets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let tcp = ListenAddress::Tcp("[::1]:8080".parse().unwrap());
        let unix = ListenAddress::Unix("/run/t.sock".into());
        for message in [
            Message::Listener { address: tcp.clone(), lent: false },
            Message::Listener { address: unix.clone(), lent: true },
            Message::Admin,
            Message::End,
            Message::Kept(tcp),
            Message::Kept(unix),
            Message::Ready(None),
            Message::Ready(Some(4711)),
        ] {
            assert_eq!(Message::parse(message.to_json().to_string().as_bytes()), Some(message));
        }
    }

    /// What other versions may say, and what nobody says.
    #[test]
    fn strange_messages() {
        let tcp =
            |lent| Message::Listener { address: ListenAddress::Tcp("127.0.0.1:1".parse().unwrap()), lent };
        for (text, expect) in [
            (r#"{"is":"cache","of":"1"}"#, Some(Message::Unknown)),
            (r#"{"is":"listener","tcp":"127.0.0.1:1","backlog":7}"#, Some(tcp(false))),
            (r#"{"is":"listener","tcp":"127.0.0.1:1","lent":true}"#, Some(tcp(true))),
            (r#"{"is":"listener","tcp":"nowhere"}"#, None),
            (r#"{"is":"listener"}"#, None),
            (r#"{"is":"ready","pid":-1}"#, Some(Message::Ready(None))),
            (r#"{"tcp":"127.0.0.1:1"}"#, None),
            ("ready", None),
            ("", None),
        ] {
            assert_eq!(Message::parse(text.as_bytes()), expect, "{text}");
        }
    }
}
