//! One case: the steps of several sessions, drawn from a seed.

use super::random::Random;
use super::request::{Line, Place, Request, Since};

/// Sessions of a case.
pub const SESSIONS: usize = 4;

/// Steps that one session sends before it reads, at most.
const BURST: usize = 12;

/// What one session does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which session.
    pub session: usize,
    /// Whether it sends this without having read what it asked for before.
    pub pipelined: bool,
    /// What it does.
    pub deed: Deed,
}

/// See [`Step`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It asks.
    Ask(Request),
    /// It loses its connection and comes back with its session, to the next member of the ensemble.
    Return,
}

/// The steps of a seed.
#[must_use]
pub fn draw(seed: u64, steps: usize) -> Vec<Step> {
    let mut painter = Painter { random: Random::new(seed), session: 0 };
    let mut drawn: Vec<Step> = Vec::with_capacity(steps);
    // A few nodes to begin with, so that not everything is refused.
    for name in ["", "/a", "/b", "/a/b"] {
        let access = vec![(31, "world", "anyone")];
        let place = Place::Below(name.to_owned());
        let request = Request::Create { opcode: 1, place, data: Some(b"x".to_vec()), access, flags: 0, ttl: 0 };
        drawn.push(Step { session: 0, pipelined: true, deed: Deed::Ask(request) });
    }
    while drawn.len() < steps {
        let session = painter.random.below(SESSIONS);
        painter.session = session;
        for position in 0..=painter.random.below(BURST) {
            let deed = if painter.random.once_in(150) { Deed::Return } else { Deed::Ask(painter.request()) };
            let is_last = matches!(&deed, Deed::Return) || matches!(&deed, Deed::Ask(request) if request.may_end());
            drawn.push(Step { session, pipelined: position > 0, deed });
            if is_last {
                break;
            }
        }
    }
    drawn
}

/// Draws requests.
///
/// Some paths are kept apart, where the real server 3.8 is known to be wrong and 3.9 is not: a path carries either
/// one-time watches or a persistent or a recursive one, since 3.8 lets the last one replace the others; and watches are
/// checked and removed by themselves only on paths that one session alone watches, since 3.8 takes one client's watch
/// for another's.
struct Painter {
    random: Random,
    /// Who asks.
    session: usize,
}

/// Below this, nodes are watched persistently, and nowhere else.
const PERSISTENT: [&str; 2] = ["/c", "/c/b"];
/// These are watched recursively, and nothing below them in any other way.
const RECURSIVE: [&str; 2] = ["/c/a", "/c/c"];

const NAMES: [&str; 6] = ["a", "b", "c", "a0000000000", "b0000000001", "c0000000002"];
const READS: [i32; 4] = [3, 4, 8, 12];

impl Painter {
    fn request(&mut self) -> Request {
        match self.random.below(100) {
            0..=19 => self.create(),
            20..=27 => self.delete(),
            28..=37 => self.set_data(),
            38..=62 => {
                let opcode = *self.random.pick(&READS);
                let place = if self.random.once_in(4) { self.own_place() } else { self.place() };
                let watch = self.random.once_in(2) && is_watched_once(&place, self.session);
                Request::Read { opcode, place, watch }
            }
            63..=66 => self.plain(),
            67..=70 => Request::SetAccess { place: self.place(), access: self.access(), version: self.version() },
            71..=80 => self.multi(),
            81..=83 => self.multi_read(),
            84..=91 => self.watch(),
            92..=93 => self.set_watches(),
            94 => Request::WhoAmI,
            95..=96 => self.authenticate(),
            97 => self.odd(),
            _ => self.plain(),
        }
    }

    fn place(&mut self) -> Place {
        if self.random.once_in(60) {
            let odd = ["relative", "/zookeeper/quota", "/zookeeper/none"];
            return Place::Exactly((*self.random.pick(&odd[..])).to_owned());
        }
        if self.random.once_in(60) {
            let odd = ["/", "/a/", "//a", "/a//b", "/.", "/a/..", "/a/./b", "/a\u{1}", "/\u{fffd}", "/a\u{0}b"];
            return Place::Below((*self.random.pick(&odd[..])).to_owned());
        }
        if self.random.once_in(12) {
            return Place::Below(format!("/s{}", self.random.below(SESSIONS)));
        }
        let mut path = String::new();
        for _ in 0..self.random.below(4) {
            path.push('/');
            let names = if self.random.once_in(4) { &NAMES[..] } else { &NAMES[..3] };
            path.push_str(names[self.random.below(names.len())]);
        }
        Place::Below(path)
    }

    fn one_of(&mut self, paths: &[&str]) -> Place {
        Place::Below((*self.random.pick(paths)).to_owned())
    }

    /// Where nobody else watches.
    fn own_place(&self) -> Place {
        Place::Below(format!("/s{}", self.session))
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        match self.random.below(6) {
            0 => None,
            1 => Some(Vec::new()),
            length => Some(vec![b'd'; length]),
        }
    }

    fn version(&mut self) -> i32 {
        *self.random.pick(&[-1, -1, -1, 0, 0, 1, 2, -2])
    }

