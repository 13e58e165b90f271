//! One member on loopback, spoken to by gRPC clients: that the services are wired to the member the right way round.
//! What requests mean is tested beside the code that decides it.

#![allow(clippy::unwrap_used, reason = "a test that finds the impossible should stop")]

mod auth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conclave_etcd::wire::etcdserverpb::kv_client::KvClient;
use conclave_etcd::wire::etcdserverpb::lease_client::LeaseClient;
use conclave_etcd::wire::etcdserverpb::maintenance_client::MaintenanceClient;
use conclave_etcd::wire::etcdserverpb::watch_client::WatchClient;
use conclave_etcd::wire::etcdserverpb::watch_request::RequestUnion;
use conclave_etcd::wire::etcdserverpb::*;
use conclave_etcd::wire::health::HealthCheckRequest;
use conclave_etcd::wire::health::health_check_response::ServingStatus;
use conclave_etcd::wire::health::health_client::HealthClient;
use conclave_etcd::wire::v3electionpb::election_client::ElectionClient;
use conclave_etcd::wire::v3electionpb::{CampaignRequest, LeaderRequest, ProclaimRequest, ResignRequest};
use conclave_etcd::wire::v3lockpb::lock_client::LockClient;
use conclave_etcd::wire::v3lockpb::{LockRequest, UnlockRequest};
use conclave_etcd::{Etcd, Options, Service};
use node::{MemberAddress, NodeId, Running};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// Longer than anything here takes, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A member with its service, gone when dropped.
struct Live {
    channel: Channel,
    stop: watch::Sender<bool>,
    service: tokio::task::JoinHandle<()>,
    member: Running,
    _data: tempfile::TempDir,
}

impl Live {
    async fn start() -> Live {
        let data = tempfile::tempdir().unwrap();
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let address =
            MemberAddress { id: NodeId(1), name: "m1".to_owned(), peer, client: BTreeMap::new(), priority: 0 };
        let member_options = node::Options {
            ensemble: "live".to_owned(),
            id: NodeId(1),
            members: vec![address],
            join: false,
            listen_peer: None,
            data: data.path().to_owned(),
            timing: node::Timing::default(),
            limits: node::Limits::default(),
        };
        let options = Options { bcrypt_cost: 4, ..Options::default() };
        let member = node::start(member_options, vec![Arc::new(Etcd::new(&options))]).await.unwrap();
        let mut status = member.handle().status_changes();
        status.wait_for(|status| status.can_commit).await.unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        let service = Service::new(options).unwrap();
        let service = tokio::spawn(service.serve(listener, member.handle(), stopped));
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        Live { channel, stop, service, member, _data: data }
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone())
    }

    async fn put(&self, key: &'static str, value: &'static str, lease: i64) -> i64 {
        let request = PutRequest { key: key.into(), value: value.into(), lease, ..PutRequest::default() };
        self.kv().put(request).await.unwrap().into_inner().header.unwrap().revision
    }

    async fn get(&self, key: &'static str) -> Option<String> {
        let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
        let response = self.kv().range(request).await.unwrap().into_inner();
        response.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value).into_owned())
    }

    /// A lease of ten seconds.
    async fn grant(&self) -> i64 {
        let request = LeaseGrantRequest { ttl: 10, id: 0 };
        LeaseClient::new(self.channel.clone()).lease_grant(request).await.unwrap().into_inner().id
    }

    /// Ends everything; the service must end by itself.
    async fn stop(self) {
        self.stop.send(true).unwrap();
        within(self.service).await.unwrap();
        self.member.stop().await;
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("this takes no time at all")
}

async fn next(responses: &mut Streaming<WatchResponse>) -> WatchResponse {
    within(responses.message()).await.unwrap().expect("the stream is open")
}

fn create(key: &'static str, start_revision: i64) -> WatchRequest {
    let request = WatchCreateRequest { key: key.into(), start_revision, ..WatchCreateRequest::default() };
    WatchRequest { request_union: Some(RequestUnion::CreateRequest(request)) }
}

