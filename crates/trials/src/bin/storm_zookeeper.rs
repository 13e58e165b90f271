//! `cargo xtask storm zookeeper`: thousands of sessions with ephemeral nodes. First the leader is killed and the others
//! are written to as fast as they take it: no session may end, no node may go. Then the clients fall silent: every session
//! must end within one and a half times its timeout.
//!
//! The clients ping as real ones do, at a third of their timeout, and come back to another member when a connection ends.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use conclave_trials::ensemble::Ensemble;
use conclave_trials::zookeeper::connection::{Connection, Frame, Session, frame_into};
use conclave_trials::zookeeper::request::{Place, Request, Seen};

/// What is asked for on the command line.
struct Wanted {
    sessions: usize,
    timeout: Duration,
    burst: Duration,
}

/// Threads that keep the sessions; each has its share of them.
const KEEPERS: usize = 8;
/// Threads that write during the burst, each with requests in flight.
const WRITERS: usize = 4;
const IN_FLIGHT: usize = 64;
const VALUE_BYTES: usize = 1024;

/// Sessions must have ended after so much of their timeout, in percent.
const ENDED_AFTER_PERCENT: u32 = 150;

const PING: i32 = 11;
const PING_XID: i32 = -2;

fn main() -> anyhow::Result<()> {
    let wanted = wanted()?;
    let settings = ["zookeeper.connections_per_address=0", "zookeeper.tick=1s"];
    let mut ensemble = Ensemble::start_with(3, &settings)?;
    let addresses: Vec<String> = ensemble.members().iter().map(|member| member.zookeeper.clone()).collect();
    let leader = ensemble.leader_known_by("m1")?;
    let mut observer = Observer::new(&addresses)?;
    observer.create("/storm", 0)?;

    let begin = Instant::now();
    let crowd = Crowd::start(&addresses, &wanted)?;
    say(&format!(
        "{} sessions with an ephemeral node each, after {:.1} s",
        wanted.sessions,
        begin.elapsed().as_secs_f64()
    ))?;

    ensemble.kill(&leader)?;
    let others: Vec<String> = ensemble
        .members()
        .iter()
        .filter(|member| member.name != leader)
        .map(|member| member.zookeeper.clone())
        .collect();
    let written = burst(&others, wanted.burst)?;
    let seconds = wanted.burst.as_secs_f64();
    say(&format!(
        "{leader} killed, then {written} writes of {VALUE_BYTES} bytes in {seconds:.0} s ({:.0}/s)",
        written as f64 / seconds
    ))?;
    let lost = crowd.lost.load(Ordering::Relaxed);
    let left = observer.children("/storm")?;
    ensure!(lost == 0, "{lost} sessions ended while their clients lived");
    ensure!(left.len() == wanted.sessions, "{} of {} ephemeral nodes are left", left.len(), wanted.sessions);
    say(&format!("no session ended, all {} ephemeral nodes are there", left.len()))?;

    let silent_since = Instant::now();
    let _silent = crowd.stop()?;
    let bound = wanted.timeout * ENDED_AFTER_PERCENT / 100;
    let mut longest = Duration::ZERO;
    loop {
        let left = observer.children("/storm")?.len();
        longest = longest.max(silent_since.elapsed());
        if left == 0 {
            break;
        }
        ensure!(
            longest <= bound,
            "{left} sessions live on {longest:?} after their clients fell silent; the bound is {bound:?}"
        );
        thread::sleep(Duration::from_millis(100));
    }
    ensure!(
        longest <= bound,
        "the last session ended {longest:?} after its client fell silent; the bound is {bound:?}"
    );
    say(&format!(
        "all sessions ended within {:.1} s of silence; their timeout is {:.1} s",
        longest.as_secs_f64(),
        wanted.timeout.as_secs_f64()
    ))?;
    // The killed leader is gone; the others are stopped with the ensemble.
    drop(ensemble);
    Ok(())
}

/// Clients that live.
struct Crowd {
    stop: Arc<AtomicBool>,
    /// Sessions that were gone when their clients came back.
    lost: Arc<AtomicU64>,
    keepers: Vec<JoinHandle<anyhow::Result<Vec<Client>>>>,
}

