//! What a client of ClickHouse Keeper reads to learn whether it speaks with one, and what that one can do.
//!
//! These nodes are answers, not rows: no list of children shows them, so clients of ZooKeeper see nothing new, and a
//! node that somebody created under the same path is shown in their place.

/// The newest of the old levels of features that is complete here: lists by kind of node.
const API_VERSION: &[u8] = b"1";

/// One bit for each feature, the first one in the highest bit of the first byte: lists by kind of node (0), checks that
/// a node is not there (2), creations if there is none (3), removal of subtrees (4).
const FEATURE_FLAGS: &[u8] = &[0b1011_1000, 0];

/// The data of a node that Keeper has from the beginning.
pub(crate) fn announcement(path: &str) -> Option<&'static [u8]> {
    match path {
        "/keeper" => Some(b""),
        "/keeper/api_version" => Some(API_VERSION),
        "/keeper/feature_flags" => Some(FEATURE_FLAGS),
        _ => None,
    }
}
