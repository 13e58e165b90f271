//! Watchers at the real hub of each member: some follow a range from a revision on and through reconnections, as etcd's
//! clients do, some set a watch on one register that fires once, as ZooKeeper's do. What they are told is held against
//! what was decided.

use node::{Delivery, Hub, Interest, Mailbox, NodeId};

use super::{Action, World};
use crate::chance::Chance;
use crate::clock::{MILLISECOND, SECOND};
use crate::invariants::{Verdict, watches};
use crate::registers::{Register, Registers};

/// The one watch that a watcher has in its box.
const TOKEN: u64 = 1;

/// One watcher.
pub(super) struct Watcher {
    number: usize,
    chance: Chance,
    /// The registers it follows: from the first, included, to the second, excluded.
    registers: (Register, Register),
    /// It fires once and is set anew.
    once: bool,
    /// Everything up to this revision is known to it.
    cursor: u64,
    connection: Option<Connection>,
}

/// A watch that stands.
struct Connection {
    home: (NodeId, u64),
    mailbox: Mailbox,
}

impl Watcher {
    pub(super) fn new(number: usize, groups: [Register; 3], counts: [u16; 3], mut chance: Chance) -> Watcher {
        let group = chance.position(groups.len());
        let (first, count) = (groups[group], counts[group]);
        let once = chance.percent(40);
        let begin = first + Register::try_from(chance.below(u64::from(count))).expect("a few registers");
        let end = if once { begin + 1 } else { first + count };
        Watcher { number, chance, registers: (begin, end), once, cursor: 1, connection: None }
    }

    fn interest(&self) -> Interest {
        let key = |register: Register| register.to_be_bytes().to_vec().into();
        let (begin, end) = self.registers;
        if end == begin + 1 { Interest::Exact(key(begin)) } else { Interest::Range(key(begin), Some(key(end))) }
    }
}

impl World {
    /// A member published: its hub hears of it in a moment, and takes the newest state then.
    pub(super) fn dispatch_soon(&mut self, id: NodeId) {
        let slow = self.mood.slow_hubs;
        let host = self.host(id);
        let Some(process) = host.process.as_mut().filter(|process| !process.dispatching) else { return };
        process.dispatching = true;
        let life = host.life;
        let wait = if slow { host.chance.below(SECOND) } else { host.chance.below(MILLISECOND) };
        self.after(wait, Action::Dispatch { id, life });
    }

    pub(super) fn dispatch(&mut self, id: NodeId, life: u64) {
        let host = self.host(id);
        let Some(process) = host.process.as_mut().filter(|_| host.life == life) else { return };
        process.dispatching = false;
        process.hub.dispatch(&process.published.state);
    }

    pub(super) fn wake_watcher(&mut self, watcher: usize) {
        let pause = if self.mood.slow_watchers { 20 * SECOND } else { self.plan.clients.pause.min(5 * SECOND) };
        let wait = self.watchers[watcher].chance.below(pause + 1);
        self.after(wait, Action::Watcher(watcher));
    }

    /// A watcher looks what has come.
    pub(super) fn watcher(&mut self, watcher: usize) -> Verdict {
        self.wake_watcher(watcher);
        self.look_for_changes(watcher)
    }

    /// Takes everything that has come for a watcher, and connects it if it is not.
    pub(super) fn look_for_changes(&mut self, watcher: usize) -> Verdict {
        let this = &mut self.watchers[watcher];
        let gone = this.connection.as_ref().is_some_and(|connection| {
            let host = &self.hosts[&connection.home.0];
            host.life != connection.home.1 || host.process.is_none()
        });
        if gone || this.chance.per_mille(5) {
            this.connection = None;
        }
        if this.connection.is_none() {
            return self.watch(watcher);
        }
        self.read_mailbox(watcher)
    }

    /// Watches at some member: what comes from now on arrives in the box, what came before is read from the history.
    fn watch(&mut self, watcher: usize) -> Verdict {
        // At the end only those count who belong; before, a watcher may be misled.
        let known = if self.mood.resting { self.members() } else { self.ids() };
        let up: Vec<NodeId> = known.into_iter().filter(|id| self.hosts[id].process.is_some()).collect();
        let this = &mut self.watchers[watcher];
        let Some(id) = this.chance.pick(&up) else { return Ok(()) };
        let host = &self.hosts[&id];
        let Some(process) = &host.process else { return Ok(()) };
        let state = process.published.state.clone();
        // As ZooKeeper's clients do: a member that knows less than they do is no place for them.
        if this.once && state.revision() < this.cursor {
            return Ok(());
        }
        let mailbox = process.hub.mailbox();
        let live_from = mailbox.watch(Registers::REGISTERS, this.interest(), TOKEN).live_from;
        this.connection = Some(Connection { home: (id, host.life), mailbox });
        self.coverage.count("watches begun");
        if self.watchers[watcher].once {
            // Its client reads before it waits: what it missed meanwhile it sees there.
            self.watchers[watcher].cursor = live_from.max(self.watchers[watcher].cursor + 1) - 1;
            return Ok(());
        }
        let from = self.watchers[watcher].cursor + 1;
        match state.changes(from.min(state.revision() + 1)) {
            Ok(changes) => {
                let missed: Vec<_> = changes
                    .filter(|change| change.revision < live_from && change.table == Registers::REGISTERS)
                    .filter_map(Registers::told)
                    .collect();
                self.tell_watcher(watcher, missed)?;
                self.watched_through(watcher, live_from - 1)
            }
            Err(_) => self.lose_place(watcher),
        }
    }

