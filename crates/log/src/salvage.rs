//! What can still be read of a log that recovery refuses, and how it is continued when the user has decided what that
//! takes. Nothing is changed before [`Salvage::cut`] is called. It knows no more of records than the log does.
//!
//! A damaged log is cut where the damage begins and continued with records of the user's, in one step: the segment
//! that holds the damage is written anew under another name, with the records, and then takes the old one's name. A
//! crash before that leaves the old log, one after it the new one, with later segments behind it that are in nobody's
//! chain: the next salvage finds those as damage once more and comes to the same end.

use std::io::IoSlice;

use bytes::Bytes;

use crate::batch::{Append, Encoded, Place};
use crate::disk::{Disk, Named};
use crate::error::{Failure, OpenError};
use crate::format::{
    ALIGNMENT, FileKind, HEADER_BLOCK_LENGTH, Kind, RECORD_HEADER, RELEASE_RECORD, RecordHeader, SegmentHeader,
    body_checksum, record_size, segment_name, unfinished_name,
};
use crate::load::load_header;
use crate::log::{Record, Sequence};
use crate::options::Options;
use crate::storage::Storage;
use crate::verdict::Outline;
use crate::walk::{Link, Stop, note_at};

/// How many records a salvaged log can be continued with.
const NEW_RECORDS_MAX: u64 = 8;

/// What is left of a damaged log.
#[derive(Clone, Debug)]
pub struct Salvage {
    /// The records before the first damage, in order and without a gap.
    pub before: Vec<Record>,
    /// Intact records behind it. Between any two of them others may be lost.
    pub behind: Vec<Record>,
    /// Whether anything that was acknowledged may have stood behind the last of all these records.
    pub end: End,
    /// Where the log will be cut, if anything of it can stay.
    place: Option<Cutting>,
    /// The oldest generation that is part of the log.
    oldest: u64,
    highest_generation: u64,
    highest_sequence: u64,
    salt: u32,
}

/// What is known of the end of a damaged log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The last record that was acknowledged is among those that can be read.
    Read,
    /// It is lost, but the note that was written behind it is not.
    Noted(Bytes),
    /// It may be lost, and nothing tells what it was.
    Unknown,
}

/// A place where a segment's chain can be cut.
#[derive(Clone, Copy, Debug)]
struct Cutting {
    header: SegmentHeader,
    position: usize,
    next: u64,
    chain: u32,
}

/// A segment as far as it can be read at all.
struct Piece {
    header: SegmentHeader,
    /// Shorter than the header says if the file is.
    bytes: Vec<u8>,
}

/// Reads what can be read. The log is to be continued with records of `room` bytes at most, headers not counted:
/// records that leave no room for them in their segment count as lost. It is meant for a log that
/// [`Log::open`](crate::Log::open) refuses as damaged; of a sound one everything is read as well.
///
/// # Errors
/// The storage fails, or a segment is of another program or version.
pub fn salvage<S: Storage>(storage: &mut S, room: u64) -> Result<Salvage, OpenError> {
    let mut disk = Disk { storage };
    let mut generations: Vec<u64> = disk.list()?.iter().filter_map(|name| generation_of(name)).collect();
    generations.sort_unstable();
    let oldest = oldest_live(&mut disk, &generations)?;
    let mut reading = Reading { oldest, ..Reading::default() };
    for generation in generations.into_iter().filter(|&generation| generation >= oldest) {
        let piece = read(&mut disk, generation)?;
        reading.take(generation, piece);
    }
    Ok(reading.finish(room))
}

fn generation_of(name: &str) -> Option<u64> {
    match FileKind::of(name) {
        FileKind::Segment(generation) => Some(generation),
        _ => None,
    }
}

/// The oldest generation that is part of the log, as far as anything that can be read says.
fn oldest_live<S: Storage>(disk: &mut Disk<S>, generations: &[u64]) -> Result<u64, OpenError> {
    let mut oldest = 1;
    for &generation in generations {
        if let Some(Piece { header, bytes }) = read(disk, generation)? {
            oldest = oldest.max(Outline::of(&bytes, header, |_| {}).oldest());
        }
    }
    Ok(oldest)
}

