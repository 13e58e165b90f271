//! What becomes of lines in the files of a diary.

use std::sync::mpsc::channel;

use log::Operation;
use log::memory::MemoryStorage;

use super::*;
use crate::diary::{DiaryKind, Facts};

fn entry(number: u64) -> DiaryEntry {
    DiaryEntry {
        unix_milliseconds: number,
        member: "m1".into(),
        term: 5,
        kind: DiaryKind::PreVoteFailed,
        text: format!("entry {number} with a quote \" and a line\nbreak"),
        facts: Facts { yes: vec!["m1".into()], ..Facts::default() },
    }
}

fn write(files: &mut Files<MemoryStorage>, number: u64) {
    files.write(&encode(&entry(number)).expect("is short")).expect("writes");
}

fn numbers(storage: &mut MemoryStorage) -> (Vec<u64>, u64) {
    let diary = read(storage).expect("reads");
    (diary.entries.iter().map(|entry| entry.unix_milliseconds).collect(), diary.damaged)
}

#[test]
fn what_was_written_is_read_back_after_a_restart() {
    let storage = MemoryStorage::new();
    let mut files = Files::new(storage.kill());
    write(&mut files, 1);
    let mut files = Files::new(storage.kill());
    write(&mut files, 2);
    let diary = read(&mut files.storage).expect("reads");
    assert_eq!(diary, Diary { entries: vec![entry(1), entry(2)], damaged: 0 });
}

#[test]
fn every_kind_is_read_back_as_it_was_and_unknown_ones_do_no_harm() {
    for kind in DiaryKind::ALL {
        let line = encode(&DiaryEntry { kind, ..entry(1) }).expect("is short");
        assert_eq!(decode(line.trim_ascii_end()).expect("is whole").kind, kind);
    }
    let of_the_future = String::from_utf8(encode(&entry(1)).expect("is short")).expect("is text");
    let content = of_the_future.split(CHECK).next().expect("is there").replace("pre-vote-failed", "brand-new");
    let line = format!("{content}{CHECK}{:08x}\"}}", crc32c::crc32c(content.as_bytes()));
    assert_eq!(decode(line.as_bytes()).expect("is whole").kind, DiaryKind::Other);
}

#[test]
fn a_flipped_bit_costs_its_line_and_no_other() {
    let mut storage = MemoryStorage::new();
    let mut files = Files::new(storage.kill());
    (1..=3).for_each(|number| write(&mut files, number));
    let length = encode(&entry(1)).expect("is short").len();
    for at in length..2 * length - 1 {
        let mut damaged = files.storage.fork();
        damaged.edit(NEWER, |content| content[at] ^= 0x08);
        let (numbers, lines) = numbers(&mut damaged);
        assert_eq!((numbers.first(), numbers.last()), (Some(&1), Some(&3)), "byte {at}");
        assert!(!numbers.contains(&2) && lines > 0, "byte {at}");
    }
    storage = files.storage;
    assert_eq!(numbers(&mut storage), (vec![1, 2, 3], 0));
}

#[test]
fn a_line_torn_by_a_crash_is_counted_and_the_next_begins_anew() {
    let storage = MemoryStorage::new();
    let mut files = Files::new(storage.kill());
    (1..=2).for_each(|number| write(&mut files, number));
    storage.edit(NEWER, |content| content.truncate(content.len() - 7));
    let mut files = Files::new(storage.kill());
    write(&mut files, 3);
    assert_eq!(numbers(&mut files.storage), (vec![1, 3], 1));
}

#[test]
fn the_files_are_bounded_and_the_newest_entries_are_kept() {
    let storage = MemoryStorage::new();
    let mut files = Files::new(storage.kill());
    let length = encode(&entry(10_000)).expect("is short").len() as u64;
    let count = 3 * FILE_BYTES_MAX / length;
    for number in 10_000..10_000 + count {
        write(&mut files, number);
        if number % 5_000 == 0 {
            // Started anew in between.
            files = Files::new(storage.kill());
        }
    }
    assert_eq!(storage.names(), [OLDER, NEWER]);
    let (kept, damaged) = numbers(&mut files.storage);
    assert_eq!(damaged, 0);
    assert!(kept.len() as u64 * length > FILE_BYTES_MAX, "more than one file's worth is kept");
    assert!(kept.is_sorted() && kept.last() == Some(&(10_000 + count - 1)));
    for name in storage.names() {
        assert!(storage.content(&name).expect("is there").len() as u64 <= FILE_BYTES_MAX);
    }
}

#[test]
fn a_full_disk_loses_the_line_and_nothing_else() {
    let storage = MemoryStorage::new();
    let files = Mutex::new(Files::new(storage.kill()));
    let keep_all = |numbers: std::ops::RangeInclusive<u64>| {
        let (orders, receiver) = sync_channel(WAITING_MAX);
        let pen = Pen { orders };
        numbers.for_each(|number| pen.write(entry(number)));
        drop(pen);
        keep(&files, &Orders(receiver), SYNC_AFTER);
    };
    keep_all(1..=2);
    let full = storage.content(NEWER).expect("is there").len() as u64 + 10;
    lock(&files).storage.set_capacity(Some(full));
    keep_all(3..=4);
    lock(&files).storage.set_capacity(None);
    keep_all(5..=6);
    lock(&files).storage.fail_next(Operation::Write, io::ErrorKind::Other);
    keep_all(7..=8);
    assert_eq!(numbers(&mut lock(&files).storage), (vec![1, 2, 5, 6, 8], 0));
}

#[test]
fn last_words_are_written_before_the_flush_returns() {
    let storage = MemoryStorage::new();
    let files = Mutex::new(Files::new(storage.kill()));
    let (orders, receiver) = sync_channel(WAITING_MAX);
    let (done, wait) = channel();
    std::thread::scope(|scope| {
        let files = &files;
        scope.spawn(move || keep(files, &Orders(receiver), SYNC_AFTER));
        let pen = Pen { orders };
        pen.write(entry(1));
        pen.flush();
        done.send(numbers(&mut lock(files).storage).0).expect("is received");
    });
    assert_eq!(wait.recv().expect("was sent"), [1]);
}

#[test]
fn a_member_that_never_wrote_has_an_empty_diary() {
    let folder = tempfile::tempdir().expect("makes a folder");
    assert_eq!(read_diary(folder.path()).expect("reads"), Diary::default());
}
