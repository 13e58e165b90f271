//! What one watch stream owes its client: which watch is at which revision, and what to send next. A plain value: it
//! is told of requests, changes and time, and yields responses. It knows no mailbox, no socket, no task and no clock.
//!
//! Invariants of each watch:
//! - `next` is the first revision it has not been shown. It only grows, and whatever lies below it was sent, or
//!   filtered, or put into the outbox, exactly once and in order.
//! - A watch is *behind* while `next < live_from`: history shows it the revisions in between, and what arrives live in
//!   the meantime is left to history as well (`live_from` moves up). So nothing is buffered for it.
//! - A response holds whole revisions; what is cut for its size is marked as fragments of one response.
//! - Tokens are never used twice, so what still arrives for a cancelled watch means nothing to anybody.

use std::collections::{BTreeMap, VecDeque};

use state::{Change, State};

use super::events::{Lens, fragments, weight};
use crate::keys::KeyRange;
use crate::table::{KEYS, signed};
use crate::wire::etcdserverpb::{ResponseHeader, WatchCreateRequest, WatchResponse};
use crate::wire::mvccpb::Event;

/// The id in responses that concern no watch, or all.
const NO_WATCH: i64 = -1;

/// The limits of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    /// Most watches at a time.
    pub(crate) watches: usize,
    /// Most events gathered in a response while catching up.
    pub(crate) batch_events: usize,
    /// Most bytes of keys and values gathered in such a response.
    pub(crate) batch_bytes: usize,
    /// Most changes of the history that one call of [`Stream::catch_up`] looks at, whomever they concern.
    pub(crate) scan_changes: usize,
    /// Size above which a response is cut, for watches that allow it.
    pub(crate) response_bytes: usize,
}

/// A watch that is to be announced to the change feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opening {
    /// By which name its changes arrive.
    pub(crate) token: u64,
    /// What it watches.
    pub(crate) range: KeyRange,
}

/// One watch.
#[derive(Clone, Debug)]
struct Watch {
    id: i64,
    range: KeyRange,
    lens: Lens,
    /// The first revision it asked for; 0: from its creation on.
    start: u64,
    /// The first revision it has not been shown.
    next: u64,
    /// From this revision on its changes arrive live.
    live_from: u64,
    /// It wants to hear of progress when nothing else happens.
    notify: bool,
    /// Something happened since the last notice.
    heard: bool,
    /// The client can join fragments.
    fragment: bool,
    /// Its token stands in [`Stream::behind`].
    queued: bool,
}

impl Watch {
    fn is_behind(&self) -> bool {
        self.next < self.live_from
    }
}

/// The state of a watch stream.
#[derive(Debug)]
pub(crate) struct Stream {
    limits: StreamLimits,
    /// By token.
    watches: BTreeMap<u64, Watch>,
    /// Id to token.
    tokens: BTreeMap<i64, u64>,
    /// Tokens of the watches that are behind, the one whose turn it is first. May name watches that are gone.
    behind: VecDeque<u64>,
    next_token: u64,
    next_id: i64,
    outbox: VecDeque<WatchResponse>,
    progress_asked: bool,
}

impl Stream {
    pub(crate) fn new(limits: StreamLimits) -> Stream {
        Stream {
            limits,
            watches: BTreeMap::new(),
            tokens: BTreeMap::new(),
            behind: VecDeque::new(),
            next_token: 0,
            next_id: 0,
            outbox: VecDeque::new(),
            progress_asked: false,
        }
    }

    /// A client wants to watch. `now` is the newest revision. A watch that cannot be is refused into the outbox; any
    /// other is to be announced to the change feed, and then [`Stream::opened`].
    pub(crate) fn open(&mut self, request: WatchCreateRequest, now: u64) -> Option<Opening> {
        match self.admit(request) {
            Ok(watch) => {
                self.next_token += 1;
                let token = self.next_token;
                let opening = Opening { token, range: watch.range.clone() };
                self.tokens.insert(watch.id, token);
                self.watches.insert(token, watch);
                Some(opening)
            }
            Err(cancel_reason) => {
                self.refuse(cancel_reason, now);
                None
            }
        }
    }

    /// A client wants to watch what it may not.
    pub(crate) fn refuse(&mut self, cancel_reason: String, now: u64) {
        let response = WatchResponse { created: true, canceled: true, cancel_reason, ..response(NO_WATCH, now) };
        self.outbox.push_back(response);
    }

    /// The client may not watch this any more. Nothing that is not in the outbox yet is sent to it.
    pub(crate) fn withdraw(&mut self, token: u64, cancel_reason: String, now: u64) {
        if let Some(watch) = self.watches.remove(&token) {
            self.tokens.remove(&watch.id);
            self.outbox.push_back(WatchResponse { canceled: true, cancel_reason, ..response(watch.id, now) });
        }
    }

