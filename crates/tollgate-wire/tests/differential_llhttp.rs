//! The same bytes through this crate and through llhttp, the parser of Node, with nothing lenient switched on.
//!
//! Whatever is accepted here, llhttp must read as the same messages: method, target, headers, body, trailers, and how
//! many. What is refused here llhttp may take; of how many of those there are, and of the few things that llhttp does
//! not know, `docs/fuzzing.md` has the list.

mod properties;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use properties::mutate::Random;
use serde_json::Value;
use tollgate_wire::{
    BodyDecoder, BodyLength, ChunkLimits, HeadLimits, HeadProgress, HeaderBlock, Method, Parsed, RequestHead,
    ResponseHead, Step, parse_request, parse_response,
};

/// `TOLLGATE_SEED` and `TOLLGATE_CASES` try others, and more.
const SEED: u64 = 0x11_4774;
const CASES: u64 = 20_000;

/// One message, as either side saw it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    start: String,
    /// With names in lower case, in order; an empty value too.
    headers: Vec<(String, String)>,
    body: String,
    trailers: Vec<(String, String)>,
    /// It came to its end.
    whole: bool,
}

#[test]
fn llhttp_reads_the_same_requests() {
    check("request_head", "REQUEST", ours_of_requests);
}

#[test]
fn llhttp_reads_the_same_responses() {
    check("response_head", "RESPONSE", ours_of_response);
}

/// The committed corpus as it is, and changed.
fn check(target: &str, kind: &str, ours: fn(&[u8]) -> Vec<Seen>) {
    let seeds = corpus(target);
    let mut random = Random(number("TOLLGATE_SEED", SEED));
    let changed = number("TOLLGATE_CASES", CASES);
    let mut cases = seeds.clone();
    cases.extend((0..changed).map(|_| random.message(&seeds)));
    let theirs = llhttp(kind, &cases);
    assert_eq!(theirs.len(), cases.len());
    let mut told: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (case, theirs) in cases.iter().zip(&theirs) {
        let verdict = compare(&ours(case), theirs, case);
        *told.entry(verdict).or_default() += 1;
    }
    let same = told.get(SAME).copied().unwrap_or_default();
    assert!(same > changed / 10, "only {same} cases are read alike: {told:?}");
}

const SAME: &str = "both read the same";

/// What llhttp made of a case: its messages, and the code of its error.
struct Theirs {
    seen: Vec<Seen>,
    error: Option<String>,
}

/// Says how the two differ where they may, and fails where they may not.
fn compare(ours: &[Seen], theirs: &Theirs, case: &[u8]) -> &'static str {
    let shown =
        || format!("{}\nhere: {ours:#?}\nllhttp: {:?} {:#?}", case.escape_ascii(), theirs.error, theirs.seen);
    let error = theirs.error.as_deref().unwrap_or_default();
    for (index, our) in ours.iter().enumerate() {
        let Some(their) = theirs.seen.get(index) else {
            return match error {
                "HPE_INVALID_METHOD" if is_unknown_to_llhttp(our) => "a method that llhttp does not know",
                "HPE_INVALID_URL" => {
                    "a target that llhttp does not take; the normal form of paths refuses what is wrong with it"
                }
                "HPE_INVALID_CONTENT_LENGTH" if has_tab_behind_length(case) => {
                    "a tab behind a length, which is white space (RFC 9110 section 5.6.3)"
                }
                _ => panic!("llhttp has no message {index} of {}", shown()),
            };
        };
        assert_eq!((&our.start, &our.headers), (&their.start, &rewritten(their)), "{}", shown());
        if our.whole {
            assert!(their.whole, "{}", shown());
            assert_eq!((&our.body, &our.trailers), (&their.body, &their.trailers), "{}", shown());
        }
    }
    match (ours.last().is_some_and(|last| last.whole), error.is_empty()) {
        _ if theirs.seen.len() > ours.len() => "stricter: llhttp reads a message that is refused here",
        (true, true) => SAME,
        (false, false) => "both refuse",
        (true, false) => "both read the same, and llhttp refuses what follows",
        (false, true) => "part of a message, or stricter about its body",
    }
}

/// The headers with what this crate rewrites: the length that a 204 should not have is gone.
fn rewritten(their: &Seen) -> Vec<(String, String)> {
    let kept = their.headers.iter().filter(|(name, _)| !(their.start == "204" && name == "content-length"));
    kept.cloned().collect()
}

/// llhttp has a list of methods; any token is one here.
fn is_unknown_to_llhttp(our: &Seen) -> bool {
    let method = our.start.split(' ').next().unwrap_or_default();
    !["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"].contains(&method)
}

fn has_tab_behind_length(case: &[u8]) -> bool {
    let lines = case.split(|byte| *byte == b'\n').map(<[u8]>::to_ascii_lowercase);
    lines.filter(|line| line.starts_with(b"content-length")).any(|line| line.contains(&b'\t'))
}

fn ours_of_requests(bytes: &[u8]) -> Vec<Seen> {
    let (mut seen, mut at) = (Vec::new(), 0);
    let mut head = RequestHead::default();
    while let Ok(Parsed::Complete(length)) =
        parse_request(&bytes[at..], &mut HeadProgress::default(), &HeadLimits::default(), &mut head)
    {
        at += length;
        let start = format!("{} {}", head.method, latin(head.target()));
        let ended = push(&mut seen, start, &head.headers, head.body, bytes, at);
        // What follows these is no HTTP/1, or may be none.
        let Some(end) = ended.filter(|_| head.persistent && head.method != Method::Connect) else { break };
        if head.headers.contains(&tollgate_wire::name::UPGRADE) {
            break;
        }
        at = end;
    }
    seen
}

