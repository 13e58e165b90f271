//! Ranges against a model that knows every version of every key, and the cases worth a name.

use std::collections::BTreeMap;

use proptest::prelude::*;
use state::LeaseId;

use super::*;
use crate::table::TABLES;
use crate::wire::mvccpb::KeyValue;

fn state_of(writes: &[(&str, &str)]) -> State {
    let mut state = State::new(TABLES);
    for (key, value) in writes {
        put(&mut state, key.as_bytes(), value.as_bytes());
    }
    state
}

fn put(state: &mut State, key: &[u8], value: &[u8]) {
    let mut transaction = state.begin(0);
    transaction.put(KEYS, key, value, LeaseId::NONE);
    transaction.finish();
}

fn delete(state: &mut State, key: &[u8]) {
    let mut transaction = state.begin(0);
    transaction.delete(KEYS, key);
    transaction.finish();
}

fn request(key: &str, range_end: &str) -> RangeRequest {
    let (key, range_end) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(range_end.as_bytes()));
    RangeRequest { key, range_end, ..RangeRequest::default() }
}

fn keys(response: &RangeResponse) -> Vec<&str> {
    response.kvs.iter().map(|kv| std::str::from_utf8(&kv.key).unwrap()).collect()
}

/// a, b, c and d at revisions 2 to 5, then b again at 6 and a at 7.
fn sample() -> State {
    state_of(&[("a", "4"), ("b", "3"), ("c", "2"), ("d", "1"), ("b", "9"), ("a", "8")])
}

#[test]
fn orders_and_limits() {
    let state = sample();
    let sorted = |target: SortTarget, order: SortOrder, limit| {
        let (sort_target, sort_order) = (target.into(), order.into());
        let request = RangeRequest { sort_target, sort_order, limit, ..request("a", "\0") };
        let response = answer(&state, &request).unwrap();
        (keys(&response).concat(), response.more, response.count)
    };
    use SortOrder::{Ascend, Descend, None};
    use SortTarget::{Create, Key, Mod, Value, Version};
    let cases = [
        ((Key, None, 0), ("abcd", false)),
        ((Key, Ascend, 2), ("ab", true)),
        ((Key, Descend, 0), ("dcba", false)),
        ((Key, Descend, 2), ("dc", true)),
        ((Key, Descend, 4), ("dcba", false)),
        ((Version, Ascend, 0), ("cdab", false)),
        ((Version, Descend, 3), ("abc", true)),
        ((Create, Descend, 1), ("d", true)),
        ((Mod, Ascend, 0), ("cdba", false)),
        ((Value, Ascend, 2), ("dc", true)),
        // Without an order the limit comes first: of a, b and one more the two with the lowest versions remain.
        ((Version, None, 2), ("ca", true)),
        ((Version, None, 0), ("cdab", false)),
    ];
    for ((target, order, limit), (expected, more)) in cases {
        assert_eq!(sorted(target, order, limit), (expected.to_owned(), more, 4), "{target:?} {order:?} {limit}");
    }
}

#[test]
fn the_count_knows_neither_limit_nor_filter() {
    let state = sample();
    let response = answer(&state, &RangeRequest { limit: 1, min_mod_revision: 6, ..request("a", "\0") }).unwrap();
    assert_eq!((keys(&response), response.more, response.count), (vec!["a"], true, 4));
    let response = answer(&state, &RangeRequest { count_only: true, limit: 1, ..request("a", "c") }).unwrap();
    assert_eq!((response.kvs.len(), response.more, response.count), (0, false, 2));
    let response = answer(&state, &RangeRequest { limit: -2, ..request("a", "c") }).unwrap();
    assert_eq!((keys(&response), response.more), (vec!["a", "b"], false));
}

#[test]
fn keys_only_leaves_out_the_values_even_if_they_are_sorted_by() {
    let state = sample();
    let sort_target = SortTarget::Value.into();
    let response = answer(&state, &RangeRequest { keys_only: true, sort_target, ..request("a", "\0") }).unwrap();
    assert_eq!(keys(&response), ["d", "c", "a", "b"]);
    assert!(response.kvs.iter().all(|kv| kv.value.is_empty() && kv.version > 0));
}

#[test]
fn revisions_that_are_not_there() {
    let mut state = sample();
    let at = |state: &State, revision| answer(state, &RangeRequest { revision, ..request("a", "") });
    assert_eq!(at(&state, 8), Err(Refusal::FutureRevision));
    assert_eq!(at(&state, 1).unwrap().count, 0);
    let mut transaction = state.begin(0);
    transaction.compact(4).unwrap();
    transaction.finish();
    assert_eq!(at(&state, 3), Err(Refusal::Compacted));
    assert_eq!(&*at(&state, 4).unwrap().kvs[0].value, b"4");
    assert_eq!(&*at(&state, -3).unwrap().kvs[0].value, b"8", "a negative revision is the newest");
    assert_eq!(at(&state, 4).unwrap().header.unwrap().revision, 7, "the header tells the present");
}

#[test]
fn the_cost_is_what_must_be_visited() {
    let state = sample();
    assert_eq!(cost(&state, &request("a", "")), 1);
    assert_eq!(cost(&state, &request("a", "\0")), 4);
    assert_eq!(cost(&state, &RangeRequest { limit: 1, ..request("a", "\0") }), 2);
    assert_eq!(cost(&state, &RangeRequest { count_only: true, ..request("a", "\0") }), 1);
    let (sort_order, sort_target) = (SortOrder::Descend.into(), SortTarget::Mod.into());
    assert_eq!(cost(&state, &RangeRequest { limit: 1, sort_order, sort_target, ..request("a", "\0") }), 4);
}

