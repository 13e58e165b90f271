//! The stream as a value: requests and changes in, responses out. The harness plays the change feed the way the
//! member's mailbox behaves: what is announced arrives live from a revision on, late, or is lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use state::LeaseId;

use super::*;
use crate::table::TABLES;
use crate::wire::etcdserverpb::watch_create_request::FilterType;
use crate::wire::mvccpb::event::EventType;

const LIMITS: StreamLimits =
    StreamLimits { watches: 4, batch_events: 3, batch_bytes: 1 << 20, scan_changes: 5, response_bytes: 1 << 20 };

/// A member with one watch stream.
struct Bench {
    state: State,
    stream: Stream,
    /// What the feed was told to watch: token to range, and from where on.
    announced: BTreeMap<u64, (KeyRange, u64)>,
    /// The newest revision that the feed handed out.
    dispatched: u64,
}

impl Bench {
    fn new(limits: StreamLimits) -> Bench {
        let state = State::new(TABLES);
        Bench { dispatched: state.revision(), state, stream: Stream::new(limits), announced: BTreeMap::new() }
    }

    /// Writes in one transaction; a `None` deletes.
    fn write(&mut self, writes: &[(&str, Option<&str>)]) {
        let mut transaction = self.state.begin(0);
        for (key, value) in writes {
            match value {
                Some(value) => transaction.put(KEYS, key.as_bytes(), value.as_bytes(), LeaseId::NONE),
                None => assert!(transaction.delete(KEYS, key.as_bytes())),
            }
        }
        transaction.finish();
    }

    fn put(&mut self, key: &str, value: &str) {
        self.write(&[(key, Some(value))]);
    }

    fn compact(&mut self, revision: u64) {
        let mut transaction = self.state.begin(0);
        transaction.compact(revision).unwrap();
        transaction.finish();
    }

    fn create(&mut self, request: WatchCreateRequest) {
        if let Some(opening) = self.stream.open(request, self.state.revision()) {
            self.announced.insert(opening.token, (opening.range, self.dispatched + 1));
            self.stream.opened(opening.token, self.dispatched + 1, self.state.revision());
        }
    }

    fn cancel(&mut self, id: i64) {
        if let Some(token) = self.stream.cancel(id, self.state.revision()) {
            self.announced.remove(&token);
        }
    }

    /// The feed hands out the next revision, or loses every watch that it concerns.
    fn dispatch(&mut self, lose: bool) {
        if self.dispatched == self.state.revision() {
            return;
        }
        self.dispatched += 1;
        let revision = self.dispatched;
        let mut delivery = Vec::new();
        for change in self.state.changes(revision).unwrap().take_while(|change| change.revision == revision) {
            let concerned = self.announced.iter().filter(|(_, (range, _))| range.contains(&change.key));
            delivery.extend(concerned.map(|(token, _)| (*token, change.clone())));
        }
        if !lose {
            self.stream.deliver(revision, &delivery);
            return;
        }
        let mut tokens: Vec<u64> = delivery.into_iter().map(|(token, _)| token).collect();
        tokens.dedup();
        for token in tokens {
            if let Some(opening) = self.stream.lost(token, revision) {
                self.announced.insert(opening.token, (opening.range, self.dispatched + 1));
                self.stream.reopened(token, self.dispatched + 1);
            }
        }
    }

    fn dispatch_all(&mut self) {
        while self.dispatched < self.state.revision() {
            self.dispatch(false);
        }
    }

    fn catch_up(&mut self) {
        if let Some(token) = self.stream.catch_up(&self.state) {
            self.announced.remove(&token);
        }
    }

    fn catch_up_all(&mut self) {
        while self.stream.is_behind() {
            self.catch_up();
        }
    }

    /// What the client reads, one line a response.
    fn read(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.stream.pop()).map(|response| line(&response)).collect()
    }
}

