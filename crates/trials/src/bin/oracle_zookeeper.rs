//! `cargo xtask oracle zookeeper`: random requests to a real ZooKeeper and to three members of Conclave, until so many
//! were asked, or until the answers differ. A case that differs is made short and printed with its seed.
//!
//! What differs on purpose stands in `docs/zookeeper.md`, and in the two places here that look away from it: events of
//! the real server 3.8 name no transaction, and what is in no promised order is compared without its order.

use std::io::Write as _;
use std::time::Instant;

use anyhow::{Context as _, bail};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::zookeeper::case::{Step, draw};
use conclave_trials::zookeeper::compare::{Difference, difference};
use conclave_trials::zookeeper::server::{RealServer, SUPER_DIGEST};
use conclave_trials::zookeeper::shrink::shrink;
use conclave_trials::zookeeper::side::play;

/// What is asked for on the command line.
struct Wanted {
    /// The first seed; each case takes the next.
    seed: u64,
    /// Requests in all.
    operations: usize,
    /// Steps of one case.
    steps: usize,
    /// Print the case of the seed instead of playing it.
    show: bool,
}

fn main() -> anyhow::Result<()> {
    let wanted = wanted()?;
    if wanted.show {
        return show(&draw(wanted.seed, wanted.steps));
    }
    let folder = tempfile::tempdir()?;
    let real = RealServer::start(folder.path())?;
    let settings = [
        format!("zookeeper.super_digest={SUPER_DIGEST}"),
        "zookeeper.container_check=24h".to_owned(),
        "zookeeper.connections_per_address=0".to_owned(),
    ];
    let ensemble = Ensemble::start_with(3, &settings.each_ref().map(String::as_str))?;
    let ours: Vec<String> = ensemble.members().iter().map(|member| member.zookeeper.clone()).collect();
    let mut sides = Sides { theirs: vec![real.address.clone()], ours, cases: 0 };

    let begin = Instant::now();
    let mut done = 0;
    let mut seed = wanted.seed;
    while done < wanted.operations {
        let steps = draw(seed, wanted.steps);
        if let Some(first) = sides.differ(&steps)? {
            say(&format!("seed {seed} differs: {}", first.told))?;
            return report(&mut sides, seed, steps);
        }
        done += steps.len();
        seed += 1;
        if (seed - wanted.seed).is_multiple_of(50) {
            let rate = done as f64 / begin.elapsed().as_secs_f64();
            say(&format!("{done} operations, {rate:.0} a second"))?;
        }
    }
    let took = begin.elapsed().as_secs();
    say(&format!("no difference in {done} operations, seeds {} to {}, {took} s", wanted.seed, seed - 1))?;
    ensemble.stop()
}

/// Both sides, and how many cases they were asked.
struct Sides {
    theirs: Vec<String>,
    ours: Vec<String>,
    cases: usize,
}

impl Sides {
    fn differ(&mut self, steps: &[Step]) -> anyhow::Result<Option<Difference>> {
        self.cases += 1;
        let root = format!("/case{}", self.cases);
        let (theirs, ours) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| play(&self.theirs, &root, steps));
            let ours = play(&self.ours, &root, steps);
            (theirs.join().expect("playing does not panic"), ours)
        });
        Ok(difference(steps, &theirs.context("the real server")?, &ours.context("Conclave")?))
    }
}

fn report(sides: &mut Sides, seed: u64, steps: Vec<Step>) -> anyhow::Result<()> {
    let short = shrink(steps, |steps| Ok(sides.differ(steps)?.is_some()))?;
    show(&short)?;
    let told = sides.differ(&short)?.map_or("it does not differ every time".to_owned(), |found| found.told);
    bail!("seed {seed}, made short to {} steps:\n{told}", short.len())
}

fn show(steps: &[Step]) -> anyhow::Result<()> {
    for (number, step) in steps.iter().enumerate() {
        let link = if step.pipelined { '+' } else { ' ' };
        say(&format!("{number:>4} {link} session {} {:?}", step.session, step.deed))?;
    }
    Ok(())
}

fn wanted() -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { seed: 1, operations: 20_000, steps: 300, show: false };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--show" {
            wanted.show = true;
            continue;
        }
        let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
        let number = || value.parse().with_context(|| format!("{name} needs a number, not {value:?}"));
        match name.as_str() {
            "--seed" => wanted.seed = number()?,
            "--operations" => wanted.operations = usize::try_from(number()?)?,
            "--steps" => wanted.steps = usize::try_from(number()?)?,
            _ => bail!("{name} is unknown; there are --seed, --operations, --steps and --show"),
        }
    }
    Ok(wanted)
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