/// What the API says a range is, written down without care for speed.
fn expected(versions: &BTreeMap<u64, BTreeMap<Vec<u8>, KeyValue>>, now: u64, request: &RangeRequest) -> RangeResponse {
    let at = if request.revision > 0 { u64::try_from(request.revision).unwrap() } else { now };
    let range = KeyRange::new(request.key.clone(), request.range_end.clone());
    let mut kvs: Vec<KeyValue> = versions[&at].values().filter(|kv| range.contains(&kv.key)).cloned().collect();
    let count = signed_count(kvs.len());
    let header = Some(ResponseHeader { revision: signed(now), ..ResponseHeader::default() });
    if request.count_only {
        return RangeResponse { header, count, ..RangeResponse::default() };
    }
    let within = |min: i64, max: i64, revision: i64| (min == 0 || revision >= min) && (max == 0 || revision <= max);
    kvs.retain(|kv| within(request.min_mod_revision, request.max_mod_revision, kv.mod_revision));
    kvs.retain(|kv| within(request.min_create_revision, request.max_create_revision, kv.create_revision));
    kvs.sort_by(|left, right| match request.sort_target() {
        SortTarget::Key => left.key.cmp(&right.key),
        SortTarget::Version => left.version.cmp(&right.version),
        SortTarget::Create => left.create_revision.cmp(&right.create_revision),
        SortTarget::Mod => left.mod_revision.cmp(&right.mod_revision),
        SortTarget::Value => left.value.cmp(&right.value),
    });
    if request.sort_order() == SortOrder::Descend {
        kvs.reverse();
        // Equals stay in the order of their keys.
        let targets = |kv: &KeyValue| match request.sort_target() {
            SortTarget::Key => (0, Bytes::new(), kv.key.clone()),
            SortTarget::Version => (kv.version, Bytes::new(), Bytes::new()),
            SortTarget::Create => (kv.create_revision, Bytes::new(), Bytes::new()),
            SortTarget::Mod => (kv.mod_revision, Bytes::new(), Bytes::new()),
            SortTarget::Value => (0, kv.value.clone(), Bytes::new()),
        };
        kvs.chunk_by_mut(|left, right| targets(left) == targets(right)).for_each(<[KeyValue]>::reverse);
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let more = kvs.len() > limit;
    kvs.truncate(limit);
    if request.keys_only {
        kvs.iter_mut().for_each(|kv| kv.value.clear());
    }
    RangeResponse { header, kvs, more, count }
}

#[derive(Clone, Debug)]
enum Write {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0u8..3, 1..3)
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => (key(), proptest::collection::vec(0u8..3, 0..2)).prop_map(|(key, value)| Write::Put(key, value)),
        1 => key().prop_map(Write::Delete),
    ]
}

prop_compose! {
    fn any_request()(
        key in key(),
        range_end in proptest::collection::vec(0u8..4, 0..3),
        limit in 0i64..5,
        revision in 0i64..12,
        sort_order in prop_oneof![Just(0), Just(1), Just(2)],
        sort_target in 0i32..5,
        flags in (any::<bool>(), any::<bool>()),
        filters in proptest::option::of((0i64..8, 0i64..12, 0i64..8, 0i64..12)),
    ) -> RangeRequest {
        let (min_mod_revision, max_mod_revision, min_create_revision, max_create_revision) = filters.unwrap_or_default();
        RangeRequest {
            key: key.into(), range_end: range_end.into(), limit, revision, sort_order, sort_target,
            serializable: false, keys_only: flags.0, count_only: flags.1,
            min_mod_revision, max_mod_revision, min_create_revision, max_create_revision,
        }
    }
}

proptest! {
    #[test]
    fn every_range_is_what_the_model_says(writes in proptest::collection::vec(write(), 0..12), requests in proptest::collection::vec(any_request(), 1..20)) {
        let mut state = State::new(TABLES);
        let mut versions = BTreeMap::from([(1, BTreeMap::new())]);
        for write in &writes {
            let before = state.revision();
            match write {
                Write::Put(key, value) => put(&mut state, key, value),
                Write::Delete(key) => delete(&mut state, key),
            }
            let revision = state.revision();
            let mut present: BTreeMap<Vec<u8>, KeyValue> = versions[&before].clone();
            match write {
                Write::Put(key, value) => {
                    let now = signed(revision);
                    let entry = present.entry(key.clone()).or_insert_with(|| KeyValue { key: key.clone().into(), create_revision: now, ..KeyValue::default() });
                    (entry.mod_revision, entry.version, entry.value) = (now, entry.version + 1, value.clone().into());
                }
                Write::Delete(key) => {
                    present.remove(key);
                }
            }
            versions.insert(revision, present);
        }
        for request in &requests {
            // A target without an order is limited before it is sorted; that case has a test of its own.
            let odd = request.limit > 0 && request.sort_order == 0 && request.sort_target != 0;
            if odd || u64::try_from(request.revision).unwrap() > state.revision() {
                continue;
            }
            prop_assert_eq!(answer(&state, request).unwrap(), expected(&versions, state.revision(), request), "{:?}", request);
        }
    }
}
