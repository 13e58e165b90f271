//! A member to connect to, and a client without manners.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conclave_zookeeper::{Options, Reports, Service, ZooKeeper};
use node::{Limits, MemberAddress, NodeId, Running, Timing};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) const CREATE: i32 = 1;
pub(crate) const EXISTS: i32 = 3;
pub(crate) const GET_DATA: i32 = 4;
pub(crate) const SET_DATA: i32 = 5;
pub(crate) const GET_CHILDREN: i32 = 8;
pub(crate) const SYNC: i32 = 9;
pub(crate) const PING: i32 = 11;
pub(crate) const AUTH: i32 = 100;
pub(crate) const RECONFIG: i32 = 16;
pub(crate) const SASL: i32 = 102;
pub(crate) const WHO_AM_I: i32 = 107;
pub(crate) const CLOSE: i32 = -11;
pub(crate) const PERSISTENT: i32 = 0;
pub(crate) const EPHEMERAL: i32 = 1;

/// No answer may take longer; a test that waits for one this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// An ensemble of one, with a front end.
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    pub(crate) secure_address: SocketAddr,
    pub(crate) reports: Reports,
    pub(crate) running: Running,
    _stop: watch::Sender<bool>,
    _folder: TempDir,
}

impl Member {
    pub(crate) async fn start(options: Options) -> Member {
        Member::limited(options, Limits::default()).await
    }

    /// The same with other limits than usual.
    pub(crate) async fn limited(options: Options, limits: Limits) -> Member {
        let folder = TempDir::new().unwrap();
        // A port of its own for peers that will never come: bound, noted, and let go.
        let peer = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
        let id = NodeId(1);
        let members = vec![MemberAddress { id, name: "m1".to_owned(), peer, client: BTreeMap::new(), priority: 0 }];
        let node_options = node::Options {
            ensemble: "front".to_owned(),
            id,
            members,
            join: false,
            listen_peer: None,
            data: folder.path().to_owned(),
            timing: Timing::default(),
            limits,
        };
        let running = node::start(node_options, vec![Arc::new(ZooKeeper::default())]).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let secure_address = secure.local_addr().unwrap();
        let secure = options.tls.is_some().then_some(secure);
        let (stop, stopped) = watch::channel(false);
        let service = Service::new(running.handle(), options, address);
        let reports = service.reports();
        tokio::spawn(service.serve(listener, secure, stopped));
        Member { address, secure_address, reports, running, _stop: stop, _folder: folder }
    }

    /// A connection on which nothing was said yet.
    pub(crate) async fn raw(&self) -> Raw {
        Raw { socket: TcpStream::connect(self.address).await.unwrap() }
    }

    /// A client with a new session.
    pub(crate) async fn client(&self, timeout_milliseconds: i32) -> Client {
        let raw = self.raw().await;
        Client::establish(raw, timeout_milliseconds, 0, [0; 16]).await
    }

    /// A client that goes on with a session.
    pub(crate) async fn resume(&self, session: i64, password: [u8; 16]) -> Client {
        let raw = self.raw().await;
        Client::establish(raw, 4000, session, password).await
    }
}

/// A connection.
pub(crate) struct Raw<S = TcpStream> {
    pub(crate) socket: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send_frame(&mut self, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.send(&[&length, body].concat()).await;
    }

    /// The next frame, `None` once the connection is closed.
    pub(crate) async fn frame(&mut self) -> Option<Vec<u8>> {
        let read = async {
            let length = self.socket.read_u32().await.ok()?;
            let mut frame = vec![0; length as usize];
            self.socket.read_exact(&mut frame).await.ok()?;
            Some(frame)
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer or the end comes in time")
    }

    /// Everything until the connection is closed.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = self.socket.read_to_end(&mut rest);
        // Closing with unread bytes resets the connection: that is an end, too.
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("the end comes in time");
        rest
    }
}

/// A reply or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) xid: i32,
    pub(crate) zxid: i64,
    pub(crate) code: i32,
    pub(crate) body: Vec<u8>,
}

/// A connection with a session.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) raw: Raw<S>,
    pub(crate) session: i64,
    pub(crate) password: [u8; 16],
    pub(crate) timeout_milliseconds: i32,
    xid: i32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn establish(
        mut raw: Raw<S>,
        timeout_milliseconds: i32,
        session: i64,
        password: [u8; 16],
    ) -> Client<S> {
        raw.send_frame(&connect_request(0, timeout_milliseconds, session, password)).await;
        let answer = raw.frame().await.expect("an answer to the first request");
        Client {
            raw,
            timeout_milliseconds: i32::from_be_bytes(answer[4..8].try_into().unwrap()),
            session: i64::from_be_bytes(answer[8..16].try_into().unwrap()),
            password: answer[20..36].try_into().unwrap(),
            xid: 0,
        }
    }

    /// Sends a request and gives its number.
    pub(crate) async fn ask(&mut self, opcode: i32, body: &[u8]) -> i32 {
        self.xid += 1;
        let xid = if opcode == PING { -2 } else { self.xid };
        self.raw.send_frame(&[&xid.to_be_bytes(), &opcode.to_be_bytes(), body].concat()).await;
        xid
    }

    /// The next reply or event, `None` once the connection is closed.
    pub(crate) async fn next(&mut self) -> Option<Received> {
        let frame = self.raw.frame().await?;
        Some(Received {
            xid: i32::from_be_bytes(frame[..4].try_into().unwrap()),
            zxid: i64::from_be_bytes(frame[4..12].try_into().unwrap()),
            code: i32::from_be_bytes(frame[12..16].try_into().unwrap()),
            body: frame[16..].to_vec(),
        })
    }

    /// Asks, and expects the answer next.
    pub(crate) async fn call(&mut self, opcode: i32, body: &[u8]) -> Received {
        let xid = self.ask(opcode, body).await;
        let received = self.next().await.expect("an answer");
        assert_eq!(received.xid, xid, "the answer to this request comes next");
        received
    }
}

pub(crate) fn connect_request(last_zxid: i64, timeout_milliseconds: i32, session: i64, password: [u8; 16]) -> Vec<u8> {
    let head = [&0_i32.to_be_bytes()[..], &last_zxid.to_be_bytes(), &timeout_milliseconds.to_be_bytes()].concat();
    [&head[..], &session.to_be_bytes(), &16_i32.to_be_bytes(), &password, &[0]].concat()
}

pub(crate) fn buffer(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

pub(crate) fn create(path: &str, mode: i32) -> Vec<u8> {
    let everybody = [&1_i32.to_be_bytes()[..], &31_i32.to_be_bytes(), &buffer(b"world"), &buffer(b"anyone")].concat();
    [buffer(path.as_bytes()), buffer(b"data"), everybody, mode.to_be_bytes().to_vec()].concat()
}

pub(crate) fn set_data(path: &str, data: &[u8]) -> Vec<u8> {
    [buffer(path.as_bytes()), buffer(data), (-1_i32).to_be_bytes().to_vec()].concat()
}

pub(crate) fn with_watch(path: &str, watch: bool) -> Vec<u8> {
    [buffer(path.as_bytes()), vec![watch.into()]].concat()
}
