//! The real server, as Debian packages it, on a port of its own and with its data in a folder of its own.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::connection::{Connection, Session};
use crate::PATIENCE;
use crate::process::Process;

/// Its code and what it needs.
const CLASSES: &str = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar";

/// `user:hash` of who may do anything, on both sides: `super:admin`.
pub const SUPER_DIGEST: &str = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=";

/// A real server. Stopped when dropped.
pub struct RealServer {
    _process: Process,
    /// Where it serves.
    pub address: String,
}

impl RealServer {
    /// Starts one and waits until it serves. Nothing is synced to disk: it is asked for answers, not for safety.
    ///
    /// # Errors
    /// It is not installed, or does not serve in time.
    pub fn start(folder: &Path) -> anyhow::Result<RealServer> {
        // A free port: bound, noted, and let go.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (data, port) = (folder.display(), address.port());
        let settings = format!(
            "tickTime=2000\ndataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n\
             maxClientCnxns=0\nforceSync=no\nextendedTypesEnabled=true\nznode.container.checkIntervalMs=86400000\n\
             snapCount=10000000\n4lw.commands.whitelist=*\nreconfigEnabled=false\n\
             DigestAuthenticationProvider.superDigest={SUPER_DIGEST}\n"
        );
        let file = folder.join("zoo.cfg");
        fs::write(&file, settings)?;
        let log = fs::File::create(folder.join("log"))?;
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", CLASSES]);
        command.arg("-Dlog4j.configuration=none").arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(&file);
        let process = Process::start("the real server", command.stdin(Stdio::null()).stderr(log))?;
        let server = RealServer { _process: process, address: address.to_string() };
        server.wait().context("the real server (Debian's zookeeper and libzookeeper-java)")?;
        Ok(server)
    }

    fn wait(&self) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            // A session, because a port that is open need not be served yet.
            match Connection::open(&self.address, Session::default(), 4000) {
                Ok(_) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}
