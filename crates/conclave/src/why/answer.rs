//! The answer to "why did the leader change last?", in a few sentences. Knows no file, no address and no colour.

use node::{DiaryEntry, DiaryKind, Facts};

use super::sources::Witness;
use crate::moment::{date, span, time_of_day};

/// The answer, one sentence or two to a line, the most important first. `entries` are in one order, `now` is in
/// milliseconds since 1970.
pub(super) fn answer(witnesses: &[Witness], entries: &[DiaryEntry], now: u64) -> Vec<String> {
    let mut lines = Vec::new();
    let elections: Vec<&DiaryEntry> = entries.iter().filter(|entry| entry.kind == DiaryKind::Leader).collect();
    let Some(&last) = elections.iter().max_by_key(|entry| (entry.term, entry.unix_milliseconds)) else {
        lines.push("No diary that could be read tells of a leader.".to_owned());
        lines.extend(why_none(witnesses, entries, 0));
        lines.extend(silent_ones(witnesses));
        return lines;
    };
    let before = elections.iter().rev().find(|entry| entry.term < last.term).copied();
    let (name, term) = (&last.member, last.term);
    let since = moment(last.unix_milliseconds, now);
    match present(witnesses, last) {
        Present::Leads => {
            let long = span(now.saturating_sub(last.unix_milliseconds));
            let reason = reason(last, before, entries);
            lines.push(format!("{name} leads since {since} (term {term}, for {long}). {reason}"));
            lines.extend(election(last, before, entries));
        }
        Present::Unknown => {
            let reason = reason(last, before, entries);
            lines.push(format!(
                "{name} was elected last, at {since} (term {term}); whether it still leads, nobody answers. {reason}"
            ));
            lines.extend(election(last, before, entries));
        }
        Present::Nobody => {
            lines.push(format!("Nobody leads now. {name} led last, from {since} on (term {term})."));
            lines.extend(fate(last, None, entries));
            lines.extend(why_none(witnesses, entries, last.unix_milliseconds));
        }
        Present::Another(leader, term) => lines
            .push(format!("{leader} leads in term {term}, but no diary that could be read tells how it came to that.")),
    }
    lines.extend(silent_ones(witnesses));
    lines
}

/// How the newest election went, and what became of the leader before.
fn election(last: &DiaryEntry, before: Option<&DiaryEntry>, entries: &[DiaryEntry]) -> Vec<String> {
    let mut lines: Vec<String> = votes(last).into_iter().collect();
    lines.extend(conditions(&last.facts).map(|conditions| format!("At that moment: {conditions}.")));
    let deposed = before.filter(|before| before.member != last.member);
    lines.extend(deposed.and_then(|before| fate(before, Some(last), entries)));
    lines
}

/// What the members that answered say of the present.
enum Present {
    /// The one elected last leads.
    Leads,
    Nobody,
    /// Somebody else, in a later term.
    Another(String, u64),
    /// Nobody answered.
    Unknown,
}

fn present(witnesses: &[Witness], last: &DiaryEntry) -> Present {
    let reports = || witnesses.iter().filter_map(|witness| witness.report.as_ref());
    let newest = reports().filter(|report| report.leader.is_some()).max_by_key(|report| report.term);
    match newest {
        Some(report) if report.term > last.term => {
            Present::Another(report.leader.clone().unwrap_or_default(), report.term)
        }
        Some(report) if report.term == last.term => Present::Leads,
        _ if reports().next().is_some() => Present::Nobody,
        _ => Present::Unknown,
    }
}

/// With its date, unless that is today's.
fn moment(unix_milliseconds: u64, now: u64) -> String {
    let (day, time) = (date(unix_milliseconds), time_of_day(unix_milliseconds));
    if day == date(now) { time } else { format!("{day} {time}") }
}

/// Why it was elected, as a sentence.
fn reason(last: &DiaryEntry, before: Option<&DiaryEntry>, entries: &[DiaryEntry]) -> String {
    let facts = &last.facts;
    let because = match (&facts.peer, facts.lost_milliseconds_ago, facts.silent_milliseconds) {
        (Some(peer), Some(lost), _) => format!("the connection to {peer} broke {lost} ms before"),
        (Some(peer), None, Some(silent)) => format!("{peer} had been silent for {silent} ms"),
        (Some(peer), None, None) => match handing_over(peer, last, entries) {
            Some(why) => format!("{peer} handed over: {why}"),
            None => trigger(last),
        },
        (None, ..) => trigger(last),
    };
    match before {
        Some(before) if before.member == last.member => {
            format!("It had led before, in term {}; {because}.", before.term)
        }
        Some(before) => format!("It took over from {}, because {because}.", before.member),
        None => format!("Elected because {because}."),
    }
}

/// The cause in the member's own words, without how the election went.
fn trigger(last: &DiaryEntry) -> String {
    let because = last.facts.because.as_deref().unwrap_or("of a cause that its diary does not tell");
    because.split("; elected").next().unwrap_or(because).to_owned()
}

