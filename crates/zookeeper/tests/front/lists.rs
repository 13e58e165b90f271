//! Answers that would be too large, reads that must see everything, and what tools are told.

use conclave_zookeeper::Options;

use crate::client::{CREATE, GET_CHILDREN, GET_DATA, Member, create, with_watch};

#[tokio::test]
async fn a_list_beyond_its_limit_is_refused_and_the_connection_goes_on() {
    let member = Member::start(Options { list_bytes: Some(170), ..Options::default() }).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/many", 0)).await;
    for number in 0..10 {
        assert_eq!(client.call(GET_CHILDREN, &with_watch("/many", number % 2 == 0)).await.code, 0);
        // The watch that was left, if there was one, tells of the child first.
        client.ask(CREATE, &create(&format!("/many/child-{number:08}"), 0)).await;
        while client.next().await.unwrap().xid < 0 {}
    }
    assert_eq!(client.call(GET_CHILDREN, &with_watch("/many", false)).await.code, -5);
    assert_eq!(client.call(GET_CHILDREN, &with_watch("/many", true)).await.code, -5);
    assert_eq!(client.call(CREATE, &create("/many/one-more", 0)).await.code, 0, "no watch was left by a refused read");
    assert_eq!(client.call(GET_DATA, &with_watch("/many", false)).await.code, 0);
    let metrics = member.reports.metrics();
    assert!(metrics.contains("\nlarge_requests_rejected 2\n"), "{metrics}");
}

#[tokio::test]
async fn linearizable_reads_are_answered_in_their_turn() {
    let member = Member::start(Options { linearizable_reads: true, ..Options::default() }).await;
    let mut client = member.client(4000).await;
    for round in 0..20 {
        client.ask(CREATE, &create(&format!("/{round}"), 0)).await;
        client.ask(GET_DATA, &with_watch(&format!("/{round}"), true)).await;
        client.ask(GET_CHILDREN, &with_watch("/", false)).await;
    }
    for xid in 1..=60 {
        let reply = client.next().await.unwrap();
        assert_eq!((reply.xid, reply.code), (xid, 0));
    }
}

#[tokio::test]
async fn the_commands_of_the_admin_server_are_answered() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/e", 1)).await;
    client.call(GET_DATA, &with_watch("/e", true)).await;
    let commands: Vec<&str> = member.reports.commands().collect();
    for name in &commands {
        let answer = member.reports.answer(name).unwrap();
        assert_eq!((&answer["command"], &answer["error"]), (&(*name).into(), &serde_json::Value::Null));
    }
    for alias in ["srvr", "mntr", "cons", "wchp", "isro", "lead", "stat"] {
        assert!(member.reports.answer(alias).is_some(), "{alias}");
    }
    assert_eq!(member.reports.answer("nosuch"), None);
    let session = format!("{:#x}", client.session);
    assert_eq!(member.reports.answer("monitor").unwrap()["ephemerals_count"], 1);
    assert_eq!(member.reports.answer("watches").unwrap()["session_id_to_watched_paths"][&session][0], "/e");
    assert_eq!(member.reports.answer("dump").unwrap()["session_id_to_ephemeral_paths"][&session][0], "/e");
    assert_eq!(member.reports.answer("srvr").unwrap()["server_stats"]["server_state"], "standalone");
}
