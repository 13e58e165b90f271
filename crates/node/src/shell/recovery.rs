//! What a start finds in the data folder: the member's identity, its snapshots and its log, folded into what
//! consensus and state begin with. It may not know how records lie in segments, nor what is done about damage (see `healing`).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use log::identity::{Identity, IdentityError, LogRefused, open_log};
use log::{Folder, Log, OpenError, Record, Sequence, Storage};
use raft::{Index, Recovered, SnapshotMeta};
use state::{State, TableSpec};
use tracing::{info, warn};

use super::acquaintance::Acquaintances;
use super::healing::{self, Damage};
use super::snapshots::Snapshots;
use super::writer::{GROUP, Layout, LogWriter};
use crate::record::{Logged, decode_logged};
use crate::{Batch, Fold, Options, Protocol};

/// The folder of the log within the data folder.
pub(crate) const LOG_FOLDER: &str = "log";
/// The folder of the snapshots within the data folder.
pub(crate) const SNAPSHOT_FOLDER: &str = "snapshots";
/// The folder of what is known of the peers' folders.
const PEERS_FOLDER: &str = "peers";

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
    /// Something that was acknowledged cannot be read, and cannot be fetched from peers either.
    #[error("data folder {}: {damage}; nothing was changed. {advice}", folder.display())]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong, with file and offset.
        damage: String,
        /// Why this member does not heal it, and what to do.
        advice: &'static str,
    },
    /// The snapshots cannot be read.
    #[error("snapshot folder {}: {source}", folder.display())]
    Snapshots {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// What is known of the peers cannot be read.
    #[error("peers folder {}: {source}", folder.display())]
    Peers {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        source: io::Error,
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
    /// What was wrong with the disk and what was done about it, for the diary.
    pub findings: Vec<String>,
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
/// Damage behind acknowledged data is cut out if there are peers to fetch it from; the member then begins with
/// [`Recovered::missing`], and neither votes nor campaigns before it has everything back.
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
    let specs: Vec<TableSpec> = protocols.iter().flat_map(|protocol| protocol.tables()).copied().collect();
    let log_options = log::Options { segment_size: options.limits.segment_bytes, salt, ..log::Options::default() };
    let start = Start { folder: &folder, options, name, log_options };
    let opened = start.open(log);
    if let Err(LogRefused { error, storage: None }) = opened {
        return Err(start.refused(error));
    }
    let (snapshots, newest, mut findings) = open_snapshots(snapshots, &options.data.join(SNAPSHOT_FOLDER), &specs)?;
    let opened = match opened {
        Ok(opened) => opened,
        Err(refused) => start.heal_damage(refused, newest.as_ref().map(|(meta, _)| meta), &mut findings)?,
    };
    let (mut consensus, layout, log) = start.fold_or_start_anew(opened, &newest, &mut findings)?;
    let base = consensus.base.last.index;
    let state = match newest {
        Some((meta, state)) if meta.last.index >= base => {
            consensus.loaded = Some(meta);
            state
        }
        _ => State::new(&specs),
    };
    consensus.missing = layout.missing();
    let writer = LogWriter { log, layout, segment_bytes: options.limits.segment_bytes, times: Arc::default() };
    Ok(Recovery { writer, snapshots, consensus, state, findings })
}

/// Opens what is known of the peers' data folders, with what was wrong with it.
pub(super) fn peers_folder(options: &Options) -> Result<(Acquaintances<Folder>, Option<String>), RecoveryError> {
    let folder = options.data.join(PEERS_FOLDER);
    let opened = Acquaintances::open(Folder::open(&folder)?);
    opened.map_err(|source| RecoveryError::Peers { folder, source })
}

type Found = Option<(SnapshotMeta, State)>;

fn open_snapshots<S: Storage>(
    storage: S,
    path: &Path,
    specs: &[TableSpec],
) -> Result<(Snapshots<S>, Found, Vec<String>), RecoveryError> {
    let refused = |source| RecoveryError::Snapshots { folder: path.to_owned(), source };
    let mut snapshots = Snapshots::open(storage, specs.to_vec()).map_err(refused)?;
    let (newest, problems) = snapshots.newest().map_err(refused)?;
    let findings: Vec<String> =
        problems.into_iter().map(|problem| format!("passed over a damaged snapshot: {problem}")).collect();
    findings.iter().for_each(|finding| warn!("{finding}"));
    if let Some((meta, _)) = &newest {
        info!("the newest snapshot is of entry {}", meta.last);
    }
    Ok((snapshots, newest, findings))
}

/// What every step of a start needs to know.
struct Start<'a> {
    folder: &'a Path,
    options: &'a Options,
    name: &'a str,
    log_options: log::Options,
}

