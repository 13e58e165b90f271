//! Compiles the protocol descriptions into messages, clients and services. Knows no protoc: the compiler is a crate.

use std::env;
use std::error::Error;
use std::fs;
use std::path::PathBuf;

use prost::Message;

const DESCRIPTIONS: [&str; 12] = [
    "header.proto",
    "mvcc.proto",
    "permissions.proto",
    "kv.proto",
    "watch.proto",
    "lease.proto",
    "cluster.proto",
    "maintenance.proto",
    "auth.proto",
    "lock.proto",
    "election.proto",
    "health.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptions = protox::compile(DESCRIPTIONS, ["proto"])?;
    // The JSON gateway reads the descriptions at run time.
    let described = PathBuf::from(env::var("OUT_DIR")?).join("descriptions.bin");
    fs::write(described, descriptions.encode_to_vec())?;
    // `bytes`: keys and values are slices of the message they arrived in, not copies.
    tonic_prost_build::configure().bytes(".").compile_fds(descriptions)?;
    Ok(())
}
