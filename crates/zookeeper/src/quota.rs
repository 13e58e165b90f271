//! Quotas: how many nodes a subtree may have and how many bytes they may hold. Clients keep the limits in nodes below
//! `/zookeeper/quota`; what is used is counted in a table of its own and shown in a node beside the limits.
//!
//! It lays out rows and texts and finds who is concerned; whether a limit refuses anything is decided elsewhere.

use state::Row;

use crate::path;
use crate::tables::{QUOTAS, Tree};

/// The name of the node that holds the limits of a subtree, and of the one that shows what it uses.
const LIMITS: &str = "/zookeeper_limits";
const USAGE: &str = "/zookeeper_stats";

/// The root of the subtree whose limits stand at this path.
pub(crate) fn limited_at(path: &str) -> Option<&str> {
    subject(path, LIMITS)
}

/// The root of the subtree whose usage is shown at this path.
pub(crate) fn shown_at(path: &str) -> Option<&str> {
    subject(path, USAGE)
}

/// The whole tree has no quota, nor has what the server keeps for itself.
fn subject<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let subject = path.strip_prefix(path::QUOTA)?.strip_suffix(name)?;
    (subject.starts_with('/') && !subject.starts_with(path::RESERVED)).then_some(subject)
}

/// Where the limits of a subtree stand.
pub(crate) fn limits_path(subject: &str) -> String {
    format!("{}{subject}{LIMITS}", path::QUOTA)
}

/// What a subtree uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Nodes, the subtree's root included.
    pub(crate) count: i64,
    /// Bytes of their data.
    pub(crate) bytes: i64,
}

impl Usage {
    pub(crate) fn encode(self) -> [u8; 16] {
        let mut value = [0; 16];
        value[..8].copy_from_slice(&self.count.to_le_bytes());
        value[8..].copy_from_slice(&self.bytes.to_le_bytes());
        value
    }

    fn parse(value: &[u8]) -> Usage {
        let half = |at: usize| i64::from_le_bytes(value[at..at + 8].try_into().expect("eight bytes"));
        Usage { count: half(0), bytes: half(8) }
    }

    pub(crate) fn plus(self, other: Usage) -> Usage {
        Usage { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }

    /// As clients read it.
    pub(crate) fn text(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }
}

/// What a subtree may use; `None` for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    count: Option<i64>,
    bytes: Option<i64>,
}

impl Limits {
    /// The limits that refuse: soft ones only ever warned, and warn nobody who would read a log here.
    pub(crate) fn parse(data: &[u8]) -> Limits {
        let text = String::from_utf8_lossy(data);
        let mut limits = Limits::default();
        for part in text.split([',', ';']) {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim().parse().ok().filter(|&value: &i64| value > -1);
            match name.trim() {
                "countHardLimit" => limits.count = value,
                "byteHardLimit" => limits.bytes = value,
                _ => {}
            }
        }
        limits
    }

    /// Whether a change that adds `more` to `used` goes beyond. What does not add is never refused.
    pub(crate) fn refuse(self, used: Usage, more: Usage) -> bool {
        let beyond =
            |limit: Option<i64>, used: i64, more: i64| more != 0 && limit.is_some_and(|limit| used + more > limit);
        beyond(self.count, used.count, more.count) || beyond(self.bytes, used.bytes, more.bytes)
    }
}

impl<'a> Tree<'a> {
    /// The root of the nearest subtree with a quota that a path lies in, and what the subtree uses.
    pub(crate) fn quota_of(self, path: &str) -> Option<(String, Usage)> {
        if self.0.is_empty(QUOTAS) {
            return None;
        }
        std::iter::once(path).chain(path::ancestors(path)).find_map(|path| Some((path.to_owned(), self.usage(path)?)))
    }

    /// What a subtree with a quota uses; `None` if it has none.
    pub(crate) fn usage(self, subject: &str) -> Option<Usage> {
        self.0.get(QUOTAS, subject.as_bytes()).map(|row: &Row| Usage::parse(row.value()))
    }

    /// Counts what a subtree uses, node by node.
    pub(crate) fn count_usage(self, subject: &str) -> Usage {
        let own = self.node(subject).map_or(Usage::default(), |node| Usage {
            count: 1,
            bytes: node.value.data.map_or(0, |data| i64::try_from(data.len()).unwrap_or(i64::MAX)),
        });
        let prefixes = [path::children_prefix(subject), path::deep_prefix(subject)];
        prefixes.iter().fold(own, |usage, prefix| usage.plus(self.count_below(prefix)))
    }

    fn count_below(self, prefix: &[u8]) -> Usage {
        let mut usage = Usage::default();
        let mut rows = self.0.prefix(crate::tables::NODES, prefix);
        while let Some((_, row)) = rows.next() {
            let data = crate::tables::NodeValue::parse(row.value()).data;
            let bytes = data.map_or(0, |data| i64::try_from(data.len()).unwrap_or(i64::MAX));
            usage = usage.plus(Usage { count: 1, bytes });
        }
        usage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_nodes_lead_to_their_subjects() {
        assert_eq!(limited_at("/zookeeper/quota/a/b/zookeeper_limits"), Some("/a/b"));
        assert_eq!(shown_at("/zookeeper/quota/a/zookeeper_stats"), Some("/a"));
        assert_eq!(limits_path("/a"), "/zookeeper/quota/a/zookeeper_limits");
        for other in ["/zookeeper/quota/zookeeper_limits", "/zookeeper/quota/a", "/a/zookeeper_limits", "/"] {
            assert_eq!(limited_at(other), None, "{other}");
        }
        assert_eq!(limited_at("/zookeeper/quota/zookeeper/quota/zookeeper_limits"), None);
    }

    #[test]
    fn only_hard_limits_refuse_and_only_what_adds() {
        let limits = Limits::parse(b"count=1,bytes=1;byteHardLimit=20;countHardLimit=3");
        assert_eq!(limits, Limits { count: Some(3), bytes: Some(20) });
        let used = Usage { count: 3, bytes: 20 };
        assert!(limits.refuse(used, Usage { count: 1, bytes: 0 }) && limits.refuse(used, Usage { count: 0, bytes: 1 }));
        assert!(!limits.refuse(used, Usage::default()));
        assert!(limits.refuse(Usage { count: 9, bytes: 99 }, Usage { count: 0, bytes: -1 }), "as the real server does");
        let soft = Limits::parse(b"count=3,bytes=100");
        assert!(!soft.refuse(used, Usage { count: 100, bytes: 1000 }));
        assert_eq!(Limits::parse(b"\xff,;==countHardLimit=x"), Limits::default());
    }
}
