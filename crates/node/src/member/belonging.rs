//! Who belongs to the ensemble, as this member knows it: changes that were asked of it as a leader, news for its
//! connections, and its own end when it is removed.
//!
//! Two memberships matter. The *newest* in the log decides who is spoken to, for it is in force as soon as it is
//! appended; the *applied* one is what clients are shown, for it is certain. It may not know sockets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use raft::{Committed, Input, Membership, NodeId, Raft, Refusal, Tag};

use super::asking::Asker;
use super::{Member, Peers};
use crate::change::{Circumstances, founded, target};
use crate::message::{Decline, Outcome, Question};
use crate::roster::{Record, Roster};
use crate::{Batch, Change, DiaryKind, MemberAddress, Members, Now, Refused};

/// A member that was removed goes on for so many heartbeats, so that what it says last arrives.
const FAREWELL_HEARTBEATS: u64 = 2;
/// How often a member whose addresses are not as the ensemble knows them says so, in nanoseconds.
const INTRODUCE_EVERY: u64 = 1_000 * crate::clock::MILLISECOND;

/// So many changes wait for the one that is under way; whoever asks for more is refused.
const CHANGES_WAITING_MAX: usize = 64;

/// What a member knows of who belongs.
///
/// Invariant: `members` is what `applied` says, and `roster` what `newest` says.
pub(super) struct Belonging {
    newest: Membership,
    roster: Roster,
    applied: Membership,
    members: Arc<Members>,
    /// The connections have to hear of a change.
    untold: bool,
    /// Whoever asked this leader for something that is under way in the core, by its tag.
    asked: BTreeMap<Tag, Wish>,
    /// Changes that were asked of this leader while another one was under way, in order. The core makes one at a time,
    /// and some nobody asked for: the ensemble is founded, members tell their addresses.
    waiting: VecDeque<(Asker, Change)>,
    /// An entry of the term in which this member leads is committed.
    settled: bool,
    /// When a leader tries to found the ensemble next, in nanoseconds.
    found_at: u64,
    /// When this member says next who it is, in nanoseconds; `None` once the ensemble knew it as it is.
    introduce_at: Option<u64>,
    /// When this member stops because it belongs no more, in nanoseconds.
    retires_at: Option<u64>,
}

/// What somebody asked this leader for.
struct Wish {
    asker: Asker,
    /// The member that it is about; `None` for a wish for another leader.
    about: Option<NodeId>,
}

impl Belonging {
    pub(super) fn restore(raft: &Raft<Batch>) -> Belonging {
        let newest = raft.membership().clone();
        let applied = raft.meta_at(raft.applied()).map_or_else(Membership::default, |meta| meta.membership);
        Belonging {
            roster: Roster::of(&newest),
            members: Arc::new(Members::of(&applied)),
            newest,
            applied,
            untold: true,
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            settled: false,
            found_at: 0,
            introduce_at: Some(0),
            retires_at: None,
        }
    }

    /// Who belongs, for certain.
    pub(super) fn members(&self) -> Arc<Members> {
        self.members.clone()
    }

    /// The membership that is certain.
    pub(super) fn applied(&self) -> &Membership {
        &self.applied
    }

    /// When this member stops because it belongs no more, in nanoseconds.
    pub(super) fn retires_at(&self) -> u64 {
        self.retires_at.unwrap_or(u64::MAX)
    }

    /// This member leads no more: whoever asked it asks the next leader, or hears that the outcome is unknown.
    pub(super) fn reign_ended(&mut self) {
        self.asked.clear();
        self.waiting.clear();
        self.settled = false;
    }
}