/// The segment, or `None` if not even its header can be read.
fn read<S: Storage>(disk: &mut Disk<S>, generation: u64) -> Result<Option<Piece>, OpenError> {
    let file = disk.open(segment_name(generation))?;
    let length = disk.length(&file)?;
    let Ok(head) = load_header(disk, &file, generation, length)? else { return Ok(None) };
    let header = head.header;
    if !header.is_possible() || header.size > Options::SEGMENT_SIZE_MAX || header.size < Options::SEGMENT_SIZE_MIN {
        return Ok(None);
    }
    let mut bytes = vec![0; usize::try_from(header.size.min(length)).expect("at most SEGMENT_SIZE_MAX")];
    disk.read_at(&file, 0, &mut bytes)?;
    Ok(Some(Piece { header, bytes }))
}

/// How far the log was read.
#[derive(Default)]
struct Reading {
    oldest: u64,
    before: Vec<Record>,
    behind: Vec<Record>,
    places: Vec<Cutting>,
    /// What the next segment must begin with, while there is no damage: generation, first sequence, chain.
    due: Option<(u64, u64, u32)>,
    damaged: bool,
    /// The last segment ended as the last one of a sound log does.
    ended: bool,
    /// The last segment says that another follows.
    sealed: bool,
    /// The last mark that was found, if it stands behind all records: its sequence and its note.
    mark: Option<(u64, Vec<u8>)>,
    /// The highest sequence that anything says was durable.
    durable: u64,
    highest_generation: u64,
    highest_sequence: u64,
    /// The highest sequence of a record of the user's.
    last_data: u64,
    /// Whether something was lost behind the last record of the user's.
    gap_at_end: bool,
    salt: Option<u32>,
}

impl Reading {
    fn take(&mut self, generation: u64, piece: Option<Piece>) {
        self.highest_generation = generation;
        let Some(Piece { header, bytes }) = piece else {
            self.damage();
            self.ended = false;
            return;
        };
        self.salt.get_or_insert(header.salt);
        self.durable = self.durable.max(header.durable());
        let expected = match self.due {
            Some(due) => due == (generation, header.first, header.previous),
            None if self.oldest == 1 => (generation, header.first, header.previous) == (1, 1, 0),
            None => generation == self.oldest,
        };
        if !expected || self.ended {
            self.damage();
        }
        let mut links = Vec::new();
        let outline = Outline::of(&bytes, header, |link| links.push((link.offset, link.header, record_of(link))));
        self.durable = self.durable.max(outline.durable());
        if !self.damaged {
            self.places.clear();
        }
        for (offset, record, data) in links {
            self.cut_place(header, offset, record.sequence, record.previous);
            self.file(record.sequence, data);
        }
        if outline.stop != Stop::Sealed {
            self.cut_place(header, outline.position, outline.next, outline.chain);
        }
        self.due = Some((generation + 1, outline.next, outline.chain));
        self.ended = false;
        self.sealed = outline.stop == Stop::Sealed;
        self.mark = None;
        match outline.stop {
            Stop::Sealed => {}
            Stop::Marked => self.end(&bytes, &header, outline.position),
            Stop::Broken(_) => self.search(&bytes, &header, outline.position),
        }
        // A shorter file than there should be has lost its end, unless the mark was before that.
        if (bytes.len() as u64) < header.size && !self.ended {
            self.damage();
        }
    }

    fn damage(&mut self) {
        self.damaged = true;
        self.gap_at_end = true;
    }

    fn cut_place(&mut self, header: SegmentHeader, position: usize, next: u64, chain: u32) {
        if !self.damaged {
            self.places.push(Cutting { header, position, next, chain });
        }
    }

    fn file(&mut self, sequence: u64, data: Option<Record>) {
        self.highest_sequence = self.highest_sequence.max(sequence);
        if let Some(record) = data {
            self.gap_at_end = false;
            self.last_data = sequence;
            if self.damaged { self.behind.push(record) } else { self.before.push(record) }
        }
    }

    fn end(&mut self, bytes: &[u8], header: &SegmentHeader, position: usize) {
        self.ended = true;
        let mark = RecordHeader::decode(bytes, position, header.generation, header.salt);
        self.mark = mark.and_then(|(mark, _)| Some((mark.sequence, note_at(bytes, header, position)?)));
    }

