//! Runs the model check and prints what was explored. It knows no more of a world than its name.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::process::ExitCode;

use conclave_sim::model;

const HELP: &str = "\
Explores every behaviour of the consensus core in several small worlds, within bounds that are printed.

  --deep             larger bounds (minutes, not seconds)
  --transitions N    the most transitions in one world (default 20000000)
  --only NAME        explore only the worlds whose name contains NAME
  --until-broken     stop at the first world that is not as it must be

Exits with 1 if a promise is broken, or if something that must happen somewhere never does.
";

/// What the command line asks for.
struct Wishes {
    deep: bool,
    transitions: NonZeroUsize,
    only: String,
    until_broken: bool,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        return say(HELP).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    // A broken promise is caught and told with its path: the panic by which it shows need not be heard as well.
    std::panic::set_hook(Box::new(|_| ()));
    match parse(&arguments).map_err(io::Error::other).and_then(|wishes| run(&wishes)) {
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
    let transitions = NonZeroUsize::MIN.saturating_add(20_000_000 - 1);
    let mut wishes = Wishes { deep: false, transitions, only: String::new(), until_broken: false };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        if name == "--deep" {
            wishes.deep = true;
            continue;
        }
        if name == "--until-broken" {
            wishes.until_broken = true;
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("{name} is not known, or needs a value; see --help"))?;
        match name.as_str() {
            "--transitions" => wishes.transitions = value.parse().map_err(|_| format!("{value}: not a number"))?,
            "--only" => wishes.only.clone_from(value),
            _ => return Err(format!("{name} is not known; see --help")),
        }
    }
    Ok(wishes)
}

/// Explores what is wished for. False if something is not as it must be.
fn run(wishes: &Wishes) -> io::Result<bool> {
    let (mut scenes, mut transitions, mut good) = (0, 0, true);
    let worlds = model::configurations(wishes.deep).into_iter().filter(|world| world.name.contains(&wishes.only));
    for world in worlds {
        let report = model::explore(&world, wishes.transitions);
        say(&report.to_string())?;
        scenes += report.scenes;
        transitions += report.transitions;
        good &= report.verdict.is_good();
        if wishes.until_broken && !good {
            break;
        }
    }
    let verdict = if good { "no promise broken" } else { "NOT AS IT MUST BE" };
    say(&format!("{scenes} scenes, {transitions} transitions: {verdict}\n"))?;
    Ok(good)
}

fn say(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
