//! Requests as they are drawn, and their bytes.
//!
//! Paths are kept relative to the root of the case, so that a case can be played again under another root.

/// A path: below the root of the case, or exactly as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `root` and this; empty for the root itself.
    Below(String),
    /// Literally this, sane or not.
    Exactly(String),
}

impl Place {
    fn under(&self, root: &str) -> String {
        match self {
            Place::Below(rest) => format!("{root}{rest}"),
            Place::Exactly(path) => path.clone(),
        }
    }
}

/// One line of an access list: permissions, scheme, id.
pub type Line = (i32, &'static str, &'static str);

/// What a client asks. Numbers stand as they go over the wire, allowed or not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the protocol's own")]
pub enum Request {
    /// create (1), create2 (15), createContainer (19), createTTL (21).
    Create {
        opcode: i32,
        place: Place,
        data: Option<Vec<u8>>,
        access: Vec<Line>,
        flags: i32,
        ttl: i64,
    },
    /// delete (2), and check (13) within a transaction.
    Versioned {
        opcode: i32,
        place: Place,
        version: i32,
    },
    /// exists (3), getData (4), getChildren (8), getChildren2 (12).
    Read {
        opcode: i32,
        place: Place,
        watch: bool,
    },
    SetData {
        place: Place,
        data: Option<Vec<u8>>,
        version: i32,
    },
    /// getACL (6), sync (9), getEphemerals (103), getAllChildrenNumber (104).
    Plain {
        opcode: i32,
        place: Place,
    },
    SetAccess {
        place: Place,
        access: Vec<Line>,
        version: i32,
    },
    /// multi (14), multiRead (22).
    Many {
        opcode: i32,
        parts: Vec<Request>,
    },
    /// checkWatches (17), removeWatches (18), addWatch (106).
    Watch {
        opcode: i32,
        place: Place,
        number: i32,
    },
    /// setWatches (101), setWatches2 (105): lists in the order of the record, the moment as a zxid's age.
    SetWatches {
        opcode: i32,
        since: Since,
        lists: [Vec<Place>; 5],
    },
    WhoAmI,
    Authenticate {
        scheme: &'static str,
        credentials: &'static [u8],
    },
    /// closeSession (-11).
    Close,
    /// A request without any record, or with one that breaks off.
    Broken {
        opcode: i32,
        body: Vec<u8>,
    },
}

/// What a client saw last, as far as it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Nothing.
    Ever,
    /// The newest transaction it was told of when the case began.
    Beginning,
    /// The newest transaction it was told of.
    Now,
}

/// The request number of a ping, of auth, and of setWatches.
const SPECIAL: [(i32, i32); 4] = [(11, -2), (100, -4), (101, -8), (105, -8)];

/// An operation that there is not.
pub const UNKNOWN: i32 = 99;

/// The zxids that [`Since`] stands for on one side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// The newest when the case began.
    pub beginning: i64,
    /// The newest.
    pub now: i64,
}

impl Request {
    /// The number of the operation.
    #[must_use]
    pub fn opcode(&self) -> i32 {
        match self {
            Request::Create { opcode, .. }
            | Request::Versioned { opcode, .. }
            | Request::Read { opcode, .. }
            | Request::Plain { opcode, .. }
            | Request::Many { opcode, .. }
            | Request::Watch { opcode, .. }
            | Request::SetWatches { opcode, .. }
            | Request::Broken { opcode, .. } => *opcode,
            Request::SetData { .. } => 5,
            Request::SetAccess { .. } => 7,
            Request::WhoAmI => 107,
            Request::Authenticate { .. } => 100,
            Request::Close => -11,
        }
    }

    /// The request number that clients give to such a request; `ordinary` if it has none of its own.
    #[must_use]
    pub fn xid(&self, ordinary: i32) -> i32 {
        SPECIAL.iter().find(|(opcode, _)| *opcode == self.opcode()).map_or(ordinary, |(_, xid)| *xid)
    }

    /// Whether the connection may be closed after it, so that nothing should be sent behind it.
    #[must_use]
    pub fn may_end(&self) -> bool {
        match self {
            Request::Close | Request::Broken { .. } => true,
            Request::Authenticate { scheme, .. } => !matches!(*scheme, "digest" | "ip"),
            _ => false,
        }
    }

    /// Whether the connection is closed after it, sooner or later.
    #[must_use]
    pub fn ends(&self) -> bool {
        match self {
            Request::Close => true,
            Request::Broken { opcode, .. } => *opcode == UNKNOWN,
            Request::Authenticate { scheme, .. } => !matches!(*scheme, "digest" | "ip"),
            _ => false,
        }
    }

    /// Appends the record.
    pub fn write(&self, root: &str, seen: Seen, out: &mut Vec<u8>) {
        match self {
            Request::Create { opcode, place, data, access, flags, ttl } => {
                put_text(out, &place.under(root));
                put_buffer(out, data.as_deref());
                put_access(out, access);
                put_int(out, *flags);
                if *opcode == 21 {
                    put_long(out, *ttl);
                }
            }
            Request::Versioned { place, version: number, .. } | Request::Watch { place, number, .. } => {
                put_text(out, &place.under(root));
                put_int(out, *number);
            }
            Request::Read { place, watch, .. } => {
                put_text(out, &place.under(root));
                out.push((*watch).into());
            }
            Request::SetData { place, data, version } => {
                put_text(out, &place.under(root));
                put_buffer(out, data.as_deref());
                put_int(out, *version);
            }
            Request::Plain { place, .. } => put_text(out, &place.under(root)),
            Request::SetAccess { place, access, version } => {
                put_text(out, &place.under(root));
                put_access(out, access);
                put_int(out, *version);
            }
            Request::Many { parts, .. } => put_parts(out, parts, root, seen),
            Request::SetWatches { opcode, since, lists } => {
                put_long(
                    out,
                    match since {
                        Since::Ever => 0,
                        Since::Beginning => seen.beginning,
                        Since::Now => seen.now,
                    },
                );
                for list in &lists[..if *opcode == 105 { 5 } else { 3 }] {
                    put_int(out, length(list.len()));
                    for place in list {
                        put_text(out, &place.under(root));
                    }
                }
            }
            Request::WhoAmI | Request::Close => {}
            Request::Authenticate { scheme, credentials } => {
                put_int(out, 0);
                put_text(out, scheme);
                put_buffer(out, Some(credentials));
            }
            Request::Broken { body, .. } => out.extend_from_slice(body),
        }
    }
}

fn put_parts(out: &mut Vec<u8>, parts: &[Request], root: &str, seen: Seen) {
    for part in parts {
        put_int(out, part.opcode());
        out.push(0);
        put_int(out, -1);
        part.write(root, seen, out);
    }
    put_int(out, -1);
    out.push(1);
    put_int(out, -1);
}

fn put_int(out: &mut Vec<u8>, value: i32) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_long(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&value.to_be_bytes());
}

fn put_buffer(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_int(out, bytes.map_or(-1, |bytes| length(bytes.len())));
    out.extend_from_slice(bytes.unwrap_or_default());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_buffer(out, Some(text.as_bytes()));
}

fn put_access(out: &mut Vec<u8>, access: &[Line]) {
    put_int(out, length(access.len()));
    for (permissions, scheme, id) in access {
        put_int(out, *permissions);
        put_text(out, scheme);
        put_text(out, id);
    }
}

fn length(count: usize) -> i32 {
    i32::try_from(count).expect("what is drawn is small")
}
