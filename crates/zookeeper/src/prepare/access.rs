//! Permissions, and changes of access lists.

use state::LeaseId;

use super::Pen;
use crate::identity;
use crate::tables::{ACCESS, AccessList};
use crate::wire::{Access, Code, SetAccessRequest, Stat, permission};

impl Pen<'_, '_> {
    /// Whether the asking client has one of the permissions for a node.
    pub(super) fn permit(&self, path: &str, permissions: i32) -> Result<(), Code> {
        match self.tree().access(path) {
            Some(access) if !identity::is_granted(&access.list, permissions, self.identities) => Err(Code::NoAuth),
            _ => Ok(()),
        }
    }

    pub(super) fn set_access(&mut self, request: &SetAccessRequest<'_>) -> Result<Stat, Code> {
        let path = &request.path;
        crate::path::validate(path).map_err(|_| Code::BadArguments)?;
        let list = identity::resolve(&request.access, self.identities)?;
        if self.tree().node(path).is_none() {
            return Err(Code::NoNode);
        }
        self.permit(path, permission::ADMIN)?;
        let present = self.tree().access(path).map_or(0, |access| access.version);
        if request.version != -1 && request.version != present {
            return Err(Code::BadVersion);
        }
        // -1 stands for "any" in requests, so no list ever has that version.
        let version = if present == -2 { 0 } else { present.wrapping_add(1) };
        self.put_access(path, &AccessList { version, list });
        let tree = self.tree();
        let node = tree.node(path).expect("it was there, and only its access list changed");
        Ok(tree.stat(path, &node))
    }

    /// The list of a new node. What everybody has anyway takes no row.
    pub(super) fn put_first_access(&mut self, path: &str, list: Vec<Access>) {
        let access = AccessList { version: 0, list };
        if access != AccessList::open() {
            self.put_access(path, &access);
        }
    }

    fn put_access(&mut self, path: &str, access: &AccessList) {
        let key = crate::path::canonical(path).as_bytes();
        self.transaction.put(ACCESS, key, &access.encode(), LeaseId::NONE);
    }
}
