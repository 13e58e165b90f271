//! Tells watchers what changed. It may not know why they watch, nor delay the core thread: it reads the feed of
//! published states at its own pace, and a watcher that reads too slowly loses its place, never its peace.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use state::interest::Index;
use state::{Change, State, TableId};
use tokio::sync::{Notify, watch};

pub use state::interest::Interest;

use crate::handle::{Shared, View};
use crate::mutants::mutated;

/// What arrives in a [`Mailbox`].
#[derive(Clone, Debug)]
pub enum Delivery {
    /// All changes of one revision that concern this box, in order. A change that concerns several watches of the
    /// box stands here once for each.
    Changes {
        /// The revision.
        revision: u64,
        /// Which watch, and what changed.
        changes: Vec<(u64, Change)>,
    },
    /// The watch lost its place: it reads on in history from this revision and watches anew.
    Lost {
        /// Which watch.
        token: u64,
        /// The first revision that was not delivered to it.
        from_revision: u64,
    },
}

/// From where on a new watch is served live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Changes of this revision and later arrive in the box; earlier ones are read from `view().changes(…)`.
    pub live_from: u64,
}

/// Who is interested: a box and one of its watches.
type Subscriber = (u64, u64);

/// Knows who watches what, and hands out what changed. It takes no task and no time of its own: whoever follows the
/// published states calls [`Hub::dispatch`].
pub struct Hub {
    desk: Mutex<Desk>,
    dispatched: watch::Sender<u64>,
    /// Changes one box may hold before its watches lose their place.
    capacity: usize,
}

#[derive(Default)]
struct Desk {
    index: Index<Subscriber>,
    boxes: HashMap<u64, Subscription>,
    next_box: u64,
    dispatched: u64,
}

struct Subscription {
    shared: Arc<BoxShared>,
    watches: BTreeMap<u64, (TableId, Interest)>,
}

#[derive(Default)]
struct BoxShared {
    content: Mutex<Content>,
    arrived: Notify,
}

#[derive(Default)]
struct Content {
    deliveries: VecDeque<Delivery>,
    changes: usize,
}

impl Hub {
    /// Everything up to `revision` was handed out; a box holds at most `capacity` changes.
    #[must_use]
    pub fn new(revision: u64, capacity: usize) -> Hub {
        let desk = Desk { dispatched: revision, ..Desk::default() };
        Hub { desk: Mutex::new(desk), dispatched: watch::Sender::new(revision), capacity }
    }

    /// A box for the changes that one connection or one watch stream is interested in.
    #[must_use]
    pub fn mailbox(self: &Arc<Self>) -> Mailbox {
        Mailbox::open(self.clone())
    }

    /// The newest revision whose changes were handed out.
    #[must_use]
    pub fn dispatched(&self) -> u64 {
        self.lock().dispatched
    }

    /// Hands out everything that `view` knows and that was not handed out yet.
    pub fn dispatch(&self, view: &State) {
        let mut desk = self.lock();
        let from = desk.dispatched + 1;
        if view.revision() < from {
            return;
        }
        let first = if mutated("watchers-hear-the-newest-only") { view.revision() } else { from };
        match view.changes(first) {
            Ok(changes) => {
                let mut revision = from;
                let mut due: BTreeMap<u64, Vec<(u64, Change)>> = BTreeMap::new();
                for change in changes {
                    if change.revision != revision {
                        desk.deliver(revision, std::mem::take(&mut due), self.capacity);
                        revision = change.revision;
                    }
                    desk.index.matching(change.table, &change.key, |&(box_id, token)| {
                        due.entry(box_id).or_default().push((token, change.clone()));
                    });
                }
                desk.deliver(revision, due, self.capacity);
            }
            // The history was compacted under the hub, or replaced by a snapshot: nobody's place is sure any more.
            Err(_) => desk.lose_all(from),
        }
        desk.dispatched = view.revision();
        let dispatched = desk.dispatched;
        drop(desk);
        self.dispatched.send_replace(dispatched);
    }

    /// Lets a view pass by if nobody watches anything, without waking anybody. Says whether it did; else the view is to
    /// be dispatched. Never waits.
    pub(crate) fn pass(&self, view: &View) -> bool {
        let Ok(mut desk) = self.desk.try_lock() else { return false };
        if !desk.boxes.is_empty() {
            return false;
        }
        desk.dispatched = desk.dispatched.max(view.revision());
        self.dispatched.send_replace(desk.dispatched);
        true
    }

    /// Follows the published states until the member stops.
    pub(crate) async fn run(shared: Arc<Shared>, mut published: watch::Receiver<Arc<View>>) {
        while published.changed().await.is_ok() {
            // The view that was sent, not the newest: the answers of a newer one may not have been given yet.
            let view = published.borrow_and_update().clone();
            shared.hub.dispatch(&view);
        }
    }

