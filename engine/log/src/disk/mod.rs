//! The file system operations that the log needs, as traits, so that tests can use a disk that
//! fails or loses data.
//!
//! A [`Disk`] is one flat directory; a [`DiskFile`] is a file in it, read and written at given
//! offsets. Written bytes are durable only after [`DiskFile::sync`], and names only after
//! [`Disk::sync`].
//!
//! Once a sync of names has failed, a [`Disk`] changes no name any more, because a later sync that
//! succeeds would not cover the names for which the first one failed: it has to be opened again.

mod directory;
mod overlay;

pub use directory::Directory;
pub use overlay::Overlay;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A directory with the files of one log. All calls block until the operating system returns.
pub trait Disk: fmt::Debug + Send + Sync {
    /// The path, for messages.
    fn path(&self) -> &Path;

    /// Takes the directory's lock. It is held until the returned value is dropped or the process
    /// dies. `None` if it is held elsewhere and is not released within a short time.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>>;

    /// The names of all files, in no particular order.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file for reading and writing. Replaces an existing file of this name.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file for reading and writing.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Renames a file atomically. Open files are not affected.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How many bytes can still be written to it; `None` if that is unknown. Only a hint: others may
    /// use them first.
    fn free(&self) -> Option<u64> {
        None
    }

    /// Makes all previous creations, renames and removals durable.
    ///
    /// # Errors
    ///
    /// Errors of the operating system. It is unknown then what is durable, and from then on all
    /// creations, renames, removals and syncs through this value fail with `EIO`. A sync that runs
    /// on another thread at the same time fails, too, unless it has ended before.
    fn sync(&self) -> io::Result<()>;

    /// Whether a [`sync`](Self::sync) has failed.
    fn has_failed(&self) -> bool;
}

/// The lock of a [`Disk`], released on drop.
pub trait DiskLock: fmt::Debug + Send + Sync {}

/// A file of a [`Disk`]. All calls block until the operating system returns.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// The file's length in bytes.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn length(&self) -> io::Result<u64>;

    /// Reads at byte offset `at`. Returns the number of bytes read, which may be less than
    /// requested; 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes at byte offset `at`. Returns the number of bytes written, which may be less than
    /// given.
    ///
    /// # Errors
    ///
    /// Errors of the operating system. Nothing has been written by this call then.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Truncates the file to `length` bytes, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// Errors of the operating system.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes all written bytes and the length durable.
    ///
    /// # Errors
    ///
    /// Errors of the operating system. It is unknown then what is durable, and a later success does
    /// not cover the data for which this call failed.
    fn sync(&self) -> io::Result<()>;
}

/// Reads at byte offset `at` until `bytes` is full.
pub(crate) fn read_exactly(
    file: &dyn DiskFile,
    mut bytes: &mut [u8],
    mut at: u64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.read_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                bytes = bytes
                    .get_mut(count..)
                    .ok_or_else(|| io::Error::other("more bytes were read than requested"))?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` at byte offset `at`. After an error, any part of them may have been
/// written.
pub(crate) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = bytes
                    .get(count..)
                    .ok_or_else(|| io::Error::other("more bytes were written than given"))?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
