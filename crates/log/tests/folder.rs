//! The log on a real folder: locks, modes, files that are not what they seem, writes that fail.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{self, IoSlice};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use conclave_log::inspect::inspect;
use conclave_log::{Append, AppendError, Folder, FolderError, Log, OpenError, Options, Sequence, Storage};

fn options() -> Options {
    Options { segment_size: 64 << 10, ..Options::default() }
}

fn append<S: Storage>(log: &mut Log<S>, body: &[u8]) -> Result<Sequence, AppendError> {
    log.append(&[Append { group: 0, parts: &[body] }])
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_log_lives_in_a_private_folder_and_is_found_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("data/m1/log");
    let (mut log, ..) = Log::open(Folder::open(&path).unwrap(), options()).unwrap();
    for number in 0..500_u32 {
        append(&mut log, &number.to_le_bytes().repeat(100)).unwrap();
        if number == 300 {
            log.release(Sequence(150)).unwrap();
        }
    }
    assert!(log.status().segments > 1);
    drop(log);
    assert_eq!(mode(&home.path().join("data")), 0o700);
    assert_eq!(mode(&path), 0o700);
    for entry in fs::read_dir(&path).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }

    let (log, records, report) = Log::open(Folder::open(&path).unwrap(), options()).unwrap();
    assert!(report.marked && report.cut.is_none() && report.ignored.is_empty(), "{report:?}");
    let bodies: Vec<_> = records.iter().map(|record| record.bytes.to_vec()).collect();
    let expected: Vec<_> =
        (500 - bodies.len()..500).map(|number| u32::try_from(number).unwrap().to_le_bytes().repeat(100)).collect();
    assert!(bodies.len() >= 350 && bodies == expected);
    log.close().unwrap();
}

#[test]
fn one_vectored_write_may_have_more_parts_than_a_system_call_takes() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, ..) = Log::open(Folder::open(home.path()).unwrap(), Options::default()).unwrap();
    let bodies: Vec<Vec<u8>> = (0..5000_u32).map(|number| number.to_le_bytes().to_vec()).collect();
    let parts: Vec<[&[u8]; 2]> = bodies.iter().map(|body| body.split_at(1).into()).collect();
    let batch: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: 2, parts }).collect();
    assert_eq!(log.append(&batch).unwrap(), Sequence(5000));
    drop(log);
    let (_, records, _) = Log::open(Folder::open(home.path()).unwrap(), Options::default()).unwrap();
    assert!(records.iter().map(|record| &record.bytes[..]).eq(bodies.iter().map(Vec::as_slice)));
}

#[test]
fn a_second_opener_is_told_who_holds_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let first = Folder::open(home.path()).unwrap();
    let refused = Folder::open(home.path()).unwrap_err();
    let expected = format!("{} is in use by process {}", home.path().display(), std::process::id());
    assert_eq!(refused.to_string(), expected);
    drop(first);
    Folder::open(home.path()).unwrap();
}

#[test]
fn an_inspector_needs_no_lock_and_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (mut log, ..) = Log::open(Folder::open(home.path()).unwrap(), options()).unwrap();
    append(&mut log, b"seen from outside").unwrap();
    let mut reader = Folder::inspect(home.path()).unwrap();
    let summary = inspect(&mut reader, |_| {}).unwrap();
    assert!(summary.refusal.is_none() && summary.records == 1);

    let file = reader.list().unwrap().remove(0);
    let opened = reader.open(&file).unwrap();
    assert!(reader.write_at(&opened, 0, &[IoSlice::new(b"x")]).is_err());
    assert!(reader.create("new").is_err() && reader.remove(&file).is_err() && reader.rename(&file, "old").is_err());
    append(&mut log, b"undisturbed").unwrap();
}

#[test]
fn places_that_cannot_be_used_are_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "a file").unwrap();
    for place in [file.as_path(), &file.join("below"), Path::new("/proc/conclave"), Path::new("/proc/self")] {
        let refused = Folder::open(place).unwrap_err();
        assert!(matches!(refused, FolderError::Refused { .. }), "{refused}");
        assert!(refused.to_string().contains(place.to_str().unwrap()), "{refused}");
    }
    assert!(Folder::inspect(&home.path().join("nothing")).is_err());
}

#[test]
fn a_link_in_place_of_a_segment_is_not_followed() {
    let home = tempfile::tempdir().unwrap();
    let elsewhere = home.path().join("elsewhere");
    fs::write(&elsewhere, vec![0; 64 << 10]).unwrap();
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    symlink(&elsewhere, data.join("00000000000000000001.segment")).unwrap();
    let refused = Log::open(Folder::open(&data).unwrap(), options()).err().unwrap();
    assert!(matches!(refused, OpenError::Failed(_)), "{refused}");
}

/// A folder whose files cannot grow beyond a place, and in which no write may begin beyond it: what a limit on the
/// size of files does.
struct Limited {
    folder: Folder,
    limit: u64,
}

impl Limited {
    fn check(&self, end: u64) -> io::Result<()> {
        if end > self.limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }
}

impl Storage for Limited {
    type File = <Folder as Storage>::File;

    fn list(&mut self) -> io::Result<Vec<String>> {
        self.folder.list()
    }
    fn create(&mut self, name: &str) -> io::Result<Self::File> {
        self.folder.create(name)
    }
    fn open(&mut self, name: &str) -> io::Result<Self::File> {
        self.folder.open(name)
    }
    fn length(&mut self, file: &Self::File) -> io::Result<u64> {
        self.folder.length(file)
    }
    fn allocate(&mut self, file: &Self::File, length: u64) -> io::Result<()> {
        self.check(length)?;
        self.folder.allocate(file, length)
    }
    fn read_at(&mut self, file: &Self::File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.folder.read_at(file, offset, buffer)
    }
    fn write_at(&mut self, file: &Self::File, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.check(offset)?;
        self.folder.write_at(file, offset, parts)
    }
    fn sync(&mut self, file: &Self::File) -> io::Result<()> {
        self.folder.sync(file)
    }
    fn drop_cache(&mut self, file: &Self::File) -> io::Result<()> {
        self.folder.drop_cache(file)
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.folder.remove(name)
    }
    fn sync_folder(&mut self) -> io::Result<()> {
        self.folder.sync_folder()
    }
}

#[test]
fn a_write_that_fails_ends_the_log_and_a_restart_has_what_was_acknowledged() {
    let home = tempfile::tempdir().unwrap();
    Log::open(Folder::open(home.path()).unwrap(), options()).unwrap();
    let limited = Limited { folder: Folder::open(home.path()).unwrap(), limit: 20_000 };
    let (mut log, ..) = Log::open(limited, options()).unwrap();
    let mut appended = 0;
    let first = loop {
        match append(&mut log, &[7; 1000]) {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert!(appended > 0 && matches!(first, AppendError::Failed(_)), "{first}");
    assert_eq!(append(&mut log, b"no more").unwrap_err().to_string(), first.to_string());
    drop(log);
    let (_, records, _) = Log::open(Folder::open(home.path()).unwrap(), options()).unwrap();
    assert!(records.len() == appended || records.len() == appended + 1);
}

#[test]
fn a_log_that_cannot_be_made_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let limited = Limited { folder: Folder::open(home.path()).unwrap(), limit: 10_000 };
    let refused = Log::open(limited, options()).err().unwrap();
    assert!(matches!(&refused, OpenError::Failed(failure) if failure.is_full()), "{refused}");
    assert!(Folder::open(home.path()).unwrap().list().unwrap().is_empty());
}
