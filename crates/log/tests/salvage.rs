//! What is left of a damaged log: everything in front of the damage, what is whole behind it, and never the claim that
//! the end was read when it was not. A salvaged log opens again, wherever a crash interrupts the salvaging.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use conclave_log::inspect::{Finding, inspect};
use conclave_log::memory::MemoryStorage;
use conclave_log::salvage::End;
use conclave_log::{Append, Kind, Log, OpenError, Options, Record, Sequence, salvage};

const ROOM: u64 = 256;
const GROUP: u32 = 4;

fn options() -> Options {
    Options { segment_size: Options::SEGMENT_SIZE_MIN, salt: 0xc0de, ..Options::default() }
}

fn note(number: u64) -> Vec<u8> {
    [b"note ".as_slice(), &number.to_le_bytes()].concat()
}

/// A log of three live segments behind a released one, in batches of two records, each with a note of its number.
fn sample(batches: u64) -> (MemoryStorage, Vec<Record>, Vec<u8>) {
    let storage = MemoryStorage::new();
    let (mut log, ..) = Log::open(storage.clone(), options()).unwrap();
    for number in 0..batches {
        let bodies = [vec![1; usize::try_from(number).unwrap() * 5], vec![2; 500]];
        let parts: Vec<[&[u8]; 1]> = bodies.iter().map(|body| [body.as_slice()]).collect();
        let batch: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: GROUP, parts }).collect();
        log.append_noted(&batch, &note(number)).unwrap();
        if number == 60 {
            log.release(Sequence(40)).unwrap();
        }
    }
    log.close().unwrap();
    let records = Log::open(storage.fork(), options()).unwrap().1;
    (storage, records, note(batches - 1))
}

fn segments(storage: &MemoryStorage) -> Vec<String> {
    storage.names().into_iter().filter(|name| name.ends_with(".segment")).collect()
}

/// The ends of data records, by file.
fn last_record(storage: &MemoryStorage) -> (String, usize, usize) {
    let mut last = None;
    inspect(&mut storage.kill(), |finding| {
        if let Finding::Record { file, offset, header, body } = finding
            && header.kind == Kind::Data
        {
            let begin = usize::try_from(offset).unwrap();
            last = Some((file.to_owned(), begin, begin + 48 + body.len().next_multiple_of(8)));
        }
    })
    .unwrap();
    last.unwrap()
}

/// Salvages, checks what comes of it, and returns what is known of the end; `None` if the log was sound.
fn check(damaged: &MemoryStorage, records: &[Record]) -> Option<End> {
    let refusal = match Log::open(damaged.kill(), options()) {
        Ok((_, found, _)) => {
            assert!(found == records, "a log that opens holds everything");
            return None;
        }
        Err(OpenError::Failed(failure)) => panic!("{failure}"),
        Err(refusal) => refusal,
    };
    let mut storage = damaged.kill();
    let left = salvage(&mut storage, ROOM).unwrap();
    assert!(records.starts_with(&left.before), "{refusal}: not what was written first");
    let mut rest = records[left.before.len()..].iter();
    for found in &left.behind {
        assert!(rest.any(|written| written == found), "{refusal}: found what was never written, or out of order");
    }
    let last = records.last().unwrap().sequence;
    let read_last = left.before.iter().chain(&left.behind).any(|record| record.sequence == last);
    assert!(left.end != End::Read || read_last, "{refusal}: the last record was not read");
    let end = left.end.clone();

    let continued: [&[u8]; 1] = [b"continued"];
    let append = [Append { group: GROUP, parts: &continued }];
    left.cut(&mut storage, &options(), left.can_keep(), &append, b"after").unwrap();
    let (mut log, found, _) = Log::open(storage, options()).unwrap();
    assert!(found.starts_with(&left.before) && found.len() == left.before.len() + 1, "{refusal}");
    assert_eq!(&found.last().unwrap().bytes[..], b"continued");
    log.append(&append).unwrap();
    Some(end)
}

#[test]
fn of_a_log_with_one_changed_byte_only_what_that_byte_is_in_is_lost() {
    let (storage, records, note) = sample(85);
    let (last_file, begin, end) = last_record(&storage);
    let (mut read, mut noted) = (0, 0);
    for file in segments(&storage) {
        let length = storage.content(&file).unwrap().len();
        for place in (0..length).step_by(5).chain(begin..end) {
            let damaged = storage.fork();
            damaged.edit(&file, |bytes| bytes[place] ^= 1 << (place % 8));
            match check(&damaged, &records) {
                None => {}
                Some(End::Read) => read += 1,
                Some(End::Noted(found)) => {
                    assert!(file == last_file && (begin..end).contains(&place), "byte {place} of {file}");
                    assert_eq!(found, note);
                    noted += 1;
                }
                Some(End::Unknown) => panic!("byte {place} of {file}: the end is in another place"),
            }
        }
    }
    assert!(read > 5000 && noted >= end - begin, "{read} {noted}");
}

#[test]
fn of_a_shortened_log_the_end_is_unknown_unless_the_mark_is_there() {
    let (storage, records, _) = sample(85);
    let files = segments(&storage);
    let (last_file, _, end) = last_record(&storage);
    for file in &files {
        let length = storage.content(file).unwrap().len();
        for place in (0..length).step_by(7) {
            let damaged = storage.fork();
            damaged.edit(file, |bytes| bytes.truncate(place));
            let known = check(&damaged, &records).expect("a shortened file is refused");
            let mark_end = end + 48;
            match known {
                End::Read => assert!(*file != last_file || place >= mark_end, "byte {place} of {file}"),
                End::Unknown => assert!(*file == last_file && place < mark_end, "byte {place} of {file}"),
                End::Noted(_) => panic!("nothing of a shortened file has a note without its record"),
            }
        }
        let lost = storage.fork();
        lost.lose(file);
        let known = check(&lost, &records).expect("a lost file is missed");
        assert_eq!(known == End::Unknown, *file == last_file);
    }
}

#[test]
fn salvaging_may_be_interrupted_anywhere() {
    let (storage, records, _) = sample(85);
    let file = &segments(&storage)[1];
    storage.edit(file, |bytes| bytes[6000] ^= 1);
    let continued: [&[u8]; 1] = [b"continued"];
    let append = [Append { group: GROUP, parts: &continued }];
    let mut finished = false;
    for operations in 0..40 {
        for seed in 0..10 {
            let mut interrupted = storage.fork();
            interrupted.halt_after(operations);
            let left = salvage(&mut interrupted, ROOM).unwrap();
            finished = left.cut(&mut interrupted, &options(), true, &append, b"after").is_ok();
            let mut after = interrupted.crash(seed);
            if let Err(refusal) = Log::open(after.kill(), options()) {
                assert!(matches!(refusal, OpenError::Damaged { .. } | OpenError::MissingSegment { .. }), "{refusal}");
                after = after.kill();
                let left = salvage(&mut after, ROOM).unwrap();
                assert_eq!(left.end, End::Read, "what was behind the damage is there until it is not needed");
                left.cut(&mut after, &options(), true, &append, b"after").unwrap();
            }
            let (_, found, _) = Log::open(after.kill(), options()).unwrap();
            let kept = found.iter().zip(&records).take_while(|(found, written)| found == written).count();
            assert!(found[kept..].iter().all(|record| &record.bytes[..] == b"continued"), "after {operations}");
            assert!(!found[kept..].is_empty(), "after {operations}");
        }
    }
    assert!(finished, "the last attempts were not interrupted");
}
