//! Opening a log: read every segment, have the verdict on them, and bring the folder in order. Nothing in the folder
//! is changed before the verdict.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

use bytes::Bytes;

use crate::disk::{Disk, Named};
use crate::error::{Failure, OpenError};
use crate::format::{FileKind, HEADER_BLOCK, Kind, SegmentHeader, VERSION, segment_name};
use crate::load::{Unreadable, load};
use crate::log::{Log, Record, Sequence};
use crate::options::Options;
use crate::segment::{Active, Sealed, make_segment, write_header};
use crate::storage::Storage;
use crate::verdict::{Extent, Outline, Survey, verdict};
use crate::walk::{Link, Stop, note_at};

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
    /// Segments whose damaged header was written anew from its copy.
    pub mended: Vec<String>,
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

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut { file, offset, first, records } = self;
        write!(f, "{file} was cut at offset {offset}, before record {first}: ")?;
        write!(f, "{records} unacknowledged records were being written there when the last run ended")
    }
}

/// A log that was opened: itself, the records it holds, and what was found and done.
pub type Opened<S> = (Log<S>, Vec<Record>, Report);

/// A log that was not opened.
#[derive(Debug)]
pub struct Refused<S> {
    /// Why.
    pub error: OpenError,
    /// The storage, if nothing in it was changed.
    pub storage: Option<S>,
}

/// The files of the folder, by what they are to the log.
#[derive(Default)]
struct Listing {
    segments: Vec<u64>,
    spares: Vec<String>,
    unfinished: Vec<String>,
    ignored: Vec<String>,
}

/// A segment as it was read.
struct Segment<F> {
    file: Named<F>,
    survey: Survey,
    records: Vec<Record>,
    /// Behind this there are only zeros.
    written: u64,
    /// The note in the mark at its end.
    note: Vec<u8>,
    /// The header is damaged and was read from its copy.
    from_copy: bool,
}

impl<S: Storage> Log<S> {
    /// Opens the log in a folder, creates it if there is none, and returns what it holds.
    ///
    /// All returned records are durable. Records below the last released sequence may be among them.
    pub fn open(storage: S, options: Options) -> Result<Opened<S>, OpenError> {
        Log::open_or_return(storage, options).map_err(|refused| refused.error)
    }

    /// As [`open`](Log::open), but a log that was refused for what it holds gives the storage back, untouched, for
    /// [`salvage`](mod@crate::salvage).
    ///
    /// # Errors
    /// As [`open`](Log::open).
    pub fn open_or_return(storage: S, options: Options) -> Result<Opened<S>, Refused<S>> {
        let mut disk = Disk { storage };
        match survey(&mut disk, &options) {
            Err(error) => Err(Refused { error, storage: Some(disk.storage) }),
            Ok(surveyed) => surveyed.open(disk, options).map_err(|error| Refused { error, storage: None }),
        }
    }
}

/// What was found in the folder, judged.
struct Surveyed<F> {
    listing: Listing,
    segments: Vec<Segment<F>>,
    /// `None` if there is no segment.
    extent: Option<Extent>,
}

/// Reads and judges everything; changes nothing.
fn survey<S: Storage>(disk: &mut Disk<S>, options: &Options) -> Result<Surveyed<S::File>, OpenError> {
    options.check()?;
    let listing = sort(disk.list()?);
    let segments = read_all(disk, &listing.segments)?;
    let judged = || verdict(&segments.iter().map(|segment| &segment.survey).collect::<Vec<_>>());
    let extent = if segments.is_empty() { None } else { Some(judged()?) };
    Ok(Surveyed { listing, segments, extent })
}

impl<F> Surveyed<F> {
    fn open<S: Storage<File = F>>(self, disk: Disk<S>, options: Options) -> Result<Opened<S>, OpenError> {
        match self.extent {
            None => create(disk, options, self.listing),
            Some(extent) => mend(disk, options, self.listing, self.segments, extent),
        }
    }
}

fn sort(names: Vec<String>) -> Listing {
    let mut listing = Listing::default();
    for name in names {
        match FileKind::of(&name) {
            FileKind::Segment(generation) => listing.segments.push(generation),
            FileKind::Spare => listing.spares.push(name),
            FileKind::Unfinished => listing.unfinished.push(name),
            FileKind::Other => listing.ignored.push(name),
        }
    }
    listing.segments.sort_unstable();
    listing
}

fn create<S: Storage>(mut disk: Disk<S>, options: Options, listing: Listing) -> Result<Opened<S>, OpenError> {
    // A spare was a segment once, and the last segment is never released.
    if options.must_exist || !listing.spares.is_empty() {
        return Err(OpenError::Lost);
    }
    for name in &listing.unfinished {
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
        note: Vec::new(),
        failure: None,
    };
    let report = Report { created: true, segments: 1, ignored: listing.ignored, ..Report::default() };
    Ok((log, Vec::new(), report))
}

fn read_all<S: Storage>(disk: &mut Disk<S>, generations: &[u64]) -> Result<Vec<Segment<S::File>>, OpenError> {
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
        segments.push(read_segment(disk, file, generation, &mut buffer)?);
    }
    Ok(segments)
}

