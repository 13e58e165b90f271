//! Opening a log: read every segment, find where the log ends, and decide whether that end is honest. The rule is in
//! the crate's head. Nothing in the folder is changed before the decision has been made.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::disk::{Disk, Named};
use crate::error::{Failure, OpenError};
use crate::format::{Fault, FileKind, HEADER_BLOCK, Kind, SegmentHeader, VERSION, segment_name};
use crate::load::{Unreadable, load};
use crate::log::{Active, Log, Record, Sealed, Sequence, make_segment};
use crate::options::Options;
use crate::storage::Storage;
use crate::walk::{Evidence, Stop, Walk, released_before};

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// There was no log; an empty one was created.
    pub created: bool,
    /// Live segments.
    pub segments: usize,
    /// The newest sequence in the log, the log's own records included. 0 if there is none.
    pub last: Sequence,
    /// The end of the log bore a mark: nothing that was acknowledged can have been behind it.
    pub marked: bool,
    /// A torn tail that was cut.
    pub cut: Option<Cut>,
    /// Files of the folder that are not the log's; they were left alone.
    pub ignored: Vec<String>,
}

/// A tail that was cut: what a crash left of a batch whose sync had not returned. It has been erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment's file name.
    pub file: String,
    /// Where in it the cut was made, in bytes.
    pub offset: u64,
    /// The first sequence that was cut.
    pub first: Sequence,
    /// How many records with an intact header were found behind the cut.
    pub records: usize,
}

/// The files of the folder, by what they are to the log.
#[derive(Default)]
struct Folder {
    segments: Vec<u64>,
    spares: Vec<String>,
    unfinished: Vec<String>,
    ignored: Vec<String>,
}

/// A segment as it was read.
struct Segment<F> {
    generation: u64,
    file: Named<F>,
    content: Result<Content, Fault>,
}

/// What a segment with an intact header holds.
struct Content {
    header: SegmentHeader,
    records: Vec<Record>,
    /// Where its chain ends, what would be due there, and how it ends.
    position: usize,
    next: u64,
    chain: u32,
    stop: Stop,
    /// What stands behind the end. Nothing is looked for behind a seal.
    evidence: Evidence,
    /// The highest sequence that anything in this segment says was durable.
    durable: u64,
    /// The oldest live generation, as far as this segment knows.
    oldest: u64,
    /// Behind this there are only zeros.
    written: u64,
}

impl<S: Storage> Log<S> {
    /// Opens the log in a folder, creates it if there is none, and returns what it holds.
    ///
    /// All returned records are durable. Records below the last released sequence may be among them.
    pub fn open(storage: S, options: Options) -> Result<(Log<S>, Vec<Record>, Report), OpenError> {
        options.check()?;
        let mut disk = Disk { storage };
        let folder = sort(disk.list()?);
        if folder.segments.is_empty() {
            return create(disk, options, folder);
        }
        let mut segments = read_all(&mut disk, &folder.segments)?;
        let oldest = segments
            .iter()
            .filter_map(|s| s.content.as_ref().ok())
            .map(|c| c.oldest)
            .max()
            .unwrap_or(1);
        let retired = segments
            .iter()
            .take_while(|segment| segment.generation < oldest)
            .count();
        let live = segments.split_off(retired);
        let live = readable(live)?;
        let end = find_end(&live, oldest)?;
        judge(&live, end)?;
        mend(disk, options, folder, &segments, live, end)
    }
}

fn sort(names: Vec<String>) -> Folder {
    let mut folder = Folder::default();
    for name in names {
        match FileKind::of(&name) {
            FileKind::Segment(generation) => folder.segments.push(generation),
            FileKind::Spare => folder.spares.push(name),
            FileKind::Unfinished => folder.unfinished.push(name),
            FileKind::Other => folder.ignored.push(name),
        }
    }
    folder.segments.sort_unstable();
    folder
}

fn create<S: Storage>(
    mut disk: Disk<S>,
    options: Options,
    folder: Folder,
) -> Result<(Log<S>, Vec<Record>, Report), OpenError> {
    // A spare was a segment once, and the last segment is never released.
    if options.must_exist || !folder.spares.is_empty() {
        return Err(OpenError::Lost);
    }
    for name in &folder.unfinished {
        disk.remove(name)?;
    }
    let header = SegmentHeader {
        generation: 1,
        size: options.segment_size,
        first: 1,
        oldest: 1,
        previous: 0,
        salt: options.salt,
    };
    let active = make_segment(&mut disk, header, None)?;
    let log = Log {
        disk,
        options,
        sealed: VecDeque::new(),
        active,
        spares: Vec::new(),
        next: 1,
        failure: None,
    };
    let report = Report {
        created: true,
        segments: 1,
        ignored: folder.ignored,
        ..Report::default()
    };
    Ok((log, Vec::new(), report))
}

