//! What a user does about disks: backups taken and restored, and members whose files were damaged or lost.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use conclave_trials::clients::etcdctl;
use conclave_trials::ensemble::{Ensemble, Member, serve};
use conclave_trials::load::Load;
use conclave_trials::process::{Printed, run};
use conclave_trials::{PATIENCE, admin, binary};
use serde_json::Value;

/// Writes of every writer before a log is damaged.
const WRITES: u64 = 30;

/// Runs the binary with these arguments to its end.
fn conclave(arguments: &[&str]) -> Printed {
    run(Command::new(binary()).args(arguments), "").unwrap()
}

/// The same, for what must succeed: what it printed.
fn well(arguments: &[&str]) -> String {
    let Printed { success, output, errors, .. } = conclave(arguments);
    assert!(success, "conclave {arguments:?}:\n{output}{errors}");
    output
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The revision of a member's state, as etcd's clients see it.
fn revision(member: &Member) -> u64 {
    let status = etcdctl(&member.etcd, &["endpoint", "status", "-w", "json"], "").unwrap();
    let status: Value = serde_json::from_str(&status).unwrap();
    status[0]["Status"]["header"]["revision"].as_u64().unwrap()
}

/// All lines that `conclave log dump --json` prints of a data folder, and whether it found the log whole.
fn dump(data: &Path) -> (Vec<Value>, bool) {
    let printed = conclave(&["log", "dump", "--json", "--data", text(data)]);
    (printed.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), printed.success)
}

