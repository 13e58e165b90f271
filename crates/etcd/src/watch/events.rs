//! Turns changes of rows into events of the API, and cuts responses that are too large for one message. Knows no
//! watch and no stream.

use prost::Message;
use state::{Change, ChangeKind};

use crate::table::{key_value, signed};
use crate::wire::etcdserverpb::WatchResponse;
use crate::wire::etcdserverpb::watch_create_request::FilterType;
use crate::wire::mvccpb::event::EventType;
use crate::wire::mvccpb::{Event, KeyValue};

/// What a watch wants to see of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lens {
    pub(super) puts: bool,
    pub(super) deletes: bool,
    pub(super) previous: bool,
}

impl Lens {
    /// Reads the filters of a request; those that nobody knows filter nothing.
    pub(super) fn new(filters: &[i32], previous: bool) -> Lens {
        let has = |filter: FilterType| filters.contains(&i32::from(filter));
        Lens { puts: !has(FilterType::Noput), deletes: !has(FilterType::Nodelete), previous }
    }

    /// The event of a change, unless it is filtered away. `earlier` are the changes of the same revision before it.
    pub(super) fn event(self, change: &Change, earlier: &[&Change]) -> Option<Event> {
        let (wanted, kind) = match change.kind {
            ChangeKind::Put => (self.puts, EventType::Put),
            ChangeKind::Delete => (self.deletes, EventType::Delete),
        };
        if !wanted {
            return None;
        }
        let key = change.key.to_bytes();
        let kv = match &change.after {
            Some(row) => key_value(key, row),
            None => KeyValue { key, mod_revision: signed(change.revision), ..KeyValue::default() },
        };
        let prev_kv = if self.previous { previous(change, earlier) } else { None };
        Some(Event { r#type: i32::from(kind), kv: Some(kv), prev_kv })
    }
}

/// The key as it was when the revision began. A key that came into being in this very revision has no past to show,
/// not even if it was deleted in the same transaction before.
fn previous(change: &Change, earlier: &[&Change]) -> Option<KeyValue> {
    if change.after.as_ref().is_some_and(|row| row.created() == change.revision) {
        return None;
    }
    let before = change.before.as_ref()?;
    let row = if before.modified() < change.revision {
        before
    } else {
        // The transaction wrote the key before: what it found there is what its first change of it replaced.
        earlier.iter().find(|other| other.key == change.key)?.before.as_ref()?
    };
    Some(key_value(change.key.to_bytes(), row))
}

/// What an event weighs in a response, in bytes: keys and values; the rest is small.
pub(super) fn weight(event: &Event) -> usize {
    let of = |kv: &Option<KeyValue>| kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
    of(&event.kv) + of(&event.prev_kv)
}

/// Cuts a response into fragments of at most `max_bytes` each, as far as single events allow. All but the last are
/// marked, so that the client can join them.
pub(super) fn fragments(response: WatchResponse, max_bytes: usize) -> Vec<WatchResponse> {
    if response.events.len() < 2 || response.encoded_len() < max_bytes {
        return vec![response];
    }
    let frame = WatchResponse { events: Vec::new(), fragment: true, ..response.clone() };
    let frame_bytes = frame.encoded_len();
    let mut fragments = vec![frame.clone()];
    let mut bytes = frame_bytes;
    for event in response.events {
        // The tag of the field and the length before each event.
        let event_bytes = event.encoded_len() + 1 + prost::length_delimiter_len(event.encoded_len());
        let current = fragments.last_mut().expect("there is a first fragment from the start");
        if current.events.is_empty() || bytes + event_bytes < max_bytes {
            current.events.push(event);
            bytes += event_bytes;
        } else {
            bytes = frame_bytes + event_bytes;
            fragments.push(WatchResponse { events: vec![event], ..frame.clone() });
        }
    }
    fragments.last_mut().expect("there is a first fragment from the start").fragment = false;
    fragments
}
