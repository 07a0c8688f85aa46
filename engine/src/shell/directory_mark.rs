//! The mark of a data directory: by it the processes of this directory's jobs are found, and no
//! others.
//!
//! It is in a file, bound to the directory that holds it: a copy of the directory finds that the
//! file is another directory's, and takes a new mark. Otherwise a server on a copy would kill the
//! jobs of the original.
//!
//! A directory is known by its inode, its time of creation and its device. Neither a move within a
//! file system nor a bind mount changes them; `cp`, `rsync`, a restored backup, hard links and
//! snapshots do. Where that is uncertain, the mark is a new one: then processes of a crashed server
//! may be left, but no other server's are killed.

use std::fmt::Write;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// The mark of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DirectoryMark {
    pub(super) mark: String,
    /// Whether the directory had a mark that is another directory's: it is a copy, or was moved to
    /// another file system.
    pub(super) is_copy: bool,
}

impl DirectoryMark {
    /// Reads the mark of a directory. If it has none, or that of another directory, it gets one made
    /// of `random`.
    ///
    /// # Errors
    ///
    /// When the file of the mark can't be read or written.
    pub(super) fn open(directory: &Path, random: [u8; 16]) -> io::Result<Self> {
        let file = directory.join(FILE);
        let found = match fs::read_to_string(&file) {
            Ok(text) => Found::decode(&text),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => {
                None
            }
            Err(error) => return Err(error),
        };
        // Before the directory is looked at: on an overlay, the first change of a directory makes it
        // another one.
        let new = directory.join(NEW);
        let mut writer = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        let place = Place::of(directory)?;
        let is_copy = match found {
            Some(found) if found.place.is(&place) => {
                fs::remove_file(&new)?;
                return Ok(Self {
                    mark: found.mark,
                    is_copy: false,
                });
            }
            Some(found) => !found.place.may_be(&place),
            None => false,
        };
        let mark = hex(&random);
        writer.write_all(Found::encode(&mark, &place).as_bytes())?;
        drop(writer);
        fs::rename(&new, &file)?;
        Ok(Self { mark, is_copy })
    }
}

/// A mark, and the directory that it was made for.
struct Found {
    mark: String,
    place: Place,
}

impl Found {
    fn encode(mark: &str, place: &Place) -> String {
        let Place {
            inode,
            device,
            created,
            boot,
        } = place;
        format!(
            "mark {mark}\ninode {inode}\ndevice {device}\ncreated {}\nboot {}\n",
            created.as_deref().unwrap_or(UNKNOWN),
            boot.as_deref().unwrap_or(UNKNOWN)
        )
    }

    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut value = |name: &str| {
            let (found, value) = lines.next()?.split_once(' ')?;
            (found == name && !value.is_empty()).then(|| value.to_owned())
        };
        let known = |value: String| (value != UNKNOWN).then_some(value);
        Some(Self {
            mark: value("mark")?,
            place: Place {
                inode: value("inode")?.parse().ok()?,
                device: value("device")?.parse().ok()?,
                created: known(value("created")?),
                boot: known(value("boot")?),
            },
        })
    }
}

/// Where a directory is.
struct Place {
    inode: u64,
    /// May be another number after the machine was started again.
    device: u64,
    /// Seconds and nanoseconds since 1970. None if the file system does not tell.
    created: Option<String>,
    /// The start of the machine, where the system tells.
    boot: Option<String>,
}

impl Place {
    fn of(directory: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(directory)?;
        let created = metadata.created().ok();
        let created = created.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        Ok(Self {
            inode: metadata.ino(),
            device: metadata.dev(),
            created: created.map(|at| format!("{}.{:09}", at.as_secs(), at.subsec_nanos())),
            boot: boot.map(|boot| boot.trim().to_owned()),
        })
    }

    /// Whether it is certainly the same directory.
    fn is(&self, now: &Self) -> bool {
        self.is_node(now) && self.device == now.device
    }

    /// Whether it may be the same directory: only the device has another number, and the machine was
    /// started since.
    fn may_be(&self, now: &Self) -> bool {
        self.is_node(now) && self.boot != now.boot
    }

    fn is_node(&self, now: &Self) -> bool {
        self.inode == now.inode && self.created == now.created
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const FILE: &str = "mark";
const NEW: &str = "mark.new";
const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    fn open(directory: &Path, random: u8) -> (String, bool) {
        let opened = DirectoryMark::open(directory, [random; 16]).unwrap();
        assert!(!directory.join(NEW).exists());
        (opened.mark, opened.is_copy)
    }

    #[test]
    fn a_directory_keeps_its_mark_and_a_copy_takes_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let [original, moved, copy] =
            ["original", "moved", "copy"].map(|name| parent.path().join(name));
        fs::create_dir(&original).unwrap();
        assert_eq!(open(&original, 1), (hex(&[1; 16]), false));
        assert_eq!(open(&original, 2), (hex(&[1; 16]), false));

        fs::create_dir(&copy).unwrap();
        // As of `cp -al`: even the file is the same.
        fs::hard_link(original.join(FILE), copy.join(FILE)).unwrap();
        assert_eq!(open(&copy, 3), (hex(&[3; 16]), true));
        // It is said once.
        assert_eq!(open(&copy, 4), (hex(&[3; 16]), false));
        assert_eq!(open(&original, 5), (hex(&[1; 16]), false));

        fs::rename(&original, &moved).unwrap();
        assert_eq!(open(&moved, 6), (hex(&[1; 16]), false));
        // A backup that is restored into the directory that it was made of.
        fs::copy(moved.join(FILE), parent.path().join("backup")).unwrap();
        fs::rename(parent.path().join("backup"), moved.join(FILE)).unwrap();
        assert_eq!(open(&moved, 7), (hex(&[1; 16]), false));
    }

    #[test]
    fn another_device_is_a_copy_unless_the_machine_was_started_since() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let change = |from: fn(&str) -> bool, to: &str| {
            let text = fs::read_to_string(directory.join(FILE)).unwrap();
            let lines = text.lines().map(|line| if from(line) { to } else { line });
            fs::write(
                directory.join(FILE),
                lines.map(|line| format!("{line}\n")).collect::<String>(),
            )
            .unwrap();
        };
        let device = |line: &str| line.starts_with("device ");
        let boot = |line: &str| line.starts_with("boot ");
        open(directory, 1);
        change(boot, "boot earlier");
        assert_eq!(
            open(directory, 2),
            (hex(&[1; 16]), false),
            "the device is the same"
        );
        change(device, "device 0");
        assert_eq!(open(directory, 3), (hex(&[3; 16]), false));
        change(device, "device 0");
        assert_eq!(open(directory, 4), (hex(&[4; 16]), true));
        change(|line| line.starts_with("created "), "created 1.000000001");
        assert_eq!(open(directory, 5), (hex(&[5; 16]), true));
    }

    #[test]
    fn a_file_that_is_no_mark_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for text in [&b""[..], b"mark", b"mark \n", b"mark x\ninode y\n", b"\xff"] {
            fs::write(directory.join(FILE), text).unwrap();
            assert_eq!(open(directory, 1), (hex(&[1; 16]), false));
        }
    }
}
