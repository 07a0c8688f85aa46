//! A log whose bytes are not what was written.

mod checksum;
mod edit;
mod opened;
mod verified;
mod written;

use arbitrary::{Arbitrary, Unstructured};
use edit::Edit;
use opened::open;
use rejoin_log::segment::OpenError;
use rejoin_log::testing::SimulatedDisk;
use rejoin_log::{Log, ReadLimit};
use std::collections::BTreeMap;
use std::fmt;
use verified::verify_and_open;
use written::{Plan, Written};

/// What becomes of a log before it is read.
#[derive(Clone)]
pub struct Attack<'a>(Way<'a>);

#[derive(Clone)]
enum Way<'a> {
    /// A sound log is damaged, and then opened: only what was appended is read, a batch as a whole
    /// or not at all.
    Damage(Plan, Vec<Edit>),
    /// As `Damage`, and the checksums are made good: nobody can know what was appended, but the
    /// log has to agree with itself.
    Forgery(Plan, Vec<Edit>),
    /// A sound log is damaged while it is open, and then read.
    Rot(Plan, Vec<Edit>),
    /// Bytes from anywhere are the log's only segment.
    Bytes(Bytes<'a>),
}

/// A segment from anywhere.
#[derive(Arbitrary, Clone)]
struct Bytes<'a> {
    /// Whether its name says that it was sealed.
    is_sealed: bool,
    /// Whether its checksums are made good.
    is_forged: bool,
    bytes: &'a [u8],
}

impl Attack<'_> {
    /// Carries out the attack.
    ///
    /// # Panics
    ///
    /// When the log gives what it must not, cuts what was sealed, or changes what it refuses.
    pub fn check(&self) {
        match &self.0 {
            Way::Damage(plan, edits) => damage(plan.written(), edits),
            Way::Forgery(plan, edits) => {
                let disk = plan.written().disk();
                edits.iter().for_each(|edit| edit.make(&disk));
                for name in disk.file_names() {
                    let mut bytes = disk.bytes(&name).unwrap_or_default();
                    checksum::make_good(&mut bytes);
                    disk.put(&name, &bytes);
                }
                if let (_, Ok(opened)) = verify_and_open(&disk) {
                    opened.check();
                }
            }
            Way::Rot(plan, edits) => rot(plan.written(), edits),
            Way::Bytes(segment) => {
                let mut bytes = segment.bytes.to_vec();
                if segment.is_forged {
                    checksum::make_good(&mut bytes);
                }
                let disk = SimulatedDisk::new();
                disk.put(&edit::name(1, segment.is_sealed), &bytes);
                if let (_, Ok(opened)) = verify_and_open(&disk) {
                    opened.check();
                }
            }
        }
    }
}

fn damage(written: &Written, edits: &[Edit]) {
    let disk = written.disk();
    edits.iter().for_each(|edit| edit.make(&disk));
    let files_stay = !edits.iter().any(Edit::moves_files);
    let (verified, opened) = verify_and_open(&disk);
    let Some(verified) = verified else {
        panic!("damage was taken for a newer version");
    };
    // A frame's checksum doesn't say where it stands: one that was copied elsewhere, into a batch
    // that is damaged by it, may be reported there, before its turn in the log but once at most.
    let mut last = BTreeMap::new();
    for record in &verified.records {
        let is_appended = written.records().any(|it| it == record);
        assert!(is_appended, "{record:?} was read, and was not appended");
        let before = last.insert(record.session, record.sequence);
        assert!(
            before < Some(record.sequence),
            "{record:?} after {before:?}"
        );
    }
    match opened {
        Ok(opened) => {
            let read = opened.records.len();
            assert!(
                written.ends().any(|end| end == read),
                "a part of a batch was read"
            );
            let appended = written.records().take(read);
            assert!(
                opened.records.iter().eq(appended),
                "what was read was not appended: {:?}",
                opened.records
            );
            if files_stay {
                assert!(read >= written.sealed, "a part of a sealed segment was cut");
            }
            opened.check();
        }
        Err(OpenError::Damaged(_)) => {}
        Err(error) => panic!("not as damage: {error}"),
    }
}

fn rot(written: &Written, edits: &[Edit]) {
    let disk = written.disk();
    let opened = open(&disk).unwrap_or_else(|error| panic!("a sound log was refused: {error}"));
    edits.iter().for_each(|edit| edit.make(&disk));
    let reader = opened.log.reader();
    for (session, appended) in opened.sessions() {
        let mut last = rejoin_core::Sequence::START;
        for record in appended {
            let limit = ReadLimit {
                records: 1,
                bytes: 1,
            };
            match reader.read(session, last, limit) {
                Ok(read) => assert!(
                    matches!(&read[..], [read] if **read == record),
                    "{read:?} was read where {record:?} was appended"
                ),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
            last = last.next();
        }
    }
}

impl<'a> Arbitrary<'a> for Attack<'a> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Self::arbitrary_take_rest(Unstructured::new(bytes.bytes(bytes.len())?))
    }

    fn arbitrary_take_rest(mut bytes: Unstructured<'a>) -> arbitrary::Result<Self> {
        let attack = match u8::arbitrary(&mut bytes)? % 4 {
            0 => Way::Damage,
            1 => Way::Forgery,
            2 => Way::Rot,
            _ => {
                let segment = Bytes::arbitrary_take_rest(bytes)?;
                return Ok(Self(Way::Bytes(segment)));
            }
        };
        let plan = Plan::arbitrary(&mut bytes)?;
        Ok(Self(attack(plan, Edit::all(&mut bytes)?)))
    }
}

/// A line for each edit.
impl fmt::Debug for Attack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (way, plan, edits) = match &self.0 {
            Way::Damage(plan, edits) => ("damage to", plan, edits),
            Way::Forgery(plan, edits) => ("forgery of", plan, edits),
            Way::Rot(plan, edits) => ("rot of", plan, edits),
            Way::Bytes(segment) => {
                let name = edit::name(1, segment.is_sealed);
                let forged = if segment.is_forged { ", forged" } else { "" };
                return write!(f, "{name}{forged}: {}", segment.bytes.escape_ascii());
            }
        };
        writeln!(f, "{way} {plan:?}")?;
        edits.iter().try_for_each(|edit| writeln!(f, "{edit:?}"))
    }
}