/// Waits until what is written there contains all of these words.
fn wait_for_words(what: &str, read: impl Fn() -> String, words: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = read();
        if words.iter().all(|word| told.contains(word)) {
            return;
        }
        assert!(Instant::now() < deadline, "{what} does not say {words:?}:\n{told}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a member has applied all that another has, and compares the hashes there. What is applied is no standing of
/// which members tell by themselves.
fn wait_for_same_state(member: &Member, other: &Member) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let [own, others] = [member, other].map(|one| admin::status(&one.admin).unwrap());
        if own["hash_at"] == others["hash_at"] {
            assert_eq!(own["hash"], others["hash"], "at {}", own["hash_at"]);
            return;
        }
        assert!(Instant::now() < deadline, "{own} did not come to {others}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn diary(member: &Member) -> String {
    // One that does not answer yet has said nothing yet.
    admin::get(&member.admin, "/diary?limit=100000").map(|(_, diary)| diary).unwrap_or_default()
}

fn log(member: &Member) -> String {
    std::fs::read_to_string(member.config.with_extension("log")).unwrap()
}

#[test]
fn a_backup_becomes_a_new_ensemble_with_a_history_of_its_own() {
    let old = Ensemble::start(3).unwrap();
    let source = &old.members()[0];
    for number in 0..5 {
        etcdctl(&source.etcd, &["put", &format!("key/{number}"), &format!("value {number}")], "").unwrap();
    }
    let keys = etcdctl(&source.etcd, &["get", "key/", "--prefix"], "").unwrap();
    assert_eq!(keys.lines().count(), 10, "{keys}");
    let before = revision(source);

    let file = old.data().join("backup");
    let saved = well(&["snapshot", "save", "--admin", &source.admin, text(&file)]);
    assert!(saved.contains(&format!("whole; revision {before},")), "{saved}");
    let verified = well(&["snapshot", "verify", text(&file)]);
    assert!(verified.contains(&format!("whole; revision {before},")), "{verified}");
    let again = conclave(&["snapshot", "save", "--admin", &source.admin, text(&file)]);
    assert!(!again.success && again.errors.contains("exists already"), "{}", again.errors);

    let mut new = Ensemble::start(1).unwrap();
    let target = new.members()[0].clone();
    new.kill(&target.name).unwrap();
    let restore = ["snapshot", "restore", text(&file), "--config", text(&target.config)];
    assert!(!conclave(&restore).success, "a folder that holds a member is not written over");
    std::fs::remove_dir_all(&target.data).unwrap();
    well(&restore);
    new.bring_back(&target.name).unwrap();
    new.leader_known_by(&target.name).unwrap();
    assert_eq!(etcdctl(&target.etcd, &["get", "key/", "--prefix"], "").unwrap(), keys);
    assert!(revision(&target) > before, "revisions never go back: {} after {before}", revision(&target));
    etcdctl(&target.etcd, &["put", "key/0", "new"], "").unwrap();

    let place = (before + 1).to_string();
    let watched = run(
        Command::new("etcdctl").env("ETCDCTL_API", "3").args([
            "--endpoints",
            &target.etcd,
            "watch",
            "key/",
            "--prefix",
            "--rev",
            &place,
        ]),
        "",
    )
    .unwrap();
    let told = format!("{}{}", watched.output, watched.errors);
    assert!(told.contains("required revision has been compacted"), "{told}");

    // One byte of it changed is found.
    flip(&file, std::fs::metadata(&file).unwrap().len() / 2);
    let damaged = conclave(&["snapshot", "verify", text(&file)]);
    assert!(!damaged.success && damaged.errors.contains("is no whole backup"), "{}", damaged.errors);
}

/// Changes one byte of a file.
fn flip(file: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[!byte[0]], offset).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_flipped_in_the_log_is_named_and_healed_by_the_peers() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let mut load = Load::start(&ensemble.etcd(), &ensemble.zookeeper(), 1).await.unwrap();
    load.advance(WRITES).await.unwrap();
    let promised = load.stop().await.unwrap();
    let leader = ensemble.leader_known_by("m1").unwrap();
    let member = ensemble.members().iter().find(|member| member.name != leader).unwrap().clone();
    ensemble.kill(&member.name).unwrap();

    let verified = well(&["log", "verify", "--data", text(&member.data)]);
    assert!(verified.contains("records"), "{verified}");
    let (lines, whole) = dump(&member.data);
    assert!(whole, "{lines:?}");
    let records: Vec<&Value> =
        lines.iter().filter(|line| line["sequence"].is_u64() && line["offset"].is_u64()).collect();
    assert!(records.len() as u64 > WRITES, "{} records", records.len());
    let keys = lines.iter().filter(|line| line.to_string().contains("\"key\":")).count();
    assert!(keys as u64 > WRITES, "rows of known tables are shown as such: {lines:?}");

    let middle = records[records.len() / 2];
    let (file, offset) = (middle["file"].as_str().unwrap(), middle["offset"].as_u64().unwrap());
    flip(&member.data.join("log").join(file), offset + HEADER_BYTES);
    let found = conclave(&["log", "verify", "--data", text(&member.data)]);
    let place = offset.to_string();
    assert!(!found.success && found.errors.contains(file) && found.errors.contains(&place), "{}", found.errors);
    let (damaged, whole) = dump(&member.data);
    assert!(!whole && damaged.len() < lines.len(), "what stands before the damage is shown, and no more");
    assert!(damaged.contains(records[records.len() / 2 - 1]), "{damaged:?}");

    ensemble.bring_back(&member.name).unwrap();
    wait_for_words("the diary", || diary(&member), &[file, &place, "does not vote before"]);
    let other = ensemble.member(&leader);
    wait_for_same_state(&member, other);
    promised.check(&member.name, &member.etcd, &member.zookeeper).await.unwrap();
    // It counts again: with the third gone, nothing is committed without it.
    let third =
        ensemble.members().iter().find(|one| one.name != leader && one.name != member.name).unwrap().name.clone();
    ensemble.kill(&third).unwrap();
    etcdctl(&member.etcd, &["put", "after", "all"], "").unwrap();
    assert_eq!(well(&["log", "verify", "--data", text(&member.data)]).lines().count(), 1);
}

/// The header of a record; its body follows (`docs/formats.md`).
const HEADER_BYTES: u64 = 48;

#[test]
fn an_emptied_folder_under_an_old_id_is_refused_by_the_peers() {
    let mut ensemble = Ensemble::start(3).unwrap();
    let leader = ensemble.leader_known_by("m1").unwrap();
    let [lost, peer] = {
        let mut others = ensemble.members().iter().filter(|member| member.name != leader);
        [(); 2].map(|()| others.next().unwrap().clone())
    };
    etcdctl(&peer.etcd, &["put", "key", "value"], "").unwrap();
    ensemble.kill(&lost.name).unwrap();
    std::fs::remove_dir_all(&lost.data).unwrap();
    let own = ensemble.data().join("emptied.log");
    let _emptied = serve(&lost.config, &own).unwrap();

    let words = ["is not who it was", "remove it and add a new member with a new id"];
    wait_for_words("its peer", || log(&peer), &words);
    wait_for_words("the leader", || log(ensemble.member(&leader)), &words);
    wait_for_words("the member itself", || std::fs::read_to_string(&own).unwrap(), &words);
    // With the peer gone only the emptied one could make a majority, and it is none.
    ensemble.kill(&peer.name).unwrap();
    admin::wait_until(&ensemble.member(&leader).admin, "no majority", |report| report["can_commit"] == false).unwrap();
}
