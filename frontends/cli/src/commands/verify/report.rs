//! The report: text for people and JSON for programs.

use super::Verdict;
use rejoin_core::{LossCause, Sequence};
use rejoin_engine::Salvaged;
use rejoin_log::segment::{DamagedPlace, DeclaredGap, MissingRecords, TornTail};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// The most sessions listed per damaged place in text; JSON has all.
const LISTED_SESSIONS: usize = 10;

/// The report as text.
pub(super) fn text(verdict: &Verdict) -> String {
    let mut report = Text(String::new());
    let found = &verdict.findings;
    let state = if verdict.is_sound() {
        "intact"
    } else if found.is_sound() {
        "invalid"
    } else {
        "damaged"
    };
    report.line(&format!(
        "The log in {} is {state}.",
        verdict.directory.display()
    ));
    report.line(&format!(
        "Read {} in {}: {} in {}, of {}.",
        count(found.bytes, "byte"),
        count(found.segments as u64, "segment"),
        count(found.records, "record"),
        count(found.batches, "batch"),
        count(found.sessions, "session"),
    ));
    for (number, place) in found.damaged.iter().enumerate() {
        let missing = found
            .missing
            .iter()
            .filter(|gap| gap.places.start == number);
        report.place(number, place, missing);
    }
    if found.lost_unnamed() > 0 {
        report.line(&format!(
            "\nOf those, {} cannot be identified: the last records of sessions, or whole sessions.",
            count(found.lost_unnamed(), "record")
        ));
    }
    if let Some(torn) = &found.torn {
        report.torn(torn);
    }
    report.declared(&found.declared);
    report.transitions(verdict);
    if !verdict.is_sound() {
        report.advice(verdict);
    }
    if let Some((directory, salvaged)) = &verdict.salvaged {
        report.salvaged(directory, salvaged);
    }
    report.0.trim_end().to_owned()
}

struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn place<'a>(
        &mut self,
        number: usize,
        place: &DamagedPlace,
        missing: impl Iterator<Item = &'a MissingRecords>,
    ) {
        let file = place.file.file_name().unwrap_or_default().display();
        let (start, end) = (place.bytes.start, place.bytes.end);
        let at = match end.checked_sub(1) {
            Some(last) if last >= start => format!("bytes {start} to {last}"),
            _ => format!("byte {start}"),
        };
        let lost = match place.lost {
            Some(0) => "nothing lost".to_owned(),
            Some(lost) => format!("{} lost", count(lost, "record")),
            None => "unknown number of records lost".to_owned(),
        };
        self.line(&format!(
            "\n{}. {file}, {at}: {}; {lost}.",
            number.saturating_add(1),
            place.reason
        ));
        let missing: Vec<_> = missing.collect();
        for gap in missing.iter().take(LISTED_SESSIONS) {
            let sequences = sequences(gap.first, gap.last);
            let places = if gap.places.len() > 1 {
                format!(", here or in one of the places up to {}", gap.places.end)
            } else {
                String::new()
            };
            self.line(&format!(
                "   Session {}: missing {sequences}{places}.",
                gap.session
            ));
        }
        self.more_gaps(missing.len());
        if missing.is_empty()
            && place.lost != Some(0)
            && let Some((session, sequence)) = place.record
        {
            self.line(&format!(
                "   According to its header, the record is sequence {sequence} of session {session}."
            ));
        }
    }

    fn torn(&mut self, torn: &TornTail) {
        let file = torn.file.file_name().unwrap_or_default().display();
        let records = torn.records.map_or_else(String::new, |records| {
            format!(", of {},", count(records, "record"))
        });
        self.line(&format!(
            "\nThe last write is incomplete after a crash: {}{records} from byte {} of {file}. It was \
             never acknowledged, so nothing is lost; the next start cuts it off.",
            count(torn.bytes, "byte"),
            torn.byte
        ));
    }

    /// Gaps that the log itself records.
    fn declared(&mut self, declared: &[DeclaredGap]) {
        let (damage, removals): (Vec<&DeclaredGap>, Vec<&DeclaredGap>) = declared
            .iter()
            .partition(|gap| gap.cause == LossCause::Damage);
        if !damage.is_empty() {
            self.line(&format!(
                "\nThe log was salvaged before and records {}:",
                count(damage.len() as u64, "gap")
            ));
            for gap in damage.iter().take(LISTED_SESSIONS) {
                let sequences = sequences(gap.first, gap.last);
                self.line(&format!("   Session {}: missing {sequences}.", gap.session));
            }
            self.more_gaps(damage.len());
        }
        let deleted = removals.iter().filter(|gap| gap.is_deletion).count();
        for (how, sessions) in [
            (
                "Removed by retention of closed sessions",
                removals.len() - deleted,
            ),
            ("Deleted by a request", deleted),
        ] {
            if sessions > 0 {
                let sessions = count(sessions as u64, "session");
                self.line(&format!("\n{how}: {sessions}."));
            }
        }
    }

    fn salvaged(&mut self, directory: &Path, salvaged: &Salvaged) {
        self.line(&format!(
            "\nWrote {1} to {0}.",
            directory.display(),
            count(salvaged.records, "record")
        ));
        if !salvaged.gaps.is_empty() {
            self.line(&format!(
                "The new log records {}:",
                count(salvaged.gaps.len() as u64, "gap")
            ));
            for gap in salvaged.gaps.iter().take(LISTED_SESSIONS) {
                let sequences = sequences(gap.first, gap.last);
                self.line(&format!("   Session {}: missing {sequences}.", gap.session));
            }
            self.more_gaps(salvaged.gaps.len());
        }
        for (session, records) in &salvaged.dropped {
            if *records == 0 {
                self.line(&format!(
                    "   Session {session} was dropped: nothing readable is left of it."
                ));
                continue;
            }
            self.line(&format!(
                "   Session {session} was dropped, because its start is lost: {} left out.",
                count(*records, "record")
            ));
        }
        for violation in &salvaged.rejected {
            self.line(&format!(
                "   Session {}, sequence {} was dropped: {}.",
                violation.session, violation.sequence, violation.reason
            ));
        }
        self.line(&format!(
            "Start a server on it with `rejoin serve --data {}`.",
            directory.display()
        ));
    }

    fn more_gaps(&mut self, all: usize) {
        if let Some(more) = all.checked_sub(LISTED_SESSIONS)
            && more > 0
        {
            self.line(&format!(
                "   … and {} more gaps; --json lists them all.",
                grouped(more as u64)
            ));
        }
    }

    fn transitions(&mut self, verdict: &Verdict) {
        let (listed, all) = &verdict.violations;
        if *all > 0 {
            self.line(&format!(
                "\n{} not valid after the records before:",
                count(*all, "record")
            ));
            for violation in listed {
                self.line(&format!(
                    "   Session {}, sequence {}: {}.",
                    violation.session, violation.sequence, violation.reason
                ));
            }
        }
        let behind = verdict.transitions.unchecked();
        if behind > 0 {
            self.line(&format!(
                "\nOnly the order was checked for {}, because records before are missing.",
                count(behind, "record")
            ));
        }
    }

    fn advice(&mut self, verdict: &Verdict) {
        self.line(&format!(
            "\nStill readable: {} of {}.",
            count(verdict.findings.records, "record"),
            count(verdict.findings.sessions, "session")
        ));
        self.line(
            "Nothing was changed, and the server does not start on a damaged log. First copy the \
             directory. Then restore the damaged files from a backup, if there is one, and check \
             the disk.",
        );
        if verdict.salvaged.is_none() {
            self.line(
                "Without a backup, `rejoin verify --salvage OUT` writes everything intact to a new log.",
            );
        }
    }
}

fn sequences(first: Sequence, last: Sequence) -> String {
    if first == last {
        format!("sequence {first}")
    } else {
        format!("sequences {first} to {last}")
    }
}

