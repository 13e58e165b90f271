//! The asking half of a member: the questions of its own clients, from the moment they are posted until they are
//! answered. The leader asks itself the same way it is asked by others. It may not know how a question is decided.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use raft::NodeId;

use super::{Answer, RequestTag};
use crate::clock::MILLISECOND;
use crate::message::{Decline, Outcome, Question};
use crate::mutants::mutated;
use crate::{Failure, Reason, StreamId};

/// Questions under way and answers that wait for their entry to be applied here.
///
/// Invariants:
/// - every posted request is answered exactly once;
/// - questions of one stream reach a leader in the order they were posted; once one of them failed, none of the
///   later ones is sent (`broken`), so nothing overtakes a lost request;
/// - a question that was sent and not answered is never sent again if deciding it twice could matter.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    asked: BTreeMap<u64, Asked>,
    /// Numbers of questions that no leader has yet; ordered, so that streams keep their order.
    unsent: BTreeSet<u64>,
    /// The questions under way of each stream, so that breaking one does not look through all others.
    streams: BTreeMap<StreamId, BTreeSet<u64>>,
    broken: BTreeSet<StreamId>,
    /// Streams whose connection is closed, but which have questions under way: these still keep their order.
    forgotten: BTreeSet<StreamId>,
    /// Answers that wait until the entry they rest on is applied here.
    unapplied: BTreeMap<u64, Vec<Resting>>,
    answers: VecDeque<(RequestTag, Result<Answer, Failure>)>,
    /// Why nothing is asked at present, if so.
    stopped: Option<Reason>,
    next_number: u64,
    timeout: u64,
    failed: u64,
    forwarded: u64,
}

#[derive(Clone, Debug)]
struct Asked {
    /// Whoever waits; several only for a barrier.
    tags: Vec<RequestTag>,
    stream: StreamId,
    question: Question,
    deadline: u64,
}

/// An answer that waits until its entry is applied here.
#[derive(Clone, Debug)]
struct Resting {
    tag: RequestTag,
    answer: Result<Answer, Failure>,
    deadline: u64,
}

impl Asking {
    /// `first_number` must lie above every number this member used before a restart.
    pub(super) fn new(first_number: u64, timeout_nanoseconds: u64) -> Asking {
        Asking {
            asked: BTreeMap::new(),
            unsent: BTreeSet::new(),
            streams: BTreeMap::new(),
            broken: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            unapplied: BTreeMap::new(),
            answers: VecDeque::new(),
            stopped: None,
            next_number: first_number,
            timeout: timeout_nanoseconds,
            failed: 0,
            forwarded: 0,
        }
    }

    /// Takes a client's question. Barriers of one turn share one question.
    pub(super) fn post(&mut self, now: u64, tag: RequestTag, stream: StreamId, question: Question) {
        if let Some(why) = &self.stopped {
            let failure = Failure::NotApplied(why.clone());
            self.fail(tag, failure);
            if stream != StreamId::NONE {
                self.break_off(stream);
            }
            return;
        }
        if self.broken.contains(&stream) {
            self.fail(tag, Failure::NotApplied(Reason::StreamBroken));
            return;
        }
        if question == Question::Barrier
            && let Some(last) = self.unsent.last()
            && let Some(shared) = self.asked.get_mut(last)
            && shared.question == Question::Barrier
        {
            shared.tags.push(tag);
            return;
        }
        self.add(Asked { tags: vec![tag], stream, question, deadline: now + self.timeout });
    }

    /// Asks something of this member's own, whose answer nobody waits for.
    pub(super) fn mention(&mut self, now: u64, question: Question) {
        self.add(Asked { tags: Vec::new(), stream: StreamId::NONE, question, deadline: now + self.timeout });
    }

    /// A request of this stream was refused at the door: none of the later ones may overtake it.
    pub(super) fn break_off(&mut self, stream: StreamId) {
        self.broken.insert(stream);
    }

    fn add(&mut self, asked: Asked) {
        let number = self.next_number;
        self.next_number += 1;
        self.unsent.insert(number);
        if asked.stream != StreamId::NONE {
            self.streams.entry(asked.stream).or_default().insert(number);
        }
        self.asked.insert(number, asked);
    }

