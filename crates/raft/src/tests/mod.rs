//! Tests of whole ensembles: golden scripts, and a walker that picks at random.

mod garbage;
mod scripts;
mod walker;
