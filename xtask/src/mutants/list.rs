//! The known bugs by name: what each is, and where the model check must meet it. Knows nothing of how they are run.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

/// A known bug that stands in the core behind a question; `R1` to `R18` are numbers of the field's list of such bugs.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    /// The small world of the model check that must notice it, if one must: most worlds have only so many events.
    pub(super) world: Option<World>,
}

/// A small world of the model check.
#[derive(Clone, Copy)]
pub(super) struct World {
    pub(super) name: &'static str,
    /// With the larger bounds.
    pub(super) deep: bool,
}

const fn mutant(name: &'static str, what: &'static str) -> Mutant {
    Mutant { name, what, world: None }
}

impl Mutant {
    const fn seen_in(self, name: &'static str) -> Self {
        Self { world: Some(World { name, deep: false }), ..self }
    }

    const fn seen_in_deep(self, name: &'static str) -> Self {
        Self { world: Some(World { name, deep: true }), ..self }
    }
}

/// All of them.
pub(super) const MUTANTS: [Mutant; 31] = [
    mutant("R1", "an entry of an earlier term is committed by counting its copies").seen_in("old entries"),
    mutant("R2", "a guess about where logs may agree is taken for what a peer holds").seen_in("overtaking"),
    mutant("R3", "a change of membership begins before the leader committed in its own term"),
    mutant("R4", "a membership decides from its commit on, not from its append").seen_in("disjoint voters"),
    mutant("R5", "a majority is read from values that nobody put in order").seen_in("durability"),
    mutant("R6", "a snapshot leaves memberships of the log it replaced in force"),
    mutant("R7", "a lone voter that lets others in commits that by itself").seen_in("disjoint voters"),
    mutant("R8", "nobody ever admits that the leader is silent").seen_in("elections"),
    mutant("R9", "a candidate of a later term deposes a leader that is well"),
    mutant("R10", "all rounds of reads of a term have one number").seen_in("rounds of reads"),
    mutant("R11", "the word to take over makes even a member without a vote campaign"),
    mutant("R13", "the write after a cut leaves the first wrong entry on the disk").seen_in("snapshots"),
    mutant("R17", "the leader counts its own entries before they are written").seen_in("durability"),
    mutant("R18", "reads are answered before the leader committed in its own term").seen_in("reads"),
    mutant("acknowledge-before-write", "a follower acknowledges entries that it has not written").seen_in("durability"),
    mutant("ask-before-write", "a candidate asks for votes for a log that it has not written"),
    mutant("ballot-after-entries", "a ballot is written after the entries of its term").seen_in("votes"),
    mutant("commit-by-place", "a follower believes a commit index although another entry stands there"),
    mutant("commit-past-append", "a follower commits beyond what an append vouches for"),
    mutant("gap-in-log", "a follower appends behind an entry that it does not hold").seen_in("old entries"),
    mutant("longer-log-wins", "votes go to the longer log, not to the one of the later term")
        .seen_in_deep("old entries"),
    mutant("new-voters-commit", "during a change of voters the new ones commit alone").seen_in("disjoint voters"),
    mutant("new-voters-elect", "during a change of voters the new ones elect alone").seen_in("disjoint voters"),
    mutant("silent-to-the-past", "a leader of an earlier term is not told that it is over"),
    mutant("sleep-without-consent", "a leader stops its heartbeats before everybody has agreed to sleep"),
    mutant("snapshot-vouches-for-tail", "a snapshot makes a tail count as written that it replaced"),
    mutant("two-changes", "a second change of membership begins before the first is committed"),
    mutant("vote-before-write", "a vote leaves before it is written").seen_in("votes"),
    mutant("vote-forgotten", "a restart forgets the vote of its term").seen_in("votes"),
    mutant("vote-without-lost-entries", "a member whose disk lost entries votes as if it never had them"),
    mutant("written-by-place", "a finished write counts for whatever stands in its place by now").seen_in("snapshots"),
];

/// The names that the source of the core asks for.
pub(super) fn names_in_source(root: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut folders = vec![root.join("crates/raft/src")];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(names_in(&std::fs::read_to_string(&path)?));
            }
        }
    }
    Ok(names)
}

/// The names asked for in one file; comments ask for nothing.
fn names_in(text: &str) -> Vec<String> {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let questions = code.flat_map(|line| line.split("mutated(\"").skip(1));
    questions.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{MUTANTS, names_in, names_in_source};

    #[test]
    fn questions_are_found_and_comments_are_not() {
        let text = "//! `mutated(\"name\")` asks.\nif mutated(\"A\") || mutated(\"b-c\") {}\n";
        assert_eq!(names_in(text), ["A", "b-c"]);
    }

    #[test]
    fn the_list_and_the_source_name_the_same_bugs() {
        let listed: BTreeSet<String> = MUTANTS.iter().map(|mutant| mutant.name.to_owned()).collect();
        assert_eq!(listed.len(), MUTANTS.len(), "a name stands twice in the list");
        assert_eq!(listed, names_in_source(&crate::root()).expect("the source can be read"));
    }
}