impl Member {
    /// Somebody asks this leader for another membership.
    pub(super) fn change_members(&mut self, now: Now, asker: Asker, change: Change) {
        if self.is_changing_members() && self.belonging.waiting.len() < CHANGES_WAITING_MAX {
            self.belonging.waiting.push_back((asker, change));
            return;
        }
        let learners_max = self.options.limits.learners;
        let circumstances = Circumstances { learners_max, unix_milliseconds: now.unix_milliseconds };
        match target(self.raft.membership(), &change, circumstances) {
            Ok((membership, about)) => {
                let tag = self.new_tag();
                self.belonging.asked.insert(tag, Wish { asker, about: Some(about) });
                self.raft.step(Input::Reconfigure(tag, membership));
            }
            Err(refused) => self.tell_from(now, vec![(asker, Outcome::Refused(refused))]),
        }
    }

    /// Whether a change of the membership is not through yet.
    fn is_changing_members(&self) -> bool {
        let newest = self.raft.membership();
        newest.is_joint() || *newest != self.belonging.applied
    }

    /// The next change in line, once the one before it is through.
    pub(super) fn go_on_changing_members(&mut self, now: Now) {
        while !self.belonging.waiting.is_empty() && !self.is_changing_members() {
            let Some((asker, change)) = self.belonging.waiting.pop_front() else { return };
            self.change_members(now, asker, change);
        }
    }

    /// Somebody asks this leader for another leader.
    pub(super) fn hand_over(&mut self, asker: Asker, to: Option<NodeId>) {
        let tag = self.new_tag();
        self.belonging.asked.insert(tag, Wish { asker, about: None });
        self.raft.step(Input::Transfer(tag, to));
    }

    /// An entry is committed and applied: if it is a change that somebody asked for, it is certain now.
    pub(super) fn committed_for(&mut self, now: Now, committed: &Committed<Batch>) {
        self.belonging.settled |= self.leading.is_some() && committed.term == self.standing.term;
        let Some(wish) = committed.tag.and_then(|tag| self.belonging.asked.remove(&tag)) else { return };
        if let Some(member) = wish.about {
            let outcome = Outcome::Changed { index: committed.index.0, member };
            self.tell_from(now, vec![(wish.asker, outcome)]);
        }
    }

    /// The core refused something; says whether it was a change that somebody asked for.
    pub(super) fn change_refused(&mut self, now: Now, tag: Tag, refusal: Refusal) -> bool {
        let Some(wish) = self.belonging.asked.remove(&tag) else { return false };
        let outcome = match Refused::of(refusal) {
            Some(refused) => Outcome::Refused(refused),
            // Soon this leader can, or another one.
            None => Outcome::Declined(Decline::NotLeader),
        };
        self.tell_from(now, vec![(wish.asker, outcome)]);
        true
    }

    /// Leadership is where somebody wanted it.
    pub(super) fn handed_over(&mut self, now: Now, tag: Tag, by: NodeId) {
        if let Some(wish) = self.belonging.asked.remove(&tag) {
            self.tell_from(now, vec![(wish.asker, Outcome::Led { by })]);
        }
    }

    /// The first leader gives the ensemble its number. With that, who founded it stands in the log, and what the
    /// configuration says of it later changes nothing.
    pub(super) fn found_ensemble(&mut self, now: Now) {
        let unfounded = self.leading.is_some() && self.belonging.settled && self.belonging.roster.identity == 0;
        if !unfounded || now.nanoseconds < self.belonging.found_at {
            return;
        }
        self.belonging.found_at = now.nanoseconds.saturating_add(self.options.pacing().heartbeat);
        let tag = self.new_tag();
        // 0 means that there is none.
        let identity = self.random.next().max(1);
        self.raft.step(Input::Reconfigure(tag, founded(self.raft.membership(), identity)));
    }

