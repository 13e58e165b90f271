//! Runs simulations: many seeds, or one with a trace. It knows no more of a world than how to begin it.

mod mutants;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use conclave_sim::campaign::{self, Campaign, Finding, Harvest};
use conclave_sim::{Coverage, Fault, Invariant, Settings, World};

const HELP: &str = "\
Simulates a whole ensemble, deterministically, under faults, and checks it after every step.

  --seeds K          run K seeds (default 100)
  --from N           begin with seed N (default 1): goes on where an earlier run ended
  --minutes M        begin no seed after M minutes
  --jobs J           run J seeds at a time (default 1)
  --keep-going       go on after a violation; all are listed at the end
  --seed N           run seed N only
  --trace            write down everything that happens (with --seed)
  --simulate S       let the faults of each seed last S simulated seconds, close together (default: drawn from the
                     seed, from half a minute of bustle to an hour and a half of everyday life)
  --mutants          in a build with known bugs in it (RUSTFLAGS='--cfg mutants'): who notices each
  --list             print every kind of fault and every invariant, and end

Prints what was covered, and at last one line that begins with \"summary\", for programs. Exits with 1 if something was
violated, after saying how to repeat it; and after 100 seeds or more in which something never happened that should have.
";

/// In so many seeds everything must happen that can; a run in which something did not counts as failed.
const SEEDS_TO_SEE_ALL: u64 = 100;
/// How often a long run says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What the command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wishes {
    from: u64,
    count: u64,
    jobs: usize,
    alone: bool,
    trace: bool,
    keep_going: bool,
    minutes: Option<u64>,
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let ran = if has("--help") || has("-h") {
        say(HELP).map(|()| true)
    } else if has("--list") {
        say(&Coverage::list()).map(|()| true)
    } else if has("--mutants") {
        mutants::run(say)
    } else {
        parse(&arguments).map_err(io::Error::other).and_then(run)
    };
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
    let mut wishes = Wishes {
        from: 1,
        count: 100,
        jobs: 1,
        alone: false,
        trace: false,
        keep_going: false,
        minutes: None,
        seconds: None,
    };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        match name.as_str() {
            "--trace" => {
                wishes.trace = true;
                continue;
            }
            "--keep-going" => {
                wishes.keep_going = true;
                continue;
            }
            _ => {}
        }
        let value = rest.next().ok_or_else(|| format!("{name} needs a value; see --help"))?;
        let number = value.parse::<u64>().map_err(|_| format!("{name} {value}: not a number"))?;
        match name.as_str() {
            "--seeds" => wishes.count = number,
            "--from" => wishes.from = number,
            "--seed" => (wishes.from, wishes.count, wishes.alone) = (number, 1, true),
            "--jobs" => wishes.jobs = usize::try_from(number).unwrap_or(usize::MAX).clamp(1, 256),
            "--minutes" => wishes.minutes = Some(number),
            "--simulate" => wishes.seconds = Some(number),
            _ => return Err(format!("{name} is not known; see --help")),
        }
    }
    if wishes.trace && !wishes.alone {
        return Err("--trace is for one seed: add --seed N".into());
    }
    Ok(wishes)
}

/// Runs what is wished for. False if something was violated.
fn run(wishes: Wishes) -> io::Result<bool> {
    campaign::tell_the_seed_of_a_panic(print_line);
    let settings = Settings { duration: wishes.seconds.map(|seconds| seconds * 1_000_000_000), ..Settings::default() };
    if wishes.trace {
        return trace(wishes.from, settings, wishes.seconds);
    }
    let campaign = Campaign {
        from: wishes.from,
        count: wishes.count,
        jobs: wishes.jobs,
        limit: wishes.minutes.map(|minutes| Duration::from_secs(minutes * 60)),
        keep_going: wishes.keep_going,
        settings,
    };
    let begun = Instant::now();
    let said = Mutex::new(begun);
    let harvest = campaign.run(&|seed, harvest| {
        let Ok(mut said) = said.lock() else { return };
        if let Some(finding) = harvest.findings.last().filter(|finding| finding.seed == seed) {
            print_line(&describe(finding, wishes.seconds));
        } else if said.elapsed() >= SAY_EVERY {
            *said = Instant::now();
            print_line(&format!("... {}", sum(harvest, wishes.from, begun.elapsed())));
        }
    });
    report(&harvest, wishes, begun.elapsed())
}

/// One seed, with everything that happens. False if something was violated.
fn trace(seed: u64, settings: Settings, seconds: Option<u64>) -> io::Result<bool> {
    let mut world = World::new(seed, settings, Some(Box::new(print_line)));
    match world.run() {
        Ok(report) => {
            let took = Duration::from_nanos(report.simulated);
            say(&format!("seed {seed} ends well after {took:.3?}, with digest {:016x}\n", report.digest))?;
            Ok(true)
        }
        Err(violation) => {
            let at = Duration::from_nanos(world.now());
            let what = format!("after {at:.3?}: {violation}");
            say(&format!("{}\n", describe(&Finding { seed, what }, seconds)))?;
            Ok(false)
        }
    }
}

fn report(harvest: &Harvest, wishes: Wishes, took: Duration) -> io::Result<bool> {
    say(&format!("{}", harvest.coverage))?;
    for finding in &harvest.findings {
        say(&format!("{}\n", describe(finding, wishes.seconds)))?;
    }
    let never = harvest.coverage.never();
    let vacuous = harvest.seeds >= SEEDS_TO_SEE_ALL && !never.is_empty();
    if vacuous {
        say(&format!("the run proves little, for these never happened: {}\n", never.join(", ")))?;
    }
    if harvest.seeds == 0 {
        say("no seed came to its end\n")?;
    }
    say(&format!("{}\n", sum(harvest, wishes.from, took)))?;
    Ok(harvest.findings.is_empty() && !vacuous && harvest.seeds > 0)
}

/// One line for programs.
fn sum(harvest: &Harvest, from: u64, took: Duration) -> String {
    let Harvest { coverage, simulated, seeds, findings, next, digest } = harvest;
    let hours = simulated.as_secs_f64() / 3600.0;
    let (faults, kinds) = (coverage.faults(), Fault::ALL.len());
    let steps = coverage.of("steps");
    let ((looked_at, looks), all) = (coverage.looks(), Invariant::ALL.len());
    format!(
        "summary from={from} next={next} seeds={seeds} violations={} hours={hours:.2} steps={steps} \
         faults={faults} fault_kinds={}/{kinds} invariants={looked_at}/{all} looks={looks} digest={digest:016x} seconds={:.0}",
        findings.len(),
        coverage.fault_kinds(),
        took.as_secs_f64(),
    )
}

fn describe(finding: &Finding, seconds: Option<u64>) -> String {
    let Finding { seed, what } = finding;
    let seconds = seconds.map(|seconds| format!(" --simulate {seconds}")).unwrap_or_default();
    format!("seed {seed}, {what}\nrepeat it with: cargo xtask sim --seed {seed}{seconds} --trace")
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
