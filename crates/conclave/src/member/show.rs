//! The members as text and JSON. A new member's configuration is printed so that the whole output is a file for it.

use std::fmt::Write as _;

use super::Task;
use crate::admin::{MemberLine, MembersReport};
use crate::config::Port;
use crate::screen::{Paint, Style};

/// What the ensemble answered, for people.
pub(super) fn text(task: &Task, report: &MembersReport, style: Style) -> String {
    let about = || report.members.iter().find(|member| Some(member.id) == report.about);
    let name = || about().map_or_else(|| "it".to_owned(), |member| member.name.clone());
    match task {
        Task::List => list(report, style),
        Task::Add { .. } => about().map_or_else(String::new, |member| new_member(report, member)),
        Task::Promote { .. } => format!("{} is a voter from now on.\n", name()),
        Task::Remove { member } => {
            format!("{member} belongs to {} no more. Its process ends by itself.\n", report.ensemble)
        }
        Task::Update { .. } => about().map_or_else(String::new, |member| format!("{}\n", line(report, member))),
        Task::Lead { .. } => format!("{} leads.\n", name()),
    }
}

/// What the ensemble answered, for scripts.
pub(super) fn json(report: &MembersReport, added: bool) -> String {
    let mut value = serde_json::to_value(report).expect("a report has only texts and numbers");
    let about = report.members.iter().find(|member| Some(member.id) == report.about);
    if let (Some(member), true) = (about, added) {
        value["configuration"] = configuration(report, member).into();
    }
    value.to_string()
}

fn list(report: &MembersReport, style: Style) -> String {
    let title = format!("{} ({} members)", report.ensemble, report.members.len());
    let mut text = format!("{}\n", style.paint(Paint::Strong, &title));
    for member in &report.members {
        let _ = writeln!(text, "  {}", line(report, member));
    }
    if report.changing {
        text += "A change of voters is half way: both the old and the new ones decide.\n";
    }
    text
}

fn line(report: &MembersReport, member: &MemberLine) -> String {
    let leads = report.leader.as_ref() == Some(&member.name);
    let standing = if leads { "leader" } else { member.standing.as_str() };
    let mut line = format!("{:>3}  {:<12}  {standing:<8}  peer {}", member.id, member.name, member.peer);
    for (protocol, address) in &member.client {
        let _ = write!(line, "  {protocol} {address}");
    }
    if member.priority > 0 {
        let _ = write!(line, "  priority {}", member.priority);
    }
    line
}

fn new_member(report: &MembersReport, member: &MemberLine) -> String {
    let standing = match member.standing.as_str() {
        "learner" => "a learner: it gets everything and has no vote until it is promoted",
        _ => "a learner that gets its vote by itself as soon as it is caught up",
    };
    format!(
        "# {} was added as member {}, {standing}.\n# This is its configuration; start it with `conclave serve --config \
         FILE`.\n{}",
        member.name,
        member.id,
        configuration(report, member)
    )
}

/// The configuration file that a new member starts with.
fn configuration(report: &MembersReport, member: &MemberLine) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!(
        "ensemble = {}\nmember = {}\ndata = {}\njoin = true\n",
        quoted(&report.ensemble),
        quoted(&member.name),
        quoted(&member.name)
    );
    for member in &report.members {
        let _ = write!(text, "\n[[members]]\nid = {}\nname = {}\n", member.id, quoted(&member.name));
        let _ = writeln!(text, "{} = {}", Port::Peer.name(), quoted(&member.peer));
        for (protocol, address) in &member.client {
            let _ = writeln!(text, "{protocol} = {}", quoted(address));
        }
        if member.priority > 0 {
            let _ = writeln!(text, "priority = {}", member.priority);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn report() -> MembersReport {
        let line = |id: u64, standing: &str| MemberLine {
            id,
            name: format!("m{id}"),
            standing: standing.to_owned(),
            priority: u8::from(id == 1),
            peer: format!("h{id}:1"),
            client: [("etcd", 2), ("zookeeper", 3), ("admin", 4)]
                .map(|(name, port)| (name.to_owned(), format!("h{id}:{port}")))
                .into(),
            added_unix_milliseconds: 0,
        };
        MembersReport {
            ensemble: "e".to_owned(),
            ensemble_id: "00".to_owned(),
            version: 3,
            changing: false,
            leader: Some("m1".to_owned()),
            about: Some(4),
            members: vec![line(1, "voter"), line(4, "joining")],
        }
    }

    #[test]
    fn what_is_printed_for_a_new_member_is_a_file_that_it_can_start_with() {
        let task = Task::Add { name: "m4".to_owned(), settings: Vec::new(), learner: false };
        let printed = text(&task, &report(), Style::for_stream(false));
        let loaded = crate::config::parse(Path::new("folder/m4.toml"), &printed).unwrap();
        let options = loaded.configuration.node_options();
        assert!(options.join);
        assert_eq!((options.id.0, options.members.len(), options.members[0].priority), (4, 2, 1));
    }

    #[test]
    fn the_leader_is_named_in_the_list() {
        let listed = text(&Task::List, &report(), Style::for_stream(false));
        let first = "    1  m1            leader    peer h1:1  admin h1:4  etcd h1:2  zookeeper h1:3  priority 1";
        assert_eq!(listed.lines().nth(1), Some(first));
    }
}
