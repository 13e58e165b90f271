//! After the faults: everything is healed, and within a bounded time all must be well. Then clients' memories are
//! judged as a whole.

use super::World;
use crate::check::{Outcome, revision_order, wing_gong};
use crate::clock::{MILLISECOND, SECOND};
use crate::invariants::leases::{SLOWEST_CLOCK, leases_end_within_their_bound};
use crate::invariants::{Invariant, Verdict, clients, ensure, must, published, take_looks, violation};

/// How many election timeouts (of the longest kind) it may take until one leader exists and all are equal.
const TIMEOUTS_TO_CONVERGE: u64 = 20;
/// What restarts and reconnections may take beside that, in nanoseconds.
const GRACE: u64 = 8 * SECOND;
/// A healthy ensemble answers within this time, in nanoseconds.
const ANSWER_WITHIN: u64 = SECOND;
/// How often it is looked whether all is well.
const LOOK_EVERY: u64 = 50 * MILLISECOND;
/// What the search for an order may cost.
const SEARCH: wing_gong::Bounds = wing_gong::Bounds { calls: 500, configurations: 20_000 };

impl World {
    /// Heals everything and sees to it that all becomes well in time.
    pub(super) fn settle(&mut self) -> Verdict {
        self.note("world", || "everything is healed".into());
        self.heal();
        let healed = self.now;
        self.damage_is_noticed()?;
        self.converge()?;
        self.coverage.greatest("most milliseconds to converge", (self.now - healed) / MILLISECOND);
        self.serve()?;
        self.run_until(self.now + u64::try_from(self.plan.limits.request_timeout.as_nanos()).unwrap_or(0) + SECOND)?;
        for id in self.ids() {
            let waiting = self.hosts[&id].process.as_ref().map_or(0, |process| process.waiting.len());
            clients::requests_are_answered(id, waiting)?;
        }
        self.outlive_leases()?;
        self.converge()?;
        self.watchers_catch_up()
    }

    /// Waits until one leader exists that all follow, and all are equal, and that has lasted: what was true at the
    /// moment of healing may be the lull before the next election.
    fn converge(&mut self) -> Verdict {
        let lasts = 2 * self.election_timeout();
        let end = self.now + TIMEOUTS_TO_CONVERGE * self.election_timeout() + GRACE;
        let mut well_since = None;
        loop {
            match self.what_is_not_well() {
                None if self.now - *well_since.get_or_insert(self.now) >= lasts => {
                    return ensure(true, Invariant::HealedConverges, String::new);
                }
                None => {}
                Some(why) if self.now >= end => return Err(violation(Invariant::HealedConverges, why)),
                Some(_) => well_since = None,
            }
            self.run_until(self.now + LOOK_EVERY)?;
        }
    }

    /// What keeps the ensemble from being well, in words.
    fn what_is_not_well(&self) -> Option<String> {
        let Some(leader) = self.leader() else { return Some("there is no leader".into()) };
        let last = self.witness.ledger().last();
        let members = self.members();
        if let Some(removed) = self.ids().into_iter().find(|&id| {
            self.witness.ledger().ever_belonged(id) && !members.contains(&id) && self.hosts[&id].process.is_some()
        }) {
            return Some(format!("{removed} was removed and still runs"));
        }
        for id in members {
            let Some(process) = &self.hosts[&id].process else { return Some(format!("{id} does not run")) };
            let status = process.member.raft().status();
            if status.leader != Some(leader) {
                return Some(format!(
                    "{id} follows {:?} in term {}, {leader} leads",
                    status.leader, status.ballot.term
                ));
            }
            if status.writes_pending > 0 {
                return Some(format!("{id} waits for its disk"));
            }
            if status.applied != last || process.published.index != last.0 || status.last.index != last {
                let (applied, end) = (status.applied, status.last);
                return Some(format!("{id} applied {applied}, its log ends at {end}, the ledger at {last}"));
            }
        }
        None
    }

    /// A fresh write through each member, seen by a fresh read through each.
    fn serve(&mut self) -> Verdict {
        for id in self.members() {
            let write = self.ask_freshly(id, false)?;
            self.run_until(self.now + ANSWER_WITHIN)?;
            let done = matches!(self.history.operations[&write].outcome, Outcome::Replied { .. });
            ensure(done, Invariant::HealedServes, || {
                format!("a write through {id} is not answered; {}", self.health())
            })?;
        }
        for id in self.members() {
            let read = self.ask_freshly(id, true)?;
            self.run_until(self.now + ANSWER_WITHIN)?;
            let done = matches!(self.history.operations[&read].outcome, Outcome::Replied { .. });
            ensure(done, Invariant::HealedServes, || {
                format!("a read through {id} is not answered; {}", self.health())
            })?;
        }
        Ok(())
    }

    fn health(&self) -> String {
        self.what_is_not_well().unwrap_or_else(|| "otherwise all is well".into())
    }

    /// Nobody keeps a lease any more: each must end in its time.
    fn outlive_leases(&mut self) -> Verdict {
        let longest = self.leases.longest() / SLOWEST_CLOCK * 1_000_000;
        let begun = self.now;
        let end = self.now + longest + 2 * SECOND;
        while self.now < end && self.witness.ledger().reference().lease_count() > 0 {
            self.run_until(self.now + LOOK_EVERY)?;
        }
        let left = self.witness.ledger().reference().lease_count();
        leases_end_within_their_bound(left, (self.now - begun) / MILLISECOND)
    }

    /// Judges what clients remember against what was decided.
    pub(super) fn judge(&mut self) -> Verdict {
        for id in self.ids() {
            if let Some(process) = &self.hosts[&id].process {
                published::running_hashes_are_true(id, &process.published.state)?;
            }
        }
        self.history.steps.clone_from(self.witness.ledger().steps());
        let judged = revision_order::check(&self.history).map_err(|anomaly| format!("{anomaly:?}"));
        must(judged, Invariant::HistoriesFollowRevisions, || "the whole history".into())?;
        let alone = |register| register < super::clients::GROUPS[1];
        let judged = wing_gong::check(&self.history, alone, SEARCH);
        let verdicts = must(judged, Invariant::HistoriesAreLinearizable, || "register".into())?;
        for verdict in verdicts.values() {
            self.coverage.count(match verdict {
                wing_gong::Verdict::Linearizable => "registers found linearizable by search",
                _ => "registers too long to search",
            });
        }
        Ok(())
    }

    pub(super) fn finish_counting(&mut self) {
        self.coverage.add("elections won", self.witness.elections());
        self.coverage.add("entries decided", self.witness.ledger().last().0);
        self.coverage.add("entries overwritten", self.witness.overwritten());
        self.coverage.add("seeds", 1);
        self.coverage.looked_at(take_looks());
        self.coverage.add("steps", self.steps);
        self.coverage.add("turns", self.turns);
        for (name, count) in super::turns::MESSAGES.into_iter().zip(self.messages) {
            self.coverage.add(name, count);
        }
        self.coverage.add("simulated seconds", self.now / SECOND);
        let decided = self.witness.ledger().decided().last();
        let end = decided.map_or(0, |decided| u64::try_from(decided.hash >> 64).unwrap_or(0));
        self.digest = crate::chance::mix(self.digest ^ end);
    }
}
