//! Numbers. What nobody counts with is written as it came: `1.10`, and whole numbers of any length.

use std::cmp::Ordering;
use std::rc::Rc;

/// A number.
#[derive(Debug, Clone)]
pub(super) enum Num {
    Whole(i64),
    Real(f64),
    /// As a document or the filter writes it.
    Written(Rc<str>),
}

/// Whole numbers beyond have neighbours that are no doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Num {
    /// A number of JSON.
    pub(super) fn parse(text: &str) -> Num {
        match text.parse() {
            // Zero has a sign in JSON.
            Ok(whole) if text != "-0" => Num::Whole(whole),
            _ => Num::Written(text.into()),
        }
    }

    pub(super) fn real(&self) -> f64 {
        match self {
            Num::Whole(whole) => *whole as f64,
            Num::Real(real) => *real,
            Num::Written(text) => text.parse().unwrap_or(f64::NAN),
        }
    }

    /// The number when it is whole and exact.
    pub(super) fn whole(&self) -> Option<i64> {
        match self {
            Num::Whole(whole) => Some(*whole),
            other => Some(other.real())
                .filter(|real| real.fract() == 0.0 && real.abs() <= EXACT)
                .map(|real| real as i64),
        }
    }

    /// The place in a list that it names; those below zero count from the end.
    pub(super) fn place(&self, length: usize) -> Option<usize> {
        let at = match self {
            Num::Whole(whole) => *whole,
            other => other.real().floor() as i64,
        };
        match usize::try_from(at) {
            Ok(at) => Some(at),
            Err(_) => length.checked_sub(usize::try_from(at.unsigned_abs()).ok()?),
        }
    }

    pub(super) fn weight(&self) -> usize {
        if let Num::Written(text) = self { text.len() } else { 1 }
    }

    /// Counts in whole numbers where that is exact, and else in doubles.
    pub(super) fn count(
        &self,
        other: &Num,
        whole: fn(i64, i64) -> Option<i64>,
        real: fn(f64, f64) -> f64,
    ) -> Num {
        let exact = match (self, other) {
            (Num::Whole(left), Num::Whole(right)) => whole(*left, *right),
            _ => None,
        };
        exact.map_or_else(|| Num::Real(real(self.real(), other.real())), Num::Whole)
    }

    pub(super) fn negate(&self) -> Num {
        match self {
            Num::Whole(whole) if *whole != 0 => {
                whole.checked_neg().map_or(Num::Real(-(*whole as f64)), Num::Whole)
            }
            other => Num::Real(-other.real()),
        }
    }

    /// As JSON writes it, which knows neither infinity nor NaN.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Num::Whole(whole) => out.extend_from_slice(itoa::Buffer::new().format(*whole).as_bytes()),
            Num::Written(text) => out.extend_from_slice(text.as_bytes()),
            Num::Real(real) if real.fract() == 0.0 && real.abs() <= EXACT => {
                out.extend_from_slice(itoa::Buffer::new().format(*real as i64).as_bytes());
            }
            // Writing a number into a vector cannot fail; those that JSON does not have become null.
            Num::Real(real) => drop(serde_json::to_writer(out, real)),
        }
    }

    /// One order for all numbers, which sorting needs. NaN is below all others.
    pub(super) fn order(&self, other: &Num) -> Ordering {
        let key = |number: &Num| (number.real(), number.exact());
        let ((left, left_exact), (right, right_exact)) = (key(self), key(other));
        let real = left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()));
        real.then(left_exact.cmp(&right_exact))
    }

    /// What tells whole numbers apart that are the same double.
    fn exact(&self) -> i64 {
        if let Num::Whole(whole) = self { *whole } else { self.real() as i64 }
    }
}
