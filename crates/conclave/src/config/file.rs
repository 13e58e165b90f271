//! From TOML to the configuration: finds the key of each value and names file and line of what is wrong. Knows no
//! key by name but `members`, whose entries form a list.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{KEYS, Keys, MEMBER_KEYS, Presence, unknown};
use super::{Configuration, Member};

/// Fills `configuration` from `text` and returns every problem found, each with its place.
pub(super) fn read(shown: &str, text: &str, configuration: &mut Configuration) -> Vec<String> {
    let mut reading = Reading { shown, text, problems: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reading.document(table.get_ref(), configuration),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            reading.problem(&span, error.message());
        }
    }
    reading.problems
}

struct Reading<'a> {
    shown: &'a str,
    text: &'a str,
    problems: Vec<String>,
}

impl Reading<'_> {
    fn problem(&mut self, span: &Range<usize>, message: &str) {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.problems.push(format!("{}:{line}: {message}", self.shown));
    }

    fn document(&mut self, table: &DeTable<'_>, configuration: &mut Configuration) {
        let mut stated = BTreeSet::new();
        for (name, value) in table {
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("members", DeValue::Array(entries)) => {
                    for entry in entries {
                        if let Some(member) = self.member(entry) {
                            configuration.members.push(member);
                        }
                    }
                }
                ("members", _) => {
                    self.problem(&value.span(), "members is a list: write [[members]] before each member's keys");
                }
                (section, DeValue::Table(inner)) => {
                    for (name, value) in inner {
                        self.value(
                            KEYS,
                            &format!("{section}.{}", name.get_ref()),
                            name,
                            value,
                            configuration,
                            &mut stated,
                        );
                    }
                }
                (plain, _) => self.value(KEYS, plain, name, value, configuration, &mut stated),
            }
        }
        self.missing(KEYS, &stated, &(0..0), "");
        if configuration.members.is_empty() && self.problems.is_empty() {
            self.problem(&(0..0), "no members are listed: write a [[members]] section for each");
        }
    }

    fn member(&mut self, entry: &Spanned<DeValue<'_>>) -> Option<Member> {
        let DeValue::Table(table) = entry.get_ref() else {
            self.problem(&entry.span(), "an entry of members must be a table: write [[members]] before its keys");
            return None;
        };
        let (mut member, mut stated) = (Member::default(), BTreeSet::new());
        for (name, value) in table {
            self.value(MEMBER_KEYS, &format!("members.{}", name.get_ref()), name, value, &mut member, &mut stated);
        }
        self.missing(MEMBER_KEYS, &stated, &entry.span(), " for this member");
        Some(member)
    }

    fn value<T>(
        &mut self,
        keys: Keys<T>,
        full: &str,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        target: &mut T,
        stated: &mut BTreeSet<&'static str>,
    ) {
        let Some(key) = keys.iter().copied().flatten().find(|key| key.name == full) else {
            return self.problem(&name.span(), &unknown(full));
        };
        stated.insert(key.name);
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Boolean(flag) if !key.kind.quoted() => flag.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            other => {
                let message = format!("{full} is a {}; allowed is {}", other.type_str(), key.kind.allowed());
                return self.problem(&value.span(), &message);
            }
        };
        if let Err(problem) = key.kind.read(target, &text) {
            self.problem(&value.span(), &format!("{full} = {text:?} {problem}"));
        }
    }

    fn missing<T>(&mut self, keys: Keys<T>, stated: &BTreeSet<&'static str>, span: &Range<usize>, whose: &str) {
        for key in keys.iter().copied().flatten() {
            let required = matches!(key.presence, Presence::Own | Presence::Common);
            if required && !stated.contains(key.name) {
                self.problem(span, &format!("the key {:?} is missing{whose}: {}", key.name, key.help));
            }
        }
    }
}
