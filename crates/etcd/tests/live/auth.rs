//! Users, roles and tokens as clients meet them.

use conclave_etcd::wire::authpb::Permission;
use conclave_etcd::wire::authpb::permission::Type;
use conclave_etcd::wire::etcdserverpb::auth_client::AuthClient;
use conclave_etcd::wire::etcdserverpb::lease_client::LeaseClient;
use conclave_etcd::wire::etcdserverpb::maintenance_client::MaintenanceClient;
use conclave_etcd::wire::etcdserverpb::watch_client::WatchClient;
use conclave_etcd::wire::etcdserverpb::*;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

use super::{Live, create, next, within};

/// A client's calls with a token.
fn with_token<T>(token: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("token", token.parse().unwrap());
    request
}

impl Live {
    fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    async fn log_in(&self, name: &str, password: &str) -> Result<String, tonic::Status> {
        let request = AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        Ok(self.auth().authenticate(request).await?.into_inner().token)
    }

    /// Root, and `alice` who may read and write `a`; returns their tokens.
    async fn guard(&self) -> (String, String) {
        let mut auth = self.auth();
        for name in ["root", "alice"] {
            let password = format!("{name}'s");
            let request = AuthUserAddRequest { name: name.to_owned(), password, ..AuthUserAddRequest::default() };
            auth.user_add(request).await.unwrap();
        }
        auth.role_add(AuthRoleAddRequest { name: "role".to_owned() }).await.unwrap();
        let perm = Permission { perm_type: Type::Readwrite.into(), key: "a".into(), range_end: "".into() };
        let request = AuthRoleGrantPermissionRequest { name: "role".to_owned(), perm: Some(perm) };
        auth.role_grant_permission(request).await.unwrap();
        for (user, role) in [("root", "root"), ("alice", "role")] {
            let request = AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
            auth.user_grant_role(request).await.unwrap();
        }
        auth.auth_enable(AuthEnableRequest {}).await.unwrap();
        (self.log_in("root", "root's").await.unwrap(), self.log_in("alice", "alice's").await.unwrap())
    }
}

#[tokio::test]
async fn a_log_in_needs_the_right_password_and_a_change_of_it_ends_its_tokens() {
    let live = Live::start().await;
    let off = live.log_in("alice", "alice's").await.unwrap_err();
    assert_eq!(off.message(), "etcdserver: authentication is not enabled");
    let (root, alice) = live.guard().await;
    for (name, password) in [("alice", "root's"), ("nobody", "")] {
        let refused = live.log_in(name, password).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert_eq!(refused.message(), "etcdserver: authentication failed, invalid user ID or password");
    }
    let get = || RangeRequest { key: "a".into(), ..RangeRequest::default() };
    let unknown = live.kv().range(get()).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::InvalidArgument, "etcdserver: user name is empty"));
    let invalid = live.kv().range(with_token("nonsense", get())).await.unwrap_err();
    assert_eq!((invalid.code(), invalid.message()), (Code::Unauthenticated, "etcdserver: invalid auth token"));
    live.kv().range(with_token(&alice, get())).await.unwrap();
    let all = RangeRequest { range_end: "\0".into(), ..get() };
    let denied = live.kv().range(with_token(&alice, all)).await.unwrap_err();
    assert_eq!((denied.code(), denied.message()), (Code::PermissionDenied, "etcdserver: permission denied"));
    let own = live.auth().user_get(with_token(&alice, AuthUserGetRequest { name: "alice".to_owned() })).await.unwrap();
    assert_eq!(own.into_inner().roles, ["role"]);
    let other = live.auth().user_get(with_token(&alice, AuthUserGetRequest { name: "root".to_owned() })).await;
    assert_eq!(other.unwrap_err().code(), Code::PermissionDenied);

    let change = AuthUserChangePasswordRequest {
        name: "alice".to_owned(),
        password: "new".to_owned(),
        ..AuthUserChangePasswordRequest::default()
    };
    live.auth().user_change_password(with_token(&root, change)).await.unwrap();
    let void = live.kv().range(with_token(&alice, get())).await.unwrap_err();
    assert_eq!(void.message(), "etcdserver: invalid auth token");
    assert!(live.log_in("alice", "alice's").await.is_err());
    let alice = live.log_in("alice", "new").await.unwrap();
    live.kv().range(with_token(&alice, get())).await.unwrap();
    let status = live.auth().auth_status(AuthStatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.enabled, status.auth_revision, status.header.unwrap().revision), (true, 8, 1));
    live.stop().await;
}

#[tokio::test]
async fn a_watch_ends_when_its_reader_may_read_no_more() {
    let live = Live::start().await;
    let (root, alice) = live.guard().await;
    let (requests, stream) = mpsc::channel(4);
    requests.send(create("a", 0)).await.unwrap();
    requests.send(create("b", 0)).await.unwrap();
    let mut client = WatchClient::new(live.channel.clone());
    let mut responses = client.watch(with_token(&alice, ReceiverStream::new(stream))).await.unwrap().into_inner();
    assert!(next(&mut responses).await.created);
    let refused = next(&mut responses).await;
    assert!(refused.created && refused.canceled);
    assert_eq!(refused.cancel_reason, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    let put = |value: &'static str| PutRequest { key: "a".into(), value: value.into(), ..PutRequest::default() };
    live.kv().put(with_token(&alice, put("seen"))).await.unwrap();
    assert_eq!(next(&mut responses).await.events[0].kv.as_ref().unwrap().value, "seen");

    let take = AuthUserRevokeRoleRequest { name: "alice".to_owned(), role: "role".to_owned() };
    live.auth().user_revoke_role(with_token(&root, take)).await.unwrap();
    live.kv().put(with_token(&root, put("secret"))).await.unwrap();
    let ended = next(&mut responses).await;
    assert!(ended.canceled && ended.events.is_empty(), "{ended:?}");
    assert_eq!(ended.cancel_reason, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    let denied = live.kv().put(with_token(&alice, put("x"))).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    live.stop().await;
}

#[tokio::test]
async fn leases_and_administration_ask_who_it_is() {
    let live = Live::start().await;
    let (root, alice) = live.guard().await;
    let mut leases = LeaseClient::new(live.channel.clone());
    let unknown = leases.lease_grant(LeaseGrantRequest { ttl: 10, id: 0 }).await.unwrap_err();
    assert_eq!(unknown.message(), "etcdserver: user name is empty");
    let lease =
        leases.lease_grant(with_token(&root, LeaseGrantRequest { ttl: 60, id: 0 })).await.unwrap().into_inner().id;
    let put = PutRequest { key: "z".into(), lease, ..PutRequest::default() };
    live.kv().put(with_token(&root, put)).await.unwrap();
    let ask = LeaseTimeToLiveRequest { id: lease, keys: true };
    assert_eq!(leases.lease_time_to_live(with_token(&alice, ask)).await.unwrap_err().code(), Code::PermissionDenied);
    let keep = with_token(&alice, tokio_stream::iter([LeaseKeepAliveRequest { id: lease }]));
    let mut kept = leases.lease_keep_alive(keep).await.unwrap().into_inner();
    assert_eq!(within(kept.message()).await.unwrap_err().code(), Code::PermissionDenied);
    let mut maintenance = MaintenanceClient::new(live.channel.clone());
    let denied = maintenance.hash_kv(with_token(&alice, HashKvRequest { revision: 0 })).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    maintenance.hash_kv(with_token(&root, HashKvRequest { revision: 0 })).await.unwrap();
    live.stop().await;
}
