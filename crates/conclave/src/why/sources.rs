//! Where the diaries are: which members there are, what each of them answers, and what stands in the files of those
//! that do not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use node::DiaryEntry;
use serde::Serialize;

use crate::admin::Report;
use crate::ask::ask;
use crate::config::{self, Configuration, Port};

/// The folder of a development ensemble if nobody names one; the same as that of `conclave dev`.
const DEV_FOLDER: &str = "conclave-data";
/// More than any diary holds.
const WHOLE_DIARY: &str = "/diary?limit=1000000";

/// What is known of a member before it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// Its name, or its address if only that is known.
    pub(crate) name: String,
    pub(crate) admin: String,
    /// The ensemble's name, if that is known.
    pub(super) ensemble: Option<String>,
    /// Its data folder, if it is on this machine.
    pub(super) data: Option<PathBuf>,
}

/// Where a member's entries come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Origin {
    /// It answered.
    Answer,
    /// Its files were read.
    Files,
    /// There is nothing to be had.
    Nothing,
}

/// One member and its diary.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) name: String,
    pub(super) origin: Origin,
    /// Why it did not answer.
    pub(super) problem: Option<String>,
    /// Its present standing, if it answered.
    pub(super) report: Option<Report>,
    pub(super) entries: Vec<DiaryEntry>,
}

/// All members that the arguments lead to.
pub(crate) async fn find(admin: &[String], config: Option<&Path>, data: Option<&Path>) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    if let Some(path) = config {
        sources.extend(of_configuration(&config::load(path)?.configuration));
    }
    let named = data.is_some() || config.is_some() || !admin.is_empty();
    let folder = data.or_else(|| (!named).then_some(Path::new(DEV_FOLDER)));
    if let Some(folder) = folder {
        if !named && !folder.join("m1.toml").exists() {
            bail!(
                "which ensemble? There is no {DEV_FOLDER}/ of `conclave dev` here. Name a member's admin address \
                 (--admin HOST:PORT), its configuration (--config FILE), or the folder of a development ensemble \
                 (--data DIR)"
            );
        }
        sources.extend(of_dev_folder(folder)?);
    }
    for address in admin {
        let others = match ask::<Report>(address, "/status").await {
            Ok(report) => of_report(&report),
            Err(_) => Vec::new(),
        };
        let itself = Source { name: address.clone(), admin: address.clone(), ..Source::default() };
        sources.extend(if others.is_empty() { vec![itself] } else { others });
    }
    Ok(merged(sources))
}

/// One source for each address, with all that is known of it.
fn merged(sources: Vec<Source>) -> Vec<Source> {
    let mut by_address: BTreeMap<String, Source> = BTreeMap::new();
    for source in sources {
        let known = by_address.entry(source.admin.clone()).or_insert_with(|| source.clone());
        known.data = known.data.take().or(source.data);
        known.ensemble = known.ensemble.take().or(source.ensemble);
        if known.name == known.admin {
            known.name = source.name;
        }
    }
    let mut merged: Vec<Source> = by_address.into_values().collect();
    merged.sort_by(|one, other| one.name.cmp(&other.name));
    merged
}

fn of_configuration(configuration: &Configuration) -> Vec<Source> {
    let source = |member: &config::Member| Source {
        name: member.name.clone(),
        admin: member.addresses.get(Port::Admin).to_owned(),
        ensemble: Some(configuration.ensemble.clone()),
        data: (member.name == configuration.member).then(|| configuration.data_folder()),
    };
    configuration.members.iter().map(source).collect()
}

fn of_dev_folder(folder: &Path) -> anyhow::Result<Vec<Source>> {
    let shown = folder.display();
    let mut sources = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("the folder {shown} cannot be read"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            sources.extend(of_configuration(&config::load(&path)?.configuration));
        }
    }
    if sources.is_empty() {
        bail!("{shown} is no folder of a development ensemble: no member's configuration is in it");
    }
    Ok(sources)
}

fn of_report(report: &Report) -> Vec<Source> {
    let source = |member: &crate::admin::MemberReport| {
        let admin = member.client.get(Port::Admin.name())?.clone();
        Some(Source { name: member.name.clone(), admin, ensemble: Some(report.ensemble.clone()), data: None })
    };
    report.members.iter().filter_map(source).collect()
}

/// Asks all members at once, and reads the files of those that do not answer.
pub(super) async fn hear(sources: Vec<Source>) -> Vec<Witness> {
    let asked: Vec<_> = sources.into_iter().map(|source| tokio::spawn(hear_one(source))).collect();
    let mut witnesses = Vec::with_capacity(asked.len());
    for witness in asked {
        witnesses.push(witness.await.expect("asking a member does not panic and is not cancelled"));
    }
    witnesses
}

async fn hear_one(source: Source) -> Witness {
    let (name, problem) = match question(&source).await {
        Ok((report, entries)) => {
            let name = report.name.clone();
            return Witness { name, origin: Origin::Answer, problem: None, report: Some(report), entries };
        }
        Err(problem) => (source.name, format!("{problem:#}")),
    };
    let files = source.data.map(|data| node::read_diary(&data));
    let (origin, entries, problem) = match files {
        Some(Ok(diary)) => (Origin::Files, diary.entries, problem),
        Some(Err(unreadable)) => (Origin::Nothing, Vec::new(), format!("{problem}; its files: {unreadable}")),
        None => (Origin::Nothing, Vec::new(), problem),
    };
    Witness { name, origin, problem: Some(problem), report: None, entries }
}

/// A member's standing and diary, in its own words.
async fn question(source: &Source) -> anyhow::Result<(Report, Vec<DiaryEntry>)> {
    let report: Report = ask(&source.admin, "/status").await?;
    is_who_was_asked(source, &report)?;
    Ok((report, ask(&source.admin, WHOLE_DIARY).await?))
}

/// A port may belong to somebody else by now, of another ensemble, whose story must not be mixed into this one.
pub(super) fn is_who_was_asked(source: &Source, report: &Report) -> anyhow::Result<()> {
    let named = source.name != source.admin;
    if named && source.name != report.name || source.ensemble.as_ref().is_some_and(|known| *known != report.ensemble) {
        bail!("{} is now the address of {} of {}", source.admin, report.name, report.ensemble);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_one_address_is_put_together() {
        let source = |name: &str, admin: &str, data: Option<&str>| Source {
            name: name.to_owned(),
            admin: admin.to_owned(),
            ensemble: None,
            data: data.map(PathBuf::from),
        };
        let found = merged(vec![
            source("h:2", "h:2", None),
            source("m1", "h:1", Some("d1")),
            source("m2", "h:2", None),
            source("m1", "h:1", None),
            source("m2", "h:2", Some("d2")),
        ]);
        assert_eq!(found, [source("m1", "h:1", Some("d1")), source("m2", "h:2", Some("d2"))]);
    }

    #[tokio::test]
    async fn a_silent_member_is_heard_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let lone = Source {
            name: "m1".to_owned(),
            admin: "127.0.0.1:1".to_owned(),
            data: Some(folder.path().into()),
            ensemble: None,
        };
        let heard = hear(vec![lone.clone(), Source { data: None, name: "m2".to_owned(), ..lone }]).await;
        assert_eq!((heard[0].origin, heard[1].origin), (Origin::Files, Origin::Nothing));
        assert!(heard[1].problem.as_deref().is_some_and(|problem| problem.contains("127.0.0.1:1 does not answer")));
    }
}
