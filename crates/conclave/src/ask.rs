//! Asks an admin address: for a page, or for something to be done. Knows nothing of what stands on a page.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A member that does not answer in this time is taken for silent.
const PATIENCE: Duration = Duration::from_secs(2);
/// What is to be done may take as long as an election and its own time limit.
const PATIENCE_TO_DO: Duration = Duration::from_secs(30);
/// The most bytes that are read of an answer: a whole diary with all its lines is smaller.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// A member answered, and not with what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{address} answers {status}: {reason}")]
pub(crate) struct Declined {
    address: String,
    status: String,
    /// What it said.
    pub(crate) reason: String,
}

/// The JSON page at `path` of the member that listens on `address`.
pub(crate) async fn ask<T: DeserializeOwned>(address: &str, path: &str) -> anyhow::Result<T> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    answer(address, path, &request, PATIENCE).await
}

/// The answer in JSON to an order in JSON, given at `path` of the member that listens on `address`.
pub(crate) async fn order<T: DeserializeOwned>(address: &str, path: &str, order: &impl Serialize) -> anyhow::Result<T> {
    let body = serde_json::to_string(order).context("the order cannot be written as JSON")?;
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/json\r\n");
    answer(address, path, &format!("{head}Content-Length: {length}\r\n\r\n{body}"), PATIENCE_TO_DO).await
}

async fn answer<T: DeserializeOwned>(
    address: &str,
    path: &str,
    request: &str,
    patience: Duration,
) -> anyhow::Result<T> {
    let answer = timeout(patience, exchange(address, request)).await;
    let answer = answer.with_context(|| format!("{address} did not answer within {patience:?}"))??;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
    let end = end.with_context(|| format!("what listens on {address} does not speak HTTP"))?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    if head.split(' ').nth(1) != Some("200") {
        let status = head.lines().next().unwrap_or_default().to_owned();
        let reason = String::from_utf8_lossy(body).trim().to_owned();
        bail!(Declined { address: address.to_owned(), status, reason });
    }
    serde_json::from_slice(body).with_context(|| format!("what {address} answers to {path} is not understood"))
}

/// The request is HTTP/1.0, so that the answer ends with the connection.
async fn exchange(address: &str, request: &str) -> anyhow::Result<Vec<u8>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("{address} does not answer"))?;
    let (reader, mut writer) = stream.into_split();
    writer.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = reader.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await;
    read.with_context(|| format!("{address} broke off its answer"))?;
    Ok(answer)
}
