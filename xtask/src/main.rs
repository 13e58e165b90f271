//! Every script of the project, in Rust.
fn main() {}
