//! Frames that leave: replies and events.

use bytes::{BufMut, BytesMut};

use super::{Code, ConnectResponse, Writer};

/// Request numbers with a meaning of their own.
pub(crate) mod xid {
    /// An event, which answers nothing.
    pub(crate) const EVENT: i32 = -1;
    /// A ping.
    pub(crate) const PING: i32 = -2;
}

/// What a reply begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReplyHeader {
    pub(crate) xid: i32,
    /// The newest transaction the reply may have seen.
    pub(crate) zxid: i64,
    /// The number of a [`Code`].
    pub(crate) code: i32,
}

impl ReplyHeader {
    const BYTES: usize = 16;
}

/// What happened to a watched node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub(crate) enum EventKind {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

/// One event for one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// The transaction that caused it; -1 where the protocol gives none (setWatches).
    pub(crate) zxid: i64,
    pub(crate) kind: EventKind,
    pub(crate) path: String,
}

/// Appends a reply's frame.
pub(crate) fn write_reply(out: &mut BytesMut, header: ReplyHeader, body: &[u8]) {
    put_length(out, ReplyHeader::BYTES + body.len());
    out.put_i32(header.xid);
    out.put_i64(header.zxid);
    out.put_i32(header.code);
    out.put_slice(body);
}

/// Appends an event's frame.
pub(crate) fn write_event(out: &mut BytesMut, event: &Event) {
    /// The client is connected: the only state in which a server sends events.
    const SYNC_CONNECTED: i32 = 3;
    let mut body = Writer::with_capacity(12 + event.path.len());
    body.int(event.kind as i32).int(SYNC_CONNECTED).string(&event.path);
    write_reply(out, ReplyHeader { xid: xid::EVENT, zxid: event.zxid, code: Code::Ok.number() }, &body.finish());
}

/// Appends the answer to the first frame of a connection.
pub(crate) fn write_connect(out: &mut BytesMut, response: &ConnectResponse, knows_read_only: bool) {
    let mut body = Writer::new();
    response.write(knows_read_only, &mut body);
    let body = body.finish();
    put_length(out, body.len());
    out.put_slice(&body);
}

fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32(u32::try_from(length).expect("a reply is far below 4 GiB: its parts are bounded by the packet limit"));
}
