//! Quotas as the real server keeps them: counted from the node of limits on, shown beside it, enforced if the rules say so.

use super::bench::{Bench, code, create, create_with, everybody, failures, multi, path_and_number, set_data};
use crate::options::Rules;
use crate::prepare::Hold;
use crate::tables::Tree;
use crate::wire::{Code, OpCode, Reader};

fn shown(bench: &Bench, path: &str) -> String {
    let tree = Tree(&bench.state);
    let node = tree.node(path).unwrap();
    let data = tree.data(path, &node).unwrap().into_owned();
    assert_eq!(usize::try_from(tree.stat(path, &node).data_length).unwrap(), data.len(), "the stat agrees");
    String::from_utf8(data).unwrap()
}

/// A node `/q` with a child of five bytes, and a quota on it.
fn with_quota(rules: Rules, limits: &[u8]) -> (Bench, Hold) {
    let (mut bench, session) = Bench::with_rules(rules);
    bench.ask(session, OpCode::Create, &create_with("/q", Some(b"abc"), &everybody(), 0)).unwrap();
    bench.ask(session, OpCode::Create, &create_with("/q/x", Some(b"12345"), &everybody(), 0)).unwrap();
    bench.create(session, "/zookeeper/quota/q", 0).unwrap();
    let path = "/zookeeper/quota/q/zookeeper_limits";
    bench.ask(session, OpCode::Create, &create_with(path, Some(limits), &everybody(), 0)).unwrap();
    bench.create(session, USAGE, 0).unwrap();
    (bench, session)
}

const USAGE: &str = "/zookeeper/quota/q/zookeeper_stats";
const HARD: &[u8] = b"count=3,bytes=100;countHardLimit=3;byteHardLimit=20";

fn enforced() -> Rules {
    Rules { enforce_quotas: true, ..Rules::default() }
}

#[test]
fn what_goes_beyond_a_hard_quota_is_refused_with_the_answers_of_the_real_server() {
    let (mut bench, session) = with_quota(enforced(), HARD);
    assert_eq!(shown(&bench, USAGE), "count=2,bytes=8");
    bench.ask(session, OpCode::Create, &create_with("/q/y", Some(b"1"), &everybody(), 0)).unwrap();
    assert_eq!(shown(&bench, USAGE), "count=3,bytes=9");
    assert_eq!(bench.create(session, "/q/z", 0), Err(code(Code::QuotaExceeded)));
    assert_eq!(bench.set(session, "/q/y", &[b'1'; 12], -1).unwrap().version, 1);
    assert_eq!(shown(&bench, USAGE), "count=3,bytes=20");
    assert_eq!(bench.set(session, "/q/y", &[b'1'; 13], -1), Err(code(Code::QuotaExceeded)));
    // The quota is asked before the version.
    assert_eq!(bench.set(session, "/q/y", &[b'1'; 13], 7), Err(code(Code::QuotaExceeded)));
    bench.delete(session, "/q/x", -1).unwrap();
    assert_eq!(shown(&bench, USAGE), "count=2,bytes=15");
    // Soft limits refuse nothing.
    bench.set(session, "/zookeeper/quota/q/zookeeper_limits", b"count=1,bytes=-1", -1).unwrap();
    bench.ask(session, OpCode::Create, &create_with("/q/z", Some(&[b'1'; 100]), &everybody(), 0)).unwrap();
    assert_eq!(shown(&bench, USAGE), "count=3,bytes=115");
    bench.check();
}

#[test]
fn a_transaction_that_goes_beyond_a_quota_leaves_no_trace() {
    let (mut bench, session) = with_quota(enforced(), HARD);
    let operations = [(OpCode::Create, create("/q/a", 0)), (OpCode::Create, create("/q/b", 0))];
    let failed = bench.ask(session, OpCode::Multi, &multi(&operations)).unwrap();
    assert_eq!(failures(&failed), [0, code(Code::QuotaExceeded)]);
    assert_eq!(shown(&bench, USAGE), "count=2,bytes=8");
}

#[test]
fn sessions_that_end_give_back_what_their_nodes_used_and_a_quota_that_goes_is_forgotten() {
    let (mut bench, session) = with_quota(Rules::default(), HARD);
    let other = bench.open(4000).hold;
    bench.ask(other, OpCode::Create, &create_with("/q/e", Some(b"1234"), &everybody(), 1)).unwrap();
    assert_eq!(bench.create(session, "/q/f", 0), Ok("/q/f".to_owned()), "rules that do not enforce only count");
    assert_eq!(shown(&bench, USAGE), "count=4,bytes=12");
    bench.expire(other.session);
    assert_eq!(shown(&bench, USAGE), "count=3,bytes=8");
    bench.delete(session, "/zookeeper/quota/q/zookeeper_limits", -1).unwrap();
    assert_eq!(Tree(&bench.state).usage("/q"), None);
    assert_eq!(shown(&bench, USAGE), "", "the node shows its own data again");
    bench.check();
}

#[test]
fn the_quota_of_the_nearest_subtree_counts() {
    let (mut bench, session) = with_quota(Rules::default(), HARD);
    bench.create(session, "/q/x/deep", 0).unwrap();
    bench.create(session, "/elsewhere", 0).unwrap();
    bench.create(session, "/qq", 0).unwrap();
    assert_eq!(shown(&bench, USAGE), "count=3,bytes=8");
}

/// The pattern that `docs/zookeeper.md` tells for fencing: write only while this very node, which nobody can create
/// again under its number, is still there.
#[test]
fn a_write_fenced_by_a_lock_that_was_lost_does_not_happen() {
    let (mut bench, session) = Bench::with_rules(Rules::default());
    for path in ["/lock", "/resource"] {
        bench.create(session, path, 0).unwrap();
    }
    let first = bench.open(4000).hold;
    let lock = bench.create(first, "/lock/holder-", 3).unwrap();
    let fenced = |lock: &str, data: &[u8]| {
        multi(&[(OpCode::Check, path_and_number(lock, 0)), (OpCode::SetData, set_data("/resource", data, -1))])
    };
    let granted = bench.ask(first, OpCode::Multi, &fenced(&lock, b"first")).unwrap();
    assert_eq!(Reader::new(&granted).int(), Ok(OpCode::Check.number()));

    // The first holder is held for dead; the second takes the lock; the first writes late, by another session.
    bench.expire(first.session);
    let second = bench.open(4000).hold;
    let next = bench.create(second, "/lock/holder-", 3).unwrap();
    assert_ne!(next, lock, "no number is given twice");
    let late = bench.ask(session, OpCode::Multi, &fenced(&lock, b"late")).unwrap();
    assert_eq!(failures(&late), [code(Code::NoNode), code(Code::RuntimeInconsistency)]);
    bench.ask(second, OpCode::Multi, &fenced(&next, b"second")).unwrap();
    let tree = Tree(&bench.state);
    assert_eq!(tree.node("/resource").unwrap().value.data, Some(&b"second"[..]));
}
