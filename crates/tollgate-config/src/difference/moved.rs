//! Which requests that were seen would end elsewhere under the new configuration.

use std::collections::HashMap;

use serde::Serialize;
use tollgate_plan::Plan;
use tollgate_plan::table::Params;

use super::ends::{End, Sample};
use super::pairs::{Side, Sides, of_pair};
use super::{Difference, Weakness};

/// What became of the samples.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Samples {
    /// Requests that were looked at.
    pub read: usize,
    /// Those among them that ended elsewhere than the old configuration says: what decided about them is not in the
    /// sample, such as a header, or they are of another configuration. Nothing is said about them.
    pub undecided: usize,
    /// Requests that would end elsewhere, those of one method and of the same two ends together; the most frequent
    /// first.
    pub moved: Vec<Moved>,
}

/// Requests that would end elsewhere.
#[derive(Debug, Clone, Serialize)]
pub struct Moved {
    /// The method.
    pub method: String,
    /// One of them: host and path.
    pub example: String,
    /// A route, `404` or `405`.
    pub from: String,
    /// A route, `404` or `405`.
    pub to: String,
    /// How many.
    pub count: usize,
}

/// Asks both configurations about requests, one after the other.
pub struct Sampler<'p> {
    old: &'p Plan,
    new: &'p Plan,
    params: Params,
    found: Samples,
    groups: HashMap<(String, End, End), (String, usize)>,
}

impl<'p> Sampler<'p> {
    /// Asks `old` and `new`.
    pub fn new(old: &'p Plan, new: &'p Plan) -> Sampler<'p> {
        Sampler { old, new, params: Params::default(), found: Samples::default(), groups: HashMap::new() }
    }

    /// Looks at one request.
    pub fn push(&mut self, sample: &Sample) {
        self.found.read += 1;
        let ends = sample.end(self.old, &mut self.params).zip(sample.end(self.new, &mut self.params));
        let Some((was, is)) = ends.filter(|(was, _)| as_seen(self.old, *was, sample)) else {
            self.found.undecided += 1;
            return;
        };
        if name(self.old, was) != name(self.new, is) {
            let group = self.groups.entry((sample.method.as_str().to_owned(), was, is));
            group.or_insert_with(|| (format!("{}{}", sample.host, sample.path), 0)).1 += 1;
        }
    }

    /// What became of them. What ends at a route that protects less than before, and was not found already, is added to
    /// the weaknesses of `difference`.
    pub fn finish(mut self, difference: &mut Difference) -> Samples {
        let weak = self.groups.keys().flat_map(|(_, was, is)| weaker((self.old, self.new), (*was, *is)));
        let mut weak: Vec<Weakness> = weak.filter(|weak| !difference.weaker.contains(weak)).collect();
        // The same order each time.
        weak.sort_by(|a, b| (&a.name, &a.instead_of, &a.detail).cmp(&(&b.name, &b.instead_of, &b.detail)));
        weak.dedup();
        difference.weaker.extend(weak);
        let moved = self.groups.into_iter().map(|((method, was, is), (example, count))| Moved {
            method,
            example,
            from: name(self.old, was),
            to: name(self.new, is),
            count,
        });
        self.found.moved = moved.collect();
        self.found.moved.sort_by(|a, b| {
            b.count.cmp(&a.count).then_with(|| (&a.method, &a.from, &a.to).cmp(&(&b.method, &b.from, &b.to)))
        });
        self.found
    }
}

/// Whether the old configuration explains where it ended.
fn as_seen(old: &Plan, end: End, sample: &Sample) -> bool {
    let Some(seen) = &sample.route else { return true };
    let told = match end {
        End::Route(_) => Some(name(old, end)),
        End::Method | End::Nowhere => None,
    };
    told == *seen
}

fn weaker((old, new): (&Plan, &Plan), ends: (End, End)) -> Vec<Weakness> {
    let (End::Route(was), End::Route(is)) = ends else { return Vec::new() };
    let side = |plan| Side { plan, written: Vec::new() };
    let sides = Sides {
        old: side(old),
        new: side(new),
        whole: true,
        all_routes: true,
        same_beside: false,
        same_listeners: false,
        same_text: false,
    };
    of_pair(&sides, (was.0 as usize, is.0 as usize))
}

fn name(plan: &Plan, end: End) -> String {
    match end {
        End::Route(id) => {
            plan.routes.get(id.0 as usize).map_or_else(String::new, |route| route.name.to_string())
        }
        End::Method => "405".to_owned(),
        End::Nowhere => "404".to_owned(),
    }
}
