//! The leader's decisions against a real state. What a case expects was seen at a real etcd 3.4 unless it says
//! otherwise.

use bytes::Bytes;
use node::NodeId;
use proptest::prelude::*;
use state::State;

use super::*;
use crate::auth::Caller;
use crate::envelope::{EnableAuth, Submission, decode_reply, encode};
use crate::refusal::Refusal;
use crate::table::KEYS;
use crate::wire::etcdserverpb::request_op::Request as Operation;
use crate::wire::etcdserverpb::response_op::Response as Outcome;
use crate::wire::etcdserverpb::*;

/// A leader that decides one request after the other, and a follower that hears only of the deltas.
struct Ensemble {
    protocol: Etcd,
    leader: State,
    follower: State,
    random: u64,
    /// Who asks.
    caller: Caller,
}

impl Ensemble {
    fn new() -> Ensemble {
        let protocol = Etcd::new(&Options::default());
        let state = State::new(protocol.tables());
        Ensemble { protocol, leader: state.clone(), follower: state, random: 7, caller: Caller::nobody() }
    }

    /// Decides encoded requests; checks that a refusal writes nothing and that the follower ends equal.
    fn decide_bytes(&mut self, request: &[u8]) -> Bytes {
        let before = self.leader.hash();
        let context = Context { random: self.random, origin: NodeId(1), term: 1 };
        let mut transaction = self.leader.begin(1000);
        let reply = self.protocol.prepare(&context, &mut transaction, request);
        let delta = transaction.finish();
        if reply[0] != 0 {
            assert!(delta.is_none(), "a refusal writes nothing");
            assert_eq!(self.leader.hash(), before);
        }
        self.follow(delta);
        reply
    }

    fn follow(&mut self, delta: Option<Bytes>) {
        if let Some(delta) = delta {
            self.follower.apply(&delta).unwrap();
        }
        assert_eq!(self.leader.hash(), self.follower.hash());
        assert_eq!(self.leader.revision(), self.follower.revision());
    }

    fn decide<S: Submission>(&mut self, request: &S) -> Result<S::Response, Refusal> {
        decode_reply::<S>(self.decide_bytes(&encode(&self.caller.clone(), request)))
    }

    fn put(&mut self, key: &str, value: &str) -> i64 {
        revision_of(self.decide(&put_request(key, value)).unwrap().header)
    }

    fn transact(&mut self, operations: Vec<RequestOp>) -> Result<TxnResponse, Refusal> {
        self.decide(&TxnRequest { success: operations, ..TxnRequest::default() })
    }

    fn holds(&mut self, compare: Compare) -> bool {
        self.decide(&TxnRequest { compare: vec![compare], ..TxnRequest::default() }).unwrap().succeeded
    }

    fn expire(&mut self, lease: i64) {
        let context = Context { random: 0, origin: NodeId(1), term: 1 };
        let mut transaction = self.leader.begin(2000);
        self.protocol.expire(&context, &mut transaction, LeaseId(lease));
        let delta = transaction.finish();
        self.follow(delta);
    }

    fn get(&self, key: &str) -> Option<crate::wire::mvccpb::KeyValue> {
        let row = self.leader.get(KEYS, key.as_bytes())?;
        Some(crate::table::key_value(Bytes::copy_from_slice(key.as_bytes()), row))
    }
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn put_request(key: &str, value: &str) -> PutRequest {
    PutRequest { key: bytes(key), value: bytes(value), ..PutRequest::default() }
}

fn put(key: &str, value: &str) -> RequestOp {
    RequestOp { request: Some(Operation::RequestPut(put_request(key, value))) }
}

fn range(key: &str, revision: i64) -> RequestOp {
    let request = RangeRequest { key: bytes(key), revision, ..RangeRequest::default() };
    RequestOp { request: Some(Operation::RequestRange(request)) }
}

fn delete(key: &str, range_end: &str) -> RequestOp {
    let request = DeleteRangeRequest { key: bytes(key), range_end: bytes(range_end), prev_kv: true };
    RequestOp { request: Some(Operation::RequestDeleteRange(request)) }
}

fn nested(operations: Vec<RequestOp>) -> RequestOp {
    let request = TxnRequest { success: operations, ..TxnRequest::default() };
    RequestOp { request: Some(Operation::RequestTxn(request)) }
}

fn revision_of(header: Option<ResponseHeader>) -> i64 {
    header.expect("every response has a header").revision
}

#[test]
fn the_first_put_is_revision_two() {
    let mut ensemble = Ensemble::new();
    assert_eq!(ensemble.put("a", "1"), 2);
    assert_eq!(ensemble.put("a", "2"), 3);
    let kv = ensemble.get("a").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version, &*kv.value), (2, 3, 2, &b"2"[..]));
}

