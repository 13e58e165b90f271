//! The operations that ClickHouse Keeper added to ZooKeeper's. They ask for the same permissions as their siblings.

use super::Pen;
use super::change::remove;
use crate::path;
use crate::wire::{Code, CreateRequest, OpCode, PathWithNumber, permission};

/// Nodes that one request removes at most, whatever limit it names: one transaction has to hold them. Clients take a
/// subtree apart step by step when they are told that it is too large.
const REMOVED_MAX: usize = 10_000;

impl Pen<'_, '_> {
    /// createIfNotExists: a create that is content with a node that is there already. Gives the node's path.
    pub(super) fn create_if_not_exists(&mut self, opcode: OpCode, request: &CreateRequest<'_>) -> Result<String, Code> {
        match self.create(opcode, request) {
            Ok(created) => Ok(created.path),
            Err(Code::NodeExists) => Ok(request.path.clone().into_owned()),
            Err(code) => Err(code),
        }
    }

    /// checkNotExists: the opposite of check. With a version, a node of another version is as good as none. What is
    /// told is who the children of the parent are, so it is the parent that must be readable.
    pub(super) fn check_not_exists(&mut self, request: &PathWithNumber<'_>) -> Result<(), Code> {
        let PathWithNumber { path, number: version } = request;
        path::validate(path).map_err(|_| Code::BadArguments)?;
        let (parent, _) = path::split(path).ok_or(Code::BadArguments)?;
        self.permit(parent, permission::READ)?;
        match self.tree().node(path) {
            Some(node) if *version == -1 || *version == node.version() => Err(Code::NodeExists),
            _ => Ok(()),
        }
    }

    /// removeRecursive: deletes a node with everything below it, if that is no more nodes than the request allows.
    pub(super) fn remove_recursive(&mut self, request: &PathWithNumber<'_>) -> Result<(), Code> {
        let path = &request.path;
        let (parent, _) = path::split(path).ok_or(Code::BadArguments)?;
        // Whatever lies above a built-in node is built in, too: so none of them is below what is removed.
        if path.contains('\0') || path::is_built_in(path) {
            return Err(Code::BadArguments);
        }
        if self.tree().node(parent).is_none() {
            return Err(Code::NoNode);
        }
        self.permit(parent, permission::DELETE)?;
        if self.tree().node(path).is_none() {
            return Err(Code::NoNode);
        }
        // The protocol's number has no sign.
        let limit = usize::try_from(request.number.cast_unsigned()).map_or(REMOVED_MAX, |limit| limit.min(REMOVED_MAX));
        // Children come after their parents in the list, so they go before them from its end.
        for path in self.subtree(path, limit)?.iter().rev() {
            remove(self.transaction, path);
        }
        Ok(())
    }

    /// A node and all below it, each after its parent, if they are `limit` at most and may be deleted.
    fn subtree(&self, top: &str, limit: usize) -> Result<Vec<String>, Code> {
        let tree = self.tree();
        let mut found = vec![top.to_owned()];
        if limit == 0 {
            return Err(Code::NotEmpty);
        }
        let mut at = 0;
        while at < found.len() {
            let parent = found[at].clone();
            at += 1;
            let count = tree.children(&parent).count as usize;
            if count == 0 {
                continue;
            }
            self.permit(&parent, permission::DELETE)?;
            // Before any child is looked at: a list that is too long is never walked.
            if found.len() + count > limit {
                return Err(Code::NotEmpty);
            }
            found.extend(tree.child_paths(&parent));
        }
        Ok(found)
    }
}
