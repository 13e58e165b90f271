//! A state as a file of its own: taken from a running member, checked, and made the beginning of a new ensemble. It may
//! not know where the file comes from or goes to.
//!
//! The file is a snapshot as members write it (`docs/formats.md`). What it says of the log and the members of the
//! ensemble it was taken from is for people; a new ensemble begins with members, log and history of its own. Its revision
//! is far beyond any that the old one can have given since, and everything before it is compacted: a watcher that comes
//! with a place in the old history is told so, and never continues in the wrong one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use log::identity::Identity;
use log::{Append, Folder};
use raft::{Ballot, Index, LogId, Membership, SnapshotMeta, Term, Ticket, Write};
use state::{State, TableSpec};

use crate::record::{Promise, encode_records};
use crate::shell::{GROUP, LOG_FOLDER, SNAPSHOT_FOLDER, Snapshots, random, snapshot_pieces};
use crate::{NodeId, Options, Protocol, View};

/// How far the revision of a restored ensemble is ahead of the backup: more than an ensemble makes in years.
pub const REVISIONS_AHEAD: u64 = 1_000_000_000;
/// The entry that a restored ensemble's log begins behind.
const FIRST: LogId = LogId { term: Term(1), index: Index(1) };

/// The pieces of a backup of what is published on this member, to be written one behind the other.
pub fn backup_pieces(view: &View, taken_on: NodeId) -> impl Iterator<Item = Bytes> + Send + use<> {
    let last = LogId::new(Term(view.term), Index(view.index));
    let meta = SnapshotMeta { last, membership: Membership::of_voters([taken_on]) };
    snapshot_pieces(&meta, &view.state)
}

/// A backup that was read and is whole.
pub struct Backup {
    /// The entry of the log after which it was taken, and the term.
    pub taken_at: (u64, u64),
    /// The state.
    pub state: State,
}

/// Reads a backup, or a snapshot in a member's folder, from the first to the last byte.
///
/// # Errors
/// It cannot be read, or is not whole.
pub fn read_backup(file: &Path, protocols: &[Arc<dyn Protocol>]) -> io::Result<Backup> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io::Error::other("the path names no file"))?;
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Folder::inspect(parent).map_err(io::Error::other)?;
    let (meta, state) = Snapshots::look(folder, specs(protocols)).read_whole(name)?;
    Ok(Backup { taken_at: (meta.last.index.0, meta.last.term.0), state })
}

/// Makes the empty data folder of one member of a new ensemble that begins with this state. To be done for every member
/// with the same state.
///
/// # Errors
/// The folder is not empty, or cannot be written.
pub fn found_with(options: &Options, protocols: &[Arc<dyn Protocol>], mut state: State) -> io::Result<()> {
    let own = options.members.iter().find(|member| member.id == options.id);
    let name = own.ok_or_else(|| io::Error::other("the member is not in the list of members"))?.name.clone();
    check_empty(&options.data)?;
    state.begin_new_history(REVISIONS_AHEAD);
    let meta = SnapshotMeta { last: FIRST, membership: options.initial_membership() };
    let snapshots = Folder::open(&options.data.join(SNAPSHOT_FOLDER)).map_err(io::Error::other)?;
    Snapshots::open(snapshots, specs(protocols))?.save(&meta, &state)?;
    let log = Folder::open(&options.data.join(LOG_FOLDER)).map_err(io::Error::other)?;
    let identity = Identity { ensemble: options.ensemble.clone(), member: options.id.0, name };
    let salt = u32::try_from(random() >> 32).expect("32 bits are left");
    let log_options = log::Options { segment_size: options.limits.segment_bytes, salt, ..log::Options::default() };
    let opened = log::identity::open_log(log, &identity, log_options);
    let (mut log, ..) = opened.map_err(|refused| io::Error::other(refused.error))?;
    let ballot = Ballot { term: FIRST.term, vote: None };
    let write = Write {
        ticket: Ticket::NONE,
        ballot: Some(ballot),
        cut: None,
        base: Some(meta),
        previous: FIRST,
        append: Vec::new(),
    };
    let record: Vec<u8> =
        encode_records(write, usize::MAX).into_iter().flat_map(|(_, parts)| parts).flatten().collect();
    let note = Promise { ballot, last: FIRST }.encode();
    log.append_noted(&[Append { group: GROUP, parts: &[&record] }], &note).map_err(io::Error::other)?;
    log.close().map_err(io::Error::other)?;
    Ok(())
}

fn check_empty(folder: &Path) -> io::Result<()> {
    let mut entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    match entries.next().transpose()? {
        None => Ok(()),
        Some(entry) => {
            let (folder, found) = (folder.display(), entry.file_name());
            Err(io::Error::other(format!("the data folder {folder} is not empty: it holds {}", found.display())))
        }
    }
}

fn specs(protocols: &[Arc<dyn Protocol>]) -> Vec<TableSpec> {
    protocols.iter().flat_map(|protocol| protocol.tables()).copied().collect()
}
