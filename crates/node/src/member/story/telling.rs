//! From what the consensus core reports to entries of the diary: one entry for each event, none left out.

use raft::{Ballotage, Cause, Event, Index, NodeId, Standing, TallyEnd, VoteRefusal};

use super::super::words::{ballotage, place, tally_end, transfer};
use super::{Story, is_of_elections, role_of};
use crate::diary::{DiaryKind, Facts};

impl Story {
    /// Takes in what the core reports.
    pub(in crate::member) fn tell(&mut self, event: &Event) {
        match event {
            Event::Stands(standing) => self.stands(standing),
            Event::Granted { kind, to, term } => {
                let text = format!("gives {} its {} for term {}", self.name(*to), ballotage(*kind), term.0);
                self.of_peer(DiaryKind::Vote, *to, text);
            }
            Event::Refused { kind, to, term, why } => self.refused(*kind, *to, term.0, *why),
            Event::Tallied { kind, term, end, granted, refused, silent } => {
                let facts = self.votes(granted, refused, silent);
                let text =
                    format!("{}: {}", tally_end(*end, *kind, term.0), self.votes_in_words(granted, refused, silent));
                self.tally = Some(facts.clone());
                self.write(kind_of_tally(*end, *kind), text, facts);
            }
            Event::LostLeader(leader) => {
                self.lost_untold.remove(leader);
                self.connection_lost(*leader, format!("lost the connection to the leader {}", self.name(*leader)));
            }
            Event::TransferStarted { to, why } => {
                let text = format!("begins to hand over to {}: {}", self.name(*to), transfer(*why));
                self.of_peer(DiaryKind::Transfer, *to, text);
            }
            Event::TransferFailed { to, why, because } => {
                let (to_name, because) = (self.name(*to), self.names.refusal(*because));
                let text = format!("could not hand over to {to_name} ({}): {because}", transfer(*why));
                self.of_peer(DiaryKind::Transfer, *to, text);
            }
            Event::DiskStalled => {
                let text = "leads on with a disk that did not finish a write within an election timeout, for nobody can take \
                            over";
                self.note(DiaryKind::Disk, text.into());
            }
            Event::MembershipAppended { index, membership } => {
                let text =
                    format!("goes by the membership of entry {}: {}", index.0, self.names.membership(membership));
                self.note(DiaryKind::Membership, text);
            }
            Event::MembershipReverted { membership } => {
                let membership = self.names.membership(membership);
                self.note(DiaryKind::Membership, format!("is back to the membership of before: {membership}"));
            }
            Event::Promoting(learners) => {
                let text = format!("makes caught-up learners voters: {}", self.names.listed(learners));
                self.note(DiaryKind::Membership, text);
            }
            Event::SnapshotNeeded { by, matched } => {
                let needs = "which needs what only a snapshot holds any more";
                let text = format!(
                    "sends a snapshot to {}, {needs}: it holds the log up to entry {}",
                    self.name(*by),
                    matched.0
                );
                self.of_peer(DiaryKind::Snapshot, *by, text);
            }
            Event::SnapshotInstalled(last) => {
                self.note(DiaryKind::Snapshot, format!("goes on behind a snapshot of {}", place(*last)));
            }
            Event::Unsound { from } => {
                let text = format!("ignored what {} said: no correct member says such a thing", self.name(*from));
                self.of_peer(DiaryKind::Unsound, *from, text);
            }
            Event::Repaired(lost) => {
                let text = format!("has the entries up to {} back, which its disk had lost", place(*lost));
                self.note(DiaryKind::Repaired, text);
            }
        }
    }

    fn of_peer(&mut self, kind: DiaryKind, peer: NodeId, text: String) {
        let facts = Facts { peer: Some(self.name(peer)), ..Facts::default() };
        self.write(kind, text, facts);
    }

