//! The title and the labels of a session, by which people find it.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;

/// What people call a session. Nothing depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// A name for people.
    pub title: Option<Arc<str>>,
    /// Values by their keys.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

impl Description {
    /// Whether there is neither a title nor a label.
    pub fn is_empty(&self) -> bool {
        self.title.is_none() && self.labels.is_empty()
    }

    /// Bytes of its texts.
    pub(crate) fn len(&self) -> usize {
        let labels = self.labels.iter();
        let labels = labels.map(|(key, value)| key.len() + value.len());
        self.title.as_ref().map_or(0, |title| title.len()) + labels.sum::<usize>()
    }
}