impl Start<'_> {
    fn open<S: Storage>(&self, log: S) -> Result<log::Opened<S>, LogRefused<S>> {
        let Options { ensemble, id, .. } = self.options;
        let identity = Identity { ensemble: ensemble.clone(), member: id.0, name: self.name.into() };
        open_log(log, &identity, self.log_options.clone())
    }

    fn refused(&self, error: IdentityError) -> RecoveryError {
        let folder = self.folder.to_owned();
        match error {
            IdentityError::Log(lost @ OpenError::Lost) => {
                RecoveryError::Damaged { folder, damage: lost.to_string(), advice: healing::JOIN_AS_NEW }
            }
            error => RecoveryError::Log { folder, source: error.into() },
        }
    }

    fn healing(&self) -> healing::Healing<'_> {
        healing::Healing { folder: self.folder, options: self.options, log_options: &self.log_options }
    }

    /// Cuts the damage out of a log that was refused for it, and opens what is left.
    fn heal_damage<S: Storage>(
        &self,
        refused: LogRefused<S>,
        snapshot: Option<&SnapshotMeta>,
        findings: &mut Vec<String>,
    ) -> Result<log::Opened<S>, RecoveryError> {
        let LogRefused { error, storage: Some(mut storage) } = refused else { return Err(self.refused(refused.error)) };
        let IdentityError::Log(
            damage @ (OpenError::Damaged { .. } | OpenError::MissingSegment { .. } | OpenError::NotOurs { .. }),
        ) = error
        else {
            return Err(self.refused(error));
        };
        let damage = Damage { what: damage.to_string(), snapshot, begin_anew: false };
        findings.push(self.healing().cut_out(&mut storage, &damage)?);
        self.open(storage).map_err(|refused| self.refused(refused.error))
    }

    /// Folds what the log holds. A log that begins in the middle, at a place that no whole snapshot reaches, is begun
    /// anew, if there are peers to fetch everything from.
    fn fold_or_start_anew<S: Storage>(
        &self,
        opened: log::Opened<S>,
        newest: &Found,
        findings: &mut Vec<String>,
    ) -> Result<(Recovered<Batch>, Layout, Log<S>), RecoveryError> {
        let (log, records, report) = opened;
        tell(&report, findings);
        let snapshot = newest.as_ref().map(|(meta, _)| meta);
        let (consensus, layout) = fold(self.folder, self.options, records)?;
        let (base, reached) = (consensus.base.last, snapshot.map_or(Index::ZERO, |meta| meta.last.index));
        if base.index <= reached {
            return Ok((consensus, layout, log));
        }
        let what = format!("the log begins behind entry {base}, and no whole snapshot reaches so far");
        let mut storage = log.close().map_err(|failure| self.refused(OpenError::from(failure_of(failure)).into()))?;
        let damage = Damage { what, snapshot, begin_anew: true };
        findings.push(self.healing().cut_out(&mut storage, &damage)?);
        let (log, records, _) = self.open(storage).map_err(|refused| self.refused(refused.error))?;
        let (consensus, layout) = fold(self.folder, self.options, records)?;
        Ok((consensus, layout, log))
    }
}

fn failure_of(error: log::AppendError) -> log::Failure {
    match error {
        log::AppendError::Failed(failure) | log::AppendError::Full { failure, .. } => failure,
        log::AppendError::TooLarge { .. } => unreachable!("closing a log appends nothing"),
    }
}

fn tell(report: &log::Report, findings: &mut Vec<String>) {
    if let Some(cut) = &report.cut {
        let (file, offset, records) = (&cut.file, cut.offset, cut.records);
        info!("cut a torn tail off the log: {records} records that were never acknowledged, {file} from byte {offset}");
    }
    for file in &report.mended {
        let finding = format!("the header of {file} was damaged at its beginning and is written anew from its copy");
        warn!("{finding}");
        findings.push(finding);
    }
    info!("the log holds {} segments, the newest record is {}", report.segments, report.last);
}

/// Folds the records into what consensus begins with, and remembers where they stand.
fn fold(folder: &Path, options: &Options, records: Vec<Record>) -> Result<(Recovered<Batch>, Layout), RecoveryError> {
    let mut fold = Fold::new(options.initial_membership());
    let mut layout = Layout::default();
    let mut sequence = Sequence(0);
    for record in records {
        sequence = record.sequence;
        let (group, logged) = (record.group, decode_logged(record.bytes));
        if group != GROUP {
            let why = format!("it is of group {group}, which this version does not have");
            return Err(not_understood(folder, sequence, why));
        }
        match logged {
            None => return Err(not_understood(folder, sequence, "its layout is unknown".into())),
            Some(Logged::Missing(lost)) => layout.add_missing(sequence, lost),
            Some(Logged::Write(write)) => {
                layout.add(sequence, &write);
                fold.add(write).map_err(|unfoldable| not_understood(folder, sequence, unfoldable.to_string()))?;
            }
        }
    }
    let consensus = fold.finish().map_err(|unfoldable| not_understood(folder, sequence, unfoldable.to_string()))?;
    Ok((consensus, layout))
}

pub(super) fn not_understood(folder: &Path, sequence: Sequence, why: String) -> RecoveryError {
    RecoveryError::Record { folder: folder.to_owned(), sequence: sequence.0, why }
}
