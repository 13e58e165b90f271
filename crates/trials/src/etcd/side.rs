//! One server, ours or the real one: sends the steps of a case in their order and writes down the answers, with what the
//! server chose itself made alike: revisions count from the beginning of the case, leases are named by their slots.
//!
//! Reads that follow each other are sent together: nothing changes between them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::case::{
    Account, Compare, Deed, Keys, Lease, Operation, Permission, Put, Range, Revision, Step, Target, Txn,
};
use super::draw::{ROLES, USERS};
use super::wire::authpb;
use super::wire::etcdserverpb as pb;
use super::wire::etcdserverpb::auth_client::AuthClient;
use super::wire::etcdserverpb::compare::TargetUnion;
use super::wire::etcdserverpb::kv_client::KvClient;
use super::wire::etcdserverpb::lease_client::LeaseClient;
use super::wire::etcdserverpb::request_op::Request as Union;
use super::wire::etcdserverpb::response_op::Response as Outcome;
use super::wire::mvccpb::KeyValue;

/// Ids of leases that the client chooses are this and its slot.
const OWN_LEASES: i64 = 1000;

/// The id of a lease that was never granted.
const NO_LEASE: i64 = 77;

/// The answer to a step: text that is alike on both sides if the servers behave alike.
pub type Answer = String;

/// A connection to one server.
pub struct Side {
    pub(super) channel: Channel,
    /// What the case began at.
    pub(super) base: i64,
    /// The newest revision that an answer told.
    pub(super) newest: i64,
    /// What was compacted last.
    pub(super) compacted: i64,
    /// Slot to id.
    leases: BTreeMap<usize, i64>,
    /// User to token.
    tokens: BTreeMap<usize, String>,
}

