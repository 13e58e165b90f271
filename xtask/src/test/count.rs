//! How many tests passed and failed, read from what the test runners print. A runner that fails without naming a failed
//! test (it did not compile, it crashed) counts as one failure.

/// Numbers of checks and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: u64,
    pub(super) failed: u64,
}

impl Count {
    pub(super) fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
    }

    /// What one line of a runner's output adds: the sum that `cargo test` prints for each program, or the one that
    /// `cargo nextest` prints for all.
    pub(super) fn of_line(line: &str) -> Count {
        if let Some(sums) = line.trim().strip_prefix("test result: ") {
            return Count { passed: before(sums, "passed"), failed: before(sums, "failed") };
        }
        if line.trim_start().starts_with("Summary [") {
            let failed = before(line, "failed") + before(line, "timed");
            return Count { passed: before(line, "passed"), failed };
        }
        Count::default()
    }

    /// The count of a whole step, given how it ended.
    pub(super) fn settled(mut self, succeeded: bool, counted: bool) -> Count {
        if !counted {
            return Count { passed: u64::from(succeeded), failed: u64::from(!succeeded) };
        }
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

/// The number that stands before the first `word`.
fn before(line: &str, word: &str) -> u64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    let trimmed = |word: &str| word.trim_end_matches([';', ',', ':']).to_owned();
    let position = words.iter().position(|candidate| trimmed(candidate) == word);
    position.and_then(|position| words[position.checked_sub(1)?].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Count;

    fn check(line: &str, passed: u64, failed: u64) {
        assert_eq!(Count::of_line(line), Count { passed, failed }, "{line}");
    }

    #[test]
    fn sums_are_read() {
        check("test result: ok. 32 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s", 32, 0);
        check("test result: FAILED. 31 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out", 31, 1);
        check("     Summary [   1.204s] 45 tests run: 45 passed, 0 skipped", 45, 0);
        check("     Summary [   1.2s] 45/50 tests run: 41 passed (2 slow), 3 failed, 1 timed out, 0 skipped", 41, 4);
        check("test result says nothing here", 0, 0);
    }

    #[test]
    fn a_runner_that_breaks_is_a_failure() {
        assert_eq!(Count::default().settled(false, true), Count { passed: 0, failed: 1 });
        assert_eq!(Count { passed: 3, failed: 2 }.settled(false, true), Count { passed: 3, failed: 2 });
        assert_eq!(Count::default().settled(true, false), Count { passed: 1, failed: 0 });
    }
}
