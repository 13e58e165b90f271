//! What no proper client sends harms nobody else, and costs nothing.

use std::time::Duration;

use conclave_zookeeper::Options;

use crate::client::{AUTH, CREATE, GET_DATA, Member, buffer, connect_request, create, with_watch};

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let member = Member::start(Options { packet_limit: 1000, ..Options::default() }).await;
    let mut bystander = member.client(4000).await;
    let first_frames: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0xff; 64],
        &(-1_i32).to_be_bytes(),
        &1001_u32.to_be_bytes(),
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 1, 2, 3],
        b"\0\0\0\x10abcdabcdabcdabcd",
    ];
    for bytes in first_frames {
        let mut raw = member.raw().await;
        raw.send(bytes).await;
        assert_eq!(raw.rest().await, b"", "{bytes:?}");
    }
    for bytes in [&1001_u32.to_be_bytes()[..], &[0xff; 64], &[0, 0, 0, 5, 1, 2, 3, 4, 5]] {
        let mut client = member.client(4000).await;
        client.raw.send(bytes).await;
        assert_eq!(client.next().await, None, "{bytes:?}");
    }
    assert_eq!(bystander.call(CREATE, &create("/fine", 0)).await.code, 0);
}

#[tokio::test]
async fn a_request_at_the_packet_limit_passes_and_one_byte_more_does_not() {
    let body = create("/a", 0);
    let limit = 8 + body.len();
    let member = Member::start(Options { packet_limit: limit, ..Options::default() }).await;
    let mut client = member.client(4000).await;
    assert_eq!(client.call(CREATE, &body).await.code, 0);
    client.ask(CREATE, &create("/bc", 0)).await;
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_malformed_record_is_refused_and_the_connection_goes_on() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    for opcode in [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 22, 101, 103, 104, 105, 106] {
        let reply = client.call(opcode, &[0x7f, 0xff, 0xff, 0xff]).await;
        assert_eq!(reply.code, -5, "opcode {opcode}");
    }
    assert_eq!(client.call(GET_DATA, &with_watch("/", false)).await.code, 0);
    // An operation that does not exist is answered, and the connection closed.
    assert_eq!(client.call(99, &[]).await.code, -6);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn identities_are_limited() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    let credentials = |user: &str| [&0_i32.to_be_bytes()[..], &buffer(b"digest"), &buffer(user.as_bytes())].concat();
    assert_eq!(client.call(AUTH, &credentials("user:password")).await.code, 0);
    assert_eq!(client.call(AUTH, &credentials(&"x".repeat(20_000))).await.code, -115);
    assert_eq!(client.next().await, None);
    let unknown = [&0_i32.to_be_bytes()[..], &buffer(b"palm"), &buffer(b"line")].concat();
    let mut client = member.client(4000).await;
    assert_eq!(client.call(AUTH, &unknown).await.code, -115);
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn a_half_open_connection_is_closed_after_a_while() {
    let options = Options { handshake_timeout: Duration::from_millis(200), ..Options::default() };
    let member = Member::start(options).await;
    let mut silent = member.raw().await;
    let mut halting = member.raw().await;
    halting.send(&[0, 0]).await;
    assert_eq!((silent.rest().await, halting.rest().await), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn too_many_connections_from_one_address_are_refused() {
    let member = Member::start(Options { connections_per_address: 2, ..Options::default() }).await;
    let (first, _second) = (member.client(4000).await, member.client(4000).await);
    let mut third = member.raw().await;
    assert_eq!(third.rest().await, b"");
    drop(first);
    // The place is free once the server has noticed; it notices by itself.
    loop {
        let mut raw = member.raw().await;
        raw.send_frame(&connect_request(0, 4000, 0, [0; 16])).await;
        if raw.frame().await.is_some() {
            break;
        }
    }
}
