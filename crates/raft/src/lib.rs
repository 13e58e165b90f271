//! The Raft consensus core, as a plain value.
