//! Which requests an answer is for (RFC 9111 section 4.1).

use tollgate_wire::{HeaderBlock, Name, name};

/// A request header that tells answers apart, and what it said: its members with a comma between, none where it was not
/// there.
pub type Varied = (Name, Option<Box<[u8]>>);

/// What of the request the answer depends on: what its `Vary` names, and `more`. None: on what no request header says.
pub fn varied(answer: &HeaderBlock, request: &HeaderBlock, more: &[Name]) -> Option<Box<[Varied]>> {
    let mut names: Vec<Name> = more.to_vec();
    for member in answer.list(&name::VARY) {
        // `*` is no name either.
        names.push(Name::from_bytes(member).ok().filter(|name| name.as_str() != "*")?);
    }
    // An answer for pages of one origin, of which the service forgot to say so.
    let mut origins = answer.get_all(&name::ACCESS_CONTROL_ALLOW_ORIGIN);
    if origins.any(|origin| origin != b"*") {
        names.push(name::ORIGIN);
    }
    names.sort();
    names.dedup();
    Some(names.into_iter().map(|name| (name.clone(), value(request, &name))).collect())
}

/// Whether an answer that depends on this may be given to the request. White space around commas, and the number of lines,
/// make no difference.
pub fn suits(varied: &[Varied], request: &HeaderBlock) -> bool {
    varied.iter().all(|(name, said)| match said {
        None => !request.contains(name),
        Some(said) if said.is_empty() => request.contains(name) && request.list(name).next().is_none(),
        Some(said) => request.list(name).eq(said.split(|b| *b == b',')),
    })
}

fn value(request: &HeaderBlock, name: &Name) -> Option<Box<[u8]>> {
    let members: Vec<&[u8]> = request.list(name).collect();
    request.contains(name).then(|| members.join(&b","[..]).into())
}
