//! One connection from its first byte to its last: the loop that moves bytes between a socket and a [`Client`].

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use node::{Delivery, Mailbox};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tracing::{debug, info};

use super::client::{Answer, Client, Stage, Waiting};
use super::front::{Front, Place};
use super::handshake::{Greeting, establish, greet};
use super::{sleep_until, words};
use crate::wire::Frames;

/// Bytes that are read from a client even while no request of it may be taken: its pings stand among them, and every
/// byte is a sign of life.
const READ_AHEAD_BYTES: usize = 64 * 1024;

/// Serves a connection until it ends. On a port for encryption every connection is encrypted; on the plain one only
/// those that begin so, and only where that is allowed.
pub(super) async fn serve(front: Arc<Front>, socket: TcpStream, place: Place) {
    let peer = place.guest.peer;
    if let Err(error) = socket.set_nodelay(true) {
        return debug!(%peer, %error, "the connection was gone before it began");
    }
    let patience = front.options.handshake_timeout;
    let encrypted = tokio::time::timeout(patience, encrypt(&front, socket, place.guest.is_secure)).await;
    match encrypted {
        Ok(Ok(Channel::Plain(socket))) => {
            let (reader, writer) = socket.into_split();
            attend(front, place, None, reader, writer).await;
        }
        Ok(Ok(Channel::Encrypted(stream))) => {
            let identity = tls::peer_of(&stream);
            let (reader, writer) = tokio::io::split(*stream);
            attend(front, place, identity, reader, writer).await;
        }
        Ok(Err(error)) => info!(%peer, %error, "closing a connection that could not be encrypted"),
        Err(_) => info!(%peer, "closing a connection that sent nothing within handshake_timeout"),
    }
}

enum Channel {
    Plain(TcpStream),
    Encrypted(Box<tls::Encrypted<TcpStream>>),
}

async fn encrypt(front: &Front, socket: TcpStream, is_secure: bool) -> io::Result<Channel> {
    let Some(acceptor) = &front.options.tls else { return Ok(Channel::Plain(socket)) };
    let begins_encrypted = async || {
        let mut first = [0];
        let count = socket.peek(&mut first).await?;
        Ok::<_, io::Error>(count == 1 && first[0] == tls::FIRST_BYTE)
    };
    if is_secure || (front.options.tls_on_plain_port && begins_encrypted().await?) {
        Ok(Channel::Encrypted(Box::new(acceptor.accept(socket).await?)))
    } else {
        Ok(Channel::Plain(socket))
    }
}

async fn attend(
    front: Arc<Front>,
    place: Place,
    identity: Option<tls::Peer>,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) {
    let peer = place.guest.peer;
    let mut frames = Frames::new(front.options.packet_limit);
    let mut out = BytesMut::new();
    let greeted = tokio::time::timeout(front.options.handshake_timeout, greet(&mut reader, &mut frames)).await;
    let frame = match greeted {
        Ok(Greeting::Connect(frame)) => frame,
        Ok(Greeting::Word(word, argument)) => {
            let report = words::report(&front, word, argument);
            let _ = writer.write_all(report.as_bytes()).await;
            let _ = writer.shutdown().await;
            return;
        }
        Ok(Greeting::Nothing) => return,
        Err(_) => return info!(%peer, "closing a connection that sent no request within handshake_timeout"),
    };
    match establish(&front, &frame, &mut out).await {
        Some(established) => {
            let client = Client::new(front, place, established, identity.as_ref(), out);
            converse(client, frames, reader, writer).await;
        }
        None => {
            let _ = writer.write_all(&out).await;
            let _ = writer.shutdown().await;
        }
    }
}

async fn converse(
    mut client: Client,
    mut frames: Frames,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) {
    loop {
        // Requests that came together are answered together, as far as that needs no waiting.
        while take_requests(&mut client, &mut frames) {
            client.advance().await;
        }
        client.advance().await;
        if client.closing.is_some() && client.out.is_empty() {
            break;
        }
        let is_open = client.closing.is_none();
        let may_answer = is_open && !client.is_full();
        // What is told while an answer is due might be news of something that happened only after it.
        let may_tell = may_answer && !client.awaits_answer();
        let may_read = is_open && (client.accepts() || frames.buffer.len() < READ_AHEAD_BYTES);
        if may_read {
            frames.make_room();
        }
        tokio::select! {
            biased;
            answer = answer_for_head(&mut client.queue), if may_answer => client.complete(answer).await,
            delivery = next_delivery(&mut client.held, &client.mailbox), if may_tell => client.deliver(&delivery),
            written = writer.write_buf(&mut client.out), if !client.out.is_empty() => match written {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            },
            read = reader.read_buf(&mut frames.buffer), if may_read => match read {
                Ok(1..) => client.beat(),
                Ok(0) | Err(_) => break,
            },
            () = sleep_until(client.pulse.due()) => client.pass_pulse(),
            () = sleep_until(client.closing) => break,
        }
    }
    let _ = writer.shutdown().await;
}

/// Takes the requests that are there whole, as many as may be. Says whether there was one.
fn take_requests(client: &mut Client, frames: &mut Frames) -> bool {
    let mut took = false;
    while client.accepts() {
        match frames.next() {
            Ok(Some(frame)) => client.receive(&frame),
            Ok(None) => break,
            Err(error) => {
                info!(session = %client.hold.session, %error, "closing a connection");
                client.close("a frame that cannot be");
            }
        }
        took = true;
    }
    took
}

/// What the request at the head of the queue waits for. Safe to drop and to ask again.
async fn answer_for_head(queue: &mut VecDeque<Waiting>) -> Answer {
    match queue.front_mut().map(|waiting| &mut waiting.state) {
        Some(Stage::Decided { pending, .. }) => Answer::Decided(pending.await),
        Some(Stage::Synced { pending, .. } | Stage::Barred { pending, .. }) => Answer::Synced(pending.await),
        Some(Stage::Reconfigured { pending }) => Answer::Reconfigured(pending.await),
        Some(Stage::Read { .. } | Stage::Refused { .. } | Stage::Unsent { .. }) | None => std::future::pending().await,
    }
}

/// The delivery that was held back, or the next one. Safe to drop and to ask again.
async fn next_delivery(held: &mut Option<Delivery>, mailbox: &Mailbox) -> Delivery {
    match held.take() {
        Some(delivery) => delivery,
        None => mailbox.recv().await,
    }
}