/// `id@revision` and what the response says: `+` created, `-` cancelled, `~` more fragments follow.
fn line(response: &WatchResponse) -> String {
    let mut line = format!("{}@{}", response.watch_id, response.header.as_ref().unwrap().revision);
    for (flag, sign) in [(response.created, '+'), (response.canceled, '-'), (response.fragment, '~')] {
        line.extend(flag.then_some(sign));
    }
    if response.compact_revision != 0 {
        line += &format!(" compacted {}", response.compact_revision);
    }
    if !response.cancel_reason.is_empty() {
        line += &format!(" ({})", response.cancel_reason);
    }
    for event in &response.events {
        line += &format!(" {}", event_text(event));
    }
    line
}

fn event_text(event: &Event) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let kv = event.kv.as_ref().unwrap();
    let previous = event.prev_kv.as_ref().map_or(String::new(), |kv| format!("<{}", text(&kv.value)));
    match event.r#type() {
        EventType::Put => format!("{}={}{previous}/{}", text(&kv.key), text(&kv.value), kv.mod_revision),
        EventType::Delete => format!("!{}{previous}/{}", text(&kv.key), kv.mod_revision),
    }
}

fn watch(key: &str, range_end: &str, start_revision: i64) -> WatchCreateRequest {
    let (key, range_end) = (Bytes::copy_from_slice(key.as_bytes()), Bytes::copy_from_slice(range_end.as_bytes()));
    WatchCreateRequest { key, range_end, start_revision, ..WatchCreateRequest::default() }
}

#[test]
fn a_watch_from_now_sees_what_comes() {
    let mut bench = Bench::new(LIMITS);
    bench.put("a", "1");
    bench.create(watch("a", "", 0));
    bench.put("a", "2");
    bench.put("b", "1");
    bench.write(&[("a", None)]);
    bench.dispatch_all();
    assert_eq!(bench.read(), ["0@2+", "0@3 a=2/3", "0@5 !a/5"]);
}

