//! Encrypts accepted connections with the certificate of the day. It knows connections, and when to look at the files.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{info, warn};

use crate::files::{Settings, Stamp, TlsError};
use crate::peer::Peer;

/// An encrypted connection.
pub type Encrypted<S> = tokio_rustls::server::TlsStream<S>;

/// Files are looked at when a connection comes, but not more often than this.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Encrypts accepted connections. Files that changed are taken up by the next connection, within a second; connections
/// that stand are not disturbed. Files that do not fit together, as in the middle of a renewal, leave what was good in
/// place, with a warning that names them.
pub struct Acceptor {
    settings: Settings,
    pause: Duration,
    current: Mutex<Current>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Acceptor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

struct Current {
    config: Arc<ServerConfig>,
    /// What the files looked like when they were last read, well or not.
    stamps: Vec<Stamp>,
    looked: Instant,
}

impl Acceptor {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsError`], if they are not there or do not fit together.
    pub fn new(settings: Settings) -> Result<Acceptor, TlsError> {
        Acceptor::looking_every(settings, LOOK_PAUSE)
    }

    pub(crate) fn looking_every(settings: Settings, pause: Duration) -> Result<Acceptor, TlsError> {
        // Stamps before content: a change in between is seen as one later.
        let stamps = settings.stamps();
        let config = Arc::new(settings.load()?);
        let current = Mutex::new(Current { config, stamps, looked: Instant::now() });
        Ok(Acceptor { settings, pause, current })
    }

    /// Performs the handshake. How long it may take is the caller's to limit.
    ///
    /// # Errors
    /// The peer speaks no TLS, offers nothing acceptable, or cannot show the certificate that is asked for.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, connection: S) -> io::Result<Encrypted<S>> {
        TlsAcceptor::from(self.config()).accept(connection).await
    }

    /// The configuration for a connection that comes now.
    fn config(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().expect("nobody panics with the configuration in hand");
        if current.looked.elapsed() >= self.pause {
            current.looked = Instant::now();
            let stamps = self.settings.stamps();
            if stamps != current.stamps {
                current.stamps = stamps;
                self.reload(&mut current);
            }
        }
        current.config.clone()
    }

    fn reload(&self, current: &mut Current) {
        let certificate = self.settings.certificate.display();
        match self.settings.load() {
            Ok(config) => {
                current.config = Arc::new(config);
                info!(%certificate, "the certificate's files changed and were taken up");
            }
            Err(error) => warn!(%certificate, %error, "the certificate's files changed, but those before stay in use"),
        }
    }
}

/// Who the client has proven to be; `None` if it showed no certificate.
pub fn peer_of<S>(connection: &Encrypted<S>) -> Option<Peer> {
    let (_, session) = connection.get_ref();
    Peer::read(session.peer_certificates()?.first()?)
}
