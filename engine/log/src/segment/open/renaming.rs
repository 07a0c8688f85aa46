//! Gives files their names once more.
//!
//! If a process failed to sync the directory, the next one sees names that may not be on the disk, and
//! cannot know which. No later sync makes them durable, because the operating system takes them for
//! written. So opening a log changes each name that the log depends on, and changes it back: what a
//! sync then makes durable are these changes. It costs two renames for each file.
//!
//! A crash can leave a file under the name that it has in between.

use crate::disk::{Disk, DiskFile, DiskLock};
use crate::segment::format::name::{PartName, SnapshotName};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a name ends with in between.
const RENAMING: &str = ".renaming";

/// The name of a file of the log that is being renamed; `None` for other files.
fn final_name(name: &str) -> Option<&str> {
    let named = name.strip_suffix(RENAMING)?;
    let is_ours = PartName::parse(named).is_some() || SnapshotName::parse(named).is_some();
    is_ours.then_some(named)
}

/// Renames each of these files, and gives it its name back. The caller syncs the directory.
pub(crate) fn name_again(
    disk: &dyn Disk,
    names: impl IntoIterator<Item = String>,
) -> io::Result<()> {
    for name in names {
        let between = format!("{name}{RENAMING}");
        disk.rename(&name, &between)?;
        disk.rename(&between, &name)?;
    }
    Ok(())
}

/// Gives those files their names back that a crash in [`name_again`] left without.
pub(crate) fn restore(disk: &dyn Disk) -> io::Result<()> {
    let names = disk.names()?;
    for between in &names {
        match final_name(between) {
            // The file has its name, and the other one came back in a power cut.
            Some(name) if names.iter().any(|it| it == name) => disk.remove(between)?,
            Some(name) => disk.rename(between, name)?,
            None => {}
        }
    }
    Ok(())
}

/// Shows a directory as [`restore`] would leave it, to readers, and changes nothing.
#[derive(Debug)]
pub(crate) struct Restored<'a>(pub(crate) &'a dyn Disk);

impl Disk for Restored<'_> {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.0.lock()
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let names = self.0.names()?.into_iter();
        let mut names: Vec<_> = names
            .map(|name| final_name(&name).map(str::to_owned).unwrap_or(name))
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        match self.0.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.0.open(&format!("{name}{RENAMING}"))
            }
            opened => opened,
        }
    }

    fn create(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn open_writable(&self, _: &str) -> io::Result<Arc<dyn DiskFile>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn has_failed(&self) -> bool {
        false
    }
}
