//! Whose folder it is: claimed once, known ever after, never taken for another's, never half written.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use conclave_log::identity::{Identity, IdentityError, Opened, open_log, read_identity};
use conclave_log::memory::MemoryStorage;
use conclave_log::{Append, Folder, OpenError, Options, open_identity, replace};

fn member(number: u64) -> Identity {
    Identity { ensemble: "orders".into(), member: number, name: format!("m{number}") }
}

#[test]
fn an_empty_folder_is_claimed_and_known_ever_after() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(home.path()).unwrap();
    assert_eq!(read_identity(&mut folder).unwrap(), None);
    assert_eq!(open_identity(&mut folder, &member(2)).unwrap(), Opened::Claimed);
    assert_eq!(open_identity(&mut folder, &member(2)).unwrap(), Opened::Known);
    assert_eq!(read_identity(&mut folder).unwrap(), Some(member(2)));
    let refused = open_identity(&mut folder, &member(1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this folder belongs to member m2 (id 2) of ensemble orders, \
         not to member m1 (id 1) of ensemble orders"
    );
}

#[test]
fn another_ensembles_folder_and_strangers_folders_are_refused() {
    let mut storage = MemoryStorage::new();
    open_identity(&mut storage, &member(1)).unwrap();
    let elsewhere = Identity { ensemble: "billing".into(), ..member(1) };
    assert!(matches!(open_identity(&mut storage, &elsewhere), Err(IdentityError::Mismatch { .. })));

    let mut storage = MemoryStorage::new();
    storage.edit("thesis.txt", |bytes| bytes.extend(b"do not touch"));
    let refused = open_identity(&mut storage, &member(1)).unwrap_err();
    assert!(matches!(&refused, IdentityError::Unclaimed { file } if file == "thesis.txt"), "{refused}");
    assert_eq!(storage.names(), ["thesis.txt"]);
}

#[test]
fn names_that_would_break_the_file_are_refused() {
    for name in ["", "two\nlines", "bell\u{7}", &"x".repeat(256)] {
        let identity = Identity { name: name.to_owned(), ..member(1) };
        let refused = open_identity(&mut MemoryStorage::new(), &identity);
        assert!(matches!(refused, Err(IdentityError::Name { .. })), "{name:?}");
    }
    let mut storage = MemoryStorage::new();
    let odd = Identity { name: " größer, checksum 0 ".to_owned(), ..member(1) };
    open_identity(&mut storage, &odd).unwrap();
    assert_eq!(read_identity(&mut storage).unwrap(), Some(odd));
}

#[test]
fn every_changed_byte_and_every_shortening_is_found() {
    let mut storage = MemoryStorage::new();
    open_identity(&mut storage, &member(3)).unwrap();
    let length = storage.content("identity").unwrap().len();
    for place in 0..length {
        for bit in 0..8 {
            let mut damaged = storage.fork();
            damaged.edit("identity", |bytes| bytes[place] ^= 1 << bit);
            let refused = open_identity(&mut damaged, &member(3));
            let named = matches!(refused, Err(IdentityError::Damaged { .. } | IdentityError::UnknownFormat { .. }));
            assert!(named, "byte {place}, bit {bit}: {refused:?}");
        }
        let mut damaged = storage.fork();
        damaged.edit("identity", |bytes| bytes.truncate(place));
        assert!(open_identity(&mut damaged, &member(3)).is_err(), "cut to {place}");
    }
    storage.edit("identity", |bytes| bytes.resize(100_000, b'x'));
    assert!(matches!(open_identity(&mut storage, &member(3)), Err(IdentityError::Failed(_))));
}

#[test]
fn a_crash_at_any_step_leaves_the_old_content_or_the_new() {
    for operations in 0..8 {
        for seed in 0..50 {
            let mut storage = MemoryStorage::new();
            replace::replace(&mut storage, "small", b"the old content").unwrap();
            storage.halt_after(operations);
            let done = replace::replace(&mut storage, "small", b"new").is_ok();
            let mut storage = storage.crash(seed);
            let found = replace::read(&mut storage, "small", 100).unwrap().unwrap();
            assert!(found == b"new" || (!done && found == b"the old content"), "{found:?}");
            replace::replace(&mut storage, "small", b"and again").unwrap();
            assert_eq!(replace::read(&mut storage.crash(seed), "small", 100).unwrap().unwrap(), b"and again");
        }
    }
}

#[test]
fn a_claim_that_was_interrupted_can_be_made_again() {
    for operations in 0..6 {
        for seed in 0..50 {
            let mut storage = MemoryStorage::new();
            storage.halt_after(operations);
            let first = open_identity(&mut storage, &member(1)).is_ok();
            let mut storage = storage.crash(seed);
            let again = open_identity(&mut storage, &member(1)).unwrap();
            assert!(!first || again == Opened::Known);
        }
    }
}

fn options() -> Options {
    Options { segment_size: Options::SEGMENT_SIZE_MIN, ..Options::default() }
}

#[test]
fn a_folder_within_counts_as_content_but_for_that_of_the_file_system() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("lost+found")).unwrap();
    let mut folder = Folder::open(home.path()).unwrap();
    open_identity(&mut folder, &member(1)).unwrap();
    drop(folder);
    std::fs::remove_file(home.path().join("identity")).unwrap();
    std::fs::create_dir(home.path().join("log")).unwrap();
    let refused = open_identity(&mut Folder::open(home.path()).unwrap(), &member(2)).unwrap_err();
    assert!(matches!(&refused, IdentityError::Unclaimed { file } if file == "log/"), "{refused}");
}

#[test]
fn a_members_log_opens_for_that_member_only() {
    let storage = MemoryStorage::new();
    let (mut log, _, report) = open_log(storage.clone(), &member(1), options()).unwrap();
    assert!(report.created && report.ignored.is_empty());
    log.append(&[Append { group: 1, parts: &[b"a vote"] }]).unwrap();
    let (_, records, report) = open_log(storage.crash(1), &member(1), options()).unwrap();
    assert!(records.len() == 1 && !report.created && report.ignored.is_empty());

    let refused = open_log(storage.kill(), &member(2), options()).err().unwrap();
    assert!(matches!(refused.error, IdentityError::Mismatch { .. }));
    let lost = storage.fork();
    lost.lose("00000000000000000001.segment");
    let refused = open_log(lost.kill(), &member(1), options()).err().unwrap();
    assert!(matches!(refused.error, IdentityError::Log(OpenError::Lost)));
    storage.lose("identity");
    let refused = open_log(storage.kill(), &member(1), options()).err().unwrap();
    assert!(matches!(refused.error, IdentityError::Unclaimed { .. }), "a log that was used belongs to somebody");
}

#[test]
fn a_first_start_that_was_interrupted_anywhere_can_be_repeated() {
    for operations in 0..20 {
        for seed in 0..50 {
            let storage = MemoryStorage::new();
            storage.halt_after(operations);
            drop(open_log(storage.clone(), &member(1), options()));
            let (mut log, records, _) = open_log(storage.crash(seed), &member(1), options()).unwrap();
            assert!(records.is_empty());
            log.append(&[Append { group: 1, parts: &[b"a vote"] }]).unwrap();
        }
    }
}
