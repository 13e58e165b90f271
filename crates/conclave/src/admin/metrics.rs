//! A member's status as OpenMetrics text. Nothing is counted here: every value is read from the status at scrape.

use std::fmt;

use node::{Role, Status};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The content type of [`text`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the member with this status.
pub(super) fn text(status: &Status) -> String {
    let mut registry = Registry::with_prefix("conclave");
    registry.register_collector(Box::new(Scrape(status.clone())));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text can be written to a string");
    text
}

#[derive(Debug)]
struct Scrape(Status);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in gauges(&self.0) {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        for (name, help, value) in counters(&self.0) {
            ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)?;
        }
        self.peers(encoder)
    }
}

impl Scrape {
    fn peers(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = &self.0;
        let peers = || status.members.iter().filter(|member| member.id != status.id);
        let help = "1 while a connection to the peer stands";
        let mut family = encoder.encode_descriptor("peer_connected", help, None, MetricType::Gauge)?;
        for peer in peers() {
            let connected = ConstGauge::new(i64::from(peer.connected));
            connected.encode(family.encode_family(&[("member", peer.name.as_str())])?)?;
        }
        let help = "Committed entries that the peer is not known to hold; told by the leader only";
        let mut family = encoder.encode_descriptor("peer_entries_behind", help, None, MetricType::Gauge)?;
        for peer in peers() {
            let Some(matched) = peer.matched else {
                continue;
            };
            let behind = i64::try_from(status.commit.saturating_sub(matched)).unwrap_or(i64::MAX);
            ConstGauge::new(behind).encode(family.encode_family(&[("member", peer.name.as_str())])?)?;
        }
        Ok(())
    }
}

type Value = (&'static str, &'static str, u64);

fn gauges(status: &Status) -> [Value; 13] {
    [
        ("leader", "1 while this member leads", u64::from(status.role == Role::Leader)),
        ("leader_known", "1 while this member knows a leader", u64::from(status.leader.is_some())),
        ("can_read", "1 while reads are answered here", u64::from(status.can_read)),
        ("can_commit", "1 while writes through this member reach a majority", u64::from(status.can_commit)),
        ("term", "The member's term", status.term),
        ("commit_index", "The last entry known to be committed", status.commit),
        ("applied_index", "The last entry applied here", status.applied),
        ("revision", "The revision of the state", status.revision),
        ("compacted_revision", "History up to this revision is compacted", status.compacted),
        ("state_bytes", "Bytes of live keys and rows", status.state_bytes),
        (
            "diverged",
            "1 while this member's state is not the leader's and it serves nobody",
            u64::from(status.diverged),
        ),
        ("quota_soft_bytes", "Bytes of live keys and rows above which it warns", status.quota_soft_bytes),
        ("quota_hard_bytes", "Bytes of live keys and rows above which growth is refused", status.quota_hard_bytes),
    ]
}

fn counters(status: &Status) -> [Value; 9] {
    let counters = &status.counters;
    [
        ("requests_prepared", "Requests decided here as leader", counters.prepared),
        ("entries_proposed", "Entries proposed here as leader", counters.proposed),
        ("requests_forwarded", "Requests sent on to the leader", counters.forwarded),
        ("barriers", "Linearizable reads answered", counters.barriers),
        ("leases_expired", "Leases that ran out here as leader", counters.expired),
        ("requests_failed", "Requests that failed", counters.failed),
        ("states_healed", "How often this member's state differed from the leader's and was replaced", counters.healed),
        ("requests_over_quota", "Requests that the quota stood against, refused here as leader", counters.over_quota),
        ("leader_changes", "Changes of leader seen", counters.leader_changes),
    ]
}
