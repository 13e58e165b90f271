//! Steady writes by both protocols, with a record of what was acknowledged.
//!
//! Each writer writes one thing after another, and the same thing again until it is acknowledged. What was acknowledged
//! must be there for ever; what was not may be there or not.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use etcd_client::GetOptions;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zookeeper_client::{Acls, CreateMode, CreateOptions};

use crate::PATIENCE;

/// What one writer was promised: keys and their values.
pub type Acknowledged = BTreeMap<String, String>;

/// Writers at work.
pub struct Load {
    stop: watch::Sender<bool>,
    writers: Vec<Writer>,
}

struct Writer {
    protocol: Protocol,
    /// How many writes were acknowledged so far.
    progress: watch::Receiver<u64>,
    task: JoinHandle<anyhow::Result<Acknowledged>>,
}

/// By which protocol a writer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Keys below `load/`.
    Etcd,
    /// Nodes below `/load`.
    ZooKeeper,
}

/// Everything that was acknowledged.
#[derive(Debug, Default)]
pub struct Promised {
    /// Keys and values.
    pub etcd: Acknowledged,
    /// Paths and data.
    pub zookeeper: Acknowledged,
    /// Paths that kazoo created in a folder of its own, each with itself as its data.
    pub kazoo: Vec<String>,
}

/// A pause between writes: steady, not as fast as the machine can.
const PACE: Duration = Duration::from_millis(2);

/// How long one attempt to write may take before it counts as lost and is made again.
const ATTEMPT: Duration = Duration::from_secs(10);

impl Load {
    /// Starts `count` writers of each protocol, each with a connection of its own to the whole ensemble.
    ///
    /// # Errors
    /// Fails if a writer cannot connect.
    pub async fn start(etcd: &[String], zookeeper: &str, count: usize) -> anyhow::Result<Load> {
        let stop = watch::Sender::new(false);
        let mut writers = Vec::new();
        let setup = connect_zookeeper(zookeeper).await?;
        setup.create("/load", b"", &open(CreateMode::Persistent)).await.context("/load")?;
        for number in 0..count {
            let client = etcd_client::Client::connect(etcd, None).await?;
            writers.push(Writer::start(Protocol::Etcd, &stop, |told| write_etcd(client, number, told)));
            let client = connect_zookeeper(zookeeper).await?;
            let folder = format!("/load/{number}");
            setup.create(&folder, b"", &open(CreateMode::Persistent)).await.with_context(|| folder.clone())?;
            writers.push(Writer::start(Protocol::ZooKeeper, &stop, |told| write_zookeeper(client, folder, told)));
        }
        Ok(Load { stop, writers })
    }

    /// Waits until every writer was acknowledged that many further writes.
    ///
    /// # Errors
    /// Fails if one was not in time, or gave up.
    pub async fn advance(&mut self, further: u64) -> anyhow::Result<()> {
        for (number, writer) in self.writers.iter_mut().enumerate() {
            let goal = *writer.progress.borrow() + further;
            let reached = tokio::time::timeout(PATIENCE, writer.progress.wait_for(|count| *count >= goal)).await;
            match reached {
                Ok(Ok(_)) => {}
                Ok(Err(_)) => bail!("writer {number} ({:?}) gave up: {:?}", writer.protocol, (&mut writer.task).await),
                Err(_) => {
                    bail!("writer {number} ({:?}) was not acknowledged {further} writes in time", writer.protocol)
                }
            }
        }
        Ok(())
    }

    /// Stops all writers and returns what they were promised.
    ///
    /// # Errors
    /// Fails if one gave up before.
    pub async fn stop(self) -> anyhow::Result<Promised> {
        self.stop.send_replace(true);
        let mut promised = Promised::default();
        for writer in self.writers {
            let acknowledged = writer.task.await??;
            match writer.protocol {
                Protocol::Etcd => promised.etcd.extend(acknowledged),
                Protocol::ZooKeeper => promised.zookeeper.extend(acknowledged),
            }
        }
        Ok(promised)
    }
}

impl Writer {
    fn start<F>(protocol: Protocol, stop: &watch::Sender<bool>, work: impl FnOnce(Told) -> F) -> Writer
    where
        F: Future<Output = anyhow::Result<Acknowledged>> + Send + 'static,
    {
        let (sender, progress) = watch::channel(0);
        let task = tokio::spawn(work(Told { stop: stop.subscribe(), progress: sender }));
        Writer { protocol, progress, task }
    }
}

/// What a writer is told and tells.
struct Told {
    stop: watch::Receiver<bool>,
    progress: watch::Sender<u64>,
}

impl Told {
    /// Repeats an attempt until it succeeds; `None` once the writer is told to stop.
    async fn until_done<F>(&mut self, mut attempt: impl FnMut() -> F) -> anyhow::Result<Option<()>>
    where
        F: Future<Output = anyhow::Result<bool>>,
    {
        loop {
            let once = tokio::time::timeout(ATTEMPT, attempt());
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return Ok(None),
                done = once => match done {
                    Ok(Ok(true)) => return Ok(Some(())),
                    Ok(Ok(false)) | Err(_) => {}
                    Ok(Err(error)) => return Err(error),
                }
            }
            tokio::time::sleep(PACE).await;
        }
    }

    fn acknowledged(&self, count: usize) {
        self.progress.send_replace(count as u64);
    }
}