/// A count with its noun.
fn count(number: u64, word: &str) -> String {
    let shown = grouped(number);
    match (number, word) {
        (1, word) => format!("{shown} {word}"),
        (_, "batch") => format!("{shown} batches"),
        (_, word) => format!("{shown} {word}s"),
    }
}

/// A number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        let _ = write!(shown, "{digit}");
    }
    shown
}

/// The report as one object.
pub(super) fn json(verdict: &Verdict) -> String {
    let found = &verdict.findings;
    let record = |session: &dyn ToString, sequence: u64| json!({"session": session.to_string(), "sequence": sequence});
    let damaged: Vec<Value> = found
        .damaged
        .iter()
        .map(|place| {
            json!({
                "file": place.file,
                "firstByte": place.bytes.start,
                "endByte": place.bytes.end,
                "reason": place.reason,
                "lostRecords": place.lost,
                "record": place.record.map(|(session, sequence)| record(&session, sequence.0)),
            })
        })
        .collect();
    let missing: Vec<Value> = found
        .missing
        .iter()
        .map(|gap| {
            json!({
                "session": gap.session.to_string(),
                "firstSequence": gap.first.0,
                "lastSequence": gap.last.0,
                "places": gap.places.clone().collect::<Vec<_>>(),
            })
        })
        .collect();
    let torn = found.torn.as_ref().map(|torn| {
        json!({
            "file": torn.file,
            "firstByte": torn.byte,
            "bytes": torn.bytes,
            "records": torn.records,
            "reason": torn.reason,
        })
    });
    let violations: Vec<Value> = verdict
        .violations
        .0
        .iter()
        .map(|violation| {
            let mut value = record(&violation.session, violation.sequence.0);
            value["reason"] = violation.reason.into();
            value
        })
        .collect();
    let declared: Vec<Value> = found
        .declared
        .iter()
        .map(|gap| {
            json!({
                "session": gap.session.to_string(),
                "firstSequence": gap.first.0,
                "lastSequence": gap.last.0,
                "cause": match gap.cause {
                    _ if gap.is_deletion => "deletion",
                    cause => cause.name(),
                },
            })
        })
        .collect();
    let salvage = verdict
        .salvaged
        .as_ref()
        .map(|(directory, salvaged)| salvage_json(directory, salvaged));
    let report = json!({
        "directory": verdict.directory,
        "log": found.log.map(|log| log.to_string()),
        "sound": verdict.is_sound(),
        "segments": found.segments,
        "bytes": found.bytes,
        "batches": found.batches,
        "records": found.records,
        "sessions": found.sessions,
        "damaged": damaged,
        "missing": missing,
        "declared": declared,
        "salvage": salvage,
        "lostRecords": found.lost(),
        "lostUnnamed": found.lost_unnamed(),
        "torn": torn,
        "violations": violations,
        "violationCount": verdict.violations.1,
        "transitionsChecked": verdict.transitions.checked(),
        "orderChecked": verdict.transitions.unchecked(),
    });
    report.to_string()
}

fn salvage_json(directory: &Path, salvaged: &Salvaged) -> Value {
    let gaps = salvaged.gaps.iter().map(|gap| {
        json!({
            "session": gap.session.to_string(),
            "firstSequence": gap.first.0,
            "lastSequence": gap.last.0,
        })
    });
    let dropped = salvaged.dropped.iter().map(
        |(session, records)| json!({"session": session.to_string(), "readableRecords": records}),
    );
    let rejected = salvaged.rejected.iter().map(|violation| {
        json!({
            "session": violation.session.to_string(),
            "sequence": violation.sequence.0,
            "reason": violation.reason,
        })
    });
    json!({
        "directory": directory,
        "records": salvaged.records,
        "gaps": gaps.collect::<Vec<_>>(),
        "dropped": dropped.collect::<Vec<_>>(),
        "rejected": rejected.collect::<Vec<_>>(),
    })
}
