//! Many seeds, one after the other, on as many threads as are wanted: what they covered together, and what was found.
//! It knows no more of a world than how to begin it, and prints nothing.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Coverage, Settings, World};

/// Worlds are deep in places: a state is released along its tree.
const STACK_BYTES: usize = 16 << 20;

/// Which seeds are to be run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// On how many threads.
    pub jobs: usize,
    /// No seed is begun after this time.
    pub limit: Option<Duration>,
    /// Whether to go on after a finding.
    pub keep_going: bool,
    /// What is asked of each world.
    pub settings: Settings,
}

/// A seed that does not end well.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub seed: u64,
    /// What is wrong: an invariant that does not hold and how, or a panic of the code under test.
    pub what: String,
}

/// What came of the seeds so far.
#[derive(Clone, Debug, Default)]
pub struct Harvest {
    /// What was covered.
    pub coverage: Coverage,
    /// How long all worlds together lasted, in their own time.
    pub simulated: Duration,
    /// How many seeds came to their end.
    pub seeds: u64,
    /// What was found.
    pub findings: Vec<Finding>,
    /// All seeds below this one were run: where the next run goes on.
    pub next: u64,
    /// Depends on everything that happened in every world, but not on their order.
    pub digest: u64,
}

thread_local! {
    /// The seed that runs on this thread, and what its panic said, if there was one.
    static RUNNING: RefCell<Option<u64>> = const { RefCell::new(None) };
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

impl Campaign {
    /// Runs all seeds. `progress` hears of the harvest after every seed, and of the seed just run.
    ///
    /// # Panics
    /// If no thread can be started.
    pub fn run(&self, progress: &(dyn Fn(u64, &Harvest) + Sync)) -> Harvest {
        let begun = Instant::now();
        let end = self.from.saturating_add(self.count);
        let next = AtomicU64::new(self.from);
        let harvest = Mutex::new(Harvest { next: self.from, ..Harvest::default() });
        let worker = || {
            while self.limit.is_none_or(|limit| begun.elapsed() < limit) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    break;
                }
                let found = self.run_one(seed);
                let mut harvest = harvest.lock().unwrap_or_else(PoisonError::into_inner);
                harvest.take_in(seed, found);
                progress(seed, &harvest);
                if !harvest.findings.is_empty() && !self.keep_going {
                    // Nobody begins another.
                    next.store(end, Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let started = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, worker);
                started.expect("a machine that simulates ensembles can start a few threads");
            }
        });
        harvest.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_one(&self, seed: u64) -> Result<crate::Report, String> {
        RUNNING.set(Some(seed));
        let ran = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(seed, self.settings, None);
            world.run().map_err(|violation| format!("after {:.3?}: {violation}", Duration::from_nanos(world.now())))
        }));
        RUNNING.set(None);
        let panicked = PANICKED.take();
        ran.unwrap_or_else(|_| Err(panicked.unwrap_or_else(|| "a panic".into())))
    }
}

impl Harvest {
    fn take_in(&mut self, seed: u64, found: Result<crate::Report, String>) {
        self.next = self.next.max(seed + 1);
        match found {
            Ok(report) => {
                self.seeds += 1;
                self.simulated += Duration::from_nanos(report.simulated);
                self.digest ^= crate::chance::mix(report.digest ^ seed);
                self.coverage.merge(&report.coverage);
            }
            Err(what) => self.findings.push(Finding { seed, what }),
        }
    }
}

/// The code under test asserts its own invariants: such a panic is a finding as well, and needs its seed. `say` hears of
/// it at once, for a program that was built to abort gets no further.
pub fn tell_the_seed_of_a_panic(say: fn(&str)) {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let Some(seed) = RUNNING.with_borrow(|running| *running) else { return usual(panic) };
        let what = format!("the code under test panicked: {panic}").replace('\n', " ");
        say(&format!("seed {seed}, {what}"));
        PANICKED.set(Some(what));
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harvest_does_not_depend_on_the_number_of_threads() {
        let settings = Settings { duration: Some(5_000_000_000), ..Settings::default() };
        let campaign = Campaign { from: 40, count: 4, jobs: 1, limit: None, keep_going: false, settings };
        let alone = campaign.run(&|_, _| {});
        let together = Campaign { jobs: 3, ..campaign }.run(&|_, _| {});
        assert_eq!((alone.seeds, alone.next, alone.simulated), (4, 44, together.simulated));
        assert_eq!(alone.digest, together.digest);
    }
}
