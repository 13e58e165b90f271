//! Everyday use: the clients that people have, against each of the three members.

use conclave_trials::clients::{etcdctl, etcdctl_going_on, script, zkcli};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::load::{connect_zookeeper, open};
use etcd_client::{Client, Compare, CompareOp, EventType, GetOptions, PutOptions, Txn, TxnOp, WatchOptions};
use zookeeper_client::CreateMode;

#[test]
fn etcdctl_works_against_each_member() {
    let ensemble = Ensemble::start(3).unwrap();
    for member in ensemble.members() {
        etcdctl_everyday(&member.etcd, &member.name);
    }
    ensemble.stop().unwrap();
}

/// Put, get, delete, transactions, watches and leases by etcdctl through one endpoint.
fn etcdctl_everyday(endpoint: &str, name: &str) {
    let call = |arguments: &[&str]| etcdctl(endpoint, arguments, "").unwrap();
    let key = |rest: &str| format!("{name}/{rest}");
    let (a, b) = (key("a"), key("b"));
    assert_eq!(call(&["put", &a, "1"]), "OK\n");
    assert_eq!(call(&["get", &a]), format!("{a}\n1\n"));
    assert_eq!(call(&["put", "--prev-kv", &a, "2"]), format!("OK\n{a}\n1\n"));
    assert_eq!(call(&["put", &b, "3"]), "OK\n");
    assert_eq!(call(&["get", "--prefix", &key("")]), format!("{a}\n2\n{b}\n3\n"));
    assert_eq!(call(&["get", "--prefix", "--keys-only", "--order=DESCEND", &key("")]), format!("{b}\n\n{a}\n\n"));
    assert_eq!(call(&["del", &b]), "1\n");
    assert_eq!(call(&["get", &b]), "");

    let transaction = |value: &str| format!("value(\"{a}\") = \"{value}\"\n\nput {b} yes\nget {a}\n\nput {b} no\n\n");
    assert_eq!(etcdctl(endpoint, &["txn"], &transaction("2")).unwrap(), format!("SUCCESS\n\nOK\n\n{a}\n2\n"));
    assert_eq!(etcdctl(endpoint, &["txn"], &transaction("9")).unwrap(), "FAILURE\n\nOK\n");
    assert_eq!(call(&["get", &b, "--print-value-only"]), "no\n");

    // A watch from the next revision on sees what is written after it, whenever it is ready.
    let next = revision(endpoint) + 1;
    let mut watch = etcdctl_going_on(endpoint, &["watch", "--prefix", &key("w"), &format!("--rev={next}")]).unwrap();
    call(&["put", &key("w/1"), "first"]);
    call(&["del", &key("w/1")]);
    let mut events = Vec::new();
    watch
        .hear("two events", |line| {
            events.push(line.to_owned());
            events.len() == 6
        })
        .unwrap();
    assert_eq!(events, ["PUT", &key("w/1"), "first", "DELETE", &key("w/1"), ""]);

    let granted = call(&["lease", "grant", "300"]);
    let lease = granted.split(' ').nth(1).unwrap();
    assert_eq!(granted, format!("lease {lease} granted with TTL(300s)\n"));
    call(&["put", &format!("--lease={lease}"), &key("leased"), "v"]);
    assert!(call(&["lease", "list"]).lines().any(|line| line == lease));
    let remaining = call(&["lease", "timetolive", "--keys", lease]);
    assert!(remaining.contains("granted with TTL(300s)") && remaining.contains(&key("leased")), "{remaining}");
    assert_eq!(call(&["lease", "keep-alive", "--once", lease]), format!("lease {lease} keepalived with TTL(300)\n"));
    assert_eq!(call(&["lease", "revoke", lease]), format!("lease {lease} revoked\n"));
    assert_eq!(call(&["get", &key("leased")]), "");

    assert_eq!(
        call(&["compact", &revision(endpoint).to_string()]),
        format!("compacted revision {}\n", revision(endpoint))
    );
    let refused = etcdctl(endpoint, &["get", &a, "--rev=2"], "").unwrap_err().to_string();
    assert!(refused.contains("required revision has been compacted"), "{refused}");
    assert!(call(&["endpoint", "health"]).is_empty(), "it reports on standard error");
    assert_eq!(call(&["member", "list"]).lines().count(), 3);
}

fn revision(endpoint: &str) -> i64 {
    let status: serde_json::Value =
        serde_json::from_str(&etcdctl(endpoint, &["endpoint", "status", "-w", "json"], "").unwrap()).unwrap();
    status[0]["Status"]["header"]["revision"].as_i64().unwrap()
}

#[test]
fn zkcli_works_against_each_member() {
    let ensemble = Ensemble::start(3).unwrap();
    for member in ensemble.members() {
        zkcli_everyday(&member.zookeeper, &member.name);
    }
    ensemble.stop().unwrap();
}

