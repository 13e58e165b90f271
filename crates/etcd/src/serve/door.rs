//! What all services share: the way to the member, who we are, and when a stream must end. Knows no single service.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use node::{Failure, Handle, Reason, Status as MemberStatus, StreamId, View};
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::{Instant, sleep_until};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

use super::Service;
use super::connections::CertifiedName;
use super::metrics::Counts;
use crate::auth::passwords::Passwords;
use crate::auth::{Caller, Tokens, accounts, permit};
use crate::envelope::{Headed, Submission, decode_reply, encode};
use crate::identity::{cluster_id, member_id};
use crate::options::Options;
use crate::refusal::{Refusal, status_of};
use crate::table::{PROTOCOL, signed};
use crate::wire::etcdserverpb::{ResponseHeader, WatchResponse};

/// The metadata by which a client says that it has no use for a member without a leader.
const REQUIRE_LEADER: &str = "hasleader";

/// The metadata in which a client shows its token, and the name under which some clients send it.
const TOKEN: [&str; 2] = ["token", "authorization"];

/// What may stand before a token in that metadata.
const TOKEN_PREFIX: &str = "Bearer ";

/// How often a member looks whether accounts changed.
const ACCOUNTS_LOOK: Duration = Duration::from_millis(100);

/// What a client shows of itself with a request. A stream keeps it: what it is worth may change while the stream lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    token: Option<MetadataValue<Ascii>>,
    certified: Option<String>,
}

impl Credentials {
    pub(crate) fn of<T>(request: &Request<T>) -> Credentials {
        let metadata = request.metadata();
        Credentials {
            token: TOKEN.iter().find_map(|name| metadata.get(*name)).cloned(),
            certified: request.extensions().get::<CertifiedName>().and_then(|name| name.0.clone()),
        }
    }
}

/// The way into the member. Every service and every stream has a clone.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) handle: Handle,
    pub(crate) options: Arc<Options>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) passwords: Passwords,
    pub(crate) counts: Arc<Counts>,
    /// Counts the changes of users, roles and permissions that this member noticed.
    pub(crate) account_changes: Receiver<u64>,
    cluster_id: u64,
    member_id: u64,
    shutdown: Receiver<bool>,
}

impl Door {
    pub(crate) fn new(
        handle: Handle,
        service: &Service,
        account_changes: Receiver<u64>,
        shutdown: Receiver<bool>,
    ) -> Door {
        let status = handle.status();
        let options = Arc::clone(&service.options);
        let passwords = Passwords::new(options.bcrypt_cost, options.login_threads, options.logins_waiting);
        Door {
            tokens: Arc::clone(&service.tokens),
            passwords,
            counts: Arc::default(),
            account_changes,
            cluster_id: cluster_id(&status.ensemble),
            member_id: member_id(&status.ensemble, status.id),
            handle,
            options,
            shutdown,
        }
    }

    /// A header of this member, with its newest revision.
    pub(crate) fn header(&self) -> ResponseHeader {
        let view = self.handle.view();
        self.header_at(signed(view.revision()), view.term)
    }

    pub(crate) fn header_at(&self, revision: i64, term: u64) -> ResponseHeader {
        ResponseHeader { cluster_id: self.cluster_id, member_id: self.member_id, revision, raft_term: term }
    }

