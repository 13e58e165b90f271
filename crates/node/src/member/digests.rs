//! Proof that replicas are equal: the leader says what its state hashes to after which entry, and every follower
//! compares that with its own hash after the same entry. It may not know what is in the state.

use std::collections::{BTreeMap, VecDeque};

use super::Member;
use crate::message::PeerMessage;

/// Own hashes that are remembered, one for each of the newest entries.
const REMEMBERED: usize = 4096;
/// The leader's hashes that wait until their entry is applied here; the newest ones count.
const WAITING: usize = 64;

/// A member's memory of hashes.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests {
    own: VecDeque<(u64, u128)>,
    waiting: BTreeMap<u64, u128>,
    compared: u64,
}

/// Two members applied the same entries and hold different rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Divergence {
    pub(super) index: u64,
    pub(super) own: u128,
    pub(super) leaders: u128,
}

impl Digests {
    /// The state after entry `index` hashes to this here.
    ///
    /// # Errors
    /// The leader said something else.
    pub(super) fn applied(&mut self, index: u64, own: u128) -> Result<(), Divergence> {
        if self.own.len() == REMEMBERED {
            self.own.pop_front();
        }
        self.own.push_back((index, own));
        let later = self.waiting.split_off(&(index + 1));
        let due = std::mem::replace(&mut self.waiting, later);
        match due.get(&index) {
            Some(&leaders) => self.compare(index, own, leaders),
            None => Ok(()),
        }
    }

    /// The leader's state after entry `index` hashes to this.
    ///
    /// # Errors
    /// This member's does not.
    pub(super) fn told(&mut self, index: u64, leaders: u128) -> Result<(), Divergence> {
        let newest = self.own.back().map_or(0, |&(newest, _)| newest);
        if index > newest {
            self.waiting.insert(index, leaders);
            if self.waiting.len() > WAITING {
                self.waiting.pop_first();
            }
            return Ok(());
        }
        match self.own.binary_search_by_key(&index, |&(index, _)| index) {
            Ok(position) => self.compare(index, self.own[position].1, leaders),
            // Too long ago, or covered by a snapshot: the next one will be compared.
            Err(_) => Ok(()),
        }
    }

    /// A memory for another state, which remembers nothing of this one but the count.
    pub(super) fn continued(before: &Digests) -> Digests {
        Digests { compared: before.compared, ..Digests::default() }
    }

    /// How often hashes were compared.
    pub(super) fn compared(&self) -> u64 {
        self.compared
    }

    fn compare(&mut self, index: u64, own: u128, leaders: u128) -> Result<(), Divergence> {
        self.compared += 1;
        if own == leaders { Ok(()) } else { Err(Divergence { index, own, leaders }) }
    }
}

impl Member {
    /// Says what this leader's state hashes to, once per tick if anything was applied since.
    pub(super) fn tell_digest(&mut self) {
        if self.leading.is_none() || self.digest_told == self.applied {
            return;
        }
        self.digest_told = self.applied;
        let (index, hash) = (self.applied.0, self.committed.hash());
        for &peer in &self.connected {
            self.effects.send.push((peer, PeerMessage::Digest { index, hash }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_found_whichever_side_is_first() {
        let mut digests = Digests::default();
        digests.applied(1, 11).expect("nothing to compare with");
        assert_eq!(digests.told(1, 11), Ok(()));
        assert_eq!(digests.told(1, 12), Err(Divergence { index: 1, own: 11, leaders: 12 }));
        digests.told(3, 33).expect("not applied yet");
        digests.applied(2, 22).expect("nothing to compare with");
        assert_eq!(digests.applied(3, 34), Err(Divergence { index: 3, own: 34, leaders: 33 }));
        assert_eq!(digests.compared(), 3);
    }

    #[test]
    fn what_is_too_long_ago_is_not_compared() {
        let mut digests = Digests::default();
        for index in 1..=2 * REMEMBERED as u64 {
            digests.applied(index, 0).expect("nothing to compare with");
        }
        assert_eq!(digests.told(1, 1), Ok(()));
        assert_eq!(digests.compared(), 0);
    }
}
