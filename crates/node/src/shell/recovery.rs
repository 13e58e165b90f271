//! What a start finds in the data folder: the member's identity, its snapshots and its log, folded into what consensus and state
//! begin with. It may not know how records lie in segments.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::identity::{Identity, IdentityError, open_log};
use log::{Folder, Record, Sequence, Storage};
use raft::{Index, Recovered, SnapshotMeta};
use state::{State, TableSpec};
use tracing::{info, warn};

use super::snapshots::Snapshots;
use super::writer::{GROUP, Layout, LogWriter};
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
pub struct Recovery<S: Storage> {
    /// Writes the log on.
    pub writer: LogWriter<S>,
    /// The snapshots.
    pub snapshots: Snapshots<S>,
    /// What consensus begins with.
    pub consensus: Recovered<Batch>,
    /// The state that goes with it.
    pub state: State,
}

/// Opens the folders of a member and reads them.
pub(super) fn recover(
    options: &Options,
    name: &str,
    protocols: &[Arc<dyn Protocol>],
    salt: u32,
) -> Result<Recovery<Folder>, RecoveryError> {
    let log = Folder::open(&options.data.join(LOG_FOLDER))?;
    let snapshots = Folder::open(&options.data.join(SNAPSHOT_FOLDER))?;
    recover_from(log, snapshots, options, name, protocols, salt)
}

/// Checks whose the folders are, and reads log and snapshot. Where they really are only errors tell.
///
/// # Errors
/// [`RecoveryError`] tells what is wrong, for people.
pub fn recover_from<S: Storage>(
    log: S,
    snapshots: S,
    options: &Options,
    name: &str,
    protocols: &[Arc<dyn Protocol>],
    salt: u32,
) -> Result<Recovery<S>, RecoveryError> {
    let folder = options.data.join(LOG_FOLDER);
    let identity = Identity { ensemble: options.ensemble.clone(), member: options.id.0, name: name.into() };
    let specs: Vec<TableSpec> = protocols.iter().flat_map(|protocol| protocol.tables()).copied().collect();
    let segment_bytes = options.limits.segment_bytes;
    let log_options = log::Options { segment_size: segment_bytes, salt, ..log::Options::default() };
    let (log, records, report) = open_log(log, &identity, log_options)
        .map_err(|source| RecoveryError::Log { folder: folder.clone(), source: source.into() })?;
    let (snapshots, newest) = open_snapshots(snapshots, &options.data.join(SNAPSHOT_FOLDER), &specs)?;
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
    let writer = LogWriter { log, layout, segment_bytes, times: Arc::default() };
    Ok(Recovery { writer, snapshots, consensus, state })
}

type Found = Option<(SnapshotMeta, State)>;

fn open_snapshots<S: Storage>(
    storage: S,
    path: &Path,
    specs: &[TableSpec],
) -> Result<(Snapshots<S>, Found), RecoveryError> {
    let refused = |source| RecoveryError::Snapshots { folder: path.to_owned(), source };
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
