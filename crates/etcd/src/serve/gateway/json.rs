//! Messages to JSON and back, in protobuf's mapping as etcd's gateway uses it: names as in the descriptions, 64-bit
//! numbers as text, bytes in base64, defaults left out; unknown names are ignored. Knows no message by name.

use axum::body::Bytes;
use prost::Message;
use prost_reflect::{DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::Value;
use tonic::Status;

/// Reads one message from text; nothing at all is a message of defaults.
pub(super) fn read(description: MessageDescriptor, text: &[u8]) -> Result<Bytes, Status> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(Bytes::new());
    }
    read_value(description, serde_json::from_slice(text).map_err(|error| malformed(&error))?)
}

/// Reads one message from a JSON value and encodes it.
pub(super) fn read_value(description: MessageDescriptor, mut value: Value) -> Result<Bytes, Status> {
    ignore_unknown_names(&description, &mut value);
    // Lenient reading would take unknown values of enums for their defaults as well, and a misspelt comparison for
    // another one.
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let message =
        DynamicMessage::deserialize_with_options(description, value, &options).map_err(|error| malformed(&error))?;
    Ok(message.encode_to_vec().into())
}

fn ignore_unknown_names(description: &MessageDescriptor, value: &mut Value) {
    let Value::Object(fields) = value else { return };
    let find = |name: &str| description.get_field_by_name(name).or_else(|| description.get_field_by_json_name(name));
    fields.retain(|name, _| find(name).is_some());
    for (name, value) in fields {
        let Some(Kind::Message(inner)) = find(name).map(|field| field.kind()) else { continue };
        match value {
            Value::Array(elements) => elements.iter_mut().for_each(|element| ignore_unknown_names(&inner, element)),
            value => ignore_unknown_names(&inner, value),
        }
    }
}

/// Writes one encoded message as text.
pub(super) fn write(description: MessageDescriptor, message: Bytes) -> Result<String, Status> {
    let message = DynamicMessage::decode(description, message).map_err(|error| Status::internal(error.to_string()))?;
    let mut text = Vec::new();
    let options = SerializeOptions::new().use_proto_field_name(true);
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut text), &options)
        .map_err(|error| Status::internal(error.to_string()))?;
    String::from_utf8(text).map_err(|error| Status::internal(error.to_string()))
}

fn malformed(error: &serde_json::Error) -> Status {
    Status::invalid_argument(error.to_string())
}

/// Finds whole JSON values in text that arrives in pieces.
#[derive(Debug)]
pub(super) struct Splitter {
    unread: Vec<u8>,
    max_bytes: usize,
}

impl Splitter {
    /// A value may have `max_bytes`.
    pub(super) fn new(max_bytes: usize) -> Splitter {
        Splitter { unread: Vec::new(), max_bytes }
    }

    /// The values that `piece` completes.
    ///
    /// # Errors
    /// If what arrived is no JSON, or a value is too long.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Value>, Status> {
        self.unread.extend_from_slice(piece);
        let mut values = Vec::new();
        let mut stream = serde_json::Deserializer::from_slice(&self.unread).into_iter::<Value>();
        let mut read = 0;
        while let Some(value) = stream.next() {
            match value {
                Ok(value) => values.push(value),
                Err(error) if error.is_eof() => break,
                Err(error) => return Err(malformed(&error)),
            }
            read = stream.byte_offset();
        }
        self.unread.drain(..read);
        if self.unread.len() > self.max_bytes {
            let (bytes, limit) = (self.unread.len(), self.max_bytes);
            return Err(Status::invalid_argument(format!(
                "a request of more than {bytes} bytes, the limit is {limit}"
            )));
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost_reflect::DescriptorPool;

    use super::*;
    use crate::wire::DESCRIPTIONS;
    use crate::wire::etcdserverpb::{RangeRequest, StatusResponse};

    fn description(name: &str) -> MessageDescriptor {
        DescriptorPool::decode(DESCRIPTIONS).unwrap().get_message_by_name(name).unwrap()
    }

    #[test]
    fn both_spellings_of_names_and_numbers_are_read() {
        let range = description("etcdserverpb.RangeRequest");
        for text in [
            r#"{"key":"YQ==","range_end":"Yg==","limit":"7","sort_order":"DESCEND","bogus":1}"#,
            r#"{"key":"YQ==","rangeEnd":"Yg==","limit":7,"sortOrder":2}"#,
        ] {
            let message = RangeRequest::decode(read(range.clone(), text.as_bytes()).unwrap()).unwrap();
            assert_eq!(
                (&*message.key, &*message.range_end, message.limit, message.sort_order),
                (&b"a"[..], &b"b"[..], 7, 2)
            );
        }
        assert_eq!(read(range.clone(), b" \n").unwrap(), Bytes::new());
        assert!(read(range.clone(), br#"{"key":"#).is_err());
        assert!(read(range, br#"{"sort_order":"BOGUS"}"#).is_err());
        let transaction = description("etcdserverpb.TxnRequest");
        assert!(read(transaction.clone(), br#"{"compare":[{"new":1,"result":"LESS"}],"new":{}}"#).is_ok());
        assert!(read(transaction, br#"{"compare":[{"result":"BOGUS"}]}"#).is_err());
    }

    #[test]
    fn names_are_written_as_described_and_defaults_left_out() {
        let message = StatusResponse { raft_index: 7, db_size: i64::MAX, is_learner: true, ..Default::default() };
        let text = write(description("etcdserverpb.StatusResponse"), message.encode_to_vec().into()).unwrap();
        assert_eq!(text, r#"{"dbSize":"9223372036854775807","raftIndex":"7","isLearner":true}"#);
    }

    #[test]
    fn values_are_found_across_pieces() {
        let mut splitter = Splitter::new(20);
        assert_eq!(splitter.push(br#"{"a":1} {"b"#).unwrap(), [serde_json::json!({"a": 1})]);
        assert_eq!(
            splitter.push(br#"":2}{"c":3}"#).unwrap(),
            [serde_json::json!({"b": 2}), serde_json::json!({"c": 3})]
        );
        assert!(splitter.push(b"{]").is_err());
        let mut splitter = Splitter::new(20);
        assert!(splitter.push(br#"{"key":"a very long text without an end"#).is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(description("etcdserverpb.TxnRequest"), &text);
            let _ = Splitter::new(40).push(&text);
        }
    }
}
