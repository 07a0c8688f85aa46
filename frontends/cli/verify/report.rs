//! What was found, in words for a person and as JSON for a program.

use super::Verdict;
use rejoin_log::segment::{DamagedPlace, Missing, Torn};
use serde_json::{Value, json};
use std::fmt::Write;

/// Of one place, so many sessions are told in words. JSON tells them all.
const TOLD_SESSIONS: usize = 10;

/// The report that a person can act on.
pub(super) fn words(verdict: &Verdict) -> String {
    let mut words = Words(String::new());
    let found = &verdict.findings;
    let state = if verdict.is_sound() {
        "sound"
    } else if found.is_sound() {
        "not sound"
    } else {
        "damaged"
    };
    words.line(&format!(
        "The log in {} is {state}.",
        verdict.directory.display()
    ));
    words.line(&format!(
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
        words.place(number, place, missing);
    }
    if found.lost_unnamed() > 0 {
        words.line(&format!(
            "\n{} of those cannot be named: they were the last of their sessions, or whole sessions.",
            count(found.lost_unnamed(), "record")
        ));
    }
    if let Some(torn) = &found.torn {
        words.torn(torn);
    }
    words.transitions(verdict);
    if !verdict.is_sound() {
        words.advice(verdict);
    }
    words.0.trim_end().to_owned()
}

struct Words(String);

impl Words {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn place<'a>(
        &mut self,
        number: usize,
        place: &DamagedPlace,
        missing: impl Iterator<Item = &'a Missing>,
    ) {
        let file = place.file.file_name().unwrap_or_default().display();
        let (start, end) = (place.bytes.start, place.bytes.end);
        let at = match end.checked_sub(1) {
            Some(last) if last >= start => format!("bytes {start} to {last}"),
            _ => format!("byte {start}"),
        };
        let lost = match place.lost {
            Some(0) => "nothing is lost".to_owned(),
            Some(lost) => format!("{} lost", count(lost, "record")),
            None => "how many records are lost cannot be known".to_owned(),
        };
        self.line(&format!(
            "\n{}. {file}, {at}: {}; {lost}.",
            number.saturating_add(1),
            place.reason
        ));
        let missing: Vec<_> = missing.collect();
        for gap in missing.iter().take(TOLD_SESSIONS) {
            let sequences = if gap.first == gap.last {
                format!("sequence {}", gap.first)
            } else {
                format!("sequences {} to {}", gap.first, gap.last)
            };
            let places = if gap.places.len() > 1 {
                format!(", here or in a place down to {}", gap.places.end)
            } else {
                String::new()
            };
            self.line(&format!(
                "   Session {} lacks {sequences}{places}.",
                gap.session
            ));
        }
        if let Some(more) = missing.len().checked_sub(TOLD_SESSIONS)
            && more > 0
        {
            self.line(&format!(
                "   So do {} more gaps; --json tells them all.",
                grouped(more as u64)
            ));
        }
        if missing.is_empty()
            && place.lost != Some(0)
            && let Some((session, sequence)) = place.record
        {
            self.line(&format!(
                "   The record says that it is sequence {sequence} of session {session}."
            ));
        }
    }

    fn torn(&mut self, torn: &Torn) {
        let file = torn.file.file_name().unwrap_or_default().display();
        let records = torn.records.map_or_else(String::new, |records| {
            format!(", of {},", count(records, "record"))
        });
        self.line(&format!(
            "\nThe last append was torn by a crash: {}{records} from byte {} of {file} on. It was \
             never acknowledged, so nothing is lost; the next start cuts it off.",
            count(torn.bytes, "byte"),
            torn.byte
        ));
    }

    fn transitions(&mut self, verdict: &Verdict) {
        let (told, all) = &verdict.violations;
        if *all > 0 {
            self.line(&format!(
                "\n{} cannot follow the records before:",
                count(*all, "record")
            ));
            for violation in told {
                self.line(&format!(
                    "   Session {}, sequence {}: {}.",
                    violation.session, violation.sequence, violation.reason
                ));
            }
        }
        let behind = verdict.transitions.unchecked();
        if behind > 0 {
            self.line(&format!(
                "\nChecked for their order only, because something before them is missing: {}.",
                count(behind, "record")
            ));
        }
    }

    fn advice(&mut self, verdict: &Verdict) {
        self.line(&format!(
            "\nStill readable, as they were written: {} of {}.",
            count(verdict.findings.records, "record"),
            count(verdict.findings.sessions, "session")
        ));
        self.line(
            "The server refuses to serve this log, and nothing has been changed. Keep a copy of \
             the directory before you do anything, put the damaged files back from a backup if \
             there is one, and look at the disk that they are on.",
        );
    }
}

/// A number with the word for what it counts.
fn count(number: u64, word: &str) -> String {
    let shown = grouped(number);
    match (number, word) {
        (1, word) => format!("{shown} {word}"),
        (_, "batch") => format!("{shown} batches"),
        (_, word) => format!("{shown} {word}s"),
    }
}

/// A number with its digits in groups of three.
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
