//! What the registers mean, written down a second time, as plainly as can be. It shares no code with the protocol.

use std::collections::{BTreeMap, BTreeSet};

use crate::registers::{Action, Answer, Register};

/// The registers and leases after some history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// What each register holds, and the lease it is attached to (0: none).
    registers: BTreeMap<Register, (u64, i64)>,
    leases: BTreeSet<i64>,
}

impl Model {
    /// What a register holds.
    #[must_use]
    pub fn holds(&self, register: Register) -> Option<u64> {
        self.registers.get(&register).map(|(value, _)| *value)
    }

    /// Does something, and tells what the answer must be.
    pub fn act(&mut self, action: &Action) -> Answer {
        match action {
            Action::Get { register } => return Answer::Holds(self.holds(*register)),
            Action::Put { register, value, lease, .. } => {
                if *lease != 0 && !self.leases.contains(lease) {
                    return Answer::Refused;
                }
                self.registers.insert(*register, (*value, *lease));
            }
            Action::CompareAndSet { register, expected, value } => {
                if self.holds(*register) != *expected {
                    return Answer::Refused;
                }
                self.registers.insert(*register, (*value, 0));
            }
            Action::Delete { register } => {
                if self.registers.remove(register).is_none() {
                    return Answer::Refused;
                }
            }
            Action::Exchange { expected, wanted } => {
                if expected.iter().any(|(register, content)| self.holds(*register) != *content) {
                    return Answer::Refused;
                }
                for (register, content) in wanted {
                    match content {
                        Some(value) => self.registers.insert(*register, (*value, 0)),
                        None => self.registers.remove(register),
                    };
                }
            }
            Action::Grant { lease, .. } => {
                if !self.leases.insert(*lease) {
                    return Answer::Refused;
                }
            }
            Action::Revoke { lease } => {
                if !self.expire(*lease) {
                    return Answer::Refused;
                }
            }
        }
        Answer::Done
    }

    /// A lease ends, and what is attached to it goes. False if there is no such lease.
    pub fn expire(&mut self, lease: i64) -> bool {
        self.registers.retain(|_, (_, attached)| *attached != lease);
        self.leases.remove(&lease)
    }
}
