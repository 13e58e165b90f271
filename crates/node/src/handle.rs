//! What a protocol's front end holds: the door to the member from any task. It may not know what the core
//! thread does with a request, only how to post one and await its answer.

use std::future::Future;
use std::io;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use bytes::Bytes;
use state::{LeaseId, State};
use tokio::sync::{oneshot, watch};

use crate::hub::{Hub, Mailbox};
use crate::member::{Answer, Event, RequestTag};
use crate::shell::diary::Shelf;
use crate::shell::inbox::{Inbox, Posted};
use crate::{Change, Diary, Failure, Limits, Members, NodeId, ProtocolId, Reason, Refused, Status};

/// The committed state at one moment, shared by all readers. Reading it takes no lock and delays nobody.
pub struct View {
    /// The tables.
    pub state: State,
    /// The last entry applied to them.
    pub index: u64,
    /// The term this member was in.
    pub term: u64,
    /// Who belongs to the ensemble after that entry.
    pub members: Arc<Members>,
}

impl Deref for View {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// An ordered stream of requests, normally one client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

impl StreamId {
    /// For requests that are independent of each other: none of them waits for or fails with another.
    pub const NONE: StreamId = StreamId(0);
}

/// The answer to a request that was decided (a protocol's refusal is an answer too).
#[derive(Clone)]
pub struct Reply {
    /// What the protocol encoded.
    pub bytes: Bytes,
    /// A state in which the request's entry is applied.
    pub view: Arc<View>,
}

/// A change of the membership that is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The member that the change is about.
    pub member: NodeId,
    /// The membership, with the change in it.
    pub members: Arc<Members>,
}

/// A lease that was kept alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Its full time to live, which begins anew.
    pub ttl_milliseconds: u64,
}

/// What is left of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Milliseconds until it runs out if nobody keeps it alive.
    pub ttl_milliseconds: u64,
    /// Its full time to live.
    pub granted_milliseconds: u64,
}

pub(crate) type Completion = oneshot::Sender<Result<(Answer, Arc<View>), Failure>>;

/// What all tasks and the core thread share.
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) view: ArcSwap<View>,
    pub(crate) status: watch::Sender<Arc<Status>>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) limits: Limits,
    diary: Shelf,
    next_tag: AtomicU64,
    next_stream: AtomicU64,
}

impl Shared {
    pub(crate) fn new(inbox: Inbox, view: View, status: Status, limits: Limits, diary: Shelf) -> Arc<Shared> {
        let hub = Arc::new(Hub::new(view.revision(), limits.mailbox_changes));
        Arc::new(Shared {
            inbox,
            view: ArcSwap::from_pointee(view),
            status: watch::Sender::new(Arc::new(status)),
            hub,
            limits,
            diary,
            next_tag: AtomicU64::new(1),
            next_stream: AtomicU64::new(1),
        })
    }
}

