//! Measures how long writes stand still when the leader goes: killed, stopped like a hung process, shut down in order, or
//! told to hand over. Real processes, default settings, three members, writes at 500 a second.
//!
//! Arguments choose the ways by the first words of their titles; `--trace` prints when each gap began and ended, to be
//! held against the members' logs, which stay then.
//!
//! The writer is an etcd client of a member that is not the leader: what it sees is the ensemble's own gap, not how fast
//! a client library finds another address. Every write is an own request at its own time, whatever became of the ones
//! before (an open loop), so a standstill is not hidden by a client that waits.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::process;
use etcd_client::Client;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between two writes.
const PACE: Duration = Duration::from_millis(2);
/// Writes that must be acknowledged in a row before and after the leader goes.
const CALM: usize = 250;

/// One way for a leader to go.
struct Way {
    title: &'static str,
    /// `None`: it is told to hand over, and stays.
    signal: Option<Signal>,
    times: usize,
    aim: &'static str,
}

const WAYS: [Way; 4] = [
    Way { title: "killed (SIGKILL)", signal: Some(Signal::KILL), times: 20, aim: "median 50 ms, worst 200 ms" },
    Way { title: "hung (SIGSTOP)", signal: Some(Signal::STOP), times: 10, aim: "worst 1000 ms" },
    Way { title: "shut down (SIGTERM)", signal: Some(Signal::TERM), times: 20, aim: "worst 30 ms" },
    Way { title: "told to hand over", signal: None, times: 20, aim: "worst 30 ms" },
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{:<22} {:>6} {:>10} {:>10}   aim", "the leader is", "times", "median ms", "worst ms")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let trace = arguments.iter().any(|argument| argument == "--trace");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| *argument != "--trace").collect();
    for way in WAYS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| way.title.starts_with(wanted.as_str())) {
            continue;
        }
        let mut gaps = measure(&way, trace).await.with_context(|| way.title)?;
        gaps.sort();
        let (median, worst) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
        let milliseconds = |gap: Duration| gap.as_secs_f64() * 1000.0;
        let (median, worst) = (milliseconds(median), milliseconds(worst));
        writeln!(out, "{:<22} {:>6} {median:>10.1} {worst:>10.1}   {}", way.title, way.times, way.aim)?;
        out.flush()?;
    }
    Ok(())
}

/// The gaps of one way, each on the same ensemble, which is whole again before the next.
async fn measure(way: &Way, trace: bool) -> anyhow::Result<Vec<Duration>> {
    let mut ensemble = Ensemble::start(3)?;
    let mut gaps = Vec::new();
    let mut promised = BTreeMap::new();
    for round in 0..way.times {
        let leader = ensemble.leader_known_by("m1")?;
        let writer = ensemble.members().iter().find(|member| member.name != leader).context("three members")?.clone();
        let load = Load::start(&writer.etcd, round).await?;
        load.advance(CALM).await?;
        let pid = ensemble.member(&leader).pid;
        match way.signal {
            Some(signal) => process::send(pid, signal)?,
            None => drop(ensemble.member_command(&["lead"])?),
        }
        load.advance(CALM).await?;
        match way.signal {
            None => {}
            Some(Signal::STOP) => process::send(pid, Signal::CONT)?,
            Some(_) => {
                ensemble.forget(&leader)?;
                ensemble.bring_back(&leader)?;
            }
        }
        ensemble.leader_known_by(&leader)?;
        let Acknowledged { longest_gap, gap_ended, keys } = load.stop().await?;
        promised.extend(keys);
        gaps.push(longest_gap);
        if trace {
            let ended = gap_ended.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
            let began = ended - longest_gap.as_secs_f64();
            let mut out = std::io::stdout();
            writeln!(
                out,
                "{leader} goes, {} writes: gap from {:.6} to {:.6}",
                writer.name,
                began % 60.0,
                ended % 60.0
            )?;
        }
    }
    check(&ensemble, &promised).await?;
    if trace {
        let mut out = std::io::stdout();
        for member in ensemble.members() {
            writeln!(out, "--- {}\n{}", member.name, std::fs::read_to_string(member.config.with_extension("log"))?)?;
        }
    }
    ensemble.stop()?;
    Ok(gaps)
}

/// Nothing that was acknowledged is missing, on any member.
async fn check(ensemble: &Ensemble, promised: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for member in ensemble.members() {
        let mut client = Client::connect([&member.etcd], None).await?;
        for (key, value) in promised {
            let found = client.get(key.as_str(), None).await?;
            let found = found.kvs().first().map(|pair| pair.value().to_vec());
            ensure!(found.as_deref() == Some(value.as_bytes()), "{} has lost {key}", member.name);
        }
    }
    Ok(())
}

/// Writes at a steady pace through one member.
struct Load {
    stop: watch::Sender<bool>,
    count: watch::Receiver<usize>,
    task: tokio::task::JoinHandle<anyhow::Result<Acknowledged>>,
}

/// What became of them.
struct Acknowledged {
    /// The longest time between two acknowledgements.
    longest_gap: Duration,
    /// When it ended.
    gap_ended: SystemTime,
    keys: BTreeMap<String, String>,
}

impl Load {
    async fn start(address: &str, round: usize) -> anyhow::Result<Load> {
        let client = Client::connect([address], None).await?;
        let stop = watch::Sender::new(false);
        let (told, count) = watch::channel(0);
        let stopped = stop.subscribe();
        let task = tokio::spawn(write(client, round, stopped, told));
        Ok(Load { stop, count, task })
    }

    async fn advance(&self, further: usize) -> anyhow::Result<()> {
        let mut count = self.count.clone();
        let goal = *count.borrow() + further;
        tokio::time::timeout(conclave_trials::PATIENCE, count.wait_for(|count| *count >= goal)).await??;
        Ok(())
    }

    async fn stop(self) -> anyhow::Result<Acknowledged> {
        self.stop.send_replace(true);
        self.task.await?
    }
}

/// What all writes share: when the last acknowledgement came, and what was acknowledged.
struct Book {
    last: Instant,
    longest_gap: Duration,
    gap_ended: SystemTime,
    keys: BTreeMap<String, String>,
}

async fn write(
    client: Client,
    round: usize,
    stop: watch::Receiver<bool>,
    told: watch::Sender<usize>,
) -> anyhow::Result<Acknowledged> {
    let book = Arc::new(Mutex::new(Book {
        last: Instant::now(),
        longest_gap: Duration::ZERO,
        gap_ended: SystemTime::UNIX_EPOCH,
        keys: BTreeMap::new(),
    }));
    let mut pace = tokio::time::interval(PACE);
    let mut under_way = JoinSet::new();
    let mut number = 0_u64;
    while !*stop.borrow() {
        pace.tick().await;
        number += 1;
        let (mut client, book, told) = (client.clone(), book.clone(), told.clone());
        under_way.spawn(async move {
            let (key, value) = (format!("failover/{round}/{number}"), format!("{number}"));
            // A write that failed was lost with the leader; the next ones show how long that went on.
            if client.put(key.as_str(), value.as_str(), None).await.is_ok() {
                let mut book = book.lock().expect("no holder panics");
                let now = Instant::now();
                let gap = now - book.last;
                book.last = now;
                if gap > book.longest_gap {
                    book.longest_gap = gap;
                    book.gap_ended = SystemTime::now();
                }
                book.keys.insert(key, value);
                told.send_modify(|count| *count += 1);
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
    let mut book = book.lock().expect("no holder panics");
    let keys = std::mem::take(&mut book.keys);
    Ok(Acknowledged { longest_gap: book.longest_gap, gap_ended: book.gap_ended, keys })
}
