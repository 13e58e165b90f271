//! The table of keys for people: the listing of `conclave config keys` and the page `docs/configuration.md`.

use std::fmt::Write as _;

use super::keys::{KEYS, Keys, MEMBER_KEYS, Presence};
use super::{Configuration, Member};

/// One key, described.
struct Described {
    name: &'static str,
    allowed: String,
    default: String,
    help: &'static str,
}

fn describe<T: Default>(keys: Keys<T>) -> impl Iterator<Item = Described> {
    keys.iter().copied().flatten().map(|key| {
        let default = match key.presence {
            Presence::Own | Presence::Common => "required".to_owned(),
            Presence::Listen => "the member's address".to_owned(),
            Presence::Default | Presence::OwnDefault => key.kind.show(&mut T::default()),
        };
        Described { name: key.name, allowed: key.kind.allowed(), default, help: key.help }
    })
}

/// The sections of the reference, in the order of the table.
fn sections() -> Vec<(&'static str, Vec<Described>)> {
    let mut sections: Vec<(&'static str, Vec<Described>)> = Vec::new();
    for described in describe::<Configuration>(KEYS) {
        let section = described.name.split_once('.').map_or("", |(section, _)| section);
        match sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, keys)) => keys.push(described),
            None => sections.push((section, vec![described])),
        }
    }
    sections.insert(1, ("members", describe::<Member>(MEMBER_KEYS).collect()));
    sections
}

/// The listing for a terminal.
pub(crate) fn listing() -> String {
    let mut text = String::new();
    for described in sections().into_iter().flat_map(|(_, keys)| keys) {
        let Described { name, allowed, default, help } = described;
        let _ = writeln!(text, "{name}\n    {help}\n    allowed: {allowed}; default: {default}\n");
    }
    text
}

const HEAD: &str = "\
# Configuration

One TOML file per member, given to `conclave serve --config FILE`. `conclave config check --config FILE` reads a file and
says what is wrong or unwise in it, without starting anything; `conclave config keys` prints this list. An unknown key is
an error that names the nearest known one.

This page is written by `conclave config keys --markdown`; a test keeps it current.

```toml
ensemble = \"example\"
member = \"m1\"
data = \"data\"

[[members]]
id = 1
name = \"m1\"
peer = \"10.0.0.1:7271\"
etcd = \"10.0.0.1:2379\"
zookeeper = \"10.0.0.1:2181\"
admin = \"10.0.0.1:7281\"

[[members]]
id = 2
name = \"m2\"
peer = \"10.0.0.2:7271\"
etcd = \"10.0.0.2:2379\"
zookeeper = \"10.0.0.2:2181\"
admin = \"10.0.0.2:7281\"

[[members]]
id = 3
name = \"m3\"
peer = \"10.0.0.3:7271\"
etcd = \"10.0.0.3:2379\"
zookeeper = \"10.0.0.3:2181\"
admin = \"10.0.0.3:7281\"

[timing]
heartbeat = \"50ms\"
```

Times carry a unit (`ms`, `s`, `m`, `h`), sizes may (`B`, `KiB`, `MiB`, `GiB`); both stand between quotes.

The list of members founds the ensemble, and tells a member where to look for the others. Once there is an ensemble, its
log says who belongs: to add or remove a member, say so to the ensemble, with `conclave member` (see
[membership.md](membership.md)), not in these files. A member whose own line here was changed tells the ensemble at its
next start.
";

/// The page `docs/configuration.md`.
pub(crate) fn page() -> String {
    let mut text = HEAD.to_owned();
    for (section, keys) in sections() {
        let title = match section {
            "" => "Who this member is".to_owned(),
            "members" => "`[[members]]`: all members, this one included, alike on all".to_owned(),
            name => format!("`[{name}]`"),
        };
        let _ = write!(text, "\n## {title}\n\n| key | allowed | default | meaning |\n|---|---|---|---|\n");
        for Described { name, allowed, default, help } in keys {
            let _ = writeln!(text, "| `{name}` | {allowed} | {default} | {help} |");
        }
    }
    text
}

/// The example that the page shows, for a test that reads it as a member would.
#[cfg(test)]
pub(super) fn example() -> &'static str {
    let (_, rest) = HEAD.split_once("```toml\n").expect("the page shows an example");
    rest.split_once("```").expect("the example ends").0
}
