//! Whatever the log was doing when it died, and whatever of its un-synced writes the disk kept: everything
//! acknowledged is there, in order, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use conclave_log::memory::MemoryStorage;
use conclave_log::{Append, Log, Options, Record, Sequence};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// Append a batch of records of these lengths.
    Append(Vec<usize>),
    /// Release this percentage of what was acknowledged.
    Release(u64),
    /// The process dies; the system lives.
    Kill,
    /// The power fails.
    Crash(u64),
    /// Whatever comes next dies after so many operations on the storage. Then the power fails, or the process is
    /// started again on what the system's cache holds and the power fails later.
    Interrupt { operations: u64, crash: u64, power: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![6 => 0_usize..200, 3 => 200_usize..2000, 1 => 2000_usize..12_000];
    prop_oneof![
        8 => proptest::collection::vec(length, 1..8).prop_map(Step::Append),
        2 => (0_u64..=100).prop_map(Step::Release),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::Crash),
        4 => (0_u64..12, any::<u64>(), any::<bool>())
            .prop_map(|(operations, crash, power)| Step::Interrupt { operations, crash, power }),
    ]
}

/// What the log must hold, as far as anybody was told.
struct Oracle {
    storage: MemoryStorage,
    log: Option<Log<MemoryStorage>>,
    /// Every record that was acknowledged, or found by a restart.
    known: BTreeMap<Sequence, Vec<u8>>,
    /// Below this, records may be missing.
    released: Sequence,
    /// A batch whose append failed: a prefix of it may be found.
    in_doubt: Vec<Vec<u8>>,
    bodies_made: u64,
}

const GROUP: u32 = 9;

fn options() -> Options {
    Options { segment_size: Options::SEGMENT_SIZE_MIN, spares_max: 2, salt: 0x5eed, ..Options::default() }
}

impl Oracle {
    fn new() -> Oracle {
        let storage = MemoryStorage::new();
        let (log, ..) = Log::open(storage.clone(), options()).unwrap();
        Oracle {
            storage,
            log: Some(log),
            known: BTreeMap::new(),
            released: Sequence(0),
            in_doubt: Vec::new(),
            bodies_made: 0,
        }
    }

    /// No two bodies are equal, as far as their length allows: a record that comes back shows.
    fn body(&mut self, length: usize) -> Vec<u8> {
        self.bodies_made += 1;
        self.bodies_made.to_le_bytes().into_iter().cycle().take(length).collect()
    }

    fn append(&mut self, lengths: &[usize]) -> bool {
        let bodies: Vec<Vec<u8>> = lengths.iter().map(|&length| self.body(length)).collect();
        // Given in two parts, so that parts are exercised too.
        let parts: Vec<[&[u8]; 2]> = bodies.iter().map(|body| body.split_at(body.len() / 2).into()).collect();
        let batch: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: GROUP, parts }).collect();
        let before = self.log.as_ref().unwrap().status().last;
        match self.log.as_mut().unwrap().append(&batch) {
            Err(_) => {
                self.in_doubt = bodies;
                false
            }
            Ok(last) => {
                // Within one segment the numbers have no gaps; a batch in pieces is found by the next restart.
                let total: usize = lengths.iter().map(|length| length + 56).sum();
                assert!(last.0 >= before.0 + bodies.len() as u64);
                if total < 12_000 {
                    let first = last.0 + 1 - bodies.len() as u64;
                    self.known.extend((first..).map(Sequence).zip(bodies));
                } else {
                    let found = Log::open(self.storage.fork().kill(), options()).unwrap().1;
                    let new = found.into_iter().filter(|record| record.sequence > before);
                    let new: Vec<_> = new.map(|record| (record.sequence, record.bytes.to_vec())).collect();
                    assert!(new.iter().map(|(_, body)| body).eq(&bodies));
                    self.known.extend(new);
                }
                true
            }
        }
    }

    fn release(&mut self, percent: u64) -> bool {
        let last = self.known.keys().last().map_or(0, |last| last.0);
        let bound = Sequence(last * percent / 100);
        self.released = self.released.max(bound);
        self.log.as_mut().unwrap().release(bound).is_ok()
    }

    /// Opens again and compares.
    fn restart(&mut self, storage: MemoryStorage) {
        self.log = None;
        self.storage = storage;
        let (log, records, report) = Log::open(self.storage.clone(), options()).unwrap();
        assert!(!report.created);
        self.compare(&records);
        let status = log.status();
        assert_eq!(report.last, status.last);
        let segments = self.storage.names().iter().filter(|name| name.ends_with(".segment")).count();
        assert_eq!((segments, self.storage.names().len()), (status.segments, status.segments + status.spares));
        self.log = Some(log);
    }

    fn compare(&mut self, records: &[Record]) {
        assert!(records.is_sorted_by(|one, other| one.sequence < other.sequence));
        let found: BTreeMap<Sequence, Vec<u8>> =
            records.iter().map(|record| (record.sequence, record.bytes.to_vec())).collect();
        assert!(records.iter().all(|record| record.group == GROUP));
        for (sequence, body) in self.known.range(self.released..) {
            assert_eq!(found.get(sequence), Some(body), "record {sequence} was acknowledged");
        }
        let newest = self.known.keys().last().copied().unwrap_or_default();
        for (sequence, body) in found.range(..=newest) {
            assert_eq!(self.known.get(sequence), Some(body), "record {sequence} was never written");
        }
        // Behind what was acknowledged there may be a prefix of the batch that failed, nothing else.
        let more: Vec<(Sequence, Vec<u8>)> = found.into_iter().filter(|(sequence, _)| *sequence > newest).collect();
        assert!(more.len() <= self.in_doubt.len());
        assert!(more.iter().map(|(_, body)| body).eq(&self.in_doubt[..more.len()]));
        self.known.extend(more);
        self.in_doubt.clear();
    }

    /// Does the step with the storage dying in the middle, then starts again, which may be interrupted too.
    fn interrupted(&mut self, step: &Step, operations: u64, crash: u64, power: bool) {
        self.storage.halt_after(operations);
        match step {
            Step::Append(lengths) => _ = self.append(lengths),
            Step::Release(percent) => _ = self.release(*percent),
            _ => {}
        }
        if !power {
            self.restart(self.storage.kill());
            return self.restart(self.storage.crash(crash));
        }
        let next = self.storage.crash(crash);
        next.halt_after(crash % 6);
        drop(Log::open(next.clone(), options()));
        self.restart(next.crash(crash.rotate_left(17)));
    }
}

