//! Connections of clients, plain or encrypted, with what their certificates say of them. Knows no request.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tls::{Acceptor, Encrypted};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::authority::Authorities;

/// Connections that are ready and not taken up yet.
const READY: usize = 64;

/// Handshakes that may be under way at a time. Further connections wait to be accepted.
const HANDSHAKES: usize = 1024;

/// How long a handshake may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait after the system had no connection to give (no free descriptor, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who a connection's certificate is for, if it showed one. Stands in the extensions of the requests that come over it.
#[derive(Clone, Debug)]
pub(crate) struct CertifiedName(pub(crate) Option<String>);

/// A client's connection.
pub(super) struct Connection {
    wire: Wire,
    authorities: Authorities,
}

enum Wire {
    Plain(TcpStream),
    Encrypted(Box<Encrypted<TcpStream>>),
}

impl Connection {
    fn new(wire: Wire) -> Connection {
        Connection { wire, authorities: Authorities::default() }
    }
}

impl Connected for Connection {
    type ConnectInfo = CertifiedName;

    fn connect_info(&self) -> CertifiedName {
        match &self.wire {
            Wire::Plain(_) => CertifiedName(None),
            Wire::Encrypted(connection) => CertifiedName(tls::peer_of(connection).and_then(|peer| peer.common_name)),
        }
    }
}

/// The connections that come to `listener`, as long as the stream is held. A slow handshake delays nobody else.
pub(super) fn connections(
    listener: TcpListener,
    acceptor: Option<Arc<Acceptor>>,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(READY);
    tokio::spawn(accept(listener, acceptor, ready));
    ReceiverStream::new(stream)
}

async fn accept(listener: TcpListener, acceptor: Option<Arc<Acceptor>>, ready: mpsc::Sender<io::Result<Connection>>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let Ok((stream, client)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small answers must not wait for the acknowledgement of earlier ones. A connection that is gone already says
        // so when it is read.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = acceptor.clone() else {
            if ready.send(Ok(Connection::new(Wire::Plain(stream)))).await.is_err() {
                return;
            }
            continue;
        };
        let Ok(place) = handshakes.clone().acquire_owned().await else { return };
        let ready = ready.clone();
        tokio::spawn(async move {
            let _place = place;
            match tokio::time::timeout(HANDSHAKE_PATIENCE, acceptor.accept(stream)).await {
                // The service may have ended meanwhile; so does the connection then.
                Ok(Ok(encrypted)) => {
                    drop(ready.send(Ok(Connection::new(Wire::Encrypted(Box::new(encrypted))))).await);
                }
                Ok(Err(error)) => tracing::debug!(%client, %error, "no encrypted connection"),
                Err(_) => tracing::debug!(%client, "no encrypted connection within {HANDSHAKE_PATIENCE:?}"),
            }
        });
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        let before = buffer.filled().len();
        let read = match &mut connection.wire {
            Wire::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Wire::Encrypted(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        connection.authorities.mend(&mut buffer.filled_mut()[before..]);
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Wire::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(context),
            Wire::Encrypted(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Wire::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().wire {
            Wire::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Wire::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(stream) => stream.is_write_vectored(),
            Wire::Encrypted(stream) => stream.is_write_vectored(),
        }
    }
}