/// Why the leader before handed over, in its own words.
fn handing_over(peer: &str, last: &DiaryEntry, entries: &[DiaryEntry]) -> Option<String> {
    let began = entries.iter().rev().find(|entry| {
        entry.kind == DiaryKind::Transfer
            && entry.member == *peer
            && entry.term < last.term
            && entry.facts.peer.as_deref() == Some(last.member.as_str())
    })?;
    let why = began.text.split_once(": ").map(|(_, why)| why)?;
    Some(why.split(';').next().unwrap_or(why).to_owned())
}

fn votes(last: &DiaryEntry) -> Option<String> {
    let Facts { yes, no, silent, took_milliseconds, .. } = &last.facts;
    if yes.is_empty() {
        return None;
    }
    let took = took_milliseconds.map_or_else(String::new, |took| format!(" within {took} ms"));
    let mut line = format!("It was elected{took} with the votes of {}", listed(yes));
    for (member, why) in no {
        line += &format!("; {member} refused, for {why}");
    }
    if !silent.is_empty() {
        line += &format!("; without an answer of {}", listed(silent));
    }
    Some(line + ".")
}

/// The disk and the ways to the others, in words.
pub(super) fn conditions(facts: &Facts) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(disk) = &facts.disk {
        let (newest, worst) = (milliseconds(disk.newest_microseconds), milliseconds(disk.worst_microseconds));
        parts.push(format!("log sync {newest}, worst lately {worst}"));
        parts.extend(disk.waiting_microseconds.map(|waiting| format!("a write waiting for {}", milliseconds(waiting))));
    }
    for (name, peer) in &facts.peers {
        let heard = peer.heard_milliseconds_ago.map_or_else(String::new, |ago| format!(", heard {ago} ms ago"));
        if !peer.connected {
            parts.push(format!("{name} not connected{heard}"));
        } else if let Some(waiting) = peer.unanswered_microseconds.filter(|&waiting| waiting >= UNANSWERED) {
            parts.push(format!("{name} without an answer for {}{heard}", milliseconds(waiting)));
        } else if let Some(took) = peer.round_trip_microseconds {
            let late = peer.heard_milliseconds_ago.is_some_and(|ago| ago >= UNHEARD);
            parts.push(format!("round trip to {name} {}{}", milliseconds(took), if late { &heard } else { "" }));
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// A member that was heard within fewer milliseconds is well.
const UNHEARD: u64 = 150;
/// A ping that waits for fewer microseconds is just under way.
const UNANSWERED: u64 = 100_000;

fn milliseconds(microseconds: u64) -> String {
    let tenths = microseconds.saturating_add(50) / 100;
    format!("{}.{} ms", tenths / 10, tenths % 10)
}

/// What ended the time of the leader elected with `before`, by its own diary; `next` is the election after that.
fn fate(before: &DiaryEntry, next: Option<&DiaryEntry>, entries: &[DiaryEntry]) -> Option<String> {
    let own = entries.iter().filter(|entry| entry.member == before.member);
    let end = own.skip_while(|entry| *entry != before).skip(1).find(|entry| match entry.kind {
        DiaryKind::Fatal | DiaryKind::Divergence | DiaryKind::Stopped | DiaryKind::Started | DiaryKind::StepDown => {
            true
        }
        // It slept through the election, and woke up to find another leader.
        DiaryKind::Paused => next.is_some_and(|next| entry.unix_milliseconds >= next.unix_milliseconds),
        _ => false,
    })?;
    let (name, at) = (&before.member, time_of_day(end.unix_milliseconds));
    Some(if end.kind == DiaryKind::Started {
        format!("{name} was started again at {at} without having stopped: it had been killed or had crashed.")
    } else {
        format!("{name} itself writes at {at}: {}.", end.text)
    })
}

/// Why nobody is elected: the newest attempts of those that answered.
fn why_none(witnesses: &[Witness], entries: &[DiaryEntry], since: u64) -> Vec<String> {
    let attempts = witnesses.iter().filter_map(|witness| {
        let attempt = entries.iter().rev().find(|entry| {
            entry.member == witness.name
                && entry.unix_milliseconds >= since
                && matches!(entry.kind, DiaryKind::PreVoteFailed | DiaryKind::ElectionFailed)
        })?;
        let at = time_of_day(attempt.unix_milliseconds);
        Some(format!("{} cannot be elected: at {at} it {}.", witness.name, attempt.text))
    });
    attempts.collect()
}

fn silent_ones(witnesses: &[Witness]) -> Vec<String> {
    let silent = witnesses.iter().filter(|witness| witness.report.is_none());
    let lines = silent.map(|witness| {
        let end = match witness.entries.last() {
            Some(last) => {
                format!("its diary was read from its files and ends at {}", time_of_day(last.unix_milliseconds))
            }
            None => "nothing is known of its diary".to_owned(),
        };
        format!("{} does not answer now; {end}.", witness.name)
    });
    lines.collect()
}

/// "m1, m2 and m3".
pub(super) fn listed(names: &[String]) -> String {
    match names {
        [] => "nobody".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