    /// Nothing will be dispatched any more: whoever waits for it goes on.
    pub(crate) fn close(&self) {
        self.dispatched.send_replace(u64::MAX);
    }

    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().expect("no holder of the hub panics")
    }
}

impl Desk {
    fn deliver(&mut self, revision: u64, due: BTreeMap<u64, Vec<(u64, Change)>>, capacity: usize) {
        for (box_id, changes) in due {
            let Some(subscription) = self.boxes.get_mut(&box_id) else { continue };
            let mut content = subscription.shared.lock();
            if content.changes + changes.len() <= capacity {
                content.changes += changes.len();
                content.deliveries.push_back(Delivery::Changes { revision, changes });
            } else {
                // Only the watches that were due lose their place; the quiet ones of the same box keep theirs.
                for (token, _) in changes {
                    if let Some((table, interest)) = subscription.watches.remove(&token) {
                        self.index.remove(table, &interest, &(box_id, token));
                        content.deliveries.push_back(Delivery::Lost { token, from_revision: revision });
                    }
                }
            }
            drop(content);
            subscription.shared.arrived.notify_one();
        }
    }

    fn lose_all(&mut self, from_revision: u64) {
        for subscription in self.boxes.values_mut() {
            let mut content = subscription.shared.lock();
            for token in std::mem::take(&mut subscription.watches).into_keys() {
                content.deliveries.push_back(Delivery::Lost { token, from_revision });
            }
            drop(content);
            subscription.shared.arrived.notify_one();
        }
        self.index = Index::default();
    }
}

impl BoxShared {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("no holder of a mailbox panics")
    }

    fn take(&self) -> Option<Delivery> {
        let mut content = self.lock();
        let delivery = content.deliveries.pop_front()?;
        if let Delivery::Changes { changes, .. } = &delivery {
            content.changes -= changes.len();
        }
        Some(delivery)
    }
}

/// The changes that one connection or one watch stream is interested in, in order.
pub struct Mailbox {
    id: u64,
    hub: Arc<Hub>,
    content: Arc<BoxShared>,
}

impl Mailbox {
    fn open(hub: Arc<Hub>) -> Mailbox {
        let content = Arc::new(BoxShared::default());
        let mut desk = hub.lock();
        desk.next_box += 1;
        let id = desk.next_box;
        desk.boxes.insert(id, Subscription { shared: content.clone(), watches: BTreeMap::new() });
        drop(desk);
        Mailbox { id, hub, content }
    }

    /// Watches part of a table under a token of the caller's, replacing what the token meant before.
    ///
    /// Changes of revision [`Watched::live_from`] and later will arrive here. Earlier ones are in the history of
    /// any view taken after this call, so nothing is missed and nothing comes twice.
    pub fn watch(&self, table: TableId, interest: Interest, token: u64) -> Watched {
        let mut desk = self.hub.lock();
        let subscriber = (self.id, token);
        let live_from = desk.dispatched + 1;
        let subscription = desk.boxes.get_mut(&self.id).expect("a mailbox is registered as long as it lives");
        if let Some((table, interest)) = subscription.watches.remove(&token) {
            desk.index.remove(table, &interest, &subscriber);
        }
        desk.index.insert(table, &interest, subscriber);
        let subscription = desk.boxes.get_mut(&self.id).expect("a mailbox is registered as long as it lives");
        subscription.watches.insert(token, (table, interest));
        Watched { live_from }
    }

    /// Ends a watch. Deliveries that already arrived for it stay in the box.
    pub fn unwatch(&self, token: u64) {
        let mut desk = self.hub.lock();
        let subscription = desk.boxes.get_mut(&self.id).expect("a mailbox is registered as long as it lives");
        if let Some((table, interest)) = subscription.watches.remove(&token) {
            desk.index.remove(table, &interest, &(self.id, token));
        }
    }

    /// The next delivery, as soon as there is one. Cancel safe.
    pub async fn recv(&self) -> Delivery {
        loop {
            let arrived = self.content.arrived.notified();
            if let Some(delivery) = self.content.take() {
                return delivery;
            }
            arrived.await;
        }
    }

    /// The next delivery, if there is one.
    #[must_use]
    pub fn try_recv(&self) -> Option<Delivery> {
        self.content.take()
    }

    /// How many more changes the box holds before watches lose their place.
    #[must_use]
    pub fn room(&self) -> usize {
        self.hub.capacity.saturating_sub(self.content.lock().changes)
    }

    /// Resolves when every change up to `revision` that concerns this box is in the box.
    pub async fn settled(&self, revision: u64) {
        let mut dispatched = self.hub.dispatched.subscribe();
        // The sender lives in the hub, which this mailbox holds: the wait can only end by the revision.
        let _ = dispatched.wait_for(|&dispatched| dispatched >= revision).await;
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let mut desk = self.hub.lock();
        if let Some(subscription) = desk.boxes.remove(&self.id) {
            for (token, (table, interest)) in subscription.watches {
                desk.index.remove(table, &interest, &(self.id, token));
            }
        }
    }
}