fn read_all<S: Storage>(
    disk: &mut Disk<S>,
    generations: &[u64],
) -> Result<Vec<Segment<S::File>>, OpenError> {
    let mut buffer = Vec::new();
    let mut segments = Vec::with_capacity(generations.len());
    for (position, &generation) in generations.iter().enumerate() {
        let file = disk.open(segment_name(generation))?;
        // What is read must be durable before anybody acts on it: the last life may have ended before its sync.
        disk.sync(&file)?;
        // Only the last two can have been written to when a sync failed: its pages then look clean and may be lies.
        if position + 2 >= generations.len() {
            disk.drop_cache(&file)?;
        }
        let content = match load(disk, &file, generation, &mut buffer)? {
            Ok(header) => Ok(read_content(&buffer, header)),
            Err(Unreadable::Fault(fault)) => Err(fault),
            Err(Unreadable::NotOurs) => return Err(OpenError::NotOurs { file: file.name }),
            Err(Unreadable::Version(version)) => {
                return Err(OpenError::UnknownVersion {
                    file: file.name,
                    version,
                    known: VERSION,
                });
            }
        };
        segments.push(Segment {
            generation,
            file,
            content,
        });
    }
    Ok(segments)
}

fn read_content(bytes: &[u8], header: SegmentHeader) -> Content {
    let mut walk = Walk::new(bytes, header);
    let mut records = Vec::new();
    let (mut durable, mut oldest) = (header.durable(), header.oldest);
    for link in walk.by_ref() {
        durable = durable.max(link.header.durable);
        oldest = released_before(&link).map_or(oldest, |generation| oldest.max(generation));
        if link.header.kind == Kind::Data {
            records.push(Record {
                group: link.header.group,
                sequence: Sequence(link.header.sequence),
                bytes: Bytes::copy_from_slice(link.body),
            });
        }
    }
    let stop = walk.stop.expect("a walk ends with a reason");
    let (evidence, written) = if stop == Stop::Sealed {
        (Evidence::default(), header.size)
    } else {
        let used = bytes
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last as u64 + 1);
        (
            Evidence::behind(bytes, &header, walk.position),
            used.next_multiple_of(HEADER_BLOCK),
        )
    };
    Content {
        header,
        records,
        position: walk.position,
        next: walk.next,
        chain: walk.chain,
        stop,
        evidence,
        durable: durable.max(evidence.durable),
        oldest,
        written,
    }
}

/// A live segment whose header is intact.
struct Live<F> {
    file: Named<F>,
    content: Content,
}

fn readable<F>(segments: Vec<Segment<F>>) -> Result<Vec<Live<F>>, OpenError> {
    let mut live: Vec<Live<F>> = Vec::with_capacity(segments.len());
    for Segment { file, content, .. } in segments {
        let content = match content {
            Ok(content) => content,
            Err(fault) => {
                return Err(damaged(
                    &file.name,
                    0,
                    live.last().map(|l| l.content.next),
                    fault,
                    None,
                ));
            }
        };
        live.push(Live { file, content });
    }
    Ok(live)
}

/// The segment in which the log ends: the first whose chain does not end with a seal.
fn find_end<F>(live: &[Live<F>], oldest: u64) -> Result<usize, OpenError> {
    let mut link = (oldest == 1).then_some((1, 0));
    for (position, segment) in live.iter().enumerate() {
        let Content {
            header,
            next,
            chain,
            stop,
            ..
        } = &segment.content;
        let due = oldest + position as u64;
        if header.generation != due {
            return Err(OpenError::MissingSegment {
                file: segment_name(due),
            });
        }
        if let Some((first, previous)) = link
            && (header.first, header.previous) != (first, previous)
        {
            return Err(damaged(
                &segment.file.name,
                0,
                Some(first),
                Fault::Unlinked,
                None,
            ));
        }
        if *stop != Stop::Sealed {
            return Ok(position);
        }
        link = Some((*next, *chain));
    }
    Err(OpenError::MissingSegment {
        file: segment_name(oldest + live.len() as u64),
    })
}

