//! What can go wrong, in words an operator can act on. Knows the log's terms, decides nothing.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::format::Fault;
use crate::log::Sequence;

/// What was asked of the storage when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Listing the folder.
    List,
    /// Creating a file.
    Create,
    /// Opening a file.
    Open,
    /// Asking for the length of a file.
    Measure,
    /// Reserving space for a file.
    Allocate,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Making the content of a file durable.
    Sync,
    /// Renaming a file.
    Rename,
    /// Removing a file.
    Remove,
    /// Making the names in the folder durable.
    SyncFolder,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::List => "listing",
            Operation::Create => "creating",
            Operation::Open => "opening",
            Operation::Measure => "measuring",
            Operation::Allocate => "reserving space for",
            Operation::Read => "reading",
            Operation::Write => "writing",
            Operation::Sync => "syncing",
            Operation::Rename => "renaming",
            Operation::Remove => "removing",
            Operation::SyncFolder => "syncing the names in",
        })
    }
}

/// The storage refused an operation. Cheap to clone: the log keeps its first one and returns it for ever.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation} {file} failed: {source}")]
pub struct Failure {
    /// What was asked.
    pub operation: Operation,
    /// The file it was asked of; "the folder" for operations on the folder itself.
    pub file: String,
    /// What the storage answered.
    pub source: Arc<io::Error>,
}

impl Failure {
    /// Whether the storage had no space left (or a quota or a limit on the size of files was reached).
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

/// Why [`Log::open`](crate::Log::open) refused. It has changed nothing in the folder, except after `Failed`.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// A record that had been acknowledged cannot be read, or a segment is not what it was. The log must not be used
    /// as if it were shorter.
    #[error(
        "{file} is damaged at offset {offset}: {fault}{}{}",
        .sequence.map_or_else(String::new, |due| format!("; record {due} should stand there, and was acknowledged")),
        .intact.map_or_else(String::new, |next| format!("; the next intact record behind it is {next}"))
    )]
    Damaged {
        /// The segment's file name.
        file: String,
        /// Where in the file the first unreadable thing begins, in bytes.
        offset: u64,
        /// The first record that is lost, if it is known.
        sequence: Option<Sequence>,
        /// What is wrong there.
        fault: Fault,
        /// The next record whose header is intact, if any: how much is lost.
        intact: Option<Sequence>,
    },
    /// A segment between others (or known to have existed) is not in the folder.
    #[error("segment {file} is missing: the log holds segments before or after it, or has a record of it")]
    MissingSegment {
        /// The name the file should have.
        file: String,
    },
    /// The log was expected to exist ([`Options::must_exist`](crate::Options::must_exist)), and no segment is there.
    #[error("the log is gone: no segment is in the folder, though this member had one")]
    Lost,
    /// The segment was written in a format this program does not know.
    #[error("{file} has format version {version}; this program knows version {known}")]
    UnknownVersion {
        /// The segment's file name.
        file: String,
        /// The version it names.
        version: u32,
        /// The version this program writes and reads.
        known: u32,
    },
    /// The file has the name of a segment and is none.
    #[error("{file} has the name of a log segment but is none: it was not written by this program")]
    NotOurs {
        /// The file's name.
        file: String,
    },
    /// An option is out of its range.
    #[error("segment_size is {value}: it must be a multiple of 4096 between {least} and {most}")]
    SegmentSize {
        /// The value given, in bytes.
        value: u64,
        /// The least allowed, in bytes.
        least: u64,
        /// The greatest allowed, in bytes.
        most: u64,
    },
    /// The storage failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// Why [`Log::append`](crate::Log::append) or [`Log::release`](crate::Log::release) did not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// A record is longer than a segment can hold. Nothing was written; the log is as before.
    #[error("record {position} of the batch has {length} bytes; the limit is {limit} (segment_size is {segment_size})")]
    TooLarge {
        /// Its place in the batch, from 0.
        position: usize,
        /// Its length in bytes.
        length: u64,
        /// The most a record may have, in bytes: [`Options::record_max`](crate::Options::record_max).
        limit: u64,
        /// The option that sets the limit.
        segment_size: u64,
    },
    /// There is no space for another segment. The log is sound and stays usable: release something and try again.
    #[error("the disk is full ({failure}); {appended} records of the batch were appended")]
    Full {
        /// What the storage answered.
        failure: Failure,
        /// How many records of the batch are durable nevertheless: 0 unless the batch is longer than a segment.
        appended: usize,
    },
    /// The storage failed. What the disk holds of the last batch is unknown; the log refuses all further calls with
    /// this same error.
    #[error(transparent)]
    Failed(#[from] Failure),
}
