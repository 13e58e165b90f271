//! The rule of the tail: where does the log end, and is that end honest? Pure; recovery acts on it, the inspector
//! reports it. The rule is told in the crate's head.

use crate::error::OpenError;
use crate::format::{Fault, SegmentHeader, segment_name};
use crate::log::Sequence;
use crate::walk::{Evidence, Link, Stop, Walk, released_before};

/// What of a segment's content matters for the verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outline {
    pub(crate) header: SegmentHeader,
    /// Where its chain ends.
    pub(crate) position: usize,
    /// The sequence due there.
    pub(crate) next: u64,
    /// Checksum of its last header.
    pub(crate) chain: u32,
    /// How it ends.
    pub(crate) stop: Stop,
    /// What stands behind the end. Nothing is looked for behind a seal.
    pub(crate) evidence: Evidence,
    /// The highest sequence that anything in this segment says was durable.
    durable: u64,
    /// The oldest live generation, as far as this segment knows.
    oldest: u64,
}

impl Outline {
    /// Reads a whole segment, showing each record of its chain.
    pub(crate) fn of(bytes: &[u8], header: SegmentHeader, mut show: impl FnMut(&Link<'_>)) -> Outline {
        let (mut durable, mut oldest) = (header.durable(), header.oldest);
        let mut walk = Walk::new(bytes, header);
        for link in walk.by_ref() {
            durable = durable.max(link.header.durable);
            oldest = oldest.max(released_before(&link).unwrap_or(0));
            show(&link);
        }
        let stop = walk.stop.expect("a walk ends with a reason");
        let evidence = match stop {
            Stop::Sealed => Evidence::default(),
            Stop::Marked | Stop::Broken(_) => Evidence::behind(bytes, &header, walk.position),
        };
        let durable = durable.max(evidence.durable);
        let (position, next, chain) = (walk.position, walk.next, walk.chain);
        Outline { header, position, next, chain, stop, evidence, durable, oldest }
    }

    /// The highest sequence that anything in this segment says was durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// The oldest live generation, as far as this segment knows.
    pub(crate) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Whether anything was ever appended to it.
    fn is_lived_in(&self) -> bool {
        self.next > self.header.first || self.evidence.records > 0
    }
}

/// A segment file as it was read: its outline, or why it has none.
#[derive(Clone, Debug)]
pub(crate) struct Survey {
    pub(crate) file: String,
    pub(crate) generation: u64,
    pub(crate) outline: Result<Outline, Fault>,
}

/// Which of the surveyed segments are the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Those before this position were released.
    pub(crate) begin: usize,
    /// The log ends in this one. Those behind it (at most one) hold nothing.
    pub(crate) end: usize,
}

/// Judges segments given in ascending order of their generations.
pub(crate) fn verdict(surveys: &[&Survey]) -> Result<Extent, OpenError> {
    let oldest = surveys.iter().filter_map(|survey| survey.outline.as_ref().ok()).map(|outline| outline.oldest).max();
    let oldest = oldest.unwrap_or(1);
    let begin = surveys.iter().take_while(|survey| survey.generation < oldest).count();
    let live = &surveys[begin..];
    let outlines = readable(live)?;
    let end = find_end(live, &outlines, oldest)?;
    judge(&live[end].file, outlines[end], &outlines[end + 1..])?;
    Ok(Extent { begin, end: begin + end })
}

fn readable<'a>(live: &[&'a Survey]) -> Result<Vec<&'a Outline>, OpenError> {
    let mut outlines: Vec<&Outline> = Vec::with_capacity(live.len());
    for survey in live {
        match &survey.outline {
            Ok(outline) => outlines.push(outline),
            Err(fault) => {
                let due = outlines.last().map(|before| before.next);
                return Err(damaged(&survey.file, 0, due, *fault, None));
            }
        }
    }
    Ok(outlines)
}

/// The segment in which the log ends: the first whose chain does not end with a seal.
fn find_end(live: &[&Survey], outlines: &[&Outline], oldest: u64) -> Result<usize, OpenError> {
    // What the next segment must begin with: a sequence and the checksum of a seal. The oldest live segment need not
    // be the first ever, and then its predecessor is gone.
    let mut link = (oldest == 1).then_some((1, 0));
    let mut due = oldest;
    for (position, (survey, outline)) in live.iter().zip(outlines).enumerate() {
        let header = outline.header;
        if header.generation != due {
            return Err(OpenError::MissingSegment { file: segment_name(due) });
        }
        if let Some((first, previous)) = link
            && (header.first, header.previous) != (first, previous)
        {
            return Err(damaged(&survey.file, 0, Some(first), Fault::Unlinked, None));
        }
        if outline.stop != Stop::Sealed {
            return Ok(position);
        }
        link = Some((outline.next, outline.chain));
        due += 1;
    }
    Err(OpenError::MissingSegment { file: segment_name(due) })
}

/// An error if the record due at the end was acknowledged, as far as anything behind it tells.
fn judge(file: &str, end: &Outline, behind: &[&Outline]) -> Result<(), OpenError> {
    let durable = behind.iter().map(|outline| outline.durable).fold(end.evidence.durable, u64::max);
    // A roll that was interrupted leaves one successor without a record. Anything else was used.
    if durable < end.next && behind.len() <= 1 && !behind.iter().any(|outline| outline.is_lived_in()) {
        return Ok(());
    }
    let fault = match end.stop {
        Stop::Broken(fault) => fault,
        Stop::Marked | Stop::Sealed => Fault::NoRecord,
    };
    let intact = end.evidence.intact.or(behind.first().map(|outline| outline.header.first));
    Err(damaged(file, end.position as u64, Some(end.next), fault, intact))
}

fn damaged(file: &str, offset: u64, sequence: Option<u64>, fault: Fault, intact: Option<u64>) -> OpenError {
    let (sequence, intact) = (sequence.map(Sequence), intact.map(Sequence));
    OpenError::Damaged { file: file.to_owned(), offset, sequence, fault, intact }
}