    /// Looks behind a break of the chain for records that are whole.
    fn search(&mut self, bytes: &[u8], header: &SegmentHeader, from: usize) {
        let mut position = from;
        let mut found_any = false;
        while position + usize::try_from(RECORD_HEADER).expect("48") <= bytes.len() {
            let Some((found, end)) = intact(bytes, header, position) else {
                position += ALIGNMENT;
                continue;
            };
            self.durable = self.durable.max(found.durable);
            if found.kind == Kind::Mark {
                self.end(bytes, header, position);
            } else if found.sequence > self.highest_sequence {
                if !found_any {
                    self.damage();
                    found_any = true;
                }
                self.ended = false;
                let body = &bytes[position + usize::try_from(RECORD_HEADER).expect("48")..][..found.length as usize];
                self.file(found.sequence, record_of(&Link { offset: position, header: found, body }));
            }
            position = end;
        }
        if self.durable > self.highest_sequence {
            self.damage();
        }
    }

    /// Chooses the last place before the damage that leaves so much room.
    fn choose_place(&mut self, room: u64) -> Option<Cutting> {
        let needed = room + RELEASE_RECORD + NEW_RECORDS_MAX * (RECORD_HEADER + 8) + RECORD_HEADER;
        let fits = |place: &&Cutting| place.position as u64 + needed <= place.header.size;
        let place = self.places.iter().rev().find(fits).copied()?;
        let kept = self.before.partition_point(|record| record.sequence.0 < place.next);
        let dropped = self.before.split_off(kept);
        self.behind.splice(0..0, dropped);
        Some(place)
    }

    fn finish(mut self, room: u64) -> Salvage {
        let place = self.choose_place(room);
        let marked = self.mark.take().filter(|(sequence, _)| *sequence >= self.durable);
        // A segment that says that another follows, and none does: whatever stood there is gone.
        let shown = !self.gap_at_end && !self.sealed && self.durable <= self.highest_sequence;
        let end = match marked {
            _ if shown => End::Read,
            Some((_, note)) if !note.is_empty() => End::Noted(note.into()),
            _ => End::Unknown,
        };
        Salvage {
            before: self.before,
            behind: self.behind,
            end,
            place,
            oldest: self.oldest,
            highest_generation: self.highest_generation,
            highest_sequence: self.highest_sequence.max(self.durable),
            salt: self.salt.unwrap_or(0),
        }
    }
}

/// The record at this place if it is whole, and where it ends.
fn intact(bytes: &[u8], header: &SegmentHeader, position: usize) -> Option<(RecordHeader, usize)> {
    let (found, _) = RecordHeader::decode(bytes, position, header.generation, header.salt)?;
    let begin = position + usize::try_from(RECORD_HEADER).expect("48");
    let end = position.checked_add(usize::try_from(record_size(u64::from(found.length))).ok()?)?;
    let body = bytes.get(begin..end)?;
    (found.body == body_checksum(header.salt, &[body])).then_some((found, end))
}

fn record_of(link: &Link<'_>) -> Option<Record> {
    (link.header.kind == Kind::Data).then(|| Record {
        group: link.header.group,
        sequence: Sequence(link.header.sequence),
        bytes: Bytes::copy_from_slice(link.body),
    })
}

impl Salvage {
    /// Whether the records before the damage stay when the log is cut. If the damage begins in the oldest segment's
    /// header, nothing is left to stay.
    #[must_use]
    pub fn can_keep(&self) -> bool {
        self.place.is_some()
    }

