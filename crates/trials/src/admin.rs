//! Asking a member's admin address, as `curl` would.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::PATIENCE;

/// The answer to one request: its status code and its body.
///
/// # Errors
/// Fails if nobody answers.
pub fn get(address: &str, path: &str) -> anyhow::Result<(u16, String)> {
    let mut reader = request(address, path)?;
    let code = head(&mut reader)?;
    let mut body = String::new();
    reader.read_to_string(&mut body)?;
    Ok((code, body))
}

/// The member's status.
///
/// # Errors
/// Fails if the member does not answer, or is still recovering.
pub fn status(address: &str) -> anyhow::Result<Value> {
    let (code, body) = get(address, "/status")?;
    anyhow::ensure!(code == 200, "{address}/status: {code} {body}");
    Ok(serde_json::from_str(&body)?)
}

/// Waits until the member's standing is as `wanted`, and returns it. The member tells of every change by itself; only one
/// that does not answer yet is asked again.
///
/// # Errors
/// Fails after [`PATIENCE`], with the last standing heard.
pub fn wait_until(address: &str, what: &str, mut wanted: impl FnMut(&Value) -> bool) -> anyhow::Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < deadline {
        match follow(address, deadline, &mut last, &mut wanted) {
            Ok(report) => return Ok(report),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
    bail!("{address}: {what} did not come within {PATIENCE:?}; last heard: {last:?}")
}

fn follow(
    address: &str,
    deadline: Instant,
    last: &mut Option<Value>,
    wanted: &mut impl FnMut(&Value) -> bool,
) -> anyhow::Result<Value> {
    let mut reader = request(address, "/status/follow")?;
    anyhow::ensure!(head(&mut reader)? == 200, "not running yet");
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        reader.get_ref().set_read_timeout(Some(left))?;
        let mut line = String::new();
        anyhow::ensure!(reader.read_line(&mut line)? > 0, "the member is gone");
        let report: Value = serde_json::from_str(&line)?;
        if wanted(&report) {
            return Ok(report);
        }
        *last = Some(report);
    }
}

fn request(address: &str, path: &str) -> anyhow::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("{address} does not listen"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    Ok(BufReader::new(stream))
}

/// Reads the head of an answer and returns its status code.
fn head(reader: &mut BufReader<TcpStream>) -> anyhow::Result<u16> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.with_context(|| format!("{line:?} is no answer by HTTP"))?;
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    Ok(code)
}
