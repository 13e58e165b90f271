//! Leader, follower and model run the same random transactions and show the same.

use proptest::prelude::*;

use crate::State;

use super::model::{Model, assert_same};
use super::script::{SPECS, bounds, run, transactions};

proptest! {
    #![proptest_config(super::cases(300))]

    /// The leader forgets nothing on its own, the follower forgets in small steps at other times.
    #[test]
    fn leader_and_follower_show_what_the_model_remembers(
        transactions in transactions(25),
        bounds in bounds(),
        budgets in proptest::collection::vec(0..4_usize, 25),
    ) {
        let (mut leader, mut follower) = (State::new(&SPECS), State::new(&SPECS));
        let mut model = Model::new();
        for (time, operations) in transactions.iter().enumerate() {
            let before = leader.clone();
            let delta = run(&mut leader, &mut model, operations, 1_000 + time as u64);
            match delta {
                Some(delta) => prop_assert_eq!(follower.apply(&delta), Ok(())),
                None => {
                    prop_assert_eq!(leader.hash(), before.hash());
                    assert_same(&leader, &before);
                }
            }
            follower.reclaim(budgets[time]);
            prop_assert_eq!(leader.hash(), follower.hash());
        }
        model.assert_shown_by(&leader, &bounds);
        model.assert_shown_by(&follower, &bounds);
        assert_same(&leader, &follower);
    }

    /// Clones taken on the way are what the state was then, whatever was written and forgotten since.
    #[test]
    fn a_clone_stays_as_it_was(transactions in transactions(20), bounds in bounds()) {
        let mut state = State::new(&SPECS);
        let mut model = Model::new();
        let mut kept = vec![(state.clone(), model.clone())];
        for (time, operations) in transactions.iter().enumerate() {
            run(&mut state, &mut model, operations, 1_000 + time as u64);
            state.reclaim(time % 3);
            if time % 4 == 0 {
                kept.push((state.clone(), model.clone()));
            }
        }
        for (state, model) in kept {
            model.assert_shown_by(&state, &bounds);
        }
    }

    /// However small the steps, forgetting ends, and nobody sees that it happened.
    #[test]
    fn forgetting_ends_and_shows_nothing(
        transactions in transactions(25),
        bounds in bounds(),
        budget in 1..5_usize,
    ) {
        let mut state = State::new(&SPECS);
        let mut model = Model::new();
        for (time, operations) in transactions.iter().enumerate() {
            run(&mut state, &mut model, operations, 1_000 + time as u64);
        }
        let untouched = state.clone();
        let mut steps = 0;
        while state.reclaim(budget) > 0 {
            steps += 1;
            prop_assert!(steps < 10_000, "reclaiming does not come to an end");
        }
        model.assert_shown_by(&state, &bounds);
        assert_same(&state, &untouched);
        // What is current lies in the live tables: with nothing but the newest revision readable, nothing is filed.
        if state.compacted() == state.revision() {
            prop_assert!(state.tables.iter().flat_map(|table| &table.past).all(|past| past.len() == 0));
        }
    }
}

#[test]
fn a_refusal_writes_nothing_and_has_no_delta() {
    let mut state = State::new(&SPECS);
    let before = state.hash();
    let mut transaction = state.begin(7);
    let savepoint = transaction.savepoint();
    transaction.put(super::script::KEPT, b"key", b"value", crate::LeaseId::NONE);
    assert_eq!(transaction.state().revision(), 2);
    transaction.rollback(&savepoint);
    assert_eq!(transaction.finish(), None);
    assert_eq!((state.hash(), state.revision(), state.time_milliseconds()), (before, 1, 0));
}

#[test]
fn a_transaction_that_wrote_cannot_be_dropped() {
    let dropped = std::panic::catch_unwind(|| {
        let mut state = State::new(&SPECS);
        let mut transaction = state.begin(7);
        transaction.revision();
    });
    let refusal = dropped.expect_err("dropping it panics");
    let refusal = refusal.downcast_ref::<&str>().expect("a message without arguments");
    assert_eq!(*refusal, "a transaction wrote and was dropped without being finished");
}
