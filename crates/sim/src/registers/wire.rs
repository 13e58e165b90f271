//! The bytes of requests and replies. Little-endian, no frills.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Action, Answer, Register, Reply, Request};

impl Request {
    /// The request's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(64);
        out.put_u64_le(self.id);
        out.put_u32_le(self.client);
        match &self.action {
            Action::Put { register, value, lease, padding } => {
                out.put_u8(1);
                out.put_u16_le(*register);
                out.put_u64_le(*value);
                out.put_i64_le(*lease);
                out.put_u32_le(*padding);
                out.put_bytes(0x5a, *padding as usize);
            }
            Action::Get { register } => {
                out.put_u8(2);
                out.put_u16_le(*register);
            }
            Action::CompareAndSet { register, expected, value } => {
                out.put_u8(3);
                out.put_u16_le(*register);
                put_content(&mut out, *expected);
                out.put_u64_le(*value);
            }
            Action::Delete { register } => {
                out.put_u8(4);
                out.put_u16_le(*register);
            }
            Action::Exchange { expected, wanted } => {
                out.put_u8(5);
                put_contents(&mut out, expected);
                put_contents(&mut out, wanted);
            }
            Action::Grant { lease, ttl_milliseconds } => {
                out.put_u8(6);
                out.put_i64_le(*lease);
                out.put_u64_le(*ttl_milliseconds);
            }
            Action::Revoke { lease } => {
                out.put_u8(7);
                out.put_i64_le(*lease);
            }
        }
        out.freeze()
    }

    /// Reads a request. `None` if the bytes are none.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Request> {
        let input = &mut bytes;
        let id = input.try_get_u64_le().ok()?;
        let client = input.try_get_u32_le().ok()?;
        let action = match input.try_get_u8().ok()? {
            1 => {
                let register = input.try_get_u16_le().ok()?;
                let value = input.try_get_u64_le().ok()?;
                let lease = input.try_get_i64_le().ok()?;
                let padding = input.try_get_u32_le().ok()?;
                *input = input.get(padding as usize..)?;
                Action::Put { register, value, lease, padding }
            }
            2 => Action::Get { register: input.try_get_u16_le().ok()? },
            3 => {
                let register = input.try_get_u16_le().ok()?;
                let expected = get_content(input)?;
                Action::CompareAndSet { register, expected, value: input.try_get_u64_le().ok()? }
            }
            4 => Action::Delete { register: input.try_get_u16_le().ok()? },
            5 => Action::Exchange { expected: get_contents(input)?, wanted: get_contents(input)? },
            6 => {
                let lease = input.try_get_i64_le().ok()?;
                Action::Grant { lease, ttl_milliseconds: input.try_get_u64_le().ok()? }
            }
            7 => Action::Revoke { lease: input.try_get_i64_le().ok()? },
            _ => return None,
        };
        input.is_empty().then_some(Request { id, client, action })
    }
}

impl Reply {
    /// The reply's bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(24);
        out.put_u64_le(self.revision);
        match self.answer {
            Answer::Done => out.put_u8(1),
            Answer::Refused => out.put_u8(2),
            Answer::Holds(content) => {
                out.put_u8(3);
                put_content(&mut out, content);
            }
            Answer::Unreadable => out.put_u8(4),
        }
        out.freeze()
    }

    /// Reads a reply. `None` if the bytes are none.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Option<Reply> {
        let input = &mut bytes;
        let revision = input.try_get_u64_le().ok()?;
        let answer = match input.try_get_u8().ok()? {
            1 => Answer::Done,
            2 => Answer::Refused,
            3 => Answer::Holds(get_content(input)?),
            4 => Answer::Unreadable,
            _ => return None,
        };
        input.is_empty().then_some(Reply { revision, answer })
    }
}

fn put_content(out: &mut BytesMut, content: Option<u64>) {
    out.put_u8(u8::from(content.is_some()));
    out.put_u64_le(content.unwrap_or(0));
}

fn get_content(input: &mut &[u8]) -> Option<Option<u64>> {
    let present = input.try_get_u8().ok()?;
    let value = input.try_get_u64_le().ok()?;
    Some((present == 1).then_some(value))
}

fn put_contents(out: &mut BytesMut, contents: &[(Register, Option<u64>)]) {
    out.put_u8(u8::try_from(contents.len()).expect("an exchange names few registers"));
    for (register, content) in contents {
        out.put_u16_le(*register);
        put_content(out, *content);
    }
}

fn get_contents(input: &mut &[u8]) -> Option<Vec<(Register, Option<u64>)>> {
    let count = input.try_get_u8().ok()?;
    (0..count).map(|_| Some((input.try_get_u16_le().ok()?, get_content(input)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_come_back_as_they_were() {
        let actions = [
            Action::Put { register: 7, value: 9, lease: -3, padding: 11 },
            Action::Get { register: 7 },
            Action::CompareAndSet { register: 7, expected: None, value: 1 },
            Action::Delete { register: 65_535 },
            Action::Exchange { expected: vec![(1, Some(2)), (3, None)], wanted: vec![(1, None)] },
            Action::Grant { lease: 5, ttl_milliseconds: 1000 },
            Action::Revoke { lease: 5 },
        ];
        for action in actions {
            let request = Request { id: 1 << 40, client: 3, action };
            let bytes = request.encode();
            assert_eq!(Request::decode(&bytes), Some(request));
            for length in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..length]), None, "cut at {length}");
            }
        }
        for answer in [Answer::Done, Answer::Refused, Answer::Holds(None), Answer::Holds(Some(7)), Answer::Unreadable] {
            let reply = Reply { revision: 12, answer };
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
    }
}
