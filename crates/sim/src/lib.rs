//! Deterministic simulation of a whole ensemble (development only).
