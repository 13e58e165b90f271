//! The story as text for people, and as JSON for scripts.

use node::{DiaryEntry, DiaryKind};
use serde::Serialize;

use super::answer::conditions;
use super::sources::{Origin, Witness};
use super::timeline::Moment;
use crate::moment::{date, time_of_day};
use crate::screen::{Paint, Style};

/// The answer, and the newest `last` moments of the timeline.
pub(super) fn page(answer: &[String], moments: &[Moment], last: usize, style: Style) -> String {
    let mut text = format!("{}\n", style.paint(Paint::Strong, "Why did the leader change last?"));
    for (number, line) in answer.iter().enumerate() {
        let line = if number == 0 { style.paint(Paint::Strong, line) } else { line.clone() };
        text += &format!("  {line}\n");
    }
    let shown = &moments[moments.len().saturating_sub(last)..];
    if shown.is_empty() {
        return text;
    }
    let members = |moment: &Moment| moment.members.join(", ");
    let width = shown.iter().map(|moment| members(moment).chars().count()).max().unwrap_or(0);
    let kinds = shown.iter().map(|moment| moment.entry.kind.name().len()).max().unwrap_or(0);
    let number = if shown.len() < moments.len() {
        format!("the last {} of {} entries", shown.len(), moments.len())
    } else {
        "all entries".to_owned()
    };
    text += &format!("\nWhat happened ({number}; times in UTC)\n");
    let mut day = String::new();
    for moment in shown {
        let entry = &moment.entry;
        let today = date(entry.unix_milliseconds);
        if day != today {
            text += &format!("{}\n", style.paint(Paint::Faint, &today));
            day = today;
        }
        let time = style.paint(Paint::Faint, &time_of_day(entry.unix_milliseconds));
        let kind = format!("{:<kinds$}", entry.kind);
        let kind = paint_of(entry.kind).map_or_else(|| kind.clone(), |paint| style.paint(paint, &kind));
        text += &format!("  {time}  {:<width$}  {kind}  {}\n", members(moment), entry.text);
        if let Some(conditions) = conditions(&entry.facts).filter(|_| shows_conditions(entry.kind)) {
            let indent = " ".repeat("  00:00:00.000  ".len() + width + 2 + kinds + 2);
            text += &format!("{indent}{}\n", style.paint(Paint::Faint, &conditions));
        }
    }
    text
}

fn paint_of(kind: DiaryKind) -> Option<Paint> {
    use DiaryKind as Kind;
    match kind {
        Kind::Leader => Some(Paint::Good),
        Kind::Fatal | Kind::Divergence | Kind::Unsound => Some(Paint::Alarm),
        Kind::StepDown | Kind::ConnectionLost | Kind::PreVoteFailed | Kind::ElectionFailed | Kind::Paused => {
            Some(Paint::Warning)
        }
        Kind::Disk | Kind::ExpiryStorm => Some(Paint::Warning),
        _ => None,
    }
}

fn shows_conditions(kind: DiaryKind) -> bool {
    matches!(kind, DiaryKind::Leader | DiaryKind::StepDown | DiaryKind::Disk | DiaryKind::Paused)
}

#[derive(Serialize)]
struct Story<'a> {
    answer: &'a [String],
    members: Vec<Member<'a>>,
    entries: &'a [DiaryEntry],
}

#[derive(Serialize)]
struct Member<'a> {
    name: &'a str,
    /// Where its entries come from.
    diary: Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
}

impl Member<'_> {
    fn of(witness: &Witness) -> Member<'_> {
        Member { name: &witness.name, diary: witness.origin, problem: witness.problem.as_deref() }
    }
}

/// The same for scripts: the answer, where each diary comes from, and the newest `last` entries as they were written.
pub(super) fn json(answer: &[String], witnesses: &[Witness], entries: &[DiaryEntry], last: usize) -> String {
    let story = Story {
        answer,
        members: witnesses.iter().map(Member::of).collect(),
        entries: &entries[entries.len().saturating_sub(last)..],
    };
    serde_json::to_string_pretty(&story).expect("a story holds nothing that JSON cannot")
}
