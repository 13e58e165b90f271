//! Reading one segment's bytes: the chain of its records, and what stands behind the place where the chain breaks.
//! Pure; shared by recovery, which decides, and the inspector, which only tells.

use crate::format::{
    ALIGNMENT, Fault, HEADER_BLOCK_LENGTH, Kind, NOTE_MAX, RECORD_HEADER_LENGTH, RecordHeader, SegmentHeader,
    body_checksum, record_size, u64_at,
};

/// How the chain of a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// With a seal: the next segment goes on.
    Sealed,
    /// With a mark: everything before it was acknowledged.
    Marked,
    /// With something that is no next record: a torn write, damage, or space not yet used.
    Broken(Fault),
}

/// A record of the chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link<'a> {
    pub(crate) offset: usize,
    pub(crate) header: RecordHeader,
    pub(crate) body: &'a [u8],
}

/// Follows the chain of one segment.
///
/// Invariants: `position` is a multiple of 8; everything before it was intact and chained; `next` is the sequence due
/// there, `chain` the checksum that the header there must name.
pub(crate) struct Walk<'a> {
    bytes: &'a [u8],
    header: SegmentHeader,
    pub(crate) position: usize,
    pub(crate) next: u64,
    pub(crate) chain: u32,
    pub(crate) stop: Option<Stop>,
}

impl<'a> Walk<'a> {
    /// Begins at the first record of a segment given whole, header block included.
    pub(crate) fn new(bytes: &'a [u8], header: SegmentHeader) -> Walk<'a> {
        Walk { bytes, header, position: HEADER_BLOCK_LENGTH, next: header.first, chain: header.chain(), stop: None }
    }

    /// Reads what stands at the position: a record, or the reason why none does.
    fn read(&self) -> Result<(Link<'a>, u32, usize), Stop> {
        let SegmentHeader { generation, salt, .. } = self.header;
        let (header, checksum) =
            RecordHeader::decode(self.bytes, self.position, generation, salt).ok_or(Stop::Broken(Fault::NoRecord))?;
        if header.kind == Kind::Mark && header.previous == self.chain && header.sequence == self.next - 1 {
            return Err(Stop::Marked);
        }
        if header.sequence != self.next {
            return Err(Stop::Broken(Fault::OutOfOrder { found: header.sequence }));
        }
        if header.previous != self.chain || header.kind == Kind::Mark {
            return Err(Stop::Broken(Fault::Unchained));
        }
        let size = usize::try_from(record_size(u64::from(header.length))).unwrap_or(usize::MAX);
        let end = self.position.saturating_add(size);
        let length = header.length as usize;
        let begin = self.position + RECORD_HEADER_LENGTH;
        let Some(padded) = self.bytes.get(begin..end).filter(|_| header.durable < header.sequence) else {
            return Err(Stop::Broken(Fault::Impossible));
        };
        // The padding is zero if it is intact: it is part of the checksum.
        if header.body != body_checksum(salt, &[padded]) {
            return Err(Stop::Broken(Fault::Body));
        }
        let link = Link { offset: self.position, header, body: &padded[..length] };
        let possible = header.kind != Kind::Release
            || length == 8 && released_before(&link).is_some_and(|oldest| (1..=generation).contains(&oldest));
        if possible { Ok((link, checksum, end)) } else { Err(Stop::Broken(Fault::Impossible)) }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Link<'a>;

    /// The next record of the chain, the seal included. After the last one, `stop` says how it ended.
    fn next(&mut self) -> Option<Link<'a>> {
        if self.stop.is_some() {
            return None;
        }
        match self.read() {
            Err(stop) => {
                self.stop = Some(stop);
                None
            }
            Ok((link, checksum, end)) => {
                self.position = end;
                self.next += 1;
                self.chain = checksum;
                if link.header.kind == Kind::Seal {
                    self.stop = Some(Stop::Sealed);
                }
                Some(link)
            }
        }
    }
}

/// The note in the mark at this place, if an intact mark stands there.
pub(crate) fn note_at(bytes: &[u8], header: &SegmentHeader, position: usize) -> Option<Vec<u8>> {
    let (mark, _) = RecordHeader::decode(bytes, position, header.generation, header.salt)?;
    let length = mark.length as usize;
    let begin = position + RECORD_HEADER_LENGTH;
    let padded = bytes.get(begin..begin.checked_add(length.checked_next_multiple_of(ALIGNMENT)?)?)?;
    let intact = mark.kind == Kind::Mark && length <= NOTE_MAX && mark.body == body_checksum(header.salt, &[padded]);
    intact.then(|| padded[..length].to_vec())
}

/// The generation a release record retires everything before.
pub(crate) fn released_before(link: &Link<'_>) -> Option<u64> {
    (link.header.kind == Kind::Release).then(|| u64_at(link.body, 0))
}

/// What intact headers of a segment's generation stand behind the place where its chain broke.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// The highest sequence that any of them says was durable.
    pub(crate) durable: u64,
    /// The lowest sequence among the records (not marks).
    pub(crate) intact: Option<u64>,
    /// How many records (not marks) there are.
    pub(crate) records: usize,
    /// Where the last of all, marks included, ends; where the search began if there is none. Never beyond the segment.
    pub(crate) end: usize,
}

impl Evidence {
    /// Looks at every place from `from` on where a record could stand.
    pub(crate) fn behind(bytes: &[u8], header: &SegmentHeader, from: usize) -> Evidence {
        let mut evidence = Evidence { end: from, ..Evidence::default() };
        for offset in (from..bytes.len()).step_by(ALIGNMENT) {
            let Some((found, _)) = RecordHeader::decode(bytes, offset, header.generation, header.salt) else {
                continue;
            };
            evidence.durable = evidence.durable.max(found.durable);
            let size = usize::try_from(record_size(u64::from(found.length))).unwrap_or(usize::MAX);
            evidence.end = evidence.end.max(offset.saturating_add(size).min(bytes.len()));
            if found.kind != Kind::Mark {
                evidence.records += 1;
                evidence.intact = Some(evidence.intact.map_or(found.sequence, |least| least.min(found.sequence)));
            }
        }
        evidence
    }
}
