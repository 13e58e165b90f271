//! Arrows point down only. The table says which rooms each room may know; what is not in it is not allowed.

use serde_json::Value;

/// One crate: the rooms of ours that it may know.
struct Room {
    name: &'static str,
    may_know: &'static [&'static str],
    outside: Outside,
}

/// What a room may depend on that is not ours.
enum Outside {
    /// Nothing at all.
    Nothing,
    /// A few small crates, none of them asynchronous.
    FewAndNotAsync,
    /// What the root manifest gives a reason for.
    Reasoned,
}

const ROOMS: [Room; 11] = [
    Room { name: "conclave-raft", may_know: &[], outside: Outside::Nothing },
    Room { name: "conclave-log", may_know: &[], outside: Outside::FewAndNotAsync },
    Room { name: "conclave-state", may_know: &[], outside: Outside::FewAndNotAsync },
    Room {
        name: "conclave-node",
        may_know: &["conclave-raft", "conclave-log", "conclave-state"],
        outside: Outside::Reasoned,
    },
    Room { name: "conclave-tls", may_know: &[], outside: Outside::Reasoned },
    Room {
        name: "conclave-etcd",
        may_know: &["conclave-node", "conclave-state", "conclave-tls"],
        outside: Outside::Reasoned,
    },
    Room {
        name: "conclave-zookeeper",
        may_know: &["conclave-node", "conclave-state", "conclave-tls"],
        outside: Outside::Reasoned,
    },
    Room {
        name: "conclave",
        may_know: &["conclave-node", "conclave-etcd", "conclave-zookeeper", "conclave-tls"],
        outside: Outside::Reasoned,
    },
    Room {
        name: "conclave-sim",
        may_know: &[
            "conclave-raft",
            "conclave-log",
            "conclave-state",
            "conclave-node",
            "conclave-etcd",
            "conclave-zookeeper",
        ],
        outside: Outside::Reasoned,
    },
    Room { name: "conclave-trials", may_know: &[], outside: Outside::Reasoned },
    Room { name: "xtask", may_know: &[], outside: Outside::Reasoned },
];

/// How many outside crates a low room may have.
const FEW: usize = 6;

/// Names by which asynchronous crates are known.
const ASYNC: [&str; 8] = ["tokio", "futures", "async", "hyper", "tonic", "axum", "tower", "smol"];

/// Checks what `cargo metadata` tells of the workspace.
pub(super) fn check(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(room) = ROOMS.iter().find(|room| room.name == name) else {
            findings.push(format!("{name}: a crate that stands in no table of arrows (xtask/src/tidy/arrows.rs)"));
            continue;
        };
        let (ours, foreign) = dependencies(package);
        for other in ours.iter().filter(|other| !room.may_know.contains(&other.as_str())) {
            findings.push(format!("{name} knows {other}: arrows point down only (xtask/src/tidy/arrows.rs)"));
        }
        findings.extend(foreign_findings(room, &foreign));
    }
    findings
}

fn foreign_findings(room: &Room, foreign: &[String]) -> Vec<String> {
    let name = room.name;
    match room.outside {
        Outside::Reasoned => Vec::new(),
        Outside::Nothing => {
            foreign.iter().map(|other| format!("{name} depends on {other}: it may on nothing")).collect()
        }
        Outside::FewAndNotAsync => {
            let is_async = |other: &&String| ASYNC.iter().any(|word| other.starts_with(word));
            let mut findings: Vec<String> = foreign
                .iter()
                .filter(is_async)
                .map(|other| format!("{name} depends on {other}: it may not be asynchronous"))
                .collect();
            if foreign.len() > FEW {
                findings.push(format!("{name} depends on {} crates from outside: at most {FEW}", foreign.len()));
            }
            findings
        }
    }
}

/// A package's dependencies that are ours (of any kind), and those that are not (development apart).
fn dependencies(package: &Value) -> (Vec<String>, Vec<String>) {
    let all = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    let (mut ours, mut foreign) = (Vec::new(), Vec::new());
    for dependency in all {
        let name = dependency["name"].as_str().unwrap_or_default().to_owned();
        if dependency["path"].is_string() {
            ours.push(name);
        } else if dependency["kind"].as_str() != Some("dev") {
            foreign.push(name);
        }
    }
    (ours, foreign)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::check;

    fn package(name: &str, dependencies: &[Value]) -> Value {
        json!({"packages": [{"name": name, "dependencies": dependencies}]})
    }

    fn ours(name: &str) -> Value {
        json!({"name": name, "path": "somewhere", "kind": null})
    }

    fn foreign(name: &str, kind: Option<&str>) -> Value {
        json!({"name": name, "kind": kind})
    }

    #[test]
    fn arrows_down_are_fine() {
        assert!(check(&package("conclave-node", &[ours("conclave-raft"), foreign("tokio", None)])).is_empty());
        assert!(check(&package("conclave-raft", &[foreign("proptest", Some("dev"))])).is_empty());
    }

    #[test]
    fn arrows_up_and_across_are_found() {
        assert_eq!(check(&package("conclave-raft", &[ours("conclave-node")])).len(), 1);
        assert_eq!(check(&package("conclave-etcd", &[ours("conclave-zookeeper")])).len(), 1);
        assert_eq!(check(&package("conclave-node", &[ours("conclave-etcd")])).len(), 1);
    }

    #[test]
    fn the_lowest_rooms_stay_small_and_synchronous() {
        assert_eq!(check(&package("conclave-raft", &[foreign("bytes", None)])).len(), 1);
        assert_eq!(check(&package("conclave-log", &[foreign("tokio", None)])).len(), 1);
        let many: Vec<Value> = ["a", "b", "c", "d", "e", "f", "g"].map(|name| foreign(name, None)).to_vec();
        assert_eq!(check(&package("conclave-state", &many)).len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_found() {
        assert_eq!(check(&package("conclave-attic", &[])).len(), 1);
    }
}