impl Crowd {
    fn start(addresses: &[String], wanted: &Wanted) -> anyhow::Result<Crowd> {
        let (stop, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (ready, all_ready) = std::sync::mpsc::channel();
        let mut keepers = Vec::new();
        for keeper in 0..KEEPERS {
            let numbers: Vec<usize> = (keeper..wanted.sessions).step_by(KEEPERS).collect();
            let (addresses, stop, lost, ready) = (addresses.to_vec(), stop.clone(), lost.clone(), ready.clone());
            let timeout = wanted.timeout;
            keepers.push(thread::spawn(move || {
                let mut clients = Vec::new();
                for number in numbers {
                    clients.push(Client::new(&addresses, number, timeout)?);
                }
                ready.send(()).context("nobody waits for the clients")?;
                keep(&mut clients, &addresses, timeout, &stop, &lost)?;
                Ok(clients)
            }));
        }
        drop(ready);
        for _ in 0..KEEPERS {
            all_ready.recv().context("the clients could not begin")?;
        }
        Ok(Crowd { stop, lost, keepers })
    }

    /// All clients fall silent. Their connections stay open: a process that hangs, not one that ends.
    fn stop(self) -> anyhow::Result<Vec<Client>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut silent = Vec::new();
        for keeper in self.keepers {
            silent.extend(keeper.join().map_err(|_| anyhow::anyhow!("a keeper panicked"))??);
        }
        Ok(silent)
    }
}

struct Client {
    connection: Option<Connection>,
    session: Session,
    member: usize,
}

impl Client {
    fn new(addresses: &[String], number: usize, timeout: Duration) -> anyhow::Result<Client> {
        let member = number % addresses.len();
        let milliseconds = i32::try_from(timeout.as_millis())?;
        let (mut connection, session) = Connection::open(&addresses[member], Session::default(), milliseconds)?;
        let reply = call(&mut connection, &create(&format!("/storm/{number:06}"), 1, b""))?;
        ensure!(reply.code == 0, "an ephemeral node was refused with {}", reply.code);
        Ok(Client { connection: Some(connection), session, member })
    }

