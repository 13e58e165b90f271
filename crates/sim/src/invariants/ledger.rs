//! What was decided for ever: every entry that any member ever knew to be committed, put once into a state of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use node::{Batch, NodeId};
use raft::{Body, Entry, Index, LogId, Membership, Term};
use state::{Delta, Edit, State, TableSpec};

use super::watches::Told;
use super::{Invariant, Verdict, Violation, ensure, must, violation};
use crate::check::Step;
use crate::registers::{EXPIRIES, RECEIPTS, Register, Registers, RequestId};

/// One entry that was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Its identity.
    pub id: LogId,
    /// Tells its content from others.
    pub digest: u64,
    /// The term of the member that was the first to know. The entry was decided in this term or before it.
    pub known_in: Term,
    /// The state's hash after it.
    pub hash: u128,
    /// The state's revision after it.
    pub revision: u64,
}

/// Something that an entry did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It did what this request asks for.
    Request(RequestId),
    /// This lease ran out.
    Expired(i64),
    /// It began this lease.
    Granted {
        /// Which.
        lease: i64,
        /// For how long, in milliseconds.
        ttl_milliseconds: u64,
    },
    /// It ended this lease, for whatever reason.
    Ended(i64),
}

/// All that was decided, in order.
pub struct Ledger {
    decided: Vec<Decided>,
    reference: State,
    membership: Membership,
    /// Everybody who ever belonged.
    belonged: BTreeSet<NodeId>,
    receipts: BTreeMap<RequestId, (Index, u64)>,
    steps: BTreeMap<u64, Step>,
    /// Every change of a register, by revision, in order.
    changes: BTreeMap<u64, Vec<Told>>,
}

impl Ledger {
    /// Nothing was decided yet.
    #[must_use]
    pub fn new(specs: &[TableSpec], membership: Membership) -> Ledger {
        Ledger {
            decided: Vec::new(),
            belonged: membership.members(),
            membership,
            reference: State::new(specs),
            receipts: BTreeMap::new(),
            steps: BTreeMap::new(),
            changes: BTreeMap::new(),
        }
    }

    /// The last place that was decided.
    #[must_use]
    pub fn last(&self) -> Index {
        Index(self.decided.len() as u64)
    }

    /// What was decided at a place.
    #[must_use]
    pub fn at(&self, index: Index) -> Option<&Decided> {
        let position = usize::try_from(index.0.checked_sub(1)?).ok()?;
        self.decided.get(position)
    }

    /// Everything, in order.
    #[must_use]
    pub fn decided(&self) -> &[Decided] {
        &self.decided
    }

    /// The state after all of it.
    #[must_use]
    pub fn reference(&self) -> &State {
        &self.reference
    }

    /// Who belongs to the ensemble.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Whether a member ever belonged to it.
    #[must_use]
    pub fn ever_belonged(&self, id: NodeId) -> bool {
        self.belonged.contains(&id)
    }

    /// Where a request was done, and which revision it made.
    #[must_use]
    pub fn receipt(&self, request: RequestId) -> Option<(Index, u64)> {
        self.receipts.get(&request).copied()
    }

    /// What was done at each revision.
    #[must_use]
    pub fn steps(&self) -> &BTreeMap<u64, Step> {
        &self.steps
    }

    /// What happened to these registers (the first included, the second excluded), from one revision through another.
    #[must_use]
    pub fn changes(&self, from: u64, through: u64, registers: (Register, Register)) -> Vec<Told> {
        if from > through {
            return Vec::new();
        }
        let all = self.changes.range(from..=through).flat_map(|(_, told)| told).copied();
        all.filter(|&(_, register, _)| register >= registers.0 && register < registers.1).collect()
    }

    /// The entry behind the last one was decided. Gives what it did.
    ///
    /// # Errors
    /// It cannot be put, or does something a second time.
    pub fn decide(&mut self, entry: &Entry<Batch>, known_in: Term) -> Result<Vec<Deed>, Violation> {
        let index = self.last().next();
        let mut deeds = Vec::new();
        if let Body::Membership(membership) = &entry.body {
            self.membership = Membership::clone(membership);
            self.belonged.extend(membership.members());
        }
        if let Body::Command(batch) = &entry.body {
            for delta in batch.deltas() {
                self.put(index, &delta, &mut deeds)?;
            }
        }
        // What compaction leaves behind is freed as members do it, in bounded steps.
        self.reference.reclaim(64);
        self.decided.push(Decided {
            id: LogId::new(entry.term, index),
            digest: digest(&entry.body),
            known_in,
            hash: self.reference.hash(),
            revision: self.reference.revision(),
        });
        Ok(deeds)
    }

    fn put(&mut self, index: Index, delta: &[u8], deeds: &mut Vec<Deed>) -> Verdict {
        const NAME: Invariant = Invariant::CommittedEntriesApply;
        let before = self.reference.revision();
        must(self.reference.apply(delta), NAME, || format!("entry {index}"))?;
        let revision = self.reference.revision();
        ensure(revision <= before + 1, Invariant::RevisionsAreDense, || {
            format!("a delta leads from {before} to {revision}")
        })?;
        let decoded = Delta::decode(delta).map_err(|why| violation(NAME, format!("entry {index}: {why}")))?;
        let mut step = None;
        for edit in decoded.edits() {
            match edit.map_err(|why| violation(NAME, format!("entry {index}: {why}")))? {
                Edit::Put { table: RECEIPTS, value, .. } => {
                    let request = u64::from_le_bytes(eight(value)?);
                    self.receive(request, index, revision)?;
                    deeds.push(Deed::Request(request));
                    step = Some(Step::Request(request));
                }
                Edit::Put { table: EXPIRIES, value, .. } => {
                    let lease = i64::from_le_bytes(eight(value)?);
                    deeds.push(Deed::Expired(lease));
                    step = Some(Step::Expired(lease));
                }
                Edit::Grant { lease, ttl_milliseconds, .. } => {
                    deeds.push(Deed::Granted { lease: lease.0, ttl_milliseconds });
                }
                Edit::Revoke { lease } => deeds.push(Deed::Ended(lease.0)),
                _ => {}
            }
        }
        if revision > before {
            let step = must(step.ok_or("nobody"), Invariant::OnlyWhatWasAskedFor, || format!("entry {index}"))?;
            self.steps.insert(revision, step);
            let told = self.reference.changes(revision).into_iter().flatten().filter_map(Registers::told);
            self.changes.insert(revision, told.collect());
        }
        Ok(())
    }

    fn receive(&mut self, request: RequestId, index: Index, revision: u64) -> Verdict {
        let earlier = self.receipts.insert(request, (index, revision));
        ensure(earlier.is_none(), Invariant::NoRequestTwice, || {
            format!("request {request} was done at {earlier:?} and again at entry {index}, revision {revision}")
        })
    }
}

/// Tells one content of an entry from others.
pub(super) fn digest(body: &Body<Batch>) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    hasher.finish()
}

fn eight(value: &[u8]) -> Result<[u8; 8], Violation> {
    value.try_into().map_err(|_| violation(Invariant::CommittedEntriesApply, "a receipt has no eight bytes"))
}
