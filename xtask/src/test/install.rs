//! What the tests need beyond the Rust toolchain: the real clients of both protocols, and what they are built with.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::step::{self, Step};
use crate::screen::say;

/// A Debian package, what the tests need it for, and the file by which it is known to be there.
struct Package {
    name: &'static str,
    reason: &'static str,
    files: &'static [&'static str],
}

const PACKAGES: [Package; 7] = [
    Package { name: "etcd-client", reason: "etcdctl", files: &["usr/bin/etcdctl"] },
    Package { name: "zookeeper", reason: "zkCli.sh", files: &["usr/share/zookeeper/bin/zkCli.sh"] },
    Package { name: "zookeeper-bin", reason: "the C client", files: &["usr/lib/zookeeper/bin/cli_mt"] },
    Package { name: "protobuf-compiler", reason: "building the etcd client of the tests", files: &["usr/bin/protoc"] },
    Package {
        name: "libprotobuf-dev",
        reason: "building the etcd client of the tests",
        files: &["usr/include/google/protobuf/any.proto"],
    },
    Package { name: "strace", reason: "a disk that hangs", files: &["usr/bin/strace"] },
    Package { name: "python3-venv", reason: "kazoo", files: &["usr/lib/python3*/ensurepip", "usr/bin/python3"] },
];

/// kazoo, the ZooKeeper client that most Python programs use; a version, so that a test fails for our reasons only.
const KAZOO: &str = "kazoo==2.10.0";

/// Installs the Debian packages that are missing.
pub(super) async fn packages() -> anyhow::Result<()> {
    let missing: Vec<&Package> = PACKAGES.iter().filter(|package| !package.is_there()).collect();
    if missing.is_empty() {
        say("  Debian packages: all there");
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    for Package { name, reason, .. } in &missing {
        say(&format!("  {name} is missing ({reason})"));
    }
    let root = rustix::process::geteuid().is_root();
    ensure!(
        root && Path::new("/usr/bin/apt-get").exists(),
        "these need root on Debian to be installed; by hand: apt-get install {}",
        names.join(" ")
    );
    must_succeed(apt(&["update", "-q"])).await?;
    must_succeed(apt(&["install", "-q", "-y", "--no-install-recommends"]).and(&names)).await
}

fn apt(arguments: &[&str]) -> Step {
    step::command(Path::new("apt-get"), arguments).with("DEBIAN_FRONTEND", "noninteractive")
}

impl Package {
    fn is_there(&self) -> bool {
        self.files.iter().all(|file| match file.split_once('*') {
            None => Path::new("/").join(file).exists(),
            Some((stem, rest)) => some_match(stem, rest),
        })
    }
}

/// Whether a folder that begins like `stem` holds `rest`.
fn some_match(stem: &str, rest: &str) -> bool {
    let stem = Path::new("/").join(stem);
    let (Some(parent), Some(beginning)) = (stem.parent(), stem.file_name().and_then(|name| name.to_str())) else {
        return false;
    };
    let Ok(entries) = std::fs::read_dir(parent) else { return false };
    entries.flatten().any(|entry| {
        let fits = entry.file_name().to_str().is_some_and(|name| name.starts_with(beginning));
        fits && entry.path().join(rest.trim_start_matches('/')).exists()
    })
}

/// A Python environment of our own with the pinned client; the path of its interpreter.
pub(super) async fn python(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = root.join("target").join("venv");
    let python = folder.join("bin").join("python");
    let stamp = folder.join("installed");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == KAZOO) {
        say("  Python environment: there");
        return Ok(python);
    }
    say(&format!("  Python environment: making one with {KAZOO}"));
    let folder = folder.to_str().context("the repository's path is not text")?;
    must_succeed(step::command(Path::new("python3"), &["-m", "venv", "--clear", folder])).await?;
    must_succeed(step::command(&python, &["-m", "pip", "install", "-q", "--disable-pip-version-check", KAZOO])).await?;
    std::fs::write(&stamp, KAZOO).context("the Python environment cannot be marked as complete")?;
    Ok(python)
}

async fn must_succeed(step: Step) -> anyhow::Result<()> {
    let count = step.run(Path::new("/")).await?;
    ensure!(count.failed == 0, "{} failed", step.shown());
    Ok(())
}
