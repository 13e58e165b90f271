//! The shell around the member: threads, sockets and files. Nothing that decides lives here.

pub(crate) mod inbox;
