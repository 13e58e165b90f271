//! Takes replies apart into what must be equal on both sides and what must only correspond: transactions, times,
//! sessions. What is in no promised order is sorted.

use super::connection::Frame;
use super::request::Request;

/// One value of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Must be equal; the name says what it is.
    Number(&'static str, i64),
    /// Must be equal.
    Data(Option<Vec<u8>>),
    /// Must be equal.
    Text(String),
    /// Must be the same transaction.
    Zxid(i64),
    /// Must be the moment of the transaction named first.
    Time {
        /// The transaction.
        zxid: i64,
        /// Milliseconds since 1970.
        milliseconds: i64,
    },
    /// Must be the same session.
    Session(i64),
    /// Bytes that follow no layout. Must be equal.
    Rest(Vec<u8>),
}

/// The values of the reply to a request, without those of its header.
#[must_use]
pub fn tokens(request: &Request, frame: &Frame) -> Vec<Token> {
    let mut reader = Reader { rest: &frame.body, tokens: Vec::new() };
    if frame.code == 0 || matches!(request, Request::Many { .. }) {
        // A record that does not follow its layout shows as the bytes that are left.
        let _ = reader.reply(request.opcode());
    }
    reader.finish()
}

/// The values of an event.
#[must_use]
pub fn event_tokens(frame: &Frame) -> Vec<Token> {
    let mut reader = Reader { rest: &frame.body, tokens: Vec::new() };
    let mut read = || {
        reader.number("event")?;
        reader.number("state")?;
        reader.text()
    };
    let _ = read();
    reader.finish()
}

/// Whether a request that succeeds is a transaction, so that its header's zxid says which.
#[must_use]
pub fn is_transaction(request: &Request) -> bool {
    matches!(request.opcode(), 1 | 2 | 5 | 7 | 14 | 15 | 19 | 21 | -11)
}

const CREATE: i32 = 1;
const CREATE2: i32 = 15;

struct Reader<'a> {
    rest: &'a [u8],
    tokens: Vec<Token>,
}

impl Reader<'_> {
    fn reply(&mut self, opcode: i32) -> Option<()> {
        match opcode {
            1 | 9 => self.text(),
            15 | 19 | 21 => {
                self.text()?;
                self.stat()
            }
            3 | 5 | 7 => self.stat(),
            4 => {
                self.data()?;
                self.stat()
            }
            6 => {
                self.access()?;
                self.stat()
            }
            8 | 103 => self.names(),
            12 => {
                self.names()?;
                self.stat()
            }
            14 | 22 => self.results(),
            104 => self.number("nodes below"),
            106 => self.number("watch"),
            107 => self.identities(),
            _ => Some(()),
        }
    }

    fn results(&mut self) -> Option<()> {
        loop {
            let opcode = self.int()?;
            let done = self.take(1)?[0] != 0;
            let code = self.int()?;
            // 3.8 answers every kind of create within a transaction as the oldest kind; 3.9 adds the node's numbers.
            let shown = if opcode == CREATE2 { CREATE } else { opcode };
            self.tokens.push(Token::Number("result of", shown.into()));
            self.tokens.push(Token::Number("code", code.into()));
            if done {
                return Some(());
            }
            match opcode {
                -1 => self.number("error")?,
                2 | 13 => {}
                CREATE2 => {
                    self.text()?;
                    let before = self.tokens.len();
                    self.stat()?;
                    self.tokens.truncate(before);
                }
                _ => self.reply(opcode)?,
            }
        }
    }

    fn stat(&mut self) -> Option<()> {
        let created = self.long()?;
        let modified = self.long()?;
        self.tokens.extend([Token::Zxid(created), Token::Zxid(modified)]);
        for zxid in [created, modified] {
            let milliseconds = self.long()?;
            self.tokens.push(Token::Time { zxid, milliseconds });
        }
        for name in ["version", "children's version", "access version"] {
            self.number(name)?;
        }
        let owner = self.long()?;
        self.tokens.push(Token::Session(owner));
        self.number("data length")?;
        self.number("children")?;
        let children = self.long()?;
        self.tokens.push(Token::Zxid(children));
        Some(())
    }

    fn names(&mut self) -> Option<()> {
        let count = self.int()?;
        let begin = self.tokens.len();
        for _ in 0..count {
            self.text()?;
        }
        self.tokens[begin..].sort_by(|one, other| match (one, other) {
            (Token::Text(one), Token::Text(other)) => one.cmp(other),
            _ => std::cmp::Ordering::Equal,
        });
        self.tokens.insert(begin, Token::Number("names", count.into()));
        Some(())
    }

    /// Lines of permissions, scheme and id: those that stand for `auth` come in no promised order.
    fn access(&mut self) -> Option<()> {
        let count = self.int()?;
        let begin = self.tokens.len();
        for _ in 0..count {
            self.number("permissions")?;
            self.text()?;
            self.text()?;
        }
        self.sort(begin, 3);
        Some(())
    }

    /// Sorts the tokens from here on in groups.
    fn sort(&mut self, begin: usize, size: usize) {
        let mut groups: Vec<Vec<Token>> = self.tokens.split_off(begin).chunks(size).map(<[Token]>::to_vec).collect();
        groups.sort_by_key(|group| format!("{group:?}"));
        self.tokens.extend(groups.into_iter().flatten());
    }

    /// Pairs of scheme and name, in no promised order.
    fn identities(&mut self) -> Option<()> {
        let count = self.int()?;
        let begin = self.tokens.len();
        for _ in 0..count {
            self.text()?;
            self.text()?;
        }
        self.sort(begin, 2);
        Some(())
    }

    fn number(&mut self, name: &'static str) -> Option<()> {
        let number = self.int()?;
        self.tokens.push(Token::Number(name, number.into()));
        Some(())
    }

    fn text(&mut self) -> Option<()> {
        match self.buffer()? {
            Some(bytes) => self.tokens.push(Token::Text(String::from_utf8_lossy(&bytes).into_owned())),
            None => self.tokens.push(Token::Data(None)),
        }
        Some(())
    }

    fn data(&mut self) -> Option<()> {
        let data = self.buffer()?;
        self.tokens.push(Token::Data(data));
        Some(())
    }

    fn buffer(&mut self) -> Option<Option<Vec<u8>>> {
        match self.int()? {
            -1 => Some(None),
            length => self.take(usize::try_from(length).ok()?).map(|bytes| Some(bytes.to_vec())),
        }
    }

    fn int(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.take(8)?.try_into().ok().map(i64::from_be_bytes)
    }

    fn take(&mut self, length: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn finish(mut self) -> Vec<Token> {
        if !self.rest.is_empty() {
            self.tokens.push(Token::Rest(self.rest.to_vec()));
        }
        self.tokens
    }
}
