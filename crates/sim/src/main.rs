//! Runs simulations: many seeds, or one with a trace. It knows no more of a world than how to begin it.

use std::cell::Cell;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use conclave_sim::{Coverage, Settings, World};

const HELP: &str = "\
Simulates a whole ensemble, deterministically, under faults, and checks it after every step.

  --seeds K          run K seeds, one after the other (default 100)
  --first N          begin with seed N (default 1)
  --seed N           run seed N only
  --trace            write down everything that happens (with --seed)
  --minutes M        stop after M minutes
  --simulate S       let the faults of each seed last S simulated seconds (default: 30 to 120, drawn from the seed)

Prints what was covered. Exits with 1 at the first violation, after saying how to repeat it; and after 100 seeds or
more in which something never happened that should have.
";

/// In so many seeds everything must happen that can; a run in which something did not counts as failed.
const SEEDS_TO_SEE_ALL: u64 = 100;

thread_local! {
    /// The command that repeats what is running, for the case that the code under test panics.
    static RUNNING: Cell<Option<(u64, Option<u64>)>> = const { Cell::new(None) };
}

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wishes {
    first: u64,
    count: u64,
    trace: bool,
    minutes: Option<u64>,
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return say(HELP).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let ran = parse(&arguments).map_err(io::Error::other).and_then(run);
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            // Nobody is left to be told if even this fails.
            let _ = writeln!(io::stderr(), "{problem}");
            ExitCode::from(2)
        }
    }
}

fn parse(arguments: &[String]) -> Result<Wishes, String> {
    let mut wishes = Wishes { first: 1, count: 100, trace: false, minutes: None, seconds: None };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        if name == "--trace" {
            wishes.trace = true;
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("{name} needs a value; see --help"))?;
        let number = value.parse::<u64>().map_err(|_| format!("{name} {value}: not a number"))?;
        match name.as_str() {
            "--seeds" => wishes.count = number,
            "--first" => wishes.first = number,
            "--seed" => (wishes.first, wishes.count) = (number, 1),
            "--minutes" => wishes.minutes = Some(number),
            "--simulate" => wishes.seconds = Some(number),
            _ => return Err(format!("{name} is not known; see --help")),
        }
    }
    if wishes.trace && wishes.count != 1 {
        return Err("--trace is for one seed: add --seed N".into());
    }
    Ok(wishes)
}

/// Runs what is wished for. False if something was violated.
fn run(wishes: Wishes) -> io::Result<bool> {
    tell_the_seed_of_a_panic();
    let started = Instant::now();
    let settings = Settings { duration: wishes.seconds.map(|seconds| seconds * 1_000_000_000), sabotage: None };
    let limit = wishes.minutes.map(|minutes| Duration::from_secs(minutes * 60));
    let mut coverage = Coverage::default();
    let mut simulated = Duration::ZERO;
    for seed in wishes.first..wishes.first.saturating_add(wishes.count) {
        if limit.is_some_and(|limit| started.elapsed() >= limit) {
            break;
        }
        RUNNING.set(Some((seed, wishes.seconds)));
        let trace = wishes.trace.then(|| Box::new(print_line) as Box<dyn FnMut(&str)>);
        let mut world = World::new(seed, settings, trace);
        match world.run() {
            Ok(report) => {
                simulated += Duration::from_nanos(report.simulated);
                coverage.merge(&report.coverage);
                if wishes.count == 1 {
                    say(&format!("seed {seed} ends with digest {:016x}\n", report.digest))?;
                }
            }
            Err(violation) => {
                let at = Duration::from_nanos(world.now());
                say(&format!("seed {seed}, after {at:.3?}: {violation}\n{}\n", replay(seed, wishes.seconds)))?;
                return Ok(false);
            }
        }
    }
    RUNNING.set(None);
    let hours = simulated.as_secs_f64() / 3600.0;
    let took = started.elapsed();
    say(&format!("{coverage}no violation; {hours:.2} simulated ensemble-hours in {took:.1?}\n"))?;
    let never = coverage.never();
    let many = coverage.of("seeds") >= SEEDS_TO_SEE_ALL;
    if many && !never.is_empty() {
        say(&format!("the run proves little, for these never happened: {}\n", never.join(", ")))?;
    }
    Ok(!many || never.is_empty())
}

fn replay(seed: u64, seconds: Option<u64>) -> String {
    let seconds = seconds.map(|seconds| format!(" --simulate {seconds}")).unwrap_or_default();
    format!("repeat it with: cargo run -p conclave-sim --release -- --seed {seed}{seconds} --trace")
}

/// The code under test asserts its own invariants: such a panic is a finding as well, and needs its seed.
fn tell_the_seed_of_a_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if let Some((seed, seconds)) = RUNNING.get() {
            // A panic is on its way already: there is nothing to do about a closed output.
            let _ = say(&format!("seed {seed} panicked\n{}\n", replay(seed, seconds)));
        }
        std::process::exit(1);
    }));
}

fn print_line(line: &str) {
    // Whoever closes the output has seen enough.
    let _ = writeln!(io::stdout(), "{line}");
}

fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
