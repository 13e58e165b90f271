//! Compiles etcd's public API into clients, for the differential oracle: requests that no client library would make.

use std::error::Error;

const FOLDER: &str = "../etcd/proto";
const DESCRIPTIONS: [&str; 5] = ["kv.proto", "watch.proto", "lease.proto", "auth.proto", "mvcc.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={FOLDER}");
    let descriptions = protox::compile(DESCRIPTIONS, [FOLDER])?;
    tonic_prost_build::configure().build_server(false).compile_fds(descriptions)?;
    Ok(())
}