/// The first byte chooses the method, as in the fuzz target; here all answer GET, as llhttp is not told.
fn ours_of_response(bytes: &[u8]) -> Vec<Seen> {
    let (mut seen, mut at, mut head) = (Vec::new(), 1.min(bytes.len()), ResponseHead::default());
    while let Ok(Parsed::Complete(length)) = parse_response(
        &bytes[at..],
        &mut HeadProgress::default(),
        &HeadLimits::default(),
        &Method::Get,
        &mut head,
    ) {
        at += length;
        let ended = push(&mut seen, head.status.to_string(), &head.headers, head.body, bytes, at);
        if head.status == 101 || !head.is_interim() {
            break;
        }
        at = ended.unwrap_or(at);
    }
    seen
}

fn push(
    seen: &mut Vec<Seen>,
    start: String,
    headers: &HeaderBlock,
    length: BodyLength,
    bytes: &[u8],
    at: usize,
) -> Option<usize> {
    let mut decoder = BodyDecoder::new(length, &ChunkLimits::default());
    let (mut body, mut done) = (Vec::new(), at);
    let ended = loop {
        match decoder.step(&bytes[done..]) {
            Err(_) => break None,
            Ok(Step::Data { start, end, consumed }) => {
                body.extend_from_slice(&bytes[done + start..done + end]);
                done += consumed;
            }
            Ok(Step::End { consumed }) => break Some(done + consumed),
            Ok(Step::More { .. }) => break decoder.finish_at_eof().is_ok().then_some(bytes.len()),
        }
    };
    seen.push(Seen {
        start,
        headers: lines(headers),
        body: latin(&body),
        trailers: lines(&decoder.take_trailers()),
        whole: ended.is_some(),
    });
    ended
}

fn lines(block: &HeaderBlock) -> Vec<(String, String)> {
    block.iter().map(|(name, value)| line(&latin(name), &latin(value))).collect()
}

/// Both forms of a length are the same one here: zeros before it are not kept.
fn line(name: &str, value: &str) -> (String, String) {
    let name = name.to_ascii_lowercase();
    let value = match name.as_str() {
        "content-length" => value.parse().map_or(value.to_owned(), |length: u64| length.to_string()),
        _ => value.to_owned(),
    };
    (name, value)
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// One process reads all cases: a line of hexadecimal digits each in, a line of JSON each out.
fn llhttp(kind: &str, cases: &[Vec<u8>]) -> Vec<Theirs> {
    let skip = usize::from(kind == "RESPONSE");
    let mut node = Command::new("node")
        .args(["--no-deprecation", "-e", SCRIPT, kind])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node, which `./dev test` installs");
    let input: String = cases
        .iter()
        .map(|case| {
            case[skip.min(case.len())..].iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
        })
        .collect();
    let mut stdin = node.stdin.take().expect("a pipe");
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = node.wait_with_output().expect("node ends");
    writing.join().expect("the writer ends").expect("node reads");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("JSON");
    text.lines().map(read).collect()
}

fn read(line_of_output: &str) -> Theirs {
    let value: Value = serde_json::from_str(line_of_output).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = |list: &Value| -> Vec<(String, String)> {
        let texts: Vec<String> = list.as_array().into_iter().flatten().map(text).collect();
        texts.chunks(2).map(|pair| line(&pair[0], &pair[1])).collect()
    };
    let seen = value["seen"].as_array().into_iter().flatten().map(|one| Seen {
        start: text(&one["start"]),
        headers: pairs(&one["headers"]),
        body: text(&one["body"]),
        trailers: pairs(&one["trailers"]),
        whole: one["whole"].as_bool().unwrap_or(false),
    });
    Theirs { seen: seen.collect(), error: value["error"].as_str().map(str::to_owned) }
}

/// `_http_common` is where Node's own server has its parser from. Whatever is lenient is off.
const SCRIPT: &str = r#"
const { HTTPParser } = require('_http_common');
const { allMethods } = process.binding('http_parser');
const kind = process.argv[1];
function parse(bytes) {
  const seen = [], parser = new HTTPParser();
  let pending = [];
  parser.initialize(HTTPParser[kind], {}, 1 << 20, HTTPParser.kLenientNone);
  parser[HTTPParser.kOnHeadersComplete | 0] = (major, minor, headers, method, url, status, reason, upgrade) => {
    const start = kind === 'REQUEST' ? `${allMethods[method]} ${parser.url || url}` : String(status);
    seen.push({ start, headers: pending.concat(headers || []), body: '', trailers: [], whole: false });
    pending = [];
    return 0;
  };
  parser[HTTPParser.kOnBody | 0] = (chunk) => { seen[seen.length - 1].body += Buffer.from(chunk).toString('latin1'); };
  parser[HTTPParser.kOnMessageComplete | 0] = () => {
    seen[seen.length - 1].trailers = pending;
    seen[seen.length - 1].whole = true;
    pending = [];
  };
  // With many lines, or behind another message, target and lines come early.
  parser[HTTPParser.kOnHeaders | 0] = (list, url) => { pending.push(...list); parser.url = url; };
  parser[HTTPParser.kOnMessageBegin | 0] = () => { parser.url = undefined; };
  let result = parser.execute(bytes);
  if (!(result instanceof Error)) result = parser.finish();
  const error = result instanceof Error ? result.code : null;
  return JSON.stringify({ seen, error });
}
const lines = require('fs').readFileSync(0, 'latin1').split('\n');
lines.pop();
process.stdout.write(lines.map((line) => parse(Buffer.from(line, 'hex')) + '\n').join(''));
"#;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}
