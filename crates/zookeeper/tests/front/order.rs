//! Requests are answered in order, reads see the writes before them, and events come before what they are news to.

use conclave_zookeeper::Options;
use node::Limits;

use crate::client::{
    CREATE, EXISTS, GET_CHILDREN, GET_DATA, Member, PERSISTENT, PING, SET_DATA, SYNC, buffer, create, set_data,
    with_watch,
};

const EVENT: i32 = -1;

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_see_each_other() {
    let member = Member::start(Options { outstanding_requests: 10, ..Options::default() }).await;
    let mut client = member.client(4000).await;
    client.ask(CREATE, &create("/n", PERSISTENT)).await;
    for round in 0..100_u32 {
        client.ask(SET_DATA, &set_data("/n", &round.to_be_bytes())).await;
        client.ask(GET_DATA, &with_watch("/n", false)).await;
    }
    assert_eq!(client.next().await.unwrap().xid, 1);
    let mut newest = 0;
    for round in 0..100_u32 {
        let write = client.next().await.unwrap();
        let read = client.next().await.unwrap();
        let expected = i32::try_from(2 * round).unwrap();
        assert_eq!((write.xid, read.xid), (2 + expected, 3 + expected));
        assert_eq!(read.body[..8], buffer(&round.to_be_bytes()), "a read sees the write before it");
        assert!(newest < write.zxid && write.zxid <= read.zxid, "zxids never go back");
        newest = read.zxid;
    }
}

#[tokio::test]
async fn a_sync_stands_between_the_writes_before_and_after_it() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/n", PERSISTENT)).await;
    for _ in 0..50 {
        client.ask(SET_DATA, &set_data("/n", b"data")).await;
        client.ask(SYNC, &buffer(b"/n")).await;
        client.ask(SET_DATA, &set_data("/n", b"more")).await;
        let zxids =
            [client.next().await.unwrap().zxid, client.next().await.unwrap().zxid, client.next().await.unwrap().zxid];
        assert!(zxids[0] <= zxids[1] && zxids[1] < zxids[2], "{zxids:?}: a sync is news of nothing asked after it");
    }
}

#[tokio::test]
async fn an_event_comes_before_any_answer_that_saw_its_cause() {
    let member = Member::start(Options::default()).await;
    let mut writer = member.client(4000).await;
    let mut watcher = member.client(4000).await;
    writer.call(CREATE, &create("/n", PERSISTENT)).await;
    for round in 0..200_u32 {
        let data = round.to_be_bytes();
        watcher.call(GET_DATA, &with_watch("/n", true)).await;
        let written = writer.call(SET_DATA, &set_data("/n", &data)).await;
        // The watcher's next read may or may not see the change. If it does, the event must have come first.
        let xid = watcher.ask(GET_DATA, &with_watch("/n", false)).await;
        let first = watcher.next().await.unwrap();
        if first.xid == xid {
            assert_ne!(first.body[..8], buffer(&data), "the news came without its event");
            assert_eq!(watcher.next().await.unwrap().xid, EVENT);
        } else {
            assert_eq!((first.xid, first.zxid), (EVENT, written.zxid), "an event names its transaction");
            assert_eq!(watcher.next().await.unwrap().xid, xid);
        }
    }
}

#[tokio::test]
async fn news_of_a_later_request_waits_for_the_answer_to_an_earlier_one() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/n", PERSISTENT)).await;
    for _ in 0..100 {
        client.call(GET_DATA, &with_watch("/n", true)).await;
        // The first is refused, the second fires the watch; both are decided in one go.
        let refused = client.ask(CREATE, &create("/n", PERSISTENT)).await;
        let written = client.ask(SET_DATA, &set_data("/n", b"data")).await;
        let order =
            [client.next().await.unwrap().xid, client.next().await.unwrap().xid, client.next().await.unwrap().xid];
        assert_eq!(order, [refused, EVENT, written]);
    }
}

#[tokio::test]
async fn own_changes_are_told_before_they_are_answered() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    assert_eq!(client.call(EXISTS, &with_watch("/n", true)).await.code, -101);
    client.call(GET_CHILDREN, &with_watch("/", true)).await;
    let xid = client.ask(CREATE, &create("/n", PERSISTENT)).await;
    let created = client.next().await.unwrap();
    let listed = client.next().await.unwrap();
    let reply = client.next().await.unwrap();
    assert_eq!((created.xid, listed.xid, reply.xid), (EVENT, EVENT, xid));
    assert_eq!((created.zxid, listed.zxid), (reply.zxid, reply.zxid));
    assert_eq!(created.body, [&[0, 0, 0, 1, 0, 0, 0, 3][..], &buffer(b"/n")].concat());
    assert_eq!(listed.body, [&[0, 0, 0, 4, 0, 0, 0, 3][..], &buffer(b"/")].concat());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_held_back_and_loses_nothing() {
    let member = Member::start(Options { output_bytes: 1000, ..Options::default() }).await;
    let mut client = member.client(4000).await;
    let large = vec![b'x'; 50_000];
    client.call(CREATE, &create("/n", PERSISTENT)).await;
    client.call(SET_DATA, &set_data("/n", &large)).await;
    let asked = 200;
    for _ in 0..asked {
        client.ask(GET_DATA, &with_watch("/n", false)).await;
    }
    for _ in 0..asked {
        assert_eq!(client.next().await.unwrap().body[..50_004], buffer(&large));
    }
    assert_eq!(client.call(PING, &[]).await.code, 0);
}

#[tokio::test]
async fn a_client_that_watches_its_own_haste_is_slowed_down_and_loses_nothing() {
    const ADD_WATCH: i32 = 106;
    let limits = Limits { mailbox_changes: 64, ..Limits::default() };
    let member = Member::limited(Options::default(), limits).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/n", PERSISTENT)).await;
    let persistent = [buffer(b"/n"), vec![0; 4]].concat();
    assert_eq!(client.call(ADD_WATCH, &persistent).await.code, 0);
    let asked = 500;
    for _ in 0..asked {
        client.ask(SET_DATA, &set_data("/n", b"data")).await;
    }
    for number in 0..asked {
        let event = client.next().await.unwrap_or_else(|| panic!("the connection ended before event {number}"));
        let answer = client.next().await.unwrap();
        assert_eq!((event.xid, answer.code, event.zxid), (EVENT, 0, answer.zxid));
    }
    assert_eq!(client.call(PING, &[]).await.code, 0);
}
