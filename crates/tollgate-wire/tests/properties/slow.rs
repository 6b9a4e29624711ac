//! The grammar of RFC 9112 as this gateway holds it, written a second time: slowly, plainly, and with nothing
//! of the crate but its types. It says what is accepted, not why anything is refused.

use tollgate_wire::{BodyLength, ChunkLimits, HeadLimits, Method};

type Lines = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) struct Request {
    pub(crate) method: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) message: Message,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) reason: Vec<u8>,
    pub(crate) message: Message,
}

pub(crate) struct Message {
    pub(crate) lines: Lines,
    pub(crate) body: BodyLength,
    pub(crate) bytes: usize,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Chunked {
    pub(crate) payload: Vec<u8>,
    pub(crate) trailers: Lines,
    pub(crate) bytes: usize,
}

/// The request head at the start of `bytes`, if there is a whole and good one.
pub(crate) fn request(bytes: &[u8], limits: &HeadLimits) -> Option<Request> {
    let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    let (start, lines, length) = head(&bytes[skipped..])?;
    let parts: Vec<&[u8]> = start.split(|&b| b == b' ').collect();
    let [method, target, version] = parts[..] else { return None };
    let http10 = version_of(version)?;
    require(is_token(method) && method.len() <= 32)?;
    require(target.len() <= limits.uri_bytes && length + skipped <= limits.header_bytes)?;
    require(lines.len() <= limits.header_count)?;
    require(target.iter().all(|&b| b > b' ' && b != 127) && std::str::from_utf8(target).is_ok())?;

    let hosts = values(&lines, "host");
    require(hosts.len() <= 1 && (http10 || hosts.len() == 1))?;
    require(hosts.iter().all(|host| is_authority(host)))?;
    let text = std::str::from_utf8(target).ok()?;
    let lower = text.to_ascii_lowercase();
    require(!text.split_once('?').is_some_and(|(_, query)| query.contains('#')))?;
    let named = if method == b"CONNECT" {
        require(is_authority(target) && port(&lower).is_some())?;
        Some((lower.clone(), ""))
    } else if let Some(rest) = lower.strip_prefix("http://").map(|rest| (rest, ":80")) {
        Some((rest.0.to_string(), rest.1))
    } else {
        lower.strip_prefix("https://").map(|rest| (rest.to_string(), ":443"))
    };
    match named {
        Some((rest, default_port)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, tail) = rest.split_at(end);
            require(is_authority(authority.as_bytes()) && !tail.starts_with('#'))?;
            let full = |authority: &str| match port(authority) {
                Some(number) => {
                    format!("{}:{number}", authority.rsplit_once(':').map_or("", |(host, _)| host))
                }
                None => format!("{authority}{default_port}"),
            };
            let host = hosts.first().map(|host| String::from_utf8_lossy(host).to_ascii_lowercase());
            require(host.is_none_or(|host| full(&host) == full(authority)))?;
        }
        None => require(text.starts_with('/') || (text == "*" && method == b"OPTIONS"))?,
    }

    let body = declared(&lines, http10)?.unwrap_or(BodyLength::None);
    let expectations = values(&lines, "expect");
    require(expectations.len() <= 1 && expectations.iter().all(|e| e.eq_ignore_ascii_case(b"100-continue")))?;
    let message = Message { lines: with_plain_length(lines, body), body, bytes: skipped + length };
    Some(Request { method: method.to_vec(), target: target.to_vec(), message })
}

