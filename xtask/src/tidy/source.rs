//! The habits of source files: heads, sizes, lines, and words that have no place.

use super::File;

/// Lines of code that a file should have at most, and must.
const AIM: usize = 500;
const MOST: usize = 700;

/// Tests may be longer: they are read by case, not from end to end.
const MOST_OF_TESTS: usize = 1000;

/// Columns of a line at most. `cargo fmt` keeps code shorter; this is for what it leaves alone.
const COLUMNS: usize = 160;

/// Files above the aim that nobody has split yet, with the lines they may have. The list only shrinks.
const LARGE: [(&str, usize); 0] = [];

/// The rooms that serve every protocol and know the words of none.
const WITHOUT_PROTOCOLS: [&str; 4] = ["crates/raft/", "crates/log/", "crates/state/", "crates/node/"];

/// Words of protocols.
const PROTOCOL_WORDS: [&str; 12] =
    ["etcd", "etcdctl", "zookeeper", "znode", "znodes", "zxid", "zk", "zkcli", "jute", "grpc", "kafka", "nacos"];

/// Where decisions are made: no clock, no chance, no thread of their own.
const DECIDING: [&str; 3] = ["crates/raft/src/", "crates/state/src/", "crates/node/src/member/"];

const OUTSIDE_WORLD: [&str; 6] =
    ["Instant::now", "SystemTime::now", "thread::spawn", "thread::sleep", "rand::", "std::net"];

/// What is never left in a source file. Written in two halves, so that this list does not find itself.
const LEFT_OVER: [(&str, &str); 9] = [
    (concat!("to", "do!("), "finish it"),
    (concat!("unimple", "mented!("), "finish it"),
    (concat!("db", "g!("), "remove it"),
    (concat!("TO", "DO"), "finish it, or write an issue"),
    (concat!("FIX", "ME"), "finish it, or write an issue"),
    (concat!("#[ig", "nore"), "a test that does not run proves nothing"),
    (concat!("#[should_", "panic"), "check the refusal's text instead"),
    (concat!("unsa", "fe {"), "no module needs it"),
    (concat!("unsa", "fe fn"), "no module needs it"),
];

