//! What no single key can tell: values that contradict each other, and values that are allowed but unwise.

use std::collections::BTreeMap;

use super::{Configuration, Port};

/// Contradictions: with these the member must not start.
pub(super) fn contradictions(configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    let members = &configuration.members;
    if !members.iter().any(|member| member.name == configuration.member) {
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        found.push(format!(
            "member = {:?} is not among the members listed: {}",
            configuration.member,
            names.join(", ")
        ));
    }
    if members.len() > MEMBERS_MOST {
        found.push(format!("{} members are listed; allowed are 1 to {MEMBERS_MOST}", members.len()));
    }
    let mut ids = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut addresses = BTreeMap::new();
    for member in members {
        if let Some(other) = ids.insert(member.id, &member.name) {
            found.push(format!("members.id = {} is given to both {other} and {}", member.id, member.name));
        }
        if names.insert(&member.name, ()).is_some() {
            found.push(format!("members.name = {:?} is given to two members", member.name));
        }
        for port in Port::ALL {
            let here = format!("members.{} of {}", port.name(), member.name);
            if let Some(other) = addresses.insert(member.addresses.get(port), here.clone()) {
                found.push(format!("{here} and {other} are the same address, {}", member.addresses.get(port)));
            }
        }
    }
    let timing = &configuration.timing;
    if timing.election_min <= timing.heartbeat {
        found.push(format!(
            "timing.election_min = {:?} must be longer than timing.heartbeat = {:?}, or every pause deposes the leader",
            timing.election_min, timing.heartbeat
        ));
    }
    if timing.election_max <= timing.election_min {
        found.push(format!(
            "timing.election_max = {:?} must be longer than timing.election_min = {:?}, or all members stand at once",
            timing.election_max, timing.election_min
        ));
    }
    let segment = configuration.limits.segment_bytes;
    if !segment.is_multiple_of(SEGMENT_UNIT) {
        found.push(format!("limits.segment_bytes = {segment} must be a multiple of {SEGMENT_UNIT}"));
    }
    found.extend(configuration.zookeeper_tls.contradictions("zookeeper", configuration.zookeeper.tls_on_plain_port));
    if let Err(error) = etcd::TokenKind::parse(&configuration.etcd.tokens) {
        found.push(format!("etcd.tokens: {error}"));
    }
    found
}

/// The log's files are allocated in whole pages.
const SEGMENT_UNIT: u64 = 4096;

/// More members than this make every write wait for more disks than they add safety.
const MEMBERS_MOST: usize = 9;

/// Advice: the member starts, and says so.
pub(super) fn warnings(configuration: &Configuration) -> Vec<String> {
    let mut found = Vec::new();
    let timing = &configuration.timing;
    if timing.election_min < 4 * timing.heartbeat {
        found.push(format!(
            "timing.election_min = {:?} is less than four heartbeats of {:?}: a few late packets will depose a healthy leader",
            timing.election_min, timing.heartbeat
        ));
    }
    if timing.election_min.as_millis() < 100 {
        found.push(format!(
            "timing.election_min = {:?} is shorter than the pauses of a busy machine: expect elections without a failure",
            timing.election_min
        ));
    }
    if timing.election_max < timing.election_min * 3 / 2 {
        found.push(format!(
            "timing.election_max = {:?} is close to timing.election_min = {:?}: members will often stand at the same moment and split the vote",
            timing.election_max, timing.election_min
        ));
    }
    if timing.election_max.as_secs() >= 10 {
        found.push(format!(
            "timing.election_max = {:?}: clients wait that long when a leader hangs, longer than most sessions live",
            timing.election_max
        ));
    }
    if configuration.limits.request_timeout < timing.election_max {
        found.push(format!(
            "limits.request_timeout = {:?} is shorter than timing.election_max = {:?}: requests fail in every election",
            configuration.limits.request_timeout, timing.election_max
        ));
    }
    if configuration.members.len().is_multiple_of(2) {
        let count = configuration.members.len();
        found.push(format!("{count} members tolerate no more failures than {}: an odd number is better", count - 1));
    }
    found
}
