//! The write-ahead log: checksummed segments, group commit, recovery.
