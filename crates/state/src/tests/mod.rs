//! The state against a naive model that remembers every version of everything, driven by random transactions.

mod decoding;
mod model;
mod rows;
mod script;
mod snapshot;
mod timeline;
