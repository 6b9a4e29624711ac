//! Paths of routes as they are written, and paths of requests that two of them match.

use std::borrow::Cow;

use super::ends::ANYTHING;

/// How many segments stand in the place of a tail. A path with fewer or more of them may be another route's.
const TAILS: [usize; 3] = [0, 1, 2];

/// The path of a route.
pub(super) struct Path<'p> {
    segments: Vec<Cow<'p, str>>,
    tail: bool,
}

impl<'p> Path<'p> {
    pub(super) fn of(pattern: &'p str) -> Path<'p> {
        let mut segments: Vec<Cow<'p, str>> =
            pattern.strip_prefix('/').unwrap_or(pattern).split('/').map(Cow::Borrowed).collect();
        let tail = segments.last().is_some_and(|last| *last == "*" || last.ends_with("*}"));
        if tail {
            segments.pop();
        }
        // Repeated slashes are one; an empty last segment is a slash at the end.
        let last = segments.len().saturating_sub(1);
        let mut at = 0;
        segments.retain(|segment| {
            at += 1;
            !segment.is_empty() || (at - 1 == last && !tail)
        });
        Path { segments, tail }
    }

    /// What both match, as a path of a route; none where that is nothing.
    pub(super) fn meeting(&self, other: &Path<'_>) -> Option<Path<'static>> {
        let (longer, shorter) =
            if self.segments.len() >= other.segments.len() { (self, other) } else { (other, self) };
        if longer.segments.len() > shorter.segments.len() && !shorter.tail {
            return None;
        }
        let mut segments = Vec::with_capacity(longer.segments.len());
        for (at, segment) in longer.segments.iter().enumerate() {
            segments.push(match shorter.segments.get(at) {
                Some(other) => both(segment, other)?.into(),
                None => segment.to_string().into(),
            });
        }
        Some(Path { segments, tail: longer.tail && shorter.tail })
    }

    /// Paths that it matches: `/orders/{id}` is `/orders/~`. With a tail, also one that is deeper than the path of any
    /// route, whose segments are at most `deepest`.
    pub(super) fn filled(&self, deepest: usize) -> Vec<String> {
        let start: String = self.segments.iter().map(|segment| format!("/{}", fill(segment))).collect();
        let with = |count: usize| match format!("{start}{}", format!("/{ANYTHING}").repeat(count)) {
            empty if empty.is_empty() => "/".to_owned(),
            path => encoded(&path),
        };
        if !self.tail {
            return vec![with(0)];
        }
        let more = (deepest + 1).saturating_sub(self.segments.len());
        let more = Some(more).filter(|more| !TAILS.contains(more));
        TAILS.into_iter().chain(more).map(with).collect()
    }
}

/// A segment that both match, as far as text alone tells: where it does not, the request ends elsewhere, and that is
/// asked of the route tables anyway.
fn both(one: &str, other: &str) -> Option<String> {
    match (parts(one), parts(other)) {
        (None, None) => (one == other).then(|| one.to_owned()),
        (None, Some((start, end))) => fits(one, start, end).then(|| one.to_owned()),
        (Some((start, end)), None) => fits(other, start, end).then(|| other.to_owned()),
        (Some(_), Some(_)) if one == other => Some(one.to_owned()),
        (Some(one), Some(other)) => {
            let start = longer(one.0, other.0, |long, short| long.starts_with(short))?;
            let end = longer(one.1, other.1, |long, short| long.ends_with(short))?;
            Some(format!("{start}{ANYTHING}{end}"))
        }
    }
}

/// The literal text before and behind the parameters.
fn parts(segment: &str) -> Option<(&str, &str)> {
    let (start, _) = segment.split_once('{')?;
    let (_, end) = segment.rsplit_once('}')?;
    Some((start, end))
}

fn fits(literal: &str, start: &str, end: &str) -> bool {
    literal.len() > start.len() + end.len() && literal.starts_with(start) && literal.ends_with(end)
}

fn longer<'a>(one: &'a str, other: &'a str, holds: impl Fn(&str, &str) -> bool) -> Option<&'a str> {
    let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    holds(long, short).then_some(long)
}

fn fill(segment: &str) -> String {
    let mut filled = String::new();
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        filled.push_str(ANYTHING);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    filled.push_str(rest);
    filled
}

/// A pattern may hold a space or letters outside ASCII, which no request may.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_graphic();
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_filled() {
        for (pattern, expect) in [
            ("/", &["/"][..]),
            ("/orders/{id}", &["/orders/~"]),
            ("/orders/", &["/orders/"]),
            ("/files/{name}.json", &["/files/~.json"]),
            ("/v{major}.{minor}/x", &["/v~.~/x"]),
            ("/x/*", &["/x", "/x/~", "/x/~/~", "/x/~/~/~/~"]),
            ("/x/{rest*}", &["/x", "/x/~", "/x/~/~", "/x/~/~/~/~"]),
            ("/*", &["/", "/~", "/~/~", "/~/~/~/~/~"]),
            ("/a b/ü", &["/a%20b/%C3%BC"]),
        ] {
            assert_eq!(Path::of(pattern).filled(4), expect, "{pattern}");
        }
    }

    #[test]
    fn paths_meet() {
        for (one, other, expect) in [
            ("/a/{x}", "/{y}/b", Some("/a/b")),
            ("/a/*", "/{y}/b/c", Some("/a/b/c")),
            ("/a/*", "/a", Some("/a")),
            ("/a", "/b", None),
            ("/a/b", "/a", None),
            ("/a/b/*", "/a", None),
            ("/{x}.json", "/v{y}", Some("/v~.json")),
            ("/{x}.json", "/a.xml", None),
            ("/{x}", "/a.xml", Some("/a.xml")),
        ] {
            let first = |met: Path<'_>| met.filled(0).first().cloned().unwrap_or_default();
            for (one, other) in [(one, other), (other, one)] {
                let met = Path::of(one).meeting(&Path::of(other)).map(first);
                assert_eq!(met.as_deref(), expect, "{one} and {other}");
            }
        }
    }
}