#[tokio::test]
async fn keys_are_written_read_and_streamed() {
    let live = Live::start().await;
    assert_eq!(live.put("a", "1", 0).await, 2);
    assert_eq!(live.get("a").await.as_deref(), Some("1"));
    for key in ["b", "c", "d"] {
        live.put(key, "x", 0).await;
    }
    let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), ..RangeRequest::default() };
    let mut pieces = live.kv().range_stream(all.clone()).await.unwrap().into_inner();
    let last = within(pieces.message()).await.unwrap().unwrap().range_response.unwrap();
    assert_eq!((last.kvs.len(), last.count, last.more, last.header.unwrap().revision), (4, 4, false, 5));
    let refused = live.kv().range(RangeRequest { revision: 99, ..all }).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert_eq!(refused.message(), "etcdserver: mvcc: required revision is a future revision");
    let large = PutRequest { key: "a".into(), value: vec![0; 1_600_000].into(), ..PutRequest::default() };
    assert_eq!(live.kv().put(large).await.unwrap_err().message(), "etcdserver: request is too large");
    live.stop().await;
}

#[tokio::test]
async fn a_watch_replays_and_follows_and_ends_with_the_member() {
    let live = Live::start().await;
    live.put("a", "1", 0).await;
    live.put("a", "2", 0).await;
    let (requests, stream) = mpsc::channel(4);
    requests.send(create("a", 2)).await.unwrap();
    let mut client = WatchClient::new(live.channel.clone());
    let mut responses = client.watch(ReceiverStream::new(stream)).await.unwrap().into_inner();
    assert!(next(&mut responses).await.created);
    // From history or live, as it happens: in order, and each once.
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let replayed = next(&mut responses).await;
        assert_ne!(replayed.header.unwrap().cluster_id, 0);
        seen.extend(replayed.events.into_iter().map(|event| event.kv.unwrap().mod_revision));
    }
    assert_eq!(seen, [2, 3]);
    live.put("a", "3", 0).await;
    assert_eq!(next(&mut responses).await.events[0].kv.as_ref().unwrap().mod_revision, 4);
    let progress = WatchRequest { request_union: Some(RequestUnion::ProgressRequest(WatchProgressRequest {})) };
    requests.send(progress).await.unwrap();
    let told = next(&mut responses).await;
    assert_eq!((told.watch_id, told.header.unwrap().revision), (-1, 4));
    live.stop().await;
    let ended = within(responses.message()).await.unwrap_err();
    assert_eq!((ended.code(), ended.message()), (Code::Unavailable, "etcdserver: server stopped"));
}

#[tokio::test]
async fn leases_are_kept_asked_for_and_revoked() {
    let live = Live::start().await;
    let lease = live.grant().await;
    live.put("leased", "x", lease).await;
    let mut client = LeaseClient::new(live.channel.clone());
    let (requests, stream) = mpsc::channel(4);
    for id in [lease, 404] {
        requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
    }
    let mut kept = client.lease_keep_alive(ReceiverStream::new(stream)).await.unwrap().into_inner();
    let first = within(kept.message()).await.unwrap().unwrap();
    let second = within(kept.message()).await.unwrap().unwrap();
    assert_eq!(((first.id, first.ttl), (second.id, second.ttl)), ((lease, 10), (404, 0)));
    let left = client.lease_time_to_live(LeaseTimeToLiveRequest { id: lease, keys: true }).await.unwrap().into_inner();
    assert_eq!((left.granted_ttl, left.keys), (10, vec![bytes::Bytes::from("leased")]));
    client.lease_revoke(LeaseRevokeRequest { id: lease }).await.unwrap();
    assert_eq!(live.get("leased").await, None);
    let gone = client.lease_time_to_live(LeaseTimeToLiveRequest { id: lease, keys: true }).await.unwrap().into_inner();
    assert_eq!(gone.ttl, -1);
    live.stop().await;
}

#[tokio::test]
async fn a_lock_passes_from_its_holder_to_who_waits() {
    let live = Live::start().await;
    let (first, second) = (live.grant().await, live.grant().await);
    let lock = |lease| {
        let mut client = LockClient::new(live.channel.clone());
        async move { client.lock(LockRequest { name: "l".into(), lease }).await.unwrap().into_inner() }
    };
    let held = within(lock(first)).await;
    let waiting = tokio::spawn(lock(second));
    // The second stands in the queue once its key is there.
    let queue = RangeRequest { key: "l/".into(), range_end: "l0".into(), ..RangeRequest::default() };
    within(async { while live.kv().range(queue.clone()).await.unwrap().into_inner().count < 2 {} }).await;
    assert!(!waiting.is_finished());
    LockClient::new(live.channel.clone()).unlock(UnlockRequest { key: held.key.clone() }).await.unwrap();
    let passed = within(waiting).await.unwrap();
    assert_ne!(passed.key, held.key);
    live.stop().await;
}

