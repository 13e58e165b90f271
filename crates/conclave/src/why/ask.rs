//! Asks an admin address for a page. Knows nothing of what stands on it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A member that does not answer in this time is taken for silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most bytes that are read of an answer: a whole diary with all its lines is smaller.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// The JSON page at `path` of the member that listens on `address`.
pub(super) async fn ask<T: DeserializeOwned>(address: &str, path: &str) -> anyhow::Result<T> {
    let answer = timeout(PATIENCE, exchange(address, path)).await;
    let answer = answer.with_context(|| format!("{address} did not answer within {PATIENCE:?}"))??;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.with_context(|| format!("what listens on {address} does not speak HTTP"))?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    if head.split(' ').nth(1) != Some("200") {
        let (status, reason) = (head.lines().next().unwrap_or_default(), String::from_utf8_lossy(body));
        bail!("{address} answers {status}: {}", reason.trim());
    }
    serde_json::from_slice(body).with_context(|| format!("what {address} answers to {path} is not understood"))
}

/// The request is HTTP/1.0, so that the answer ends with the connection.
async fn exchange(address: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    let read = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    read.with_context(|| format!("{address} broke off its answer"))?;
    Ok(answer)
}
