//! Opening ports, with errors that say what to do. Knows no protocol.

use std::io::ErrorKind;

use tokio::net::TcpListener;

use crate::config::Listen;

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {}", self.advice())]
pub(crate) struct ListenError {
    address: String,
    key: String,
    source: std::io::Error,
}

impl ListenError {
    /// What the system said when `listen` was to be opened.
    pub(crate) fn new(listen: &Listen<'_>, source: std::io::Error) -> ListenError {
        ListenError { address: listen.address.to_owned(), key: listen.key.clone(), source }
    }

    /// What is wrong and what to do about it.
    fn advice(&self) -> String {
        let port = self.address.rsplit_once(':').map_or("", |(_, port)| port);
        match self.source.kind() {
            ErrorKind::AddrInUse => format!(
                "another process has the port. `ss -ltnp 'sport = :{port}'` shows which; stop it, or choose another port for this key"
            ),
            ErrorKind::AddrNotAvailable => {
                "the address belongs to no interface of this machine. The listen.* keys may name a local one, 0.0.0.0 all of them".to_owned()
            }
            ErrorKind::PermissionDenied => {
                format!("the system does not allow port {port} to this user; ports from 1024 on need no privileges")
            }
            _ => format!("{}. Is the host's name right?", self.source),
        }
    }
}

/// Opens the port for clients at `listen`.
pub(crate) async fn bind(listen: &Listen<'_>) -> Result<TcpListener, ListenError> {
    TcpListener::bind(listen.address).await.map_err(|source| ListenError::new(listen, source))
}
