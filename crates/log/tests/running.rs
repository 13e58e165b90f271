//! The log in its daily life: append, roll, release, restart, failures of the storage.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::ErrorKind;

use conclave_log::memory::MemoryStorage;
use conclave_log::{Append, AppendError, Log, OpenError, Operation, Options, Record, Report, Sequence};

fn options() -> Options {
    Options { segment_size: Options::SEGMENT_SIZE_MIN, salt: 7, ..Options::default() }
}

fn open(storage: &MemoryStorage) -> (Log<MemoryStorage>, Vec<Record>, Report) {
    Log::open(storage.clone(), options()).unwrap()
}

fn append(log: &mut Log<MemoryStorage>, bytes: &[u8]) -> Result<Sequence, AppendError> {
    log.append(&[Append { group: 3, parts: &[bytes] }])
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let storage = MemoryStorage::new();
    let (mut log, records, report) = open(&storage);
    assert!(records.is_empty() && report.created);
    let batch = [Append { group: 1, parts: &[b"one", b" ", b"record"] }, Append { group: 2, parts: &[] }];
    assert_eq!(log.append(&batch).unwrap(), Sequence(2));
    assert_eq!(append(&mut log, b"another").unwrap(), Sequence(3));
    assert_eq!(log.append(&[]).unwrap(), Sequence(3), "an empty batch is done at once");

    let (_, records, report) = open(&storage.crash(1));
    let found: Vec<_> = records.iter().map(|r| (r.group, r.sequence.0, r.bytes.to_vec())).collect();
    assert_eq!(found, [(1, 1, b"one record".to_vec()), (2, 2, vec![]), (3, 3, b"another".to_vec())]);
    assert!(!report.created && report.cut.is_none());
    assert_eq!(report.last, Sequence(3));
}

#[test]
fn full_segments_are_followed_by_others_and_released_ones_are_used_again() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    let mut last = Sequence(0);
    for _ in 0..100 {
        last = append(&mut log, &[7; 1000]).unwrap();
    }
    let before = log.status();
    assert!(before.segments > 5 && before.spares == 0, "{before:?}");
    log.release(last).unwrap();
    let after = log.status();
    assert_eq!((after.segments, after.spares), (1, 4), "{after:?}");
    for _ in 0..30 {
        append(&mut log, &[8; 1000]).unwrap();
    }
    assert!(log.status().spares < 4);
    assert!(storage.names().len() <= 6, "{:?}", storage.names());

    let (log, records, _) = open(&storage.crash(2));
    assert!(records.iter().filter(|record| record.bytes[0] == 8).count() == 30);
    assert_eq!(log.status().first, after.first);
}

#[test]
fn release_keeps_what_is_not_below_its_bound() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    let sequences: Vec<Sequence> = (0..60).map(|_| append(&mut log, &[1; 1000]).unwrap()).collect();
    for (position, &bound) in sequences.iter().enumerate() {
        log.release(bound).unwrap();
        let (_, records, _) = open(&storage.fork());
        let kept: Vec<Sequence> = records.iter().map(|record| record.sequence).collect();
        assert!(kept.ends_with(&sequences[position..]), "released before {bound}, kept {kept:?}");
    }
    assert_eq!(log.status().segments, 1);
}

#[test]
fn a_release_is_durable_when_it_returns() {
    for seed in 0..50 {
        let storage = MemoryStorage::new();
        let (mut log, ..) = open(&storage);
        for _ in 0..40 {
            append(&mut log, &[1; 1000]).unwrap();
        }
        log.release(Sequence(30)).unwrap();
        let names = storage.names();
        assert!(names.iter().any(|name| name.ends_with(".spare")));
        assert_eq!(storage.crash(seed).names(), names);
    }
}

#[test]
fn releases_find_space_in_a_full_segment_again_and_again() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    while log.status().segments < 5 {
        append(&mut log, &[1; 600]).unwrap();
    }
    let status = log.status();
    // To the last byte that an ordinary record may use.
    let rest = usize::try_from(status.segment_size - status.position).unwrap() - 104 - 48;
    append(&mut log, &vec![2; rest]).unwrap();
    assert_eq!(log.status().generation, status.generation);
    for bound in [20, 40, 60] {
        let before = log.status().segments;
        log.release(Sequence(bound)).unwrap();
        assert!(log.status().segments <= before, "released nothing before {bound}");
        open(&storage.fork());
    }
    assert_eq!(log.status().generation, status.generation + 1);
}

#[test]
fn a_batch_longer_than_a_segment_is_written_in_pieces() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    let bodies: Vec<Vec<u8>> = (0..50_u8).map(|byte| vec![byte; 900]).collect();
    let parts: Vec<[&[u8]; 1]> = bodies.iter().map(|body| [body.as_slice()]).collect();
    let batch: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: 1, parts }).collect();
    let last = log.append(&batch).unwrap();
    let (_, records, report) = open(&storage.crash(3));
    assert_eq!(records.iter().map(|record| record.bytes.to_vec()).collect::<Vec<_>>(), bodies);
    assert_eq!(report.last, last);
    assert!(report.segments >= 4);
}

