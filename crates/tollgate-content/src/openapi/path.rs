//! Which path of a description a request's path is.

use std::collections::HashMap;

use super::documents::{At, Fault, shown};
use super::text::hex;

/// URLs that the servers of one place may have: the values of variables multiply.
const URLS_MAX: usize = 256;

/// Paths, with what stands behind each.
pub(super) struct Paths<T> {
    /// By the number of segments; within one, the more concrete first.
    by_length: HashMap<usize, Vec<Entry<T>>>,
}

struct Entry<T> {
    template: Template,
    behind: T,
}

/// A path with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    /// What stands in front of each variable, and behind the last; in normal form. One where there is no variable.
    texts: Vec<String>,
}

/// How concrete a segment is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Text,
    Mixed,
    Variable,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Paths { by_length: HashMap::new() }
    }
}

impl<T> Paths<T> {
    /// Hands over what is behind a template; made where it is new.
    pub(super) fn with<R>(&mut self, template: Template, act: impl FnOnce(&mut T) -> R) -> R
    where
        T: Default,
    {
        let entries = self.by_length.entry(template.segments.len()).or_default();
        if let Some(known) = entries.iter_mut().find(|entry| entry.template == template) {
            return act(&mut known.behind);
        }
        let mut behind = T::default();
        let result = act(&mut behind);
        let at = entries.partition_point(|entry| entry.template.ranks() <= template.ranks());
        entries.insert(at, Entry { template, behind });
        result
    }

    /// What is behind the most concrete template that a path in normal form fits, and what its variables stand for.
    pub(super) fn find<'p>(&self, path: &'p str) -> Option<(&T, Vec<&'p str>)> {
        let path = path.strip_prefix('/')?;
        let entries = self.by_length.get(&path.split('/').count())?;
        entries.iter().find_map(|entry| Some((&entry.behind, entry.template.fits(path)?)))
    }

    /// Whether any path begins with these whole segments; ends there too, where `whole`.
    pub(super) fn has(&self, beginning: &str, whole: bool) -> bool {
        let wanted: Vec<&str> = beginning.strip_prefix('/').unwrap_or(beginning).split('/').collect();
        let wanted = if beginning == "/" && !whole { &[][..] } else { wanted.as_slice() };
        let begins = |template: &Template| {
            let mut segments = template.segments.iter().zip(wanted);
            segments.all(|(segment, text)| segment.fits(text, &mut Vec::new()))
        };
        self.by_length.iter().any(|(length, entries)| {
            let fits = if whole { *length == wanted.len() } else { *length >= wanted.len() };
            fits && entries.iter().any(|entry| begins(&entry.template))
        })
    }
}

impl Template {
    /// Reads `base` and a path of the description behind it. Gives the names of the variables too, in order.
    pub(super) fn read(base: &str, at: &At<'_>, path: &str) -> Result<(Template, Vec<String>), Fault> {
        if !path.starts_with('/') {
            return Err(at.fault("a path must begin with `/`"));
        }
        let mut names = Vec::new();
        let mut segments: Vec<Segment> = base.split('/').skip(1).map(Segment::plain).collect();
        for segment in path.split('/').skip(1) {
            segments.push(Segment::read(segment, &mut names).map_err(|why| at.fault(why))?);
        }
        Ok((Template { segments }, names))
    }

    fn ranks(&self) -> Vec<Rank> {
        self.segments.iter().map(Segment::rank).collect()
    }

    /// What the variables stand for in a path without its first slash.
    fn fits<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let mut values = Vec::new();
        let mut segments = self.segments.iter().zip(path.split('/'));
        segments.all(|(segment, text)| segment.fits(text, &mut values)).then_some(values)
    }
}

impl Segment {
    fn plain(text: &str) -> Segment {
        Segment { texts: vec![normal(text)] }
    }

