//! The conclave binary: command line, configuration, listeners, development ensemble.
fn main() {}
