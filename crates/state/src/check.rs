//! What always holds, asserted by reading everything: for tests and the simulator, after any step.
//!
//! It changes nothing and decides nothing.

use crate::state::State;
use crate::table::weight;

impl State {
    /// Asserts the invariants of the whole state. Takes time in proportion to its size.
    ///
    /// # Panics
    /// If one of them does not hold.
    pub fn check(&self) {
        assert!(self.compacted <= self.revision, "compacted {} ahead of revision {}", self.compacted, self.revision);
        assert_eq!(self.hash(), self.recompute_hash(), "the running hash is not that of the rows and leases");
        self.check_rows();
        self.check_feed();
    }

    /// Counters and the lease index follow from the rows.
    fn check_rows(&self) {
        let mut attached = 0;
        for (spec, table) in self.specs().iter().zip(&self.tables) {
            let mut bytes = 0;
            let mut rows = table.rows.iter();
            while let Some((key, row)) = rows.next() {
                bytes += weight(key, row);
                let (created, modified) = (row.created(), row.modified());
                assert!(
                    created <= modified && modified <= self.revision,
                    "a row of {} is of revisions {created} and {modified}, the state of {}",
                    spec.name,
                    self.revision
                );
                if self.leases.names(row.lease(), spec.id, key) {
                    attached += 1;
                }
            }
            assert_eq!(table.bytes, bytes, "the bytes of {} are miscounted", spec.name);
        }
        assert_eq!(self.leases.attached_len(), attached, "the lease index and the rows that name a lease differ");
    }

    /// The feed ascends and ends at the newest revision, and each change's rows are of its revision.
    fn check_feed(&self) {
        let mut last = 0;
        for change in self.feed.changes(0) {
            assert!(
                last <= change.revision && change.revision <= self.revision,
                "revision {} of the feed follows {last}, the state is at {}",
                change.revision,
                self.revision
            );
            last = change.revision;
            if let Some(after) = &change.after {
                assert_eq!(after.modified(), change.revision, "a change left a row of another revision");
            }
            if let Some(before) = &change.before {
                assert!(before.modified() <= change.revision, "a change replaced a row of its future");
            }
        }
    }
}
