//! The Raft consensus core, as a plain value.
//!
//! So far: the types at its doors ([`Input`], [`Effects`], [`Recovered`]) and the [`Pacer`].

mod cause;
mod disk;
mod effects;
mod input;
mod membership;
mod message;
mod pacer;
mod status;
mod types;

pub use cause::{Ballotage, Cause, Event, TallyEnd, TransferCause, Trigger};
pub use disk::{Inconsistent, Recovered};
pub use effects::{Committed, Effects, Outgoing, Rearm, Refusal, Role, Standing, Write};
pub use input::Input;
pub use membership::{InvalidMembership, Learner, Membership};
pub use message::{Envelope, Lane, Message, VoteRefusal};
pub use pacer::{Edge, FoolishTiming, Pacer, Timing};
pub use status::{FlowStatus, Leading, PeerStatus, Status};
pub use types::{
    Ballot, Body, Config, Entry, Index, LogId, NodeId, Payload, SnapshotMeta, Tag, Term, Ticket,
};
