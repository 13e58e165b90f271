//! The storage, with each error told by what was asked of which file. Decides nothing, knows no format.

use std::io::{self, IoSlice};
use std::sync::Arc;

use crate::error::{Failure, Operation};
use crate::storage::Storage;

/// An open file that knows its name.
pub(crate) struct Named<F> {
    pub(crate) name: String,
    pub(crate) file: F,
}

/// A storage whose errors name the file.
pub(crate) struct Disk<S> {
    pub(crate) storage: S,
}

impl<S: Storage> Disk<S> {
    pub(crate) fn list(&mut self) -> Result<Vec<String>, Failure> {
        explain(Operation::List, "the folder", self.storage.list())
    }

    pub(crate) fn create(&mut self, name: String) -> Result<Named<S::File>, Failure> {
        let file = explain(Operation::Create, &name, self.storage.create(&name))?;
        Ok(Named { name, file })
    }

    pub(crate) fn open(&mut self, name: String) -> Result<Named<S::File>, Failure> {
        let file = explain(Operation::Open, &name, self.storage.open(&name))?;
        Ok(Named { name, file })
    }

    pub(crate) fn length(&mut self, file: &Named<S::File>) -> Result<u64, Failure> {
        explain(Operation::Measure, &file.name, self.storage.length(&file.file))
    }

    pub(crate) fn allocate(&mut self, file: &Named<S::File>, length: u64) -> Result<(), Failure> {
        explain(Operation::Allocate, &file.name, self.storage.allocate(&file.file, length))
    }

    pub(crate) fn read_at(&mut self, file: &Named<S::File>, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
        explain(Operation::Read, &file.name, self.storage.read_at(&file.file, offset, buffer))
    }

    pub(crate) fn write_at(
        &mut self,
        file: &Named<S::File>,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), Failure> {
        explain(Operation::Write, &file.name, self.storage.write_at(&file.file, offset, parts))
    }

    pub(crate) fn sync(&mut self, file: &Named<S::File>) -> Result<(), Failure> {
        explain(Operation::Sync, &file.name, self.storage.sync(&file.file))
    }

    pub(crate) fn drop_cache(&mut self, file: &Named<S::File>) -> Result<(), Failure> {
        explain(Operation::Read, &file.name, self.storage.drop_cache(&file.file))
    }

    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        explain(Operation::Rename, from, self.storage.rename(from, to))
    }

    pub(crate) fn remove(&mut self, name: &str) -> Result<(), Failure> {
        explain(Operation::Remove, name, self.storage.remove(name))
    }

    pub(crate) fn sync_folder(&mut self) -> Result<(), Failure> {
        explain(Operation::SyncFolder, "the folder", self.storage.sync_folder())
    }
}

fn explain<T>(operation: Operation, file: &str, result: io::Result<T>) -> Result<T, Failure> {
    result.map_err(|error| Failure { operation, file: file.to_owned(), source: Arc::new(error) })
}
