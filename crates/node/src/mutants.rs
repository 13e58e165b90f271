//! Known bugs, put back on purpose: the simulator must notice each, for a checker that cannot fail proves nothing.
//!
//! `mutated("name")` stands where a bug of that name would be. In every build but one it is the constant `false`, and
//! nothing of the bug is left in the program. Only `--cfg mutants` makes it a question, which the environment answers.
//! The simulator knows what each name means (`--mutants`).

/// Whether the bug of this name is in.
#[cfg(not(mutants))]
#[inline(always)]
pub(crate) const fn mutated(_name: &str) -> bool {
    false
}

/// Whether the bug of this name is in.
#[cfg(mutants)]
pub(crate) fn mutated(name: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("CONCLAVE_MUTANT").ok()).as_deref() == Some(name)
}
