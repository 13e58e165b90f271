//! Quotas, where nodes change: what is used is counted, and where the rules say so, what is too much is refused.

use state::{LeaseId, Transaction};

use super::Pen;
use crate::quota::{self, Limits, Usage};
use crate::tables::{NodeValue, QUOTAS, Tree};
use crate::wire::Code;

impl Pen<'_, '_> {
    /// Whether a change fits into the quota it falls under.
    pub(super) fn require_quota(&self, path: &str, more: Usage) -> Result<(), Code> {
        if !self.rules.enforce_quotas {
            return Ok(());
        }
        let tree = self.tree();
        let Some((subject, used)) = tree.quota_of(path) else { return Ok(()) };
        let limits = tree.node(&quota::limits_path(&subject)).and_then(|node| node.value.data).map(Limits::parse);
        if limits.is_some_and(|limits| limits.refuse(used, more)) { Err(Code::QuotaExceeded) } else { Ok(()) }
    }
}

/// Bytes of a node's data, as quotas count them.
pub(super) fn bytes(data: Option<&[u8]>) -> i64 {
    data.map_or(0, |data| i64::try_from(data.len()).unwrap_or(i64::MAX))
}

/// A node was put: what its subtree uses changes by this, and with a node of limits a subtree begins to be counted.
pub(super) fn note_put(transaction: &mut Transaction<'_>, path: &str, more: Usage) {
    charge(transaction, path, more);
    if more.count > 0
        && let Some(subject) = quota::limited_at(path)
    {
        let usage = Tree(transaction.state()).count_usage(subject);
        put(transaction, subject, usage);
    }
}

/// A node is about to be removed.
pub(super) fn note_removal(transaction: &mut Transaction<'_>, path: &str, value: &NodeValue<'_>) {
    charge(transaction, path, Usage { count: -1, bytes: -bytes(value.data) });
    if let Some(subject) = quota::limited_at(path) {
        transaction.delete(QUOTAS, subject.as_bytes());
    }
}

fn charge(transaction: &mut Transaction<'_>, path: &str, more: Usage) {
    if let Some((subject, used)) = Tree(transaction.state()).quota_of(path) {
        put(transaction, &subject, used.plus(more));
    }
}

fn put(transaction: &mut Transaction<'_>, subject: &str, usage: Usage) {
    transaction.put(QUOTAS, subject.as_bytes(), &usage.encode(), LeaseId::NONE);
}
