//! The few things that the log asks of a file system, as a trait, so that tests can put a disk
//! that fails, or forgets, in its place.
//!
//! A [`Disk`] is one flat directory; a [`DiskFile`] is a file in it, read and written at given
//! places. What has been written is durable after `sync`, and not before; so is a name after
//! [`Disk::sync`].

mod directory;
mod overlay;

pub use directory::Directory;
pub use overlay::Overlay;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A directory that holds the files of one log. All calls block until the operating system has
/// answered.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;

    /// Takes the directory's lock, which is held until the answer is dropped or the process dies.
    /// `None` when somebody else holds it, and goes on holding it for a moment.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn lock(&self) -> io::Result<Option<Box<dyn DiskLock>>>;

    /// The names of all files, in no certain order.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Creates an empty file to read and write, in the place of one that has this name.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to read.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to read and write.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn open_writable(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name, at once; open files are not affected.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says. What is durable then is unknown.
    fn sync(&self) -> io::Result<()>;
}

/// The lock of a [`Disk`], held as long as this lives.
pub trait DiskLock: fmt::Debug + Send + Sync {}

/// One file of a [`Disk`]. All calls block until the operating system has answered.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// The file's length in bytes.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Reads bytes from byte `at` on, as many as there happen to be, and says how many; 0 at the
    /// file's end.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes bytes from byte `at` on, as many as happen to go, and says how many.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says. Nothing of this call has been written then.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<usize>;

    /// Cuts the file off at `length`, or fills it up with zeros.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Makes all that has been written, and the length, durable.
    ///
    /// # Errors
    ///
    /// Whatever the operating system says. What is durable then is unknown, and a later success
    /// says nothing about what this call failed for.
    fn sync(&self) -> io::Result<()>;
}

/// Fills `bytes` from byte `at` on.
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
                    .ok_or_else(|| io::Error::other("more bytes were read than asked for"))?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` from byte `at` on. After an error, any part of them may be there.
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
