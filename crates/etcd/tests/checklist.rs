//! Holds `docs/etcd.md` to its word: every line of its tables names tests that exist, or says why there is none.

#![allow(clippy::unwrap_used, reason = "a test that finds the impossible should stop")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all functions in the Rust files below a folder, the folders of builds left out.
fn functions(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.lines().filter_map(|line| line.split("fn ").nth(1));
            found.extend(names.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
}

#[test]
fn every_line_of_the_checklist_names_its_tests() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut known = BTreeSet::new();
    functions(crates, &mut known);
    let page = fs::read_to_string(crates.join("../docs/etcd.md")).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what "));
    let mut count = 0;
    for row in rows {
        count += 1;
        let shown_by = row.trim_end_matches('|').rsplit('|').next().unwrap().trim();
        if shown_by.starts_with("not: ") || shown_by.starts_with("not yet: ") {
            continue;
        }
        let named: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test is named, and no reason: {row}");
        for name in named {
            assert!(known.contains(name), "there is no test {name}: {row}");
        }
    }
    assert!(count > 40, "only {count} lines were found");
}
