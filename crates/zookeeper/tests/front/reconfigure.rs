//! Clients that change the membership, and those that may not.

use conclave_zookeeper::Options;

use crate::client::{AUTH, Client, Member, RECONFIG, buffer};

const SUPER: &str = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=";

fn options() -> Options {
    Options { reconfig: true, super_digest: Some(SUPER.to_owned()), ..Options::default() }
}

fn wish(joining: Option<&str>, leaving: Option<&str>, version: i64) -> Vec<u8> {
    let text = |text: Option<&str>| text.map_or((-1_i32).to_be_bytes().to_vec(), |text| buffer(text.as_bytes()));
    [text(joining), text(leaving), text(None), version.to_be_bytes().to_vec()].concat()
}

async fn as_super(member: &Member) -> Client {
    let mut client = member.client(4000).await;
    let credentials = [&0_i32.to_be_bytes()[..], &buffer(b"digest"), &buffer(b"super:admin")].concat();
    assert_eq!(client.call(AUTH, &credentials).await.code, 0);
    client
}

#[tokio::test]
async fn a_client_that_may_changes_the_membership() {
    let member = Member::start(options()).await;
    let mut client = as_super(&member).await;
    let added = client.call(RECONFIG, &wish(Some("server.2=127.0.0.1:9:9:observer;127.0.0.1:8"), None, -1)).await;
    let text = String::from_utf8_lossy(&added.body).into_owned();
    assert!(
        added.code == 0 && text.contains("server.2=127.0.0.1:9:9:observer;127.0.0.1:8\nversion="),
        "{}: {text}",
        added.code
    );

    assert_eq!(client.call(RECONFIG, &wish(None, Some("2"), 1)).await.code, -103, "not the configuration it knows");
    let removed = client.call(RECONFIG, &wish(None, Some("2"), -1)).await;
    assert_eq!((removed.code, &removed.body[..4]), (0, &0_i32.to_be_bytes()[..]), "a member alone: nothing to say");
    assert_eq!(client.call(RECONFIG, &wish(None, Some("1"), -1)).await.code, -13, "somebody must be left");
    assert_eq!(client.call(RECONFIG, &wish(Some("nonsense"), None, -1)).await.code, -8);
    assert_eq!(client.call(RECONFIG, &wish(None, None, -1)).await.code, -8);
}

#[tokio::test]
async fn nobody_else_changes_the_membership() {
    let join = wish(Some("server.2=127.0.0.1:9:9:observer"), None, -1);
    let member = Member::start(options()).await;
    assert_eq!(member.client(4000).await.call(RECONFIG, &join).await.code, -102);
    let member = Member::start(Options { reconfig: false, ..options() }).await;
    assert_eq!(as_super(&member).await.call(RECONFIG, &join).await.code, -123);
}
