//! Pages point at things that exist.

use super::File;

/// Checks the links of one page; `exists` tells whether a path from the repository's root leads somewhere.
pub(super) fn check(file: &File, exists: impl Fn(&str) -> bool) -> Vec<String> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for target in targets(line) {
            let path = if folder.is_empty() { target.to_owned() } else { format!("{folder}/{target}") };
            if !exists(&path) {
                findings.push(format!("{}:{number}: the link to {target} leads nowhere", file.path));
            }
        }
    }
    findings
}

/// The files of this repository that a line of Markdown links to.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        let outside = target.is_empty() || target.contains("://") || target.starts_with("mailto:");
        (!outside).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::check;

    #[test]
    fn links_to_files_must_lead_somewhere() {
        let text = "[a](there.md) [b](gone.md#part) [c](https://example.org) [d](#part)\n".to_owned();
        let file = File { path: "docs/page.md".to_owned(), text };
        let findings = check(&file, |path| path == "docs/there.md");
        assert_eq!(findings, ["docs/page.md:1: the link to gone.md leads nowhere"]);
    }
}
