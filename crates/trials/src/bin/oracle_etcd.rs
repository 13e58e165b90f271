//! `cargo xtask oracle etcd`: random requests to a real etcd (Debian's `etcd-server`, 3.4) and to one member of Conclave,
//! until so many were asked, or until the answers differ. A case that differs is made short and printed with its seed.
//!
//! What differs on purpose stands in `docs/etcd.md`, and in [`deliberate`], which looks away from just that.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::etcd::case::Step;
use conclave_trials::etcd::draw::draw;
use conclave_trials::etcd::mercy::spare;
use conclave_trials::etcd::server::RealServer;
use conclave_trials::etcd::side::Side;
use conclave_trials::zookeeper::shrink::shrink;
use tokio::runtime::Runtime;

/// What is asked for on the command line.
struct Wanted {
    /// The first seed; each case takes the next.
    seed: u64,
    /// Requests in all.
    operations: usize,
    /// Steps of one case.
    steps: usize,
    /// Cases that run at a time, each with servers of its own.
    pairs: usize,
}

/// A real server and one of ours.
struct Pair {
    runtime: Runtime,
    theirs: Side,
    ours: Side,
    real: RealServer,
    /// Times that the real server ended by itself.
    deaths: usize,
    _ensemble: Ensemble,
    folder: tempfile::TempDir,
}

/// Times that the real server may end by itself in one run: each is said, and more are no run any longer.
const DEATHS: usize = 100;

/// Where the two answered differently.
struct Difference {
    step: usize,
    theirs: String,
    ours: String,
}

fn main() -> anyhow::Result<()> {
    let wanted = wanted()?;
    let begin = Instant::now();
    let workers: Vec<_> = (0..wanted.pairs)
        .map(|worker| {
            std::thread::spawn({
                let (seed, operations, steps, pairs) = (wanted.seed, wanted.operations, wanted.steps, wanted.pairs);
                move || work(seed + worker as u64, pairs as u64, operations / pairs, steps)
            })
        })
        .collect();
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
    }
    say(&format!("no difference in {} operations, {} s", wanted.operations, begin.elapsed().as_secs()))
}

/// Cases of every `stride`-th seed, until so many operations were made.
fn work(first_seed: u64, stride: u64, operations: usize, steps: usize) -> anyhow::Result<()> {
    let mut pair = Pair::start()?;
    let (begin, mut done, mut spared, mut seed) = (Instant::now(), 0, 0, first_seed);
    while done < operations {
        let mut case = draw(seed, steps);
        spared += spare(&mut case);
        if let Some(first) = pair.difference(&case)? {
            say(&format!(
                "seed {seed} differs at step {}:\n  theirs {}\n  ours   {}",
                first.step, first.theirs, first.ours
            ))?;
            return report(&mut pair, seed, case[..=first.step].to_vec());
        }
        done += case.len();
        seed += stride;
        if (seed / stride).is_multiple_of(20) {
            let rate = done as f64 / begin.elapsed().as_secs_f64();
            say(&format!("{done} operations, {rate:.0} a second, next seed {seed}"))?;
        }
    }
    say(&format!(
        "{done} operations; {spared} were changed because the real server would not survive them, and it ended {} times",
        pair.deaths
    ))
}

impl Pair {
    fn start() -> anyhow::Result<Pair> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let folder = folder()?;
        let real = RealServer::start(folder.path())?;
        let ensemble = Ensemble::start_with(1, &["etcd.bcrypt_cost=4"])?;
        let theirs = runtime.block_on(Side::connect(&real.address)).context("the real server")?;
        let ours = runtime.block_on(Side::connect(&ensemble.members()[0].etcd)).context("Conclave")?;
        Ok(Pair { runtime, theirs, ours, real, deaths: 0, _ensemble: ensemble, folder })
    }

    /// The first step that was answered differently. One that the real server did not survive is none.
    fn difference(&mut self, steps: &[Step]) -> anyhow::Result<Option<Difference>> {
        let Pair { runtime, theirs, ours, .. } = self;
        let (theirs, ours) = runtime.block_on(async { tokio::join!(theirs.play(steps), ours.play(steps)) });
        let ours = ours.context("Conclave")?;
        let theirs = match theirs {
            Ok(theirs) => theirs,
            Err(error) => return if self.revive(&format!("{error:#}"))? { Ok(None) } else { Err(error) },
        };
        let pairs = theirs.into_iter().zip(ours).enumerate();
        let mut differing =
            pairs.filter(|(step, (theirs, ours))| theirs != ours && !deliberate(&steps[*step], theirs, ours));
        let Some((step, (theirs, ours))) = differing.next() else { return Ok(None) };
        let died = self.revive(&format!("step {step}, {:?}", steps[step].deed))?;
        Ok((!died).then_some(Difference { step, theirs, ours }))
    }

    /// If the real server ended by itself, counts that, says why, and starts another with fresh data. Whether it did.
    fn revive(&mut self, doing: &str) -> anyhow::Result<bool> {
        let Some(reason) = self.real.why_dead()? else { return Ok(false) };
        self.deaths += 1;
        ensure!(self.deaths <= DEATHS, "the real server ended {DEATHS} times by itself, now: {reason}\n  at {doing}");
        say(&format!("the real server ended by itself, the rest of this case is skipped: {reason}\n  at {doing}"))?;
        self.folder = folder()?;
        self.real = RealServer::start(self.folder.path())?;
        self.theirs = self.runtime.block_on(Side::connect(&self.real.address)).context("the real server")?;
        Ok(true)
    }
}

/// In memory if there is room for it: the real server is asked for answers, not for safety.
fn folder() -> anyhow::Result<tempfile::TempDir> {
    Ok(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?)
}

/// What differs on purpose: see `docs/etcd.md`.
fn deliberate(_step: &Step, _theirs: &str, _ours: &str) -> bool {
    false
}

fn report(pair: &mut Pair, seed: u64, steps: Vec<Step>) -> anyhow::Result<()> {
    let short = shrink(steps, |steps| Ok(pair.difference(steps)?.is_some()))?;
    for (number, step) in short.iter().enumerate() {
        say(&format!("{number:>4}  user {} {:?}", step.user, step.deed))?;
    }
    match pair.difference(&short)? {
        Some(found) => bail!(
            "seed {seed}, made short to {} steps, differs at {}:\n  theirs {}\n  ours   {}",
            short.len(),
            found.step,
            found.theirs,
            found.ours
        ),
        None => bail!("seed {seed} does not differ every time"),
    }
}

fn wanted() -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { seed: 1, operations: 20_000, steps: 400, pairs: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
        let number: u64 = value.parse().with_context(|| format!("{name} needs a number, not {value:?}"))?;
        match name.as_str() {
            "--seed" => wanted.seed = number,
            "--operations" => wanted.operations = usize::try_from(number)?,
            "--steps" => wanted.steps = usize::try_from(number)?,
            "--pairs" => wanted.pairs = usize::try_from(number)?.max(1),
            _ => bail!("{name} is unknown; there are --seed, --operations, --steps and --pairs"),
        }
    }
    Ok(wanted)
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
