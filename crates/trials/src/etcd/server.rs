//! The real server, as Debian packages it, on a port of its own and with its data in a folder of its own.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::ensure;

use crate::PATIENCE;
use crate::process::Process;

/// A real server. Stopped when dropped.
pub struct RealServer {
    _process: Process,
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
        let process = Process::start("the real server", command.stdin(Stdio::null()).stderr(Stdio::null()))?;
        let begin = Instant::now();
        while TcpStream::connect(&client).is_err() {
            ensure!(begin.elapsed() < PATIENCE, "the real server (Debian's etcd-server) does not serve at {client}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(RealServer { _process: process, address: client })
    }
}

/// A free port: bound, noted, and let go.
fn free() -> anyhow::Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