    /// How clients reach this ensemble: the same way at every member.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.options.tls_certificate.is_some() { "https" } else { "http" }
    }

    /// Adds to a header that says only the revision who answers.
    pub(crate) fn complete<R: Headed>(&self, response: &mut R, term: u64) {
        let header = response.header_mut();
        let revision = header.as_ref().map_or(0, |header| header.revision);
        *header = Some(self.header_at(revision, term));
    }

    /// [`Door::complete`] for an event stream.
    pub(crate) fn completed_watch(&self, mut response: WatchResponse) -> WatchResponse {
        let term = self.handle.view().term;
        self.complete(&mut response, term);
        response
    }

    /// Sends a request to the leader and completes its decision.
    pub(crate) async fn submit<S: Submission>(
        &self,
        caller: &Caller,
        request: &S,
    ) -> Result<Response<S::Response>, Status> {
        let encoded = encode(caller, request);
        self.refuse_large(&encoded)?;
        let reply =
            self.handle.submit(PROTOCOL, StreamId::NONE, encoded).await.map_err(|failure| status_of(&failure))?;
        let mut response = decode_reply::<S>(reply.bytes)?;
        self.complete(&mut response, reply.view.term);
        Ok(Response::new(response))
    }

    fn refuse_large(&self, encoded: &Bytes) -> Result<(), Refusal> {
        if encoded.len() > self.options.max_request_bytes { Err(Refusal::RequestTooLarge) } else { Ok(()) }
    }

    /// The state to read: not older than this call, or whatever this member has.
    pub(crate) async fn view(&self, serializable: bool) -> Result<Arc<View>, Status> {
        if serializable {
            if self.handle.status().diverged {
                return Err(status_of(&Failure::NotApplied(Reason::Diverged)));
            }
            return Ok(self.handle.view());
        }
        self.handle.barrier().await.map_err(|failure| status_of(&failure))
    }

    /// Who makes this request.
    ///
    /// # Errors
    /// [`Refusal::InvalidAuthToken`].
    pub(crate) fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Refusal> {
        self.identify(&Credentials::of(request))
    }

    /// Who shows these credentials. Nobody in particular while authentication is off, and for a client that shows
    /// nothing.
    ///
    /// # Errors
    /// [`Refusal::InvalidAuthToken`].
    pub(crate) fn identify(&self, credentials: &Credentials) -> Result<Caller, Refusal> {
        let view = self.handle.view();
        if !accounts::enabled(&view) {
            return Ok(Caller::nobody());
        }
        if let Some(token) = &credentials.token {
            let token = token.to_str().map_err(|_| Refusal::InvalidAuthToken)?;
            let token = token.strip_prefix(TOKEN_PREFIX).unwrap_or(token);
            let read = self.tokens.read(&accounts::settings(&view), token, unix_seconds());
            return read.ok_or(Refusal::InvalidAuthToken);
        }
        Ok(Caller { user: credentials.certified.clone().unwrap_or_default(), ..Caller::nobody() })
    }

    /// Refuses a client that does not say who it is, if that matters.
    pub(crate) fn somebody<T>(&self, request: &Request<T>) -> Result<(), Refusal> {
        permit::known(&self.handle.view(), &self.caller(request)?)
    }

    /// Refuses a client that may not administrate.
    pub(crate) fn administrator<T>(&self, request: &Request<T>) -> Result<(), Refusal> {
        permit::administrate(&self.handle.view(), &self.caller(request)?)
    }

    /// Refuses a client that insists on a leader while there is none, and one whose version is not text.
    pub(crate) fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        if requires_leader(metadata) && self.handle.status().leader.is_none() {
            return Err(Refusal::NoLeader.into());
        }
        Ok(())
    }

    /// What ends a stream of this client before the client does.
    pub(crate) fn guard(&self, metadata: &MetadataMap) -> Guard {
        Guard {
            status: self.handle.status_changes(),
            shutdown: self.shutdown.clone(),
            requires_leader: requires_leader(metadata),
            grace: self.options.leaderless_grace,
            leaderless_since: None,
        }
    }
}

/// Counts changes of users, roles and permissions into `noticed`, for streams that wait for nothing else. Whatever is
/// about to be sent is checked anyway; this only ends idle streams soon.
pub(super) async fn notice_account_changes(handle: Handle, noticed: Sender<u64>) {
    let mut last = accounts::settings_row(&handle.view()).cloned();
    let mut looks = tokio::time::interval(ACCOUNTS_LOOK);
    loop {
        looks.tick().await;
        let now = accounts::settings_row(&handle.view()).cloned();
        if now != last {
            last = now;
            noticed.send_modify(|count| *count += 1);
        }
    }
}

/// The present, for the life of tokens.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn requires_leader(metadata: &MetadataMap) -> bool {
    metadata.get(REQUIRE_LEADER).is_some_and(|value| value.as_bytes() == b"true")
}

/// Watches over a stream: it ends when the member stops or, if its client insists on a leader, when there has been
/// none for a while.
pub(crate) struct Guard {
    status: Receiver<Arc<MemberStatus>>,
    shutdown: Receiver<bool>,
    requires_leader: bool,
    grace: Duration,
    leaderless_since: Option<Instant>,
}

impl Guard {
    /// Resolves with the reason when the stream must end. Cancel safe: a silence of the leader is remembered.
    pub(crate) async fn refusal(&mut self) -> Refusal {
        loop {
            let leaderless = self.requires_leader && self.status.borrow_and_update().leader.is_none();
            self.leaderless_since = leaderless.then(|| self.leaderless_since.unwrap_or_else(Instant::now));
            let patience_ends = self.leaderless_since.map_or_else(Instant::now, |since| since + self.grace);
            tokio::select! {
                _ = self.shutdown.wait_for(|stop| *stop) => return Refusal::Stopped,
                changed = self.status.changed(), if self.requires_leader => if changed.is_err() {
                    return Refusal::Stopped;
                },
                () = sleep_until(patience_ends), if self.leaderless_since.is_some() => return Refusal::NoLeader,
            }
        }
    }
}