    /// Role, term or leader changed.
    fn stands(&mut self, standing: &Standing) {
        let campaigns = matches!(standing.role, raft::Role::PreCandidate | raft::Role::Candidate);
        if campaigns {
            self.campaign.get_or_insert(self.now.nanoseconds);
        }
        let because = self.cause(&standing.cause);
        let mut facts = self.facts_of(&standing.cause);
        facts.because = Some(because.clone());
        facts.role = Some(role_of(standing.role).name().to_owned());
        facts.leader = standing.leader.map(|leader| self.name(leader));
        let led = std::mem::replace(&mut self.role, standing.role) == raft::Role::Leader;
        self.term = standing.term.0;
        if self.leader != standing.leader && standing.leader.is_some() {
            self.repeats.forget(is_of_elections);
        }
        self.leader = standing.leader;
        self.remember(standing, because.clone());
        let (kind, text) = self.standing_in_words(standing, led, &because);
        // A tally that failed has told this already, and more.
        let told = matches!(standing.cause, Cause::PreVoteFailed | Cause::ElectionLost) && self.tally.is_some();
        if !told {
            self.write(kind, text, facts);
        }
        if !campaigns {
            self.campaign = None;
            self.tally = None;
        }
    }

    fn standing_in_words(&self, standing: &Standing, led: bool, because: &str) -> (DiaryKind, String) {
        let term = standing.term.0;
        let role = role_of(standing.role).name();
        match (standing.role, standing.leader) {
            _ if standing.cause == Cause::Started => {
                let log = match self.log_end.index {
                    Index::ZERO => "its log is empty".to_owned(),
                    _ => format!("its log ends with {}", place(self.log_end)),
                };
                let text = format!("started as a {role} in term {term}; {log}");
                (DiaryKind::Started, text)
            }
            (raft::Role::Leader, _) => (DiaryKind::Leader, format!("leads term {term}: {because}")),
            (raft::Role::PreCandidate, _) => {
                (DiaryKind::Campaign, format!("asks whether it would be elected: {because}"))
            }
            (raft::Role::Candidate, _) => (DiaryKind::Campaign, format!("asks for votes in term {term}: {because}")),
            _ if led => (DiaryKind::StepDown, format!("leads no longer, term {term}: {because}")),
            (_, Some(leader)) => (DiaryKind::Follower, format!("follows {} in term {term}", self.name(leader))),
            (_, None) => (DiaryKind::Follower, format!("waits for a leader in term {term}: {because}")),
        }
    }

    fn refused(&mut self, kind: Ballotage, to: NodeId, term: u64, why: VoteRefusal) {
        let silent_milliseconds = match why {
            VoteRefusal::LeaderAlive(Some(leader)) => self.silence_of(leader),
            _ => None,
        };
        let why = self.names.vote_refusal(why);
        let text = format!("refuses {} its {} for term {term}: {why}", self.name(to), ballotage(kind));
        let facts = Facts { peer: Some(self.name(to)), because: Some(why), silent_milliseconds, ..Facts::default() };
        self.write(DiaryKind::Refusal, text, facts);
    }

    fn votes(&self, granted: &[NodeId], refused: &[(NodeId, VoteRefusal)], silent: &[NodeId]) -> Facts {
        let no = refused.iter().map(|&(id, why)| (self.name(id), self.names.vote_refusal(why)));
        Facts {
            yes: self.names.all_of(granted),
            no: no.collect(),
            silent: self.names.all_of(silent),
            ..Facts::default()
        }
    }

    fn votes_in_words(&self, granted: &[NodeId], refused: &[(NodeId, VoteRefusal)], silent: &[NodeId]) -> String {
        let mut words = format!("yes from {}", self.names.listed(granted));
        for &(id, why) in refused {
            words += &format!("; no from {}, {}", self.name(id), self.names.vote_refusal(why));
        }
        if !silent.is_empty() {
            words += &format!("; no answer from {}", self.names.listed(silent));
        }
        words
    }
}

fn kind_of_tally(end: TallyEnd, kind: Ballotage) -> DiaryKind {
    match (end, kind) {
        (TallyEnd::Won | TallyEnd::Overtaken, _) => DiaryKind::Tally,
        (TallyEnd::Lost | TallyEnd::TimedOut, Ballotage::PreVote) => DiaryKind::PreVoteFailed,
        (TallyEnd::Lost | TallyEnd::TimedOut, Ballotage::Vote) => DiaryKind::ElectionFailed,
    }
}