#[tokio::test]
async fn a_waiter_that_goes_away_leaves_the_queue() {
    let live = Live::start().await;
    let (first, second) = (live.grant().await, live.grant().await);
    let mut client = LockClient::new(live.channel.clone());
    within(client.lock(LockRequest { name: "l".into(), lease: first })).await.unwrap();
    let waiting = tokio::spawn(async move { client.lock(LockRequest { name: "l".into(), lease: second }).await });
    let queue = RangeRequest { key: "l/".into(), range_end: "l0".into(), ..RangeRequest::default() };
    let stand = async || live.kv().range(queue.clone()).await.unwrap().into_inner().count;
    within(async { while stand().await < 2 {} }).await;
    waiting.abort();
    within(async { while stand().await > 1 {} }).await;
    live.stop().await;
}

#[tokio::test]
async fn leaders_are_elected_observed_and_resign() {
    let live = Live::start().await;
    let lease = live.grant().await;
    let mut client = ElectionClient::new(live.channel.clone());
    let none = client.leader(LeaderRequest { name: "e".into() }).await.unwrap_err();
    assert_eq!((none.code(), none.message()), (Code::Unknown, "election: no leader"));
    let mut seen = client.observe(LeaderRequest { name: "e".into() }).await.unwrap().into_inner();
    let campaign = CampaignRequest { name: "e".into(), lease, value: "me".into() };
    let leader = within(client.campaign(campaign)).await.unwrap().into_inner().leader.unwrap();
    assert_eq!(within(seen.message()).await.unwrap().unwrap().kv.unwrap().value, "me");
    let mut stale = leader.clone();
    stale.rev -= 1;
    let refused = client.proclaim(ProclaimRequest { leader: Some(stale), value: "no".into() }).await.unwrap_err();
    assert_eq!(refused.message(), "election: not leader");
    client.proclaim(ProclaimRequest { leader: Some(leader.clone()), value: "still".into() }).await.unwrap();
    assert_eq!(within(seen.message()).await.unwrap().unwrap().kv.unwrap().value, "still");
    client.resign(ResignRequest { leader: Some(leader) }).await.unwrap();
    assert!(client.leader(LeaderRequest { name: "e".into() }).await.is_err());
    live.stop().await;
}

#[tokio::test]
async fn a_member_tells_how_it_is() {
    let live = Live::start().await;
    live.put("a", "1", 0).await;
    let mut client = MaintenanceClient::new(live.channel.clone());
    let status = client.status(StatusRequest {}).await.unwrap().into_inner();
    let header = status.header.unwrap();
    assert_eq!((status.leader, status.raft_term, header.revision), (header.member_id, header.raft_term, 2));
    let hash = client.hash_kv(HashKvRequest { revision: 0 }).await.unwrap().into_inner();
    live.put("a", "2", 0).await;
    let again = client.hash_kv(HashKvRequest { revision: 2 }).await.unwrap().into_inner();
    assert_eq!((hash.hash, hash.hash_revision), (again.hash, again.hash_revision), "a revision keeps its hash");
    live.stop().await;
}

#[tokio::test]
async fn probes_and_tools_find_the_services() {
    let live = Live::start().await;
    let mut health = HealthClient::new(live.channel.clone());
    let whole = HealthCheckRequest { service: String::new() };
    assert_eq!(health.check(whole.clone()).await.unwrap().into_inner().status(), ServingStatus::Serving);
    let unknown = health.check(HealthCheckRequest { service: "unknown".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    let mut told = health.watch(whole).await.unwrap().into_inner();
    assert_eq!(within(told.message()).await.unwrap().unwrap().status(), ServingStatus::Serving);

    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(live.channel.clone());
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([list])).await.unwrap().into_inner();
    let answer = within(answers.message()).await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"etcdserverpb.KV") && names.contains(&"grpc.health.v1.Health"), "{names:?}");
    live.stop().await;
}
