//! Converts the views to a snapshot and back.

use super::{Snapshot, ViewSnapshot};
use crate::views::{Cursors, Gaps, Jobs, Lists, SessionView, Tombstones, Views};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

impl Views {
    /// The views that a snapshot was made of.
    pub(super) fn restored(snapshot: Snapshot) -> Self {
        let mut lists = Lists::default();
        let mut numbers = BTreeMap::new();
        let mut sessions: BTreeMap<_, Box<SessionView>> = BTreeMap::new();
        for from in snapshot.views {
            let view = SessionView::restored(from);
            if view.closed.is_none() {
                lists.enter(&view);
            }
            numbers.insert(view.id, view.number);
            sessions.insert(view.number, Box::new(view));
        }
        for (number, description) in snapshot.descriptions {
            if let Some(view) = sessions.get_mut(&number) {
                view.description = Some(description);
            }
        }
        Self {
            sessions,
            numbers,
            lists,
            ended: snapshot.ended.into(),
            removals: Tombstones::restored(snapshot.removals),
            revision: snapshot.revision,
            changed: snapshot.changed,
        }
    }

    pub(super) fn write_to(&self, snapshot: &mut Snapshot) {
        let Self {
            sessions,
            numbers: _,
            lists: _,
            ended,
            removals,
            revision,
            changed,
        } = self;
        let described = sessions.values();
        let described = described.filter_map(|view| Some((view.number, view.description.clone()?)));
        snapshot.descriptions = described.collect();
        snapshot.views = sessions.values().map(|view| view.snapshot()).collect();
        snapshot.ended = ended.iter().copied().collect();
        snapshot.removals = removals.snapshot();
        snapshot.revision = *revision;
        snapshot.changed = *changed;
    }
}

impl SessionView {
    fn restored(from: ViewSnapshot) -> Self {
        Self {
            id: from.id,
            number: from.number,
            service: from.service,
            user: from.user,
            description: None,
            remote: from.remote,
            created: from.created,
            last_sequence: from.last_sequence,
            closed: from.closed,
            foreground: from.foreground,
            since: from.since,
            revision: from.revision,
            changed: from.changed,
            gaps: Gaps::restored(from.gaps),
            cursors: Cursors::restored(from.consumers),
            jobs: Jobs::restored(from.jobs),
        }
    }

    fn snapshot(&self) -> ViewSnapshot {
        let Self {
            id,
            number,
            service,
            user,
            description: _,
            remote,
            created,
            last_sequence,
            closed,
            foreground,
            since,
            revision,
            changed,
            gaps,
            cursors,
            jobs,
        } = self;
        ViewSnapshot {
            id: *id,
            number: *number,
            service: service.clone(),
            user: user.clone(),
            remote: remote.clone(),
            created: *created,
            last_sequence: *last_sequence,
            closed: *closed,
            foreground: *foreground,
            since: *since,
            revision: *revision,
            changed: *changed,
            gaps: gaps.snapshot(),
            consumers: cursors.iter().collect(),
            jobs: jobs.all.values().cloned().collect(),
        }
    }
}
