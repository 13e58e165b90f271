//! The core thread's one queue: everything that happens to a member goes through it, in one order.
//! It may not know what an event means.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use state::LeaseId;
use tokio::sync::Notify;

use crate::handle::Completion;
use crate::member::{Event, RequestTag};
use crate::{Failure, Limits, Reason};

/// An event on its way to the core thread, with whoever waits for the answer.
pub(crate) struct Posted {
    pub(crate) event: Event,
    pub(crate) completion: Option<(RequestTag, Completion)>,
    /// Bytes it counts for in the queue.
    pub(crate) weight: usize,
}

/// A bounded queue for requests, and an unbounded one for what bounds itself (timers, disk, peers).
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Wakes peer readers that wait for room.
    drained: Notify,
    limits: Limits,
}

#[derive(Default)]
struct Queue {
    posted: Vec<Posted>,
    /// Requests that are not answered yet, wherever they are.
    requests: usize,
    request_bytes: usize,
    peer_bytes: usize,
    touched: BTreeSet<LeaseId>,
    closed: bool,
}

/// What the core thread took out in one go.
#[derive(Default)]
pub(crate) struct Taken {
    pub(crate) posted: Vec<Posted>,
    pub(crate) touched: BTreeSet<LeaseId>,
}

impl Inbox {
    pub(crate) fn new(limits: Limits) -> Inbox {
        Inbox { queue: Mutex::default(), filled: Condvar::new(), drained: Notify::new(), limits }
    }

    /// Queues a client's request, or refuses it at once when the queue is full.
    pub(crate) fn post_request(&self, posted: Posted) -> Result<(), Failure> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(Failure::NotApplied(Reason::Stopping));
        }
        let items = self.limits.queue_items;
        if queue.requests >= items {
            let reason = Reason::Overloaded { limit: "limits.queue_items", value: items as u64 };
            return Err(Failure::NotApplied(reason));
        }
        let bytes = self.limits.queue_bytes;
        if queue.request_bytes + posted.weight > bytes {
            let reason = Reason::Overloaded { limit: "limits.queue_bytes", value: bytes as u64 };
            return Err(Failure::NotApplied(reason));
        }
        queue.requests += 1;
        queue.request_bytes += posted.weight;
        self.push(queue, posted);
        Ok(())
    }

    /// Queues what may not be refused: timers, the disk's reports, connections, orders to stop.
    pub(crate) fn post(&self, event: Event) {
        self.push(self.lock(), Posted { event, completion: None, weight: 0 });
    }

    /// Queues a peer's message, waiting for room so that a fast peer cannot fill the memory.
    pub(crate) async fn post_peer(&self, event: Event, weight: usize) {
        loop {
            let room = self.drained.notified();
            {
                let mut queue = self.lock();
                if queue.peer_bytes < self.limits.queue_bytes || queue.closed {
                    queue.peer_bytes += weight;
                    self.push(queue, Posted { event, completion: None, weight });
                    return;
                }
            }
            room.await;
        }
    }

    /// Notes a sign of life; the core thread takes it with its next turn, and a turn is never further away than
    /// a heartbeat. Bounded by the number of leases.
    pub(crate) fn touch(&self, lease: LeaseId) {
        self.lock().touched.insert(lease);
    }

    /// Takes everything that is queued, waiting up to `patience` for something to come.
    pub(crate) fn take(&self, taken: &mut Taken, patience: Duration) {
        let mut queue = self.lock();
        if queue.posted.is_empty() && !patience.is_zero() {
            queue = self.filled.wait_timeout(queue, patience).expect("no holder of the inbox panics").0;
        }
        taken.posted.clear();
        std::mem::swap(&mut queue.posted, &mut taken.posted);
        taken.touched = std::mem::take(&mut queue.touched);
        let was_full = queue.peer_bytes >= self.limits.queue_bytes;
        queue.peer_bytes = 0;
        drop(queue);
        if was_full {
            self.drained.notify_waiters();
        }
    }

    /// So many requests with so many bytes were answered, which makes room for others.
    pub(crate) fn answered(&self, requests: usize, bytes: usize) {
        let mut queue = self.lock();
        queue.requests -= requests;
        queue.request_bytes -= bytes;
    }

    /// Refuses requests from now on and forgets those that wait.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        queue.posted.clear();
        drop(queue);
        self.drained.notify_waiters();
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, posted: Posted) {
        if queue.closed {
            return;
        }
        let was_empty = queue.posted.is_empty();
        queue.posted.push(posted);
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of the inbox panics")
    }
}
