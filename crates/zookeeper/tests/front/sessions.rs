//! Sessions on the wire: negotiated, kept, moved, ended.

use std::time::{Duration, Instant};

use conclave_zookeeper::Options;

use crate::client::{CLOSE, CREATE, Client, EPHEMERAL, EXISTS, Member, PING, connect_request, create, with_watch};

fn quick() -> Options {
    Options { tick: Duration::from_millis(100), ..Options::default() }
}

#[tokio::test]
async fn timeouts_are_negotiated_within_bounds() {
    let member = Member::start(Options::default()).await;
    for (wanted, granted) in [(-1, 4000), (0, 4000), (3999, 4000), (10_000, 10_000), (i32::MAX, 40_000)] {
        assert_eq!(member.client(wanted).await.timeout_milliseconds, granted, "{wanted}");
    }
}

#[tokio::test]
async fn a_session_that_is_heard_of_lives_and_one_that_is_not_ends() {
    let member = Member::start(quick()).await;
    // The living one has two seconds for each tenth of a second that it means to need.
    let mut living = member.client(2000).await;
    let mut silent = member.client(300).await;
    assert_eq!(living.call(CREATE, &create("/living", EPHEMERAL)).await.code, 0);
    assert_eq!(silent.call(CREATE, &create("/silent", EPHEMERAL)).await.code, 0);
    let silent_since = Instant::now();
    assert_eq!(living.call(EXISTS, &with_watch("/silent", true)).await.code, 0);
    // Pings, at a third of the timeout, until the event comes.
    loop {
        let ping = living.ask(PING, &[]).await;
        let received = living.next().await.expect("the connection lives");
        if received.xid != ping {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lived = silent_since.elapsed();
    assert!(lived >= Duration::from_millis(300), "it ended {lived:?} after its last sign of life");
    assert_eq!(silent.next().await, None, "its connection is closed");
    living.next().await.expect("the answer to the last ping");
    assert_eq!(living.call(EXISTS, &with_watch("/living", false)).await.code, 0);
}

#[tokio::test]
async fn a_session_moves_to_a_new_connection_with_its_nodes() {
    let member = Member::start(Options::default()).await;
    let mut first = member.client(4000).await;
    first.call(CREATE, &create("/e", EPHEMERAL)).await;
    let mut second = member.resume(first.session, first.password).await;
    assert_eq!((second.session, second.password), (first.session, first.password));
    assert_eq!(first.next().await, None, "the old connection is closed");
    assert_eq!(second.call(EXISTS, &with_watch("/e", false)).await.code, 0);
}

#[tokio::test]
async fn a_session_without_its_password_is_no_session_and_its_owner_is_not_disturbed() {
    let member = Member::start(Options::default()).await;
    let mut owner = member.client(4000).await;
    for (session, password) in [(owner.session, [1; 16]), (owner.session + 1, owner.password)] {
        let mut thief: Client = member.resume(session, password).await;
        assert_eq!((thief.session, thief.timeout_milliseconds, thief.password), (0, 0, [0; 16]));
        assert_eq!(thief.next().await, None);
    }
    assert_eq!(owner.call(PING, &[]).await.code, 0);
}

#[tokio::test]
async fn a_closed_session_is_gone_at_once() {
    let member = Member::start(Options::default()).await;
    let mut watcher = member.client(4000).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/e", EPHEMERAL)).await;
    assert_eq!(client.call(CLOSE, &[]).await.code, 0);
    assert_eq!(client.next().await, None);
    assert_eq!(watcher.call(EXISTS, &with_watch("/e", false)).await.code, -101);
    let gone = member.resume(client.session, client.password).await;
    assert_eq!(gone.session, 0);
}

#[tokio::test]
async fn a_client_from_another_world_is_refused() {
    let member = Member::start(Options::default()).await;
    let mut raw = member.raw().await;
    raw.send_frame(&connect_request(1 << 40, 4000, 0, [0; 16])).await;
    assert_eq!(raw.frame().await, None);
}

#[tokio::test]
async fn sessions_outlive_the_front_end() {
    let member = Member::start(Options::default()).await;
    let client = member.client(4000).await;
    let before = member.running.handle().view().lease_count();
    drop(client);
    let mut other = member.client(4000).await;
    assert_eq!(other.call(PING, &[]).await.code, 0);
    assert_eq!(member.running.handle().view().lease_count(), before + 1, "a lost connection ends no session");
}