#[test]
fn a_put_gives_the_previous_and_keeps_what_it_ignores() {
    let mut ensemble = Ensemble::new();
    let first = PutRequest { prev_kv: true, ..put_request("a", "1") };
    assert_eq!(ensemble.decide(&first).unwrap().prev_kv, None);
    ensemble.decide(&LeaseGrantRequest { id: 9, ttl: 60 }).unwrap();
    ensemble.decide(&PutRequest { lease: 9, prev_kv: true, ignore_value: true, ..put_request("a", "") }).unwrap();
    let kv = ensemble.get("a").unwrap();
    assert_eq!((&*kv.value, kv.lease), (&b"1"[..], 9));
    let last = PutRequest { prev_kv: true, ignore_lease: true, ..put_request("a", "2") };
    assert_eq!(ensemble.decide(&last).unwrap().prev_kv, Some(kv));
    let kv = ensemble.get("a").unwrap();
    assert_eq!((&*kv.value, kv.lease), (&b"2"[..], 9));
    ensemble.put("a", "3");
    assert_eq!(ensemble.get("a").unwrap().lease, 0, "a plain put detaches");
}

#[test]
fn a_put_is_refused_for_what_it_needs_and_does_not_find() {
    let mut ensemble = Ensemble::new();
    let keep = PutRequest { ignore_value: true, ..put_request("a", "") };
    assert_eq!(ensemble.decide(&keep), Err(Refusal::KeyNotFound));
    let keep = PutRequest { ignore_lease: true, ..put_request("a", "1") };
    assert_eq!(ensemble.decide(&keep), Err(Refusal::KeyNotFound));
    let leased = PutRequest { lease: 5, ..put_request("a", "1") };
    assert_eq!(ensemble.decide(&leased), Err(Refusal::LeaseNotFound));
    assert_eq!(ensemble.decide(&put_request("", "1")), Err(Refusal::EmptyKey));
    let both = PutRequest { lease: 5, ignore_value: true, ..put_request("a", "") };
    assert_eq!(ensemble.decide(&both), Err(Refusal::LeaseNotFound), "alone, the lease is looked at first");
    let operation = RequestOp { request: Some(Operation::RequestPut(both)) };
    assert_eq!(ensemble.transact(vec![operation]), Err(Refusal::KeyNotFound), "in a transaction, the key");
}

#[test]
fn deleting_nothing_changes_nothing() {
    let mut ensemble = Ensemble::new();
    ensemble.put("a", "1");
    let request = DeleteRangeRequest { key: bytes("b"), range_end: bytes("\0"), prev_kv: true };
    let response = ensemble.decide(&request).unwrap();
    assert_eq!((response.deleted, revision_of(response.header)), (0, 2));
}

#[test]
fn a_range_is_deleted_in_one_revision() {
    let mut ensemble = Ensemble::new();
    for key in ["a", "b", "c", "d"] {
        ensemble.put(key, key);
    }
    let request = DeleteRangeRequest { key: bytes("b"), range_end: bytes("d"), prev_kv: true };
    let response = ensemble.decide(&request).unwrap();
    assert_eq!((response.deleted, revision_of(response.header)), (2, 6));
    let keys: Vec<&[u8]> = response.prev_kvs.iter().map(|kv| &*kv.key).collect();
    assert_eq!(keys, [b"b", b"c"]);
    assert!(ensemble.get("b").is_none() && ensemble.get("d").is_some());
    assert_eq!(ensemble.put("b", "again"), 7);
    assert_eq!(ensemble.get("b").unwrap().create_revision, 7);
}

