//! A member's log and snapshots in words, for people and tools, whether the member runs, is stopped or cannot start.
//! Nothing is changed. It may not know how the words are printed.

use std::io;
use std::path::Path;
use std::sync::Arc;

use log::inspect::{EndKind, Finding, Problem, inspect};
use log::{Folder, Kind, RecordHeader};
use raft::{Body, Entry, Write};
use serde::Serialize;
use state::{Delta, Edit, TableId, TableSpec};

use crate::record::{Logged, decode_logged};
use crate::{Batch, Protocol};

/// Something that stands in a log.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LogLine {
    /// The file, within the log's folder.
    pub file: String,
    /// Where in it, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The record's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// What it is: segment, write, missing, release, seal, end, spare, other or damage.
    pub what: &'static str,
    /// The same in words.
    pub text: String,
    /// The entries that it appends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<EntryLine>,
}

/// One entry.
#[derive(Clone, Debug, Serialize)]
pub struct EntryLine {
    /// Its place in the log.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// What it is: rows, membership or noop.
    pub what: &'static str,
    /// The changes of rows that it makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeLine>,
}

/// One change of a row, a lease or the history.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeLine {
    /// The revision it is part of, if its request makes one.
    pub revision: u64,
    /// put, delete, grant, checkpoint, revoke, compact; or damage.
    pub what: &'static str,
    /// The table by its name, or by its number if it is not known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub table: String,
    /// The key, with bytes that are no printable ASCII escaped; the lease or the revision of other changes.
    pub key: String,
    /// Bytes of the value.
    pub value_bytes: usize,
}

/// What a log comes to as a whole.
#[derive(Clone, Debug, Serialize)]
pub struct LogSummary {
    /// Segments that can be read.
    pub segments: usize,
    /// Records in them.
    pub records: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Why a member alone would not start on it, if it would not.
    pub refusal: Option<String>,
    /// Records that are whole but cannot be understood.
    pub not_understood: usize,
}

/// Goes through the log in a member's data folder.
///
/// # Errors
/// The folder or a file in it cannot be read.
pub fn inspect_log(
    data: &Path,
    protocols: &[Arc<dyn Protocol>],
    mut tell: impl FnMut(LogLine),
) -> io::Result<LogSummary> {
    let tables: Vec<TableSpec> = protocols.iter().flat_map(|protocol| protocol.tables()).copied().collect();
    let mut folder = Folder::inspect(&data.join("log")).map_err(io::Error::other)?;
    let mut not_understood = 0;
    let summary = inspect(&mut folder, |finding| {
        let line = describe(finding, &tables);
        not_understood += usize::from(line.what == "damage" && line.sequence.is_some());
        tell(line);
    });
    let summary = summary.map_err(io::Error::other)?;
    Ok(LogSummary {
        segments: summary.segments,
        records: summary.records,
        bytes: summary.bytes,
        refusal: summary.refusal.map(|refusal| refusal.to_string()),
        not_understood,
    })
}

fn describe(finding: Finding<'_>, tables: &[TableSpec]) -> LogLine {
    match finding {
        Finding::Segment { file, header } => LogLine {
            file: file.to_owned(),
            what: "segment",
            text: format!("generation {}, {} bytes, from record {}", header.generation, header.size, header.first),
            ..LogLine::default()
        },
        Finding::Record { file, offset, header, body } => LogLine {
            file: file.to_owned(),
            offset: Some(offset),
            sequence: Some(header.sequence),
            ..describe_record(header, body, tables)
        },
        Finding::End { file, end } => {
            let (what, how) = match end.what {
                EndKind::Sealed => ("end", "sealed, the next segment goes on".to_owned()),
                EndKind::Marked => ("end", "the end of the log, with its mark".to_owned()),
                EndKind::Broken(fault) => ("end", format!("ends here: {fault}")),
            };
            let behind = match end.records_behind {
                0 => String::new(),
                count => format!("; {count} records stand behind it, up to {} was durable", end.durable_behind),
            };
            let text = format!("{how}; record {} would be next{behind}", end.next);
            LogLine { file: file.to_owned(), offset: Some(end.offset), what, text, ..LogLine::default() }
        }
        Finding::Unreadable { file, problem } => {
            let text = match problem {
                Problem::NotOurs => "no segment of a log".to_owned(),
                Problem::UnknownVersion { version, known } => format!("format {version}, known here is {known}"),
                Problem::Header(fault) => fault.to_string(),
            };
            LogLine { file: file.to_owned(), what: "damage", text, ..LogLine::default() }
        }
        Finding::Spare { file } => LogLine {
            file: file.to_owned(),
            what: "spare",
            text: "waits to be used again".into(),
            ..LogLine::default()
        },
        Finding::Other { file } => {
            LogLine { file: file.to_owned(), what: "other", text: "not the log's".into(), ..LogLine::default() }
        }
    }
}

