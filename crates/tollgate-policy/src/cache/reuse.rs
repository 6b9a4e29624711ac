//! Whether a kept answer may be given now (RFC 9111 section 4.2, RFC 5861).

use std::time::Duration;

use super::directives::Wish;
use super::terms::Terms;

/// What may be done with a kept answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is given.
    Fresh,
    /// It is given although its time is over: the client takes that.
    Lapsed,
    /// It is given while the upstream is asked again.
    Stale,
    /// The upstream is asked first.
    Ask,
}

/// What may be done with an answer of this age.
pub fn use_of(terms: &Terms, age: Duration, wish: &Wish) -> Use {
    let too_old = wish.max_age.is_some_and(|max| age > max);
    if terms.validate || wish.no_cache || too_old {
        return Use::Ask;
    }
    let Some(stale) = age.checked_sub(terms.lifetime) else {
        return if terms.lifetime - age > wish.min_fresh { Use::Fresh } else { Use::Ask };
    };
    match () {
        () if !wish.min_fresh.is_zero() => Use::Ask,
        () if stale < terms.stale_while_revalidate => Use::Stale,
        () if !terms.strict && stale < wish.max_stale => Use::Lapsed,
        () => Use::Ask,
    }
}

/// Whether an answer of this age may be given in the place of an upstream that fails.
pub fn covers_error(terms: &Terms, age: Duration) -> bool {
    !terms.validate && age < terms.lifetime + terms.stale_if_error && !terms.stale_if_error.is_zero()
}
