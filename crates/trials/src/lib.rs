//! Real processes, real clients, real kills: what a user would do to an ensemble (development only).