    /// A ping and its answer, on another member if this one is gone. `false`: the session has ended.
    fn ping(&mut self, addresses: &[String], timeout: Duration) -> anyhow::Result<bool> {
        let begin = Instant::now();
        loop {
            if let Some(connection) = &mut self.connection {
                let mut frame = Vec::new();
                frame_into(&[PING_XID.to_be_bytes(), PING.to_be_bytes()].concat(), &mut frame);
                if connection.send(&frame).is_ok() && matches!(connection.receive(), Ok(Some(_))) {
                    return Ok(true);
                }
                self.connection = None;
            }
            self.member = (self.member + 1) % addresses.len();
            let milliseconds = i32::try_from(timeout.as_millis())?;
            match Connection::open(&addresses[self.member], self.session, milliseconds) {
                Ok((_, session)) if session.id == 0 => return Ok(false),
                Ok((connection, _)) => self.connection = Some(connection),
                Err(error) if begin.elapsed() > timeout => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn keep(
    clients: &mut [Client],
    addresses: &[String],
    timeout: Duration,
    stop: &AtomicBool,
    lost: &AtomicU64,
) -> anyhow::Result<()> {
    let pause = timeout / 3 / u32::try_from(clients.len().max(1))?;
    while !stop.load(Ordering::Relaxed) {
        for client in &mut *clients {
            let begin = Instant::now();
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if !client.ping(addresses, timeout)? {
                lost.fetch_add(1, Ordering::Relaxed);
                bail!("session {:#x} ended while its client lived", client.session.id);
            }
            thread::sleep(pause.saturating_sub(begin.elapsed()));
        }
    }
    Ok(())
}

/// Writes as fast as the members take it. How many writes were acknowledged.
fn burst(addresses: &[String], lasts: Duration) -> anyhow::Result<u64> {
    let begin = Instant::now();
    let writers: Vec<JoinHandle<anyhow::Result<u64>>> = (0..WRITERS)
        .map(|writer| {
            let address = addresses[writer % addresses.len()].clone();
            thread::spawn(move || {
                let mut written = 0;
                while begin.elapsed() < lasts {
                    // Until the others have a leader, connections are closed; then it goes on.
                    match write_on(&address, writer, begin, lasts) {
                        Ok(count) => written += count,
                        Err(_) => thread::sleep(Duration::from_millis(20)),
                    }
                }
                Ok(written)
            })
        })
        .collect();
    let mut written = 0;
    for writer in writers {
        written += writer.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
    }
    ensure!(written > 0, "nothing was written");
    Ok(written)
}

fn write_on(address: &str, writer: usize, begin: Instant, lasts: Duration) -> anyhow::Result<u64> {
    let (mut connection, _) = Connection::open(address, Session::default(), 30_000)?;
    let path = format!("/bulk-{writer}");
    call(&mut connection, &create(&path, 0, b""))?;
    let set = Request::SetData { place: Place::Exactly(path), data: Some(vec![b'x'; VALUE_BYTES]), version: -1 };
    let mut frames = Vec::new();
    for _ in 0..IN_FLIGHT {
        frames.extend_from_slice(&encode(&set));
    }
    let mut written = 0;
    while begin.elapsed() < lasts {
        connection.send(&frames)?;
        for _ in 0..IN_FLIGHT {
            let reply = connection.receive()?.context("the connection was closed")?;
            ensure!(reply.code == 0, "a write was refused with {}", reply.code);
            written += 1;
        }
    }
    Ok(written)
}

/// Looks at what is there.
struct Observer {
    addresses: Vec<String>,
    connection: Connection,
}

impl Observer {
    fn new(addresses: &[String]) -> anyhow::Result<Observer> {
        let (connection, _) = Connection::open(&addresses[0], Session::default(), 30_000)?;
        Ok(Observer { addresses: addresses.to_vec(), connection })
    }

    fn create(&mut self, path: &str, flags: i32) -> anyhow::Result<()> {
        self.ask(&create(path, flags, b"")).map(|_| ())
    }

    fn children(&mut self, path: &str) -> anyhow::Result<BTreeSet<String>> {
        self.ask(&Request::Plain { opcode: 9, place: Place::Exactly(path.to_owned()) })?;
        let list = Request::Read { opcode: 8, place: Place::Exactly(path.to_owned()), watch: false };
        let reply = self.ask(&list)?;
        let mut rest = &reply.body[4..];
        let mut names = BTreeSet::new();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (name, after) = after.split_at(usize::try_from(i32::from_be_bytes(*length))?);
            names.insert(String::from_utf8_lossy(name).into_owned());
            rest = after;
        }
        Ok(names)
    }

    /// Asks, by a new session if the connection is gone.
    fn ask(&mut self, request: &Request) -> anyhow::Result<Frame> {
        for address in self.addresses.iter().cycle().take(20 * self.addresses.len()) {
            if let Ok(reply) = call(&mut self.connection, request) {
                ensure!(reply.code == 0, "{request:?} was refused with {}", reply.code);
                return Ok(reply);
            }
            match Connection::open(address, Session::default(), 30_000) {
                Ok((connection, _)) => self.connection = connection,
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
        bail!("nobody answers {request:?}")
    }
}

fn create(path: &str, flags: i32, data: &[u8]) -> Request {
    let access = vec![(31, "world", "anyone")];
    let place = Place::Exactly(path.to_owned());
    Request::Create { opcode: 1, place, data: Some(data.to_vec()), access, flags, ttl: 0 }
}

fn encode(request: &Request) -> Vec<u8> {
    let mut content = [1_i32.to_be_bytes(), request.opcode().to_be_bytes()].concat();
    request.write("", Seen::default(), &mut content);
    let mut frame = Vec::new();
    frame_into(&content, &mut frame);
    frame
}

fn call(connection: &mut Connection, request: &Request) -> anyhow::Result<Frame> {
    connection.send(&encode(request))?;
    connection.receive()?.context("the connection was closed")
}

fn wanted() -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { sessions: 5000, timeout: Duration::from_secs(10), burst: Duration::from_secs(60) };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a number"))?;
        let number: u64 = value.parse().with_context(|| format!("{name} needs a number, not {value:?}"))?;
        match name.as_str() {
            "--sessions" => wanted.sessions = usize::try_from(number)?,
            "--timeout-seconds" => wanted.timeout = Duration::from_secs(number),
            "--burst-seconds" => wanted.burst = Duration::from_secs(number),
            _ => bail!("{name} is unknown; there are --sessions, --timeout-seconds and --burst-seconds"),
        }
    }
    Ok(wanted)
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
