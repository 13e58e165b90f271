//! The consensus core beside two others: three members in one thread, no disk, no network, the same proposals.
//!
//! Measured is the processor time of the thread that does all the work of all three members, per proposal that the
//! leader reports applied. Each system is driven as its own documentation advises; how, stands in the head of its file.
//! Rounds of the systems alternate, and the best round of each counts, so that a machine with other work on it disturbs
//! all of them alike and little. Only the ratios mean anything.

mod clock;
mod openraft_crate;
mod ours;
mod raft_crate;

use std::io::{self, Write as _};

/// What is proposed.
#[derive(Clone, Copy)]
struct Load {
    /// Bytes of one payload.
    payload: usize,
    /// Proposals under way at the same time.
    in_flight: usize,
    /// Proposals measured.
    count: u64,
}

/// Measures one round: nanoseconds of processor time per proposal.
type Round = fn(Load) -> f64;

const SYSTEMS: [(&str, Round); 3] =
    [("conclave", ours::round), ("raft (TiKV)", raft_crate::round), ("openraft", openraft_crate::round)];

/// Bytes of a payload.
const PAYLOADS: [usize; 2] = [16, 256];

/// Proposals under way.
const IN_FLIGHT: [usize; 4] = [1, 16, 64, 256];

/// Rounds of each system for each load.
const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let only = std::env::args().nth(1);
    if let Some(name) = only {
        return alone(&name);
    }
    say(&format!(
        "{:>7} {:>9}  {:>12} {:>12} {:>12}  {}",
        "bytes", "in flight", SYSTEMS[0].0, SYSTEMS[1].0, SYSTEMS[2].0, "ratio to the better of them"
    ))?;
    say(&format!("{:>7} {:>9}  {:>12} {:>12} {:>12}", "", "", "ops/s", "ops/s", "ops/s"))?;
    let mut least = f64::INFINITY;
    for payload in PAYLOADS {
        for in_flight in IN_FLIGHT {
            let count = if in_flight == 1 { 20_000 } else { 100_000 };
            let load = Load { payload, in_flight, count };
            let mut best = [f64::INFINITY; SYSTEMS.len()];
            for _ in 0..ROUNDS {
                for (best, (_, round)) in best.iter_mut().zip(SYSTEMS) {
                    *best = best.min(round(load));
                }
            }
            let [ours, others @ ..] = best;
            let ratio = others.into_iter().fold(f64::INFINITY, f64::min) / ours;
            least = least.min(ratio);
            let [ours, first, second] = best.map(|nanoseconds| 1e9 / nanoseconds);
            say(&format!("{payload:>7} {in_flight:>9}  {ours:>12.0} {first:>12.0} {second:>12.0}  {ratio:.2}"))?;
        }
    }
    say(&format!("\nAt least {least:.2} times the better of the two. (Processor time of all three members together.)"))
}

/// One system alone, for a profiler.
fn alone(name: &str) -> io::Result<()> {
    for (system, round) in SYSTEMS.into_iter().filter(|(system, _)| system.contains(name)) {
        for in_flight in [1, 64] {
            let nanoseconds = round(Load { payload: 256, in_flight, count: 20_000 });
            say(&format!("{system}, {in_flight} in flight: {nanoseconds:.0} ns"))?;
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
