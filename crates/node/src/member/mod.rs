//! The member as a plain value: events and the present time in, effects out.

mod event;

pub use self::event::{Answer, Effects, Event, Published, RequestTag};
