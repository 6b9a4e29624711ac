//! One segment of a pattern, and how it is compared with one segment of a path.

use std::fmt;

use memchr::memmem;

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Exactly this text. The empty one is a slash at the end.
    Literal(Box<str>),
    /// Text with parameters.
    Mixed(Mixed),
    /// One parameter: any text but none.
    Param,
}

impl Segment {
    pub(super) fn param_count(&self) -> usize {
        match self {
            Segment::Literal(_) => 0,
            Segment::Mixed(mixed) => mixed.middles.len() + 1,
            Segment::Param => 1,
        }
    }

    /// Whether one path segment can match both.
    pub(super) fn overlaps(&self, other: &Segment) -> bool {
        match (self, other) {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Literal(text), Segment::Mixed(mixed))
            | (Segment::Mixed(mixed), Segment::Literal(text)) => mixed.find(text, |_, _| {}),
            (Segment::Literal(text), Segment::Param) | (Segment::Param, Segment::Literal(text)) => {
                !text.is_empty()
            }
            (Segment::Mixed(a), Segment::Mixed(b)) => a.overlaps(b),
            (Segment::Param, _) | (_, Segment::Param) => true,
        }
    }

    pub(super) fn write<'n>(
        &self,
        names: &mut impl Iterator<Item = &'n Box<str>>,
        f: &mut impl fmt::Write,
    ) -> fmt::Result {
        let mut name = || names.next().map_or("", |name| &**name);
        match self {
            Segment::Literal(text) => f.write_str(text),
            Segment::Param => write!(f, "{{{}}}", name()),
            Segment::Mixed(mixed) => {
                write!(f, "{}{{{}}}", mixed.prefix, name())?;
                for middle in &mixed.middles {
                    write!(f, "{middle}{{{}}}", name())?;
                }
                f.write_str(&mixed.suffix)
            }
        }
    }
}

/// Text with parameters, `v{major}.{minor}-api`: each matches at least one byte, and as few as it can but the
/// last one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Mixed {
    pub(super) prefix: Box<str>,
    /// Literals between two parameters; none is empty.
    pub(super) middles: Vec<Box<str>>,
    pub(super) suffix: Box<str>,
}

impl Mixed {
    pub(super) fn new(prefix: Box<str>, middles: Vec<Box<str>>, suffix: Box<str>) -> Mixed {
        Mixed { prefix, middles, suffix }
    }

    /// More of them are more specific.
    pub(super) fn literal_bytes(&self) -> usize {
        self.prefix.len() + self.suffix.len() + self.middles.iter().map(|m| m.len()).sum::<usize>()
    }

    /// Whether the segment matches; reports start and end of each parameter's value in it, of some of them also
    /// when it does not match.
    pub(super) fn find(&self, segment: &str, mut param: impl FnMut(usize, usize)) -> bool {
        let end = segment.len().checked_sub(self.suffix.len());
        let Some(end) = end.filter(|&end| is_boundary(segment, end)) else {
            return false;
        };
        if !segment.starts_with(&*self.prefix) || !segment.ends_with(&*self.suffix) {
            return false;
        }
        let mut start = self.prefix.len();
        for middle in &self.middles {
            let Some(at) = find_literal(segment, start + 1, end, middle) else {
                return false;
            };
            param(start, at);
            start = at + middle.len();
        }
        param(start, end);
        start < end
    }

    /// Whether one text can match both. Where a parameter can take any text, only the ends can contradict.
    fn overlaps(&self, other: &Mixed) -> bool {
        let (short, long) = by_len(&self.prefix, &other.prefix);
        let prefixes = long.starts_with(short);
        let (short, long) = by_len(&self.suffix, &other.suffix);
        prefixes && long.ends_with(short) && is_boundary(long, long.len() - short.len())
    }
}

fn by_len<'a>(a: &'a str, b: &'a str) -> (&'a str, &'a str) {
    if a.len() <= b.len() { (a, b) } else { (b, a) }
}

/// The first place of `literal` in `segment[from..end]` that does not begin inside a percent-encoding.
fn find_literal(segment: &str, mut from: usize, end: usize, literal: &str) -> Option<usize> {
    loop {
        let window = segment.as_bytes().get(from..end)?;
        let at = from + memmem::find(window, literal.as_bytes())?;
        if is_boundary(segment, at) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Whether no percent-encoding stands across this place. In a normal form every `%` begins one.
fn is_boundary(segment: &str, at: usize) -> bool {
    let is_percent = |back: usize| {
        at.checked_sub(back).and_then(|at| segment.as_bytes().get(at)).is_some_and(|&byte| byte == b'%')
    };
    !is_percent(1) && !is_percent(2)
}
