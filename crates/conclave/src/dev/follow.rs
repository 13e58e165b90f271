//! The members' own word on their standing: reads `/status/follow` of an admin address, again and again.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::Event;
use crate::admin::Report;

/// How often a member that does not answer is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// The longest line that is read: a report with all its changes is far shorter.
const LINE_BYTES: usize = 4 << 20;

/// Reports every standing that the member at `address` tells, for as long as anybody listens.
pub(super) async fn follow(place: usize, address: String, events: mpsc::Sender<Event>) {
    while !events.is_closed() {
        // Whatever ends the connection (not there yet, killed, stopped), the answer is the same: ask again.
        let mut heard = false;
        let _ = listen(place, &address, &events, &mut heard).await;
        if heard && events.send(Event::Silent(place)).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Reads reports until the connection ends; `heard` tells whether there were any. The request is HTTP/1.0, so the answer's body is the rest of the stream.
async fn listen(place: usize, address: &str, events: &mpsc::Sender<Event>, heard: &mut bool) -> io::Result<()> {
    let (reader, mut writer) = TcpStream::connect(address).await?.into_split();
    let request = format!("GET /status/follow HTTP/1.0\r\nHost: {address}\r\n\r\n");
    writer.write_all(request.as_bytes()).await?;
    let mut lines = FramedRead::new(reader, LinesCodec::new_with_max_length(LINE_BYTES));
    let head = next(&mut lines).await?;
    if head.split(' ').nth(1) != Some("200") {
        return Ok(());
    }
    while !next(&mut lines).await?.is_empty() {}
    loop {
        let report: Report = serde_json::from_str(&next(&mut lines).await?)?;
        *heard = true;
        if events.send(Event::Standing(place, Box::new(report))).await.is_err() {
            return Ok(());
        }
    }
}

async fn next<R: tokio::io::AsyncRead + Unpin>(lines: &mut FramedRead<R, LinesCodec>) -> io::Result<String> {
    match lines.next().await {
        Some(Ok(line)) => Ok(line),
        Some(Err(LinesCodecError::Io(error))) => Err(error),
        Some(Err(LinesCodecError::MaxLineLengthExceeded)) => Err(io::ErrorKind::InvalidData.into()),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
