//! From changed standings to sentences: a plain value that is told what happens and says what is worth saying.

use std::path::PathBuf;
use std::time::Duration;

use super::plan::Plan;
use super::show::program;
use crate::admin::{ChangeReport, Report};
use crate::moment::time_of_day;
use crate::screen::{Paint, Style};

/// What is known of every member.
pub(super) struct Scene {
    players: Vec<Player>,
}

struct Player {
    name: String,
    config: PathBuf,
    log: PathBuf,
    /// Where in its log this run began.
    log_start: u64,
    /// Its newest report, kept after its end to tell what is new when it comes back.
    report: Option<Report>,
    /// The process that `dev` started.
    child: Option<u32>,
    /// The process of the report ended.
    ended: bool,
}

/// One sentence, and how it is meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) paint: Option<Paint>,
    /// The time of day in UTC, if the sentence is about a moment that a member named.
    pub(super) moment: Option<String>,
    pub(super) text: String,
}

impl Line {
    fn new(paint: Paint, text: String) -> Line {
        Line { paint: Some(paint), moment: None, text }
    }

    fn plain(text: String) -> Line {
        Line { paint: None, moment: None, text }
    }

    pub(super) fn painted(&self, style: Style) -> String {
        let text = self.paint.map_or_else(|| self.text.clone(), |paint| style.paint(paint, &self.text));
        match &self.moment {
            Some(moment) => format!("{} {text}", style.paint(Paint::Faint, moment)),
            None => text,
        }
    }
}

impl Scene {
    pub(super) fn new(plan: &Plan) -> Scene {
        let player = |member: &super::plan::Planned| Player {
            name: member.name.clone(),
            config: member.config.clone(),
            log: member.log.clone(),
            log_start: std::fs::metadata(&member.log).map_or(0, |metadata| metadata.len()),
            report: None,
            child: None,
            ended: false,
        };
        Scene { players: plan.members.iter().map(player).collect() }
    }

    /// `dev` started this process for the member.
    pub(super) fn started(&mut self, place: usize, child: Option<u32>) {
        self.players[place].child = child;
    }

    /// The newest report of a member that runs.
    pub(super) fn report(&self, place: usize) -> Option<&Report> {
        let player = &self.players[place];
        player.report.as_ref().filter(|_| !player.ended)
    }

    /// All members run and agree on a leader that commits.
    pub(super) fn ready(&self) -> bool {
        let reports: Option<Vec<&Report>> = (0..self.players.len()).map(|place| self.report(place)).collect();
        reports.is_some_and(|reports| {
            reports
                .iter()
                .all(|report| report.can_commit && report.leader.is_some() && report.leader == reports[0].leader)
        })
    }

    /// A member told its standing. Returns what is new and worth telling.
    pub(super) fn stands(&mut self, place: usize, report: Report) -> Vec<Line> {
        let player = &mut self.players[place];
        let mut lines = Vec::new();
        let same_process = player.report.as_ref().is_some_and(|before| before.pid == report.pid);
        if player.ended && same_process {
            // The last word of a process whose end is known already.
            return lines;
        }
        let before = player.report.take();
        if before.is_some() && !same_process {
            lines.push(Line::new(Paint::Good, format!("{} is back, pid {}", player.name, report.pid)));
        }
        let seen = before.filter(|_| same_process);
        let mut led = seen.as_ref().is_some_and(|seen| seen.role == LEADER);
        for change in news(seen.as_ref(), &report) {
            let leads = change.role == LEADER;
            if leads != led {
                lines.push(told(&player.name, change));
            }
            led = leads;
        }
        player.ended = false;
        player.report = Some(report);
        lines
    }

    /// A member's admin address fell silent. Of a process that was started here the end itself will tell more.
    pub(super) fn silent(&mut self, place: usize) -> Vec<Line> {
        let player = &self.players[place];
        let ours = player.report.as_ref().is_some_and(|report| Some(report.pid) == player.child);
        if ours || player.ended { Vec::new() } else { self.ended(place, "does not answer any more") }
    }

    /// A member's process ended.
    pub(super) fn ended(&mut self, place: usize, how: &str) -> Vec<Line> {
        let player = &mut self.players[place];
        player.ended = true;
        let pid = player.report.as_ref().map_or_else(String::new, |report| format!(" (pid {})", report.pid));
        let mut lines = vec![
            Line::new(Paint::Alarm, format!("{}{pid} {how}. It stays down; to bring it back:", player.name)),
            Line::plain(format!("    {} serve --config {}", program(), player.config.display())),
        ];
        let running = self.players.iter().filter(|player| !player.ended).count();
        let majority = self.players.len() / 2 + 1;
        if running < majority {
            let all = self.players.len();
            let text = format!("{running} of {all} members run: nothing can be committed until {majority} do.");
            lines.push(Line::new(Paint::Warning, text));
        }
        lines
    }

    /// Members that were started by hand: they are not stopped here, and whoever started them should know.
    pub(super) fn left_running(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for player in self.players.iter().filter(|player| !player.ended) {
            if let Some(report) = player.report.as_ref().filter(|report| Some(report.pid) != player.child) {
                let text = format!("{} (pid {}) was started by hand and is left running.", player.name, report.pid);
                lines.push(Line::new(Paint::Warning, text));
            }
        }
        lines
    }

    /// A member ended before the ensemble was ready.
    pub(super) fn stillborn(&self, place: usize, how: &str) -> String {
        let player = &self.players[place];
        let words = player.last_words();
        let log = player.log.display();
        format!("{} {how} while starting. The end of {log}:\n{words}", player.name)
    }

    /// The ensemble was not ready in time.
    pub(super) fn unfinished(&self, limit: Duration) -> String {
        let mut text = format!("the members did not agree on a leader within {limit:?}:");
        for player in &self.players {
            let standing = player.report.as_ref().map_or_else(
                || "does not answer".to_owned(),
                |report| match &report.leader {
                    Some(leader) => {
                        format!("is a {} of {leader} in term {}", report.role, report.term)
                    }
                    None => format!("is a {} in term {} and knows no leader", report.role, report.term),
                },
            );
            text.push_str(&format!("\n  {} {standing}; its log is {}", player.name, player.log.display()));
        }
        text
    }
}

/// Lines of a log that are shown when its member did not come up.
const LAST_WORDS: usize = 12;

impl Player {
    /// The end of what this run wrote to its log.
    fn last_words(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start).unwrap_or(usize::MAX).min(text.len());
        let text = String::from_utf8_lossy(&text[start..]);
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LAST_WORDS)..];
        shown.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
    }
}

const LEADER: &str = "leader";

/// The changes in `report` that came after all of `seen`. The list is bounded, so the last one seen may have left it.
fn news<'a>(seen: Option<&Report>, report: &'a Report) -> &'a [ChangeReport] {
    let known = seen.and_then(|seen| seen.changes.last());
    let position = known.and_then(|known| report.changes.iter().rposition(|change| change == known));
    &report.changes[position.map_or(0, |position| position + 1)..]
}

/// A member that begins or ceases to lead.
fn told(name: &str, change: &ChangeReport) -> Line {
    let term = change.term;
    let (paint, text) = if change.role == LEADER {
        (Paint::Strong, format!("{name} leads, term {term}: {}", change.cause))
    } else {
        (Paint::Warning, format!("{name} leads no longer, term {term}: {}", change.cause))
    };
    Line { paint: Some(paint), moment: Some(time_of_day(change.unix_milliseconds)), text }
}