    fn read_mailbox(&mut self, watcher: usize) -> Verdict {
        let this = &self.watchers[watcher];
        let Some(connection) = &this.connection else { return Ok(()) };
        let (id, _) = connection.home;
        let Some(process) = &self.hosts[&id].process else { return Ok(()) };
        // First the hub, then the box: whatever the hub had handed out by then must be in it.
        let dispatched = process.hub.dispatched();
        let mut deliveries = Vec::new();
        while let Some(delivery) = connection.mailbox.try_recv() {
            deliveries.push(delivery);
        }
        for delivery in deliveries {
            match delivery {
                Delivery::Changes { changes, .. } => {
                    let told = changes.iter().filter_map(|(_, change)| Registers::told(change)).collect();
                    self.tell_watcher(watcher, told)?;
                    if self.watchers[watcher].once {
                        // It has fired; it will be set anew.
                        self.coverage.count("watches fired");
                        self.watchers[watcher].connection = None;
                        return Ok(());
                    }
                }
                Delivery::Lost { .. } => {
                    self.coverage.count("watchers that lost their place");
                    // It reads on in history, from the first revision that it does not know.
                    self.watchers[watcher].connection = None;
                    return Ok(());
                }
            }
        }
        self.watched_through(watcher, dispatched)
    }

    /// These changes are told to a watcher: each must be the next one of its registers that was decided.
    fn tell_watcher(&mut self, watcher: usize, told: Vec<(u64, Register, Option<u64>)>) -> Verdict {
        let this = &self.watchers[watcher];
        let (number, registers) = (this.number, this.registers);
        let news: Vec<_> = told
            .into_iter()
            // A member that is behind repeats what this watcher knows from another; its protocol passes over that.
            .filter(|&(revision, register, _)| {
                revision > this.cursor && register >= registers.0 && register < registers.1
            })
            .collect();
        let Some(&(last, ..)) = news.last() else { return Ok(()) };
        // A watch that fires once is told of one revision, and knows nothing of later ones.
        let due = self.witness.ledger().changes(this.cursor + 1, last, registers);
        watches::watchers_see_every_change_once(number, &news, &due)?;
        self.coverage.add("changes told to watchers", news.len() as u64);
        self.watchers[watcher].cursor = last;
        Ok(())
    }

    /// The hub has handed out everything up to a revision, and the watcher has taken it all: it must know everything.
    fn watched_through(&mut self, watcher: usize, through: u64) -> Verdict {
        let this = &self.watchers[watcher];
        let due = self.witness.ledger().changes(this.cursor + 1, through, this.registers);
        watches::watchers_miss_nothing(this.number, through, &due)?;
        let this = &mut self.watchers[watcher];
        this.cursor = this.cursor.max(through);
        Ok(())
    }

    /// What the watcher has not seen is compacted: it is told, reads everything anew and watches from there.
    fn lose_place(&mut self, watcher: usize) -> Verdict {
        self.coverage.count("watchers told that their past is gone");
        let this = &mut self.watchers[watcher];
        let Some(connection) = &this.connection else { return Ok(()) };
        let Some(process) = &self.hosts[&connection.home.0].process else { return Ok(()) };
        this.cursor = this.cursor.max(process.hub.dispatched());
        Ok(())
    }

    /// After all is well: whoever watches learns of everything that was decided.
    pub(super) fn watchers_catch_up(&mut self) -> Verdict {
        self.run_until(self.now + 2 * SECOND)?;
        let last = self.witness.ledger().reference().revision();
        let members = self.members();
        for watcher in 0..self.watchers.len() {
            self.watchers[watcher].connection.take_if(|connection| !members.contains(&connection.home.0));
            // More than once, for a look may only find that it has to begin anew.
            for _ in 0..3 {
                self.look_for_changes(watcher)?;
            }
            let this = &self.watchers[watcher];
            if !this.once && this.connection.is_some() {
                let due = self.witness.ledger().changes(this.cursor + 1, last, this.registers);
                watches::watchers_miss_nothing(this.number, last, &due)?;
            }
        }
        Ok(())
    }
}

/// A hub as a member's start makes it.
pub(super) fn hub(revision: u64, capacity: usize) -> std::sync::Arc<Hub> {
    std::sync::Arc::new(Hub::new(revision, capacity))
}