async fn write_etcd(client: etcd_client::Client, writer: usize, mut told: Told) -> anyhow::Result<Acknowledged> {
    let mut acknowledged = Acknowledged::new();
    for number in 0_u64.. {
        let (key, value) = (format!("load/{writer}/{number:08}"), format!("{writer} wrote {number}"));
        // Whatever the error is, the write may have been applied or not: writing it again is right in both cases.
        let attempt = || {
            let mut client = client.kv_client();
            let (key, value) = (key.clone(), value.clone());
            async move { Ok(client.put(key, value, None).await.is_ok()) }
        };
        let Some(()) = told.until_done(attempt).await? else { break };
        acknowledged.insert(key, value);
        told.acknowledged(acknowledged.len());
        tokio::time::sleep(PACE).await;
    }
    Ok(acknowledged)
}

async fn write_zookeeper(
    client: zookeeper_client::Client,
    folder: String,
    mut told: Told,
) -> anyhow::Result<Acknowledged> {
    let mut acknowledged = Acknowledged::new();
    for number in 0_u64.. {
        let (path, data) = (format!("{folder}/{number:08}"), format!("{folder} wrote {number}"));
        let attempt = || {
            let (client, path, data) = (client.clone(), path.clone(), data.clone());
            async move {
                match client.create(&path, data.as_bytes(), &open(CreateMode::Persistent)).await {
                    // The node exists if an attempt was applied whose answer was lost: an answer like any other.
                    Ok(_) | Err(zookeeper_client::Error::NodeExists) => Ok(true),
                    // The connection broke, in one of the ways in which this client tells it.
                    Err(
                        zookeeper_client::Error::ConnectionLoss
                        | zookeeper_client::Error::Timeout
                        | zookeeper_client::Error::Custom(_),
                    ) => Ok(false),
                    Err(error) => bail!("{path}: {error}"),
                }
            }
        };
        let Some(()) = told.until_done(attempt).await? else { break };
        acknowledged.insert(path, data);
        told.acknowledged(acknowledged.len());
        tokio::time::sleep(PACE).await;
    }
    Ok(acknowledged)
}

/// A node that anybody may do anything to.
#[must_use]
pub fn open(mode: CreateMode) -> CreateOptions<'static> {
    mode.with_acls(Acls::anyone_all())
}

/// The session timeout of ZooKeeper's clients in these tests.
pub const SESSION: Duration = Duration::from_secs(8);

/// A ZooKeeper client for one server or several, separated by commas.
///
/// # Errors
/// Fails if none answers.
pub async fn connect_zookeeper(servers: &str) -> anyhow::Result<zookeeper_client::Client> {
    let connector = zookeeper_client::Client::connector().with_session_timeout(SESSION);
    let connected = tokio::time::timeout(PATIENCE, connector.connect(servers)).await;
    connected.context("no session in time")?.with_context(|| format!("no session with {servers}"))
}

impl Promised {
    /// Checks that one member, asked alone, has everything that was promised.
    ///
    /// # Errors
    /// Fails with what is missing or different.
    pub async fn check(&self, name: &str, etcd: &str, zookeeper: &str) -> anyhow::Result<()> {
        ensure!(!self.etcd.is_empty() && !self.zookeeper.is_empty(), "nothing was promised, so nothing was tested");
        let found = all_of_etcd(etcd).await.with_context(|| format!("reading through {name}"))?;
        compare(&self.etcd, &found).with_context(|| format!("etcd's keys through {name}"))?;
        let found = all_of_zookeeper(zookeeper).await.with_context(|| format!("reading through {name}"))?;
        compare(&self.zookeeper, &found).with_context(|| format!("ZooKeeper's nodes through {name}"))?;
        let client = connect_zookeeper(zookeeper).await?;
        client.sync("/").await?;
        for path in &self.kazoo {
            let read = client.get_data(path).await;
            let (data, _) = read.with_context(|| format!("{path}, acknowledged to kazoo, through {name}"))?;
            ensure!(data == path.as_bytes(), "{path} through {name} holds {data:?}");
        }
        Ok(())
    }
}

fn compare(promised: &Acknowledged, found: &Acknowledged) -> anyhow::Result<()> {
    let lost: Vec<&String> =
        promised.iter().filter(|(key, value)| found.get(*key) != Some(value)).map(|(key, _)| key).collect();
    ensure!(lost.is_empty(), "{} of {} acknowledged writes are missing: {lost:?}", lost.len(), promised.len());
    Ok(())
}

/// Keys of one page of a range.
const PAGE: i64 = 2000;

async fn all_of_etcd(endpoint: &str) -> anyhow::Result<Acknowledged> {
    let mut client = etcd_client::Client::connect([endpoint], None).await?;
    let mut found = Acknowledged::new();
    let mut from = "load/".to_owned();
    loop {
        let options = GetOptions::new().with_range("load0").with_limit(PAGE);
        let page = client.get(from.as_bytes(), Some(options)).await?;
        for pair in page.kvs() {
            found.insert(pair.key_str()?.to_owned(), pair.value_str()?.to_owned());
        }
        match page.kvs().last() {
            Some(last) if page.more() => from = format!("{}\0", last.key_str()?),
            _ => return Ok(found),
        }
    }
}

async fn all_of_zookeeper(server: &str) -> anyhow::Result<Acknowledged> {
    let client = connect_zookeeper(server).await?;
    // Reads are served by the member itself: the barrier makes it as new as everything acknowledged before.
    client.sync("/load").await?;
    let mut found = Acknowledged::new();
    for folder in client.list_children("/load").await? {
        for name in client.list_children(&format!("/load/{folder}")).await? {
            let path = format!("/load/{folder}/{name}");
            let (data, _) = client.get_data(&path).await?;
            found.insert(path, String::from_utf8(data)?);
        }
    }
    Ok(found)
}
