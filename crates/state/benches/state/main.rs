//! What the state costs: `cargo xtask bench state`, or `cargo bench -p conclave-state --bench state [-- keys]`.
//!
//! Everything is measured as a ratio to what else could be used, in one run: figures of two runs are not to be compared.
#![expect(clippy::print_stdout, reason = "a benchmark's output is its purpose")]

mod keys;
mod maps;
mod tree;
mod watchers;

/// The same for all maps, and quick, so that they show what they cost themselves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    watchers::measure();
    let counts: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for count in if counts.is_empty() { vec![1_000_000] } else { counts } {
        tree::compare("/registry/<kind>/<namespace>/<name>", &keys::paths(count));
        tree::compare("of 16 random bytes", &keys::random(count));
    }
}