    /// What each watch watches, by its token.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u64, &KeyRange)> {
        self.watches.iter().map(|(token, watch)| (*token, &watch.range))
    }

    fn admit(&mut self, request: WatchCreateRequest) -> Result<Watch, String> {
        let start = u64::try_from(request.start_revision)
            .map_err(|_| "etcdserver: mvcc: required revision has been compacted".to_owned())?;
        let limit = self.limits.watches;
        if self.watches.len() >= limit {
            return Err(format!("etcdserver: the stream has {limit} watches, max_watches_per_stream allows no more"));
        }
        let key = if request.key.is_empty() { bytes::Bytes::from_static(b"\0") } else { request.key };
        let range = KeyRange::new(key, request.range_end);
        if range.is_empty() {
            return Err("mvcc: watcher range is empty".to_owned());
        }
        let id = self.id_for(request.watch_id)?;
        Ok(Watch {
            id,
            range,
            lens: Lens::new(&request.filters, request.prev_kv),
            start,
            next: start,
            live_from: u64::MAX,
            notify: request.progress_notify,
            heard: false,
            fragment: request.fragment,
            queued: false,
        })
    }

    /// 0 asks for any free id.
    fn id_for(&mut self, wanted: i64) -> Result<i64, String> {
        if wanted != 0 {
            let free = !self.tokens.contains_key(&wanted);
            return if free {
                Ok(wanted)
            } else {
                Err("mvcc: duplicate watch ID provided on the WatchStream".to_owned())
            };
        }
        while self.tokens.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    /// The watch is announced: changes from `live_from` on will arrive. `now` is a revision not older than that
    /// announcement; a watch without a start begins behind it.
    pub(crate) fn opened(&mut self, token: u64, live_from: u64, now: u64) {
        let watch = self.watches.get_mut(&token).expect("a watch is announced once, right after it was opened");
        if watch.start == 0 {
            watch.next = now + 1;
        }
        let created = WatchResponse { created: true, ..response(watch.id, now) };
        self.outbox.push_back(created);
        self.announced(token, live_from);
    }

    /// The feed lost the watch's place; `from_revision` is the first revision it did not deliver. If the watch still
    /// matters it is to be announced again, and then [`Stream::reopened`].
    pub(crate) fn lost(&mut self, token: u64, from_revision: u64) -> Option<Opening> {
        let watch = self.watches.get_mut(&token)?;
        if !watch.is_behind() {
            watch.next = watch.next.max(from_revision);
        }
        Some(Opening { token, range: watch.range.clone() })
    }

    /// A lost watch is announced again: changes from `live_from` on will arrive.
    pub(crate) fn reopened(&mut self, token: u64, live_from: u64) {
        self.announced(token, live_from);
    }

    fn announced(&mut self, token: u64, live_from: u64) {
        let Some(watch) = self.watches.get_mut(&token) else { return };
        watch.live_from = live_from;
        self.queue_if_behind(token);
    }

    fn queue_if_behind(&mut self, token: u64) {
        if let Some(watch) = self.watches.get_mut(&token)
            && watch.is_behind()
            && !watch.queued
        {
            watch.queued = true;
            self.behind.push_back(token);
        }
    }

    /// A client wants a watch no more. Returns what is to be told to the feed; an id that nobody has is ignored.
    pub(crate) fn cancel(&mut self, id: i64, now: u64) -> Option<u64> {
        let token = self.tokens.remove(&id)?;
        self.watches.remove(&token);
        self.outbox.push_back(WatchResponse { canceled: true, ..response(id, now) });
        Some(token)
    }

    /// All changes of one revision that concern this stream, each with the token of a watch.
    pub(crate) fn deliver(&mut self, revision: u64, changes: &[(u64, Change)]) {
        let mut by_token: BTreeMap<u64, Vec<&Change>> = BTreeMap::new();
        for (token, change) in changes {
            by_token.entry(*token).or_default().push(change);
        }
        for (token, changes) in by_token {
            let Some(watch) = self.watches.get_mut(&token) else { continue };
            if revision < watch.next {
                continue;
            }
            if watch.is_behind() {
                watch.live_from = watch.live_from.max(revision + 1);
                continue; // It is queued already.
            }
            watch.next = revision + 1;
            let events =
                (0..changes.len()).filter_map(|place| watch.lens.event(changes[place], &changes[..place])).collect();
            let response = events_response(watch, revision, events);
            self.send(response);
        }
    }

    /// Whether some watch must be shown history.
    pub(crate) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// Shows the next watch that is behind a bounded piece of history, or cancels it if that history is gone: then
    /// the token is returned, to be told to the feed.
    pub(crate) fn catch_up(&mut self, state: &State) -> Option<u64> {
        let token = self.behind.pop_front()?;
        let watch = self.watches.get_mut(&token)?;
        watch.queued = false;
        let Ok(changes) = state.changes(watch.next) else {
            let id = watch.id;
            self.watches.remove(&token);
            self.tokens.remove(&id);
            let compact_revision = signed(state.compacted());
            self.outbox.push_back(WatchResponse { canceled: true, compact_revision, ..response(id, 0) });
            return Some(token);
        };
        let (events, next) = gather(watch, changes, state.compacted(), &self.limits);
        watch.next = next.unwrap_or(state.revision() + 1).min(watch.live_from);
        let response = events_response(watch, watch.next - 1, events);
        self.queue_if_behind(token);
        self.send(response);
        None
    }

    /// The client asks how far the stream is.
    pub(crate) fn ask_progress(&mut self) {
        self.progress_asked = true;
    }

    /// Whether that question can be answered now, once everything up to the present was delivered.
    pub(crate) fn owes_progress(&self) -> bool {
        self.progress_asked && !self.is_behind()
    }

    /// Everything up to `now` was delivered. Answers the client's question, unless a watch is still behind; a stream
    /// without watches, or with one that begins in the future, has no progress to tell.
    pub(crate) fn progress(&mut self, now: u64) {
        if !self.owes_progress() {
            return;
        }
        self.progress_asked = false;
        if !self.watches.is_empty() && self.watches.values().all(|watch| watch.start <= now) {
            self.outbox.push_back(response(NO_WATCH, now));
        }
    }

    /// The interval of notices passed, and everything up to `now` was delivered: watches that asked for it and were
    /// sent nothing in the meantime are told how far they are.
    pub(crate) fn tick(&mut self, now: u64) {
        for watch in self.watches.values_mut() {
            if watch.notify && !watch.heard && !watch.is_behind() && watch.start <= now {
                self.outbox.push_back(response(watch.id, now));
            }
            watch.heard = false;
        }
    }

    /// Whether something waits to be sent.
    pub(crate) fn outgoing(&self) -> usize {
        self.outbox.len()
    }

    /// The next response. Its header says only the revision.
    pub(crate) fn pop(&mut self) -> Option<WatchResponse> {
        self.outbox.pop_front()
    }

    fn send(&mut self, response: Option<(WatchResponse, bool)>) {
        let Some((response, fragment)) = response else { return };
        if fragment {
            self.outbox.extend(fragments(response, self.limits.response_bytes));
        } else {
            self.outbox.push_back(response);
        }
    }
}