fn read_segment<S: Storage>(
    disk: &mut Disk<S>,
    file: Named<S::File>,
    generation: u64,
    buffer: &mut Vec<u8>,
) -> Result<Segment<S::File>, OpenError> {
    let mut records = Vec::new();
    let mut written = 0;
    let mut from_copy = false;
    let mut note = Vec::new();
    let outline = match load(disk, &file, generation, buffer)? {
        Err(Unreadable::Fault(fault)) => Err(fault),
        Err(Unreadable::NotOurs) => return Err(OpenError::NotOurs { file: file.name }),
        Err(Unreadable::Version(version)) => {
            return Err(OpenError::UnknownVersion { file: file.name, version, known: VERSION });
        }
        Ok(head) => {
            let header = head.header;
            from_copy = head.from_copy;
            let outline = Outline::of(buffer, header, |link| records.extend(record(link)));
            note = note_at(buffer, &header, outline.position).unwrap_or_default();
            if outline.stop != Stop::Sealed {
                let used = buffer.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1);
                written = used.next_multiple_of(HEADER_BLOCK);
            }
            Ok(outline)
        }
    };
    let survey = Survey { file: file.name.clone(), generation, outline };
    Ok(Segment { file, survey, records, written, note, from_copy })
}

fn record(link: &Link<'_>) -> Option<Record> {
    (link.header.kind == Kind::Data).then(|| Record {
        group: link.header.group,
        sequence: Sequence(link.header.sequence),
        bytes: Bytes::copy_from_slice(link.body),
    })
}

/// Brings the folder in order and starts the log. A crash anywhere in here leaves work for the next open, no harm.
fn mend<S: Storage>(
    mut disk: Disk<S>,
    options: Options,
    listing: Listing,
    mut segments: Vec<Segment<S::File>>,
    extent: Extent,
) -> Result<Opened<S>, OpenError> {
    for premature in segments.drain(extent.end + 1..) {
        disk.remove(&premature.file.name)?;
    }
    for name in &listing.unfinished {
        disk.remove(name)?;
    }
    let mended = mend_headers(&mut disk, &segments[extent.begin..])?;
    let spares = keep_spares(&mut disk, &options, listing.spares)?;
    let last = segments.pop().expect("the log ends in one of its segments");
    let outline = last.survey.outline.expect("the verdict reads all segments of the log");
    let cut = erase_tail(&mut disk, &last.file, &outline)?;

    let retired: Vec<Sealed> = segments.drain(..extent.begin).map(|segment| sealed(&segment.survey)).collect();
    let sealed = segments.iter().map(|segment| sealed(&segment.survey)).collect();
    let report = Report {
        created: false,
        segments: segments.len() + 1,
        last: Sequence(outline.next - 1),
        marked: outline.stop == Stop::Marked,
        cut,
        mended,
        ignored: listing.ignored,
    };
    let active = Active {
        file: last.file,
        header: outline.header,
        position: outline.position as u64,
        written: last.written,
        chain: outline.chain,
    };
    let mut log = Log { disk, options, sealed, active, spares, next: outline.next, note: last.note, failure: None };
    log.recycle(&retired)?;
    log.mark()?;
    let records = segments.into_iter().map(|segment| segment.records).chain([last.records]);
    Ok((log, records.flatten().collect(), report))
}

/// Writes headers anew that were read from their copies.
fn mend_headers<S: Storage>(disk: &mut Disk<S>, segments: &[Segment<S::File>]) -> Result<Vec<String>, Failure> {
    let mut mended = Vec::new();
    for segment in segments.iter().filter(|segment| segment.from_copy) {
        let outline = segment.survey.outline.as_ref().expect("a segment with a header has an outline");
        write_header(disk, &segment.file, outline.header)?;
        mended.push(segment.file.name.clone());
    }
    Ok(mended)
}

/// A segment that is no longer written. Of one that cannot be read (and was released) the size is not known: 0, so
/// that it will not be used again.
fn sealed(survey: &Survey) -> Sealed {
    let header = survey.outline.as_ref().ok().map(|outline| outline.header);
    let (first, size) = header.map_or((0, 0), |header| (header.first, header.size));
    Sealed { generation: survey.generation, first, size }
}

/// Erases records behind the end of the log, so that no later recovery can find them chained to a record that is
/// written in their place.
fn erase_tail<S: Storage>(
    disk: &mut Disk<S>,
    file: &Named<S::File>,
    outline: &Outline,
) -> Result<Option<Cut>, Failure> {
    let Outline { position, next, evidence, .. } = outline;
    if evidence.records == 0 {
        return Ok(None);
    }
    let zeros = vec![0; evidence.end - position];
    disk.write_at(file, *position as u64, &[IoSlice::new(&zeros)])?;
    disk.sync(file)?;
    Ok(Some(Cut {
        file: file.name.clone(),
        offset: *position as u64,
        first: Sequence(*next),
        records: evidence.records,
    }))
}
/// Keeps as many spares of the right size as the options allow, and removes the others.
fn keep_spares<S: Storage>(disk: &mut Disk<S>, options: &Options, names: Vec<String>) -> Result<Vec<String>, Failure> {
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
