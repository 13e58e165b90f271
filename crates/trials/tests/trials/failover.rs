//! Members are killed without warning while clients work.

use conclave_trials::clients::script;
use conclave_trials::ensemble::{Ensemble, Member};
use conclave_trials::load::{Load, Promised, connect_zookeeper, open};
use conclave_trials::process::Process;
use etcd_client::{Client, PutOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use zookeeper_client::{CreateMode, SessionId, SessionState};

/// Writers of each protocol.
const WRITERS: usize = 2;

/// Writes that every writer must have been acknowledged before and after a kill.
const WRITES: u64 = 50;

/// How often the leader is killed in one test.
const KILLS: usize = 3;

/// Seconds that a lease lives without its client.
const LEASE: i64 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_leader_loses_nothing_and_nobody() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let session = Session::start(&ensemble).await;
    let mut kazoo = Kazoo::start(&ensemble);
    let mut lease = Lease::start(&ensemble.etcd()).await;
    let mut load = Load::start(&ensemble.etcd(), &ensemble.zookeeper(), WRITERS).await.unwrap();

    for _ in 0..KILLS {
        load.advance(WRITES).await.unwrap();
        kazoo.advance(WRITES);
        let leader = ensemble.leader_known_by("m1").unwrap();
        let survivor = other_than(&ensemble, &leader);
        ensemble.kill(&leader).unwrap();
        let next = ensemble.leader_other_than(&survivor, &leader).unwrap();
        assert_ne!(next, leader);
        // The other two serve on: writes, sessions and leases.
        load.advance(WRITES).await.unwrap();
        kazoo.advance(WRITES);
        lease.kept_again().await;
        ensemble.bring_back(&leader).unwrap();
        ensemble.leader_known_by(&leader).unwrap();
    }

    let mut promised = load.stop().await.unwrap();
    kazoo.stop(&mut promised);
    lease.stop().await;
    session.stop().await;
    check_everywhere(&promised, ensemble.members()).await;
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_all_members_at_once_loses_nothing() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let mut load = Load::start(&ensemble.etcd(), &ensemble.zookeeper(), WRITERS).await.unwrap();
    let names: Vec<String> = ensemble.members().iter().map(|member| member.name.clone()).collect();
    for _ in 0..2 {
        load.advance(WRITES).await.unwrap();
        for name in &names {
            ensemble.kill(name).unwrap();
        }
        for name in &names {
            ensemble.bring_back(name).unwrap();
        }
        // The writers find the ensemble again by themselves.
        load.advance(WRITES).await.unwrap();
    }
    let promised = load.stop().await.unwrap();
    for name in &names {
        ensemble.kill(name).unwrap();
    }
    for name in &names {
        ensemble.bring_back(name).unwrap();
    }
    for name in &names {
        ensemble.leader_known_by(name).unwrap();
    }
    check_everywhere(&promised, ensemble.members()).await;
    ensemble.stop().unwrap();
}

fn other_than(ensemble: &Ensemble, name: &str) -> String {
    let other = ensemble.members().iter().find(|member| member.name != name);
    other.expect("there are three members").name.clone()
}

async fn check_everywhere(promised: &Promised, members: &[Member]) {
    for member in members {
        promised.check(&member.name, &member.etcd, &member.zookeeper).await.unwrap();
    }
}

/// A session of the Rust client, with a node that lives as long as it does.
struct Session {
    client: zookeeper_client::Client,
    id: SessionId,
    owner: i64,
}

impl Session {
    async fn start(ensemble: &Ensemble) -> Session {
        let client = connect_zookeeper(&ensemble.zookeeper()).await.unwrap();
        client.create("/session", b"", &open(CreateMode::Ephemeral)).await.unwrap();
        let owner = client.check_stat("/session").await.unwrap().unwrap().ephemeral_owner;
        Session { id: client.session_id(), client, owner }
    }

    /// The session is the same, and so is what it holds.
    async fn stop(self) {
        let mut states = self.client.state_watcher();
        while states.peek_state() != SessionState::SyncConnected {
            assert!(!states.peek_state().is_terminated(), "the session ended: {:?}", states.peek_state());
            states.changed().await;
        }
        let stat = self.client.check_stat("/session").await.unwrap().expect("the node of a living session is gone");
        assert_eq!(stat.ephemeral_owner, self.owner);
        assert_eq!(self.client.session_id(), self.id);
    }
}

