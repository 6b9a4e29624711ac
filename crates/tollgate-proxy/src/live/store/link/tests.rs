use std::cell::RefCell;

use tollgate_plan::redis::OnFailure;
use tollgate_testkit::Port;

use super::*;
use crate::live::store::batch::Done;

const TIMEOUT: Duration = Duration::from_millis(20);

/// A link to a server that is not there.
fn link() -> Rc<Link> {
    let node = tollgate_plan::redis::RedisNode {
        tls: false,
        host: "127.0.0.1".into(),
        port: Port::reserve().number(),
        user: None,
        password: None,
        db: 0,
    };
    let settings = Redis {
        nodes: vec![node],
        cluster: false,
        roots: None,
        timeout: TIMEOUT,
        on_failure: OnFailure::Local,
        instances: 1,
    };
    Link::new(&settings, &NameServers::default(), Arc::default())
}

type Heard = Rc<RefCell<Vec<Option<[i64; 4]>>>>;

/// A call, and the answers that were heard to it.
fn call() -> (Call, Heard) {
    let heard = Rc::new(RefCell::new(Vec::new()));
    let answers = heard.clone();
    let done = Done::new(move |answer| answers.borrow_mut().push(answer));
    (Call { key: "tollgate:a".into(), args: [0; 12], done }, heard)
}

#[test]
fn whoever_asked_hears_exactly_once() {
    let (answered, heard) = call();
    answered.done.answer(Some([1, 2, 3, 4]));
    assert_eq!(*heard.borrow(), [Some([1, 2, 3, 4])]);
    let (dropped, heard) = call();
    drop(dropped);
    assert_eq!(*heard.borrow(), [None]);
}

#[test]
fn nobody_waits_for_a_link_that_is_down_or_gone() {
    let down = link();
    let (waiting, heard_waiting) = call();
    down.enqueue(waiting);
    assert!(heard_waiting.borrow().is_empty(), "the first attempt may still succeed");
    down.fail(None, "gone");
    let (late, heard_late) = call();
    down.enqueue(late);
    assert_eq!(*heard_late.borrow(), [None], "at once");
    down.retire();
    assert_eq!(*heard_waiting.borrow(), [None]);
}

#[test]
fn what_an_older_connection_says_does_not_count() {
    let link = link();
    link.fail(Some(1), "of a connection that there never was");
    assert!(!link.is_down());
    link.fail(None, "none came in time");
    assert!(link.is_down());
}

#[test]
fn a_link_that_stepped_aside_reports_nothing() {
    let link = link();
    assert!(link.health.report().is_some());
    link.step_aside();
    link.fail(None, "gone");
    assert!(link.is_down());
    assert_eq!(link.health.report(), None);
    link.retire();
}

#[test]
fn a_call_ends_within_its_time_while_nothing_connects() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build_local(tokio::runtime::LocalOptions::default()).unwrap();
    runtime.block_on(async {
        // Nobody runs `keep_up`: the first attempt never ends.
        let link = link();
        let flusher = tokio::task::spawn_local(flush(link.clone()));
        let (one, heard) = call();
        link.enqueue(one);
        timeout(Duration::from_secs(5), link.settle()).await.expect("it settles");
        assert_eq!(*heard.borrow(), [None]);
        assert!(link.is_down(), "who waits no longer makes nobody else wait");
        flusher.abort();
    });
}

#[test]
fn attempts_become_seldom_and_never_rare() {
    for failures in [0, 1, 2, 5, 100, u32::MAX] {
        let wait = backoff(failures);
        assert!((RETRY_MIN / 2..=RETRY_MAX).contains(&wait), "{failures}: {wait:?}");
    }
}