#[test]
fn a_transaction_reads_its_own_writes_at_one_revision() {
    let mut ensemble = Ensemble::new();
    ensemble.put("x", "0");
    let operations =
        vec![range("x", 0), nested(vec![put("y", "1")]), range("y", 0), range("x", 2), put("x", "1"), range("x", 2)];
    let response = ensemble.transact(operations).unwrap();
    assert_eq!(revision_of(response.header), 3);
    let inner: Vec<(i64, usize)> = response
        .responses
        .iter()
        .map(|response| match response.response.as_ref().unwrap() {
            Outcome::ResponseRange(response) => (revision_of(response.header), response.kvs.len()),
            Outcome::ResponsePut(response) => (revision_of(response.header), 0),
            Outcome::ResponseTxn(response) => (revision_of(response.header), response.responses.len()),
            Outcome::ResponseDeleteRange(_) => unreachable!("nothing is deleted"),
        })
        .collect();
    assert_eq!(inner, [(2, 1), (0, 1), (3, 1), (3, 1), (3, 0), (3, 1)]);
    let Some(Outcome::ResponseRange(past)) = &response.responses[5].response else { panic!("a range") };
    assert_eq!(&*past.kvs[0].value, b"0", "an old revision is read as it was, whatever was written since");
}

#[test]
fn a_key_may_be_deleted_and_put_by_one_transaction() {
    let mut ensemble = Ensemble::new();
    ensemble.put("b", "1");
    let response = ensemble.transact(vec![delete("a", "\0"), put("b", "2")]).unwrap();
    assert_eq!(revision_of(response.header), 3);
    let kv = ensemble.get("b").unwrap();
    assert_eq!((kv.create_revision, kv.version), (3, 1));
    let response = ensemble.transact(vec![nested(vec![put("c", "1")]), nested(vec![delete("c", "")])]).unwrap();
    let Some(Outcome::ResponseTxn(second)) = &response.responses[1].response else { panic!("a transaction") };
    let Some(Outcome::ResponseDeleteRange(deleted)) = &second.responses[0].response else { panic!("a deletion") };
    assert_eq!((deleted.deleted, deleted.prev_kvs[0].mod_revision), (1, 4));
    assert!(ensemble.get("c").is_none());
    assert_eq!(ensemble.put("d", ""), 5, "what came and went took a revision");
}

#[test]
fn a_transaction_without_writes_takes_no_revision() {
    let mut ensemble = Ensemble::new();
    ensemble.put("a", "1");
    for operations in [vec![], vec![range("a", 0)], vec![delete("z", "")]] {
        let response = ensemble.transact(operations).unwrap();
        assert_eq!((response.succeeded, revision_of(response.header)), (true, 2));
    }
}

#[test]
fn a_transaction_is_refused_whole() {
    let mut ensemble = Ensemble::new();
    ensemble.put("a", "1");
    let keep = Operation::RequestPut(PutRequest { ignore_value: true, ..put_request("z", "") });
    let leased = Operation::RequestPut(PutRequest { lease: 5, ..put_request("z", "") });
    let of = |request| RequestOp { request: Some(request) };
    let cases = [
        (vec![put("b", ""), of(keep)], Refusal::KeyNotFound),
        (vec![put("b", ""), of(leased)], Refusal::LeaseNotFound),
        (vec![put("b", ""), range("a", 3)], Refusal::FutureRevision),
        (vec![put("b", ""), nested(vec![range("a", 30)])], Refusal::FutureRevision),
        (vec![put("b", ""), range("a", -1)], Refusal::Compacted),
        (vec![put("b", ""), put("b", "")], Refusal::DuplicateKey),
        (vec![RequestOp { request: None }], Refusal::KeyNotFound),
    ];
    for (operations, refusal) in cases {
        assert_eq!(ensemble.transact(operations), Err(refusal));
    }
    assert!(ensemble.get("b").is_none());
}

