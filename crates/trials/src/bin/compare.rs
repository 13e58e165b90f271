//! Puts and linearizable gets against three members of Conclave and three members of etcd, one after the other on this
//! machine, by the same client: only the ratio of the two means anything.
//!
//! Needs Debian's `etcd-server`. Both keep their defaults, sync every write to the same disk, and share the machine with
//! the load. Every client has a connection of its own, spread over the members.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use conclave_trials::ensemble::Ensemble;
use conclave_trials::process::Process;
use etcd_client::Client;
use tokio::task::JoinSet;

/// How long each load lasts.
const LASTS: Duration = Duration::from_secs(8);
/// Bytes of each value.
const VALUE: usize = 256;

/// One kind of load.
#[derive(Clone, Copy)]
struct Load {
    title: &'static str,
    clients: usize,
    writes: bool,
}

const LOADS: [Load; 4] = [
    Load { title: "put, 1 client", clients: 1, writes: true },
    Load { title: "put, 64 clients", clients: 64, writes: true },
    Load { title: "linearizable get, 1 client", clients: 1, writes: false },
    Load { title: "linearizable get, 64 clients", clients: 64, writes: false },
];

/// What it came to.
struct Figures {
    per_second: f64,
    median: Duration,
    p99: Duration,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let conclave = Ensemble::start(3)?;
    let ours = run_all(&conclave.etcd()).await.context("Conclave")?;
    conclave.stop()?;
    let folder = tempfile::tempdir()?;
    let peers = Peers::start(folder.path())?;
    for address in &peers.clients {
        serves(address).await?;
    }
    let theirs = run_all(&peers.clients).await.context("etcd")?;
    drop(peers);

    let mut out = std::io::stdout();
    let columns = ("ops/s", "p50 ms", "p99 ms");
    writeln!(
        out,
        "{:<30} {:>9} {:>8} {:>8}   etcd: {:>9} {:>8} {:>8}   ratio",
        "", columns.0, columns.1, columns.2, columns.0, columns.1, columns.2
    )?;
    for ((load, ours), theirs) in LOADS.iter().zip(ours).zip(theirs) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        writeln!(
            out,
            "{:<30} {:>9.0} {:>8.2} {:>8.2}         {:>9.0} {:>8.2} {:>8.2}   {:>5.2}",
            load.title,
            ours.per_second,
            milliseconds(ours.median),
            milliseconds(ours.p99),
            theirs.per_second,
            milliseconds(theirs.median),
            milliseconds(theirs.p99),
            ours.per_second / theirs.per_second,
        )?;
    }
    Ok(())
}

async fn run_all(addresses: &[String]) -> anyhow::Result<Vec<Figures>> {
    let mut figures = Vec::new();
    for load in LOADS {
        figures.push(run(load, addresses).await.context(load.title)?);
    }
    Ok(figures)
}

async fn run(load: Load, addresses: &[String]) -> anyhow::Result<Figures> {
    let mut clients = JoinSet::new();
    let begin = Instant::now();
    for number in 0..load.clients {
        let client = Client::connect([&addresses[number % addresses.len()]], None).await?;
        clients.spawn(ask(client, number, load.writes, begin + LASTS));
    }
    let mut took = Vec::new();
    while let Some(done) = clients.join_next().await {
        took.extend(done??);
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    Ok(Figures { per_second: took.len() as f64 / begin.elapsed().as_secs_f64(), median: at(50), p99: at(99) })
}

async fn ask(mut client: Client, number: usize, writes: bool, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut round = 0_u64;
    while Instant::now() < until {
        let key = format!("compare/{number}/{}", round % 1000);
        round += 1;
        let begin = Instant::now();
        if writes {
            client.put(key, vec![b'v'; VALUE], None).await?;
        } else {
            client.get(key, None).await?;
        }
        took.push(begin.elapsed());
    }
    Ok(took)
}

/// Waits until this member of etcd answers.
async fn serves(address: &str) -> anyhow::Result<()> {
    let asked = async {
        loop {
            let answer = async { Client::connect([address], None).await?.get("ready", None).await };
            if answer.await.is_ok() {
                return;
            }
            // It says nothing when it is ready: it has to be asked again.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(conclave_trials::PATIENCE, asked).await.with_context(|| format!("{address} does not serve"))
}

/// Three members of etcd, stopped when dropped.
struct Peers {
    clients: Vec<String>,
    _processes: Vec<Process>,
}

impl Peers {
    fn start(folder: &Path) -> anyhow::Result<Peers> {
        const FIRST_PORT: u16 = 42379;
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let ports: Vec<(u16, u16)> =
            (0..3).map(|number| (FIRST_PORT + 2 * number, FIRST_PORT + 2 * number + 1)).collect();
        let cluster: Vec<String> =
            ports.iter().enumerate().map(|(number, (_, peer))| format!("e{number}={}", url(*peer))).collect();
        let mut processes = Vec::new();
        for (number, (client, peer)) in ports.iter().enumerate() {
            let name = format!("e{number}");
            let mut command = Command::new("etcd");
            command.args(["--name", &name, "--logger", "zap", "--log-outputs", "/dev/null"]);
            command.arg("--data-dir").arg(folder.join(&name));
            command.args(["--listen-client-urls", &url(*client), "--advertise-client-urls", &url(*client)]);
            command.args(["--listen-peer-urls", &url(*peer), "--initial-advertise-peer-urls", &url(*peer)]);
            command.args(["--initial-cluster", &cluster.join(",")]);
            processes.push(Process::start("etcd", &mut command)?);
        }
        let clients = ports.iter().map(|(client, _)| format!("127.0.0.1:{client}")).collect();
        Ok(Peers { clients, _processes: processes })
    }
}
