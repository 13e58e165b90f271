//! The corruption matrix: every kind of file of a member's folder, with any byte changed and cut at any place, on one
//! member of three and on a member alone. On three nothing that was acknowledged is lost and no wrong answer is given,
//! even when the only other member that is there lags behind; alone there is the right data or a refusal that names the
//! file. Nothing panics.
//!
//! The member's own code runs over folders in memory. A start on a damaged folder comes to one of few ends; the ensemble
//! is run once for each end, not once for each byte.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ensemble;

use std::collections::BTreeMap;

use ensemble::{Ensemble, Folders, start};
use log::memory::MemoryStorage;

/// What is done to one file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Flip(usize),
    Cut(usize),
    Lose,
}

/// Which of the two folders of a member a file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Log,
    Snapshots,
}

impl Place {
    fn of(self, folders: &Folders) -> &MemoryStorage {
        match self {
            Place::Log => &folders.log,
            Place::Snapshots => &folders.snapshots,
        }
    }
}

fn harmed(folders: &Folders, place: Place, file: &str, harm: Harm) -> Folders {
    let folders = folders.fork();
    let storage = place.of(&folders);
    match harm {
        Harm::Flip(at) => storage.edit(file, |bytes| bytes[at] ^= 1 << (at % 8)),
        Harm::Cut(at) => storage.edit(file, |bytes| bytes.truncate(at)),
        Harm::Lose => storage.lose(file),
    }
    folders
}

/// All harms to all files: every byte and every length of a small file, a dense sample of a large one's.
fn matrix(folders: &Folders) -> Vec<(Place, String, Harm)> {
    const SMALL: usize = 2048;
    let mut matrix = Vec::new();
    for place in [Place::Log, Place::Snapshots] {
        for file in place.of(folders).names() {
            let length = place.of(folders).content(&file).unwrap().len();
            let (flips, cuts) = if length <= SMALL { (1, 1) } else { (13, 61) };
            matrix.extend((0..length).step_by(flips).map(|at| (place, file.clone(), Harm::Flip(at))));
            matrix.extend((0..length).step_by(cuts).map(|at| (place, file.clone(), Harm::Cut(at))));
            matrix.push((place, file, Harm::Lose));
        }
    }
    matrix
}

/// The harms by what a start comes to, with one example of each. `None` is a refusal.
type Ends = BTreeMap<Option<String>, (usize, String, Folders)>;

fn ends(folders: &Folders, id: u64, members: u64) -> Ends {
    let mut ends = Ends::new();
    for (place, file, harm) in matrix(folders) {
        let harmed = harmed(folders, place, &file, harm);
        let end = match start(&harmed.fork(), id, members) {
            Ok(found) => Some(found.outline()),
            Err(refusal) => {
                assert!(refusal.contains(&file) || refusal.contains("log is gone"), "{harm:?} of {file}: {refusal}");
                None
            }
        };
        let example = format!("{harm:?} of {place:?}/{file}");
        ends.entry(end).or_insert((0, example, harmed)).0 += 1;
    }
    ends
}

#[test]
fn on_one_of_three_nothing_is_lost_and_no_wrong_answer_is_given() {
    let (mut before, lagging) = Ensemble::with_a_follower_left_behind(3);
    before.stop();
    let damaged = before.ids().into_iter().find(|&id| id != lagging).unwrap();
    let ends = ends(&before.folders[&damaged], damaged, 3);
    assert!(ends.len() > 5, "damage comes to different ends: {}", ends.len());
    let mut healed = 0;
    for (end, (count, example, folders)) in ends {
        let told = format!("{example} ({count} like it), which starts as {end:?}");
        let mut ensemble = before.fork();
        ensemble.folders.insert(damaged, folders);
        // First without the third: the damaged member and the one that lags behind must not forget for all.
        for id in [damaged, lagging] {
            ensemble.start(id);
        }
        ensemble.run(3_000);
        ensemble.check_answers(&told);
        for id in ensemble.ids() {
            ensemble.start(id);
        }
        ensemble.run(5_000);
        ensemble.check_converged(&told);
        healed += usize::from(end.is_some() && ensemble.was_missing(damaged));
    }
    assert!(healed > 0, "some of it had to be fetched from the peers");
}

#[test]
fn alone_there_is_the_right_data_or_a_refusal_that_names_the_file() {
    let mut before = Ensemble::new(1);
    before.fill();
    before.stop();
    let ends = ends(&before.folders[&1], 1, 1);
    assert!(ends.contains_key(&None) && ends.len() > 1);
    for (end, (count, example, folders)) in ends {
        let Some(end) = end else { continue };
        let mut ensemble = before.fork();
        ensemble.folders.insert(1, folders);
        ensemble.start(1);
        ensemble.run(2_000);
        ensemble.check_converged(&format!("{example} ({count} like it), which starts as {end}"));
    }
}