/// The door to the member. Cheap to clone; every front end and every connection has one.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Handle {
        Handle { shared }
    }

    /// The newest committed state this member has applied. Not a linearizable read: see [`Handle::barrier`].
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Hands a request to the leader, wherever it is, and resolves once it is committed and applied here.
    ///
    /// The request is queued before this returns, so requests of one `stream` are decided in the order of the
    /// calls. When one of them fails, all later ones of that stream fail too: nothing overtakes a lost request.
    ///
    /// # Errors
    /// The future resolves to [`Failure::NotApplied`] or [`Failure::Unknown`], never mixing the two.
    pub fn submit(&self, protocol: ProtocolId, stream: StreamId, request: Bytes) -> Pending<Reply> {
        let limit = self.shared.limits.request_bytes;
        if request.len() > limit {
            let (bytes, limit) = (request.len() as u64, limit as u64);
            self.break_off(stream);
            return Pending::failed(Failure::NotApplied(Reason::TooLarge { bytes, limit }));
        }
        let weight = request.len();
        let event = |tag| Event::Submit { tag, protocol, stream, request };
        let pending = self.post(weight, event, |answer, view| match answer {
            Answer::Decided(bytes) => Reply { bytes, view },
            other => unreachable!("a submission is answered with a decision, not {other:?}"),
        });
        if matches!(pending.state, PendingState::Failed(_)) {
            self.break_off(stream);
        }
        pending
    }

    /// A request was refused at the door: those of its stream that come after it must not overtake it.
    fn break_off(&self, stream: StreamId) {
        if stream != StreamId::NONE {
            self.shared.inbox.post(Event::Break { stream });
        }
    }

    /// A point in the log not older than this call, applied here: what a linearizable read reads.
    pub fn barrier(&self) -> Pending<Arc<View>> {
        self.post(0, |tag| Event::Barrier { tag }, |_, view| view)
    }

    /// Keeps a lease alive; the leader answers. `None`: there is no such lease.
    pub fn renew(&self, lease: LeaseId) -> Pending<Option<Renewed>> {
        self.post(
            0,
            |tag| Event::Renew { tag, lease },
            |answer, _| match answer {
                Answer::Lease(found) => found.map(|found| Renewed { ttl_milliseconds: found.granted_milliseconds }),
                other => unreachable!("a renewal is answered with a lease, not {other:?}"),
            },
        )
    }

    /// How long a lease has left, according to the leader. `None`: there is no such lease.
    pub fn remaining(&self, lease: LeaseId) -> Pending<Option<Remaining>> {
        self.post(
            0,
            |tag| Event::Remaining { tag, lease },
            |answer, _| match answer {
                Answer::Lease(found) => found,
                other => unreachable!("a question for a lease is answered with one, not {other:?}"),
            },
        )
    }

    /// Who belongs to the ensemble, not older than this call. What this member knows without asking the leader is
    /// [`View::members`].
    pub fn members(&self) -> Pending<Arc<Members>> {
        self.post(0, |tag| Event::Barrier { tag }, |_, view| view.members.clone())
    }

    /// Changes who belongs to the ensemble; the leader decides, wherever it is. Resolves once the change is certain
    /// and applied here. A change of voters may still be finishing by itself then.
    ///
    /// # Errors
    /// The outer error is the member's own, as for [`Handle::submit`]; the inner one is the leader's refusal.
    pub fn change_members(&self, change: Change) -> Pending<Result<Changed, Refused>> {
        self.post(
            0,
            |tag| Event::Change { tag, change },
            |answer, view| match answer {
                Answer::Changed { member } => Ok(Changed { member, members: view.members.clone() }),
                Answer::Refused(refused) => Err(refused),
                other => unreachable!("a change of the membership is not answered with {other:?}"),
            },
        )
    }

    /// Hands leadership over, to a member or to whoever is best placed; resolves with whoever leads then.
    ///
    /// # Errors
    /// As [`Handle::change_members`].
    pub fn transfer_leadership(&self, to: Option<NodeId>) -> Pending<Result<NodeId, Refused>> {
        self.post(
            0,
            |tag| Event::Lead { tag, to },
            |answer, _| match answer {
                Answer::Led { by } => Ok(by),
                Answer::Refused(refused) => Err(refused),
                other => unreachable!("a hand-over is not answered with {other:?}"),
            },
        )
    }

    /// Notes a sign of life of a lease's owner. Costs nothing now; the leader hears of it within a heartbeat.
    pub fn touch(&self, lease: LeaseId) {
        self.shared.inbox.touch(lease);
    }

    /// The member's standing.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.shared.status.borrow().clone()
    }

    /// The member's standing, and every change of it.
    #[must_use]
    pub fn status_changes(&self) -> watch::Receiver<Arc<Status>> {
        self.shared.status.subscribe()
    }

    /// This member's diary, up to this call.
    ///
    /// # Errors
    /// Its files cannot be read.
    pub async fn diary(&self) -> io::Result<Diary> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || shared.diary.read()).await.map_err(io::Error::other)?
    }

    /// A new ordered stream of requests, to be given back with [`Handle::forget`].
    #[must_use]
    pub fn stream(&self) -> StreamId {
        StreamId(self.shared.next_stream.fetch_add(1, Ordering::Relaxed))
    }

    /// The stream is over; nothing of it is remembered.
    pub fn forget(&self, stream: StreamId) {
        self.shared.inbox.post(Event::Forget { stream });
    }

    /// A box for the changes that one connection or one watch stream is interested in.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        self.shared.hub.mailbox()
    }

    /// The member's limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    fn post<T>(
        &self,
        weight: usize,
        event: impl FnOnce(RequestTag) -> Event,
        convert: fn(Answer, Arc<View>) -> T,
    ) -> Pending<T> {
        let tag = RequestTag(self.shared.next_tag.fetch_add(1, Ordering::Relaxed));
        let (completion, receiver) = oneshot::channel();
        let posted = Posted { event: event(tag), completion: Some((tag, completion)), weight };
        match self.shared.inbox.post_request(posted) {
            Ok(()) => Pending { state: PendingState::Waiting(receiver), convert },
            Err(failure) => Pending { state: PendingState::Failed(Some(failure)), convert },
        }
    }
}

/// An answer on its way. Dropping it does not take the request back.
pub struct Pending<T> {
    state: PendingState,
    convert: fn(Answer, Arc<View>) -> T,
}

enum PendingState {
    Waiting(oneshot::Receiver<Result<(Answer, Arc<View>), Failure>>),
    Failed(Option<Failure>),
}

impl Pending<Reply> {
    fn failed(failure: Failure) -> Pending<Reply> {
        Pending { state: PendingState::Failed(Some(failure)), convert: |_, view| Reply { bytes: Bytes::new(), view } }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let convert = self.convert;
        match &mut self.state {
            PendingState::Failed(failure) => {
                let failure = failure.take().unwrap_or(Failure::Unknown(Reason::Stopping));
                Poll::Ready(Err(failure))
            }
            PendingState::Waiting(receiver) => Pin::new(receiver).poll(context).map(|received| match received {
                Ok(Ok((answer, view))) => Ok(convert(answer, view)),
                Ok(Err(failure)) => Err(failure),
                // The core thread is gone with the request in its hands.
                Err(_) => Err(Failure::Unknown(Reason::Stopping)),
            }),
        }
    }
}
