//! The records of requests, each with its reader. They borrow from the frame they were read from.

use std::borrow::Cow;

use super::{Access, Malformed, OpCode, Reader};

/// What every request after the first begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestHeader {
    /// The client's number for the request, repeated in the reply; some below zero are special, see [`super::xid`].
    pub(crate) xid: i32,
    /// The number of the operation, known or not.
    pub(crate) opcode: i32,
}

impl RequestHeader {
    /// Bytes on the wire.
    pub(crate) const BYTES: usize = 8;

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<RequestHeader, Malformed> {
        Ok(RequestHeader { xid: reader.int()?, opcode: reader.int()? })
    }
}

/// create, create2, createContainer, createTTL, createIfNotExists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CreateRequest<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) access: Vec<Access>,
    /// The number of a [`Mode`], known or not.
    pub(crate) flags: i32,
    /// Milliseconds; only createTTL has it.
    pub(crate) ttl_milliseconds: Option<i64>,
}

impl<'a> CreateRequest<'a> {
    pub(crate) fn read(opcode: OpCode, reader: &mut Reader<'a>) -> Result<CreateRequest<'a>, Malformed> {
        Ok(CreateRequest {
            path: reader.string()?,
            data: reader.buffer()?,
            access: Access::read_list(reader)?,
            flags: reader.int()?,
            ttl_milliseconds: if opcode == OpCode::CreateTtl { Some(reader.long()?) } else { None },
        })
    }
}

/// How a node is to be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode {
    /// The node lives with its session.
    pub(crate) ephemeral: bool,
    /// The path gets a number of the parent's appended.
    pub(crate) sequential: bool,
    /// The node goes once its last child has gone.
    pub(crate) container: bool,
    /// The node goes when it was left alone for a time.
    pub(crate) ttl: bool,
}

impl Mode {
    pub(crate) fn from_flags(flags: i32) -> Option<Mode> {
        let (ephemeral, sequential, container, ttl) = match flags {
            0 => (false, false, false, false),
            1 => (true, false, false, false),
            2 => (false, true, false, false),
            3 => (true, true, false, false),
            4 => (false, false, true, false),
            5 => (false, false, false, true),
            6 => (false, true, false, true),
            _ => return None,
        };
        Some(Mode { ephemeral, sequential, container, ttl })
    }
}

/// setData.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetDataRequest<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) data: Option<&'a [u8]>,
    /// The version the data must have, -1 for any.
    pub(crate) version: i32,
}

impl<'a> SetDataRequest<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<SetDataRequest<'a>, Malformed> {
        Ok(SetDataRequest { path: reader.string()?, data: reader.buffer()?, version: reader.int()? })
    }
}

/// setACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetAccessRequest<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) access: Vec<Access>,
    /// The version the list must have, -1 for any.
    pub(crate) version: i32,
}

impl<'a> SetAccessRequest<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<SetAccessRequest<'a>, Malformed> {
        Ok(SetAccessRequest { path: reader.string()?, access: Access::read_list(reader)?, version: reader.int()? })
    }
}

/// A path and a number: a version (delete, check, checkNotExists), a limit (removeRecursive), a kind of watch
/// (checkWatches, removeWatches) or a mode (addWatch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathWithNumber<'a> {
    pub(crate) path: Cow<'a, str>,
    pub(crate) number: i32,
}

impl<'a> PathWithNumber<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<PathWithNumber<'a>, Malformed> {
        Ok(PathWithNumber { path: reader.string()?, number: reader.int()? })
    }
}

/// exists, getData, getChildren, getChildren2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PathWithWatch<'a> {
    pub(crate) path: Cow<'a, str>,
    /// Whether the client wants to hear of the next change.
    pub(crate) watch: bool,
}

impl<'a> PathWithWatch<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<PathWithWatch<'a>, Malformed> {
        Ok(PathWithWatch { path: reader.string()?, watch: reader.boolean()? })
    }
}

/// Which children a filteredList asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    All,
    Persistent,
    Ephemeral,
}

/// filteredList: getChildren2, and which children are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FilteredListRequest<'a> {
    pub(crate) path: Cow<'a, str>,
    /// Whether the client wants to hear of the next change.
    pub(crate) watch: bool,
    pub(crate) filter: Filter,
}

impl<'a> FilteredListRequest<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<FilteredListRequest<'a>, Malformed> {
        let PathWithWatch { path, watch } = PathWithWatch::read(reader)?;
        // Keeper takes a record that ends here for one that wants everything.
        let filter = match if reader.rest().is_empty() { 0 } else { reader.int()? } {
            0 => Filter::All,
            1 => Filter::Persistent,
            2 => Filter::Ephemeral,
            _ => return Err(Malformed::Misplaced),
        };
        Ok(FilteredListRequest { path, watch, filter })
    }
}

/// setWatches, setWatches2: what a client watched on an earlier connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetWatchesRequest<'a> {
    /// What changed after this transaction is reported at once.
    pub(crate) relative_zxid: i64,
    pub(crate) data: Vec<Cow<'a, str>>,
    pub(crate) exist: Vec<Cow<'a, str>>,
    pub(crate) children: Vec<Cow<'a, str>>,
    pub(crate) persistent: Vec<Cow<'a, str>>,
    pub(crate) recursive: Vec<Cow<'a, str>>,
}

impl<'a> SetWatchesRequest<'a> {
    pub(crate) fn read(opcode: OpCode, reader: &mut Reader<'a>) -> Result<SetWatchesRequest<'a>, Malformed> {
        let second_form = opcode == OpCode::SetWatches2;
        Ok(SetWatchesRequest {
            relative_zxid: reader.long()?,
            data: reader.strings()?,
            exist: reader.strings()?,
            children: reader.strings()?,
            persistent: if second_form { reader.strings()? } else { Vec::new() },
            recursive: if second_form { reader.strings()? } else { Vec::new() },
        })
    }
}

/// auth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuthRequest<'a> {
    pub(crate) scheme: Cow<'a, str>,
    /// What the scheme makes of it; `user:password` for digest.
    pub(crate) credentials: &'a [u8],
}

impl<'a> AuthRequest<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<AuthRequest<'a>, Malformed> {
        let _unused_type = reader.int()?;
        Ok(AuthRequest { scheme: reader.string()?, credentials: reader.buffer()?.unwrap_or_default() })
    }
}
