//! The Raft consensus core, as a plain value.
//!
//! A handful of members keep copies of one log. They agree on every entry of it although messages are lost,
//! repeated and reordered, processes die and come back, and disks take their time. [`Raft`] is one such
//! member: [`step`](Raft::step) tells it that something happened ([`Input`]), [`drain`](Raft::drain) takes
//! what follows from it ([`Effects`]). It has no clock, no thread, no file, no socket, no randomness and no
//! logger, and it can be cloned, compared and hashed. So the very code that runs in production is also
//! simulated, walked at random and model-checked.
//!
//! # The protocol
//!
//! **Terms and leaders.** Time is cut into *terms*. Each has at most one leader, elected by a majority, for a
//! member votes once a term and writes its vote down before it says so. All entries come from leaders and
//! flow one way, from the leader to the others; an entry is known by its place and the term of the leader
//! that made it, `index@term`.
//!
//! **Elections.** A member that misses its leader first asks whether it *would* be elected (a pre-vote), so
//! that a member with a bad link or an old log disturbs nobody. It is refused by whoever still hears a leader,
//! and by whoever has more in its log. If a majority would, it raises the term and asks in earnest. A member
//! misses its leader when nothing was heard for an election timeout or, much quicker, when the connection
//! breaks; but then only those help it who lost the connection too. A leader that does not hear from a majority for
//! an election timeout stands down.
//!
//! **Replication.** The leader appends, writes, and sends at the same time; its own disk counts as one among
//! others. A follower accepts entries only behind an entry that it shares with the leader, cuts what
//! conflicts, and acknowledges once its disk has everything. An entry of the leader's own term that a majority
//! holds durably is *committed*, and with it all before it. It will be in the log of every later leader, for a
//! majority voted for that leader and nobody in it voted for a shorter log. Committed entries are handed
//! out to be applied.
//!
//! **Writes.** The disk is told by numbered [`Write`]s and answers with their numbers. Ballot and entries share
//! that one stream, so nothing is ever durable in the wrong order. A message that is a promise carries the
//! number it waits for.
//!
//! **Reads.** A leader answers a read barrier after it has committed an entry of its term and a majority has
//! confirmed, after the read came, that it still follows.
//!
//! **Membership.** Who belongs is itself an entry, in force from the moment it is appended. A change of voters
//! goes through a joint membership in which both the old and the new voters must agree. Newcomers are
//! learners until they are caught up.
//!
//! **Handing over.** A leader that is asked to, whose disk has stalled, or that knows a caught-up member of
//! higher priority, stops taking proposals, brings the successor up to date and tells it to campaign at once.
//!
//! **Sleep.** A group with nothing to do can stop its timers, all members together, until something happens.
//!
//! **Snapshots.** The log is kept in memory from its last compaction on. A peer that needs older entries gets
//! a snapshot of the state, which the driver makes, moves and loads; the core only says when.
//!
//! # Where what stands
//!
//! `types`, `message`, `input`, `effects`, `cause`, `status`: the words at the doors. `raft`: the value and what
//! every message passes first. `roles`: the posts a member can hold and every legal way between them.
//! `election`, `following`, `replication`, `reads`, `reconfiguration`, `snapshots`, `transfer`, `rounds`,
//! `hibernation`: one concept each. `log`, `durable`, `progress`, `proposals`, `quorum`, `membership`: the values they decide upon, each with
//! its own invariants. `drain`: where everything owed is cut. `disk`: the fold from writes to what a disk holds.
//! `pacer`: time, outside of [`Raft`]. `look`: what a driver may look at between steps. `check`: all invariants at
//! once.
//!
//! # What it does not do
//!
//! - No leader leases: every read costs one round of small messages (shared by all reads of a drain).
//! - No witnesses, no weighted or hierarchical majorities.
//! - Followers do not pass proposals or reads on; the driver does.
//! - A member with the longest log that reaches no majority can keep one with a shorter log, which does, from
//!   being elected, for as long as the links stay so. Raft elects nobody then.
//! - Quick failover trusts the driver's word that a connection broke. Were it to say so wrongly on a majority
//!   of members at the same time, a healthy leader would be replaced (by one with all its entries).
//! - It trusts its peers to follow the protocol. Senseless messages are ignored, never a panic; but a member
//!   that lies about its log can make the ensemble lose data.
//! - Repeated proposals are the driver's business: an entry proposed twice is in the log twice.

mod cause;
mod check;
mod disk;
mod drain;
mod durable;
mod effects;
mod election;
mod following;
mod hibernation;
mod input;
mod log;
mod look;
mod membership;
mod message;
mod mutants;
mod pacer;
mod progress;
mod proposals;
mod quorum;
mod raft;
mod reads;
mod reconfiguration;
mod replication;
mod roles;
mod rounds;
mod snapshots;
mod status;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transfer;
mod types;

pub use cause::{Ballotage, Cause, Event, TallyEnd, TransferCause, Trigger};
pub use disk::{Inconsistent, Recovered};
pub use effects::{Committed, Effects, Outgoing, Rearm, Refusal, Role, Standing, Write};
pub use input::Input;
pub use look::Marks;
pub use membership::{InvalidMembership, Learner, Membership};
pub use message::{Envelope, Lane, Message, VoteRefusal};
pub use pacer::{Edge, FoolishTiming, Pacer, Timing};
pub use raft::Raft;
pub use status::{FlowStatus, Leading, PeerStatus, Status};
pub use types::{Ballot, Body, Config, Entry, Index, LogId, NodeId, Payload, SnapshotMeta, Tag, Term, Ticket};
