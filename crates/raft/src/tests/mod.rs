//! Tests of whole ensembles: golden scripts, and a walker that picks at random.

mod render;
mod scripts;
mod walker;
