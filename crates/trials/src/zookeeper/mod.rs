//! A differential oracle: the same random requests to a real ZooKeeper server and to an ensemble of ours, and whatever
//! comes back compared.
//!
//! | module | what it does |
//! |---|---|
//! | [`random`] | numbers from a seed |
//! | [`request`] | the requests, and their bytes |
//! | [`case`](mod@case) | one case: steps of several sessions, drawn from a seed |
//! | [`connection`] | frames over a socket |
//! | [`side`] | plays a case on one side and writes down what came back |
//! | [`answer`] | takes replies apart into what must be equal and what must correspond |
//! | [`compare`] | holds two records against each other |
//! | [`shrink`] | makes a case that differs as short as it can be |
//! | [`server`] | the real server, from Debian's package |
//!
//! It speaks the protocol's bytes itself and links neither side's code: what no proper client sends is sent, too.

pub mod answer;
pub mod case;
pub mod compare;
pub mod connection;
pub mod random;
pub mod request;
pub mod server;
pub mod shrink;
pub mod side;
