//! What a configuration file may say, and how it is refused. Every test enters through [`check`] or [`load`].

use std::path::Path;
use std::time::Duration;

use super::*;

const MEMBERS: &str = r#"
[[members]]
id = 1
name = "m1"
peer = "127.0.0.1:7271"
etcd = "127.0.0.1:2379"
zookeeper = "127.0.0.1:2181"
admin = "127.0.0.1:7281"
"#;

/// A file that is complete but for what a test adds: `top` before the first section, `sections` at the end.
fn file(top: &str, sections: &str) -> String {
    format!("ensemble = \"e\"\nmember = \"m1\"\ndata = \"d\"\n{top}\n{MEMBERS}\n{sections}\n")
}

fn load(text: &str) -> Result<Loaded, Refused> {
    parse(Path::new("folder/m1.toml"), text)
}

fn check(text: &str, problems: &[&str]) {
    let refused = load(text).expect_err("the file must be refused");
    assert_eq!(refused.0, problems);
}

#[test]
fn a_complete_file_is_read() {
    let loaded = load(&file("", "[timing]\nheartbeat = \"20ms\"\n[limits]\nqueue_items = 99")).unwrap();
    let configuration = loaded.configuration;
    assert_eq!(configuration.timing.heartbeat, Duration::from_millis(20));
    assert_eq!(configuration.limits.queue_items, 99);
    assert_eq!(configuration.data_folder(), Path::new("folder/d"));
    assert_eq!(configuration.listen_on(Port::Etcd).address, "127.0.0.1:2379");
    assert_eq!(configuration.listen_on(Port::Etcd).key, "members.etcd of m1");
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn an_address_to_listen_on_goes_before_the_advertised_one() {
    let loaded = load(&file("", "[listen]\netcd = \"0.0.0.0:9000\"\npeer = \"0.0.0.0:9001\"")).unwrap();
    let listen = loaded.configuration.listen_on(Port::Etcd);
    assert_eq!((listen.address, listen.key.as_str()), ("0.0.0.0:9000", "listen.etcd"));
    assert_eq!(loaded.configuration.node_options().listen_peer.as_deref(), Some("0.0.0.0:9001"));
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
    check(
        &file("", "[timing]\nheartbaet = \"50ms\""),
        &[r#"folder/m1.toml:15: the key "timing.heartbaet" is unknown; the nearest known one is "timing.heartbeat""#],
    );
    check(
        &file("memebr = 3", ""),
        &[r#"folder/m1.toml:4: the key "memebr" is unknown; the nearest known one is "member""#],
    );
}

#[test]
fn an_unknown_key_of_a_member_is_refused() {
    check(
        &file("", "").replace("admin =", "zookeper ="),
        &[
            r#"folder/m1.toml:12: the key "members.zookeper" is unknown; the nearest known one is "members.zookeeper""#,
            r#"folder/m1.toml:6: the key "members.admin" is missing for this member: Where probes, metrics and people reach it, by HTTP."#,
        ],
    );
}

#[test]
fn a_value_out_of_range_names_the_key_the_value_and_the_range() {
    check(
        &file("", "[timing]\nheartbeat = \"2h\""),
        &[r#"folder/m1.toml:15: timing.heartbeat = "2h" is out of range: allowed are 5ms to 10s"#],
    );
    check(
        &file("", "[limits]\nqueue_items = 1"),
        &[r#"folder/m1.toml:15: limits.queue_items = "1" is out of range: allowed are 16 to 16777216"#],
    );
}

#[test]
fn values_of_the_wrong_kind_are_refused() {
    check(
        &file("", "[timing]\nheartbeat = 50"),
        &[
            r#"folder/m1.toml:15: timing.heartbeat = "50" is not understood: a whole number with one of the units ms, s, m, h is needed, as in "50ms""#,
        ],
    );
    check(
        &file("", "[timing]\nheartbeat = true"),
        &["folder/m1.toml:15: timing.heartbeat is a boolean; allowed is 5ms to 10s"],
    );
    check(
        &file("", "[limits]\nrequest_bytes = \"1 pc\""),
        &["folder/m1.toml:15: limits.request_bytes = \"1 pc\" is not understood: \
             a whole number with one of the units B, KiB, MiB, GiB is needed, as in \"4MiB\""],
    );
}

#[test]
fn addresses_are_checked() {
    for (address, problem) in [
        ("localhost", "is not an address: host:port is needed"),
        (":2379", "names no host: host:port is needed"),
        ("h:0", "has the port \"0\": allowed are 1 to 65535"),
        ("h:70000", "has the port \"70000\": allowed are 1 to 65535"),
        ("::1:2379", "is not an address: an IPv6 host stands between brackets, as in [::1]:2379"),
    ] {
        check(
            &file("", &format!("[listen]\netcd = {address:?}")),
            &[&format!("folder/m1.toml:15: listen.etcd = {address:?} {problem}")],
        );
    }
    assert!(load(&file("", "[listen]\netcd = \"[::1]:2379\"")).is_ok());
}

#[test]
fn all_problems_are_reported_together() {
    check(
        "ensemble = \"e\"\nmembre = \"m1\"\n",
        &[
            r#"folder/m1.toml:2: the key "membre" is unknown; the nearest known one is "member""#,
            r#"folder/m1.toml:1: the key "member" is missing: This member's name: one of those under `members`."#,
            r#"folder/m1.toml:1: the key "data" is missing: The data folder. A relative path starts at the folder of the configuration file."#,
        ],
    );
}

#[test]
fn broken_toml_is_refused_with_its_line() {
    let refused = load("ensemble = \"e\"\nmember = m1\n").unwrap_err();
    assert!(refused.0[0].starts_with("folder/m1.toml:2: "), "{refused}");
}

#[test]
fn members_that_contradict_each_other_are_refused() {
    check(
        &file("", "").replace("member = \"m1\"", "member = \"m7\""),
        &[r#"folder/m1.toml: member = "m7" is not among the members listed: m1"#],
    );
    check(
        &file("", MEMBERS),
        &[
            "folder/m1.toml: members.id = 1 is given to both m1 and m1",
            "folder/m1.toml: members.name = \"m1\" is given to two members",
            "folder/m1.toml: members.peer of m1 and members.peer of m1 are the same address, 127.0.0.1:7271",
            "folder/m1.toml: members.etcd of m1 and members.etcd of m1 are the same address, 127.0.0.1:2379",
            "folder/m1.toml: members.zookeeper of m1 and members.zookeeper of m1 are the same address, 127.0.0.1:2181",
            "folder/m1.toml: members.admin of m1 and members.admin of m1 are the same address, 127.0.0.1:7281",
        ],
    );
}

#[test]
fn timing_that_cannot_work_is_refused_and_foolish_timing_warned_of() {
    check(
        &file("", "[timing]\nheartbeat = \"400ms\""),
        &[
            "folder/m1.toml: timing.election_min = 300ms must be longer than timing.heartbeat = 400ms, or every pause deposes the leader",
        ],
    );
    let warnings = load(&file("", "[timing]\nheartbeat = \"100ms\"")).unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "timing.election_min = 300ms is less than four heartbeats of 100ms: a few late packets will depose a healthy leader"
        ]
    );
}

#[test]
fn every_default_is_accepted_by_its_own_key() {
    for key in keys::KEYS.iter().copied().flatten().filter(|key| key.presence == keys::Presence::Default) {
        let shown = key.kind.show(&mut Configuration::default());
        if matches!(
            key.kind,
            values::Kind::OptionalTime(..) | values::Kind::OptionalText(..) | values::Kind::OptionalBytes(..)
        ) {
            continue;
        }
        let mut read = Configuration::default();
        key.kind.read(&mut read, &shown).unwrap_or_else(|problem| panic!("{} = {shown} {problem}", key.name));
        assert_eq!(key.kind.show(&mut read), shown, "{}", key.name);
    }
}

#[test]
fn the_example_in_the_reference_is_a_file_without_faults() {
    let loaded = load(reference::example()).unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

#[test]
fn the_reference_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = std::fs::read_to_string(&path).expect("docs/configuration.md exists");
    let page = page();
    let stale = written.lines().zip(page.lines()).find(|(old, new)| old != new);
    let current = written == page;
    assert!(current, "{stale:?}\nwrite it anew: cargo run -- config keys --markdown > docs/configuration.md");
}

#[test]
fn only_what_all_members_share_can_be_set_on_all() {
    assert_eq!(settable_on_all("timing.heartbeat", "20ms"), Ok(()));
    assert_eq!(
        settable_on_all("timing.heartbeat", "2h"),
        Err(r#"timing.heartbeat = "2h" is out of range: allowed are 5ms to 10s"#.to_owned())
    );
    assert_eq!(
        settable_on_all("timing.hartbeat", "20ms"),
        Err(r#"the key "timing.hartbeat" is unknown; the nearest known one is "timing.heartbeat""#.to_owned())
    );
    for name in ["member", "data", "listen.etcd", "members.peer"] {
        assert_eq!(
            settable_on_all(name, "x:1"),
            Err(format!("{name} is chosen for each member and cannot be set on all"))
        );
    }
}
