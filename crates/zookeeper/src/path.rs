//! Paths: which are allowed, and where a node's rows lie in the tables. It knows no rows, only their keys.
//!
//! A node's row lies under *parent path*, a zero byte, *name*: so the children of a node are one run of keys,
//! in order, with nothing of the grandchildren in between. The root, which has no parent, lies under `/`; every
//! other key holds the zero byte, which no valid path can hold.

/// The root's path.
pub(crate) const ROOT: &str = "/";
/// What the server keeps for itself.
pub(crate) const RESERVED: &str = "/zookeeper";
/// Limits of subtrees, and what they hold.
pub(crate) const QUOTA: &str = "/zookeeper/quota";
/// The ensemble's members.
pub(crate) const CONFIG: &str = "/zookeeper/config";

/// The nodes that are there from the beginning and stay for ever.
pub(crate) const BUILT_IN: [&str; 4] = [ROOT, RESERVED, CONFIG, QUOTA];

const SEPARATOR: u8 = 0;

/// Whether the node is one of [`BUILT_IN`].
pub(crate) fn is_built_in(path: &str) -> bool {
    path.is_empty() || BUILT_IN.contains(&path)
}

/// Whether a node may have this path.
///
/// # Errors
/// What is wrong with it, for the log.
pub(crate) fn validate(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("a path begins with /");
    }
    if path == ROOT {
        return Ok(());
    }
    for name in path.split('/').skip(1) {
        match name {
            "" => return Err("a path has no empty names and does not end with /"),
            "." | ".." => return Err("a path is never relative"),
            _ if name.chars().any(is_forbidden) => {
                return Err("a path holds no control, private or surrogate characters");
            }
            _ => {}
        }
    }
    Ok(())
}

/// Characters that no path may hold. The limits are those of Java's 16-bit characters: everything beyond them is
/// a pair of surrogates there, and so forbidden.
fn is_forbidden(character: char) -> bool {
    matches!(character, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The parent's path and the node's own name. The parent of a top node is the root, here the empty string.
/// `None` for what holds no slash.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

/// The path under which a node's counters and access list are kept: the root has two names, of which one counts.
pub(crate) fn canonical(path: &str) -> &str {
    if path.is_empty() { ROOT } else { path }
}

/// The key of a node's row. `None` for what holds no slash, so cannot be a node.
pub(crate) fn node_key(path: &str) -> Option<Vec<u8>> {
    if canonical(path) == ROOT {
        return Some(ROOT.as_bytes().to_vec());
    }
    let (parent, name) = split(path)?;
    Some([parent.as_bytes(), &[SEPARATOR], name.as_bytes()].concat())
}

/// What the keys of all children of a node begin with.
pub(crate) fn children_prefix(path: &str) -> Vec<u8> {
    let parent = if path == ROOT { "" } else { path };
    [parent.as_bytes(), &[SEPARATOR]].concat()
}

/// What the keys of all nodes two or more levels below a node begin with.
pub(crate) fn deep_prefix(path: &str) -> Vec<u8> {
    if path == ROOT { ROOT.into() } else { [path.as_bytes(), b"/"].concat() }
}

/// The path of the node whose row has this key.
pub(crate) fn from_node_key(key: &[u8]) -> String {
    match key.iter().position(|&byte| byte == SEPARATOR) {
        Some(at) => {
            let (parent, name) = (&key[..at], &key[at + 1..]);
            format!("{}/{}", String::from_utf8_lossy(parent), String::from_utf8_lossy(name))
        }
        None => String::from_utf8_lossy(key).into_owned(),
    }
}

/// A node's own name in the key of its row.
pub(crate) fn name_in_key(key: &[u8]) -> &[u8] {
    let start = key.iter().position(|&byte| byte == SEPARATOR).map_or(0, |at| at + 1);
    &key[start..]
}

/// The paths above this one, the nearest first, the root last.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let first = if path == ROOT { None } else { split(path).map(|(parent, _)| canonical(parent)) };
    std::iter::successors(
        first,
        |path| if *path == ROOT { None } else { split(path).map(|(parent, _)| canonical(parent)) },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_the_real_server_takes_and_refuses() {
        for good in ["/", "/a", "/a/b", "/a/.b", "/a/b.", "/a/..b", "/a/...", "/ä/日本", "/a b", "/a/\u{d7ff}"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        let bad = [
            "", "a", "a/b", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/.", "/a/../b", "/a\0", "/a\u{1}", "/a\u{7f}",
        ];
        for bad in bad.into_iter().chain(["/a\u{9f}", "/\u{e000}", "/\u{f8ff}", "/\u{fff0}", "/\u{fffd}", "/\u{1f600}"])
        {
            assert!(validate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_key_leads_back_to_its_path() {
        for path in ["/", "/a", "/a/b", "/a/b/c"] {
            assert_eq!(from_node_key(&node_key(path).unwrap()), path);
        }
        assert_eq!(node_key(""), node_key("/"));
        assert_eq!(node_key("nowhere"), None);
        assert_eq!(name_in_key(&node_key("/a/b").unwrap()), b"b");
    }

    #[test]
    fn children_are_one_run_of_keys_without_grandchildren() {
        let under = |prefix: Vec<u8>, path: &str| node_key(path).unwrap().starts_with(&prefix);
        for (parent, child, deep) in [("/", "/a", "/a/b"), ("/a", "/a/b", "/a/b/c")] {
            assert!(under(children_prefix(parent), child) && !under(children_prefix(parent), deep));
            assert!(!under(deep_prefix(parent), child) && under(deep_prefix(parent), deep));
            assert!(!under(children_prefix(parent), parent) && !under(children_prefix(parent), "/ab/c/d"));
        }
        assert!(!under(deep_prefix("/a"), "/ab/c/d"));
    }

    #[test]
    fn ancestors_end_at_the_root() {
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(ancestors("/a").collect::<Vec<_>>(), ["/"]);
        assert_eq!(ancestors("/").count(), 0);
    }
}