#[test]
fn comparisons_see_the_state_before_the_transaction() {
    let mut ensemble = Ensemble::new();
    let absent = Compare { key: bytes("a"), ..Compare::default() };
    let check = TxnRequest { compare: vec![absent], success: vec![range("a", 0)], failure: vec![put("b", "")] };
    let nested = RequestOp { request: Some(Operation::RequestTxn(check)) };
    let response = ensemble.transact(vec![put("a", "1"), nested]).unwrap();
    let Some(Outcome::ResponseTxn(inner)) = &response.responses[1].response else { panic!("a transaction") };
    assert!(inner.succeeded, "the key was absent when the transaction began");
}

#[test]
fn comparisons() {
    use compare::{CompareResult as R, CompareTarget as T, TargetUnion as U};
    let mut ensemble = Ensemble::new();
    ensemble.put("x1", "v");
    ensemble.put("x2", "v");
    ensemble.put("x2", "w");
    let of = |key: &str, end: &str, result: R, target: T, union: Option<U>| Compare {
        result: result.into(),
        target: target.into(),
        key: bytes(key),
        target_union: union,
        range_end: bytes(end),
    };
    let cases = [
        ("equal", of("x1", "", R::Equal, T::Version, Some(U::Version(1))), true),
        ("less", of("x1", "", R::Less, T::Mod, Some(U::ModRevision(3))), true),
        ("not less", of("x1", "", R::Less, T::Mod, Some(U::ModRevision(2))), false),
        ("greater", of("x2", "", R::Greater, T::Version, Some(U::Version(1))), true),
        ("created", of("x2", "", R::Equal, T::Create, Some(U::CreateRevision(3))), true),
        ("lease", of("x2", "", R::NotEqual, T::Lease, Some(U::Lease(1))), true),
        ("value", of("x2", "", R::Equal, T::Value, Some(U::Value(bytes("w")))), true),
        ("values sort", of("x2", "", R::Greater, T::Value, Some(U::Value(bytes("v")))), true),
        ("every key of a range", of("x", "y", R::Equal, T::Version, Some(U::Version(1))), false),
        ("every key from one on", of("x", "\0", R::Greater, T::Version, Some(U::Version(0))), true),
        ("an absent key is zero", of("no", "", R::Equal, T::Create, None), true),
        ("an absent key has no value", of("no", "", R::NotEqual, T::Value, Some(U::Value(bytes("1")))), false),
        ("an empty range is zero", of("y", "x", R::Equal, T::Version, Some(U::Version(0))), true),
        ("a number under another name is zero", of("x1", "", R::Equal, T::Version, Some(U::Lease(1))), false),
    ];
    for (name, compare, expected) in cases {
        assert_eq!(ensemble.holds(compare), expected, "{name}");
    }
    assert!(ensemble.holds(Compare { result: 9, key: bytes("x1"), ..Compare::default() }), "an unknown result holds");
}

#[test]
fn compaction_moves_forward_only() {
    let mut ensemble = Ensemble::new();
    for value in ["1", "2", "3"] {
        ensemble.put("a", value);
    }
    let compact = |ensemble: &mut Ensemble, revision| ensemble.decide(&CompactionRequest { revision, physical: false });
    assert_eq!(compact(&mut ensemble, 5), Err(Refusal::FutureRevision));
    assert_eq!(compact(&mut ensemble, -1), Err(Refusal::Compacted));
    assert_eq!(revision_of(compact(&mut ensemble, 0).unwrap().header), 4);
    assert_eq!(revision_of(compact(&mut ensemble, 3).unwrap().header), 4);
    assert_eq!(compact(&mut ensemble, 3), Err(Refusal::Compacted));
    assert_eq!(compact(&mut ensemble, 0), Err(Refusal::Compacted));
    assert_eq!(ensemble.transact(vec![range("a", 2)]), Err(Refusal::Compacted));
    assert!(ensemble.transact(vec![range("a", 3)]).is_ok());
}

