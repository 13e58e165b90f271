//! Which data folder each peer has, as this member first met it. It may not know what a folder holds.
//!
//! Invariant: **a member is its disk, not its name.** A member whose disk was lost has forgotten its votes and what it
//! acknowledged; under its old id it could help to elect a leader that lacks committed entries. So every folder has a
//! random number from when its log is made, members tell it when they greet, and each writes down, durably and before
//! it says a word to the other, with which folder it first met it. Whoever comes with another is refused, for good: it
//! joins as a new member. Only who was never met before is taken at its word; one that nobody in a majority has met has
//! promised nobody in it anything.
//!
//! The numbers lie in a file of lines `member folder` and a last line with a checksum. Should it be damaged it is begun
//! anew: it is a guard against one mistake, and not the only copy of anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use log::{Storage, replace};
use raft::NodeId;

const FILE: &str = "known";
const TITLE: &str = "conclave peers by data folder, format 1\n";
/// Ids are never given twice, so this is how many members there ever were.
const MEMBERS_MAX: usize = 10_000;
const FILE_MAX: u64 = 1 << 20;

/// The peers that were met.
pub(super) struct Acquaintances<S> {
    storage: S,
    known: BTreeMap<NodeId, u64>,
}

/// Why a peer is not met.
#[derive(Debug, thiserror::Error)]
pub(super) enum MeetError {
    #[error("it was known with data folder {known:016x} and comes with {found:016x}")]
    OtherFolder { known: u64, found: u64 },
    #[error("what is known of it cannot be written down: {0}")]
    Unwritten(#[from] io::Error),
}

impl<S: Storage> Acquaintances<S> {
    /// Reads who was met. The sentence says what was wrong with the file.
    ///
    /// # Errors
    /// The storage fails.
    pub(super) fn open(mut storage: S) -> io::Result<(Acquaintances<S>, Option<String>)> {
        let content = match replace::read(&mut storage, FILE, FILE_MAX) {
            Ok(content) => content,
            Err(failure) if failure.source.kind() == io::ErrorKind::FileTooLarge => Some(Vec::new()),
            Err(failure) => return Err(io::Error::other(failure)),
        };
        let (known, problem) = match content.as_deref().map(decode) {
            None => (BTreeMap::new(), None),
            Some(Some(known)) => (known, None),
            Some(None) => {
                let problem = format!("the file {FILE} of the peers' data folders is damaged and is begun anew");
                (BTreeMap::new(), Some(problem))
            }
        };
        Ok((Acquaintances { storage, known }, problem))
    }

    /// A peer comes with this folder.
    ///
    /// # Errors
    /// It was met with another, or that it was met cannot be made durable.
    pub(super) fn meet(&mut self, peer: NodeId, folder: u64) -> Result<(), MeetError> {
        match self.known.get(&peer) {
            Some(&known) if known == folder => Ok(()),
            Some(&known) => Err(MeetError::OtherFolder { known, found: folder }),
            None => {
                let mut known = self.known.clone();
                known.insert(peer, folder);
                while known.len() > MEMBERS_MAX {
                    known.pop_first();
                }
                replace::replace(&mut self.storage, FILE, encode(&known).as_bytes()).map_err(io::Error::other)?;
                self.known = known;
                Ok(())
            }
        }
    }
}

fn encode(known: &BTreeMap<NodeId, u64>) -> String {
    let mut text = TITLE.to_owned();
    for (peer, folder) in known {
        let _ = writeln!(text, "{} {folder:016x}", peer.0);
    }
    let checksum = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "checksum {checksum:08x}");
    text
}

fn decode(content: &[u8]) -> Option<BTreeMap<NodeId, u64>> {
    let text = std::str::from_utf8(content).ok()?;
    let mut known = BTreeMap::new();
    for line in text.strip_prefix(TITLE)?.lines() {
        let (peer, folder) = line.split_once(' ')?;
        if peer == "checksum" {
            break;
        }
        known.insert(NodeId(peer.parse().ok()?), u64::from_str_radix(folder, 16).ok()?);
    }
    // There is one way to write it down, and it includes the checksum.
    (encode(&known).as_bytes() == content).then_some(known)
}

#[cfg(test)]
mod tests {
    use log::memory::MemoryStorage;

    use super::*;

    #[test]
    fn a_peer_that_comes_with_another_folder_is_refused_for_good() {
        let storage = MemoryStorage::new();
        let (mut met, problem) = Acquaintances::open(storage.clone()).expect("opens");
        assert_eq!(problem, None);
        met.meet(NodeId(2), 7).expect("it was never met");
        let (mut met, _) = Acquaintances::open(storage.crash(1)).expect("opens after a loss of power");
        met.meet(NodeId(2), 7).expect("it is the same");
        met.meet(NodeId(3), 9).expect("another may come");
        for _ in 0..2 {
            let refused = met.meet(NodeId(2), 8).expect_err("its disk is another");
            assert!(matches!(refused, MeetError::OtherFolder { known: 7, found: 8 }), "{refused}");
        }
    }

    #[test]
    fn every_changed_byte_of_the_file_is_noticed() {
        let storage = MemoryStorage::new();
        Acquaintances::open(storage.clone()).expect("opens").0.meet(NodeId(2), 7).expect("writes");
        let length = storage.content(FILE).expect("it is there").len();
        for at in 0..length {
            for cut in [true, false] {
                let damaged = storage.fork();
                damaged.edit(FILE, |bytes| if cut { bytes.truncate(at) } else { bytes[at] ^= 1 });
                let (mut met, problem) = Acquaintances::open(damaged.kill()).expect("opens");
                assert!(problem.is_some(), "byte {at}");
                met.meet(NodeId(2), 8).expect("nothing is known any more");
            }
        }
    }
}
