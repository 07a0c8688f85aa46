//! The text of `/metrics`, read strictly: what Prometheus would only warn of fails here.

use std::collections::{BTreeMap, BTreeSet};

/// What was exposed: of each name its type, and each sample once.
#[derive(Debug)]
pub(crate) struct Exposition {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Exposition {
    pub(super) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'));
        let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = line
                .strip_prefix("# HELP ")
                .unwrap()
                .split_once(' ')
                .unwrap();
            assert!(help.ends_with('.'), "{line}");
            let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
            let kind = kind.strip_prefix(name).unwrap().trim_start();
            check_name(name, kind);
            let known = kinds.insert(name.to_owned(), kind.to_owned());
            assert!(known.is_none(), "{name} is there twice");
            let mut own = vec![];
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite() && value >= 0.0, "{line}");
                let known = samples.insert(sample.to_owned(), value);
                assert!(known.is_none(), "{sample} is there twice");
                own.push((sample, value));
            }
            assert!(!own.is_empty(), "{name} has no value");
            match kind {
                "histogram" => check_histogram(name, &own),
                _ => own.iter().for_each(|(sample, _)| check_of(name, sample)),
            }
        }
        Self { kinds, samples }
    }

    pub(crate) fn value(&self, sample: &str) -> f64 {
        let value = self.samples.get(sample);
        *value.unwrap_or_else(|| panic!("{sample} is not among {:#?}", self.samples.keys()))
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.kinds.keys().cloned().collect()
    }

    /// Totals never shrink, and the same are there.
    pub(super) fn has_only_grown_to(&self, later: &Self) {
        assert_eq!(self.kinds, later.kinds);
        for (sample, value) in &self.samples {
            let after = later.value(sample);
            let name = sample.split('{').next().unwrap();
            let is_total = name.ends_with("_total") || name.ends_with("_count");
            assert!(
                !is_total || after >= *value,
                "{sample}: {value}, then {after}"
            );
        }
    }
}

fn check_name(name: &str, kind: &str) {
    let is_ours = name.starts_with("rejoin_") || name.starts_with("process_");
    let is_plain = name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
    assert!(is_ours && is_plain, "{name}");
    assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
    assert!(["counter", "gauge", "histogram"].contains(&kind), "{kind}");
    for unit in ["milli", "micro", "kilo", "minutes", "percent"] {
        assert!(!name.contains(unit), "{name} is not in a base unit");
    }
}

/// A sample is of its name, and has labels that Prometheus takes.
fn check_of(name: &str, sample: &str) {
    let rest = sample.strip_prefix(name).unwrap();
    if rest.is_empty() {
        return;
    }
    let labels = rest.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    for label in labels.split(',') {
        let (label, value) = label.split_once('=').unwrap();
        assert!(label.bytes().all(|it| it.is_ascii_lowercase()), "{sample}");
        let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"_.+-".contains(&it);
        assert!(value.bytes().all(is_plain), "{sample}");
    }
}

/// Buckets grow up to the count, and there is a sum.
fn check_histogram(name: &str, own: &[(&str, f64)]) {
    let (bucket, sum, count) = ["_bucket", "_sum", "_count"]
        .map(|it| format!("{name}{it}"))
        .into();
    let mut last = 0.0;
    let mut has_sum = false;
    for (sample, value) in own {
        if sample.starts_with(&bucket) {
            check_of(&bucket, sample);
            assert!(*value >= last, "{sample} is less than the one before");
            last = *value;
        } else if sample.starts_with(&sum) {
            check_of(&sum, sample);
            has_sum = true;
        } else {
            check_of(&count, sample);
            assert!(has_sum && *value == last, "{sample}");
            (last, has_sum) = (0.0, false);
        }
    }
}