#[test]
fn leases_are_granted_under_their_limits() {
    let mut ensemble = Ensemble::new();
    let grant = |ensemble: &mut Ensemble, id, ttl| ensemble.decide(&LeaseGrantRequest { id, ttl });
    let cases = [
        ((5, 0), Ok((5, 2))),
        ((-5, 100), Ok((-5, 100))),
        ((-5, 100), Err(Refusal::LeaseExists)),
        ((6, -3), Ok((6, 2))),
        ((7, 9_000_000_000), Ok((7, 9_000_000_000))),
        ((8, 9_000_000_001), Err(Refusal::LeaseTtlTooLarge)),
    ];
    for ((id, ttl), expected) in cases {
        let granted = grant(&mut ensemble, id, ttl).map(|response| (response.id, response.ttl));
        assert_eq!(granted, expected);
    }
    ensemble.put("a", "");
    let response = grant(&mut ensemble, 10, 10).unwrap();
    assert_eq!(revision_of(response.header), 2, "a grant takes no revision");
}

#[test]
fn a_picked_id_is_positive_and_free() {
    let mut ensemble = Ensemble::new();
    ensemble.random = 0;
    let first = ensemble.decide(&LeaseGrantRequest { id: 0, ttl: 10 }).unwrap().id;
    let second = ensemble.decide(&LeaseGrantRequest { id: 0, ttl: 10 }).unwrap().id;
    assert_eq!((first, second), (1, 2));
    ensemble.random = u64::MAX;
    let third = ensemble.decide(&LeaseGrantRequest { id: 0, ttl: 10 }).unwrap().id;
    let fourth = ensemble.decide(&LeaseGrantRequest { id: 0, ttl: 10 }).unwrap().id;
    assert_eq!((third, fourth), (i64::MAX, 3));
}

#[test]
fn a_lease_takes_its_keys_along_in_one_revision() {
    for expires in [false, true] {
        let mut ensemble = Ensemble::new();
        ensemble.decide(&LeaseGrantRequest { id: 9, ttl: 60 }).unwrap();
        for key in ["l1", "l0"] {
            ensemble.decide(&PutRequest { lease: 9, ..put_request(key, "") }).unwrap();
        }
        ensemble.put("stays", "");
        if expires {
            ensemble.expire(9);
        } else {
            let response = ensemble.decide(&LeaseRevokeRequest { id: 9 }).unwrap();
            assert_eq!(revision_of(response.header), 5);
        }
        assert_eq!(ensemble.leader.revision(), 5);
        let gone: Vec<Bytes> = ensemble.leader.changes(5).unwrap().map(|change| change.key.to_bytes()).collect();
        assert_eq!(gone, ["l0", "l1"]);
        assert!(ensemble.get("stays").is_some());
        assert_eq!(ensemble.decide(&LeaseRevokeRequest { id: 9 }), Err(Refusal::LeaseNotFound));
    }
}

#[test]
fn a_lease_without_keys_ends_without_a_revision() {
    let mut ensemble = Ensemble::new();
    ensemble.put("a", "");
    ensemble.decide(&LeaseGrantRequest { id: 9, ttl: 60 }).unwrap();
    let response = ensemble.decide(&LeaseRevokeRequest { id: 9 }).unwrap();
    assert_eq!(revision_of(response.header), 2);
    ensemble.decide(&LeaseGrantRequest { id: 10, ttl: 60 }).unwrap();
    ensemble.expire(10);
    ensemble.expire(10);
    assert_eq!((ensemble.leader.revision(), ensemble.leader.lease_count()), (2, 0));
}

