//! Requests that want to know the same wait for the one of them that asks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;

use tokio::sync::watch;

/// Questions of one worker that are on their way. Each belongs to a request in flight, so there are no more of them
/// than connections.
pub(super) struct Flights<K, V> {
    under_way: RefCell<HashMap<K, watch::Receiver<Option<V>>>>,
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Flights<K, V> {
        Flights { under_way: RefCell::default() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// What `ask` finds out about `key`; asked by this request, or by one that came before and still waits.
    pub(super) async fn share<F: Future<Output = V>>(&self, key: K, ask: impl FnOnce() -> F) -> V {
        loop {
            let waiting = self.under_way.borrow().get(&key).cloned();
            let Some(mut landing) = waiting else { break };
            let landed = landing.wait_for(Option::is_some).await.ok().and_then(|value| value.clone());
            // None: whoever asked has left. Somebody else must.
            if let Some(value) = landed {
                return value;
            }
        }
        let (land, landing) = watch::channel(None);
        self.under_way.borrow_mut().insert(key.clone(), landing);
        let asked = Asked { flights: self, key };
        let value = ask().await;
        drop(asked);
        land.send_replace(Some(value.clone()));
        value
    }
}

/// A question on its way; when whoever asked leaves, nobody waits for it any more.
struct Asked<'a, K: Hash + Eq, V> {
    flights: &'a Flights<K, V>,
    key: K,
}

impl<K: Hash + Eq, V> Drop for Asked<'_, K, V> {
    fn drop(&mut self) {
        self.flights.under_way.borrow_mut().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::rc::Rc;

    use tokio::sync::Notify;
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    #[test]
    fn the_second_waits_for_the_first_and_asks_itself_when_that_one_leaves() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let flights: Rc<Flights<u8, u32>> = Rc::default();
            let (asked, go) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()));
            let leaver = spawn_local({
                let flights = flights.clone();
                async move { flights.share(7, pending).await }
            });
            yield_now().await;
            let ask = |flights: Rc<Flights<u8, u32>>, asked: Rc<Cell<u32>>, go: Rc<Notify>| async move {
                let question = || async {
                    asked.set(asked.get() + 1);
                    go.notified().await;
                    42
                };
                flights.share(7, question).await
            };
            let first = spawn_local(ask(flights.clone(), asked.clone(), go.clone()));
            let second = spawn_local(ask(flights.clone(), asked.clone(), go.clone()));
            yield_now().await;
            assert_eq!(asked.get(), 0, "somebody else is asking");
            leaver.abort();
            while asked.get() == 0 {
                yield_now().await;
            }
            go.notify_one();
            assert_eq!((first.await.unwrap(), second.await.unwrap(), asked.get()), (42, 42, 1));
            assert!(flights.under_way.borrow().is_empty());
        });
    }
}