/// A session of kazoo that writes steadily.
struct Kazoo {
    process: Process,
    session: String,
    acknowledged: Vec<String>,
}

impl Kazoo {
    fn start(ensemble: &Ensemble) -> Kazoo {
        let mut process = script("session.py", &[&ensemble.zookeeper(), "/load-kazoo"]).unwrap();
        let line = process.hear("a session", |line| line.starts_with("session ")).unwrap();
        Kazoo { process, session: line.replace("session ", ""), acknowledged: Vec::new() }
    }

    /// Waits until that many further writes were acknowledged.
    fn advance(&mut self, further: u64) {
        for line in self.process.rest() {
            self.heard(&line);
        }
        let goal = self.acknowledged.len() + usize::try_from(further).unwrap();
        while self.acknowledged.len() < goal {
            let line = self.process.hear("a further line", |_| true).unwrap();
            self.heard(&line);
        }
    }

    fn heard(&mut self, line: &str) {
        assert!(line != "expired" && line != "state LOST", "kazoo lost its session");
        if let Some(path) = line.strip_prefix("acknowledged ") {
            self.acknowledged.push(path.to_owned());
        }
    }

    /// The session is the same; what it was promised joins the rest.
    fn stop(mut self, promised: &mut Promised) {
        self.process.tell("stop").unwrap();
        let still = format!("still {}", self.session);
        let mut lines = Vec::new();
        self.process
            .hear("the same session", |line| {
                lines.push(line.to_owned());
                line == still
            })
            .unwrap();
        for line in lines {
            self.heard(&line);
        }
        assert!(!self.acknowledged.is_empty());
        // Its nodes lie beside those of the other writers and are checked by the same reader.
        promised.kazoo.extend(self.acknowledged);
    }
}

/// A lease kept alive by the Rust client, with a key that lives as long as it does.
struct Lease {
    kept: watch::Receiver<u64>,
    stop: watch::Sender<bool>,
    keeper: JoinHandle<()>,
    id: i64,
    endpoints: Vec<String>,
}

impl Lease {
    async fn start(endpoints: &[String]) -> Lease {
        let mut client = Client::connect(endpoints, None).await.unwrap();
        let id = client.lease_grant(LEASE, None).await.unwrap().id();
        client.put("leased", "alive", Some(PutOptions::new().with_lease(id))).await.unwrap();
        let (sender, kept) = watch::channel(0);
        let stop = watch::Sender::new(false);
        let keeper = tokio::spawn(keep(client, id, sender, stop.subscribe()));
        Lease { kept, stop, keeper, id, endpoints: endpoints.to_vec() }
    }

    /// Waits for an answer to a keepalive that was sent from now on.
    async fn kept_again(&mut self) {
        let goal = *self.kept.borrow() + 2;
        self.kept.wait_for(|kept| *kept >= goal).await.expect("the keeper lost its lease");
    }

    /// The lease lives, and so does its key.
    async fn stop(self) {
        self.stop.send_replace(true);
        self.keeper.await.unwrap();
        // A client of its own: the keeper's may still report a connection that failed while a member was down.
        let mut client = Client::connect(&self.endpoints, None).await.unwrap();
        let left = client.lease_time_to_live(self.id, None).await.unwrap();
        assert!(left.ttl() > 0, "the lease ran out although it was kept alive");
        let read = client.get("leased", None).await.unwrap();
        assert_eq!(read.kvs()[0].value(), b"alive");
        assert_eq!(read.kvs()[0].lease(), self.id);
    }
}

/// Keeps a lease alive as a careful client does: when the stream breaks, it opens another.
async fn keep(mut client: Client, id: i64, kept: watch::Sender<u64>, mut stop: watch::Receiver<bool>) {
    loop {
        let keeping = async {
            let (mut keeper, mut answers) = client.lease_keep_alive(id).await?;
            loop {
                keeper.keep_alive().await?;
                let Some(answer) = answers.message().await? else { return Ok(()) };
                assert!(answer.ttl() > 0, "the lease ran out although it was kept alive");
                kept.send_modify(|kept| *kept += 1);
                tokio::time::sleep(PACE).await;
            }
        };
        let ended: Result<(), etcd_client::Error> = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            ended = keeping => ended,
        };
        // A broken stream is the everyday fate of a client whose member was killed.
        drop(ended);
        tokio::time::sleep(PACE).await;
    }
}

/// The pause between keepalives.
const PACE: std::time::Duration = std::time::Duration::from_millis(100);
