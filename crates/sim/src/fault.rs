//! Every kind of fault, by name. What each one does stands in `world::faults`.

/// Declares the kinds, so that the list of all cannot miss one.
macro_rules! faults {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal,)+) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Fault {
            /// All kinds.
            pub const ALL: &'static [Fault] = &[$(Fault::$kind,)+];

            /// The kind's name, for people.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$kind => $name,)+
                }
            }

            /// What it does, in a sentence.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Fault::$kind => concat!($($doc),+).trim_ascii_start(),)+
                }
            }
        }
    };
}

faults! {
    /// A connection becomes slow to deliver.
    Delay = "delay",
    /// A connection delivers now sooner, now later.
    Jitter = "jitter",
    /// A connection carries few bytes a second.
    SlowLink = "slow link",
    /// Entries fall behind votes and heartbeats.
    SlowBulk = "bulk lane behind control lane",
    /// Votes and heartbeats fall behind entries.
    SlowControl = "control lane behind bulk lane",
    /// A connection breaks, and both ends notice.
    Reset = "connection reset",
    /// A connection breaks, and one end notices long after the other.
    HalfOpen = "half-open connection",
    /// All connections break at once.
    ResetAll = "all connections reset",
    /// No connection can be made anew for a while.
    Refuse = "connections refused",
    /// One member is cut off.
    Isolate = "member isolated",
    /// The leader is cut off.
    IsolateLeader = "leader isolated",
    /// The members fall into two parts.
    Split = "ensemble split",
    /// One direction between two members is blocked.
    OneWay = "one-way block",
    /// One member hears nobody.
    Deaf = "member deaf",
    /// Nobody hears one member.
    Mute = "member mute",
    /// Nobody hears the leader.
    MuteLeader = "leader mute",
    /// Two members do not hear each other, but everybody else.
    Partial = "partial partition",
    /// Two parts that only one member reaches both of.
    Bridge = "bridge partition",
    /// A connection is blocked and opened again and again.
    Flapping = "flapping link",
    /// Nobody hears anybody.
    Blackout = "blackout",
    /// Consensus messages are lost on a standing connection.
    Drop = "messages dropped",
    /// Consensus messages arrive twice.
    Double = "messages doubled",
    /// Consensus messages overtake each other.
    Reorder = "messages reordered",
    /// Consensus messages arrive a second time, many seconds later.
    Replay = "messages replayed",
    /// Bits of a message change on the wire.
    Corrupt = "bytes corrupted on the wire",
    /// A bit of a follower's state changes.
    BitFlip = "bit flipped in a follower's state",
    /// A member is added, and votes as soon as it is caught up.
    AddMember = "member added",
    /// A learner is added that stays one.
    AddLearner = "learner added",
    /// A learner is promoted.
    Promote = "learner promoted",
    /// A member is removed.
    RemoveMember = "member removed",
    /// The leader is removed.
    RemoveLeader = "leader removed",
    /// A member is lost with its disk, removed, and replaced by a new one.
    Replace = "member lost and replaced",
    /// Two operators change the membership at once.
    TwoOperators = "two operators at once",
    /// An operator orders another leader.
    Lead = "leadership ordered elsewhere",
    /// A process is killed.
    Kill = "kill",
    /// The leader is killed.
    KillLeader = "kill leader",
    /// A process is killed while it writes.
    KillInWrite = "kill during a write",
    /// All processes are killed at once.
    KillAll = "kill all",
    /// A machine loses power.
    PowerLoss = "power loss",
    /// The leader's machine loses power.
    PowerLossLeader = "power loss of the leader",
    /// A machine loses power while it writes.
    PowerLossInWrite = "power loss during a write",
    /// All machines lose power at once.
    PowerLossAll = "power loss of all",
    /// A process is killed again and again, as soon as it has started.
    CrashLoop = "crash loop",
    /// A process is killed while it starts.
    KillInStart = "kill during the start",
    /// One process after the other is restarted.
    RollingRestart = "rolling restart",
    /// A process is stopped in an orderly way, and started again.
    Stop = "orderly stop",
    /// A killed process stays away for long.
    LongAbsence = "long absence",
    /// A process stands still for less than an election timeout.
    ShortPause = "short pause",
    /// A process stands still for longer than an election timeout.
    LongPause = "long pause",
    /// The leader stands still.
    PauseLeader = "pause of the leader",
    /// All processes stand still.
    PauseAll = "pause of all",
    /// A process gets its turns late.
    Sluggish = "sluggish process",
    /// Syncs are slow.
    SlowSync = "slow sync",
    /// The leader's syncs are slow.
    SlowSyncLeader = "slow sync of the leader",
    /// One sync takes longer than an election timeout.
    StuckSync = "stuck sync",
    /// A write fails.
    WriteError = "write error",
    /// A sync fails, and what it should have written is gone.
    SyncError = "sync error",
    /// A snapshot cannot be written.
    SnapshotError = "snapshot error",
    /// A disk is full.
    DiskFull = "disk full",
    /// A clock runs fast or slow.
    Drift = "clock drift",
    /// A monotonic clock jumps ahead.
    ClockJump = "clock jump",
    /// A wall clock is set ahead.
    WallAhead = "wall clock set ahead",
    /// A wall clock is set back.
    WallBack = "wall clock set back",
    /// A monotonic clock stands still.
    ClockFreeze = "clock freeze",
    /// The leader is asked to step aside.
    StepAside = "step aside",
    /// Clients ask much more than usual.
    Burst = "burst of requests",
    /// Clients send large requests.
    LargeRequests = "large requests",
    /// Clients give up waiting early and go to another member.
    Impatience = "impatient clients",
    /// Clients that hold leases fall silent.
    Silence = "silent lease holders",
    /// Watchers read so late that they lose their place.
    SlowWatchers = "slow watchers",
    /// Members tell their watchers late.
    SlowHubs = "late watch hubs",
}

impl Fault {
    /// Whether it breaks the promise that a standing connection gives.
    #[must_use]
    pub fn is_harsh(self) -> bool {
        matches!(self, Fault::Drop | Fault::Double | Fault::Reorder | Fault::Replay)
    }

    /// Whether it needs machines beyond those of the members there are.
    #[must_use]
    pub fn needs_spares(self) -> bool {
        matches!(self, Fault::AddMember | Fault::AddLearner | Fault::Replace | Fault::TwoOperators)
    }
}
