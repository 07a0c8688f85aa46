//! Runs operations, removes some of their records, declares the gaps and continues: nothing may panic,
//! and the state and the views must agree.

use super::{Clocks, Operation};
use crate::{Command, Event, Limits, LossCause, Moment, Record, Sequence, State, Views};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Runs the operations, removes each record for whose index `is_lost` returns true (but never the
/// first of a session), declares the gaps, and runs `later` on the rest, as after a restart.
///
/// # Panics
///
/// When a remaining record is refused after a declared gap, when the views and the state disagree,
/// or when later records cannot be replayed.
pub fn play_with_holes(
    operations: &[(i64, Operation)],
    is_lost: impl Fn(usize) -> bool,
    later: &[(i64, Operation)],
) {
    let mut state = State::new(Limits::DEFAULT);
    let mut whole = Vec::new();
    let mut clocks = Clocks::default();
    for &(by, operation) in operations {
        whole.extend(step(&mut state, &mut clocks, by, operation));
    }

    let mut log = declare(whole, is_lost);
    let mut state = State::new(Limits::DEFAULT);
    let mut views = Views::default();
    for record in &log {
        add(&mut state, &mut views, record);
    }
    let now = state.last();
    let resumed = state
        .step(
            now,
            Command::Resume {
                kept: [].into(),
                lost: [].into(),
                by: None,
            },
        )
        .unwrap_or_default();
    assert!(
        state.sessions().all(|(_, open)| open.jobs().count() == 0),
        "promise 7: a job runs after a restart"
    );
    let mut since: Vec<_> = resumed.into_iter().map(|step| step.record).collect();
    for &(by, operation) in later {
        since.extend(step(&mut state, &mut clocks, by, operation));
    }
    since.iter().for_each(|record| views.apply(record));
    compare(&state, &views);

    log.extend(since);
    let mut replayed = State::new(Limits::DEFAULT);
    let mut replayed_views = Views::default();
    for record in &log {
        add(&mut replayed, &mut replayed_views, record);
    }
    assert_eq!(replayed, state, "promise 1: replay leads to another state");
    assert_eq!(
        replayed_views, views,
        "promise 1: replay leads to other views"
    );
}

/// The remaining records with a declared gap for the removed ones, before the next record of the
/// session or at the end.
fn declare(whole: Vec<Record>, is_lost: impl Fn(usize) -> bool) -> Vec<Record> {
    let mut kept: Vec<Record> = Vec::new();
    // Per session, the last remaining sequence and the last sequence.
    let mut ends = BTreeMap::new();
    for (index, record) in whole.into_iter().enumerate() {
        let (kept_to, end) = ends
            .entry(record.session)
            .or_insert((Sequence::START, Sequence::START));
        let before = *end;
        *end = record.sequence;
        if before > Sequence::START && is_lost(index) {
            continue;
        }
        if before > *kept_to {
            let at = kept.last().unwrap_or(&record).moment();
            kept.push(gap(&record, *kept_to, before, at));
        }
        *kept_to = record.sequence;
        kept.push(record);
    }
    let at = kept.last().map(Record::moment).unwrap_or_default();
    let tails: Vec<_> = kept
        .iter()
        .filter_map(|record| {
            let (kept_to, end) = ends.remove(&record.session)?;
            (end > kept_to).then(|| gap(record, kept_to, end, at))
        })
        .collect();
    // After the end of a session, only its removal record can be lost.
    let closed: Vec<_> = kept
        .iter()
        .filter(|record| matches!(record.event, Event::SessionClosed { .. }))
        .map(|record| record.session)
        .collect();
    kept.extend(
        tails
            .into_iter()
            .filter(|record| !closed.contains(&record.session)),
    );
    kept
}

fn gap(of: &Record, kept_to: Sequence, last: Sequence, now: Moment) -> Record {
    Record {
        session: of.session,
        sequence: last,
        at: now.at,
        clock: now.clock,
        actor: None,
        redacted: None,
        event: Event::RecordsLost {
            first: kept_to.next(),
            last,
            cause: LossCause::Damage,
        },
    }
}

fn step(
    state: &mut State,
    clocks: &mut Clocks,
    by: i64,
    operation: Operation,
) -> impl Iterator<Item = Record> + use<> {
    let now = clocks.turn(by);
    let steps = state.step(now, operation.command(state, now));
    steps
        .unwrap_or_default()
        .into_iter()
        .map(|step| step.record)
}

fn add(state: &mut State, views: &mut Views, record: &Record) {
    assert_eq!(
        state.validate(record),
        Ok(()),
        "promise 5: {record:?} is refused after a declared gap"
    );
    state.apply(record);
    views.apply(record);
}

fn compare(state: &State, views: &Views) {
    assert_eq!(views.open_count(), state.sessions().count());
    for (id, session) in state.sessions() {
        let view = views.session(id);
        let view = view.unwrap_or_else(|| panic!("session {id} is missing in the views"));
        assert_eq!(view.last_sequence, session.last_sequence());
        assert_eq!(view.foreground, session.foreground());
        assert_eq!(view.is_busy(), session.jobs().count() > 0);
        assert_eq!(view.consumers().count(), session.consumers().count());
        assert_eq!(view.gaps.lost() > 0, session.is_incomplete());
    }
}