impl Side {
    /// Connects.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn connect(address: &str) -> anyhow::Result<Side> {
        let channel = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect().await?;
        let (leases, tokens) = (BTreeMap::new(), BTreeMap::new());
        Ok(Side { channel, base: 0, newest: 0, compacted: 0, leases, tokens })
    }

    /// Makes the server's keys, leases and accounts as if it were new, but for its revision.
    ///
    /// # Errors
    /// The server refuses something.
    pub async fn clean(&mut self) -> anyhow::Result<()> {
        // The real server 3.4 cannot be asked whether it checks who asks.
        if self.accounts().user_list(pb::AuthUserListRequest {}).await.is_err() {
            let request = pb::AuthenticateRequest { name: name(1), password: password(0) };
            let token = self.accounts().authenticate(request).await?.into_inner().token;
            self.tokens.insert(1, token);
            self.accounts().auth_disable(self.by(1, pb::AuthDisableRequest {})).await?;
        }
        self.forget_accounts().await?;
        let leases = self.leasing().lease_leases(pb::LeaseLeasesRequest {}).await?.into_inner().leases;
        for lease in leases {
            self.leasing().lease_revoke(pb::LeaseRevokeRequest { id: lease.id }).await?;
        }
        let all = pb::DeleteRangeRequest { key: vec![0], range_end: vec![0], prev_kv: false };
        self.keys().delete_range(all).await?;
        let put = pb::PutRequest { key: b"begin".to_vec(), ..pb::PutRequest::default() };
        self.keys().put(put).await?;
        let delete = pb::DeleteRangeRequest { key: b"begin".to_vec(), ..pb::DeleteRangeRequest::default() };
        let deleted = self.keys().delete_range(delete).await?.into_inner();
        self.base = deleted.header.context("a header")?.revision;
        self.newest = self.base;
        self.compacted = self.base;
        let compact = pb::CompactionRequest { revision: self.base, physical: false };
        self.keys().compact(compact).await?;
        self.leases.clear();
        self.tokens.clear();
        Ok(())
    }

    async fn forget_accounts(&mut self) -> anyhow::Result<()> {
        for user in self.accounts().user_list(pb::AuthUserListRequest {}).await?.into_inner().users {
            self.accounts().user_delete(pb::AuthUserDeleteRequest { name: user }).await?;
        }
        for role in self.accounts().role_list(pb::AuthRoleListRequest {}).await?.into_inner().roles {
            self.accounts().role_delete(pb::AuthRoleDeleteRequest { role }).await?;
        }
        Ok(())
    }

    /// Plays a case from the beginning. One answer for each step.
    ///
    /// # Errors
    /// The server is gone, or cannot be cleaned.
    pub async fn play(&mut self, steps: &[Step]) -> anyhow::Result<Vec<Answer>> {
        self.clean().await?;
        let mut answers = Vec::with_capacity(steps.len());
        let mut at = 0;
        while at < steps.len() {
            let together = steps[at..].iter().take_while(|step| step.deed.only_reads()).count().min(16);
            if together > 1 {
                answers.extend(self.read_together(&steps[at..at + together]).await?);
                at += together;
            } else {
                answers.push(self.take(&steps[at]).await?);
                at += 1;
            }
        }
        Ok(answers)
    }

    async fn read_together(&mut self, steps: &[Step]) -> anyhow::Result<Vec<Answer>> {
        let mut reads = Vec::new();
        for step in steps {
            let mut side = self.twin();
            let step = step.clone();
            reads.push(tokio::spawn(async move { side.take(&step).await }));
        }
        let mut answers = Vec::new();
        for read in reads {
            answers.push(read.await??);
        }
        Ok(answers)
    }

    fn twin(&self) -> Side {
        let (leases, tokens) = (self.leases.clone(), self.tokens.clone());
        let (base, newest, compacted) = (self.base, self.newest, self.compacted);
        Side { channel: self.channel.clone(), base, newest, compacted, leases, tokens }
    }

    async fn take(&mut self, step: &Step) -> anyhow::Result<Answer> {
        let user = step.user;
        let answer = match &step.deed {
            Deed::Range(range) => {
                let request = self.by(user, self.range(range));
                self.keys().range(request).await.map(|response| {
                    let mut response = response.into_inner();
                    let kvs = ties_alike(range, response.more, std::mem::take(&mut response.kvs));
                    let answer = self.ranged(&response);
                    let kvs: Vec<Answer> =
                        kvs.into_iter().map(|kv| kv.map_or("tied".to_owned(), |kv| self.kv(&kv))).collect();
                    format!("{answer} {kvs:?}")
                })
            }
            Deed::Put(put) => {
                let request = self.by(user, self.put(put));
                self.keys().put(request).await.map(|response| {
                    let response = response.into_inner();
                    let revision = self.revised(response.header.as_ref());
                    format!("{revision} {:?}", response.prev_kv.map(|kv| self.kv(&kv)))
                })
            }
            Deed::Delete(keys, prev_kv) => {
                let request = self.by(user, delete(keys, *prev_kv));
                self.keys().delete_range(request).await.map(|response| self.deleted(&response.into_inner()))
            }
            Deed::Txn(transaction) => {
                let request = self.by(user, self.transaction(transaction));
                self.keys().txn(request).await.map(|response| self.transacted(response.into_inner()))
            }
            Deed::Compact(revision) => {
                let revision = self.number(*revision);
                let request = self.by(user, pb::CompactionRequest { revision, physical: false });
                self.keys().compact(request).await.map(|response| {
                    self.compacted = revision;
                    self.revised(response.into_inner().header.as_ref())
                })
            }
            Deed::Account(account) => self.account(user, account).await,
            Deed::Watches { watches, writes } => {
                return super::watching::watch(self, user, watches, writes).await;
            }
            lease => self.lease_step(user, lease).await,
        };
        Ok(answer.unwrap_or_else(|status| refusal(&status)))
    }

    async fn lease_step(&mut self, user: usize, deed: &Deed) -> Result<Answer, Status> {
        match deed {
            Deed::LeaseGrant { slot, ttl, own_id } => {
                let id = if *own_id { OWN_LEASES + i64::try_from(*slot).expect("few slots") } else { 0 };
                let request = self.by(user, pb::LeaseGrantRequest { ttl: *ttl, id });
                let response = self.leasing().lease_grant(request).await?.into_inner();
                self.leases.insert(*slot, response.id);
                Ok(format!("{} ttl {}", self.revised(response.header.as_ref()), response.ttl))
            }
            Deed::LeaseRevoke(lease) => {
                let request = self.by(user, pb::LeaseRevokeRequest { id: self.lease(*lease) });
                let response = self.leasing().lease_revoke(request).await?.into_inner();
                Ok(self.revised(response.header.as_ref()))
            }
            Deed::LeaseRemaining(lease, keys) => {
                let request = self.by(user, pb::LeaseTimeToLiveRequest { id: self.lease(*lease), keys: *keys });
                let response = self.leasing().lease_time_to_live(request).await?.into_inner();
                // The seconds that are left differ by how long the case took so far.
                let left = if response.ttl > 0 { 1 } else { response.ttl };
                let mut keys = response.keys;
                keys.sort();
                Ok(format!("left {left} of {} {keys:?}", response.granted_ttl))
            }
            Deed::LeaseKeep(lease) => {
                let requests = tokio_stream::iter([pb::LeaseKeepAliveRequest { id: self.lease(*lease) }]);
                let mut stream = self.leasing().lease_keep_alive(self.by(user, requests)).await?.into_inner();
                let response = stream.message().await?;
                Ok(format!("{:?}", response.map(|response| response.ttl)))
            }
            Deed::Leases => {
                let response =
                    self.leasing().lease_leases(self.by(user, pb::LeaseLeasesRequest {})).await?.into_inner();
                let mut slots: Vec<String> = response.leases.iter().map(|lease| self.slot(lease.id)).collect();
                slots.sort();
                Ok(format!("{slots:?}"))
            }
            other => unreachable!("{other:?} is no request on leases"),
        }
    }

    async fn account(&mut self, user: usize, account: &Account) -> Result<Answer, Status> {
        let mut client = self.accounts();
        match account {
            Account::Status => {
                // The real server 3.4 has no such method.
                Ok(String::new())
            }
            Account::UserAdd { user: added, password: secret, no_password } => {
                let options = Some(authpb::UserAddOptions { no_password: *no_password });
                let (name, password) = (name(*added), password(*secret));
                let request = pb::AuthUserAddRequest { name, password, options, ..Default::default() };
                client.user_add(self.by(user, request)).await.map(done)
            }
            Account::UserDelete(deleted) => {
                client.user_delete(self.by(user, pb::AuthUserDeleteRequest { name: name(*deleted) })).await.map(done)
            }
            Account::UserPassword { user: changed, password: secret } => {
                let (name, password) = (name(*changed), password(*secret));
                let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
                client.user_change_password(self.by(user, request)).await.map(done)
            }
            Account::UserGet(asked) => {
                let response = client.user_get(self.by(user, pb::AuthUserGetRequest { name: name(*asked) })).await?;
                Ok(format!("{:?}", response.into_inner().roles))
            }
            Account::UserList => {
                let response = client.user_list(self.by(user, pb::AuthUserListRequest {})).await?;
                Ok(format!("{:?}", response.into_inner().users))
            }
            Account::Grant { user: granted, role: given } => {
                let request = pb::AuthUserGrantRoleRequest { user: name(*granted), role: role(*given) };
                client.user_grant_role(self.by(user, request)).await.map(done)
            }
            Account::Revoke { user: revoked, role: taken } => {
                let request = pb::AuthUserRevokeRoleRequest { name: name(*revoked), role: role(*taken) };
                client.user_revoke_role(self.by(user, request)).await.map(done)
            }
            Account::Enable => client.auth_enable(self.by(user, pb::AuthEnableRequest {})).await.map(done),
            Account::Disable => client.auth_disable(self.by(user, pb::AuthDisableRequest {})).await.map(done),
            Account::LogIn { user: entering, password: secret } => {
                let request = pb::AuthenticateRequest { name: name(*entering), password: password(*secret) };
                let token = client.authenticate(request).await?.into_inner().token;
                self.tokens.insert(*entering, token);
                Ok("welcome".to_owned())
            }
            of_roles => self.role_step(user, of_roles).await,
        }
    }

    async fn role_step(&self, user: usize, account: &Account) -> Result<Answer, Status> {
        let mut client = self.accounts();
        match account {
            Account::RoleAdd(added) => {
                client.role_add(self.by(user, pb::AuthRoleAddRequest { name: role(*added) })).await.map(done)
            }
            Account::RoleDelete(deleted) => {
                client.role_delete(self.by(user, pb::AuthRoleDeleteRequest { role: role(*deleted) })).await.map(done)
            }
            Account::RoleGet(asked) => {
                let response = client.role_get(self.by(user, pb::AuthRoleGetRequest { role: role(*asked) })).await?;
                Ok(format!("{:?}", response.into_inner().perm))
            }
            Account::RoleList => {
                let response = client.role_list(self.by(user, pb::AuthRoleListRequest {})).await?;
                Ok(format!("{:?}", response.into_inner().roles))
            }
            Account::Permit { role: permitted, permission } => {
                let perm = permission.as_ref().map(|Permission { kind, keys }| authpb::Permission {
                    perm_type: *kind,
                    key: keys.key.clone(),
                    range_end: keys.end.clone(),
                });
                let request = pb::AuthRoleGrantPermissionRequest { name: role(*permitted), perm };
                client.role_grant_permission(self.by(user, request)).await.map(done)
            }
            Account::Forbid { role: forbidden, keys } => {
                let (key, range_end) = (keys.key.clone(), keys.end.clone());
                let request = pb::AuthRoleRevokePermissionRequest { role: role(*forbidden), key, range_end };
                client.role_revoke_permission(self.by(user, request)).await.map(done)
            }
            other => unreachable!("{other:?} is no request on roles"),
        }
    }

    /// A request with the token of a user.
    pub(super) fn by<T>(&self, user: usize, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = self.tokens.get(&user).and_then(|token| token.parse().ok()) {
            request.metadata_mut().insert("token", token);
        }
        request
    }

    pub(super) fn keys(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    fn leasing(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    fn accounts(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    pub(super) fn number(&self, revision: Revision) -> i64 {
        match revision {
            Revision::None => 0,
            // Not below what the case began with: there the two sides have different pasts.
            Revision::Back(count) => (self.newest - count).max(self.base),
            Revision::Ahead(count) => self.newest + count,
            Revision::Plain(number) => number,
        }
    }

    fn lease(&self, lease: Lease) -> i64 {
        match lease {
            Lease::None => 0,
            Lease::Slot(slot) => self.leases.get(&slot).copied().unwrap_or(NO_LEASE),
        }
    }

    /// A lease by its slot, so that both sides call it the same.
    fn slot(&self, id: i64) -> String {
        match self.leases.iter().find(|(_, own)| **own == id) {
            Some((slot, _)) => format!("slot {slot}"),
            None if id == 0 => "none".to_owned(),
            // It was granted before and its slot was taken by another since.
            None => "earlier".to_owned(),
        }
    }

    fn range(&self, range: &Range) -> pb::RangeRequest {
        pb::RangeRequest {
            key: range.keys.key.clone(),
            range_end: range.keys.end.clone(),
            limit: range.limit,
            revision: self.number(range.revision),
            sort_order: range.sort_order,
            sort_target: range.sort_target,
            serializable: range.serializable,
            keys_only: range.keys_only,
            count_only: range.count_only,
            min_mod_revision: self.number(range.min_mod),
            max_mod_revision: self.number(range.max_mod),
            min_create_revision: self.number(range.min_create),
            max_create_revision: self.number(range.max_create),
        }
    }

    fn put(&self, put: &Put) -> pb::PutRequest {
        pb::PutRequest {
            key: put.key.clone(),
            value: put.value.clone(),
            lease: self.lease(put.lease),
            prev_kv: put.prev_kv,
            ignore_value: put.ignore_value,
            ignore_lease: put.ignore_lease,
        }
    }

    pub(super) fn transaction(&self, transaction: &Txn) -> pb::TxnRequest {
        pb::TxnRequest {
            compare: transaction.compare.iter().map(|compare| self.compare(compare)).collect(),
            success: transaction.success.iter().map(|operation| self.operation(operation)).collect(),
            failure: transaction.failure.iter().map(|operation| self.operation(operation)).collect(),
        }
    }

    pub(super) fn operation(&self, operation: &Operation) -> pb::RequestOp {
        let request = match operation {
            Operation::Range(range) => Some(Union::RequestRange(self.range(range))),
            Operation::Put(put) => Some(Union::RequestPut(self.put(put))),
            Operation::Delete(keys, prev_kv) => Some(Union::RequestDeleteRange(delete(keys, *prev_kv))),
            Operation::Txn(transaction) => Some(Union::RequestTxn(self.transaction(transaction))),
            Operation::Nothing => None,
        };
        pb::RequestOp { request }
    }

    fn compare(&self, compare: &Compare) -> pb::Compare {
        let (target, union) = match &compare.target {
            Target::Version(version) => (0, TargetUnion::Version(*version)),
            Target::Create(revision) => (1, TargetUnion::CreateRevision(self.number(*revision))),
            Target::Mod(revision) => (2, TargetUnion::ModRevision(self.number(*revision))),
            Target::Value(value) => (3, TargetUnion::Value(value.clone())),
            Target::Lease(lease) => (4, TargetUnion::Lease(self.lease(*lease))),
        };
        let (key, range_end) = (compare.keys.key.clone(), compare.keys.end.clone());
        pb::Compare { result: compare.result, target, key, range_end, target_union: Some(union) }
    }

    /// A revision as both sides call it.
    pub(super) fn alike(&self, revision: i64) -> i64 {
        if revision >= self.base { revision - self.base } else { -revision.min(1) }
    }

    fn revised(&mut self, header: Option<&pb::ResponseHeader>) -> Answer {
        let Some(header) = header else { return "no header".to_owned() };
        self.newest = self.newest.max(header.revision);
        format!("@{}", self.alike(header.revision))
    }

    pub(super) fn kv(&self, kv: &KeyValue) -> Answer {
        let (key, value) = (kv.key.escape_ascii(), kv.value.escape_ascii());
        let (created, modified) = (self.alike(kv.create_revision), self.alike(kv.mod_revision));
        format!("{key}={value} c{created} m{modified} v{} {}", kv.version, self.slot(kv.lease))
    }

    fn ranged(&mut self, response: &pb::RangeResponse) -> Answer {
        let revision = self.revised(response.header.as_ref());
        let kvs: Vec<Answer> = response.kvs.iter().map(|kv| self.kv(kv)).collect();
        format!("{revision} {} more {} {kvs:?}", response.count, response.more)
    }

    fn deleted(&mut self, response: &pb::DeleteRangeResponse) -> Answer {
        let revision = self.revised(response.header.as_ref());
        let kvs: Vec<Answer> = response.prev_kvs.iter().map(|kv| self.kv(kv)).collect();
        format!("{revision} {} {kvs:?}", response.deleted)
    }

    pub(super) fn transacted(&mut self, response: pb::TxnResponse) -> Answer {
        let revision = self.revised(response.header.as_ref());
        let mut answers = Vec::new();
        for one in response.responses {
            answers.push(match one.response {
                Some(Outcome::ResponseRange(response)) => self.ranged(&response),
                Some(Outcome::ResponsePut(response)) => {
                    let revision = self.revised(response.header.as_ref());
                    format!("{revision} {:?}", response.prev_kv.map(|kv| self.kv(&kv)))
                }
                Some(Outcome::ResponseDeleteRange(response)) => self.deleted(&response),
                Some(Outcome::ResponseTxn(response)) => self.transacted(response),
                None => "nothing".to_owned(),
            });
        }
        format!("{revision} {} {answers:?}", response.succeeded)
    }
}

/// Keys that are equal in what is sorted by come in any order, since the real server's sorting is not stable: here they
/// come in the order of their keys, and where a limit cuts through them they are only counted (`None`).
fn ties_alike(range: &Range, more: bool, kvs: Vec<KeyValue>) -> Vec<Option<KeyValue>> {
    let same = |one: &KeyValue, other: &KeyValue| match range.sort_target {
        1 => one.version == other.version,
        2 => one.create_revision == other.create_revision,
        3 => one.mod_revision == other.mod_revision,
        // Without values nobody can tell what was equal.
        4 => range.keys_only || one.value == other.value,
        _ => false,
    };
    let mut groups: Vec<Vec<KeyValue>> = Vec::new();
    for kv in kvs {
        match groups.last_mut().filter(|group| group.last().is_some_and(|last| same(last, &kv))) {
            Some(group) => group.push(kv),
            None => groups.push(vec![kv]),
        }
    }
    let last = groups.len().saturating_sub(1);
    let mut alike = Vec::new();
    for (number, mut group) in groups.into_iter().enumerate() {
        group.sort_by(|one, other| one.key.cmp(&other.key));
        let cut = number == last && more && range.sort_target != 0;
        alike.extend(group.into_iter().map(|kv| (!cut).then_some(kv)));
    }
    alike
}

fn delete(keys: &Keys, prev_kv: bool) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: keys.key.clone(), range_end: keys.end.clone(), prev_kv }
}

fn done<T>(_: T) -> Answer {
    "done".to_owned()
}

pub(super) fn refusal(status: &Status) -> Answer {
    format!("{:?}: {}", status.code(), status.message())
}

fn name(user: usize) -> String {
    assert!(user <= USERS, "there are no more users in a case");
    if user == 1 { "root".to_owned() } else { format!("user{user}") }
}

fn role(role: usize) -> String {
    assert!(role <= ROLES, "there are no more roles in a case");
    if role == 1 { "root".to_owned() } else { format!("role{role}") }
}

fn password(number: usize) -> String {
    format!("password{number}")
}
