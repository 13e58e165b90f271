//! One member of an ensemble: the loop over raft, log and state.
//!
//! The room has two halves. The *member* ([`member::Member`]) is a plain value: events and the present time
//! go in, effects come out. Everything that decides lives there: what the leader prepares and when a reply
//! may leave, what is forwarded to whom, which lease has run out. The *shell* ([`start`]) is thin: threads,
//! sockets and files that feed the member and carry out its effects. The simulator replaces the shell and
//! keeps the member.
//!
//! Two rules are stated here once, for every protocol above:
//!
//! 1. **Release.** A reply, a refusal included, is released only when every entry that its evaluation saw
//!    is committed, and leadership was proven after the evaluation. A member answers its own client only
//!    after it applied the entry itself.
//! 2. **Order.** On one connection, events of revision *r* leave before any reply that saw *r* or later
//!    (see [`Mailbox::settled`]); requests of one stream are decided in the order they were submitted, or
//!    not at all (see [`Handle::submit`]).
//!
//! What this room may not know: any protocol's words. Protocols reach it through [`Protocol`] (their
//! decisions) and use it through [`Handle`] (their front ends).

mod backup;
mod batch;
mod change;
mod clock;
mod codec;
mod diary;
mod failure;
mod fold;
mod handle;
mod hub;
mod inspect;
pub mod member;
mod message;
mod mutants;
mod options;
mod protocol;
mod record;
mod roster;
mod shell;
mod status;
mod wire;

pub use backup::{Backup, REVISIONS_AHEAD, backup_pieces, found_with, read_backup};
pub use batch::Batch;
pub use change::{Change, Refused};
pub use clock::Now;
pub use diary::{Diary, DiaryEntry, DiaryKind, DiskFacts, Facts, PeerFacts};
pub use failure::{Failure, Reason};
pub use fold::{Fold, Unfoldable};
pub use handle::{Changed, Handle, Pending, Remaining, Renewed, Reply, StreamId, View};
pub use hub::{Delivery, Hub, Interest, Mailbox, Watched};
pub use inspect::{ChangeLine, EntryLine, LogLine, LogSummary, inspect_log};
pub use message::{Decline, Outcome, PeerMessage, Question};
pub use options::{Limits, MemberAddress, Options, Timing};
pub use protocol::{Context, Protocol, ProtocolId};
pub use raft::{Lane, NodeId};
pub use record::{Logged, Promise, decode_logged, decode_record, encode_missing, encode_records};
pub use roster::{MemberEntry, Members};
pub use shell::diary::read_diary;
pub use shell::{Fatal, RecoveryError, Running, StartError, start};
// The half of the shell that knows files but no threads: the simulator runs it over disks in memory.
pub use shell::{LogWriter, Recovery, SnapshotFile, Snapshots, recover_from};
// The bytes between members: the simulator changes some of them.
pub use status::{Counters, MemberStatus, Role, RoleChange, Status};
pub use wire::{BadFrame, decode_frame, encode_frame};
