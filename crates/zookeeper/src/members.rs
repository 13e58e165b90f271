//! The ensemble's members as the real server writes them into `/zookeeper/config`, and as clients read them there. It
//! knows the list of members and the text, and nothing of how either changes.

use std::fmt::Write as _;

use node::Members;

/// The key under which a member's address for these clients stands.
pub(crate) const PROTOCOL_NAME: &str = "zookeeper";

/// The lines of all members, without the line of the version. A member alone is what the real server calls
/// standalone: it says nothing.
pub(crate) fn lines(members: &Members) -> String {
    let mut text = String::new();
    if members.list.len() < 2 {
        return text;
    }
    for member in &members.list {
        let role = if member.voter { "participant" } else { "observer" };
        let (host, port) = member.address.peer.rsplit_once(':').unwrap_or((&member.address.peer, "0"));
        // One port serves for everything between members, elections included.
        let _ = write!(text, "server.{}={host}:{port}:{port}:{role}", member.address.id.0);
        if let Some(client) = member.address.client.get(PROTOCOL_NAME) {
            let _ = write!(text, ";{client}");
        }
        text.push('\n');
    }
    text
}

/// The lines of a text that this or an earlier leader wrote, without the line of the version.
pub(crate) fn lines_of(data: &str) -> &str {
    data.rfind("version=").map_or(data, |at| &data[..at])
}

/// The whole text, as of a revision.
pub(crate) fn text(lines: &str, revision: u64) -> String {
    if lines.is_empty() { String::new() } else { format!("{lines}version={revision:x}") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use node::{MemberAddress, MemberEntry, NodeId};

    use super::*;

    fn member(id: u64, voter: bool) -> MemberEntry {
        let client = BTreeMap::from([(PROTOCOL_NAME.to_owned(), format!("10.0.0.{id}:2181"))]);
        let peer = format!("10.0.0.{id}:7271");
        let address = MemberAddress { id: NodeId(id), name: format!("m{id}"), peer, client, priority: 0 };
        MemberEntry { address, voter, promoting: false, added_unix_milliseconds: 0 }
    }

    #[test]
    fn lines_as_clients_parse_them() {
        let mut members = Members { ensemble_id: 1, version: 1, changing: false, list: vec![member(1, true)] };
        assert_eq!((lines(&members), text("", 5)), (String::new(), String::new()));
        members.list.push(member(2, false));
        let lines = lines(&members);
        assert_eq!(
            lines,
            "server.1=10.0.0.1:7271:7271:participant;10.0.0.1:2181\n\
             server.2=10.0.0.2:7271:7271:observer;10.0.0.2:2181\n"
        );
        let text = text(&lines, 0x1f);
        assert!(text.ends_with("\nversion=1f"));
        assert_eq!((lines_of(&text), lines_of("")), (lines.as_str(), ""));
    }
}
