//! The protocol's bytes: jute numbers, strings and vectors, the records made of them, and frames.
//!
//! It knows layouts and nothing of their meaning: no state, no sockets, no time. Whatever bytes come in, the
//! answer is a value or [`Malformed`]; nothing here allocates more than the input is long.

mod access;
mod code;
mod connect;
mod frame;
#[cfg(test)]
mod fuzz;
mod jute;
mod multi;
mod opcode;
mod records;
mod reply;
mod stat;
#[cfg(test)]
mod tests;

pub(crate) use access::{Access, Identity, permission};
pub(crate) use code::Code;
pub(crate) use connect::{ConnectRequest, ConnectResponse, Password};
pub(crate) use frame::Frames;
pub(crate) use jute::{Malformed, Reader, Writer};
pub(crate) use multi::{MultiReply, Operation, Operations};
pub(crate) use opcode::OpCode;
pub(crate) use records::{
    AuthRequest, CreateRequest, Filter, FilteredListRequest, Mode, PathWithNumber, PathWithWatch, RequestHeader,
    SetAccessRequest, SetDataRequest, SetWatchesRequest,
};
pub(crate) use reply::{Event, EventKind, ReplyHeader, write_connect, write_event, write_reply, xid};
pub(crate) use stat::Stat;