#[test]
fn leases_of_other_protocols_do_not_exist() {
    let mut ensemble = Ensemble::new();
    let mut transaction = ensemble.leader.begin(0);
    transaction.grant(LeaseId(77), 1000, PROTOCOL.0 + 1);
    let delta = transaction.finish();
    ensemble.follow(delta);
    assert_eq!(ensemble.decide(&PutRequest { lease: 77, ..put_request("a", "") }), Err(Refusal::LeaseNotFound));
    assert_eq!(ensemble.decide(&LeaseRevokeRequest { id: 77 }), Err(Refusal::LeaseNotFound));
    assert_eq!(ensemble.decide(&LeaseGrantRequest { id: 77, ttl: 10 }), Err(Refusal::LeaseExists));
    ensemble.expire(77);
    assert_eq!(ensemble.leader.lease_count(), 1);
}

#[test]
fn reading_transactions_are_recognised() {
    let of = |operations| TxnRequest { success: operations, ..TxnRequest::default() };
    assert!(is_read_only(&of(vec![])));
    assert!(is_read_only(&of(vec![range("a", 0), nested(vec![range("a", 0)])])));
    assert!(!is_read_only(&of(vec![nested(vec![put("a", "")])])));
    assert!(!is_read_only(&TxnRequest { failure: vec![delete("a", "")], ..TxnRequest::default() }));
    assert!(is_serializable(&of(vec![])));
    assert!(!is_serializable(&of(vec![range("a", 0)])));
}

#[test]
fn a_view_answers_what_the_leader_would() {
    let mut ensemble = Ensemble::new();
    ensemble.put("a", "1");
    ensemble.put("a", "2");
    let request = TxnRequest {
        compare: vec![Compare { key: bytes("a"), ..Compare::default() }],
        success: vec![put("b", "")],
        failure: vec![range("a", 0), range("a", 2), nested(vec![range("b", 0)])],
    };
    let by_view = read(&ensemble.leader, &request).expect("the picked branch only reads");
    assert_eq!(by_view, ensemble.decide(&request));
    let writes = TxnRequest { success: vec![put("b", "")], ..TxnRequest::default() };
    assert!(read(&ensemble.leader, &writes).is_none());
    let future = TxnRequest { success: vec![range("a", 9)], ..TxnRequest::default() };
    assert_eq!(read(&ensemble.leader, &future), Some(Err(Refusal::FutureRevision)));
}

proptest! {
    #[test]
    fn garbage_is_refused_without_a_trace(request in proptest::collection::vec(any::<u8>(), 0..40), kind in 0u8..8) {
        let mut ensemble = Ensemble::new();
        ensemble.put("a", "1");
        ensemble.decide_bytes(&request);
        ensemble.decide_bytes(&[&[kind], &request[..]].concat());
    }
}

