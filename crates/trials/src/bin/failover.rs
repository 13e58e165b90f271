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
    let titles = ["median ms", "worst ms", "back: median", "worst"];
    let [median, worst, back, back_worst] = titles;
    writeln!(
        out,
        "{:<22} {:>6} {median:>10} {worst:>10} {back:>14} {back_worst:>10}   aim (when it goes)",
        "the leader is", "times"
    )?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let trace = arguments.iter().any(|argument| argument == "--trace");
    let wanted: Vec<&String> = arguments.iter().filter(|argument| *argument != "--trace").collect();
    for way in WAYS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| way.title.starts_with(wanted.as_str())) {
            continue;
        }
        let gaps = measure(&way, trace).await.with_context(|| way.title)?;
        let (mut gone, mut back): (Vec<Duration>, Vec<Duration>) = gaps.into_iter().unzip();
        let [gone, back] = [&mut gone, &mut back].map(|gaps| {
            gaps.sort();
            [gaps[gaps.len() / 2], gaps[gaps.len() - 1]].map(|gap| gap.as_secs_f64() * 1000.0)
        });
        writeln!(
            out,
            "{:<22} {:>6} {:>10.1} {:>10.1} {:>14.1} {:>10.1}   {}",
            way.title, way.times, gone[0], gone[1], back[0], back[1], way.aim
        )?;
        out.flush()?;
    }
    Ok(())
}

/// The gaps of one way, when the leader goes and when it comes back, each on the same ensemble, which is whole again
/// before the next.
async fn measure(way: &Way, trace: bool) -> anyhow::Result<Vec<(Duration, Duration)>> {
    let mut ensemble = Ensemble::start(3)?;
    let mut gaps = Vec::new();
    let mut promised = BTreeMap::new();
    for round in 0..way.times {
        let leader = ensemble.leader_known_by("m1")?;
        let writer = ensemble.members().iter().find(|member| member.name != leader).context("three members")?.clone();
        let load = Load::start(&writer.etcd, round).await?;
        load.advance(CALM).await?;
        let pid = ensemble.member(&leader).pid;
        load.begin_span();
        match way.signal {
            Some(signal) => process::send(pid, signal)?,
            None => drop(ensemble.member_command(&["lead"])?),
        }
        load.advance(CALM).await?;
        // What comes after is not the leader's going, but its return, with all that a start does to a shared disk.
        let gone = load.begin_span();
        match way.signal {
            None => {}
            Some(Signal::STOP) => process::send(pid, Signal::CONT)?,
            Some(_) => {
                ensemble.forget(&leader)?;
                ensemble.bring_back(&leader)?;
            }
        }
        ensemble.leader_known_by(&leader)?;
        let back = load.begin_span();
        promised.extend(load.stop().await?);
        gaps.push((gone.length, back.length));
        if trace {
            let ended = gone.ended.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64();
            let began = ended - gone.length.as_secs_f64();
            let (began, ended) = (began % 60.0, ended % 60.0);
            let mut out = std::io::stdout();
            writeln!(out, "{leader} goes, {} writes: gap from {began:.6} to {ended:.6}", writer.name)?;
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
    book: Arc<Mutex<Book>>,
    task: tokio::task::JoinHandle<()>,
}

/// The longest time between two acknowledgements.
#[derive(Clone, Copy)]
struct Gap {
    length: Duration,
    ended: SystemTime,
}

const NO_GAP: Gap = Gap { length: Duration::ZERO, ended: SystemTime::UNIX_EPOCH };

/// What all writes share: when the last acknowledgement came, the longest gap of this span, and what was acknowledged.
struct Book {
    last: Instant,
    longest: Gap,
    keys: BTreeMap<String, String>,
}

impl Load {
    async fn start(address: &str, round: usize) -> anyhow::Result<Load> {
        let client = Client::connect([address], None).await?;
        let stop = watch::Sender::new(false);
        let (told, count) = watch::channel(0);
        let book = Arc::new(Mutex::new(Book { last: Instant::now(), longest: NO_GAP, keys: BTreeMap::new() }));
        let task = tokio::spawn(write(client, round, stop.subscribe(), told, book.clone()));
        Ok(Load { stop, count, book, task })
    }

    async fn advance(&self, further: usize) -> anyhow::Result<()> {
        let mut count = self.count.clone();
        let goal = *count.borrow() + further;
        tokio::time::timeout(conclave_trials::PATIENCE, count.wait_for(|count| *count >= goal)).await??;
        Ok(())
    }

    /// Begins to look for the longest gap anew, and gives that of the span before.
    fn begin_span(&self) -> Gap {
        std::mem::replace(&mut self.book.lock().expect("no holder panics").longest, NO_GAP)
    }

    async fn stop(self) -> anyhow::Result<BTreeMap<String, String>> {
        self.stop.send_replace(true);
        self.task.await?;
        Ok(std::mem::take(&mut self.book.lock().expect("no holder panics").keys))
    }
}

async fn write(
    client: Client,
    round: usize,
    stop: watch::Receiver<bool>,
    told: watch::Sender<usize>,
    book: Arc<Mutex<Book>>,
) {
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
                if gap > book.longest.length {
                    book.longest = Gap { length: gap, ended: SystemTime::now() };
                }
                book.keys.insert(key, value);
                told.send_modify(|count| *count += 1);
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}
