//! Four-letter words, in the layouts that scripts parse.

use conclave_zookeeper::Options;

use crate::client::{CREATE, GET_DATA, Member, create, with_watch};

async fn say(member: &Member, word: &str) -> String {
    let mut raw = member.raw().await;
    raw.send(word.as_bytes()).await;
    String::from_utf8(raw.rest().await).unwrap()
}

#[tokio::test]
async fn reports_have_the_lines_that_scripts_look_for() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/n", 0)).await;

    assert_eq!(say(&member, "ruok").await, "imok");
    assert_eq!(say(&member, "isro").await, "rw");
    let srvr = say(&member, "srvr").await;
    let names: Vec<_> = srvr.lines().map(|line| line.split_once(": ").unwrap().0).collect();
    let expected = [
        "Zookeeper version",
        "Latency min/avg/max",
        "Received",
        "Sent",
        "Connections",
        "Outstanding",
        "Zxid",
        "Mode",
        "Node count",
    ];
    assert_eq!(names, expected, "{srvr}");
    assert!(srvr.contains("\nMode: standalone\nNode count: 6\n"), "{srvr}");

    let stat = say(&member, "stat").await;
    let peer = client.raw.socket.local_addr().unwrap();
    assert!(stat.contains(&format!("\nClients:\n /{peer}[1](queued=0,recved=1,sent=1)\n")), "{stat}");

    let mntr = say(&member, "mntr").await;
    for line in ["zk_server_state\tstandalone", "zk_znode_count\t6", "zk_global_sessions\t1", "zk_ephemerals_count\t0"]
    {
        assert!(mntr.lines().any(|each| each == line), "{line} is missing in {mntr}");
    }
    for line in mntr.lines() {
        assert!(line.starts_with("zk_") && line.split('\t').count() == 2, "{line:?}");
    }
    let conf = say(&member, "conf").await;
    assert!(conf.contains("tickTime=2000\n") && conf.contains("minSessionTimeout=4000\nmaxSessionTimeout=40000\n"));
    assert!(say(&member, "envi").await.starts_with("Environment:\nzookeeper.version=3."));
}

#[tokio::test]
async fn words_off_the_whitelist_are_not_answered() {
    let options = Options { words: ["ruok".to_owned()].into(), ..Options::default() };
    let member = Member::start(options).await;
    assert_eq!(say(&member, "ruok").await, "imok");
    assert_eq!(say(&member, "mntr").await, "mntr is not executed because it is not in the whitelist.\n");
    assert_eq!(say(&member, "what").await, "");
}

#[tokio::test]
async fn watches_sessions_and_counters_are_reported() {
    let member = Member::start(Options::default()).await;
    let mut client = member.client(4000).await;
    client.call(CREATE, &create("/e", 1)).await;
    client.call(GET_DATA, &with_watch("/e", true)).await;
    let session = format!("{:#x}", client.session);

    assert_eq!(say(&member, "wchs").await, "1 connections watching 1 paths\nTotal watches:1\n");
    assert_eq!(say(&member, "wchc").await, format!("{session}\n\t/e\n\n"));
    assert_eq!(say(&member, "wchp").await, format!("/e\n\t{session}\n\n"));
    let dump = say(&member, "dump").await;
    assert!(dump.contains(&format!("Sessions with Ephemerals (1):\n{session}:\n\t/e\n")), "{dump}");
    let cons = say(&member, "cons").await;
    assert!(cons.contains(&format!("recved=2,sent=2,sid={session},lop=GETD,")), "{cons}");
    assert_eq!(say(&member, "crst").await, "Connection stats reset.\n");
    assert!(say(&member, "cons").await.contains("(queued=0,recved=0,sent=0,"));
    assert_eq!(say(&member, "srst").await, "Server stats reset.\n");
    assert!(say(&member, "srvr").await.contains("\nReceived: 0\nSent: 0\n"));
    let hash = say(&member, "hash").await;
    assert!(hash.split_once(": ").is_some_and(|(_, hash)| hash.trim().len() == 32), "{hash}");
    assert_eq!(say(&member, "gtmk").await, "0");
    assert_eq!(say(&member, "stmk\0\0\0\0\0\0\x01\x02").await, "258");
    assert_eq!(say(&member, "gtmk").await, "258");
}
