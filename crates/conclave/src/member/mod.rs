//! `conclave member`: who belongs to the ensemble, and changes of it, by the admin address of any member.
//!
//! | module | what it does |
//! |---|---|
//! | [`show`] | the members as text, and the configuration of one that is new |
//!
//! What may be changed, the leader decides; this only asks.

mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

use crate::admin::{MembersReport, Order, Report};
use crate::ask::{ask, order};
use crate::config::Port;
use crate::screen::{self, Style};
use crate::why::sources;

/// Shows or changes who belongs to the ensemble.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
    /// The admin address of a member (repeatable); it names the others
    #[arg(long, value_name = "HOST:PORT", global = true)]
    admin: Vec<String>,
    /// The configuration file of a member
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The folder of a development ensemble [default: conclave-data, if nothing else is given]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(clap::Subcommand)]
enum Task {
    /// List the members
    List,
    /// Add a member and print the configuration to start it with; it votes as soon as it is caught up
    Add {
        /// Its name
        name: String,
        /// One of its keys, as under [[members]]: peer, etcd, zookeeper and admin are needed, id and priority are not
        #[arg(long = "set", value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// It stays a learner, without a vote, until it is promoted
        #[arg(long)]
        learner: bool,
    },
    /// Make a learner that is caught up a voter
    Promote {
        /// Its name or id
        member: String,
    },
    /// Remove a member; the leader hands over first. Its id is never given again
    Remove {
        /// Its name or id
        member: String,
    },
    /// Change a member's name, addresses or priority
    Update {
        /// Its name or id
        member: String,
        /// A key and its new value: name, peer, etcd, zookeeper, admin or priority
        #[arg(long = "set", value_name = "KEY=VALUE", required = true)]
        settings: Vec<String>,
    },
    /// Hand leadership over, to a member or to whoever is best placed
    Lead {
        /// Its name or id
        member: Option<String>,
    },
}

/// Asks the ensemble and shows what it answers.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let found = sources::find(&arguments.admin, arguments.config.as_deref(), arguments.data.as_deref()).await?;
    let address = somebody(&found).await?;
    let added = matches!(arguments.task, Task::Add { .. });
    let report: MembersReport = match order_of(&arguments.task)? {
        Some(what) => order(&address, "/members", &what).await?,
        None => ask(&address, "/members").await?,
    };
    if arguments.json {
        screen::print_line(&show::json(&report, added));
    } else {
        screen::print(&show::text(&arguments.task, &report, Style::for_output()));
    }
    Ok(())
}

/// The admin address of a member that answers; one that can commit, if there is one.
async fn somebody(sources: &[sources::Source]) -> anyhow::Result<String> {
    let mut problems = Vec::new();
    let mut cut_off = None;
    for source in sources {
        match ask::<Report>(&source.admin, "/status").await {
            Ok(report) if report.can_commit => return Ok(source.admin.clone()),
            Ok(_) => cut_off = cut_off.or_else(|| Some(source.admin.clone())),
            Err(problem) => problems.push(format!("{problem:#}")),
        }
    }
    cut_off.with_context(|| format!("no member answers:\n{}", problems.join("\n")))
}

fn order_of(task: &Task) -> anyhow::Result<Option<Order>> {
    Ok(Some(match task {
        Task::List => return Ok(None),
        Task::Add { name, settings, learner } => {
            let mut settings = Settings::read(settings)?;
            let needed = |port: Port, found: Option<String>| {
                found
                    .with_context(|| format!("where will {name} be reached? --set {}=HOST:PORT is needed", port.name()))
            };
            let peer = needed(Port::Peer, settings.take(Port::Peer.name()))?;
            let mut client = BTreeMap::new();
            for port in CLIENTS {
                client.insert(port.name().to_owned(), needed(port, settings.take(port.name()))?);
            }
            let (id, priority) = (settings.number("id")?.unwrap_or(0), settings.number("priority")?.unwrap_or(0));
            settings.end()?;
            Order::Add { name: name.clone(), peer, client, id, priority, learner: *learner }
        }
        Task::Promote { member } => Order::Promote { member: member.clone() },
        Task::Remove { member } => Order::Remove { member: member.clone() },
        Task::Update { member, settings } => {
            let mut settings = Settings::read(settings)?;
            let (name, peer) = (settings.take("name"), settings.take(Port::Peer.name()));
            let client = CLIENTS.into_iter().filter_map(|port| Some((port.name().into(), settings.take(port.name())?)));
            let client = client.collect();
            let priority = settings.number("priority")?;
            settings.end()?;
            Order::Update { member: member.clone(), name, peer, client, priority }
        }
        Task::Lead { member } => Order::Lead { member: member.clone() },
    }))
}

/// The ports that are not for members.
const CLIENTS: [Port; 3] = [Port::Etcd, Port::ZooKeeper, Port::Admin];

/// What was given by `--set`, to be taken out key by key.
struct Settings(BTreeMap<String, String>);

impl Settings {
    fn read(settings: &[String]) -> anyhow::Result<Settings> {
        let mut read = BTreeMap::new();
        for setting in settings {
            let (key, value) =
                setting.split_once('=').with_context(|| format!("--set {setting}: KEY=VALUE is needed"))?;
            if read.insert(key.trim().to_owned(), value.trim().to_owned()).is_some() {
                bail!("--set {key} is given twice");
            }
        }
        Ok(Settings(read))
    }

    fn take(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn number<T: std::str::FromStr>(&mut self, key: &str) -> anyhow::Result<Option<T>> {
        let Some(text) = self.take(key) else { return Ok(None) };
        let number = text.parse().ok().with_context(|| format!("--set {key}={text}: this is no number that fits"))?;
        Ok(Some(number))
    }

    fn end(self) -> anyhow::Result<()> {
        match self.0.keys().next() {
            Some(key) => bail!("--set {key}: there is no such key here"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(task: &Task) -> String {
        match order_of(task) {
            Ok(order) => serde_json::to_string(&order).unwrap(),
            Err(problem) => problem.to_string(),
        }
    }

    fn add(settings: &[&str]) -> Task {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        Task::Add { name: "m4".to_owned(), settings, learner: true }
    }

    #[test]
    fn settings_become_an_order_or_a_sentence() {
        let all = ["peer=h:1", "etcd=h:2", "zookeeper=h:3", "admin=h:4"];
        let order = r#"{"add":{"name":"m4","peer":"h:1","client":{"admin":"h:4","etcd":"h:2","zookeeper":"h:3"},"id":0,"priority":0,"learner":true}}"#;
        assert_eq!(check(&add(&all)), order);
        assert_eq!(check(&add(&all[..3])), "where will m4 be reached? --set admin=HOST:PORT is needed");
        assert_eq!(check(&add(&[&all[..], &["priority=x"]].concat())), "--set priority=x: this is no number that fits");
        assert_eq!(check(&add(&[&all[..], &["color=x"]].concat())), "--set color: there is no such key here");
        assert_eq!(check(&add(&["peer=a", "peer=b"])), "--set peer is given twice");
        let update = Task::Update { member: "m1".to_owned(), settings: vec!["priority=7".to_owned()] };
        let order = r#"{"update":{"member":"m1","name":null,"peer":null,"client":{},"priority":7}}"#;
        assert_eq!(check(&update), order);
    }
}
