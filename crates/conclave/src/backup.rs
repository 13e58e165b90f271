//! `conclave snapshot`: backups of the state, taken from a running member, checked, and made the beginning of a new
//! ensemble. It knows nothing of what stands in one.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use node::Backup;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{config, protocols, screen};

/// Saves, checks and restores backups.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand)]
enum Task {
    /// Take a backup of what is committed, from a running member
    Save {
        /// The admin address of the member
        #[arg(long, value_name = "HOST:PORT")]
        admin: String,
        /// The file to write; it appears when it is whole and checked
        file: PathBuf,
    },
    /// Read a backup, or a snapshot in a member's folder, from its first to its last byte
    Verify {
        /// The file
        file: PathBuf,
    },
    /// Make the data folder of one member of a new ensemble from a backup. Do this for each member, with the same file;
    /// the folder must be empty
    Restore {
        /// The backup
        file: PathBuf,
        /// The configuration file of the new member
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

/// A member that sends nothing for this long is taken for gone.
const PATIENCE: Duration = Duration::from_secs(30);
const PIECE_BYTES: usize = 256 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Does what was asked for.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.task {
        Task::Save { admin, file } => save(&admin, &file).await,
        Task::Verify { file } => {
            let backup = read(&file)?;
            screen::print_line(&describe(&file, &backup));
            Ok(())
        }
        Task::Restore { file, config } => restore(&file, &config),
    }
}

fn read(file: &Path) -> anyhow::Result<Backup> {
    node::read_backup(file, &protocols::all()).with_context(|| format!("{} is no whole backup", file.display()))
}

fn describe(file: &Path, backup: &Backup) -> String {
    let Backup { taken_at: (index, term), state } = backup;
    format!(
        "{}: whole; revision {}, compacted {}, taken behind entry {index} of term {term}, {} bytes of rows, hash {:032x}",
        file.display(),
        state.revision(),
        state.compacted(),
        state.bytes(),
        state.hash()
    )
}

/// Fetches the backup into a file beside the one that was asked for, checks it, and gives it its name.
async fn save(admin: &str, file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        bail!("{} exists already; nothing was changed", file.display());
    }
    let mut unfinished = file.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let bytes = fetch(admin, &unfinished).await?;
    let backup = read(&unfinished)?;
    std::fs::rename(&unfinished, file).with_context(|| format!("{} cannot be named", file.display()))?;
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = std::fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| format!("the name of {} cannot be made durable", file.display()))?;
    screen::print_line(&format!("{} ({bytes} bytes)", describe(file, &backup)));
    Ok(())
}

async fn fetch(admin: &str, into: &Path) -> anyhow::Result<u64> {
    let mut file = std::fs::File::create(into).with_context(|| format!("{} cannot be made", into.display()))?;
    let mut stream = TcpStream::connect(admin).await.with_context(|| format!("{admin} does not answer"))?;
    let request = format!("GET /snapshot HTTP/1.0\r\nHost: {admin}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    let mut written = 0;
    let mut inside = false;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = timeout(PATIENCE, stream.read(&mut piece)).await;
        let count = count.with_context(|| format!("{admin} sends nothing any more"))??;
        if count == 0 {
            break;
        }
        let mut received = &piece[..count];
        let rest;
        if !inside {
            head.extend_from_slice(received);
            let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
                if head.len() > HEAD_BYTES_MAX {
                    bail!("what listens on {admin} does not speak HTTP");
                }
                continue;
            };
            rest = head.split_off(end + 4);
            let status = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            if status.split(' ').nth(1) != Some("200") {
                bail!("{admin} answers {status}: {}", String::from_utf8_lossy(&rest).trim());
            }
            inside = true;
            received = &rest;
        }
        file.write_all(received).with_context(|| format!("{} cannot be written", into.display()))?;
        written += received.len() as u64;
    }
    file.sync_all().with_context(|| format!("{} cannot be made durable", into.display()))?;
    Ok(written)
}

fn restore(file: &Path, config: &Path) -> anyhow::Result<()> {
    let configuration = config::load(config)?.configuration;
    let backup = read(file)?;
    let before = backup.state.revision();
    let options = configuration.node_options();
    node::found_with(&options, &protocols::all(), backup.state)
        .with_context(|| format!("{} cannot be restored", options.data.display()))?;
    screen::print_line(&format!(
        "{} holds the state of revision {before} and begins a new history at revision {}: watchers of the old one are \
         told that it is gone. Restore the same file for every member of {} before any of them is started",
        options.data.display(),
        before.saturating_add(node::REVISIONS_AHEAD),
        configuration.ensemble
    ));
    Ok(())
}
