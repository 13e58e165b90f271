//! Watch streams. What a stream owes its client is a plain value ([`Stream`]); the task that moves the messages is
//! thin ([`serve_stream`]).

mod events;
mod permission;
mod stream;
mod task;

pub(crate) use stream::{Opening, Stream, StreamLimits};
pub(crate) use task::serve_stream;
