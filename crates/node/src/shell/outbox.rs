//! What waits to be said on one lane to a peer, and its way onto the socket. It may not know what it says.
//!
//! Whoever has something to say writes it onto the socket himself: waking a task for it would take longer than the
//! write. Only what the socket does not take at once is left to the lane's own task.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::wire::ping_frame;

/// Pieces that are written in one go.
const SLICES: usize = 64;

/// One lane's queue.
///
/// Invariants: bytes leave in the order they were pushed, because whoever writes holds the lock; a frame that was begun
/// is finished on the same connection, or lost with it.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    /// The socket took less than there was: the lane's task goes on.
    left_over: Notify,
}

#[derive(Default)]
struct Queue {
    parts: VecDeque<Bytes>,
    bytes: usize,
    /// Messages are taken.
    open: bool,
    /// Where they go.
    stream: Option<Arc<TcpStream>>,
    /// The lane's task is at it.
    stalled: bool,
}

impl Outbox {
    /// Queues a message, if messages are taken, and says whether more than `limit` bytes wait now.
    pub(super) fn push(&self, message: impl FnOnce() -> Vec<Bytes>, limit: usize) -> bool {
        let mut queue = self.lock();
        if !queue.open {
            return false;
        }
        for part in message() {
            queue.push(part);
        }
        queue.bytes > limit
    }

    /// Writes what waits, as far as the socket takes it at once.
    pub(super) fn flush(&self) {
        let mut queue = self.lock();
        if queue.stalled || queue.parts.is_empty() {
            return;
        }
        if !matches!(queue.write(), Ok(true)) {
            // What went wrong, the task finds out by itself.
            queue.stalled = true;
            self.left_over.notify_one();
        }
    }

    /// Takes messages from now on.
    pub(super) fn open(&self) {
        self.lock().open = true;
    }

    /// Forgets everything and takes no messages.
    pub(super) fn close(&self) {
        *self.lock() = Queue::default();
    }

    /// The lane's task: writes what could not be written at once, and a sign of life after each span without such.
    /// Ends when the connection does, or when another one takes its place.
    pub(super) async fn serve(&self, stream: &Arc<TcpStream>, ping_every: Duration) -> io::Result<()> {
        self.lock().stream = Some(stream.clone());
        loop {
            let left_over = self.left_over.notified();
            if self.go_on()? {
                if timeout(ping_every, left_over).await.is_err() {
                    self.lock().push(Bytes::copy_from_slice(&ping_frame()));
                }
            } else {
                stream.writable().await?;
            }
        }
    }

    fn go_on(&self) -> io::Result<bool> {
        let mut queue = self.lock();
        let done = queue.write()?;
        queue.stalled = !done;
        Ok(done)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no holder of an outbox panics")
    }
}

impl Queue {
    fn push(&mut self, part: Bytes) {
        self.bytes += part.len();
        self.parts.push_back(part);
    }

    /// Writes as much as the socket takes; says whether that was all.
    fn write(&mut self) -> io::Result<bool> {
        let Some(stream) = self.stream.clone() else { return Ok(self.parts.is_empty()) };
        while !self.parts.is_empty() {
            let mut slices = [io::IoSlice::new(&[]); SLICES];
            let count = slices.iter_mut().zip(&self.parts).map(|(slice, part)| *slice = io::IoSlice::new(part)).count();
            match stream.try_write_vectored(&slices[..count]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.advance(written),
                Err(full) if full.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(problem) => return Err(problem),
            }
        }
        Ok(true)
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(front) = self.parts.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.parts.pop_front();
        }
        assert!(count == 0, "advanced past the end");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: usize = 1 << 30;

    async fn connected() -> (Arc<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
        (Arc::new(near.unwrap()), far.unwrap().0)
    }

    fn part(number: usize) -> Vec<Bytes> {
        let bytes = u32::try_from(number).unwrap().to_be_bytes();
        vec![Bytes::copy_from_slice(&bytes), Bytes::from(vec![7; number % 5000])]
    }

    #[tokio::test]
    async fn more_than_the_socket_takes_arrives_whole_and_in_order() {
        let (near, mut far) = connected().await;
        let outbox = Arc::new(Outbox::default());
        assert!(!outbox.push(|| unreachable!("nothing is encoded for nobody"), LIMIT));
        let serving = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.serve(&near, Duration::from_secs(60)).await }
        });
        outbox.open();
        let count = 6000;
        for number in 0..count {
            outbox.push(|| part(number), LIMIT);
            if number % 3 == 0 {
                outbox.flush();
            }
        }
        outbox.flush();
        for number in 0..count {
            let expected = part(number).concat();
            let mut received = vec![0; expected.len()];
            far.read_exact(&mut received).await.unwrap();
            assert!(received == expected, "message {number}");
        }
        drop(far);
        outbox.push(|| vec![Bytes::from(vec![1; 1 << 20])], LIMIT);
        // The end of the connection is noticed by a write, sooner or later.
        while !serving.is_finished() {
            outbox.flush();
            tokio::task::yield_now().await;
            outbox.push(|| part(1), LIMIT);
        }
        assert!(serving.await.unwrap().is_err());
    }

    #[tokio::test]
    async fn a_limit_that_is_passed_is_told_and_a_closed_box_is_empty() {
        let outbox = Outbox::default();
        outbox.open();
        assert!(!outbox.push(|| vec![Bytes::from_static(b"1234")], 4));
        assert!(outbox.push(|| vec![Bytes::from_static(b"5")], 4));
        outbox.close();
        outbox.open();
        assert!(!outbox.push(|| vec![Bytes::from_static(b"1234")], 4));
    }
}
