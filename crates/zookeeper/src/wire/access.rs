//! Identities and access lists as they stand on the wire. Who may do what is decided elsewhere.

use super::{Malformed, Reader, Writer};

/// The bits of what an identity may do to a node.
pub(crate) mod permission {
    /// Read data and list children.
    pub(crate) const READ: i32 = 1;
    /// Set data.
    pub(crate) const WRITE: i32 = 2;
    /// Create children.
    pub(crate) const CREATE: i32 = 4;
    /// Delete children.
    pub(crate) const DELETE: i32 = 8;
    /// Set the access list.
    pub(crate) const ADMIN: i32 = 16;
    /// All of them.
    pub(crate) const ALL: i32 = 31;
}

/// Somebody, by a scheme and an id within it: `digest` and `user:hash`, `ip` and an address, …
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Identity {
    pub(crate) scheme: String,
    pub(crate) id: String,
}

impl Identity {
    /// The least bytes it takes on the wire.
    pub(crate) const MIN_BYTES: usize = 8;

    pub(crate) fn new(scheme: &str, id: &str) -> Identity {
        Identity { scheme: scheme.to_owned(), id: id.to_owned() }
    }

    /// Bytes on the wire.
    pub(crate) fn bytes(&self) -> usize {
        Identity::MIN_BYTES + self.scheme.len() + self.id.len()
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Identity, Malformed> {
        Ok(Identity { scheme: reader.string()?.into_owned(), id: reader.string()?.into_owned() })
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.string(&self.scheme).string(&self.id);
    }
}

/// One line of an access list: what one identity may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Access {
    /// Bits of [`permission`].
    pub(crate) permissions: i32,
    pub(crate) identity: Identity,
}

impl Access {
    /// The least bytes it takes on the wire.
    const MIN_BYTES: usize = 4 + Identity::MIN_BYTES;

    /// Bytes on the wire.
    pub(crate) fn bytes(&self) -> usize {
        4 + self.identity.bytes()
    }

    /// Everybody may do this.
    pub(crate) fn world(permissions: i32) -> Access {
        Access { permissions, identity: Identity::new("world", "anyone") }
    }

    pub(crate) fn read_list(reader: &mut Reader<'_>) -> Result<Vec<Access>, Malformed> {
        reader.vector(Access::MIN_BYTES, |reader| {
            Ok(Access { permissions: reader.int()?, identity: Identity::read(reader)? })
        })
    }

    pub(crate) fn write_list(list: &[Access], writer: &mut Writer) {
        writer.length(list.len());
        for access in list {
            writer.int(access.permissions);
            access.identity.write(writer);
        }
    }
}
