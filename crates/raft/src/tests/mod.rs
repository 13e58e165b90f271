//! Tests of whole ensembles: golden scripts, and a walker that picks at random.

mod garbage;
mod render;
mod scripts;
mod walker;
