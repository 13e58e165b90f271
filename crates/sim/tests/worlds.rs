//! Whole worlds: the same seed twice, a few fixed seeds, and worlds that are broken on purpose.

use conclave_sim::{Invariant, Sabotage, Settings, Violation, run};

/// Long enough that each seed meets some faults.
const DURATION: u64 = 20_000_000_000;

fn settings(sabotage: Option<Sabotage>) -> Settings {
    Settings { duration: Some(DURATION), sabotage, ..Settings::default() }
}

#[test]
fn the_same_seed_ends_the_same_and_another_differs() {
    let digest = |seed| run(seed, settings(None)).expect("nothing is violated").digest;
    for seed in [11, 12, 13] {
        assert_eq!(digest(seed), digest(seed), "seed {seed}");
    }
    assert_ne!(digest(11), digest(12));
}

#[test]
fn a_few_fixed_seeds_run_without_a_violation() {
    let mut entries = 0;
    for seed in 100..112 {
        match run(seed, settings(None)) {
            Ok(report) => entries += report.coverage.of("entries decided"),
            Err(violation) => panic!("seed {seed}: {violation}"),
        }
    }
    assert!(entries > 1000, "something was decided: {entries} entries");
}

/// The first violation that a broken world shows in a few seeds.
fn caught(sabotage: Sabotage) -> Violation {
    let seeds = 1..=40;
    seeds
        .into_iter()
        .find_map(|seed| run(seed, settings(Some(sabotage))).err())
        .unwrap_or_else(|| panic!("{sabotage:?} was not noticed"))
}

#[test]
fn a_disk_that_acknowledges_before_it_syncs_is_caught() {
    let name = caught(Sabotage::AcknowledgeBeforeSync).invariant;
    let expected = [
        Invariant::AcknowledgedWritesAreRecovered,
        Invariant::VotesAreDurable,
        Invariant::LeadersHaveVotedDurably,
        Invariant::EntriesAreDurable,
        Invariant::CommittedMeansDurable,
    ];
    assert!(expected.contains(&name), "{}", name.name());
}

#[test]
fn a_disk_that_never_writes_is_caught() {
    assert_eq!(caught(Sabotage::NeverWrite).invariant, Invariant::AcknowledgedWritesAreRecovered);
}

#[test]
fn a_disk_that_forgets_votes_is_caught() {
    assert_eq!(caught(Sabotage::ForgetVotes).invariant, Invariant::AcknowledgedWritesAreRecovered);
}

#[test]
fn a_leader_that_answers_before_commit_is_caught() {
    assert_eq!(caught(Sabotage::ReleaseEarly).invariant, Invariant::RepliesFollowCommit);
}

#[test]
fn a_request_that_is_done_twice_is_caught() {
    assert_eq!(caught(Sabotage::SubmitTwice).invariant, Invariant::NoRequestTwice);
}

#[test]
fn a_request_that_is_answered_twice_is_caught() {
    assert_eq!(caught(Sabotage::AnswerTwice).invariant, Invariant::RequestsAreAnsweredOnce);
}

#[test]
fn a_member_that_reads_without_asking_its_leader_is_caught() {
    assert_eq!(caught(Sabotage::StaleBarriers).invariant, Invariant::ReadsAreFresh);
}

#[test]
fn a_clock_that_races_is_caught() {
    assert_eq!(caught(Sabotage::RacingClocks).invariant, Invariant::LeasesNeverExpireEarly);
}

#[test]
fn a_standing_connection_that_loses_messages_is_caught() {
    let name = caught(Sabotage::LossyLanes).invariant;
    let expected = [Invariant::HistoriesFollowRevisions, Invariant::HealedServes, Invariant::HealedConverges];
    assert!(expected.contains(&name), "{}", name.name());
}
