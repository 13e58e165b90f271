//! The folder of a development ensemble: used by one at a time, emptied only of what `dev` itself put there.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A development ensemble's folder, ours until this value is dropped.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Held open: the lock ends with it.
    _lock: File,
}

const LOCK: &str = "dev.lock";

impl Folder {
    /// Opens the folder, making it if needed. `fresh` removes what earlier runs left in it.
    pub(super) fn open(path: &Path, fresh: bool) -> anyhow::Result<Folder> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("the data folder {shown} cannot be made"))?;
        check_nothing_foreign(path)?;
        let lock =
            File::create(path.join(LOCK)).with_context(|| format!("the data folder {shown} cannot be written to"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("{shown} belongs to an ensemble that runs already; stop it, or choose another folder with --data")
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("{shown} cannot be locked"));
            }
        }
        if fresh {
            clear(path).with_context(|| format!("the earlier data in {shown} cannot be removed"))?;
        }
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }
}

/// Whether `dev` makes things of this name: `m1`, `m1.toml`, `m1.log`, the lock.
fn is_ours(name: &str) -> bool {
    let stem = name.strip_suffix(".toml").or_else(|| name.strip_suffix(".log")).unwrap_or(name);
    let number = stem.strip_prefix('m').is_some_and(|digits| matches!(digits, "1" | "2" | "3" | "4" | "5"));
    number || name == LOCK
}

fn check_nothing_foreign(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    for entry in fs::read_dir(path).with_context(|| format!("the data folder {shown} cannot be read"))? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(is_ours) {
            bail!("{shown} is no folder of a development ensemble: it holds {name:?}. Choose another one with --data");
        }
    }
    Ok(())
}

fn clear(path: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