    /// Cuts the log where the damage begins (or, with `keep` false, leaves nothing of it) and continues it with these
    /// records, at most eight. Then it can be opened again.
    ///
    /// # Errors
    /// The storage fails. Whatever was done, the log is as damaged as before, or sound.
    ///
    /// # Panics
    /// `keep` is asked for what [`can_keep`](Salvage::can_keep) denies, or the records do not fit.
    pub fn cut<S: Storage>(
        &self,
        storage: &mut S,
        options: &Options,
        keep: bool,
        records: &[Append<'_>],
        note: &[u8],
    ) -> Result<(), OpenError> {
        let mut disk = Disk { storage };
        assert!(!keep || self.can_keep(), "there is nothing to keep");
        let place = if keep { self.place } else { None }.unwrap_or_else(|| self.beginning(options));
        // What was released stays so, though the record that says it may be cut off.
        let oldest = if place.header.oldest == place.header.generation { place.header.oldest } else { self.oldest };
        let body = oldest.to_le_bytes();
        let release = [Append { group: 0, parts: &[&body] }];
        let segment = &place.header;
        let first = Encoded::new(Kind::Release, &release, &Place { segment, next: place.next, chain: place.chain });
        let second = Encoded::new(Kind::Data, records, &Place { segment, next: first.next, chain: first.chain });
        let mark = mark(segment, second.next - 1, second.chain, note);
        let parts: Vec<IoSlice<'_>> = first.slices(&release).into_iter().chain(second.slices(records)).collect();
        let end = place.position as u64 + first.size + second.size + mark.len() as u64;
        assert!(end <= segment.size, "what continues a salvaged log fits its segment");
        write_anew(&mut disk, &place, &parts, &mark)?;
        drop_others(&mut disk, oldest, segment.generation)?;
        Ok(())
    }

    /// A new log behind the old one, which retires all of it.
    fn beginning(&self, options: &Options) -> Cutting {
        let generation = self.highest_generation + 1;
        let header = SegmentHeader {
            generation,
            size: options.segment_size,
            first: self.highest_sequence + 2,
            oldest: generation,
            previous: 0,
            salt: self.salt,
        };
        Cutting { header, position: HEADER_BLOCK_LENGTH, next: header.first, chain: header.chain() }
    }
}

/// Writes the segment anew up to the place and with what follows, and then gives it its name.
fn write_anew<S: Storage>(
    disk: &mut Disk<S>,
    place: &Cutting,
    records: &[IoSlice<'_>],
    mark: &[u8],
) -> Result<(), Failure> {
    let header = place.header;
    let mut content = header.block().to_vec();
    if place.position > HEADER_BLOCK_LENGTH {
        let old = disk.open(segment_name(header.generation))?;
        content.resize(place.position, 0);
        disk.read_at(&old, HEADER_BLOCK_LENGTH as u64, &mut content[HEADER_BLOCK_LENGTH..])?;
    }
    records.iter().for_each(|part| content.extend_from_slice(part));
    content.extend_from_slice(mark);
    let unfinished = unfinished_name(header.generation);
    if disk.list()?.contains(&unfinished) {
        disk.remove(&unfinished)?;
    }
    let file: Named<S::File> = disk.create(unfinished)?;
    disk.allocate(&file, header.size)?;
    disk.write_at(&file, 0, &[IoSlice::new(&content)])?;
    disk.sync(&file)?;
    disk.rename(&file.name, &segment_name(header.generation))?;
    disk.sync_folder()
}

fn mark(header: &SegmentHeader, last: u64, chain: u32, note: &[u8]) -> Vec<u8> {
    let mark = RecordHeader {
        kind: Kind::Mark,
        group: 0,
        sequence: last,
        durable: last,
        generation: header.generation,
        length: u32::try_from(note.len()).expect("at most NOTE_MAX"),
        previous: chain,
        body: body_checksum(header.salt, &[note]),
    };
    let mut bytes = mark.encode(header.salt).to_vec();
    bytes.extend_from_slice(note);
    bytes.resize(usize::try_from(record_size(note.len() as u64)).expect("small"), 0);
    bytes
}

/// Removes the segments that are not part of the log any more, one by one and the oldest first, so that as long as any
/// is left the newest is, and with it what is known of the damaged log's end.
fn drop_others<S: Storage>(disk: &mut Disk<S>, oldest: u64, newest: u64) -> Result<(), Failure> {
    let mut others: Vec<u64> = disk.list()?.iter().filter_map(|name| generation_of(name)).collect();
    others.retain(|generation| !(oldest..=newest).contains(generation));
    others.sort_unstable();
    for &generation in &others {
        disk.remove(&segment_name(generation))?;
        disk.sync_folder()?;
    }
    Ok(())
}