/// Accounts as a story: each step with the refusal that the real server gives, or none.
#[test]
fn accounts_are_administered_as_in_the_real_server() {
    let mut ensemble = Ensemble::new();
    let hash = "JDJhJDA0JA==";
    let add = |name: &str| AuthUserAddRequest {
        name: name.to_owned(),
        hashed_password: hash.to_owned(),
        ..AuthUserAddRequest::default()
    };
    let grant = |user: &str, role: &str| AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
    let revoke = |name: &str, role: &str| AuthUserRevokeRoleRequest { name: name.to_owned(), role: role.to_owned() };
    let role = |name: &str| AuthRoleAddRequest { name: name.to_owned() };
    let enable = EnableAuth { secret: vec![7; 32] };

    assert_eq!(ensemble.decide(&enable).unwrap_err(), Refusal::RootUserMissing);
    assert_eq!(ensemble.decide(&add("")).unwrap_err(), Refusal::UserEmpty);
    ensemble.decide(&add("root")).unwrap();
    assert_eq!(ensemble.decide(&add("root")).unwrap_err(), Refusal::UserExists);
    assert_eq!(ensemble.decide(&enable).unwrap_err(), Refusal::RootRoleMissing);
    assert_eq!(ensemble.decide(&grant("alice", "reader")).unwrap_err(), Refusal::UserNotFound);
    ensemble.decide(&add("alice")).unwrap();
    assert_eq!(ensemble.decide(&grant("alice", "reader")).unwrap_err(), Refusal::RoleNotFound);
    assert_eq!(ensemble.decide(&role("")).unwrap_err(), Refusal::RoleEmpty);
    ensemble.decide(&role("reader")).unwrap();
    assert_eq!(ensemble.decide(&role("reader")).unwrap_err(), Refusal::RoleExists);
    ensemble.decide(&grant("alice", "reader")).unwrap();
    assert_eq!(ensemble.decide(&revoke("alice", "other")).unwrap_err(), Refusal::RoleNotGranted);
    // The role of root can be granted without being there.
    ensemble.decide(&grant("root", "root")).unwrap();
    ensemble.decide(&enable).unwrap();
    assert_eq!(accounts_revision(&ensemble), 6);
    assert_eq!(ensemble.leader.revision(), 1, "keys have a revision of their own");

    assert_eq!(ensemble.decide(&role("late")).unwrap_err(), Refusal::UserEmpty);
    ensemble.caller = known("alice");
    assert_eq!(ensemble.decide(&role("late")).unwrap_err(), Refusal::PermissionDenied);
    ensemble.caller = known("root");
    assert_eq!(ensemble.decide(&revoke("root", "root")).unwrap_err(), Refusal::InvalidAuthManagement);
    let delete = |name: &str| AuthUserDeleteRequest { name: name.to_owned() };
    assert_eq!(ensemble.decide(&delete("root")).unwrap_err(), Refusal::InvalidAuthManagement);
    let role_delete = |role: &str| AuthRoleDeleteRequest { role: role.to_owned() };
    assert_eq!(ensemble.decide(&role_delete("root")).unwrap_err(), Refusal::InvalidAuthManagement);
    assert_eq!(ensemble.decide(&role_delete("none")).unwrap_err(), Refusal::RoleNotFound);
    ensemble.decide(&role_delete("reader")).unwrap();
    assert!(crate::auth::accounts::user(&ensemble.leader, "alice").unwrap().roles.is_empty());
    ensemble.decide(&AuthDisableRequest {}).unwrap();
    ensemble.caller = Caller::nobody();
    ensemble.decide(&delete("root")).unwrap();
}

fn known(user: &str) -> Caller {
    Caller { user: user.to_owned(), ..Caller::nobody() }
}

fn accounts_revision(ensemble: &Ensemble) -> u64 {
    crate::auth::accounts::settings(&ensemble.leader).revision
}

fn permission(
    kind: crate::wire::authpb::permission::Type,
    key: &str,
    range_end: &str,
) -> AuthRoleGrantPermissionRequest {
    let perm = crate::wire::authpb::Permission { perm_type: kind.into(), key: bytes(key), range_end: bytes(range_end) };
    AuthRoleGrantPermissionRequest { name: "role".to_owned(), perm: Some(perm) }
}

/// An ensemble with authentication, root, and `alice` who has `role`.
fn guarded() -> Ensemble {
    let mut ensemble = Ensemble::new();
    for name in ["root", "alice"] {
        let request = AuthUserAddRequest { name: name.to_owned(), ..AuthUserAddRequest::default() };
        ensemble.decide(&request).unwrap();
    }
    ensemble.decide(&AuthRoleAddRequest { name: "role".to_owned() }).unwrap();
    for (user, role) in [("root", "root"), ("alice", "role")] {
        let request = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
        ensemble.decide(&request).unwrap();
    }
    ensemble.decide(&EnableAuth { secret: vec![7; 32] }).unwrap();
    ensemble
}