#[test]
fn the_longest_record_fits_and_a_longer_one_is_refused_by_name() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    let limit = usize::try_from(options().record_max()).unwrap();
    append(&mut log, b"small").unwrap();
    append(&mut log, &vec![5; limit]).unwrap();
    let body = vec![6; limit + 1];
    let batch = [Append { group: 0, parts: &[b"fine"] }, Append { group: 0, parts: &[&body] }];
    let error = log.append(&batch).unwrap_err();
    assert_eq!(error.to_string(), "record 1 of the batch has 12137 bytes; the limit is 12136 (segment_size is 16384)");
    append(&mut log, b"still alive").unwrap();
    let (_, records, _) = open(&storage.crash(4));
    assert_eq!(records.iter().map(|record| record.bytes.len()).collect::<Vec<_>>(), [5, limit, 11]);
}

#[test]
fn the_segment_size_has_a_range_and_may_change_between_lives() {
    for bad in [0, 4096, 16 << 10 | 1, 2 << 30] {
        let options = Options { segment_size: bad, ..options() };
        let refused = Log::open(MemoryStorage::new(), options).err().unwrap();
        assert!(matches!(refused, OpenError::SegmentSize { value, .. } if value == bad));
    }
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    append(&mut log, b"in a small segment").unwrap();
    let larger = Options { segment_size: 64 << 10, ..options() };
    let (mut log, ..) = Log::open(storage.kill(), larger).unwrap();
    append(&mut log, &[1; 40_000]).unwrap();
    assert_eq!(log.status().segment_size, 64 << 10);
    let (mut log, records, _) = open(&storage.kill());
    assert_eq!(records.len(), 2);
    append(&mut log, b"back in a small one").unwrap();
    log.release(Sequence(u64::MAX)).unwrap();
}

#[test]
fn the_first_failure_is_the_last_word() {
    let changing = [Operation::Write, Operation::Sync];
    for operation in changing {
        let storage = MemoryStorage::new();
        let (mut log, ..) = open(&storage);
        append(&mut log, b"acknowledged").unwrap();
        storage.fail_next(operation, ErrorKind::Other);
        let first = append(&mut log, b"never acknowledged").unwrap_err();
        assert!(matches!(&first, AppendError::Failed(failure) if failure.operation == operation));
        for _ in 0..3 {
            assert_eq!(append(&mut log, b"more").unwrap_err().to_string(), first.to_string());
            assert_eq!(log.release(Sequence(1)).unwrap_err().to_string(), first.to_string());
        }
        assert!(log.status().failure.is_some());
        // The cache still shows the record whose sync failed; the device never got it. The next life must not
        // take it for durable.
        let (_, records, _) = open(&storage.kill());
        assert_eq!(records.len(), 1, "after a failed {operation:?}");
    }
}

#[test]
fn a_full_disk_is_no_failure_and_a_release_helps() {
    let storage = MemoryStorage::new();
    let (mut log, ..) = open(&storage);
    storage.set_capacity(Some(3 * options().segment_size));
    let mut appended = 0;
    let full = loop {
        match append(&mut log, &[1; 700]) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, AppendError::Full { appended: 0, .. }), "{full:?}");
    assert!(appended > 40 && log.status().failure.is_none());
    assert_eq!(storage.names().len(), 3, "what could not be made was removed: {:?}", storage.names());
    let (_, records, _) = open(&storage.fork());
    assert_eq!(records.len(), appended);

    log.release(Sequence(20)).unwrap();
    append(&mut log, b"there is space again").unwrap();
    let (_, records, _) = open(&storage.crash(5));
    assert_eq!(records.last().unwrap().bytes, b"there is space again".as_slice());
}

#[test]
fn a_log_that_must_exist_is_not_made_anew() {
    let must_exist = Options { must_exist: true, ..options() };
    let lost = Log::open(MemoryStorage::new(), must_exist.clone()).err().unwrap();
    assert!(matches!(lost, OpenError::Lost));
    let storage = MemoryStorage::new();
    open(&storage);
    assert!(Log::open(storage.kill(), must_exist).is_ok());
}

#[test]
fn files_that_are_not_the_logs_are_left_alone_or_refused() {
    let storage = MemoryStorage::new();
    storage.edit("identity", |bytes| bytes.extend(b"not the log's business"));
    let (_, _, report) = open(&storage);
    assert_eq!(report.ignored, ["identity"]);

    storage.edit("00000000000000000002.segment", |bytes| bytes.resize(20_000, b'x'));
    let refused = Log::open(storage.kill(), options()).err().unwrap();
    assert!(matches!(refused, OpenError::NotOurs { file } if file == "00000000000000000002.segment"));
    storage.lose("00000000000000000002.segment");
    storage.edit("00000000000000000001.segment", |bytes| {
        for copy in [0, 2048] {
            bytes[copy + 8] = 9;
        }
    });
    let refused = Log::open(storage.kill(), options()).err().unwrap();
    assert_eq!(refused.to_string(), "00000000000000000001.segment has format version 9; this program knows version 1");
}
