//! The numbers that describe a node, as every client sees them.

use super::Writer;
#[cfg(test)]
use super::{Malformed, Reader};

/// A node's numbers. Times are milliseconds since 1970; a zxid is a revision of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Transaction that created the node.
    pub(crate) created_zxid: i64,
    /// Transaction that last changed its data.
    pub(crate) modified_zxid: i64,
    pub(crate) created_time: i64,
    pub(crate) modified_time: i64,
    /// Changes of its data.
    pub(crate) version: i32,
    /// Changes of its list of children: creations and deletions.
    pub(crate) children_version: i32,
    /// Changes of its access list.
    pub(crate) access_version: i32,
    /// The session it lives with, 0 if with none.
    pub(crate) ephemeral_owner: i64,
    pub(crate) data_length: i32,
    pub(crate) children: i32,
    /// Transaction that last changed the list of children.
    pub(crate) children_zxid: i64,
}

impl Stat {
    pub(crate) fn write(&self, writer: &mut Writer) {
        writer
            .long(self.created_zxid)
            .long(self.modified_zxid)
            .long(self.created_time)
            .long(self.modified_time)
            .int(self.version)
            .int(self.children_version)
            .int(self.access_version)
            .long(self.ephemeral_owner)
            .int(self.data_length)
            .int(self.children)
            .long(self.children_zxid);
    }

    #[cfg(test)]
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Stat, Malformed> {
        Ok(Stat {
            created_zxid: reader.long()?,
            modified_zxid: reader.long()?,
            created_time: reader.long()?,
            modified_time: reader.long()?,
            version: reader.int()?,
            children_version: reader.int()?,
            access_version: reader.int()?,
            ephemeral_owner: reader.long()?,
            data_length: reader.int()?,
            children: reader.int()?,
            children_zxid: reader.long()?,
        })
    }
}
