//! Damage behind acknowledged data: what this member may still say of itself, and how its log is continued without
//! what was lost. It may not know how damage is found (see `recovery`) or how what is missing comes back (the
//! consensus core's).
//!
//! Invariant: **a member never speaks for entries or votes that it cannot show.** What was acknowledged and lost is
//! written into the log as *missing* before the damage is cut out of it, in the same step. While anything is missing the
//! member takes entries in but neither votes nor campaigns, so no majority can come about without what it once helped
//! to commit. Its newest ballot stands in every record and in the note behind the last one, so it survives the loss of
//! any of them. A member of which that cannot be said - its disk is empty, or the end of its log is gone with the note -
//! has forgotten promises that nobody else remembers: it is refused, and joins as a new member with a new id.

use std::path::Path;

use bytes::Bytes;
use log::salvage::End;
use log::{Append, Salvage, Sequence, Storage, salvage};
use raft::{LogId, Membership, SnapshotMeta, Ticket, Write};
use tracing::warn;

use super::recovery::{RecoveryError, not_understood};
use super::writer::GROUP;
use crate::record::{Logged, Promise, decode_logged, encode_missing, encode_records};
use crate::{Batch, Fold, Options};

/// For a member that has nobody to fetch anything from.
const ALONE: &str = "This ensemble has no other member to fetch it from: see what is left with `conclave log verify`, \
                     and restore a backup with `conclave snapshot restore` into an empty data folder";
/// For a member that cannot know what it promised.
pub(super) const JOIN_AS_NEW: &str = "What this member promised its peers is lost with it, so it must not take part \
                                      as the same member: remove it from the ensemble and add a new member, with a \
                                      new id and an empty data folder, which gets everything from its peers";

/// Bytes of the records that continue a log, beside what grows with the number of members.
const ROOM: u64 = 1024;
/// Bytes that each member takes in a membership, generously.
const ROOM_PER_MEMBER: u64 = 64;

/// What is wrong with a log.
pub(super) struct Damage<'a> {
    /// In words, with file and offset.
    pub(super) what: String,
    /// The newest snapshot that is whole.
    pub(super) snapshot: Option<&'a SnapshotMeta>,
    /// Nothing of the log is of use: not even its beginning is covered by anything.
    pub(super) begin_anew: bool,
}

/// Whose log it is.
pub(super) struct Healing<'a> {
    pub(super) folder: &'a Path,
    pub(super) options: &'a Options,
    pub(super) log_options: &'a log::Options,
}

/// How a log goes on where it was cut.
struct Continuation {
    /// What was read before the damage stays.
    keep: bool,
    /// The first record behind the cut.
    write: Write<Batch>,
    /// Where the log ends then, and who is a member there.
    last: LogId,
    membership: Membership,
}