fn run(steps: &[Step]) {
    let mut oracle = Oracle::new();
    let mut steps = steps.iter();
    while let Some(step) = steps.next() {
        match step {
            Step::Append(lengths) => assert!(oracle.append(lengths)),
            Step::Release(percent) => assert!(oracle.release(*percent)),
            Step::Kill => oracle.restart(oracle.storage.kill()),
            Step::Crash(seed) => oracle.restart(oracle.storage.crash(*seed)),
            Step::Interrupt { operations, crash, power } => {
                oracle.interrupted(steps.next().unwrap_or(&Step::Kill), *operations, *crash, *power);
            }
        }
    }
    oracle.restart(oracle.storage.crash(0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everything_acknowledged_survives_and_nothing_is_invented(steps in proptest::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}

/// Each operation on the storage of a roll and of a release is the last one once, and each time many disks come of it.
#[test]
fn every_step_of_a_roll_and_of_a_release_may_be_the_last() {
    for operations in 0..16 {
        for seed in 0..60 {
            let fill = [Step::Append(vec![3000; 3]), Step::Append(vec![2500])];
            let dying = Step::Interrupt { operations, crash: seed, power: seed % 3 > 0 };
            let roll = [dying.clone(), Step::Append(vec![1500])];
            let release = [Step::Append(vec![3000; 4]), Step::Append(vec![4000; 2]), dying, Step::Release(100)];
            let after = [Step::Append(vec![100]), Step::Crash(seed)];
            run(&[&fill[..], &roll, &release, &after].concat());
        }
    }
}

/// The log acknowledged X. Then the power failed while A and B were being written, and A was torn. The next life
/// writes A again, byte for byte: B, though intact on the disk behind it, must not come back.
#[test]
fn a_record_that_was_cut_does_not_come_back_behind_its_predecessor_written_anew() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = Log::open(storage.clone(), options()).unwrap();
    let record = |body: &'static [&'static [u8]]| Append { group: GROUP, parts: body };
    let (x, a, b) = (record(&[b"x"]), record(&[b"a"]), record(&[b"b"]));
    log.append(&[x]).unwrap();
    let position = usize::try_from(log.status().position).unwrap();
    storage.halt_after(1);
    assert!(log.append(&[a, b]).is_err());

    let storage = storage.kill();
    storage.edit(&storage.names()[0], |bytes| bytes[position + 48] ^= 1);
    let (mut log, records, report) = Log::open(storage.clone(), options()).unwrap();
    assert_eq!((records.len(), report.cut.unwrap().records), (1, 2));
    // A is written and synced; the process dies before it leaves the mark, which would hide B.
    storage.halt_after(2);
    assert!(log.append(&[a]).is_err());

    let (_, records, report) = Log::open(storage.kill(), options()).unwrap();
    let bodies: Vec<_> = records.iter().map(|record| &record.bytes[..]).collect();
    assert_eq!(bodies, [b"x", b"a"]);
    assert_eq!(report.cut, None);
}
