//! What goes on in the background goes on when something in it panics: a fault in one answer of one issuer must not leave the
//! others without keys until somebody restarts the process.

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::task::AbortHandle;

/// What panics at once, again and again, takes no more than a try in this time.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts a task that begins anew when it panics. What it has written stays as it is.
pub(crate) fn spawn<F>(what: &'static str, begin: impl FnMut() -> F + 'static) -> AbortHandle
where
    F: Future<Output = ()> + 'static,
{
    tokio::task::spawn_local(again(what, PAUSE, begin)).abort_handle()
}

async fn again<F: Future<Output = ()>>(what: &'static str, pause: Duration, mut begin: impl FnMut() -> F) {
    let mut panics = 0_u64;
    while !ends(begin()).await {
        panics += 1;
        tracing::error!(what, panics, "a task in the background panicked and begins anew; please report it");
        tokio::time::sleep(pause).await;
    }
}

/// Runs what cannot begin anew. When it panics it is over, and nothing else is.
pub(crate) async fn alone(what: &'static str, task: impl Future<Output = ()>) {
    if !ends(task).await {
        tracing::error!(what, "a task in the background panicked and is over; please report it");
        pending().await
    }
}

/// Whether it comes to its end without a panic.
async fn ends(task: impl Future<Output = ()>) -> bool {
    let mut task = pin!(task);
    // Nobody sees what it was made of after a panic but those who share it, and they take locks as they find them.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(())) => Poll::Ready(true),
        Err(_) => Poll::Ready(false),
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn what_panics_begins_anew_until_it_ends() {
        let begun = Cell::new(0);
        run(again("test", Duration::ZERO, || async {
            begun.set(begun.get() + 1);
            tokio::task::yield_now().await;
            assert!(begun.get() > 2, "the third time it ends");
        }));
        assert_eq!(begun.get(), 3);
    }

    #[test]
    fn what_cannot_begin_anew_takes_nothing_with_it() {
        let other = async {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            "the other one"
        };
        let first = run(async {
            tokio::select! {
                () = alone("test", async { panic!("a fault") }) => "the one that panicked",
                first = other => first,
            }
        });
        assert_eq!(first, "the other one");
    }
}
