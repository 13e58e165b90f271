//! Watchers: how many deliveries a second one core makes before anything is encoded, and what a watcher weighs.
//!
//! Measured is what the state does for them: finding who is interested in a change, and giving each their own handle of
//! it, in a queue for each connection.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use conclave_state::interest::{Index, Interest};
use conclave_state::{Change, History, LeaseId, State, TableId, TableSpec};

const TABLE: TableId = TableId(0x10);
/// A connection and one of its watches.
type Subscriber = (u64, u64);
/// How many watches there are on one connection.
const WATCHES_PER_CONNECTION: u64 = 100;
/// How many deliveries are measured.
const DELIVERIES: usize = 2_000_000;

pub(crate) fn measure() {
    println!("\nwatchers, {WATCHES_PER_CONNECTION} on a connection");
    let key = |number: usize| Bytes::from(format!("/registry/pods/team-{:03}/web-{:05}", number % 200, number));
    let exact = |number: usize| Interest::Exact(key(number));
    let prefix = |number: usize| Interest::Prefix(key(number));
    let range = |number: usize| {
        let mut end = key(number).to_vec();
        end.push(0xff);
        Interest::Range(key(number), Some(end.into()))
    };
    run("100,000 on 10,000 keys", 100_000, 10_000, &exact, &key);
    run("10,000 on one key", 10_000, 1, &exact, &key);
    run("100,000 on 10,000 prefixes", 100_000, 10_000, &prefix, &key);
    run("100,000 ranges, each its own", 100_000, 100_000, &range, &key);
}

fn run(name: &str, watchers: usize, keys: usize, interest: &dyn Fn(usize) -> Interest, key: &dyn Fn(usize) -> Bytes) {
    let before = resident();
    let mut index: Index<Subscriber> = Index::new();
    for watcher in 0..watchers {
        let connection = watcher as u64 / WATCHES_PER_CONNECTION;
        assert!(index.insert(TABLE, &interest(watcher % keys), (connection, watcher as u64)));
    }
    let bytes = resident().saturating_sub(before) as f64 / watchers as f64;

    let mut state = State::new(&[TableSpec { id: TABLE, name: "bench", history: History::Kept }]);
    let events = DELIVERIES / (watchers / keys);
    for event in 0..events.min(50_000) {
        let mut transaction = state.begin(1);
        transaction.put(TABLE, &key(event % keys), &[7; 100], LeaseId::NONE);
        transaction.finish().expect("a row changed");
    }
    let mut delivered = 0;
    let start = Instant::now();
    let mut events = 0;
    while delivered < DELIVERIES {
        for change in state.changes(2).expect("nothing is compacted") {
            delivered += deliver(&index, change);
            events += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:32} {:9.0} events/s {:11.0} deliveries/s {bytes:6.0} bytes a watcher",
        f64::from(events) / seconds,
        delivered as f64 / seconds
    );
    // Never given back: what the next one weighs is seen only in memory that nobody had before.
    std::mem::forget((index, state));
}

/// Gives a change to everybody who is interested, gathered by connection; says how many that are.
fn deliver(index: &Index<Subscriber>, change: &Change) -> usize {
    let mut due: BTreeMap<u64, Vec<(u64, Change)>> = BTreeMap::new();
    index.matching(change.table, &change.key, |&(connection, watch)| {
        due.entry(connection).or_default().push((watch, change.clone()));
    });
    due.into_values().map(|changes| changes.len()).sum()
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    const PAGE: usize = 4096;
    let text = std::fs::read_to_string("/proc/self/statm").expect("the kernel tells it");
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number is pages") * PAGE
}
