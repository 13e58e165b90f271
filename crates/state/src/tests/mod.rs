//! The state against a naive model that remembers every version of everything, driven by random transactions.

#[cfg(debug_assertions)]
mod damage;
mod decoding;
mod format;
mod model;
mod rows;
mod script;
mod snapshot;
mod timeline;
mod unversioned;

use proptest::prelude::ProptestConfig;

/// How many cases a property gets: `PROPTEST_CASES` if that is set, for long runs.
pub(crate) fn cases(usual: u32) -> ProptestConfig {
    let usual = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default().cases,
        None => usual,
    };
    ProptestConfig::with_cases(usual)
}

/// A state is handed to readers on any thread.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<crate::State>();
    shared::<crate::snapshot::Blocks>();
    shared::<crate::Change>();
};