    fn remove(&mut self, number: u64) -> Option<Asked> {
        let asked = self.asked.remove(&number)?;
        if let Some(numbers) = self.streams.get_mut(&asked.stream) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.streams.remove(&asked.stream);
            }
        }
        Some(asked)
    }

    /// Puts a question back that was sent. A decision keeps its number, and with it its place in its stream: whoever
    /// declined it will not answer it later. Anything else gets a new one, so that a late answer to the old number
    /// cannot serve those who join the question in the meantime.
    fn put_back(&mut self, number: u64) {
        let Some(asked) = self.asked.get(&number) else { return };
        if asked.question.is_decision() {
            self.unsent.insert(number);
        } else if !self.unsent.contains(&number) {
            let asked = self.remove(number).expect("just seen");
            self.add(asked);
        }
    }

    /// Whether this question was sent and not answered yet.
    pub(super) fn awaits(&self, number: u64) -> bool {
        self.asked.contains_key(&number) && !self.unsent.contains(&number)
    }

    /// Hands out what waits for a leader, in order, now that there is one.
    pub(super) fn send(&mut self, elsewhere: bool) -> Vec<(u64, Question)> {
        let unsent = std::mem::take(&mut self.unsent);
        if elsewhere {
            self.forwarded += unsent.len() as u64;
        }
        unsent.into_iter().map(|number| (number, self.asked[&number].question.clone())).collect()
    }

    /// An outcome arrived; `applied` is the last entry applied here.
    pub(super) fn told(&mut self, number: u64, outcome: Outcome, applied: u64) {
        if matches!(outcome, Outcome::Declined(Decline::NotLeader)) {
            self.put_back(number);
            return;
        }
        // Unknown numbers are answers to questions that timed out or were given up in the meantime.
        let Some(asked) = self.remove(number) else { return };
        // The old leader's answer may come while the question waits to be asked again: it is as good.
        self.unsent.remove(&number);
        match outcome {
            Outcome::Decided { index, reply } => self.rest(index, applied, &asked, &Ok(Answer::Decided(reply))),
            Outcome::Barrier { index } => self.rest(index, applied, &asked, &Ok(Answer::Barrier)),
            Outcome::Lease { found } => self.rest(0, applied, &asked, &Ok(Answer::Lease(found))),
            Outcome::Changed { index, member } => self.rest(index, applied, &asked, &Ok(Answer::Changed { member })),
            Outcome::Led { by } => self.rest(0, applied, &asked, &Ok(Answer::Led { by })),
            Outcome::Refused(refused) => self.rest(0, applied, &asked, &Ok(Answer::Refused(refused))),
            // Decided in its turn like any other, so nothing overtakes it and its stream goes on.
            Outcome::OverQuota { index, bytes, limit } => {
                self.failed += 1;
                let refusal = Failure::NotApplied(Reason::OverQuota { bytes, limit });
                self.rest(index, applied, &asked, &Err(refusal));
            }
            Outcome::Declined(Decline::UnknownProtocol(protocol)) => {
                self.give_up(&asked, &Failure::NotApplied(Reason::UnknownProtocol(protocol.0)));
            }
            Outcome::Declined(Decline::TooLarge { bytes, limit }) => {
                self.give_up(&asked, &Failure::NotApplied(Reason::ChangesTooMuch { bytes, limit }));
            }
            Outcome::Declined(Decline::NotLeader) => unreachable!("handled above"),
        }
        self.tidy(asked.stream);
    }

    /// The leader that has the sent questions is gone, or the way to it is: decisions are unknown, the rest is
    /// asked again.
    pub(super) fn leader_lost(&mut self) {
        let sent: Vec<u64> = self.asked.keys().filter(|number| !self.unsent.contains(number)).copied().collect();
        for number in sent {
            // It may have been failed already, with its stream.
            let Some(asked) = self.asked.get(&number) else { continue };
            match asked.question {
                Question::Decide { .. } | Question::Change(_) => {
                    let asked = self.remove(number).expect("just seen");
                    self.give_up(&asked, &Failure::Unknown(Reason::LeaderLost));
                }
                // Losing the leader may be what was asked for: the next one tells.
                Question::Lead { .. } => {}
                Question::Barrier | Question::Lease { .. } => self.put_back(number),
            }
        }
    }

    /// There is a leader: wishes for one are fulfilled, or it is asked to hand over.
    pub(super) fn led_by(&mut self, leader: NodeId) {
        let wish = |asked: &Asked| match asked.question {
            Question::Lead { to } => Some(to.is_none_or(|to| to == leader)),
            _ => None,
        };
        let sent = self.asked.iter().filter(|(number, _)| !self.unsent.contains(number));
        let wishes: Vec<(u64, bool)> = sent.filter_map(|(&number, asked)| Some((number, wish(asked)?))).collect();
        for (number, fulfilled) in wishes {
            if fulfilled {
                self.told(number, Outcome::Led { by: leader }, 0);
            } else {
                self.put_back(number);
            }
        }
    }

    /// Fails what waited too long.
    pub(super) fn expire(&mut self, now: u64) {
        // Nearly in the order of deadlines: a question with a new number may fail a little late, never early.
        while let Some((&number, asked)) = self.asked.first_key_value() {
            if asked.deadline > now {
                break;
            }
            let asked = self.remove(number).expect("just seen");
            let failure = match (self.unsent.remove(&number), &asked.question) {
                (true, _) => Failure::NotApplied(Reason::NoLeader),
                (false, Question::Barrier | Question::Lease { .. }) => Failure::NotApplied(self.timed_out()),
                (false, _) => Failure::Unknown(self.timed_out()),
            };
            self.give_up(&asked, &failure);
        }
        self.expire_resting(now);
    }

    /// Fails what was answered in time by the leader, but not applied here in time: this member is cut off, or far
    /// behind.
    fn expire_resting(&mut self, now: u64) {
        let mut late = Vec::new();
        for resting in self.unapplied.values_mut() {
            late.extend(resting.extract_if(.., |resting| resting.deadline <= now));
        }
        self.unapplied.retain(|_, resting| !resting.is_empty());
        for resting in late {
            let why = self.timed_out();
            self.fail_resting(resting, &why);
        }
    }

    fn timed_out(&self) -> Reason {
        Reason::TimedOut { milliseconds: self.timeout / MILLISECOND }
    }

    /// Entries up to `applied` are applied here: releases the answers that rest on them.
    pub(super) fn applied(&mut self, applied: u64) {
        while let Some(entry) = self.unapplied.first_entry() {
            if *entry.key() > applied {
                break;
            }
            self.answers.extend(entry.remove().into_iter().map(|resting| (resting.tag, resting.answer)));
        }
    }

    /// The stream's connection is closed. What it has under way goes on as before, in order or not at all, though
    /// nobody waits for it; the stream is remembered until that is over.
    pub(super) fn forget(&mut self, stream: StreamId) {
        self.forgotten.insert(stream);
        self.tidy(stream);
    }

    /// Remembers nothing of a closed stream that has nothing under way any more.
    fn tidy(&mut self, stream: StreamId) {
        if !self.streams.contains_key(&stream) && self.forgotten.remove(&stream) {
            self.broken.remove(&stream);
        }
    }

    /// Fails everything, and from now on whatever is asked: the member stops, or must not serve.
    pub(super) fn stop(&mut self, why: &Reason) {
        self.stopped = Some(why.clone());
        self.streams.clear();
        for (number, asked) in std::mem::take(&mut self.asked) {
            let failure = if self.unsent.contains(&number) {
                Failure::NotApplied(why.clone())
            } else {
                Failure::Unknown(why.clone())
            };
            self.give_up(&asked, &failure);
        }
        self.unsent.clear();
        for (_, waiting) in std::mem::take(&mut self.unapplied) {
            // Decided and committed, but the state they are to be read from is not to be trusted.
            waiting.into_iter().for_each(|resting| self.fail_resting(resting, why));
        }
    }

    /// Fails what is decided, but of which nobody can be told for this reason.
    fn fail_resting(&mut self, resting: Resting, why: &Reason) {
        let failure = match resting.answer {
            Ok(Answer::Barrier | Answer::Lease(_)) => Failure::NotApplied(why.clone()),
            Ok(_) => Failure::Unknown(why.clone()),
            Err(failure) => failure,
        };
        self.fail(resting.tag, failure);
    }

    /// Takes questions again. Streams that were broken stay so.
    pub(super) fn start_again(&mut self) {
        self.stopped = None;
    }

    pub(super) fn take_answers(&mut self) -> Vec<(RequestTag, Result<Answer, Failure>)> {
        std::mem::take(&mut self.answers).into()
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// How long a question may wait for its answer, in nanoseconds.
    pub(super) fn timeout(&self) -> u64 {
        self.timeout
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn forwarded(&self) -> u64 {
        self.forwarded
    }

    fn rest(&mut self, index: u64, applied: u64, asked: &Asked, answer: &Result<Answer, Failure>) {
        if index <= applied || mutated("answer-before-applying") {
            self.answers.extend(asked.tags.iter().map(|&tag| (tag, answer.clone())));
        } else {
            let resting = |&tag| Resting { tag, answer: answer.clone(), deadline: asked.deadline };
            self.unapplied.entry(index).or_default().extend(asked.tags.iter().map(resting));
        }
    }

    fn give_up(&mut self, asked: &Asked, failure: &Failure) {
        for &tag in &asked.tags {
            self.fail(tag, failure.clone());
        }
        if asked.stream != StreamId::NONE && self.broken.insert(asked.stream) {
            self.break_stream(asked.stream);
        }
        self.tidy(asked.stream);
    }

    fn break_stream(&mut self, stream: StreamId) {
        for number in self.streams.remove(&stream).unwrap_or_default() {
            let asked = self.asked.remove(&number).expect("streams name questions under way");
            let failure = if self.unsent.remove(&number) {
                Failure::NotApplied(Reason::StreamBroken)
            } else {
                Failure::Unknown(Reason::StreamBroken)
            };
            for &tag in &asked.tags {
                self.fail(tag, failure.clone());
            }
        }
    }

    fn fail(&mut self, tag: RequestTag, failure: Failure) {
        self.failed += 1;
        self.answers.push_back((tag, Err(failure)));
    }
}

/// Who asked a question: a member (perhaps the leader itself) under its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    pub(super) member: NodeId,
    pub(super) number: u64,
}

#[cfg(test)]
mod tests;
