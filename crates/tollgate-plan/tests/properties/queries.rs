//! Edits of a query against the same edits of a list of pairs.

use arbitrary::Unstructured;
use tollgate_plan::query::{Edit, edit, pairs};

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

const NAMES: &[&str] = &["a", "b", "a b", "key", "é", "%61", "a+b", ""];

/// Edits, and any bytes as the query that they are applied to. Whether anything was edited.
pub(crate) fn query(bytes: &[u8]) -> bool {
    let mut input = Unstructured::new(bytes);
    let Ok(edits) = edits(&mut input) else { return false };
    let raw = input.take_rest();
    let raw = (raw.first() != Some(&0)).then_some(raw);

    let before = decoded(raw.unwrap_or_default());
    let after = edit(raw, &edits);
    let shown = format!("{edits:?} of {}", raw.unwrap_or_default().escape_ascii());
    let expected = edits.iter().fold(before.clone(), |pairs, one| model(pairs, one));
    assert_eq!(decoded(after.as_deref().unwrap_or_default()), expected, "{shown}");
    if raw.is_none() && expected.is_empty() {
        assert_eq!(after, None, "{shown}");
    }
    // What an edit says is so, whatever was there; and saying it twice changes nothing.
    if let Some(last) = edits.last() {
        assert_eq!(edit(after.as_deref(), &[*last]), after, "{shown}");
    }
    // Nothing that was written ends the query or begins another pair, and no byte that was not there comes in.
    let written = after.unwrap_or_default();
    let known =
        |byte: &u8| raw.is_some_and(|raw| raw.contains(byte)) || byte.is_ascii_graphic() && *byte != b'#';
    assert!(written.iter().all(known), "{shown}: {}", written.escape_ascii());
    before != expected
}

fn edits<'a>(input: &mut Unstructured<'a>) -> arbitrary::Result<Vec<Edit<'a>>> {
    let count = input.int_in_range(0..=4)?;
    (0..count).map(|_| one(input)).collect()
}

fn one<'a>(input: &mut Unstructured<'a>) -> arbitrary::Result<Edit<'a>> {
    Ok(match input.int_in_range(0..=2)? {
        0 => Edit::Remove(input.choose(NAMES)?),
        1 => {
            let length = input.int_in_range(0..=12)?;
            Edit::Set(input.choose(NAMES)?, input.bytes(length.min(input.len()))?)
        }
        _ => Edit::Only(only(input.int_in_range(0..=3)?)),
    })
}

/// Lists that live as long as they are asked for.
fn only(choice: usize) -> &'static [Box<str>] {
    static LISTS: std::sync::LazyLock<[Vec<Box<str>>; 4]> = std::sync::LazyLock::new(|| {
        let list = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
        [list(&[]), list(&["a"]), list(&["b", "key"]), list(&["a b", "é", "%61"])]
    });
    &LISTS[choice]
}

fn model(mut pairs: Pairs, edit: &Edit<'_>) -> Pairs {
    match *edit {
        Edit::Only(names) => pairs.retain(|(name, _)| names.iter().any(|known| known.as_bytes() == name)),
        Edit::Remove(wanted) => pairs.retain(|(name, _)| wanted.as_bytes() != name),
        Edit::Set(wanted, value) => {
            let pair = (wanted.as_bytes().to_vec(), value.to_vec());
            let place = pairs.iter().position(|(name, _)| wanted.as_bytes() == name);
            match place {
                Some(place) => pairs[place] = pair,
                None => pairs.push(pair),
            }
            let place = place.unwrap_or(pairs.len() - 1);
            let mut at = 0;
            pairs.retain(|(name, _)| {
                at += 1;
                at - 1 == place || wanted.as_bytes() != name
            });
        }
    }
    pairs
}

/// Read anew, without the crate's decoder; the crate's own reading must be the same.
fn decoded(raw: &[u8]) -> Pairs {
    let text = |text: &[u8]| {
        let mut out = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            let digits = text.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
            let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            match (byte, digits) {
                (b'%', Some(digits)) => {
                    out.extend(u8::from_str_radix(digits, 16));
                    at += 2;
                }
                (b'+', _) => out.push(b' '),
                (byte, _) => out.push(byte),
            }
            at += 1;
        }
        out
    };
    let pieces = raw.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    let read: Pairs = pieces
        .map(|piece| {
            let mut halves = piece.splitn(2, |byte| *byte == b'=');
            (text(halves.next().unwrap_or_default()), text(halves.next().unwrap_or_default()))
        })
        .collect();
    let own: Pairs =
        pairs(raw).map(|pair| (pair.decoded_name().into_owned(), pair.decoded().into_owned())).collect();
    assert_eq!(own, read, "{}", raw.escape_ascii());
    assert!(pairs(raw).zip(&read).all(|(pair, (name, _))| {
        std::str::from_utf8(name).is_ok_and(|name| pair.is(name)) || std::str::from_utf8(name).is_err()
    }));
    read
}
