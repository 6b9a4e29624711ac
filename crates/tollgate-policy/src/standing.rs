//! How good a choice a target is, before its load is looked at.

/// Every decider chooses among the best there are: a suspect target only when none is up, and one that is down
/// never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Not to be used: health checks, ejection or a breaker say so.
    Down,
    /// Failed lately: see [`crate::Penalty`].
    Suspect,
    /// Nothing speaks against it.
    Up,
}

/// The best standing among `count` targets, if one of them can be used at all.
pub(crate) fn best(count: usize, standing: impl Fn(usize) -> Standing) -> Option<Standing> {
    let mut best = None;
    for at in 0..count {
        match standing(at) {
            Standing::Up => return Some(Standing::Up),
            Standing::Suspect => best = Some(Standing::Suspect),
            Standing::Down => {}
        }
    }
    best
}