/// The response head at the start of `bytes`, if there is a whole and good one.
pub(crate) fn response(bytes: &[u8], limits: &HeadLimits, method: &Method) -> Option<Response> {
    let (start, mut lines, length) = head(bytes)?;
    let http10 = version_of(start.get(..8)?)?;
    require(length <= limits.header_bytes && lines.len() <= limits.header_count)?;
    let rest = start.get(8..)?.strip_prefix(b" ")?;
    let digits = rest.get(..3)?;
    require(digits.iter().all(u8::is_ascii_digit) && digits[0] != b'0')?;
    let status: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let reason = match &rest[3..] {
        [] => vec![],
        [b' ', reason @ ..] if !reason.iter().any(|&b| is_control(b)) => reason.to_vec(),
        _ => return None,
    };
    let declared = declared(&lines, http10)?;
    let mut body = declared.unwrap_or(BodyLength::UntilClose);
    if status < 200 || status == 204 {
        require(declared != Some(BodyLength::Chunked))?;
        require(status == 204 || matches!(declared, None | Some(BodyLength::Length(0))))?;
        lines.retain(|(name, _)| !name.eq_ignore_ascii_case(b"content-length"));
        body = BodyLength::None;
    }
    if status == 304 || *method == Method::Head || (*method == Method::Connect && status < 300) {
        body = BodyLength::None;
    }
    let lines = with_plain_length(lines, declared.unwrap_or(body));
    Some(Response { status, reason, message: Message { lines, body, bytes: length } })
}

/// The chunked body at the start of `bytes`, if there is a whole and good one.
pub(crate) fn chunked(bytes: &[u8], limits: &ChunkLimits) -> Option<Chunked> {
    let (mut payload, mut at, mut excess) = (vec![], 0, 0u64);
    loop {
        let line_end = at + find(&bytes[at..], b"\r\n")?;
        let line = &bytes[at..line_end];
        require(!line.contains(&b'\n'))?;
        at = line_end + 2;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        require((1..=16).contains(&digits))?;
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        require(size <= i64::MAX as u64)?;
        let extension = &line[digits..];
        require(extension.is_empty() || extension[0] == b';')?;
        require(extension.len() <= limits.extension_bytes && !extension.iter().any(|&b| is_control(b)))?;
        require(are_closed(extension))?;
        excess += extension.len() as u64;
        require(excess <= limits.extension_excess_bytes)?;
        excess = excess.saturating_sub(size);
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).ok()?;
        payload.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        require(bytes.get(at + size..at + size + 2)? == b"\r\n")?;
        at += size + 2;
    }
    let (trailers, length) = lines(&bytes[at..])?;
    require(length <= limits.trailer_bytes && trailers.len() <= limits.trailer_count)?;
    require(!trailers.iter().any(|(name, _)| is_any_of(name, REFUSED)))?;
    let trailers = trailers.into_iter().filter(|(name, _)| !is_left_out(name)).collect();
    Some(Chunked { payload, trailers, bytes: at + length })
}

/// Start line, header lines, and how many bytes they take.
fn head(bytes: &[u8]) -> Option<(&[u8], Lines, usize)> {
    let line_end = find(bytes, b"\r\n")?;
    let start = &bytes[..line_end];
    require(!start.contains(&b'\r') && !start.contains(&b'\n'))?;
    let (lines, length) = lines(&bytes[line_end + 2..])?;
    Some((start, lines, line_end + 2 + length))
}

/// Field lines up to the empty line, and how many bytes they take.
fn lines(bytes: &[u8]) -> Option<(Lines, usize)> {
    let (mut lines, mut at) = (vec![], 0);
    loop {
        let line_end = at + find(&bytes[at..], b"\r\n")?;
        let line = &bytes[at..line_end];
        at = line_end + 2;
        if line.is_empty() {
            return Some((lines, at));
        }
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        require(is_token(name) && !value.iter().any(|&b| is_control(b)))?;
        lines.push((name.to_vec(), trim(value).to_vec()));
    }
}

