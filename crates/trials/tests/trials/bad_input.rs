//! What nobody should send, and what nobody should configure: a clear answer, and no harm to anybody else.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use conclave_trials::clients::script;
use conclave_trials::ensemble::{Ensemble, Member, serve};
use conclave_trials::load::{connect_zookeeper, open};
use conclave_trials::process::run;
use conclave_trials::{PATIENCE, admin, binary};
use etcd_client::Client;
use rustix::process::Signal;
use zookeeper_client::{CreateMode, EventType};

/// Somebody who uses the same member meanwhile, and must notice nothing.
struct Bystander {
    etcd: Client,
    zookeeper: zookeeper_client::Client,
    /// Leader and term in the beginning.
    standing: (serde_json::Value, serde_json::Value),
    admin: String,
    writes: u32,
}

impl Bystander {
    async fn at(member: &Member) -> Bystander {
        let status = admin::status(&member.admin).unwrap();
        let zookeeper = connect_zookeeper(&member.zookeeper).await.unwrap();
        zookeeper.create("/bystander", b"", &open(CreateMode::Ephemeral)).await.unwrap();
        Bystander {
            etcd: Client::connect([&member.etcd], None).await.unwrap(),
            zookeeper,
            standing: (status["leader"].clone(), status["term"].clone()),
            admin: member.admin.clone(),
            writes: 0,
        }
    }

    /// The same connections still serve, and nobody had to elect a leader.
    async fn is_well(&mut self, after: &str) {
        self.writes += 1;
        let value = self.writes.to_string();
        self.etcd.put("bystander", value.as_str(), None).await.unwrap_or_else(|error| panic!("after {after}: {error}"));
        let read = self.etcd.get("bystander", None).await.unwrap();
        assert_eq!(read.kvs()[0].value_str().unwrap(), value);
        let set = self.zookeeper.set_data("/bystander", value.as_bytes(), None).await;
        set.unwrap_or_else(|error| panic!("after {after}: {error}"));
        let status = admin::status(&self.admin).unwrap();
        assert_eq!((&status["leader"], &status["term"]), (&self.standing.0, &self.standing.1), "after {after}");
    }
}

/// All addresses of a member, by what they are for.
fn ports(member: &Member) -> [(&'static str, String); 4] {
    let status = admin::status(&member.admin).unwrap();
    let members = status["members"].as_array().unwrap();
    let own = members.iter().find(|candidate| candidate["name"] == member.name.as_str()).unwrap();
    [
        ("zookeeper", member.zookeeper.clone()),
        ("etcd", member.etcd.clone()),
        ("peer", own["peer"].as_str().unwrap().to_owned()),
        ("admin", member.admin.clone()),
    ]
}

/// Sends bytes and waits until the other side closes the connection. `more` keeps our half open, so that only a refusal
/// can end it.
fn send_and_be_refused(address: &str, bytes: &[u8], more: bool) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The other side may close before all is sent, or while.
    let _ = stream.write_all(bytes);
    if !more {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{address} keeps the connection: {error}");
    }
}

