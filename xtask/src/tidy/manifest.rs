//! Dependencies are named once, in the root manifest, each under a comment that says why it is taken.

use super::File;

/// Checks one file; only manifests have anything to say.
pub(super) fn check(file: &File) -> Vec<String> {
    match file.path.as_str() {
        "Cargo.toml" => reasons(file, "[workspace.dependencies]"),
        // A workspace of its own, for what the project is compared with and must never be built with.
        path if path.starts_with("bench/") && path.ends_with("/Cargo.toml") => reasons(file, "[dependencies]"),
        path if path.ends_with("/Cargo.toml") => member(file),
        _ => Vec::new(),
    }
}

/// In the root of a workspace: a group of dependencies (lines without a blank one between) begins with a comment.
fn reasons(file: &File, section: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let (mut inside, mut explained) = (false, false);
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.starts_with('[') {
            inside = line == section;
        } else if line.trim().is_empty() {
            explained = false;
        } else if line.starts_with('#') {
            explained = true;
        } else if inside && line.contains('=') && !explained {
            findings.push(format!("{}:{number}: a dependency without the reason why it is taken", file.path));
        }
    }
    findings
}

/// In a crate: versions come from the root, and the lints too.
fn member(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    let mut inside = false;
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && line.contains('=') && !line.contains("workspace = true") {
            findings.push(format!("{}:{number}: a dependency that is not named in the root manifest", file.path));
        }
    }
    if !file.text.contains("[lints]\nworkspace = true\n") {
        findings.push(format!("{}: does not take the workspace's lints", file.path));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::check;

    fn findings(path: &str, text: &str) -> usize {
        check(&File { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn every_group_needs_a_reason() {
        let head = "[workspace.dependencies]\n";
        assert_eq!(findings("Cargo.toml", &format!("{head}# Why.\na = \"1\"\nb = \"1\"\n")), 0);
        assert_eq!(findings("Cargo.toml", &format!("{head}# Why.\na = \"1\"\n\nb = \"1\"\n")), 1);
        assert_eq!(findings("Cargo.toml", "[profile.dev]\ndebug = true\n"), 0);
    }

    #[test]
    fn a_workspace_of_its_own_gives_its_own_reasons() {
        assert_eq!(findings("bench/x/Cargo.toml", "[dependencies]\n# Why.\na = \"1\"\n"), 0);
        assert_eq!(findings("bench/x/Cargo.toml", "[dependencies]\na = \"1\"\n"), 1);
    }

    #[test]
    fn crates_take_versions_and_lints_from_the_root() {
        let lints = "[lints]\nworkspace = true\n";
        assert_eq!(findings("xtask/Cargo.toml", &format!("{lints}[dependencies]\na.workspace = true\n")), 0);
        assert_eq!(findings("xtask/Cargo.toml", &format!("{lints}[dev-dependencies]\na = \"1\"\n")), 1);
        assert_eq!(findings("xtask/Cargo.toml", "[package]\n"), 1);
    }
}
