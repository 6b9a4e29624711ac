//! What answers say about being kept out of which another one is made: it may be kept as far as all of them may.

use std::time::Duration;

use tollgate_wire::name;

use super::directives::{Directives, Extent};
use super::terms::{Came, age, lifetime};

/// The word of the answers that another one is made of.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    no_store: bool,
    no_cache: bool,
    private: bool,
    no_stale: bool,
    /// So long all of those stay fresh that say something about it.
    fresh: Option<Duration>,
    /// One of them says nothing about it.
    open: bool,
    alone: bool,
}

impl Parts {
    /// Takes note of one of the answers.
    pub fn hear(&mut self, came: Came<'_>) {
        let said = Directives::of(came.headers);
        self.no_store |= said.no_store;
        self.no_cache |= said.no_cache == Extent::All;
        self.private |= said.private == Extent::All;
        self.no_stale |= said.must_revalidate || said.proxy_revalidate;
        // No part is asked for an encoding: all are sent the same word about it.
        let varies = |field: &[u8]| !field.eq_ignore_ascii_case(b"accept-encoding");
        self.alone |= came.cookies || came.headers.list(&name::VARY).any(varies);
        match lifetime(&said, came, None) {
            None => self.open = true,
            Some((lifetime, _)) => {
                let left = lifetime.saturating_sub(age(came));
                self.fresh = Some(self.fresh.map_or(left, |fresh| fresh.min(left)));
            }
        }
    }

    /// Whether the whole is for its own request alone, whatever rules a route has: one of the answers sets a cookie, or
    /// depends on what its request said.
    pub fn is_alone(&self) -> bool {
        self.alone
    }

    /// `Cache-Control` of the whole; none where there is nothing to say. `ttl` is how long a part stays fresh that does
    /// not say so by itself; without one the whole says nothing of that. Nothing makes the whole more open than it would
    /// be without a word: that is what `public`, `s-maxage` and `must-revalidate` would do.
    pub fn word(&self, ttl: Option<Duration>) -> Option<String> {
        let fresh = self.fresh.filter(|_| !self.no_store && !self.no_cache && !self.alone);
        let fresh = fresh.zip(ttl).and_then(|(fresh, ttl)| match self.open {
            false => Some(fresh),
            true => (!ttl.is_zero()).then_some(fresh.min(ttl)),
        });
        let said = [
            (self.no_store || self.alone).then(|| "no-store".to_owned()),
            self.private.then(|| "private".to_owned()),
            self.no_cache.then(|| "no-cache".to_owned()),
            self.no_stale.then(|| "proxy-revalidate".to_owned()),
            fresh.map(|fresh| format!("max-age={}", fresh.as_secs())),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tollgate_wire::{HeaderBlock, Name};

    use super::*;

    /// Each part is the lines of its head, with `|` between.
    #[track_caller]
    fn check(parts: &[&str], ttl: Option<u64>, word: &str, alone: bool) {
        let mut heard = Parts::default();
        for part in parts {
            let mut headers = HeaderBlock::default();
            for line in part.split('|').filter(|line| !line.is_empty()) {
                let (name, value) = line.split_once(": ").expect("a line");
                headers.append(&Name::from_bytes(name.as_bytes()).expect("a name"), value.as_bytes());
            }
            let (at, delay) = (SystemTime::now(), Duration::ZERO);
            let cookies = headers.contains(&name::SET_COOKIE);
            heard.hear(Came { status: 200, headers: &headers, cookies, at, delay });
        }
        let told = heard.word(ttl.map(Duration::from_secs));
        assert_eq!((told.as_deref().unwrap_or_default(), heard.is_alone()), (word, alone), "{parts:?}");
    }

    #[test]
    fn the_whole_is_kept_as_far_as_all_of_its_parts_may_be() {
        let ttl = Some(30);
        check(&[], ttl, "", false);
        check(&["", "ETag: \"a\""], ttl, "", false);
        check(&["", "Cache-Control: no-store"], ttl, "no-store", false);
        check(&["Cache-Control: private, max-age=9", ""], ttl, "private, max-age=9", false);
        check(&["Cache-Control: no-cache", "Cache-Control: max-age=9"], ttl, "no-cache", false);
        check(&["", "Set-Cookie: a=b"], ttl, "no-store", true);
        check(&["Vary: accept-encoding, X-Lang", ""], ttl, "no-store", true);
        check(&["Vary: *"], ttl, "no-store", true);
        check(&["Vary: Accept-Encoding"], ttl, "", false);
        check(&["CDN-Cache-Control: no-store|Cache-Control: max-age=9"], ttl, "no-store", false);
    }

    #[test]
    fn the_whole_is_fresh_for_as_long_as_all_of_its_parts_are() {
        let of = |seconds: u64| format!("Cache-Control: max-age={seconds}");
        check(&[&of(90), &of(60)], Some(30), "max-age=60", false);
        check(&[&of(90), ""], Some(30), "max-age=30", false);
        check(&[&of(9), ""], Some(30), "max-age=9", false);
        // What the upstream does not allow by itself is not kept: nothing is said, and the route's ttl says nothing either.
        check(&[&of(9), ""], Some(0), "", false);
        check(&[&of(9)], None, "", false);
        check(&["Cache-Control: max-age=60|Age: 50"], Some(30), "max-age=10", false);
        check(&["Cache-Control: max-age=60|Age: 70"], Some(30), "max-age=0", false);
        check(&["Cache-Control: public, s-maxage=5, max-age=9"], Some(30), "max-age=5", false);
        check(&["Cache-Control: must-revalidate, max-age=5"], Some(30), "proxy-revalidate, max-age=5", false);
    }
}
