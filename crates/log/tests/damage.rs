//! Every byte of a small log changed, every file cut at every place, every file lost: the right records or a refusal
//! that says where; never a panic, never a log that is silently shorter than what was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use conclave_log::inspect::{EndKind, Finding, inspect};
use conclave_log::memory::MemoryStorage;
use conclave_log::{Append, Fault, Kind, Log, OpenError, Options, Record, Sequence};
use proptest::prelude::*;

fn options() -> Options {
    Options { segment_size: Options::SEGMENT_SIZE_MIN, salt: 0xc0de, must_exist: true, ..Options::default() }
}

fn open(storage: &MemoryStorage) -> Result<Vec<Record>, OpenError> {
    Log::open(storage.kill(), options()).map(|(_, records, _)| records)
}

/// A closed log of two full segments, a third with something in it (in recycled space), and a spare; and its records.
/// Each batch has three records.
fn small_log() -> (MemoryStorage, Vec<Record>) {
    log_of(1)
}

fn log_of(first_byte: u8) -> (MemoryStorage, Vec<Record>) {
    let storage = MemoryStorage::new();
    let options = Options { must_exist: false, ..options() };
    let (mut log, ..) = Log::open(storage.clone(), options).unwrap();
    for number in 0..42_usize {
        let bodies = [vec![first_byte; number * 7], vec![2; 300 + number], vec![3; 700]];
        let parts: Vec<[&[u8]; 1]> = bodies.iter().map(|body| [body.as_slice()]).collect();
        let batch: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: 4, parts }).collect();
        log.append(&batch).unwrap();
        if number == 33 {
            log.release(Sequence(62)).unwrap();
        }
    }
    log.close().unwrap();
    let records = open(&storage.fork()).unwrap();
    assert_eq!(storage.names().len(), 4, "{:?}", storage.names());
    (storage, records)
}

fn segments(storage: &MemoryStorage) -> Vec<String> {
    storage.names().into_iter().filter(|name| name.ends_with(".segment")).collect()
}

/// Where a record of the chain begins and ends.
struct Extent {
    file: String,
    begin: usize,
    end: usize,
    sequence: u64,
}

fn extents(storage: &MemoryStorage) -> Vec<Extent> {
    let mut extents = Vec::new();
    let summary = inspect(&mut storage.kill(), |finding| {
        if let Finding::Record { file, offset, header, body } = finding {
            let begin = usize::try_from(offset).unwrap();
            let end = begin + 48 + body.len().next_multiple_of(8);
            extents.push(Extent { file: file.to_owned(), begin, end, sequence: header.sequence });
        }
    });
    assert!(summary.unwrap().refusal.is_none());
    extents
}

/// Opens a damaged log; a refusal must leave the folder as it is, and the inspector must come to the same verdict.
fn check(damaged: &MemoryStorage) -> Result<Vec<Record>, OpenError> {
    let before: Vec<_> = damaged.names().into_iter().map(|name| damaged.content(&name)).collect();
    let told = inspect(&mut damaged.kill(), |_| {}).unwrap().refusal.map(|refusal| refusal.to_string());
    let result = open(damaged);
    let refusal = result.as_ref().err().map(ToString::to_string);
    assert_eq!(told, refusal, "the inspector and the log disagree");
    if refusal.is_some() {
        let after: Vec<_> = damaged.names().into_iter().map(|name| damaged.content(&name)).collect();
        assert!(before == after, "a refused folder was changed");
    }
    result
}

#[test]
fn every_changed_byte_is_harmless_or_found() {
    let (storage, records) = small_log();
    let extents = extents(&storage);
    let mut refusals = 0;
    for file in segments(&storage) {
        let length = storage.content(&file).unwrap().len();
        for place in 0..length {
            let damaged = storage.fork();
            damaged.edit(&file, |bytes| bytes[place] ^= 1 << (place % 8));
            let hit = extents.iter().find(|e| e.file == file && (e.begin..e.end).contains(&place));
            match (check(&damaged), hit) {
                (Ok(found), None) => assert!(found == records, "byte {place} of {file} changed the records"),
                (Ok(_), Some(hit)) => panic!("byte {place} of {file} is in record {}, not found", hit.sequence),
                (Err(OpenError::Damaged { file: at, offset, sequence, .. }), Some(hit)) => {
                    assert_eq!((at, offset, sequence), (file.clone(), hit.begin as u64, Some(Sequence(hit.sequence))));
                    refusals += 1;
                }
                (Err(error), None) => panic!("byte {place} of {file} matters to nobody, but {error}"),
                (Err(error), Some(_)) => panic!("byte {place} of {file}: {error}"),
            }
        }
    }
    assert!(refusals > 30_000, "{refusals}");
}

/// The mark behind the last batch is not synced. Without it, damage to that batch looks like a torn write; damage to
/// any other is found all the same.
#[test]
fn without_the_mark_only_the_last_batch_can_be_taken_for_torn() {
    let (storage, records) = small_log();
    let last_file = segments(&storage).pop().unwrap();
    let end = extents(&storage).last().unwrap().end;
    storage.edit(&last_file, |bytes| bytes[end..end + 48].fill(0));
    let (acknowledged_before, _) = records.split_at(records.len() - 3);
    let last_batch = extents(&storage).into_iter().rev().nth(2).unwrap().begin;
    let mut cut = 0;
    for place in 4096..end {
        let damaged = storage.fork();
        damaged.edit(&last_file, |bytes| bytes[place] ^= 0x40);
        match check(&damaged) {
            Err(_) => assert!(place < last_batch),
            Ok(found) => {
                assert!(place >= last_batch && found.len() < records.len());
                assert!(found.starts_with(acknowledged_before));
                assert!(records.starts_with(&found));
                cut += 1;
            }
        }
    }
    assert_eq!(cut, end - last_batch);
}

