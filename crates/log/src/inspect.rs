//! Looking at a log without touching it: every segment, every record, every problem, with places, and what opening
//! it would answer. For tools that dump or verify a log, that of a running, stopped or broken member alike. It
//! repairs nothing.
//!
//! The log of a running member may be caught in the middle of a write; its tail then looks torn.

use crate::disk::Disk;
use crate::error::{Failure, OpenError};
use crate::format::{Fault, FileKind, Kind, RecordHeader, SegmentHeader, VERSION, segment_name};
use crate::load::{Unreadable, load};
use crate::log::Sequence;
use crate::storage::Storage;
use crate::verdict::{Outline, Survey, verdict};
use crate::walk::Stop;

/// Something that was found, in the order of the files and of the places in them.
#[derive(Clone, Copy, Debug)]
pub enum Finding<'a> {
    /// A segment begins.
    Segment {
        /// Its file.
        file: &'a str,
        /// Its header.
        header: &'a SegmentHeader,
    },
    /// A record of the chain; the log's own ones too.
    Record {
        /// The segment's file.
        file: &'a str,
        /// Where its header begins, in bytes.
        offset: u64,
        /// Its header.
        header: &'a RecordHeader,
        /// Its content.
        body: &'a [u8],
    },
    /// The chain of a segment ends.
    End {
        /// The segment's file.
        file: &'a str,
        /// How, where, and what stands behind.
        end: &'a End,
    },
    /// A file with the name of a segment that cannot be read as one.
    Unreadable {
        /// The file.
        file: &'a str,
        /// Why.
        problem: Problem,
    },
    /// A file of the log that is no live segment: a spare, or one that was being made.
    Spare {
        /// The file.
        file: &'a str,
    },
    /// A file that is not the log's.
    Other {
        /// The file.
        file: &'a str,
    },
}

/// How the chain of a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Where, in bytes.
    pub offset: u64,
    /// The sequence that would be due there.
    pub next: Sequence,
    /// What is there.
    pub what: EndKind,
    /// Records with intact headers of this segment behind the end; none is looked for behind a seal.
    pub records_behind: usize,
    /// The highest sequence that anything behind the end says was durable.
    pub durable_behind: Sequence,
}

/// What stands at the end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// A seal: the next segment goes on.
    Sealed,
    /// A mark: nothing that was acknowledged is missing here.
    Marked,
    /// Neither. In the last segment that is usual after a loss of power; elsewhere it is damage.
    Broken(Fault),
}

/// What is wrong with a file as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It was not written by this program.
    NotOurs,
    /// Its format is not known here.
    UnknownVersion {
        /// The version it names.
        version: u32,
        /// The version known here.
        known: u32,
    },
    /// Its header is not what was written.
    Header(Fault),
}

/// The whole.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Segments that could be read.
    pub segments: usize,
    /// Records in their chains, the log's own not counted.
    pub records: usize,
    /// Bytes of the contents of these.
    pub bytes: u64,
    /// What opening the log would answer: nothing (it would open, its tail possibly cut), or the refusal.
    pub refusal: Option<OpenError>,
}

/// Goes through all files of the folder and tells what it finds. Fails only if the storage does.
pub fn inspect<S: Storage>(storage: &mut S, mut tell: impl FnMut(Finding<'_>)) -> Result<Summary, Failure> {
    let mut disk = Disk { storage };
    let mut generations = Vec::new();
    for name in disk.list()? {
        match FileKind::of(&name) {
            FileKind::Segment(generation) => generations.push(generation),
            FileKind::Spare | FileKind::Unfinished => tell(Finding::Spare { file: &name }),
            FileKind::Other => tell(Finding::Other { file: &name }),
        }
    }
    generations.sort_unstable();
    let mut summary = Summary { segments: 0, records: 0, bytes: 0, refusal: None };
    let mut surveys = Vec::new();
    let mut buffer = Vec::new();
    for generation in generations {
        let file = disk.open(segment_name(generation))?;
        let outline = match load(&mut disk, &file, generation, &mut buffer)? {
            Ok(head) => Ok(tell_segment(&file.name, &buffer, head.header, &mut summary, &mut tell)),
            Err(reason) => {
                let (problem, fault) = explain(&file.name, reason, &mut summary);
                tell(Finding::Unreadable { file: &file.name, problem });
                Err(fault)
            }
        };
        surveys.push(Survey { file: file.name, generation, outline });
    }
    if summary.refusal.is_none() {
        let empty = surveys.is_empty().then_some(OpenError::Lost);
        summary.refusal = empty.or(verdict(&surveys.iter().collect::<Vec<_>>()).err());
    }
    Ok(summary)
}

fn tell_segment(
    file: &str,
    bytes: &[u8],
    header: SegmentHeader,
    summary: &mut Summary,
    tell: &mut impl FnMut(Finding<'_>),
) -> Outline {
    tell(Finding::Segment { file, header: &header });
    summary.segments += 1;
    let outline = Outline::of(bytes, header, |link| {
        if link.header.kind == Kind::Data {
            summary.records += 1;
            summary.bytes += link.body.len() as u64;
        }
        tell(Finding::Record { file, offset: link.offset as u64, header: &link.header, body: link.body });
    });
    let end = End {
        offset: outline.position as u64,
        next: Sequence(outline.next),
        what: match outline.stop {
            Stop::Sealed => EndKind::Sealed,
            Stop::Marked => EndKind::Marked,
            Stop::Broken(fault) => EndKind::Broken(fault),
        },
        records_behind: outline.evidence.records,
        durable_behind: Sequence(outline.evidence.durable),
    };
    tell(Finding::End { file, end: &end });
    outline
}

/// The problem for people, the fault for the verdict, and the refusal if opening would come no further than here.
fn explain(file: &str, reason: Unreadable, summary: &mut Summary) -> (Problem, Fault) {
    let (problem, refusal) = match reason {
        Unreadable::Fault(fault) => return (Problem::Header(fault), fault),
        Unreadable::NotOurs => (Problem::NotOurs, OpenError::NotOurs { file: file.to_owned() }),
        Unreadable::Version(version) => (
            Problem::UnknownVersion { version, known: VERSION },
            OpenError::UnknownVersion { file: file.to_owned(), version, known: VERSION },
        ),
    };
    summary.refusal.get_or_insert(refusal);
    (problem, Fault::SegmentHeader)
}
