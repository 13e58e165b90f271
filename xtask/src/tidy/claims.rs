//! Pages that say "test: name" tell of tests that exist.

use std::collections::BTreeSet;

use super::File;

/// The names of all functions in the sources: a test is one of them.
pub(super) fn functions(files: &[File]) -> BTreeSet<&str> {
    let sources = files.iter().filter(|file| file.path.ends_with(".rs"));
    sources.flat_map(|file| file.text.lines()).filter_map(function).collect()
}

fn function(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").unwrap_or(line);
    let rest = line.strip_prefix("fn ")?;
    rest.split('(').next()
}

/// Checks the tests that one page names.
pub(super) fn check(file: &File, functions: &BTreeSet<&str>) -> Vec<String> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for name in named(line).filter(|name| !functions.contains(name)) {
            findings.push(format!("{}:{number}: there is no test {name}", file.path));
        }
    }
    findings
}

/// The tests named in a line: after each "test: ", separated by commas, up to anything that is no name.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("test: ").skip(1).flat_map(|rest| {
        let end = rest.find(|letter: char| !is_of_a_list(letter)).unwrap_or(rest.len());
        // In prose a single word may follow; the name of a test has several.
        rest[..end].split(',').map(str::trim).filter(|name| name.contains('_'))
    })
}

fn is_of_a_list(letter: char) -> bool {
    letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | ',' | ' ')
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::{check, functions};

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn tests_that_do_not_exist_are_found() {
        let sources = [file("a.rs", "    fn one_test() {}\nasync fn other_test() {}\n")];
        let known = functions(&sources);
        let page = file("docs/page.md", "| x | test: one_test, other_test; oracle |\n| y | test: gone_test (why) |\n");
        assert_eq!(check(&page, &known), ["docs/page.md:2: there is no test gone_test"]);
    }
}
