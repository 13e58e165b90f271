//! What clients read: records made from a committed state. It knows no connection; whether a watch is left behind
//! is the front end's business.

use bytes::Bytes;
use state::{LeaseId, State};

use crate::identity;
use crate::keeper;
use crate::path;
use crate::tables::{AccessList, NODES, Node, Tree};
use crate::wire::{
    Access, Code, Filter, Identity, MultiReply, OpCode, Operation, Operations, Reader, Stat, Writer, permission,
};

/// Reads one state on behalf of one client.
#[derive(Clone, Copy)]
pub(crate) struct Desk<'a> {
    pub(crate) state: &'a State,
    /// Who the client has proven to be.
    pub(crate) identities: &'a [Identity],
}

impl<'a> Desk<'a> {
    /// exists: the node's numbers, for everybody who knows the path.
    pub(crate) fn exists(self, path: &str) -> Result<Bytes, Code> {
        if path.contains('\0') {
            return Err(Code::BadArguments);
        }
        let mut reply = Writer::new();
        match (self.tree().node(path), keeper::announcement(path)) {
            (Some(node), _) => self.tree().stat(path, &node).write(&mut reply),
            (None, Some(data)) => stat_of(data).write(&mut reply),
            (None, None) => return Err(Code::NoNode),
        }
        Ok(reply.finish())
    }

    /// getData: data and numbers.
    pub(crate) fn data(self, path: &str) -> Result<Bytes, Code> {
        let mut reply = Writer::new();
        self.write_data(path, &mut reply)?;
        Ok(reply.finish())
    }

    /// getChildren: names, in order.
    pub(crate) fn children(self, path: &str) -> Result<Bytes, Code> {
        let mut reply = Writer::new();
        self.write_children(path, &mut reply)?;
        Ok(reply.finish())
    }

    /// getChildren2: names and numbers.
    pub(crate) fn children_with_stat(self, path: &str) -> Result<Bytes, Code> {
        let mut reply = Writer::new();
        let node = self.write_children(path, &mut reply)?;
        self.tree().stat(path, &node).write(&mut reply);
        Ok(reply.finish())
    }

    /// filteredList: names of the wanted children, and the node's numbers.
    pub(crate) fn filtered(self, path: &str, filter: Filter) -> Result<Bytes, Code> {
        let node = self.node(path, permission::READ)?;
        let (mut names, mut count) = (Writer::new(), 0);
        let mut rows = self.state.prefix(NODES, &path::children_prefix(path::canonical(path)));
        while let Some((key, row)) = rows.next() {
            let is_ephemeral = row.lease() != LeaseId::NONE;
            if filter == Filter::All || is_ephemeral == (filter == Filter::Ephemeral) {
                names.buffer(Some(path::name_in_key(key)));
                count += 1;
            }
        }
        let mut reply = Writer::new();
        reply.length(count).raw(&names.finish());
        self.tree().stat(path, &node).write(&mut reply);
        Ok(reply.finish())
    }

    /// getACL: the access list and the numbers. Who may not change the list does not see hashes of passwords.
    pub(crate) fn access(self, path: &str) -> Result<Bytes, Code> {
        let node = self.node(path, permission::READ | permission::ADMIN)?;
        let AccessList { list, .. } = self.tree().access(path).unwrap_or_else(AccessList::open);
        let may_change = identity::is_granted(&list, permission::ADMIN, self.identities);
        let shown = if may_change { list } else { identity::masked(&list) };
        let mut reply = Writer::new();
        Access::write_list(&shown, &mut reply);
        self.tree().stat(path, &node).write(&mut reply);
        Ok(reply.finish())
    }

    /// getEphemerals: the session's own ephemeral nodes below a prefix.
    pub(crate) fn ephemerals(self, session: LeaseId, prefix: &str) -> Bytes {
        let prefix = if prefix.trim() == path::ROOT { "" } else { prefix.trim() };
        let mut paths = Vec::new();
        let mut rows = self.state.lease_rows(session);
        while let Some((table, key)) = rows.next() {
            assert_eq!(table, NODES, "only nodes are attached to sessions");
            paths.push(path::from_node_key(key));
        }
        paths.retain(|path| path.starts_with(prefix));
        let mut reply = Writer::new();
        reply.length(paths.len());
        for path in &paths {
            reply.string(path);
        }
        reply.finish()
    }