/// Folders of one machine. Written in two halves for the same reason.
const PLACES: [&str; 5] =
    [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/t", "mp/")];

/// Checks one file.
pub(super) fn check(file: &File) -> Vec<String> {
    let rust = file.path.ends_with(".rs");
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let mut found = |what: &str| findings.push(format!("{}:{number}: {what}", file.path));
        if let Some(place) = PLACES.iter().find(|place| line.contains(*place)) {
            found(&format!("{place} is a folder of one machine"));
        }
        if rust || file.path.ends_with(".toml") {
            if line.chars().count() > COLUMNS {
                found(&format!("longer than {COLUMNS} columns"));
            }
            if let Some(word) = protocol_word(&file.path, line) {
                found(&format!("{word:?} is a protocol's word, and this room serves all protocols"));
            }
        }
        if line.ends_with(' ') || line.ends_with('\t') {
            found("blanks at the end of the line");
        }
        if rust {
            for what in rust_line(&file.path, line) {
                found(&what);
            }
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(format!("{}: the last line has no end", file.path));
    }
    if rust {
        findings.extend(whole(file));
    }
    findings
}

fn rust_line(path: &str, line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (left_over, advice) in LEFT_OVER {
        if line.contains(left_over) {
            found.push(format!("{left_over} was left over: {advice}"));
        }
    }
    let code = line.split("//").next().unwrap_or_default();
    if DECIDING.iter().any(|room| path.starts_with(room)) && !is_test(path) {
        for word in OUTSIDE_WORLD.iter().filter(|word| code.contains(*word)) {
            found.push(format!("{word} does not belong where decisions are made"));
        }
    }
    let excuse = code.contains("[allow(") || code.contains("[expect(");
    if excuse && code.trim_end().ends_with(")]") && !code.contains("reason = ") {
        found.push("an excuse from a lint without its reason".to_owned());
    }
    found
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The first protocol's word in a line of a room that may have none.
fn protocol_word(path: &str, line: &str) -> Option<&'static str> {
    if !WITHOUT_PROTOCOLS.iter().any(|room| path.starts_with(room)) {
        return None;
    }
    let line = line.to_lowercase();
    let words: Vec<&str> = line.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    PROTOCOL_WORDS.into_iter().find(|word| words.contains(word))
}

/// What concerns a source file as a whole.
fn whole(file: &File) -> Vec<String> {
    let mut findings = Vec::new();
    if !file.text.starts_with("//!") {
        findings.push(format!("{}: begins without a `//!` head: what it is, and what it may not know", file.path));
    }
    let lines = lines_of_code(&file.text);
    let most = if is_test(&file.path) {
        MOST_OF_TESTS
    } else {
        LARGE.iter().find(|(path, _)| *path == file.path).map_or(AIM, |(_, allowed)| *allowed).min(MOST)
    };
    if lines > most {
        findings.push(format!("{}: {lines} lines of code, {most} are allowed: split it by concept", file.path));
    }
    findings
}

/// Lines that are neither blank nor comment.
fn lines_of_code(text: &str) -> usize {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

/// Exceptions that are no longer needed.
pub(super) fn stale_exceptions(files: &[File]) -> Vec<String> {
    let fits = |path: &str| files.iter().any(|file| file.path == path && lines_of_code(&file.text) > AIM);
    let stale = LARGE.iter().filter(|(path, _)| !fits(path));
    stale
        .map(|(path, _)| format!("{path}: needs no exception for its size any more (xtask/src/tidy/source.rs)"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::check;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&File { path: path.to_owned(), text: text.to_owned() })
    }

    fn finds(path: &str, text: &str, expected: &str) {
        let findings = found(path, text);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].contains(expected), "{findings:?}");
    }

    #[test]
    fn a_tidy_file_passes() {
        assert!(found("crates/etcd/src/lib.rs", "//! The etcd protocol.\n\nfn main() {}\n").is_empty());
    }

    #[test]
    fn heads_are_required() {
        finds("crates/etcd/src/lib.rs", "fn main() {}\n", "without a `//!` head");
    }

    #[test]
    fn protocol_words_are_found_as_words_only() {
        finds("crates/node/src/a.rs", "//! Head.\n// like a ZooKeeper session\n", "a.rs:2: \"zookeeper\"");
        finds("crates/state/src/a.rs", "//! Head.\nfn next_zxid() {}\n", "\"zxid\"");
        assert!(found("crates/node/src/a.rs", "//! Head.\nlet fetched = 1; // a zkey\n").is_empty());
        assert!(found("crates/zookeeper/src/a.rs", "//! ZooKeeper.\n").is_empty());
    }

    #[test]
    fn left_overs_are_found() {
        finds("crates/etcd/src/a.rs", concat!("//! Head.\nto", "do!()\n"), "finish it");
        finds("crates/etcd/src/a.rs", concat!("//! Head.\n#[ig", "nore]\n"), "proves nothing");
        finds("crates/etcd/src/a.rs", "//! Head.\n#[allow(dead_code)]\nfn a() {}\n", "without its reason");
        assert!(found("crates/etcd/src/a.rs", "//! Head.\n#[allow(dead_code, reason = \"x\")]\n").is_empty());
    }

    #[test]
    fn places_of_one_machine_are_found_in_every_kind_of_file() {
        finds("README.md", concat!("see /ho", "me/me/x\n"), "a folder of one machine");
    }

    #[test]
    fn clocks_are_found_where_decisions_are_made() {
        finds("crates/raft/src/a.rs", "//! Head.\nlet now = Instant::now();\n", "Instant::now");
        assert!(found("crates/node/src/shell/a.rs", "//! Head.\nlet now = Instant::now();\n").is_empty());
    }

    #[test]
    fn sizes_are_bounded_and_comments_are_free() {
        let code = "let a = 1;\n".repeat(501);
        finds("crates/etcd/src/a.rs", &format!("//! Head.\n{code}"), "501 lines of code, 500 are allowed");
        let comments = "// why\n".repeat(2000);
        assert!(found("crates/etcd/src/a.rs", &format!("//! Head.\n{comments}")).is_empty());
        assert!(found("crates/etcd/src/a/tests.rs", &format!("//! Head.\n{code}")).is_empty());
    }

    #[test]
    fn long_lines_and_blanks_at_the_end_are_found() {
        finds("crates/etcd/src/a.rs", &format!("//! {}\n", "x".repeat(170)), "longer than 160");
        finds("README.md", "hello \n", "blanks at the end");
        finds("README.md", "hello", "the last line has no end");
    }
}
