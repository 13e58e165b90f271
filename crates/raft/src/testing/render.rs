//! What scripts and traces show, made for the eye: arrows, `index@term`, one thing a line.

use std::fmt::{Display, Write as _};

use crate::effects::{Effects, Rearm, Write};
use crate::message::{Envelope, Message};
use crate::status::Status;
use crate::types::{Body, Entry, Index, NodeId, Payload};

fn body<P: Display>(body: &Body<P>) -> String {
    match body {
        Body::Noop => "noop".into(),
        Body::Command(payload) => payload.to_string(),
        Body::Membership(membership) => membership.to_string(),
    }
}

/// `3@1 noop, 4@1 x`, given where the first one stands.
fn entries<P: Display>(first: Index, entries: &[Entry<P>]) -> String {
    let show = |(index, entry): (u64, &Entry<P>)| format!("{index}@{} {}", entry.term, body(&entry.body));
    (first.0..).zip(entries).map(show).collect::<Vec<_>>().join(", ")
}

fn message<P: Display>(message: &Message<P>) -> String {
    match message {
        Message::AskPreVote { last } => format!("would you vote for me? my log ends at {last}"),
        Message::PreVote { refusal: None, .. } => "I would vote for you".into(),
        Message::PreVote { refusal: Some(why), .. } => format!("I would not vote for you: {why}"),
        Message::AskVote { last, transfer } => {
            format!("vote for me{}; my log ends at {last}", if *transfer { ", I was asked to take over" } else { "" })
        }
        Message::Vote { refusal: None, .. } => "you have my vote".into(),
        Message::Vote { refusal: Some(why), .. } => format!("you do not have my vote: {why}"),
        Message::Append { previous, entries: none, commit } if none.is_empty() => {
            format!("do you have {previous}? committed to {commit}")
        }
        Message::Append { previous, entries: some, commit } => {
            format!("append after {previous}: {}; committed to {commit}", entries(previous.index.next(), some))
        }
        Message::Appended { matched } => format!("my disk equals yours to {matched}"),
        Message::Rejected { previous, hint } => {
            format!("I do not have {previous}; we may agree to {hint}")
        }
        Message::Heartbeat { commit, round } => {
            format!("I lead; committed to {commit}; round {round}")
        }
        Message::Alive { round } => format!("I follow; round {round}"),
        Message::Commit { commit } => format!("committed to {commit}"),
        Message::Overtaken => "your term is over".into(),
        Message::CampaignNow => "campaign now".into(),
        Message::Sleep { commit } => format!("sleep, if your log ends at {commit} too"),
        Message::Asleep => "I sleep".into(),
        Message::Wake => "I was woken; do you lead?".into(),
    }
}

/// `n1 → n2 in term 3: I lead; …`
#[must_use]
pub fn envelope<P: Payload + Display>(arrow: &str, envelope: &Envelope<P>) -> String {
    let Envelope { from, to, term, message: said } = envelope;
    format!("{from} {arrow} {to} in term {term}: {}\n", message(said))
}

fn write<P: Display>(write: &Write<P>) -> String {
    let mut parts = Vec::new();
    parts.extend(write.ballot.map(|ballot| ballot.to_string()));
    parts.extend(write.cut.map(|cut| format!("cut from {cut}")));
    parts.extend(write.base.as_ref().map(|base| format!("start after {} with {}", base.last, base.membership)));
    if !write.append.is_empty() {
        parts.push(entries(write.previous.index.next(), &write.append));
    }
    format!("writes #{}: {}", write.ticket.0, parts.join("; "))
}

/// Everything that one drain of `id` told, but for its messages: those are shown when they arrive.
///
/// # Panics
/// Never: a string takes everything.
#[must_use]
pub fn effects<P: Payload + Display>(id: NodeId, effects: &Effects<P>) -> String {
    let mut lines: Vec<String> = effects.events.iter().map(ToString::to_string).collect();
    lines.extend(match effects.timer {
        Some(Rearm::Quick) => Some("will campaign shortly".into()),
        Some(Rearm::Rest) => Some("stops its timers".into()),
        Some(Rearm::Election) | None => None,
    });
    lines.extend(effects.write.as_ref().map(write));
    lines.extend(effects.installed.map(|last| format!("replaces its state by the snapshot at {last}")));
    for committed in &effects.apply {
        let tag = committed.tag.map(|tag| format!(", as asked by {}", tag.0)).unwrap_or_default();
        lines.push(format!("applies {}@{} {}{tag}", committed.index, committed.term, body(&committed.body)));
    }
    lines.extend(effects.proposed.iter().map(|(tag, index, term)| format!("puts {} at {index}@{term}", tag.0)));
    lines.extend(effects.reads.iter().map(|(tag, index)| format!("serves read {} once {index} is applied", tag.0)));
    lines.extend(effects.refused.iter().map(|(tag, refusal)| format!("refuses {}: {refusal}", tag.0)));
    lines.extend(effects.handed_over.iter().map(|(tag, to)| format!("has handed over to {to}, as asked by {}", tag.0)));
    let mut shown = String::new();
    for line in lines {
        writeln!(shown, "    {id} {line}").expect("a string takes everything");
    }
    shown
}

/// `n1 leader of term 2, log 0@0 to 5@2, durable 5, committed 5, applied 5`
///
/// # Panics
/// Never: a string takes everything.
#[must_use]
pub fn status(status: &Status) -> String {
    let Status { id, role, ballot, base, last, durable, commit, applied, .. } = status;
    let leader = status.leader.map_or_else(|| "nobody".into(), |leader| leader.to_string());
    let asleep = if status.asleep { "asleep, " } else { "" };
    let mut shown = format!("{id} {role}, {asleep}{ballot}, under {leader}; log {base} to {last}, ");
    writeln!(shown, "durable {durable}, committed {commit}, applied {applied}; {}", status.membership)
        .expect("as above");
    for (peer, progress) in status.leading.iter().flat_map(|leading| &leading.peers) {
        let heard = if progress.heard { "" } else { ", silent" };
        writeln!(shown, "    {peer} matches {}, {}{heard}", progress.matched, progress.flow).expect("as above");
    }
    shown
}