/// The length that the lines declare: `None` when they are bad, `Some(None)` when they say nothing.
fn declared(lines: &Lines, http10: bool) -> Option<Option<BodyLength>> {
    for (name, _) in lines {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let framing = matches!(&*name.replace('_', "-"), "content-length" | "transfer-encoding");
        require(!(framing && name.contains('_')))?;
    }
    let (lengths, codings) = (values(lines, "content-length"), values(lines, "transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => Some(None),
        ([], [coding]) => {
            require(!http10 && coding.eq_ignore_ascii_case(b"chunked"))?;
            Some(Some(BodyLength::Chunked))
        }
        ([length], []) => {
            require((1..=19).contains(&length.len()) && length.iter().all(u8::is_ascii_digit))?;
            let n: i64 = std::str::from_utf8(length).ok()?.parse().ok()?;
            Some(Some(BodyLength::Length(n as u64)))
        }
        _ => None,
    }
}

fn with_plain_length(mut lines: Lines, body: BodyLength) -> Lines {
    for (name, value) in &mut lines {
        if let BodyLength::Length(n) = body
            && name.eq_ignore_ascii_case(b"content-length")
            && value.len() > n.to_string().len()
        {
            (*name, *value) = (b"content-length".to_vec(), n.to_string().into_bytes());
        }
    }
    lines
}

/// What is refused among the trailers of a request.
const REFUSED: &str = "connection content-length host http2-settings keep-alive proxy-connection te trailer \
    transfer-encoding upgrade authorization cookie proxy-authorization x-api-key";

fn is_left_out(name: &[u8]) -> bool {
    const NAMES: &str = "forwarded origin via x-real-ip x-request-id authentication-info \
        proxy-authenticate proxy-authentication-info set-cookie www-authenticate cache-control expect if-match if-modified-since if-none-match if-range if-unmodified-since max-forwards \
        pragma range age date expires location retry-after vary warning content-encoding content-range content-type";
    plain(name).starts_with("x-forwarded-") || is_any_of(name, NAMES)
}

fn is_any_of(name: &[u8], names: &str) -> bool {
    names.split_ascii_whitespace().any(|one| one == plain(name))
}

fn plain(name: &[u8]) -> String {
    String::from_utf8_lossy(name).to_ascii_lowercase().replace('_', "-")
}

fn is_authority(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let (host, port) = match text.rfind(']') {
        Some(at) => text.split_at(at + 1),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_good = port.is_empty()
        || port.strip_prefix(':').is_some_and(|digits| {
            (1..=5).contains(&digits.len())
                && digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok()
        });
    let host_is_good = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
            let good = |b: u8| b.is_ascii_alphanumeric() || b"-_~".contains(&b);
            host.len() <= 254 && labels.iter().all(|label| !label.is_empty() && label.bytes().all(good))
        }
    };
    port_is_good && host_is_good
}

/// The port of a good authority.
fn port(authority: &str) -> Option<u16> {
    authority.rsplit_once(':').and_then(|(_, digits)| digits.parse().ok()).filter(|_| {
        // The last colon of `[::1]` is part of the address.
        !authority.ends_with(']')
    })
}

fn values<'a>(lines: &'a Lines, name: &str) -> Vec<&'a [u8]> {
    lines.iter().filter(|line| line.0.eq_ignore_ascii_case(name.as_bytes())).map(|line| &line.1[..]).collect()
}

fn version_of(text: &[u8]) -> Option<bool> {
    match text {
        b"HTTP/1.0" => Some(true),
        b"HTTP/1.1" => Some(false),
        _ => None,
    }
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

fn is_control(b: u8) -> bool {
    b != b'\t' && (b < 32 || b == 127)
}

fn trim(text: &[u8]) -> &[u8] {
    let blank = |b: &u8| matches!(b, b' ' | b'\t');
    let Some(first) = text.iter().position(|b| !blank(b)) else { return b"" };
    let last = text.iter().rposition(|b| !blank(b)).unwrap_or(first);
    &text[first..=last]
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn require(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// Whether every quoted text ends, with what a backslash stands before taken for part of it.
fn are_closed(mut text: &[u8]) -> bool {
    let mut open = false;
    while let Some((byte, rest)) = text.split_first() {
        text = match byte {
            b'\\' if open => rest.get(1..).unwrap_or_default(),
            _ => rest,
        };
        open ^= *byte == b'"';
    }
    !open
}
