//! The leader changes in the middle of pipelined batches, at every step of a busy stretch: no reply is released early, no
//! trace is left of what was rolled back, and all members end equal.

use conclave_sim::drill::{Blow, busy_steps, run};

/// How many steps the stretch has: several batches are under way in it.
const STEPS: u64 = 60;

fn at_every_step(seed: u64, blow: Blow) {
    let first = busy_steps(seed, 1).expect("nothing is wrong before the blow").start;
    let steps = first..first + STEPS;
    let (mut blows, mut overwritten, mut unknown) = (0, 0, 0);
    for step in steps.clone() {
        match run(seed, step, blow) {
            Ok(report) => {
                blows += report.coverage.of("blows to a leader");
                overwritten += report.coverage.of("entries overwritten");
                unknown += report.coverage.of("requests of unknown outcome");
            }
            Err(violation) => panic!("seed {seed}, {blow:?} after step {step}: {violation}"),
        }
    }
    assert_eq!(blows, steps.end - steps.start, "each time there was a leader to strike");
    if blow == Blow::Deposed {
        assert!(overwritten > 0 && unknown > 0, "nothing was rolled back: {overwritten} entries, {unknown} answers");
    }
}

#[test]
fn a_leader_is_deposed_at_every_step() {
    at_every_step(1, Blow::Deposed);
}

#[test]
fn a_leader_is_killed_at_every_step() {
    at_every_step(2, Blow::Killed);
}

#[test]
fn a_leader_loses_power_at_every_step() {
    at_every_step(3, Blow::Unpowered);
}

#[test]
fn a_leader_stands_still_at_every_step() {
    at_every_step(4, Blow::Paused);
}

#[test]
fn a_leader_steps_aside_at_every_step() {
    at_every_step(5, Blow::StepsAside);
}