fn describe_record(header: &RecordHeader, body: &[u8], tables: &[TableSpec]) -> LogLine {
    let line = |what, text: String| LogLine { what, text, ..LogLine::default() };
    match header.kind {
        Kind::Seal => line("seal", "the segment is full".into()),
        Kind::Mark => line("end", "a mark".into()),
        Kind::Release => line("release", "earlier segments are given back".into()),
        Kind::Data => match decode_logged(body.to_vec().into()) {
            None => line("damage", format!("{} bytes that cannot be understood", body.len())),
            Some(Logged::Missing(lost)) => {
                line("missing", format!("entries up to {lost} were acknowledged once, and some of them are lost"))
            }
            Some(Logged::Write(write)) => describe_write(&write, tables),
        },
    }
}

fn describe_write(write: &Write<Batch>, tables: &[TableSpec]) -> LogLine {
    let mut parts = Vec::new();
    parts.extend(write.ballot.map(|ballot| ballot.to_string()));
    parts.extend(write.cut.map(|cut| format!("cut from entry {}", cut.0)));
    parts.extend(write.base.as_ref().map(|base| format!("begins behind {}", base.last)));
    let from = write.previous.index.0 + 1;
    let entries: Vec<EntryLine> =
        (from..).zip(&write.append).map(|(index, entry)| describe_entry(index, entry, tables)).collect();
    match entries.len() {
        0 => {}
        1 => parts.push(format!("entry {from}")),
        count => parts.push(format!("entries {from} to {}", from + count as u64 - 1)),
    }
    LogLine { what: "write", text: parts.join("; "), entries, ..LogLine::default() }
}

fn describe_entry(index: u64, entry: &Entry<Batch>, tables: &[TableSpec]) -> EntryLine {
    let (what, changes) = match &entry.body {
        Body::Noop => ("noop", Vec::new()),
        Body::Membership(_) => ("membership", Vec::new()),
        Body::Command(batch) => {
            ("rows", batch.deltas().iter().flat_map(|delta| describe_delta(delta, tables)).collect())
        }
    };
    EntryLine { index, term: entry.term.0, what, changes }
}

fn describe_delta(bytes: &[u8], tables: &[TableSpec]) -> Vec<ChangeLine> {
    let damage = |why: String| ChangeLine {
        revision: 0,
        what: "damage",
        table: String::new(),
        key: why,
        value_bytes: bytes.len(),
    };
    let delta = match Delta::decode(bytes) {
        Ok(delta) => delta,
        Err(malformed) => return vec![damage(malformed.to_string())],
    };
    let revision = delta.prepared_on() + u64::from(delta.claims_revision());
    let name = |table: TableId| {
        let known = tables.iter().find(|spec| spec.id == table);
        known.map_or_else(|| table.to_string(), |spec| spec.name.to_owned())
    };
    let change = |what, table, key, value_bytes| ChangeLine { revision, what, table, key, value_bytes };
    let edits = delta.edits().map(|edit| match edit {
        Ok(Edit::Put { table, key, value, .. }) => change("put", name(table), escape(key), value.len()),
        Ok(Edit::Delete { table, key }) => change("delete", name(table), escape(key), 0),
        Ok(Edit::Grant { lease, .. }) => change("grant", String::new(), lease.0.to_string(), 0),
        Ok(Edit::Checkpoint { lease, .. }) => change("checkpoint", String::new(), lease.0.to_string(), 0),
        Ok(Edit::Revoke { lease }) => change("revoke", String::new(), lease.0.to_string(), 0),
        Ok(Edit::Compact { revision: to }) => change("compact", String::new(), to.to_string(), 0),
        Err(malformed) => damage(malformed.to_string()),
    });
    edits.collect()
}

fn escape(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}
