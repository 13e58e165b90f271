//! Which requests are malformed. The cases about keys written twice were compared with a real etcd 3.4.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::wire::etcdserverpb::Compare;

fn put_of(key: &'static str) -> RequestOp {
    let request = PutRequest { key: Bytes::from(key), ..PutRequest::default() };
    RequestOp { request: Some(Request::RequestPut(request)) }
}

fn delete_of(key: &'static str, range_end: &'static str) -> RequestOp {
    let (key, range_end) = (Bytes::from(key), Bytes::from(range_end));
    RequestOp { request: Some(Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: false })) }
}

fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
    RequestOp { request: Some(Request::RequestTxn(TxnRequest { compare: vec![], success, failure })) }
}

fn verdict(operations: Vec<RequestOp>) -> Result<(), Refusal> {
    transaction(&TxnRequest { compare: vec![], success: operations, failure: vec![] }, 128)
}

#[test]
fn a_key_is_written_once_on_a_path() {
    let twice = Err(Refusal::DuplicateKey);
    let cases = [
        ("two puts", vec![put_of("a"), put_of("a")], twice),
        ("two keys", vec![put_of("a"), put_of("b")], Ok(())),
        ("put and deletion", vec![put_of("a"), delete_of("a", "")], twice),
        ("put in a deleted range", vec![put_of("b"), delete_of("a", "c")], twice),
        ("put at the end of it", vec![put_of("c"), delete_of("a", "c")], Ok(())),
        ("two deletions", vec![delete_of("a", ""), delete_of("a", "")], Ok(())),
        ("deletion without an end", vec![delete_of("a", "\0"), put_of("b")], Ok(())),
        ("inverted deletion", vec![delete_of("z", "a"), put_of("b")], Ok(())),
        ("both branches", vec![nested(vec![put_of("a")], vec![put_of("a")])], Ok(())),
        ("put and nested put", vec![nested(vec![], vec![put_of("a")]), put_of("a")], twice),
        ("siblings put", vec![nested(vec![put_of("a")], vec![]), nested(vec![], vec![put_of("a")])], twice),
        (
            "sibling deletes later",
            vec![nested(vec![put_of("a")], vec![]), nested(vec![delete_of("a", "")], vec![])],
            Ok(()),
        ),
        (
            "sibling deleted before",
            vec![nested(vec![delete_of("a", "")], vec![]), nested(vec![put_of("a")], vec![])],
            twice,
        ),
        ("put under own deletion", vec![nested(vec![put_of("a")], vec![]), delete_of("a", "")], twice),
        ("put and nested deletion", vec![nested(vec![delete_of("a", "b")], vec![]), put_of("a")], twice),
        ("branches put and delete", vec![nested(vec![put_of("a")], vec![delete_of("a", "")])], Ok(())),
    ];
    for (name, operations, expected) in cases {
        assert_eq!(verdict(operations), expected, "{name}");
    }
}

#[test]
fn the_limit_shrinks_with_depth() {
    let puts = |count: usize| -> Vec<RequestOp> { (0..count).map(|_| delete_of("a", "")).collect() };
    assert_eq!(verdict(puts(128)), Ok(()));
    assert_eq!(verdict(puts(129)), Err(Refusal::TooManyOperations));
    assert_eq!(verdict(vec![nested(puts(127), vec![])]), Ok(()));
    assert_eq!(verdict(vec![nested(puts(128), vec![])]), Err(Refusal::TooManyOperations));
    let compare = vec![Compare { key: Bytes::from("a"), ..Compare::default() }; 129];
    let request = TxnRequest { compare, ..TxnRequest::default() };
    assert_eq!(transaction(&request, 128), Err(Refusal::TooManyOperations));
}

#[test]
fn parts_are_checked_like_requests_of_their_own() {
    assert_eq!(verdict(vec![put_of("")]), Err(Refusal::EmptyKey));
    assert_eq!(verdict(vec![delete_of("", "a")]), Err(Refusal::EmptyKey));
    assert_eq!(verdict(vec![nested(vec![put_of("")], vec![])]), Err(Refusal::EmptyKey));
    assert_eq!(verdict(vec![RequestOp { request: None }]), Err(Refusal::KeyNotFound));
    let request = TxnRequest { compare: vec![Compare::default()], ..TxnRequest::default() };
    assert_eq!(transaction(&request, 128), Err(Refusal::EmptyKey));
}

#[test]
fn a_put_may_not_give_what_it_ignores() {
    let put_with = |value: &'static str, lease, ignore_value, ignore_lease| {
        let (key, value) = (Bytes::from("k"), Bytes::from(value));
        put(&PutRequest { key, value, lease, prev_kv: false, ignore_value, ignore_lease })
    };
    assert_eq!(put_with("v", 1, false, false), Ok(()));
    assert_eq!(put_with("", 1, true, false), Ok(()));
    assert_eq!(put_with("v", 0, false, true), Ok(()));
    assert_eq!(put_with("v", 0, true, false), Err(Refusal::ValueProvided));
    assert_eq!(put_with("", 7, false, true), Err(Refusal::LeaseProvided));
}

#[test]
fn a_range_needs_a_known_order() {
    let with = |sort_order, sort_target| {
        range(&RangeRequest { key: Bytes::from("k"), sort_order, sort_target, ..RangeRequest::default() })
    };
    assert_eq!(with(2, 4), Ok(()));
    assert_eq!(with(3, 0), Err(Refusal::InvalidSortOption));
    assert_eq!(with(0, 9), Err(Refusal::InvalidSortOption));
    assert_eq!(range(&RangeRequest::default()), Err(Refusal::EmptyKey));
}

proptest! {
    #[test]
    fn merged_intervals_hold_what_was_put_in(
        pairs in proptest::collection::vec((proptest::collection::vec(0u8..4, 1..3), proptest::collection::vec(0u8..4, 0..3)), 0..12),
        key in proptest::collection::vec(0u8..4, 1..3),
    ) {
        let mut intervals = Intervals::default();
        for (start, end) in &pairs {
            intervals.insert_range(start, end);
        }
        let expected = pairs.iter().any(|(start, end)| if end.is_empty() { *start == key } else { *start <= key && key < *end });
        prop_assert_eq!(intervals.contains(&key), expected);
        let spans: Vec<_> = intervals.ends.iter().collect();
        prop_assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0), "disjoint and in order");
    }
}
