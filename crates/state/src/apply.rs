//! Putting a delta that somebody else prepared: checked as a whole, then applied as a whole.

use crate::delta::{Delta, Edit, MAX_ROW_BYTES, Malformed};
use crate::edit::Pending;
use crate::state::State;

impl State {
    /// Puts one encoded delta, as the leader's [`crate::Transaction::finish`] gave it. All or nothing.
    ///
    /// # Errors
    /// If the bytes are not a delta for this state. Nothing has changed then.
    pub fn apply(&mut self, delta: &[u8]) -> Result<(), Malformed> {
        let delta = Delta::decode(delta)?;
        self.check_delta(&delta)?;
        if delta.claims_revision() {
            self.claim();
        }
        let mut pending = Pending::default();
        for edit in delta.edits() {
            match edit.expect("every edit was decoded once before") {
                Edit::Put { table, key, value, lease } => self.edit_put(&mut pending, table, key, &[value], lease),
                Edit::Delete { table, key } => self.edit_delete(&mut pending, table, key),
                Edit::Grant { lease, ttl_milliseconds, owner } => self.edit_grant(lease, ttl_milliseconds, owner),
                Edit::Checkpoint { lease, remaining_milliseconds } => {
                    self.edit_checkpoint(lease, remaining_milliseconds);
                }
                Edit::Revoke { lease } => self.edit_revoke(lease),
                Edit::Compact { revision } => self.edit_compact(revision),
            }
        }
        self.seal(delta.time_milliseconds(), pending);
        Ok(())
    }

    /// Whether a delta can be applied, without applying any of it.
    fn check_delta(&self, delta: &Delta<'_>) -> Result<(), Malformed> {
        if delta.prepared_on() != self.revision {
            return Err(Malformed::OtherRevision { prepared_on: delta.prepared_on(), revision: self.revision });
        }
        let revision = self.revision + u64::from(delta.claims_revision());
        let mut compacted = self.compacted;
        for edit in delta.edits() {
            match edit? {
                Edit::Put { table, .. } | Edit::Delete { table, .. } if self.catalog.position(table).is_none() => {
                    return Err(Malformed::UnknownTable(table));
                }
                Edit::Put { table, .. } | Edit::Delete { table, .. }
                    if !delta.claims_revision() && self.catalog.is_versioned(table) =>
                {
                    return Err(Malformed::Unclaimed);
                }
                Edit::Put { key, value, .. } if key.len() + value.len() > MAX_ROW_BYTES => {
                    return Err(Malformed::Oversized(key.len() + value.len()));
                }
                Edit::Compact { revision: requested } => {
                    if requested <= compacted || requested > revision {
                        return Err(Malformed::Compaction { requested, compacted, revision });
                    }
                    compacted = requested;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
