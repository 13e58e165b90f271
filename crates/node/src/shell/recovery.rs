//! What a start finds in the data folder: the member's identity, its snapshots and its log, folded into what consensus and state
//! begin with. It may not know how records lie in segments.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::identity::{Identity, IdentityError, open_log};
use log::{Folder, Log, Record, Sequence};
use raft::{Index, Recovered, SnapshotMeta};
use state::{State, TableSpec};
use tracing::{info, warn};

use super::snapshots::Snapshots;
use super::writer::{GROUP, Layout};
use crate::record::decode_record;
use crate::{Batch, Fold, Options, Protocol};

/// The folder of the log within the data folder.
const LOG_FOLDER: &str = "log";
/// The folder of the snapshots within the data folder.
const SNAPSHOT_FOLDER: &str = "snapshots";

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The folder cannot be opened.
    #[error(transparent)]
    Folder(#[from] log::FolderError),
    /// The folder is somebody else's, or its log cannot be read.
    #[error("data folder {}: {source}", folder.display())]
    Log {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: Box<IdentityError>,
    },
    /// The snapshots cannot be read.
    #[error("snapshot folder {}: {source}", folder.display())]
    Snapshots {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The log begins in the middle, and no snapshot covers what came before.
    #[error(
        "data folder {}: the log begins behind entry {base}, and no whole snapshot reaches so far; \
         give this member an empty data folder and a new id, so that it gets everything from its peers",
        folder.display()
    )]
    NoSnapshot {
        /// The folder.
        folder: PathBuf,
        /// Where the log begins.
        base: u64,
    },
    /// A record is whole, but says what no version up to this one writes.
    #[error("data folder {}: record {sequence} of the log cannot be understood: {why}", folder.display())]
    Record {
        /// The folder.
        folder: PathBuf,
        /// Which record.
        sequence: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// A member as its disk remembers it.
pub(super) struct Recovery {
    pub(super) log: Log<Folder>,
    pub(super) layout: Layout,
    pub(super) snapshots: Snapshots<Folder>,
    pub(super) consensus: Recovered<Batch>,
    pub(super) state: State,
}

/// Opens the folder, checks whose it is, and reads its snapshot and its log.
pub(super) fn recover(
    options: &Options,
    name: &str,
    protocols: &[Arc<dyn Protocol>],
    salt: u32,
) -> Result<Recovery, RecoveryError> {
    let folder = options.data.join(LOG_FOLDER);
    let storage = Folder::open(&folder)?;
    let identity = Identity { ensemble: options.ensemble.clone(), member: options.id.0, name: name.into() };
    let specs: Vec<TableSpec> = protocols.iter().flat_map(|protocol| protocol.tables()).copied().collect();
    let log_options = log::Options { segment_size: options.limits.segment_bytes, salt, ..log::Options::default() };
    let (log, records, report) = open_log(storage, &identity, log_options)
        .map_err(|source| RecoveryError::Log { folder: folder.clone(), source: source.into() })?;
    let (snapshots, newest) = open_snapshots(&options.data.join(SNAPSHOT_FOLDER), &specs)?;
    if let Some(cut) = &report.cut {
        let (file, offset, records) = (&cut.file, cut.offset, cut.records);
        info!("cut a torn tail off the log: {records} records that were never acknowledged, {file} from byte {offset}");
    }
    info!("the log holds {} segments, the newest record is {}", report.segments, report.last);

    let (mut consensus, layout) = fold(&folder, options, records)?;
    let base = consensus.base.last.index;
    let state = match newest {
        Some((meta, state)) if meta.last.index >= base => {
            consensus.loaded = Some(meta);
            state
        }
        _ if base == Index::ZERO => State::new(&specs),
        _ => return Err(RecoveryError::NoSnapshot { folder, base: base.0 }),
    };
    Ok(Recovery { log, layout, snapshots, consensus, state })
}

type Found = Option<(SnapshotMeta, State)>;

fn open_snapshots(path: &Path, specs: &[TableSpec]) -> Result<(Snapshots<Folder>, Found), RecoveryError> {
    let refused = |source| RecoveryError::Snapshots { folder: path.to_owned(), source };
    let storage = Folder::open(path)?;
    let mut snapshots = Snapshots::open(storage, specs.to_vec()).map_err(refused)?;
    let (newest, problems) = snapshots.newest().map_err(refused)?;
    for problem in problems {
        warn!("passed over a damaged snapshot: {problem}");
    }
    if let Some((meta, _)) = &newest {
        info!("the newest snapshot is of entry {}", meta.last);
    }
    Ok((snapshots, newest))
}

/// Folds the records into what consensus begins with, and remembers where they stand.
fn fold(folder: &Path, options: &Options, records: Vec<Record>) -> Result<(Recovered<Batch>, Layout), RecoveryError> {
    let mut fold = Fold::new(options.initial_membership());
    let mut layout = Layout::default();
    let mut sequence = Sequence(0);
    let problem = |sequence: Sequence, why: String| RecoveryError::Record {
        folder: folder.to_owned(),
        sequence: sequence.0,
        why,
    };
    for record in records {
        sequence = record.sequence;
        if record.group != GROUP {
            let why = format!("it is of group {}, which this version does not have", record.group);
            return Err(problem(sequence, why));
        }
        let write = decode_record(record.bytes).ok_or_else(|| problem(sequence, "its layout is unknown".into()))?;
        layout.add(sequence, &write);
        fold.add(write).map_err(|unfoldable| problem(sequence, unfoldable.to_string()))?;
    }
    let consensus = fold.finish().map_err(|unfoldable| problem(sequence, unfoldable.to_string()))?;
    Ok((consensus, layout))
}