    fn read(segment: &str, names: &mut Vec<String>) -> Result<Segment, String> {
        let mut texts = Vec::new();
        let mut rest = segment;
        while let Some((text, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').ok_or("a path has a `{` without its `}`")?;
            if names.iter().any(|known| known == name) {
                return Err(format!("the variable `{}` stands twice in a path", shown(name)));
            }
            if !texts.is_empty() && text.is_empty() {
                return Err("nothing stands between two variables of a path".to_owned());
            }
            names.push(name.to_owned());
            texts.push(normal(text));
            rest = behind;
        }
        texts.push(normal(rest));
        Ok(Segment { texts })
    }

    fn rank(&self) -> Rank {
        match self.texts.as_slice() {
            [_] => Rank::Text,
            [before, behind] if before.is_empty() && behind.is_empty() => Rank::Variable,
            _ => Rank::Mixed,
        }
    }

    /// Whether a text is this segment; the values of its variables go behind `values`. A variable is never empty, and
    /// ends where the text behind it is found first.
    fn fits<'p>(&self, text: &'p str, values: &mut Vec<&'p str>) -> bool {
        let Some((first, others)) = self.texts.split_first() else { return false };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        let Some((last, between)) = others.split_last() else { return rest.is_empty() };
        for stop in between {
            // The first byte belongs to the variable.
            let start = rest.chars().next().map_or(0, char::len_utf8);
            let found = rest.get(start..).and_then(|later| later.find(stop.as_str()));
            let Some(end) = found.map(|found| found + start).filter(|_| start > 0) else { return false };
            values.extend(rest.get(..end));
            rest = rest.get(end + stop.len()..).unwrap_or_default();
        }
        let value = rest.strip_suffix(last.as_str()).filter(|value| !value.is_empty());
        values.extend(value);
        value.is_some()
    }
}

/// The paths in front of those of a description that the `servers` of a place say: each in normal form, without a slash
/// at its end. None where it says nothing.
pub(super) fn bases(at: &At<'_>) -> Result<Option<Vec<String>>, Fault> {
    let Some(servers) = at.member("servers") else { return Ok(None) };
    let mut bases: Vec<String> = Vec::new();
    for server in servers.elements() {
        let url = server.text("url")?.ok_or_else(|| server.fault("a server needs a `url`"))?;
        for url in with_variables(url, &server)? {
            let base = base(path_of(&url));
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        if bases.len() > URLS_MAX {
            return Err(servers.fault(format!("there are more than {URLS_MAX} paths in front of the paths")));
        }
    }
    Ok((!bases.is_empty()).then_some(bases))
}

/// A base in normal form.
pub(super) fn base(path: &str) -> String {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return String::new();
    }
    let segments: Vec<String> = path.split('/').map(normal).collect();
    format!("/{}", segments.join("/"))
}

/// A URL with each value of each of its variables.
fn with_variables(url: &str, server: &At<'_>) -> Result<Vec<String>, Fault> {
    let mut urls = vec![url.to_owned()];
    for (name, variable) in server.member("variables").iter().flat_map(At::members) {
        let slot = format!("{{{name}}}");
        if !url.contains(&slot) {
            continue;
        }
        let listed = variable.member("enum");
        let listed = listed.iter().flat_map(At::elements).filter_map(|value| value.value.as_str());
        let mut values: Vec<&str> = listed.collect();
        if values.is_empty() {
            values.extend(variable.text("default")?);
        }
        if values.is_empty() {
            return Err(variable.fault("a variable needs a `default`"));
        }
        if urls.len() * values.len() > URLS_MAX {
            return Err(server.fault(format!("its variables make more than {URLS_MAX} URLs")));
        }
        urls = urls.iter().flat_map(|url| values.iter().map(|value| url.replace(&slot, value))).collect();
    }
    match urls.iter().any(|url| url.contains(['{', '}'])) {
        true => Err(server.fault("its `url` has a variable that `variables` does not name")),
        false => Ok(urls),
    }
}

/// The path of a URL. One that is relative to the place of the description is taken as it stands.
fn path_of(url: &str) -> &str {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let authority = url.split_once("://").map(|(_, rest)| rest).or_else(|| url.strip_prefix("//"));
    match authority {
        Some(rest) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => url,
    }
}

/// A text as it stands in the normal form of a path: letters, digits and `-._~` plain, all else that needs it encoded
/// (RFC 3986 section 6.2.2).
fn normal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let encoded = after.get(..2).and_then(hex).filter(|_| byte == b'%');
        if encoded.is_some() {
            rest = after.get(2..).unwrap_or_default();
        }
        let byte = encoded.unwrap_or(byte);
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        // What separates means another thing when it is encoded.
        if plain || (encoded.is_none() && b"!$&'()*+,;=:@".contains(&byte)) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
