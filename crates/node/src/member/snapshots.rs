//! When the state is written down, and what of the log may go then. It may not know files.
//!
//! A snapshot is due when so many bytes were logged since the last one. The log is kept back to the snapshot before
//! the newest, so that a slow follower can still be served from the log, and a start can fall back to the older
//! snapshot if the newest is damaged.

use raft::{Entry, Index, Input, Recovered, SnapshotMeta, Ticket, Write};
use state::State;

use super::words::place;
use super::{Member, SnapshotOrder};
use crate::{Batch, DiaryKind, Now};

/// How far this member is with writing its state down.
#[derive(Clone)]
pub(super) struct SnapshotPlan {
    /// The newest durable snapshot.
    newest: Option<SnapshotMeta>,
    under_way: bool,
    /// Ordered as soon as this member's own disk holds everything that it covers: the write it waits for.
    prepared: Option<(Ticket, SnapshotOrder)>,
    logged_bytes: u64,
    /// One is needed, however little was logged.
    ordered: bool,
}

impl SnapshotPlan {
    /// A member that starts with this log and this snapshot.
    pub(super) fn restore(recovered: &Recovered<Batch>) -> SnapshotPlan {
        let newest = recovered.loaded.clone();
        let loaded = newest.as_ref().map_or(Index::ZERO, |meta| meta.last.index);
        let covered = usize::try_from(loaded.ahead_of(recovered.base.last.index)).unwrap_or(usize::MAX);
        let logged_bytes = recovered.entries.iter().skip(covered).map(|entry| entry.weight() as u64).sum();
        SnapshotPlan { newest, under_way: false, prepared: None, logged_bytes, ordered: false }
    }

    /// A snapshot of the present state, or of a later one, is needed.
    pub(super) fn order_now(&mut self) {
        self.ordered = true;
    }

    /// The state is not one to be written down.
    pub(super) fn abandon(&mut self) {
        if self.prepared.take().is_some() {
            self.under_way = false;
        }
    }

    /// A snapshot that was received is the newest.
    pub(super) fn replaced_by(&mut self, meta: SnapshotMeta) {
        self.newest = Some(meta);
        self.prepared = None;
        self.under_way = false;
    }

    /// Up to where the newest durable snapshot reaches.
    pub(super) fn newest_index(&self) -> Option<Index> {
        self.newest.as_ref().map(|newest| newest.last.index)
    }

    /// A write goes to the log.
    pub(super) fn logged(&mut self, write: &Write<Batch>) {
        self.logged_bytes += write.append.iter().map(Entry::weight).sum::<usize>() as u64;
    }
}

impl Member {
    /// Orders a snapshot if one is due. Only of what is on this member's own disk: the state may run ahead of it, and
    /// under load it always does, so the state is taken now and written down when the disk has caught up.
    pub(super) fn plan_snapshot(&mut self) {
        let plan = &mut self.snapshots;
        if let Some((_, order)) = plan.prepared.take_if(|(ticket, _)| *ticket <= self.written) {
            let line = format!("begins to write a snapshot of {}", place(order.meta.last));
            self.story.note(DiaryKind::Snapshot, line);
            self.effects.save_snapshot = Some(order);
        }
        let due = plan.ordered || plan.logged_bytes >= self.options.limits.snapshot_log_bytes;
        if plan.under_way || !due || self.healing.is_under_way() {
            return;
        }
        let Some(meta) = self.raft.meta_at(self.applied) else { return };
        if plan.newest.as_ref().is_some_and(|newest| newest.last.index >= meta.last.index) {
            return;
        }
        plan.under_way = true;
        plan.ordered = false;
        plan.logged_bytes = 0;
        let order = SnapshotOrder { meta, state: self.committed.clone() };
        plan.prepared = Some((self.last_ticket, order));
    }

    pub(super) fn snapshot_written(&mut self, meta: SnapshotMeta) {
        self.story.note(DiaryKind::Snapshot, format!("has written a snapshot of {}", place(meta.last)));
        self.snapshots.under_way = false;
        if let Some(before) = self.snapshots.newest.replace(meta) {
            self.raft.step(Input::Compact(before.last.index));
        }
        self.send_wanted_states();
    }

    pub(super) fn snapshot_failed(&mut self, why: &str) {
        // Tried again when as much is logged again; the log keeps everything until then.
        self.story.note(DiaryKind::Snapshot, format!("could not write a snapshot: {why}"));
        self.snapshots.under_way = false;
    }

    /// Continues behind a snapshot of the leader's, unless this member got further in the meantime.
    pub(super) fn snapshot_received(&mut self, now: Now, meta: SnapshotMeta, state: State) {
        let last: Index = meta.last.index;
        if self.healing.is_under_way() {
            self.heal(now, &meta, state);
            return;
        }
        if last <= self.applied || self.leading.is_some() {
            return;
        }
        self.raft.step(Input::Install(meta.clone()));
        if self.raft.applied() == last {
            self.effects.discarded.push(std::mem::replace(&mut self.committed, state));
            self.applied = last;
            self.membership_applied(now, &meta.membership);
            self.snapshots.replaced_by(meta);
            self.asking.applied(last.0);
        }
    }
}
