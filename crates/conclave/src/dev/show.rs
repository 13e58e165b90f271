//! What a development ensemble looks like: the table, the lines to paste, and the same as JSON for scripts.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::plan::Plan;
use super::story::Scene;
use crate::config::Port;
use crate::screen::{Paint, Style};

/// How this program is called in lines to paste: as it was called itself.
pub(super) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if called.contains('/') { called } else { "conclave".to_owned() }
}

#[derive(Serialize)]
struct Ready<'a> {
    members: Vec<ReadyMember<'a>>,
}

#[derive(Serialize)]
struct ReadyMember<'a> {
    name: &'a str,
    pid: u32,
    role: &'a str,
    zookeeper: &'a str,
    etcd: &'a str,
    admin: &'a str,
    config: PathBuf,
    data: PathBuf,
}

/// One line of JSON with everything a script needs.
pub(super) fn json(plan: &Plan, scene: &Scene) -> String {
    let members = plan.members.iter().enumerate().filter_map(|(place, member)| {
        let report = scene.report(place)?;
        Some(ReadyMember {
            name: &member.name,
            pid: report.pid,
            role: &report.role,
            zookeeper: member.addresses.get(Port::ZooKeeper),
            etcd: member.addresses.get(Port::Etcd),
            admin: member.addresses.get(Port::Admin),
            config: absolute(&member.config),
            data: absolute(&member.data),
        })
    });
    serde_json::to_string(&Ready { members: members.collect() }).expect("names, numbers and paths made here are JSON")
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The table and the lines to paste.
pub(super) fn welcome(plan: &Plan, scene: &Scene, style: Style) -> String {
    let titles = ["member", "pid", "role", "ZooKeeper", "etcd", "admin"].map(str::to_owned);
    let mut rows = vec![titles];
    let mut leader = None;
    for (place, member) in plan.members.iter().enumerate() {
        let Some(report) = scene.report(place) else {
            continue;
        };
        if report.role == "leader" {
            leader = Some((member.name.as_str(), report.pid));
        }
        let address = |port| member.addresses.get(port).to_owned();
        rows.push([
            member.name.clone(),
            report.pid.to_string(),
            report.role.clone(),
            address(Port::ZooKeeper),
            address(Port::Etcd),
            address(Port::Admin),
        ]);
    }
    let all = |port| plan.members.iter().map(|member| member.addresses.get(port)).collect::<Vec<_>>().join(",");
    let mut text = String::from("\n");
    for (number, row) in table(&rows).into_iter().enumerate() {
        let paint = if number == 0 { Some(Paint::Faint) } else { rows[number][2].eq("leader").then_some(Paint::Good) };
        text.push_str(&format!("  {}\n", paint.map_or_else(|| row.clone(), |paint| style.paint(paint, &row))));
    }
    let mut paste = vec![
        ("ZooKeeper", format!("zkCli.sh -server {}", all(Port::ZooKeeper))),
        ("etcd", format!("etcdctl --endpoints {} put greeting hello", all(Port::Etcd))),
        ("status", format!("curl http://{}/status", plan.members[0].addresses.get(Port::Admin))),
    ];
    if let Some((name, pid)) = leader.filter(|_| plan.members.len() > 1) {
        paste.push(("failover", format!("kill -9 {pid}    # {name} leads: see another take over")));
    }
    text.push('\n');
    for (title, line) in paste {
        text.push_str(&format!("  {} {line}\n", style.paint(Paint::Faint, &format!("{title:<10}"))));
    }
    let folder = plan.folder.display();
    text.push_str(&format!("\nData, configuration and logs are in {folder}. Ctrl-C stops all members.\n\n"));
    text
}

/// Rows with their columns under each other.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> Vec<String> {
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}
