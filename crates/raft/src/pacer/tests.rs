//! The pacer by its calls: which edge comes when.

use super::{Edge, FoolishTiming, MILLISECOND, Pacer, Timing};
use crate::cause::Cause;
use crate::effects::{Effects, Rearm, Role, Standing};
use crate::types::{NodeId, Term};

fn ms(milliseconds: u64) -> u64 {
    milliseconds * MILLISECOND
}

fn telling(timer: Option<Rearm>, role: Option<Role>) -> Effects<u8> {
    let standing = |role| Standing { role, term: Term(1), leader: Some(NodeId(1)), cause: Cause::Started };
    Effects { timer, standing: role.map(standing), ..Effects::default() }
}

/// Every edge up to `until`, with its time, when the pacer is asked exactly when it wants to be.
fn edges(pacer: &mut Pacer, until: u64) -> Vec<(u64, Edge)> {
    let mut edges = Vec::new();
    while pacer.next() <= until {
        let now = pacer.next();
        while let Some(edge) = pacer.due(now) {
            edges.push((now, edge));
        }
    }
    edges
}

#[test]
fn a_follower_that_hears_nothing_is_silent_first_and_campaigns_later() {
    for seed in 0..200 {
        let mut pacer = Pacer::new(Timing::default(), seed, 0);
        let edges = edges(&mut pacer, ms(600));
        assert_eq!(edges[0], (ms(300), Edge::LeaderSilent), "seed {seed}");
        let (at, edge) = edges[1];
        assert!(edge == Edge::ElectionDue && at >= ms(300) && at <= ms(600), "seed {seed}: {edge:?} at {at}");
    }
}

#[test]
fn the_word_of_a_leader_starts_both_timers_anew() {
    let mut pacer = Pacer::new(Timing::default(), 1, 0);
    for beat in 1..100 {
        pacer.observe(&telling(Some(Rearm::Election), None), ms(50 * beat));
        assert!(edges(&mut pacer, ms(50 * beat + 49)).is_empty());
    }
}

#[test]
fn evidence_brings_the_election_within_ten_milliseconds_and_leaves_the_silence_alone() {
    for seed in 0..200 {
        let mut pacer = Pacer::new(Timing::default(), seed, 0);
        pacer.observe(&telling(Some(Rearm::Quick), None), ms(100));
        let edges = edges(&mut pacer, ms(110));
        assert!(matches!(edges[..], [(at, Edge::ElectionDue)] if at >= ms(100)), "seed {seed}: {edges:?}");
    }
}

#[test]
fn a_leader_beats_and_asks_itself_for_a_majority_at_fixed_times() {
    let mut pacer = Pacer::new(Timing::default(), 1, 0);
    pacer.observe(&telling(Some(Rearm::Election), Some(Role::Leader)), ms(10));
    let edges = edges(&mut pacer, ms(610));
    let beats: Vec<u64> = edges.iter().filter(|(_, edge)| *edge == Edge::HeartbeatDue).map(|(at, _)| *at).collect();
    let rounds: Vec<u64> = edges.iter().filter(|(_, edge)| *edge == Edge::ElectionDue).map(|(at, _)| *at).collect();
    assert_eq!(beats, (1..=12).map(|beat| ms(10 + 50 * beat)).collect::<Vec<_>>());
    assert_eq!(rounds, [ms(310), ms(610)]);
    assert!(edges.iter().all(|(_, edge)| *edge != Edge::LeaderSilent));
    pacer.observe(&telling(Some(Rearm::Election), Some(Role::Follower)), ms(620));
    assert!(super::tests::edges(&mut pacer, ms(700)).is_empty(), "a follower beats no more");
}

#[test]
fn who_slept_listens_first_and_campaigns_one_heartbeat_later() {
    let mut pacer = Pacer::new(Timing::default(), 1, 0);
    assert_eq!(pacer.due(ms(2000)), None);
    assert_eq!(pacer.next(), ms(2050));
    assert_eq!(pacer.due(ms(2050)), Some(Edge::LeaderSilent));
    assert_eq!(pacer.due(ms(2050)), Some(Edge::ElectionDue));
    // But if something was heard meanwhile, nothing is due.
    let mut pacer = Pacer::new(Timing::default(), 1, 0);
    assert_eq!(pacer.due(ms(2000)), None);
    pacer.observe(&telling(Some(Rearm::Election), None), ms(2001));
    assert_eq!(pacer.due(ms(2050)), None);
}

#[test]
fn the_same_seed_gives_the_same_edges_and_another_gives_others() {
    let run = |seed| edges(&mut Pacer::new(Timing::default(), seed, 0), ms(10_000));
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn foolish_timings_are_named() {
    assert!(Timing::default().warnings().is_empty());
    let foolish = Timing { heartbeat: ms(200), election_min: ms(300), election_max: ms(300), quick_max: 0 };
    let (min, max) = (foolish.election_min, foolish.election_max);
    assert_eq!(
        foolish.warnings(),
        [
            FoolishTiming::NoSpread { election_min: min, election_max: max },
            FoolishTiming::FewHeartbeats { heartbeat: foolish.heartbeat, election_min: min },
        ]
    );
    // Whatever the values, the pacer ends.
    let zero = Timing { heartbeat: 0, election_min: 0, election_max: 0, quick_max: 0 };
    let mut pacer = Pacer::new(zero, 1, 0);
    pacer.observe(&telling(None, Some(Role::Leader)), 0);
    assert!(edges(&mut pacer, 100).len() < 500);
}

#[test]
fn nothing_runs_while_the_group_sleeps_and_everything_does_once_it_wakes() {
    for leads in [false, true] {
        let mut pacer = Pacer::new(Timing::default(), 1, 0);
        pacer.observe(&telling(None, leads.then_some(Role::Leader)), 0);
        pacer.observe(&telling(Some(Rearm::Rest), None), ms(10));
        assert_eq!(pacer.next(), u64::MAX);
        assert_eq!(pacer.due(ms(3_600_000)), None);
        pacer.observe(&telling(Some(Rearm::Election), None), ms(3_600_000));
        let first = if leads { (ms(3_600_050), Edge::HeartbeatDue) } else { (ms(3_600_300), Edge::LeaderSilent) };
        assert_eq!(edges(&mut pacer, ms(3_600_400))[0], first, "leads: {leads}");
    }
}