/// Bytes without sense, the same in every run.
fn garbage(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_any_port_harms_nobody_else() {
    let ensemble = Ensemble::start(3).unwrap();
    let member = &ensemble.members()[0];
    let mut bystander = Bystander::at(member).await;
    for (port, address) in ports(member) {
        for seed in 0..8 {
            send_and_be_refused(&address, &garbage(seed, 1 << (2 * seed)), false);
        }
        for bytes in
            [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0\0\0\0", b"\0\0\0\x01", b"\xff\xff\xff\xff", b"\x16\x03\x01", b""]
        {
            send_and_be_refused(&address, bytes, false);
        }
        bystander.is_well(&format!("garbage on the {port} port")).await;
    }
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_frames_are_refused_at_once() {
    let ensemble = Ensemble::start(3).unwrap();
    let member = &ensemble.members()[0];
    let mut bystander = Bystander::at(member).await;
    let mut http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // A frame of sixteen megabytes where sixteen kilobytes are allowed.
    http2.extend(b"\xff\xff\xff\0\0\0\0\0\x01");
    http2.extend(garbage(1, 1 << 16));
    for (port, address) in ports(member) {
        let frame: Vec<u8> = match port {
            "zookeeper" => b"\x7f\xff\xff\xff".to_vec(),
            "etcd" => http2.clone(),
            "admin" => [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 4 << 20]].concat(),
            _ => vec![0xff; 64],
        };
        send_and_be_refused(&address, &frame, true);
        bystander.is_well(&format!("an oversized frame on the {port} port")).await;
    }
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_requests_are_refused_with_the_error_that_clients_know() {
    let ensemble = Ensemble::start(3).unwrap();
    let member = &ensemble.members()[0];
    let mut bystander = Bystander::at(member).await;

    let mut etcd = Client::connect([&member.etcd], None).await.unwrap();
    let refused = etcd.put("big", vec![b'x'; 1_700_000], None).await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: request is too large"), "{refused}");
    etcd.put("big", vec![b'x'; 16 << 20], None).await.expect_err("sixteen megabytes are too much");
    assert_eq!(etcd.get("big", None).await.unwrap().count(), 0);

    let zookeeper = connect_zookeeper(&member.zookeeper).await.unwrap();
    let big = vec![b'x'; 2 << 20];
    zookeeper.create("/big", &big, &open(CreateMode::Persistent)).await.expect_err("two megabytes are too much");
    bystander.is_well("oversized requests").await;
    assert_eq!(bystander.zookeeper.check_stat("/big").await.unwrap(), None);
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_harm_nobody_else() {
    let ensemble = Ensemble::start_with(3, &["zookeeper.handshake_timeout=1s"]).unwrap();
    let member = &ensemble.members()[0];
    let mut bystander = Bystander::at(member).await;
    let mut held = Vec::new();
    for (port, address) in ports(member) {
        let start: &[u8] = match port {
            "zookeeper" => b"\0\0\0\x2d\0\0",
            "etcd" => b"PRI * HTTP/2.0\r\n",
            "admin" => b"GET /hea",
            _ => b"",
        };
        for _ in 0..40 {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.write_all(start).unwrap();
            held.push(stream);
        }
        bystander.is_well(&format!("half-open connections on the {port} port")).await;
    }
    // Those that never finish their first request are not kept.
    let mut stream = TcpStream::connect(&member.zookeeper).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the connection is kept without a session");
    ensemble.stop().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_loses_its_session_and_nobody_else_does() {
    let ensemble = Ensemble::start_with(3, &["zookeeper.tick=200ms"]).unwrap();
    let mut bystander = Bystander::at(&ensemble.members()[1]).await;
    let mut kazoo = script("session.py", &[&ensemble.members()[0].zookeeper, "/hangs"]).unwrap();
    kazoo.hear("a session", |line| line.starts_with("session ")).unwrap();
    bystander.zookeeper.sync("/hangs").await.unwrap();
    let (stat, watcher) = bystander.zookeeper.check_and_watch_stat("/hangs/alive").await.unwrap();
    assert!(stat.is_some());
    kazoo.signal(Signal::STOP).unwrap();
    let event = tokio::time::timeout(PATIENCE, watcher.changed()).await.expect("the session of a hanging client stays");
    assert_eq!(event.event_type, EventType::NodeDeleted);
    bystander.is_well("a client that hangs").await;
    ensemble.stop().unwrap();
}

/// A member alone, configured by hand.
struct Solo {
    folder: tempfile::TempDir,
    ports: [u16; 4],
}

impl Solo {
    fn new() -> Solo {
        // Held until all are known, so that they differ.
        let held: Vec<TcpListener> = (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        Solo { folder: tempfile::tempdir().unwrap(), ports: ports.try_into().unwrap() }
    }

    /// A configuration file of this name, after `change` had its way with it.
    fn config(&self, file: &str, change: impl Fn(String) -> String) -> PathBuf {
        let [peer, etcd, zookeeper, admin] = self.ports;
        let text = format!(
            "ensemble = \"solo\"\nmember = \"m1\"\ndata = \"data\"\n\n[[members]]\nid = 1\nname = \"m1\"\n\
             peer = \"127.0.0.1:{peer}\"\netcd = \"127.0.0.1:{etcd}\"\nzookeeper = \"127.0.0.1:{zookeeper}\"\n\
             admin = \"127.0.0.1:{admin}\"\n"
        );
        let path = self.folder.path().join(file);
        fs::write(&path, change(text)).unwrap();
        path
    }

    fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.ports[3])
    }

    /// Runs the member until it can commit, then stops it cleanly.
    fn live_once(&self) {
        let config = self.config("m1.toml", |text| text);
        let mut process = serve(&config, &self.folder.path().join("m1.log")).unwrap();
        admin::wait_until(&self.admin(), "a leader", |report| report["can_commit"] == true).unwrap();
        process.signal(Signal::TERM).unwrap();
        assert!(process.ended().unwrap().0.success());
    }
}

/// A member with this configuration must not start, and says why in these words.
fn refused(config: &Path, words: &[&str]) {
    let printed = run(Command::new(binary()).arg("serve").arg("--config").arg(config), "").unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    for word in words {
        assert!(printed.errors.contains(word), "{word:?} is not said:\n{}", printed.errors);
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_one() {
    let solo = Solo::new();
    let config = solo.config("m1.toml", |text| format!("{text}\n[timing]\nheartbeet = \"50ms\"\n"));
    refused(&config, &["m1.toml:14", "timing.heartbeet", "the nearest known one is \"timing.heartbeat\""]);
    assert!(!solo.folder.path().join("data").exists(), "the data folder was touched");
}

#[test]
fn a_missing_configuration_file_is_named() {
    let solo = Solo::new();
    refused(&solo.folder.path().join("nowhere.toml"), &["nowhere.toml", "cannot be read"]);
}

#[test]
fn the_data_folder_of_another_member_is_refused_and_left_as_it_is() {
    let solo = Solo::new();
    solo.live_once();
    let second = |text: String| text.replace("\"m1\"", "\"m2\"").replace("id = 1", "id = 2");
    refused(&solo.config("m2.toml", second), &["data", "belongs to", "m1", "m2"]);
    let foreign = |text: String| text.replace("\"solo\"", "\"other\"");
    refused(&solo.config("other.toml", foreign), &["data", "belongs to", "solo", "other"]);
    solo.live_once();
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let solo = Solo::new();
    let config = solo.config("m1.toml", |text| text);
    let _running = serve(&config, &solo.folder.path().join("m1.log")).unwrap();
    admin::wait_until(&solo.admin(), "a leader", |report| report["can_commit"] == true).unwrap();
    let elsewhere = Solo::new();
    let data = solo.folder.path().join("data");
    let same_data = elsewhere.config("m1.toml", |text| text.replace("\"data\"", &format!("{data:?}")));
    refused(&same_data, &["data", "is in use"]);
    assert_eq!(admin::get(&solo.admin(), "/health").unwrap().0, 200);
}

#[test]
fn a_port_in_use_is_named_with_its_key() {
    for (place, name) in ["peer", "etcd", "zookeeper", "admin"].into_iter().enumerate() {
        let solo = Solo::new();
        let address = format!("127.0.0.1:{}", solo.ports[place]);
        let _taken = TcpListener::bind(&address).unwrap();
        let config = solo.config("m1.toml", |text| text);
        refused(&config, &[&address, &format!("members.{name}"), "another process has the port"]);
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let solo = Solo::new();
    fs::write(solo.folder.path().join("data"), "a file where the folder should be").unwrap();
    refused(&solo.config("m1.toml", |text| text), &["data"]);
    fs::write(solo.folder.path().join("flat"), "").unwrap();
    refused(&solo.config("deep.toml", |text| text.replace("\"data\"", "\"flat/below\"")), &["flat/below"]);
}
