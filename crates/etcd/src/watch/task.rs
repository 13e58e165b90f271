//! Moves the messages of one watch stream between client, change feed and [`Stream`]. Decides nothing.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::time::Duration;

use node::{Delivery, Interest, Mailbox};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tonic::{Status, Streaming};

use super::permission::{self, Permissions};
use super::{Opening, Stream, StreamLimits};
use crate::keys::{KeyRange, after_prefix};
use crate::serve::{Credentials, Door, Guard, Present};
use crate::table::KEYS;
use crate::wire::etcdserverpb::watch_request::RequestUnion;
use crate::wire::etcdserverpb::{WatchRequest, WatchResponse};

/// Requests are read no further while this many responses wait, so a client that does not read cannot fill memory.
const OUTBOX_RESPONSES: usize = 64;

/// Changes of history that one step of catching up looks at: about a millisecond of work.
const SCAN_CHANGES: usize = 10_000;

/// Serves one stream until the client ends it, or the guard does.
pub(crate) async fn serve_stream(
    door: Door,
    credentials: Credentials,
    mut requests: Streaming<WatchRequest>,
    responses: Sender<Result<WatchResponse, Status>>,
    mut guard: Guard,
) {
    let mut session = Session::new(&door, credentials);
    let _counted = Present::new(&door.counts, |counts| &counts.watch_streams);
    let mut account_changes = door.account_changes.clone();
    let mut notices = notices(door.options.watch_progress_interval);
    // A client may end its side of the stream and still listen.
    let mut asking = true;
    loop {
        let waiting = session.stream.outgoing();
        tokio::select! {
            permit = responses.reserve(), if waiting > 0 => match (permit, session.stream.pop()) {
                (Ok(permit), Some(response)) => {
                    door.counts.events.fetch_add(response.events.len() as u64, Ordering::Relaxed);
                    permit.send(Ok(door.completed_watch(response)));
                }
                _ => return,
            },
            request = requests.message(), if asking && waiting < OUTBOX_RESPONSES => match request {
                Ok(Some(request)) => session.request(request).await,
                Ok(None) => asking = false,
                Err(_) => return,
            },
            delivery = session.mailbox.recv(), if waiting == 0 => session.deliver(delivery),
            () = std::future::ready(()), if waiting == 0 && session.stream.is_behind() => {
                session.catch_up().await;
                tokio::task::yield_now().await;
            }
            _ = notices.tick(), if waiting == 0 => session.tick().await,
            Ok(()) = account_changes.changed() => session.check_permissions(),
            () = responses.closed() => return,
            refusal = guard.refusal() => {
                // A client that does not read will not miss the reason either.
                let _ = responses.try_send(Err(refusal.into()));
                return;
            }
        }
    }
}

/// One stream's parts that work together.
struct Session<'d> {
    door: &'d Door,
    mailbox: Mailbox,
    stream: Stream,
    permissions: Permissions,
}

impl<'d> Session<'d> {
    fn new(door: &'d Door, credentials: Credentials) -> Session<'d> {
        let options = &door.options;
        let stream = Stream::new(StreamLimits {
            watches: options.max_watches_per_stream,
            batch_events: options.watch_batch_events,
            batch_bytes: options.watch_batch_bytes,
            scan_changes: SCAN_CHANGES,
            response_bytes: options.max_request_bytes,
        });
        Session { door, mailbox: door.handle.mailbox(), stream, permissions: Permissions::new(credentials) }
    }

    async fn request(&mut self, request: WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => {
                let now = self.now();
                let caller = match self.permissions.admit(self.door, &request) {
                    Ok(caller) => caller,
                    Err(refusal) => return self.stream.refuse(permission::reason(refusal), now),
                };
                if let Some(opening) = self.stream.open(request, now) {
                    self.permissions.opened(self.door, opening.token, caller);
                    let live_from = self.announce(&opening);
                    // Not older than the announcement, so what it shows as the present is all behind the watch.
                    let now = self.now();
                    self.stream.opened(opening.token, live_from, now);
                }
            }
            Some(RequestUnion::CancelRequest(request)) => {
                let now = self.now();
                if let Some(token) = self.stream.cancel(request.watch_id, now) {
                    self.permissions.closed(token);
                    self.mailbox.unwatch(token);
                }
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                self.stream.ask_progress();
                self.progress().await;
            }
            None => {}
        }
    }

    /// What is about to be sent is of the present view or older, and so are the permissions that are looked at here: no
    /// event leaves that was written after its reader lost the right to it.
    fn check_permissions(&mut self) {
        for (token, reason) in self.permissions.lost(self.door, &self.stream) {
            let now = self.now();
            self.stream.withdraw(token, reason, now);
            self.mailbox.unwatch(token);
        }
    }

    fn deliver(&mut self, delivery: Delivery) {
        self.check_permissions();
        match delivery {
            Delivery::Changes { revision, changes } => self.stream.deliver(revision, &changes),
            Delivery::Lost { token, from_revision } => {
                if let Some(opening) = self.stream.lost(token, from_revision) {
                    let live_from = self.announce(&opening);
                    self.stream.reopened(token, live_from);
                }
            }
        }
    }

    async fn catch_up(&mut self) {
        self.check_permissions();
        let view = self.door.handle.view();
        if let Some(token) = self.stream.catch_up(&view) {
            self.permissions.closed(token);
            self.mailbox.unwatch(token);
        }
        if self.stream.owes_progress() {
            self.progress().await;
        }
    }

    async fn progress(&mut self) {
        let now = self.settle().await;
        self.stream.progress(now);
    }

    async fn tick(&mut self) {
        let now = self.settle().await;
        self.stream.tick(now);
    }

    /// Takes in everything up to the present, which is returned. What it adds to the outbox is bounded by what the
    /// mailbox may hold.
    async fn settle(&mut self) -> u64 {
        let now = self.now();
        self.mailbox.settled(now).await;
        while let Some(delivery) = self.mailbox.try_recv() {
            self.deliver(delivery);
        }
        now
    }

    /// Returns the first revision that will arrive live.
    fn announce(&self, opening: &Opening) -> u64 {
        self.mailbox.watch(KEYS, interest(&opening.range), opening.token).live_from
    }

    fn now(&self) -> u64 {
        self.door.handle.view().revision()
    }
}

/// The interval of progress notices, spread a little, so that streams opened together do not speak together.
fn notices(interval: Duration) -> Interval {
    let spread = RandomState::new().hash_one(()) % 100;
    let first = interval + interval * u32::try_from(spread).expect("below 100") / 1000;
    let mut notices = interval_at(Instant::now() + first, first);
    notices.set_missed_tick_behavior(MissedTickBehavior::Delay);
    notices
}

/// What the change feed is told. It serves prefixes more cheaply than ranges.
fn interest(range: &KeyRange) -> Interest {
    match range {
        KeyRange::Single(key) => Interest::Exact(key.clone()),
        KeyRange::Between(start, end) if after_prefix(start).as_ref() == Some(end) => Interest::Prefix(start.clone()),
        KeyRange::Between(start, end) => Interest::Range(start.clone(), Some(end.clone())),
        KeyRange::From(start) => Interest::Range(start.clone(), None),
    }
}
