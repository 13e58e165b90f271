//! Whose folder this is: a small checked text file naming the ensemble and the member. It is written once, when the
//! folder is first used, and compared at every start, so that a member never runs on another one's data.
//!
//! ```text
//! conclave member folder, format 1
//! ensemble orders
//! member 2
//! name m2
//! checksum 5f0c81aa
//! ```
//!
//! The checksum (CRC-32C, hexadecimal) covers everything before its line. A file that differs from this form in any
//! byte is refused. This room attaches no meaning to the numbers.

use std::fmt;

use crate::disk::Disk;
use crate::error::{Failure, OpenError};
use crate::format::{FileKind, segment_name};
use crate::log::{Log, Record, Sequence};
use crate::options::Options;
use crate::recovery::Report;
use crate::replace;
use crate::storage::Storage;

/// The file's name.
pub const FILE: &str = "identity";
/// The format of a member's folder as a whole: this file, and what lies beside it.
pub const FORMAT: u32 = 1;
/// The most bytes a member's name may have.
pub const NAME_MAX: usize = 255;
/// The file is never longer than this.
const FILE_MAX: u64 = 1024;

const TITLE: &str = "conclave member folder, format ";

/// Whose folder it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ensemble's name: 1 to [`NAME_MAX`] bytes, no control characters.
    pub ensemble: String,
    /// The member's number within the ensemble.
    pub member: u64,
    /// The member's name, for people: 1 to [`NAME_MAX`] bytes, no control characters.
    pub name: String,
}

impl Identity {
    /// Whether it can be written down.
    fn check(&self) -> Result<(), IdentityError> {
        let possible = |name: &str| (1..=NAME_MAX).contains(&name.len()) && !name.chars().any(char::is_control);
        match [&self.ensemble, &self.name].into_iter().find(|name| !possible(name)) {
            Some(name) => Err(IdentityError::Name { name: name.clone() }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} (id {}) of ensemble {}", self.name, self.member, self.ensemble)
    }
}

/// How the folder was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It was empty, and is now this member's.
    Claimed,
    /// It was this member's already.
    Known,
}

/// Why a folder is not to be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another member's folder.
    #[error("this folder belongs to {found}, not to {expected}")]
    Mismatch {
        /// Whose it is.
        found: Identity,
        /// Who opened it.
        expected: Identity,
    },
    /// There is no identity, but there are files.
    #[error("the folder has no file named {FILE}, but has {file}: it is no member's folder, or has lost its identity")]
    Unclaimed {
        /// The first of the files, by name.
        file: String,
    },
    /// The identity is not what was written.
    #[error("{FILE} is damaged: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// The folder was made by a program of another version.
    #[error("the folder has format {found}; this program knows format {FORMAT}")]
    UnknownFormat {
        /// The format the folder names.
        found: u32,
    },
    /// The name given cannot be that of a member or an ensemble.
    #[error("{name:?} cannot name a member or an ensemble: a name has 1 to {NAME_MAX} bytes and no control characters")]
    Name {
        /// The name.
        name: String,
    },
    /// The folder is the member's, but its log cannot be opened.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The storage failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Checks that the folder is the expected member's, and claims it for that member if it is empty.
pub fn open_identity<S: Storage>(storage: &mut S, expected: &Identity) -> Result<Opened, IdentityError> {
    expected.check()?;
    match read_identity(storage)? {
        Some(found) if found == *expected => Ok(Opened::Known),
        Some(found) => Err(IdentityError::Mismatch { found, expected: expected.clone() }),
        None => {
            check_empty(storage, |_| false)?;
            replace::replace(storage, FILE, encode(expected).as_bytes())?;
            Ok(Opened::Claimed)
        }
    }
}

