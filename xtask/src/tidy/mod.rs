//! `cargo xtask tidy`: the order of the repository, as a test.
//!
//! | module | what it checks |
//! |---|---|
//! | [`arrows`] | which crate may know which, and what the lowest ones may depend on |
//! | [`source`] | heads, sizes, words and habits of every source file |
//! | [`manifest`] | that every dependency is named once, with its reason |
//! | [`pages`] | that pages point at things that exist |
//! | [`claims`] | that the tests that pages name exist |

mod arrows;
mod claims;
mod manifest;
mod pages;
mod source;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::screen::say;

/// A file of the repository.
struct File {
    /// Its path from the repository's root, with forward slashes.
    path: String,
    text: String,
}

/// Checks everything and prints what is out of order.
pub(crate) fn run(root: &Path) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    collect(root, root, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));

    let mut findings = arrows::check(&metadata(root)?);
    let functions = claims::functions(&files);
    for file in &files {
        findings.extend(claims::check(file, &functions));
        findings.extend(source::check(file));
        findings.extend(manifest::check(file));
        findings.extend(pages::check(file, |target| root.join(target).exists()));
    }
    findings.extend(source::stale_exceptions(&files));
    for finding in &findings {
        say(finding);
    }
    let count = findings.len();
    say(&format!("tidy: {} files, {count} things out of order", files.len()));
    Ok(if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What cargo knows of the workspace's packages.
fn metadata(root: &Path) -> anyhow::Result<serde_json::Value> {
    let output = std::process::Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("cargo metadata cannot be started")?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = ["target", ".git", ".venv", "conclave-data"];

/// The kinds of file that are checked.
const CHECKED: [&str; 5] = ["rs", "toml", "md", "py", "proto"];

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                collect(root, &path, files)?;
            }
        } else if path.extension().is_some_and(|extension| CHECKED.iter().any(|checked| extension == *checked)) {
            let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            let path = path.strip_prefix(root).expect("it lies under the root");
            files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
        }
    }
    Ok(())
}
