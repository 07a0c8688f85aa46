//! Writes the text format of Prometheus: the help and the type of each metric, then a line for each
//! value.
//!
//! Invariant: each name is written once, and label values are escaped.

use rejoin_metrics::HistogramSnapshot;
use std::fmt::{Display, Write};

pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text so far.
#[derive(Debug, Default)]
pub(crate) struct Text(String);

/// The labels of a value: names and values.
pub(crate) type Labels<'of> = &'of [(&'static str, &'of str)];

impl Text {
    /// A total that only grows while the process runs.
    pub(crate) fn counter(&mut self, name: &str, help: &str) -> Values<'_> {
        debug_assert!(name.ends_with("_total"));
        self.begin(name, help, "counter")
    }

    /// A current value.
    pub(crate) fn gauge(&mut self, name: &str, help: &str) -> Values<'_> {
        self.begin(name, help, "gauge")
    }

    /// How large things are. What was counted is divided by `unit` to be shown.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, unit: f64) -> Values<'_> {
        let mut values = self.begin(name, help, "histogram");
        values.unit = unit;
        values
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }

    fn begin(&mut self, name: &str, help: &str, kind: &str) -> Values<'_> {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        Values {
            name: name.into(),
            unit: 1.0,
            text: self,
        }
    }

    fn line(&mut self, line: impl Display) {
        // A string takes all that there is memory for.
        let _ = writeln!(self.0, "{line}");
    }
}

/// The values of one name.
pub(crate) struct Values<'text> {
    text: &'text mut Text,
    name: String,
    unit: f64,
}

impl Values<'_> {
    /// The only value.
    pub(crate) fn is(mut self, value: impl Display) {
        self.of(&[], value);
    }

    /// The value with these labels.
    pub(crate) fn of(&mut self, labels: Labels<'_>, value: impl Display) -> &mut Self {
        self.sample("", labels, value);
        self
    }

    /// A value for each of them.
    pub(crate) fn each<'of, V: Display>(
        mut self,
        label: &'static str,
        values: impl IntoIterator<Item = (&'of str, V)>,
    ) {
        for (name, value) in values {
            self.of(&[(label, name)], value);
        }
    }

    /// The buckets, the sum and the count of a histogram.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum of microseconds over centuries"
    )]
    pub(crate) fn distribution(
        &mut self,
        labels: Labels<'_>,
        read: &HistogramSnapshot,
    ) -> &mut Self {
        let bounds = read.bounds.iter().map(|bound| *bound as f64 / self.unit);
        let bounds: Vec<_> = bounds.map(|bound| bound.to_string()).collect();
        let last = ("+Inf", &read.count);
        let within = bounds.iter().map(String::as_str).zip(&read.within);
        for (bound, count) in within.chain([last]) {
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound)]).collect();
            self.sample("_bucket", &labels, count);
        }
        self.sample("_sum", labels, read.sum as f64 / self.unit);
        self.sample("_count", labels, read.count);
        self
    }

    fn sample(&mut self, suffix: &str, labels: Labels<'_>, value: impl Display) {
        let shown = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let shown = shown.collect::<Vec<_>>().join(",");
        let name = &self.name;
        match labels {
            [] => self.text.line(format_args!("{name}{suffix} {value}")),
            _ => self
                .text
                .line(format_args!("{name}{suffix}{{{shown}}} {value}")),
        }
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rejoin_metrics::Histogram;

    #[test]
    fn a_histogram_tells_buckets_sum_and_count_in_its_unit() {
        let histogram = Histogram::new(&[500, 1_000_000]);
        histogram.observe(400);
        histogram.observe(2_000_000);
        let mut text = Text::default();
        text.histogram("wait_seconds", "How long.", 1e6)
            .distribution(&[("of", "a\"b\\\n")], &histogram.read());
        let expected = r#"# HELP wait_seconds How long.
# TYPE wait_seconds histogram
wait_seconds_bucket{of="a\"b\\\n",le="0.0005"} 1
wait_seconds_bucket{of="a\"b\\\n",le="1"} 1
wait_seconds_bucket{of="a\"b\\\n",le="+Inf"} 2
wait_seconds_sum{of="a\"b\\\n"} 2.0004
wait_seconds_count{of="a\"b\\\n"} 2
"#;
        assert_eq!(text.finish(), expected);
    }
}
