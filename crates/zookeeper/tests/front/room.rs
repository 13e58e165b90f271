//! When the ensemble's quota is used up: growth is refused, and whoever wants to make room can.

use conclave_zookeeper::Options;
use node::Limits;

use crate::client::{CREATE, GET_DATA, Member, PERSISTENT, SET_DATA, create, set_data, with_watch};

const OK: i32 = 0;
const QUOTA_EXCEEDED: i32 = -125;

#[tokio::test]
async fn growth_is_refused_and_the_connection_goes_on() {
    let limits = Limits { quota_soft_bytes: 4_000, quota_hard_bytes: 8_000, ..Limits::default() };
    let member = Member::limited(Options::default(), limits).await;
    let mut client = member.client(4000).await;
    assert_eq!(client.call(CREATE, &create("/n", PERSISTENT)).await.code, OK);
    assert_eq!(client.call(CREATE, &create("/m", PERSISTENT)).await.code, OK);
    assert_eq!(client.call(SET_DATA, &set_data("/n", &[7; 7_000])).await.code, OK);
    assert_eq!(client.call(SET_DATA, &set_data("/m", &[7; 3_000])).await.code, QUOTA_EXCEEDED);
    assert_eq!(client.call(GET_DATA, &with_watch("/m", false)).await.code, OK, "the connection goes on");

    // Somebody new makes room, and the refused write goes through.
    let mut other = member.client(4000).await;
    assert_eq!(other.call(SET_DATA, &set_data("/n", b"small")).await.code, OK);
    assert_eq!(client.call(SET_DATA, &set_data("/m", &[7; 3_000])).await.code, OK);
}