    /// Says what this member's configuration tells of it, if the ensemble knows it otherwise: addresses change when
    /// machines move. Once it is known as it is, somebody else may change that.
    pub(super) fn introduce_itself(&mut self, now: Now) {
        if self.belonging.introduce_at.is_none_or(|due| now.nanoseconds < due) || self.standing.leader.is_none() {
            return;
        }
        let id = self.options.id;
        let (Some(known), Some(own)) = (self.belonging.members.get(id), self.options.own()) else { return };
        if known.address == *own {
            self.belonging.introduce_at = None;
            return;
        }
        self.belonging.introduce_at = Some(now.nanoseconds.saturating_add(INTRODUCE_EVERY));
        let MemberAddress { name, peer, client, priority, .. } = own.clone();
        let update = Change::Update { id, name: Some(name), peer: Some(peer), client, priority: Some(priority) };
        self.asking.mention(now.nanoseconds, Question::Change(update));
    }

    /// From this entry on, this is who belongs, for certain.
    pub(super) fn membership_applied(&mut self, now: Now, membership: &Membership) {
        let id = self.options.id;
        let belonged = self.belonging.applied.contains(id);
        self.belonging.applied = membership.clone();
        self.belonging.members = Arc::new(Members::of(membership));
        self.belonging.untold = true;
        self.status_due = true;
        let known = self.belonging.members.get(id);
        if known.is_some_and(|known| Some(&known.address) == self.options.own()) {
            self.belonging.introduce_at = None;
        }
        if belonged && !membership.contains(id) && self.belonging.retires_at.is_none() {
            self.story.note(DiaryKind::Membership, "was removed from the ensemble".into());
            let farewell = self.options.pacing().heartbeat.saturating_mul(FAREWELL_HEARTBEATS);
            self.belonging.retires_at = Some(now.nanoseconds.saturating_add(farewell));
        }
    }

    /// A peer knows that this member belongs no more.
    pub(super) fn expelled(&mut self, now: Now, by: NodeId) {
        if self.belonging.retires_at.is_none() {
            let name = self.story.name(by);
            self.story
                .note(DiaryKind::Membership, format!("hears from {name} that it belongs to the ensemble no more"));
            self.belonging.retires_at = Some(now.nanoseconds);
        }
    }

    /// Stops a member that belongs no more, once its time has come.
    pub(super) fn retire(&mut self, now: Now) {
        if now.nanoseconds < self.belonging.retires_at() {
            return;
        }
        self.asking.stop(&crate::Reason::Stopping);
        let id = self.options.id.0;
        let why = format!(
            "member {id} belongs to ensemble {:?} no more: it was removed. To bring its machine back, give it an empty \
             data folder and add it under a new id",
            self.options.ensemble
        );
        self.effects.retired = Some(why);
    }

    /// Lets the connections hear of it when the membership changed.
    pub(super) fn follow_membership(&mut self) {
        let belonging = &mut self.belonging;
        if *self.raft.membership() != belonging.newest {
            belonging.newest = self.raft.membership().clone();
            belonging.roster = Roster::of(&belonging.newest);
            belonging.untold = true;
        }
        if !std::mem::take(&mut belonging.untold) {
            return;
        }
        self.status_due = true;
        self.story.rename(self.belonging.roster.names());
        self.effects.peers = Some(self.peers());
    }

    /// With whom this member is to be connected.
    #[must_use]
    pub fn peers(&self) -> Peers {
        let Roster { identity, last_id, .. } = self.belonging.roster;
        Peers { ensemble_id: identity, list: self.known_members(), last_id }
    }

    /// Everybody who belongs, or will, or still has to be told that he does not. A member that was told of no ensemble
    /// yet knows those whom its configuration names.
    fn known_members(&self) -> Vec<MemberAddress> {
        let Belonging { newest, roster, applied, members, .. } = &self.belonging;
        let mut ids = newest.members();
        ids.extend(applied.members());
        if ids.is_empty() {
            return self.options.members.clone();
        }
        let address = |id: NodeId| match (roster.record(id), members.get(id)) {
            (Some(record), _) => record.address(id, newest),
            (None, Some(entry)) => entry.address.clone(),
            (None, None) => Record::default().address(id, newest),
        };
        ids.into_iter().map(address).collect()
    }
}
