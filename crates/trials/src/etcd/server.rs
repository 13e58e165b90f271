//! The real server, as Debian packages it, on a port of its own and with its data in a folder of its own.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::PATIENCE;
use crate::process::Process;

/// One whose connections are broken is gone, or about to be: the system closes them when it ends.
const DYING: Duration = Duration::from_millis(200);

/// A real server. Stopped when dropped.
pub struct RealServer {
    process: Process,
    /// What it says on its standard error: of interest when it ended by itself.
    errors: PathBuf,
    /// Where it serves.
    pub address: String,
}

impl RealServer {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// It is not installed, or does not serve in time.
    pub fn start(folder: &Path) -> anyhow::Result<RealServer> {
        let (client, peer) = (free()?, free()?);
        let url = |address: &str| format!("http://{address}");
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.join("data"));
        command.args(["--listen-client-urls", &url(&client), "--advertise-client-urls", &url(&client)]);
        command.args(["--listen-peer-urls", &url(&peer), "--initial-advertise-peer-urls", &url(&peer)]);
        command.args(["--initial-cluster", &format!("default={}", url(&peer)), "--bcrypt-cost", "4"]);
        command.args(["--logger", "zap", "--log-level", "fatal", "--snapshot-count", "1000000000"]);
        let errors = folder.join("errors");
        command.stdin(Stdio::null()).stderr(File::create(&errors)?);
        let process = Process::start("the real server", &mut command)?;
        let begin = Instant::now();
        while TcpStream::connect(&client).is_err() {
            ensure!(begin.elapsed() < PATIENCE, "the real server (Debian's etcd-server) does not serve at {client}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(RealServer { process, errors, address: client })
    }

    /// Why it ended by itself: what it panicked with, or nothing if it still serves.
    ///
    /// # Errors
    /// What it said cannot be read.
    pub fn why_dead(&mut self) -> anyhow::Result<Option<String>> {
        if !self.process.is_gone_within(DYING)? {
            return Ok(None);
        }
        let said = fs::read_to_string(&self.errors)?;
        let panic = said.lines().find(|line| line.contains("panic") || line.contains("fatal"));
        Ok(Some(panic.unwrap_or("without a word").to_owned()))
    }
}

/// A free port: bound, noted, and let go.
fn free() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
