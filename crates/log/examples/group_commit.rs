//! How fast the log is, as a ratio to the least that durability costs on the same disk: a bare loop of one write and
//! one fdatasync with batches of the same bytes, once into a growing file and once into space already written.
//!
//! `cargo run --release -p conclave-log --example group_commit [FOLDER]` (a folder of its own is made in FOLDER, by
//! default in the current one, and removed afterwards). The loops take turns, so that a busy disk is so for all.
#![allow(clippy::print_stdout, reason = "a program for people")]

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use conclave_log::{Append, Folder, Log, Options, Sequence};

/// Records per batch, bytes per record.
const SHAPES: [(usize, usize); 5] = [(1, 320), (16, 320), (200, 320), (2000, 320), (8, 128 << 10)];
const ROUNDS: usize = 8;
const BYTES_PER_ROUND: usize = 16 << 20;
const BATCHES_PER_ROUND: usize = 300;

fn main() -> Result<(), Box<dyn Error>> {
    let place = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let home = tempfile::tempdir_in(place)?;
    println!("records x bytes   batches   growing file   written space   log, new   log, recycled   recycled/written");
    for (records, length) in SHAPES {
        measure(home.path(), records, length)?;
    }
    measure_open(&home.path().join("replay"))
}

/// Batches a second of each loop, for one shape of batch.
fn measure(home: &Path, records: usize, length: usize) -> Result<(), Box<dyn Error>> {
    let body = vec![0x5a; length];
    let parts: [&[u8]; 1] = [&body];
    let batch = vec![Append { group: 1, parts: &parts }; records];
    let batches = (BYTES_PER_ROUND / (records * length)).clamp(20, BATCHES_PER_ROUND);
    let bytes = vec![0x5a; records * (length.next_multiple_of(8) + 48)];

    let mut growing = File::create(home.join("growing"))?;
    let mut written = OpenOptions::new().create(true).truncate(true).write(true).open(home.join("written"))?;
    written.write_all(&vec![0; bytes.len() * batches])?;
    written.sync_all()?;
    let fresh = home.join(format!("fresh-{records}-{length}"));
    let used = home.join(format!("used-{records}-{length}"));
    let (mut new_log, ..) = Log::open(Folder::open(&fresh)?, Options::default())?;
    let mut recycled_log = recycled(&used)?;

    let mut times = [Duration::ZERO; 4];
    for _ in 0..ROUNDS {
        times[0] += bare_loop(&mut growing, &bytes, batches)?;
        written.seek(SeekFrom::Start(0))?;
        times[1] += bare_loop(&mut written, &bytes, batches)?;
        times[2] += log_loop(&mut new_log, &batch, batches)?;
        times[3] += log_loop(&mut recycled_log, &batch, batches)?;
        let last = recycled_log.status().last;
        recycled_log.release(last)?;
    }
    let per_second = times.map(|time| (batches * ROUNDS) as f64 / time.as_secs_f64());
    let [growing, written, new, recycled] = per_second;
    let shape = format!("{records} x {length}");
    println!(
        "{shape:>15} {batches:>9} {growing:>12.0}/s {written:>13.0}/s {new:>8.0}/s {recycled:>13.0}/s {:>17.0}%",
        100.0 * recycled / written
    );
    Ok(())
}

fn bare_loop(file: &mut File, bytes: &[u8], batches: usize) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    for _ in 0..batches {
        file.write_all(bytes)?;
        file.sync_data()?;
    }
    Ok(begin.elapsed())
}

fn log_loop(log: &mut Log<Folder>, batch: &[Append<'_>], batches: usize) -> Result<Duration, Box<dyn Error>> {
    let begin = Instant::now();
    for _ in 0..batches {
        log.append(batch)?;
    }
    Ok(begin.elapsed())
}

/// A log all of whose space has been used before.
fn recycled(path: &Path) -> Result<Log<Folder>, Box<dyn Error>> {
    let (mut log, ..) = Log::open(Folder::open(path)?, Options::default())?;
    let body = vec![1; 4 << 20];
    while log.status().segments < 5 {
        log.append(&[Append { group: 0, parts: &[&body] }])?;
    }
    log.release(Sequence(u64::MAX))?;
    while log.status().spares == 4 {
        log.append(&[Append { group: 0, parts: &[&body] }])?;
    }
    Ok(log)
}

fn measure_open(path: &Path) -> Result<(), Box<dyn Error>> {
    let (mut log, ..) = Log::open(Folder::open(path)?, Options::default())?;
    let body = vec![0x77; 320];
    let parts: [&[u8]; 1] = [&body];
    let batch = vec![Append { group: 1, parts: &parts }; 2000];
    for _ in 0..400 {
        log.append(&batch)?;
    }
    drop(log);
    let begin = Instant::now();
    let (log, records, _) = Log::open(Folder::open(path)?, Options::default())?;
    let seconds = begin.elapsed().as_secs_f64();
    let megabytes = (records.len() * (320 + 48)) as f64 / 1e6;
    println!("open: {} records, {megabytes:.0} MB in {seconds:.2} s: {:.0} MB/s", records.len(), megabytes / seconds);
    log.close()?;
    Ok(())
}
