//! First contact: a log on a folder in memory, opened, filled, released, crashed.

use crate::memory::MemoryStorage;
use crate::{Append, Log, Options, Record, Report, Sequence};

fn options() -> Options {
    Options {
        segment_size: Options::SEGMENT_SIZE_MIN,
        salt: 7,
        ..Options::default()
    }
}

fn open(storage: &MemoryStorage) -> (Log<MemoryStorage>, Vec<Record>, Report) {
    Log::open(storage.clone(), options()).unwrap()
}

fn append(log: &mut Log<MemoryStorage>, bytes: &[u8]) -> Sequence {
    log.append(&[Append {
        group: 3,
        parts: &[bytes],
    }])
    .unwrap()
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let storage = MemoryStorage::new();
    let (mut log, records, report) = open(&storage);
    assert!(records.is_empty() && report.created);
    let first = log
        .append(&[
            Append {
                group: 1,
                parts: &[b"one", b" ", b"record"],
            },
            Append {
                group: 2,
                parts: &[],
            },
        ])
        .unwrap();
    assert_eq!(first, Sequence(2));
    assert_eq!(append(&mut log, b"another"), Sequence(3));

    let (_, records, report) = open(&storage.crash(1));
    let found: Vec<_> = records
        .iter()
        .map(|r| (r.group, r.sequence.0, r.bytes.to_vec()))
        .collect();
    assert_eq!(
        found,
        [
            (1, 1, b"one record".to_vec()),
            (2, 2, vec![]),
            (3, 3, b"another".to_vec())
        ]
    );
    assert!(!report.created && report.cut.is_none());
    assert_eq!(report.last, Sequence(3));
}

#[test]
fn full_segments_are_followed_by_others_and_released_ones_are_used_again() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    let mut last = Sequence(0);
    for _ in 0..100 {
        last = append(&mut log, &[7; 1000]);
    }
    let before = log.status();
    assert!(before.segments > 5 && before.spares == 0, "{before:?}");
    log.release(last).unwrap();
    let after = log.status();
    assert_eq!((after.segments, after.spares), (1, 4), "{after:?}");
    for _ in 0..30 {
        append(&mut log, &[8; 1000]);
    }
    assert!(log.status().spares < 4);
    assert!(storage.names().len() <= 6, "{:?}", storage.names());

    let (log, records, _) = open(&storage.crash(2));
    assert!(records.iter().filter(|record| record.bytes[0] == 8).count() == 30);
    assert_eq!(log.status().first, after.first);
}