#[test]
fn every_shortened_and_every_lost_file_is_found() {
    let (storage, _) = small_log();
    for file in segments(&storage) {
        let length = storage.content(&file).unwrap().len();
        for place in 0..length {
            let damaged = storage.fork();
            damaged.edit(&file, |bytes| bytes.truncate(place));
            let refusal = check(&damaged).unwrap_err();
            assert!(refusal.to_string().starts_with(&file), "{refusal}");
        }
        let damaged = storage.fork();
        damaged.lose(&file);
        let refusal = check(&damaged).unwrap_err();
        assert!(matches!(&refusal, OpenError::MissingSegment { file: missing } if *missing == file), "{refusal}");
    }
    for file in segments(&storage) {
        storage.lose(&file);
    }
    assert!(matches!(check(&storage), Err(OpenError::Lost)));
}

#[test]
fn exchanged_and_copied_segments_are_found() {
    let (storage, _) = small_log();
    let files = segments(&storage);
    for one in &files {
        for other in files.iter().filter(|other| *other != one) {
            let damaged = storage.fork();
            let content = damaged.content(other).unwrap();
            damaged.edit(one, |bytes| *bytes = content);
            assert!(matches!(check(&damaged), Err(OpenError::Damaged { offset: 0, .. })));
        }
    }
    // The same generations of another log, each intact in itself.
    let (other, _) = log_of(9);
    for file in &files[1..] {
        let damaged = storage.fork();
        damaged.edit(file, |bytes| *bytes = other.content(file).unwrap());
        let refusal = check(&damaged).unwrap_err();
        assert!(matches!(refusal, OpenError::Damaged { fault: Fault::Unlinked, .. }), "{refusal}");
    }
}

#[test]
fn bytes_that_a_client_stored_never_pass_for_records() {
    // A log whose every record is known to somebody, salt excepted, is stored as a value in another log of the same
    // shape; that value is then torn.
    let (known, _) = small_log();
    let file = segments(&known).pop().unwrap();
    let value = known.content(&file).unwrap()[4096..12_000].to_vec();
    for salt in [0xc0de, 0xbeef] {
        let storage = MemoryStorage::new();
        let fresh = Options { salt, must_exist: false, ..options() };
        let (mut log, ..) = Log::open(storage.clone(), fresh).unwrap();
        while log.status().generation < 5 {
            log.append(&[Append { group: 1, parts: &[&[0; 4000]] }]).unwrap();
        }
        let before = usize::try_from(log.status().position).unwrap();
        log.append(&[Append { group: 1, parts: &[&value[..6000]] }]).unwrap();
        let last = segments(&storage).pop().unwrap();
        assert_eq!(last, file, "the same generation, as a forger would choose it");
        // The power failed before anything of the record but its body, which also hides the mark, was kept.
        storage.edit(&last, |bytes| {
            bytes[before..before + 48].fill(0xee);
            bytes[before + 48 + 6000..].fill(0);
        });
        let forged = open(&storage);
        assert_eq!(forged.is_err(), salt == 0xc0de, "only who knows the salt can raise a false alarm");
    }
}

#[test]
fn the_inspector_shows_everything_there_is() {
    let (storage, records) = small_log();
    storage.edit("notes.txt", |bytes| bytes.push(1));
    let (mut data, mut own, mut ends, mut spares, mut others) = (0, Vec::new(), Vec::new(), 0, 0);
    let summary = inspect(&mut storage.kill(), |finding| match finding {
        Finding::Record { header, .. } if header.kind == Kind::Data => data += 1,
        Finding::Record { header, .. } => own.push(header.kind),
        Finding::End { end, .. } => ends.push(end.what),
        Finding::Spare { .. } => spares += 1,
        Finding::Other { file } => {
            assert_eq!(file, "notes.txt");
            others += 1;
        }
        Finding::Segment { header, .. } => assert_eq!(header.salt, 0xc0de),
        Finding::Unreadable { file, .. } => panic!("{file} can be read"),
    })
    .unwrap();
    assert_eq!((data, summary.records), (records.len(), records.len()));
    assert_eq!(summary.bytes, records.iter().map(|record| record.bytes.len() as u64).sum::<u64>());
    assert_eq!(ends, [EndKind::Sealed, EndKind::Sealed, EndKind::Marked]);
    assert!(own.iter().all(|kind| matches!(kind, Kind::Seal | Kind::Release)), "{own:?}");
    assert_eq!((spares, others), (1, 1));
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Anything may lie in the folder: an answer, no panic, and only records that were once written.
    #[test]
    fn whatever_lies_in_the_files_opening_answers(
        edits in proptest::collection::vec((0_usize..4, 0_usize..16_384, garbage()), 1..6),
        copies in proptest::collection::vec((0_usize..4, 0_usize..32, 0_usize..32), 0..3),
    ) {
        let (storage, records) = small_log();
        let names = storage.names();
        for (file, place, garbage) in edits {
            storage.edit(&names[file], |bytes| {
                for (byte, new) in bytes[place..].iter_mut().zip(garbage) {
                    *byte = new;
                }
            });
        }
        // A misdirected write: a sector that belongs elsewhere.
        for (file, from, to) in copies {
            storage.edit(&names[file], |bytes| bytes.copy_within(from * 512..(from + 1) * 512, to * 512));
        }
        if let Ok(found) = check(&storage) {
            prop_assert!(records.starts_with(&found), "found what was never written");
            prop_assert!(found.len() + 3 >= records.len(), "more than the last batch was cut");
        }
    }
}