/// Applies the rule of the tail: an error if the record that is due at the end was acknowledged.
fn judge<F>(live: &[Live<F>], end: usize) -> Result<(), OpenError> {
    let Live { file, content } = &live[end];
    let behind = &live[end + 1..];
    let durable = behind
        .iter()
        .map(|segment| segment.content.durable)
        .fold(content.evidence.durable, u64::max);
    // A roll that was interrupted leaves one successor without a record. Anything else has been lived in.
    let lived_in =
        |s: &Live<F>| s.content.next > s.content.header.first || s.content.evidence.records > 0;
    if durable < content.next && behind.len() <= 1 && !behind.iter().any(lived_in) {
        return Ok(());
    }
    let fault = match content.stop {
        Stop::Broken(fault) => fault,
        Stop::Marked | Stop::Sealed => Fault::NoRecord,
    };
    let intact = content
        .evidence
        .intact
        .or(behind.first().map(|segment| segment.content.header.first));
    Err(damaged(
        &file.name,
        content.position as u64,
        Some(content.next),
        fault,
        intact,
    ))
}

fn damaged(
    file: &str,
    offset: u64,
    sequence: Option<u64>,
    fault: Fault,
    intact: Option<u64>,
) -> OpenError {
    OpenError::Damaged {
        file: file.to_owned(),
        offset,
        sequence: sequence.map(Sequence),
        fault,
        intact: intact.map(Sequence),
    }
}

/// Brings the folder in order and starts the log. A crash anywhere in here leaves work for the next open, no harm.
fn mend<S: Storage>(
    mut disk: Disk<S>,
    options: Options,
    folder: Folder,
    retired: &[Segment<S::File>],
    mut live: Vec<Live<S::File>>,
    end: usize,
) -> Result<(Log<S>, Vec<Record>, Report), OpenError> {
    for premature in live.drain(end + 1..) {
        disk.remove(&premature.file.name)?;
    }
    for name in &folder.unfinished {
        disk.remove(name)?;
    }
    let last = live.pop().expect("the log ends in one of its segments");
    let cut = erase_tail(&mut disk, &last)?;
    let spares = keep_spares(&mut disk, &options, folder.spares)?;

    let sealed = live
        .iter()
        .map(|segment| sealed(&segment.content.header))
        .collect();
    let retired: Vec<Sealed> = retired
        .iter()
        .map(|segment| retired_file(segment))
        .collect();
    let report = Report {
        created: false,
        segments: live.len() + 1,
        last: Sequence(last.content.next - 1),
        marked: last.content.stop == Stop::Marked,
        cut,
        ignored: folder.ignored,
    };
    let active = Active {
        file: last.file,
        header: last.content.header,
        position: last.content.position as u64,
        written: last.content.written,
        chain: last.content.chain,
    };
    let mut log = Log {
        disk,
        options,
        sealed,
        active,
        spares,
        next: last.content.next,
        failure: None,
    };
    log.recycle(&retired)?;
    log.mark()?;
    let records = live
        .into_iter()
        .map(|segment| segment.content.records)
        .chain([last.content.records]);
    Ok((log, records.flatten().collect(), report))
}

fn sealed(header: &SegmentHeader) -> Sealed {
    Sealed {
        generation: header.generation,
        first: header.first,
        size: header.size,
    }
}

/// A file that was released before the last life could take it away. Of one that cannot be read the size is not
/// known, so it will not be used again.
fn retired_file<F>(segment: &Segment<F>) -> Sealed {
    let unreadable = Sealed {
        generation: segment.generation,
        first: 0,
        size: 0,
    };
    segment
        .content
        .as_ref()
        .map_or(unreadable, |content| sealed(&content.header))
}

/// Erases records behind the end of the log, so that no later recovery can find them chained to a record that is
/// written in their place.
fn erase_tail<S: Storage>(
    disk: &mut Disk<S>,
    last: &Live<S::File>,
) -> Result<Option<Cut>, Failure> {
    let Content {
        position,
        next,
        evidence,
        ..
    } = &last.content;
    if evidence.records == 0 {
        return Ok(None);
    }
    let zeros = vec![0; evidence.end - position];
    disk.write_at(&last.file, *position as u64, &[IoSlice::new(&zeros)])?;
    disk.sync(&last.file)?;
    Ok(Some(Cut {
        file: last.file.name.clone(),
        offset: *position as u64,
        first: Sequence(*next),
        records: evidence.records,
    }))
}

/// Keeps as many spares of the right size as the options allow, and removes the others.
fn keep_spares<S: Storage>(
    disk: &mut Disk<S>,
    options: &Options,
    names: Vec<String>,
) -> Result<Vec<String>, Failure> {
    let mut kept = Vec::new();
    for name in names {
        let file = disk.open(name)?;
        let fits = disk.length(&file)? == options.segment_size;
        if fits && kept.len() < options.spares_max.max(1) {
            kept.push(file.name);
        } else {
            disk.remove(&file.name)?;
        }
    }
    Ok(kept)
}