    /// getAllChildrenNumber: how many nodes lie below a node, at any depth.
    pub(crate) fn descendants(self, path: &str) -> Result<Bytes, Code> {
        self.node(path, permission::READ)?;
        let mut prefixes = vec![path::deep_prefix(path::canonical(path))];
        prefixes.push(path::children_prefix(path::canonical(path)));
        let counted: usize = prefixes.iter().map(|prefix| self.count_prefix(prefix)).sum();
        // The root's own key begins as the keys of its grandchildren do.
        let own = usize::from(path::canonical(path) == path::ROOT);
        let mut reply = Writer::new();
        reply.int(i32::try_from(counted - own).unwrap_or(i32::MAX));
        Ok(reply.finish())
    }

    /// multiRead: each result by itself; a failure is one of the results. One that holds no read at all is refused
    /// with an empty list of results, one that cannot be read with nothing.
    pub(crate) fn multi(self, body: &[u8]) -> Result<Bytes, (Code, Bytes)> {
        let operations = Operations::read(&mut Reader::new(body));
        let Operations(operations) = operations.map_err(|malformed| (malformed.into(), Bytes::new()))?;
        let mut reply = MultiReply::new();
        for operation in &operations {
            let read = match operation {
                Operation::GetData(path) => self.data(path).map(|record| (OpCode::GetData, record)),
                Operation::GetChildren(path) => self.children(path).map(|record| (OpCode::GetChildren, record)),
                _ => return Err((Code::MarshallingError, MultiReply::new().finish())),
            };
            match read {
                Ok((opcode, record)) => {
                    reply.result(opcode).raw(&record);
                }
                Err(code) => reply.failure(code),
            }
        }
        Ok(reply.finish())
    }

    fn write_data(self, path: &str, reply: &mut Writer) -> Result<(), Code> {
        if let (None, Some(data)) = (self.tree().node(path), keeper::announcement(path)) {
            stat_of(data).write(reply.buffer(Some(data)));
            return Ok(());
        }
        let node = self.node(path, permission::READ)?;
        reply.buffer(self.tree().data(path, &node).as_deref());
        self.tree().stat(path, &node).write(reply);
        Ok(())
    }

    fn write_children(self, path: &str, reply: &mut Writer) -> Result<Node<'a>, Code> {
        let node = self.node(path, permission::READ)?;
        let count = self.tree().children(path).count as usize;
        reply.length(count);
        let mut rows = self.state.prefix(NODES, &path::children_prefix(path::canonical(path)));
        let mut written = 0;
        while let Some((key, _)) = rows.next() {
            reply.buffer(Some(path::name_in_key(key)));
            written += 1;
        }
        assert_eq!(written, count, "a node's counter and its children agree");
        Ok(node)
    }

    /// The node, if it is there and the client has one of the permissions for it.
    fn node(self, path: &str, permissions: i32) -> Result<Node<'a>, Code> {
        let node = self.tree().node(path).ok_or(Code::NoNode)?;
        match self.tree().access(path) {
            Some(access) if !identity::is_granted(&access.list, permissions, self.identities) => Err(Code::NoAuth),
            _ => Ok(node),
        }
    }

    fn tree(self) -> Tree<'a> {
        Tree(self.state)
    }

    fn count_prefix(self, prefix: &[u8]) -> usize {
        // Keys that begin with the prefix lie below the prefix with its last byte counted up; it never is 0xff.
        let mut end = prefix.to_vec();
        *end.last_mut().expect("a prefix of nodes ends with a separator") += 1;
        let (from, to) = (std::ops::Bound::Included(prefix), std::ops::Bound::Excluded(&end[..]));
        self.state.count(NODES, from, to)
    }
}

/// The numbers of a node that is no row: there since the beginning, and never changed.
fn stat_of(data: &[u8]) -> Stat {
    Stat { data_length: i32::try_from(data.len()).unwrap_or(i32::MAX), ..Stat::default() }
}