impl Healing<'_> {
    /// Cuts the log where the damage begins and continues it with what this member promised and with what it misses.
    /// Gives the sentence for the diary.
    ///
    /// # Errors
    /// The member must not take part. Nothing was changed then, unless the storage failed.
    pub(super) fn cut_out<S: Storage>(&self, storage: &mut S, damage: &Damage<'_>) -> Result<String, RecoveryError> {
        let room = ROOM + ROOM_PER_MEMBER * self.options.members.len() as u64;
        let left = salvage(storage, room).map_err(|source| self.unreadable(source))?;
        let (promise, lost) = self.promised(&left)?.ok_or_else(|| self.refused(damage, JOIN_AS_NEW))?;
        let continuation = self.continuation(&left, damage, promise)?;
        if continuation.membership.all_voters().into_iter().eq([self.options.id]) {
            return Err(self.refused(damage, ALONE));
        }
        let missing = Some(lost).filter(|&lost| continuation.last < lost);
        let mut records = vec![encode_one(continuation.write)];
        records.extend(missing.map(encode_missing));
        let parts: Vec<[&[u8]; 1]> = records.iter().map(|record| [record.as_slice()]).collect();
        let appends: Vec<Append<'_>> = parts.iter().map(|parts| Append { group: GROUP, parts }).collect();
        let note = Promise { ballot: promise.ballot, last: lost.max(continuation.last) }.encode();
        left.cut(storage, self.log_options, continuation.keep, &appends, &note)
            .map_err(|source| self.unreadable(source))?;
        let finding = match missing {
            None => format!("{}; nothing that this member acknowledged is lost by it", damage.what),
            Some(lost) => format!(
                "{}; this member acknowledged entries up to {lost} and keeps those up to {}: it does not vote before \
                 its peers have given it the others",
                damage.what, continuation.last
            ),
        };
        warn!("{finding}");
        Ok(finding)
    }

    /// The newest ballot and the newest entry that this member acknowledged; `None` if nothing tells.
    fn promised(&self, left: &Salvage) -> Result<Option<(Promise, LogId)>, RecoveryError> {
        let mut promise = Promise::default();
        let mut lost = LogId::default();
        for record in left.before.iter().chain(&left.behind) {
            match self.decode(record.sequence, &record.bytes)? {
                Logged::Write(write) => promise.add(&write),
                Logged::Missing(missing) => lost = lost.max(missing),
            }
        }
        match &left.end {
            End::Read => {}
            End::Unknown => return Ok(None),
            End::Noted(note) => match Promise::decode(note.clone()) {
                Some(noted) => promise = noted,
                None => return Ok(None),
            },
        }
        Ok(Some((promise, lost.max(promise.last))))
    }

    fn continuation(
        &self,
        left: &Salvage,
        damage: &Damage<'_>,
        promise: Promise,
    ) -> Result<Continuation, RecoveryError> {
        let initial = self.options.initial_membership();
        let mut read = Fold::new(initial.clone());
        for record in &left.before {
            if let Logged::Write(write) = self.decode(record.sequence, &record.bytes)? {
                let fitting = read.add(write);
                fitting.map_err(|why| not_understood(self.folder, record.sequence, why.to_string()))?;
            }
        }
        let write = |base: Option<SnapshotMeta>, previous| Write {
            ticket: Ticket::NONE,
            ballot: Some(promise.ballot),
            cut: None,
            base,
            previous,
            append: Vec::new(),
        };
        let snapshot = damage.snapshot.cloned();
        let covered = snapshot.as_ref().map(|meta| meta.last);
        // What was read goes on, if it says where it begins or a snapshot does; or the snapshot stands alone.
        let mut ways = Vec::new();
        if left.can_keep() && !damage.begin_anew {
            if covered.is_none_or(|covered| covered <= read.last()) {
                ways.push((true, read.clone(), write(None, read.last())));
            }
            if let Some(covered) = covered {
                ways.push((true, read.clone(), write(snapshot.clone(), read.last())));
                ways.push((true, read.clone(), write(snapshot.clone(), covered)));
            }
        }
        ways.push((false, Fold::new(initial), write(snapshot, covered.unwrap_or_default())));
        for (keep, mut fold, write) in ways {
            if fold.add(write.clone()).is_ok()
                && let Ok(folded) = fold.finish()
            {
                let (last, membership) = (folded.last(), folded.membership().clone());
                return Ok(Continuation { keep, write, last, membership });
            }
        }
        Err(self.refused(damage, JOIN_AS_NEW))
    }

    fn decode(&self, sequence: Sequence, bytes: &Bytes) -> Result<Logged, RecoveryError> {
        let unknown = || not_understood(self.folder, sequence, "its layout is unknown".into());
        decode_logged(bytes.clone()).ok_or_else(unknown)
    }

    fn refused(&self, damage: &Damage<'_>, advice: &'static str) -> RecoveryError {
        RecoveryError::Damaged { folder: self.folder.to_owned(), damage: damage.what.clone(), advice }
    }

    fn unreadable(&self, source: log::OpenError) -> RecoveryError {
        RecoveryError::Log { folder: self.folder.to_owned(), source: Box::new(source.into()) }
    }
}

fn encode_one(write: Write<Batch>) -> Vec<u8> {
    let records = encode_records(write, usize::MAX);
    records.into_iter().flat_map(|(_, parts)| parts).flatten().collect()
}