/// Events for `watch` from its part of history; and where to go on, `None` if the history was read to its end. What a
/// key was before the oldest revision that is kept is forgotten, whether or not it could still be found.
fn gather<'s>(
    watch: &Watch,
    changes: impl Iterator<Item = &'s Change>,
    compacted: u64,
    limits: &StreamLimits,
) -> (Vec<Event>, Option<u64>) {
    let (mut events, mut bytes, mut scanned) = (Vec::new(), 0, 0);
    let mut revision = watch.next;
    let mut earlier: Vec<&Change> = Vec::new();
    for change in changes {
        if change.revision != revision {
            let full =
                events.len() >= limits.batch_events || bytes >= limits.batch_bytes || scanned >= limits.scan_changes;
            if full || change.revision >= watch.live_from {
                return (events, Some(change.revision));
            }
            revision = change.revision;
            earlier.clear();
        }
        scanned += 1;
        if change.table == KEYS && watch.range.contains(&change.key) {
            let lens = Lens { previous: watch.lens.previous && change.revision > compacted, ..watch.lens };
            if let Some(event) = lens.event(change, &earlier) {
                bytes += weight(&event);
                events.push(event);
            }
            earlier.push(change);
        }
    }
    (events, None)
}

/// The response that shows `events`, and whether it may be cut; `None` if there is nothing to show.
fn events_response(watch: &mut Watch, revision: u64, events: Vec<Event>) -> Option<(WatchResponse, bool)> {
    if events.is_empty() {
        return None;
    }
    watch.heard = true;
    Some((WatchResponse { events, ..response(watch.id, revision) }, watch.fragment))
}

fn response(watch_id: i64, revision: u64) -> WatchResponse {
    let header = Some(ResponseHeader { revision: signed(revision), ..ResponseHeader::default() });
    WatchResponse { header, watch_id, ..WatchResponse::default() }
}

#[cfg(test)]
mod tests;
