//! The sessions in Arthas that are not closed, in files: after a crash the next process closes them,
//! so that no command goes on in the JVM that nobody reads.

use crate::limits::ID;
use std::io;
use std::path::{Path, PathBuf};

/// A directory with an empty file for each open session in Arthas. The name of the file is the
/// identity of the session.
#[derive(Clone, Debug)]
pub(crate) struct UnclosedSessions(PathBuf);

impl UnclosedSessions {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }

    /// All sessions that are recorded.
    pub(crate) fn all(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name()));
        let names: Vec<_> = names.collect::<io::Result<_>>()?;
        let names = names.into_iter().filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| is_id(name)).collect())
    }

    pub(crate) fn add(&self, session: &str) -> io::Result<()> {
        std::fs::write(self.file(session)?, "")
    }

    pub(crate) fn remove(&self, session: &str) -> io::Result<()> {
        std::fs::remove_file(self.file(session)?)
    }

    /// An identity comes from outside: only what can't lead out of the directory becomes a name.
    fn file(&self, session: &str) -> io::Result<PathBuf> {
        match is_id(session) {
            true => Ok(Path::new(&self.0).join(session)),
            false => Err(io::Error::other("an unusual session ID of Arthas")),
        }
    }
}

fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=ID).contains(&text.len()) && text.bytes().all(is_plain)
}