#[test]
fn a_watch_from_the_past_is_shown_history_in_whole_revisions() {
    let mut bench = Bench::new(LIMITS);
    bench.write(&[("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("d", Some("1"))]);
    bench.put("a", "2");
    bench.put("z", "1");
    bench.put("b", "2");
    bench.put("b", "3");
    bench.dispatch_all();
    bench.create(watch("a", "c", 1));
    bench.catch_up_all();
    // Five changes are looked at in one go, but a revision is never torn.
    assert_eq!(bench.read(), ["0@6+", "0@3 a=1/2 b=1/2 a=2/3", "0@6 b=2/5 b=3/6"]);
}

#[test]
fn what_arrives_while_a_watch_is_behind_comes_after_its_history() {
    let mut bench = Bench::new(LIMITS);
    for value in ["1", "2", "3", "4", "5", "6"] {
        bench.put("a", value);
    }
    bench.dispatch_all();
    bench.create(watch("a", "", 2));
    bench.put("a", "7");
    bench.catch_up();
    bench.dispatch(false);
    bench.put("a", "8");
    bench.catch_up_all();
    bench.dispatch_all();
    bench.put("a", "9");
    bench.dispatch_all();
    let lines = bench.read();
    assert_eq!(
        lines,
        ["0@7+", "0@4 a=1/2 a=2/3 a=3/4", "0@7 a=4/5 a=5/6 a=6/7", "0@8 a=7/8", "0@9 a=8/9", "0@10 a=9/10"]
    );
}

#[test]
fn a_watch_from_the_future_waits_for_it() {
    let mut bench = Bench::new(LIMITS);
    bench.create(watch("a", "", 4));
    for value in ["1", "2", "3", "4"] {
        bench.put("a", value);
    }
    bench.dispatch_all();
    assert_eq!(bench.read(), ["0@1+", "0@4 a=3/4", "0@5 a=4/5"]);
}

#[test]
fn nothing_that_was_there_at_the_creation_is_shown_as_new() {
    let mut bench = Bench::new(LIMITS);
    bench.put("a", "1");
    bench.put("a", "2");
    // The feed lags behind the view that the creation answers with.
    bench.create(watch("a", "", 0));
    bench.dispatch_all();
    assert_eq!(bench.read(), ["0@3+"]);
}

#[test]
fn lost_places_are_found_again_in_history() {
    let mut bench = Bench::new(LIMITS);
    bench.create(watch("a", "", 0));
    bench.put("a", "1");
    bench.dispatch(false);
    bench.put("a", "2");
    bench.put("a", "3");
    bench.dispatch(true);
    bench.dispatch(true);
    bench.put("a", "4");
    bench.catch_up_all();
    bench.dispatch_all();
    assert_eq!(bench.read(), ["0@1+", "0@2 a=1/2", "0@4 a=2/3 a=3/4", "0@5 a=4/5"]);
}

#[test]
fn history_that_is_gone_cancels_the_watch_and_says_what_is_left() {
    let mut bench = Bench::new(LIMITS);
    for value in ["1", "2", "3", "4"] {
        bench.put("a", value);
    }
    bench.dispatch_all();
    bench.compact(4);
    bench.create(watch("a", "", 3));
    bench.create(watch("a", "", 4));
    bench.catch_up_all();
    assert_eq!(bench.read(), ["0@5+", "1@5+", "0@0- compacted 4", "1@5 a=3/4 a=4/5"]);
    bench.put("a", "5");
    bench.dispatch_all();
    assert_eq!(bench.read(), ["1@6 a=5/6"]);
    bench.cancel(0);
    assert_eq!(bench.read(), Vec::<String>::new(), "it is gone already");
}

/// Seen at a real etcd 3.4 by the oracle.
#[test]
fn what_a_key_was_before_the_oldest_kept_revision_is_forgotten() {
    let mut bench = Bench::new(LIMITS);
    for value in ["1", "2", "3"] {
        bench.put("a", value);
    }
    bench.dispatch_all();
    bench.compact(3);
    bench.create(WatchCreateRequest { prev_kv: true, ..watch("a", "", 3) });
    bench.catch_up_all();
    let responses: Vec<WatchResponse> = std::iter::from_fn(|| bench.stream.pop()).collect();
    let events = responses.iter().flat_map(|response| &response.events);
    let before: Vec<bool> = events.map(|event| event.prev_kv.is_some()).collect();
    assert_eq!(before, [false, true]);
}

#[test]
fn ids_are_picked_or_given_and_never_shared() {
    let mut bench = Bench::new(LIMITS);
    bench.create(WatchCreateRequest { watch_id: 1, ..watch("a", "", 0) });
    bench.create(watch("a", "", 0));
    bench.create(watch("a", "", 0));
    bench.create(WatchCreateRequest { watch_id: 2, ..watch("a", "", 0) });
    bench.cancel(1);
    bench.create(WatchCreateRequest { watch_id: 1, ..watch("a", "", 0) });
    bench.put("a", "1");
    bench.dispatch_all();
    assert_eq!(
        bench.read(),
        [
            "1@1+",
            "0@1+",
            "2@1+",
            "-1@1+- (mvcc: duplicate watch ID provided on the WatchStream)",
            "1@1-",
            "1@1+",
            "0@2 a=1/2",
            "2@2 a=1/2",
            "1@2 a=1/2",
        ]
    );
}

#[test]
fn impossible_watches_are_refused_with_their_reason() {
    let mut bench = Bench::new(LIMITS);
    bench.create(watch("b", "a", 0));
    bench.create(watch("a", "", -1));
    for _ in 0..5 {
        bench.create(watch("a", "", 0));
    }
    assert_eq!(
        bench.read(),
        [
            "-1@1+- (mvcc: watcher range is empty)",
            "-1@1+- (etcdserver: mvcc: required revision has been compacted)",
            "0@1+",
            "1@1+",
            "2@1+",
            "3@1+",
            "-1@1+- (etcdserver: the stream has 4 watches, max_watches_per_stream allows no more)",
        ]
    );
}

#[test]
fn the_empty_key_means_the_first() {
    let mut bench = Bench::new(LIMITS);
    bench.create(watch("", "\0", 0));
    bench.put("a", "1");
    bench.dispatch_all();
    assert_eq!(bench.read(), ["0@1+", "0@2 a=1/2"]);
}

#[test]
fn filters_and_previous_values() {
    let mut bench = Bench::new(LIMITS);
    let of = |filter: FilterType| WatchCreateRequest { filters: vec![filter.into()], ..watch("a", "", 0) };
    bench.create(of(FilterType::Noput));
    bench.create(of(FilterType::Nodelete));
    bench.create(WatchCreateRequest { prev_kv: true, ..watch("a", "", 0) });
    bench.put("a", "1");
    bench.put("a", "2");
    bench.write(&[("a", None)]);
    bench.dispatch_all();
    assert_eq!(
        bench.read(),
        ["0@1+", "1@1+", "2@1+", "1@2 a=1/2", "2@2 a=1/2", "1@3 a=2/3", "2@3 a=2<1/3", "0@4 !a/4", "2@4 !a<2/4"]
    );
}

#[test]
fn what_a_key_was_before_is_what_it_was_before_the_transaction() {
    let mut bench = Bench::new(LIMITS);
    bench.put("a", "1");
    bench.dispatch_all();
    let request = WatchCreateRequest { prev_kv: true, ..watch("a", "\0", 0) };
    bench.create(request.clone());
    bench.write(&[("a", Some("2")), ("a", None), ("b", Some("1")), ("b", None)]);
    bench.dispatch_all();
    bench.create(WatchCreateRequest { start_revision: 3, ..request });
    bench.catch_up_all();
    let events = "a=2<1/3 !a<1/3 b=1/3 !b/3";
    assert_eq!(bench.read(), ["0@2+".to_owned(), format!("0@3 {events}"), "1@3+".to_owned(), format!("1@3 {events}")]);
}

#[test]
fn a_large_response_is_cut_for_clients_that_can_join_it() {
    let limits = StreamLimits { response_bytes: 150, batch_events: 100, scan_changes: 100, ..LIMITS };
    let mut bench = Bench::new(limits);
    bench.create(WatchCreateRequest { fragment: true, ..watch("a", "\0", 0) });
    bench.create(watch("a", "\0", 0));
    let value = "x".repeat(40);
    let keys = ["a", "b", "c", "d", "e"];
    bench.write(&keys.map(|key| (key, Some(value.as_str()))));
    bench.dispatch_all();
    let responses: Vec<WatchResponse> = std::iter::from_fn(|| bench.stream.pop()).skip(2).collect();
    let shape: Vec<(i64, bool, usize)> =
        responses.iter().map(|response| (response.watch_id, response.fragment, response.events.len())).collect();
    assert_eq!(shape, [(0, true, 2), (0, true, 2), (0, false, 1), (1, false, 5)]);
    let joined: Vec<Event> = responses[..3].iter().flat_map(|response| response.events.clone()).collect();
    assert_eq!(joined, responses[3].events);
}

#[test]
fn progress_is_told_when_everybody_is_up_to_date() {
    let mut bench = Bench::new(LIMITS);
    bench.stream.ask_progress();
    bench.stream.progress(1);
    assert_eq!(bench.read(), Vec::<String>::new(), "a stream without watches has no progress");
    bench.put("a", "1");
    bench.dispatch_all();
    bench.create(watch("a", "", 0));
    bench.create(watch("a", "", 1));
    bench.stream.ask_progress();
    bench.stream.progress(2);
    assert_eq!(bench.read(), ["0@2+", "1@2+"], "one is behind");
    bench.catch_up_all();
    assert!(bench.stream.owes_progress());
    bench.stream.progress(2);
    assert_eq!(bench.read(), ["1@2 a=1/2", "-1@2"]);
    assert!(!bench.stream.owes_progress());
    bench.create(watch("a", "", 9));
    bench.stream.ask_progress();
    bench.stream.progress(2);
    assert_eq!(bench.read(), ["2@2+"], "what begins in the future has no progress to tell");
}

#[test]
fn quiet_watches_that_asked_are_told_how_far_they_are() {
    let mut bench = Bench::new(LIMITS);
    bench.create(WatchCreateRequest { progress_notify: true, ..watch("a", "", 0) });
    bench.create(WatchCreateRequest { progress_notify: true, ..watch("b", "", 0) });
    bench.create(watch("b", "", 0));
    bench.put("a", "1");
    bench.dispatch_all();
    bench.stream.tick(2);
    bench.stream.tick(2);
    assert_eq!(bench.read(), ["0@1+", "1@1+", "2@1+", "0@2 a=1/2", "1@2", "0@2", "1@2"]);
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<(u8, bool)>),
    Create(u8, u8, u64, bool),
    Cancel(i64),
    Dispatch(bool),
    CatchUp,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec((0u8..4, any::<bool>()), 1..4).prop_map(Step::Write),
        2 => (0u8..4, 0u8..5, 0u64..12, any::<bool>()).prop_map(|(key, end, start, prev)| Step::Create(key, end, start, prev)),
        1 => (0i64..4).prop_map(Step::Cancel),
        6 => proptest::bool::weighted(0.2).prop_map(Step::Dispatch),
        3 => Just(Step::CatchUp),
    ]
}

proptest! {
    /// However requests, changes, losses and catching up interleave: each watch that lives to the end was shown all
    /// changes of its range from its start on, in order, whole revisions at a time, once.
    #[test]
    fn no_gap_no_duplicate_no_torn_revision(steps in proptest::collection::vec(step(), 1..80)) {
        let mut bench = Bench::new(StreamLimits { watches: 8, batch_events: 2, scan_changes: 3, ..LIMITS });
        let mut responses: Vec<WatchResponse> = Vec::new();
        let mut lives: BTreeMap<i64, (KeyRange, u64, usize)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Write(writes) => {
                    let mut transaction = bench.state.begin(0);
                    for (key, deletes) in writes {
                        if deletes { transaction.delete(KEYS, &[b'a' + key]); } else { transaction.put(KEYS, &[b'a' + key], b"v", LeaseId::NONE); }
                    }
                    transaction.finish();
                }
                Step::Create(key, end, start, prev_kv) => {
                    let request = WatchCreateRequest {
                        key: vec![b'a' + key].into(),
                        range_end: if end == 0 { Bytes::new() } else { vec![b'a' + end].into() },
                        start_revision: signed(start), prev_kv,
                        ..WatchCreateRequest::default()
                    };
                    let range = KeyRange::new(request.key.clone(), request.range_end.clone());
                    bench.create(request);
                    responses.extend(std::iter::from_fn(|| bench.stream.pop()));
                    let created = responses.last().unwrap();
                    if !created.canceled {
                        let start = if start == 0 { bench.state.revision() + 1 } else { start };
                        lives.insert(created.watch_id, (range, start, responses.len()));
                    }
                }
                Step::Cancel(id) => {
                    bench.cancel(id);
                    lives.remove(&id);
                }
                Step::Dispatch(lose) => bench.dispatch(lose),
                Step::CatchUp => bench.catch_up(),
            }
        }
        bench.dispatch_all();
        bench.catch_up_all();
        responses.extend(std::iter::from_fn(|| bench.stream.pop()));
        for (id, (range, start, since)) in lives {
            let shown: Vec<&WatchResponse> = responses[since..].iter().filter(|response| response.watch_id == id).collect();
            let events: Vec<(u64, bool, Vec<u8>)> = shown.iter().flat_map(|response| &response.events).map(|event| {
                let kv = event.kv.as_ref().unwrap();
                (u64::try_from(kv.mod_revision).unwrap(), event.r#type() == EventType::Put, kv.key.to_vec())
            }).collect();
            let expected: Vec<(u64, bool, Vec<u8>)> = bench.state.changes(start).unwrap()
                .filter(|change| range.contains(&change.key))
                .map(|change| (change.revision, change.after.is_some(), change.key.to_vec())).collect();
            prop_assert_eq!(events, expected, "watch {}", id);
            let revisions_of = |response: &WatchResponse| -> Vec<i64> { response.events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect() };
            for pair in shown.windows(2) {
                let (left, right) = (revisions_of(pair[0]), revisions_of(pair[1]));
                prop_assert!(left.last() < right.first(), "a revision is shown by one response");
            }
        }
    }
}