/// Opens a member's log in the member's own folder: identity and log in one, checked against each other.
///
/// A folder that has an identity must have a log ([`OpenError::Lost`] if not): a member whose log was lost must not
/// start anew under its old name, with its votes forgotten. Therefore the first start makes the log before it claims
/// the folder, and a folder with a log that nothing was ever written to can still be claimed.
///
/// # Errors
/// [`IdentityError`] says what is wrong; the storage comes back if nothing in it was changed.
pub fn open_log<S: Storage>(
    mut storage: S,
    expected: &Identity,
    mut options: Options,
) -> Result<(Log<S>, Vec<Record>, Report), LogRefused<S>> {
    let claimed = match claim(&mut storage, expected, &options) {
        Ok(claimed) => claimed,
        Err(error) => return Err(LogRefused { error, storage: Some(storage) }),
    };
    options.must_exist = true;
    let opened = Log::open_or_return(storage, options);
    let (log, records, mut report) =
        opened.map_err(|refused| LogRefused { error: refused.error.into(), storage: refused.storage })?;
    report.created = claimed;
    report.ignored.retain(|name| name != FILE && *name != unfinished());
    Ok((log, records, report))
}

/// A member's log that was not opened.
#[derive(Debug)]
pub struct LogRefused<S> {
    /// Why.
    pub error: IdentityError,
    /// The storage, if nothing in it was changed.
    pub storage: Option<S>,
}

/// Checks that the folder is the member's, or makes it so; the latter is true.
fn claim<S: Storage>(storage: &mut S, expected: &Identity, options: &Options) -> Result<bool, IdentityError> {
    expected.check()?;
    match read_identity(storage)? {
        Some(found) if found == *expected => Ok(false),
        Some(found) => Err(IdentityError::Mismatch { found, expected: expected.clone() }),
        None => {
            check_empty(storage, |name| FileKind::of(name) != FileKind::Other)?;
            let (log, ..) = Log::open(&mut *storage, Options { must_exist: false, ..options.clone() })?;
            if log.status().last > Sequence(0) {
                return Err(IdentityError::Unclaimed { file: segment_name(log.status().generation) });
            }
            drop(log);
            replace::replace(storage, FILE, encode(expected).as_bytes())?;
            Ok(true)
        }
    }
}

/// Whose folder it is, if it is anybody's.
pub fn read_identity<S: Storage>(storage: &mut S) -> Result<Option<Identity>, IdentityError> {
    replace::read(storage, FILE, FILE_MAX)?.map(|bytes| decode(&bytes)).transpose()
}

/// What the identity is called while it is being written.
fn unfinished() -> String {
    format!("{FILE}{}", replace::SUFFIX)
}

/// Refuses a folder with anything in it that is nobody's business to be there, except what is allowed.
fn check_empty<S: Storage>(storage: &mut S, allowed: impl Fn(&str) -> bool) -> Result<(), IdentityError> {
    let names = Disk { storage }.list()?;
    // The root of a file system has a folder of its own.
    let harmless = |name: &str| name == unfinished() || name == "lost+found/" || allowed(name);
    match names.into_iter().find(|name| !harmless(name)) {
        Some(file) => Err(IdentityError::Unclaimed { file }),
        None => Ok(()),
    }
}

fn encode(identity: &Identity) -> String {
    let Identity { ensemble, member, name } = identity;
    let text = format!("{TITLE}{FORMAT}\nensemble {ensemble}\nmember {member}\nname {name}\n");
    let checksum = crc32c::crc32c(text.as_bytes());
    format!("{text}checksum {checksum:08x}\n")
}

fn decode(bytes: &[u8]) -> Result<Identity, IdentityError> {
    let damaged = |reason: &str| IdentityError::Damaged { reason: reason.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is no text"))?;
    let mut lines = text.lines();
    let mut field = |label: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(label));
        line.ok_or_else(|| damaged(&format!("the line that begins with {label:?} is missing")))
    };
    let format: u32 = field(TITLE)?.parse().map_err(|_| damaged("the format is no number"))?;
    if format != FORMAT {
        return Err(IdentityError::UnknownFormat { found: format });
    }
    let ensemble = field("ensemble ")?.to_owned();
    let member = field("member ")?.parse().map_err(|_| damaged("the member's id is no number"))?;
    let identity = Identity { ensemble, member, name: field("name ")?.to_owned() };
    // There is one way to write an identity down, and it includes the checksum.
    if encode(&identity).as_bytes() == bytes { Ok(identity) } else { Err(damaged("it does not match its checksum")) }
}