#[test]
fn a_permission_is_for_its_range_and_its_kind() {
    use crate::wire::authpb::permission::Type;
    let mut ensemble = guarded();
    ensemble.caller = known("root");
    ensemble.decide(&permission(Type::Write, "a", "c")).unwrap();
    ensemble.decide(&permission(Type::Read, "b", "")).unwrap();
    assert_eq!(
        ensemble.decide(&permission(Type::Read, "b", "a")).unwrap_err(),
        Refusal::InvalidAuthManagement,
        "an empty range"
    );
    ensemble.caller = known("alice");
    let put = |key: &str, prev_kv| PutRequest { prev_kv, ..put_request(key, "v") };
    ensemble.decide(&put("a", false)).unwrap();
    assert_eq!(ensemble.decide(&put("a", true)).unwrap_err(), Refusal::PermissionDenied, "she may not read it");
    ensemble.decide(&put("b", true)).unwrap();
    assert_eq!(ensemble.decide(&put("c", false)).unwrap_err(), Refusal::PermissionDenied);
    assert_eq!(ensemble.transact(vec![nested(vec![put_operation("c")])]).unwrap_err(), Refusal::PermissionDenied);
    assert_eq!(ensemble.transact(vec![range("a", 0), put_operation("a")]).unwrap_err(), Refusal::PermissionDenied);
    ensemble.transact(vec![range("b", 0), put_operation("a")]).unwrap();
    assert_eq!(ensemble.transact(vec![delete("a", "d")]).unwrap_err(), Refusal::PermissionDenied);

    // A lease that holds a key which she may not write is not hers to attach to, nor to end.
    ensemble.caller = known("root");
    let lease = ensemble.decide(&LeaseGrantRequest { ttl: 60, id: 9 }).unwrap().id;
    ensemble.decide(&PutRequest { lease, ..put_request("z", "") }).unwrap();
    ensemble.caller = known("alice");
    let attach = PutRequest { lease, ..put_request("a", "") };
    assert_eq!(ensemble.decide(&attach).unwrap_err(), Refusal::PermissionDenied);
    assert_eq!(ensemble.decide(&LeaseRevokeRequest { id: lease }).unwrap_err(), Refusal::PermissionDenied);

    // What is granted or taken holds from the very next request on.
    ensemble.caller = known("root");
    let take = AuthRoleRevokePermissionRequest { role: "role".to_owned(), key: bytes("a"), range_end: bytes("c") };
    ensemble.decide(&take).unwrap();
    assert_eq!(ensemble.decide(&take).unwrap_err(), Refusal::PermissionNotGranted);
    ensemble.caller = known("alice");
    assert_eq!(ensemble.decide(&put("a", false)).unwrap_err(), Refusal::PermissionDenied);
}

fn put_operation(key: &str) -> RequestOp {
    put(key, "v")
}

#[test]
fn tokens_of_another_time_are_worth_nothing() {
    let mut ensemble = guarded();
    let generation = crate::auth::accounts::user(&ensemble.leader, "alice").unwrap().generation;
    ensemble.caller = Caller { generation: generation + 1, ..known("alice") };
    assert_eq!(ensemble.decide(&put_request("a", "")).unwrap_err(), Refusal::InvalidAuthToken);
    // So is what takes no permission, though nobody in particular may do it.
    assert_eq!(ensemble.decide(&TxnRequest::default()).unwrap_err(), Refusal::InvalidAuthToken);
    assert_eq!(ensemble.decide(&CompactionRequest::default()).unwrap_err(), Refusal::InvalidAuthToken);
    ensemble.caller = Caller::nobody();
    assert!(ensemble.decide(&TxnRequest::default()).unwrap().succeeded);
    ensemble.caller = Caller { revision: accounts_revision(&ensemble) - 1, ..known("alice") };
    assert_eq!(ensemble.decide(&put_request("a", "")).unwrap_err(), Refusal::AuthOldRevision);
    ensemble.caller = Caller { generation, ..known("alice") };
    assert_eq!(ensemble.decide(&put_request("a", "")).unwrap_err(), Refusal::PermissionDenied);
    ensemble.caller = known("nobody");
    assert_eq!(ensemble.decide(&put_request("a", "")).unwrap_err(), Refusal::PermissionDenied);
}
