//! What simulations covered: counts by name. It decides nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::fault::Fault;
use crate::invariants::Invariant;

/// How the ensemble stood when a fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// Nobody led.
    NoLeader,
    /// Somebody led and had nothing under way.
    Idle,
    /// Somebody led and had entries under way.
    Busy,
    /// More than one member took itself for the leader.
    Rivals,
}

/// Counts by name.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    counts: BTreeMap<&'static str, u64>,
    greatest: BTreeMap<&'static str, u64>,
    faults: BTreeMap<Fault, u64>,
    situations: BTreeMap<(Fault, Situation), u64>,
    invariants: BTreeMap<Invariant, u64>,
}

/// What must have happened in every run of many seeds: a run without it has shown nothing about it.
const ESSENTIAL: &[&str] = &[
    "deaths during a write",
    "elections won",
    "entries decided",
    "entries overwritten",
    "leases expired",
    "log failures",
    "reads answered",
    "registers found linearizable by search",
    "requests acknowledged",
    "requests not applied",
    "requests of unknown outcome",
    "requests refused",
    "snapshots received",
    "starts from a snapshot",
    "starts killed",
];

impl Coverage {
    /// What never happened, though it should in every run of many seeds.
    #[must_use]
    pub fn never(&self) -> Vec<&'static str> {
        let essential = ESSENTIAL.iter().copied().filter(|name| self.of(name) == 0);
        let faults = Fault::ALL.iter().filter(|fault| self.of_fault(**fault) == 0).map(|fault| fault.name());
        let looked_at = |invariant: &Invariant| self.invariants.get(invariant).is_some_and(|&count| count > 0);
        let unseen = Invariant::ALL.iter().filter(|invariant| !looked_at(invariant)).map(|invariant| invariant.name());
        essential.chain(faults).chain(unseen).collect()
    }

    /// Counts one.
    pub fn count(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Counts one if it is so; makes the name known in any case.
    pub fn count_if(&mut self, so: bool, name: &'static str) {
        self.add(name, u64::from(so));
    }

    /// Counts several.
    pub fn add(&mut self, name: &'static str, count: u64) {
        *self.counts.entry(name).or_default() += count;
    }

    /// Remembers the greatest of several values.
    pub fn greatest(&mut self, name: &'static str, value: u64) {
        let greatest = self.greatest.entry(name).or_default();
        *greatest = value.max(*greatest);
    }

    /// Counts a fault.
    pub fn fault(&mut self, fault: Fault, situation: Situation) {
        *self.faults.entry(fault).or_default() += 1;
        *self.situations.entry((fault, situation)).or_default() += 1;
    }

    /// The count of a name.
    #[must_use]
    pub fn of(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// How often a fault struck.
    #[must_use]
    pub fn of_fault(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }

    /// How many faults struck.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// How many kinds of fault struck at all.
    #[must_use]
    pub fn fault_kinds(&self) -> usize {
        self.faults.len()
    }

    /// Counts how often invariants were looked at.
    pub fn looked_at(&mut self, looks: Vec<(Invariant, u64)>) {
        for (invariant, count) in looks.into_iter().filter(|&(_, count)| count > 0) {
            *self.invariants.entry(invariant).or_default() += count;
        }
    }

    /// How many invariants were looked at, and how often all of them together.
    #[must_use]
    pub fn looks(&self) -> (usize, u64) {
        (self.invariants.len(), self.invariants.values().sum())
    }

    /// Everything that can happen and everything that must hold, a line for each.
    #[must_use]
    pub fn list() -> String {
        let faults = Fault::ALL.iter().map(|fault| format!("  {:<34}{}\n", fault.name(), fault.meaning()));
        let invariants =
            Invariant::ALL.iter().map(|invariant| format!("  {:<46}{}\n", invariant.name(), invariant.meaning()));
        format!(
            "{} kinds of fault\n{}{} invariants\n{}",
            Fault::ALL.len(),
            faults.collect::<String>(),
            Invariant::ALL.len(),
            invariants.collect::<String>()
        )
    }

    /// Takes in the counts of another simulation.
    pub fn merge(&mut self, other: &Coverage) {
        for (&name, &count) in &other.counts {
            self.add(name, count);
        }
        for (&name, &value) in &other.greatest {
            self.greatest(name, value);
        }
        for (&fault, &count) in &other.faults {
            *self.faults.entry(fault).or_default() += count;
        }
        for (&invariant, &count) in &other.invariants {
            *self.invariants.entry(invariant).or_default() += count;
        }
        for (&pair, &count) in &other.situations {
            *self.situations.entry(pair).or_default() += count;
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count) in &self.counts {
            writeln!(formatter, "  {count:>12}  {name}")?;
        }
        for (name, value) in &self.greatest {
            writeln!(formatter, "  {value:>12}  {name}")?;
        }
        let (looked_at, looks) = self.looks();
        writeln!(formatter, "invariants: {looked_at} of {}, looked at {looks} times", Invariant::ALL.len())?;
        for (invariant, count) in &self.invariants {
            writeln!(formatter, "  {count:>12}  {}", invariant.name())?;
        }
        let kinds = self.faults.len();
        let pairs = self.situations.len();
        let all = Fault::ALL.len();
        writeln!(formatter, "faults: {kinds} of {all} kinds, {pairs} pairs of kind and situation")?;
        for (fault, count) in &self.faults {
            let by = |situation| self.situations.get(&(*fault, situation)).copied().unwrap_or(0);
            let (none, idle, busy) = (by(Situation::NoLeader), by(Situation::Idle), by(Situation::Busy));
            let rivals = by(Situation::Rivals);
            let name = fault.name();
            writeln!(
                formatter,
                "  {count:>12}  {name:<32} no leader {none:>7}, idle {idle:>7}, busy {busy:>7}, rivals {rivals:>5}"
            )?;
        }
        Ok(())
    }
}