/// Create, get, ls, set, delete and watches by zkCli.sh through one server.
fn zkcli_everyday(server: &str, name: &str) {
    let root = format!("/{name}");
    let commands = [
        format!("create {root} one"),
        format!("create {root}/child-a first"),
        format!("create -s {root}/child-b- second"),
        format!("create -e {root}/child-e third"),
        format!("ls {root}"),
        format!("get -w {root}"),
        format!("set {root} two"),
        format!("get {root}"),
        format!("delete {root}/child-a"),
        format!("get {root}/child-a"),
        // zkCli.sh ends with the exit code of its last command.
        format!("stat {root}"),
    ];
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let printed = zkcli(server, &commands).unwrap();
    let expected = [
        format!("Created {root}"),
        format!("Created {root}/child-a"),
        format!("Created {root}/child-b-0000000001"),
        format!("Created {root}/child-e"),
        "[child-a, child-b-0000000001, child-e]".to_owned(),
        "one".to_owned(),
        format!("WatchedEvent state:SyncConnected type:NodeDataChanged path:{root}"),
        "two".to_owned(),
        "dataVersion = 1".to_owned(),
        "numChildren = 2".to_owned(),
        format!("Node does not exist: {root}/child-a"),
    ];
    for line in expected {
        assert!(printed.lines().any(|printed| printed.ends_with(&line)), "{server} did not print {line:?}:\n{printed}");
    }
}

#[test]
fn kazoo_works_against_each_member() {
    let ensemble = Ensemble::start(3).unwrap();
    let mut kazoo = script("everyday.py", &[&ensemble.zookeeper()]).unwrap();
    kazoo.hear("success", |line| line == "all well").unwrap();
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_written_through_one_member_is_read_through_every_other() {
    let ensemble = Ensemble::start(3).unwrap();
    for writer in ensemble.members() {
        let mut etcd = Client::connect([&writer.etcd], None).await.unwrap();
        etcd.put("shared", writer.name.as_str(), None).await.unwrap();
        let zookeeper = connect_zookeeper(&writer.zookeeper).await.unwrap();
        let path = format!("/shared-{}", writer.name);
        zookeeper.create(&path, writer.name.as_bytes(), &open(CreateMode::Persistent)).await.unwrap();
        for reader in ensemble.members() {
            let mut etcd = Client::connect([&reader.etcd], None).await.unwrap();
            let read = etcd.get("shared", None).await.unwrap();
            assert_eq!(read.kvs()[0].value_str().unwrap(), writer.name, "through {}", reader.name);
            let zookeeper = connect_zookeeper(&reader.zookeeper).await.unwrap();
            zookeeper.sync(&path).await.unwrap();
            let (data, stat) = zookeeper.get_data(&path).await.unwrap();
            assert_eq!(data, writer.name.as_bytes(), "through {}", reader.name);
            assert_eq!(stat.version, 0);
        }
    }
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_client_of_etcd_works_across_members() {
    let ensemble = Ensemble::start(3).unwrap();
    let [first, second, third] = ensemble.members() else { panic!("three members were started") };
    let mut one = Client::connect([&first.etcd], None).await.unwrap();
    let mut two = Client::connect([&second.etcd], None).await.unwrap();
    let mut three = Client::connect([&third.etcd], None).await.unwrap();

    let options = WatchOptions::new().with_prefix().with_prev_key();
    let mut watch = two.watch("k/", Some(options)).await.unwrap();
    assert!(watch.message().await.unwrap().unwrap().created());
    let lease = one.lease_grant(300, None).await.unwrap().id();
    one.put("k/1", "a", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let put = three.put("k/1", "b", Some(PutOptions::new().with_prev_key().with_lease(lease))).await.unwrap();
    assert_eq!(put.prev_key().unwrap().value(), b"a");

    let transaction = Txn::new()
        .when([Compare::version("k/1", CompareOp::Equal, 2), Compare::lease("k/1", CompareOp::Equal, lease)])
        .and_then([TxnOp::put("k/2", "c", None), TxnOp::get("k/1", None)])
        .or_else([TxnOp::put("k/never", "", None)]);
    assert!(two.txn(transaction).await.unwrap().succeeded());
    assert_eq!(two.lease_time_to_live(lease, None).await.unwrap().granted_ttl(), 300);
    one.lease_revoke(lease).await.unwrap();

    let expected = [
        (EventType::Put, "k/1", "a", None),
        (EventType::Put, "k/1", "b", Some("a")),
        (EventType::Put, "k/2", "c", None),
        (EventType::Delete, "k/1", "", Some("b")),
    ];
    let mut events = Vec::new();
    let mut revisions = Vec::new();
    while events.len() < expected.len() {
        for event in watch.message().await.unwrap().unwrap().events() {
            let pair = event.kv().unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let before = event.prev_kv().map(|before| text(before.value()));
            events.push((event.event_type(), text(pair.key()), text(pair.value()), before));
            revisions.push(pair.mod_revision());
        }
    }
    let expected = expected.map(|(kind, key, value, before)| (kind, key.into(), value.into(), before.map(Into::into)));
    assert_eq!(events, expected);
    assert!(revisions.is_sorted_by(|one, next| one < next), "{revisions:?}");

    let old = three.get("k/1", Some(GetOptions::new().with_revision(revisions[0]))).await.unwrap();
    assert_eq!(old.kvs()[0].value(), b"a");
    ensemble.stop().unwrap();
}