    fn access(&mut self) -> Vec<Line> {
        const LINES: [Line; 14] = [
            (31, "world", "anyone"),
            (1, "world", "anyone"),
            (3, "world", "anyone"),
            (31, "auth", ""),
            (31, "digest", "ann:XBIoQLjqSnHN6lDdIYWpuPTpOdE="),
            (17, "digest", "bob:Z5pOPwBQ7wGxBC3gl5+iV5bPjVc="),
            (31, "ip", "127.0.0.1"),
            (31, "ip", "127.0.0.0/8"),
            (31, "ip", "10.0.0.0/8"),
            (31, "ip", "nowhere"),
            (31, "world", "somebody"),
            (31, "digest", "nohash"),
            (31, "nobody", "x"),
            (0, "world", "anyone"),
        ];
        match self.random.below(12) {
            0..=6 => vec![LINES[0]],
            7 => Vec::new(),
            _ => (0..=self.random.below(2)).map(|_| *self.random.pick(&LINES)).collect(),
        }
    }

    fn create(&mut self) -> Request {
        let opcode = *self.random.pick(&[1, 1, 1, 15, 15, 15, 19, 21]);
        let flags = match opcode {
            19 => 4,
            21 => *self.random.pick(&[5, 6]),
            _ => *self.random.pick(&[0, 0, 0, 1, 2, 3]),
        };
        let flags = if self.random.once_in(40) { *self.random.pick(&[4, 5, 7, -1, 0]) } else { flags };
        // So long that none runs out while a case is played.
        // Without a flag for it, a time to live below zero stops the real server.
        let ttl = if matches!(flags, 5 | 6) && self.random.once_in(10) {
            *self.random.pick(&[0, -1, 1 << 41])
        } else {
            3_600_000
        };
        Request::Create { opcode, place: self.place(), data: self.data(), access: self.access(), flags, ttl }
    }

    fn delete(&mut self) -> Request {
        Request::Versioned { opcode: 2, place: self.place(), version: self.version() }
    }

    fn set_data(&mut self) -> Request {
        Request::SetData { place: self.place(), data: self.data(), version: self.version() }
    }

    fn plain(&mut self) -> Request {
        Request::Plain { opcode: *self.random.pick(&[6, 6, 9, 103, 104]), place: self.place() }
    }

    fn multi(&mut self) -> Request {
        let count = self.random.below(5);
        let part = |painter: &mut Painter| match painter.random.below(10) {
            0..=4 => painter.create(),
            5..=6 => painter.delete(),
            7..=8 => painter.set_data(),
            _ => Request::Versioned { opcode: 13, place: painter.place(), version: painter.version() },
        };
        Request::Many { opcode: 14, parts: (0..count).map(|_| part(self)).collect() }
    }

    fn multi_read(&mut self) -> Request {
        let count = self.random.below(4);
        let part = |painter: &mut Painter| Request::Read {
            opcode: *painter.random.pick(&[4, 8]),
            place: painter.place(),
            watch: false,
        };
        Request::Many { opcode: 22, parts: (0..count).map(|_| part(self)).collect() }
    }

    fn watch(&mut self) -> Request {
        match self.random.below(5) {
            0 | 1 => Request::Watch { opcode: 106, place: self.one_of(&PERSISTENT), number: 0 },
            2 => Request::Watch { opcode: 106, place: self.one_of(&RECURSIVE), number: 1 },
            // The kinds 4 and 5 came with 3.9, and 3 means all of them only since then.
            _ => {
                let number = i32::try_from(1 + self.random.below(2)).expect("a small number");
                Request::Watch { opcode: *self.random.pick(&[17, 18]), place: self.own_place(), number }
            }
        }
    }

    fn set_watches(&mut self) -> Request {
        let opcode = *self.random.pick(&[101, 105]);
        let since = *self.random.pick(&[Since::Ever, Since::Beginning, Since::Now, Since::Now]);
        let lists = std::array::from_fn(|list| {
            (0..self.random.below(3))
                .map(|_| match list {
                    3 => self.one_of(&PERSISTENT),
                    4 => self.one_of(&RECURSIVE),
                    _ => loop {
                        let place = self.place();
                        if is_watched_once(&place, self.session) {
                            break place;
                        }
                    },
                })
                .collect()
        });
        Request::SetWatches { opcode, since, lists }
    }

    fn authenticate(&mut self) -> Request {
        const CREDENTIALS: [&[u8]; 5] = [b"ann:secret", b"bob:word", b"ann", b"", b"super:admin"];
        let credentials = CREDENTIALS[self.random.below(CREDENTIALS.len())];
        let scheme = match self.random.below(30) {
            0 => "palm",
            1 => "ip",
            _ => "digest",
        };
        // Who may do anything hides every mistake from then on: seldom.
        let credentials =
            if credentials.starts_with(b"super") && !self.random.once_in(6) { b"ann:secret" } else { credentials };
        Request::Authenticate { scheme, credentials }
    }

    /// What no proper client sends.
    fn odd(&mut self) -> Request {
        if self.random.once_in(3) {
            return Request::Close;
        }
        let opcode = *self.random.pick(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 22, 99, 103, 104, 106]);
        let body = match self.random.below(3) {
            0 => Vec::new(),
            1 => vec![0, 0, 0, 2, b'/'],
            _ => vec![0xff, 0xff, 0xff, 0xf0, 1, 2, 3],
        };
        Request::Broken { opcode, body }
    }
}

/// Whether a session leaves one-time watches there.
fn is_watched_once(place: &Place, session: usize) -> bool {
    match place {
        Place::Exactly(_) => true,
        Place::Below(path) => {
            let is_of_others = path.starts_with("/s") && *path != format!("/s{session}");
            !path.starts_with("/c") && !is_of_others
        }
    }
}
