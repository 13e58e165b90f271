//! What a client of ClickHouse Keeper asks that a client of ZooKeeper does not.

use conclave_zookeeper::Options;

use crate::client::{CREATE, EPHEMERAL, GET_DATA, Member, PERSISTENT, buffer, create, with_watch};

const FILTERED_LIST: i32 = 500;
const CREATE_IF_NOT_EXISTS: i32 = 502;
const REMOVE_RECURSIVE: i32 = 503;
const CHILDREN_CHANGED: i32 = 4;

fn filtered(path: &str, watch: bool, kind: i32) -> Vec<u8> {
    [with_watch(path, watch), kind.to_be_bytes().to_vec()].concat()
}

/// What a list of names begins with, before the numbers of the node.
fn names(names: &[&str]) -> Vec<u8> {
    let listed = names.iter().flat_map(|name| buffer(name.as_bytes()));
    u32::try_from(names.len()).unwrap().to_be_bytes().into_iter().chain(listed).collect()
}

#[tokio::test]
async fn children_are_listed_by_kind_and_watched() {
    const STAT_BYTES: usize = 68;
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    for (path, mode) in [("/l", PERSISTENT), ("/l/p", PERSISTENT), ("/l/e", EPHEMERAL)] {
        assert_eq!(client.call(CREATE, &create(path, mode)).await.code, 0);
    }
    for (kind, expected) in [(0, &["e", "p"][..]), (1, &["p"]), (2, &["e"])] {
        let listed = client.call(FILTERED_LIST, &filtered("/l", kind == 2, kind)).await;
        assert_eq!((listed.code, &listed.body[..listed.body.len() - STAT_BYTES]), (0, &names(expected)[..]), "{kind}");
    }
    assert_eq!(client.call(FILTERED_LIST, &filtered("/none", true, 0)).await.code, -101);
    assert_eq!(client.call(FILTERED_LIST, &filtered("/l", true, 3)).await.code, -5);

    // The mark that was left tells of any child, of whatever kind.
    client.ask(CREATE_IF_NOT_EXISTS, &create("/l/new", PERSISTENT)).await;
    let event = client.next().await.unwrap();
    assert_eq!((event.xid, &event.body[..4]), (-1, &CHILDREN_CHANGED.to_be_bytes()[..]));
    assert_eq!(client.next().await.unwrap().body, buffer(b"/l/new"));
    let remove = [buffer(b"/l"), 4_u32.to_be_bytes().to_vec()].concat();
    assert_eq!(client.call(REMOVE_RECURSIVE, &remove).await.code, 0);
    assert_eq!(client.call(FILTERED_LIST, &filtered("/l", false, 0)).await.code, -101);
    let flags = client.call(GET_DATA, &with_watch("/keeper/feature_flags", false)).await;
    assert_eq!((flags.code, &flags.body[..6]), (0, &buffer(&[0b1011_1000, 0])[..]));
}
