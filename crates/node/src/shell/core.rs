//! The core thread: feeds the member what the inbox holds and carries out what it wants. It decides nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::Write;
use tokio::sync::watch;
use tracing::{error, info};

use super::diary::Pen;
use super::inbox::Taken;
use super::links::Links;
use super::transfer::Store;
use super::writer::SyncTimes;
use crate::handle::{Completion, Shared};
use crate::member::{Effects, Event, Member, Published, RequestTag, SnapshotOrder};
use crate::{Batch, Failure, Now, Reason, View};

/// The machine's clocks, read once per turn.
pub(super) struct Clock {
    started: Instant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { started: Instant::now() }
    }

    pub(super) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Now {
            nanoseconds: u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            unix_milliseconds: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Who waits for which answer, and what the request counts for in the inbox.
type Waiting = HashMap<RequestTag, (Completion, usize)>;

/// What the core thread works with.
pub(super) struct Core {
    pub(super) member: Member,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    pub(super) log: Sender<Write<Batch>>,
    pub(super) links: Arc<Links>,
    pub(super) store: Store,
    pub(super) diary: Pen,
    pub(super) sync_times: Arc<SyncTimes>,
    pub(super) runtime: tokio::runtime::Handle,
    pub(super) published: watch::Sender<Arc<View>>,
    /// Told once, when the member had to stop by itself.
    pub(super) fatal: watch::Sender<Option<String>>,
    /// No turn is further away than this, so that signs of life are passed on in time.
    pub(super) patience: Duration,
}

impl Core {
    /// Runs until the member is told to stop or has to.
    pub(super) fn run(mut self) {
        let mut taken = Taken::default();
        let mut waiting = Waiting::new();
        let mut going_on = true;
        while going_on {
            let until_due = self.member.deadline().saturating_sub(self.clock.now().nanoseconds);
            self.shared.inbox.take(&mut taken, Duration::from_nanos(until_due).min(self.patience));
            let now = self.clock.now();
            if let Some((newest, worst)) = self.sync_times.take() {
                self.member.step(now, Event::Synced { newest, worst });
            }
            for posted in taken.posted.drain(..) {
                if let Some((tag, completion)) = posted.completion {
                    waiting.insert(tag, (completion, posted.weight));
                }
                if let Event::Connected(peer) = posted.event {
                    self.links.open(peer);
                }
                going_on &= !matches!(posted.event, Event::Stop | Event::LogFailed { .. });
                self.member.step(now, posted.event);
            }
            if !taken.touched.is_empty() {
                let leases = std::mem::take(&mut taken.touched).into_iter().collect();
                self.member.step(now, Event::Touched { leases });
            }
            if now.nanoseconds >= self.member.deadline() {
                self.member.step(now, Event::Tick);
            }
            let effects = self.member.drain(now);
            going_on &= self.carry_out(effects, &mut waiting);
        }
        self.shared.inbox.close();
        for (completion, _) in waiting.into_values() {
            // Whoever does not wait any more needs no answer.
            let _ = completion.send(Err(Failure::Unknown(Reason::Stopping)));
        }
    }

    /// Carries out one drain, in the order that the member relies on. False if the member has to stop.
    fn carry_out(&mut self, effects: Effects, waiting: &mut Waiting) -> bool {
        for entry in effects.diary {
            info!("{}", entry.text);
            self.diary.write(entry);
        }
        if let Some(why) = effects.fatal {
            self.diary.flush();
            // Nothing of this drain leaves: what the member would say can no longer be relied on.
            error!("this member stops: {why}");
            self.fatal.send_replace(Some(why));
            return false;
        }
        self.links.send(&effects.send);
        // Only after what was said: whoever leaves is told of it.
        if let Some(peers) = effects.peers {
            self.links.follow(&self.runtime, &peers);
        }
        for write in effects.write {
            if self.log.send(write).is_err() {
                self.fatal.send_replace(Some("the log thread is gone".into()));
                return false;
            }
        }
        if let Some(SnapshotOrder { meta, state }) = effects.save_snapshot {
            self.runtime.spawn(self.store.clone().save(meta, state));
        }
        for peer in effects.send_snapshot {
            self.runtime.spawn(self.store.clone().send(self.links.clone(), peer));
        }
        let mut published = None;
        if let Some(Published { state, index, term, members }) = effects.publish {
            let view = Arc::new(View { state, index, term, members });
            let before = self.shared.view.swap(view.clone());
            if !effects.discarded.is_empty() {
                // The last reference to a great many rows: letting go of it takes as long as reading them all.
                let discarded = effects.discarded;
                self.runtime.spawn_blocking(move || drop((before, discarded)));
            }
            published = Some(view);
        }
        if !effects.answers.is_empty() {
            let view = self.shared.view.load_full();
            let (mut requests, mut bytes) = (0, 0);
            for (tag, answer) in effects.answers {
                if let Some((completion, weight)) = waiting.remove(&tag) {
                    requests += 1;
                    bytes += weight;
                    let _ = completion.send(answer.map(|answer| (answer, view.clone())));
                }
            }
            self.shared.inbox.answered(requests, bytes);
        }
        // Only now the watchers: an event of a later revision must not overtake an answer of an earlier one.
        if let Some(view) = published
            && !self.shared.hub.pass(&view)
        {
            self.published.send_replace(view);
        }
        if let Some(status) = effects.status {
            self.shared.status.send_replace(Arc::new(status));
        }
        if let Some(why) = effects.retired {
            self.diary.flush();
            error!("this member stops: {why}");
            self.fatal.send_replace(Some(why));
            return false;
        }
        true
    }
}
