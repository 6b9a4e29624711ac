//! A route's keys over those of its defaults.
//!
//! Per key, the first of route, defaults of its file, defaults of the main file decides. `request` and
//! `response` are merged key by key, one level deep: a route's `set_headers` replaces that of the defaults,
//! and leaves their `remove_headers` in force.

use crate::shape::{At, Slot};
use crate::spec::{Request, Response, Shared};

/// Where a route's keys come from, the nearest first.
pub(super) struct Layers<'a> {
    layers: Vec<Shared<'a>>,
}

impl<'a> Layers<'a> {
    pub(super) fn new(layers: impl IntoIterator<Item = Shared<'a>>) -> Self {
        Layers { layers: layers.into_iter().collect() }
    }

    /// The deciding slot of a key.
    pub(super) fn key<T>(&self, key: impl Fn(&Shared<'a>) -> &'a Slot<T>) -> &'a Slot<T> {
        first(self.layers.iter().map(key))
    }

    /// What a key says, where no layer behind says anything of it that it would replace.
    pub(super) fn only<T>(&self, key: impl Fn(&Shared<'a>) -> &'a Slot<T>) -> Option<&'a At<T>> {
        let mut said = self.layers.iter().map(key).filter(|slot| slot.key().is_some());
        let first = said.next()?;
        first.given().filter(|_| said.next().is_none())
    }

    /// The deciding slot of a key of `request`.
    pub(super) fn request<T>(&self, key: impl Fn(&'a Request) -> &'a Slot<T>) -> &'a Slot<T> {
        first(self.requests().map(key))
    }

    /// The deciding slot of a key of `response`.
    pub(super) fn response<T>(&self, key: impl Fn(&'a Response) -> &'a Slot<T>) -> &'a Slot<T> {
        first(self.layers.iter().filter_map(|layer| layer.response.value()).map(key))
    }

    /// The `request` blocks that are there.
    pub(super) fn requests(&self) -> impl Iterator<Item = &'a Request> {
        self.layers.iter().filter_map(|layer| layer.request.value())
    }
}

fn first<'a, T: 'a>(mut slots: impl Iterator<Item = &'a Slot<T>>) -> &'a Slot<T> {
    slots.find(|slot| slot.key().is_some()).unwrap_or(const { &Slot::Absent })
}
