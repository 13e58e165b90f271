//! What a protocol gives to the member: its decisions. It may not know sockets, clocks or threads.

use bytes::Bytes;
use state::{LeaseId, TableSpec, Transaction};

use crate::NodeId;

/// Names a protocol in forwarded requests and as the owner of leases. Stored in the log: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolId(pub u8);

/// What the leader chose for one request, so that deciding it is a function of state and request alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// Fresh for each request, from the member's seeded source: for ids and passwords.
    pub random: u64,
    /// The member whose client asked.
    pub origin: NodeId,
    /// The leader's term.
    pub term: u64,
}

/// A protocol's decisions. The leader's core thread is the only caller, one request at a time.
///
/// Implementations do no input or output, read no clock and no random source of their own, and answer the
/// same way on every member and in every version of the program that can lead the same ensemble.
pub trait Protocol: Send + Sync {
    /// The protocol's number, also the owner of its leases.
    fn id(&self) -> ProtocolId;

    /// The tables it keeps.
    fn tables(&self) -> &'static [TableSpec];

    /// Decides one request against the working state and returns the encoded reply.
    ///
    /// A refusal writes nothing. `request` may be garbage only if the protocol's own front end sent garbage;
    /// even then the answer is an encoded refusal, never a panic.
    fn prepare(&self, context: &Context, transaction: &mut Transaction<'_>, request: &[u8]) -> Bytes;

    /// Whether a request must be let through though the quota is used up, because clients need it to make room again: to
    /// open a session, for instance. What it adds must be small and end by itself. Asked only about requests that were
    /// just prepared.
    fn is_essential(&self, _request: &[u8]) -> bool {
        false
    }

    /// A lease that this protocol owns ran out: deletes what is attached to it and revokes it.
    fn expire(&self, context: &Context, transaction: &mut Transaction<'_>, lease: LeaseId);
}
