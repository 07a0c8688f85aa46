//! The figures of each contestant in each round, and their summary.
//!
//! Ratios are taken within a round, between contestants that ran shortly after each other. Medians
//! are used instead of means, which one bad round on a shared machine would distort.

use serde_json::{Value, json};

/// A section of the report, with one table.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    /// How it was measured and how to read it.
    pub method: String,
    series: Vec<Series>,
}

#[derive(Debug)]
struct Series {
    what: String,
    who: String,
    unit: &'static str,
    rounds: Vec<f64>,
}

/// The contestant that all others are compared with, if it took part.
pub const REJOIN: &str = "Rejoin";

impl Section {
    pub fn new(title: &'static str, method: impl Into<String>) -> Self {
        Self {
            title,
            method: method.into(),
            series: Vec::new(),
        }
    }

    /// Adds the figure of one round.
    pub fn note(&mut self, what: &str, who: &str, unit: &'static str, figure: f64) {
        let known = self
            .series
            .iter_mut()
            .find(|it| it.what == what && it.who == who && it.unit == unit);
        match known {
            Some(series) => series.rounds.push(figure),
            None => self.series.push(Series {
                what: what.into(),
                who: who.into(),
                unit,
                rounds: vec![figure],
            }),
        }
    }

    /// The table as Markdown: a row per contestant, a column per unit.
    pub fn markdown(&self) -> String {
        let units = firsts(self.series.iter().map(|it| it.unit));
        let mut text = format!("## {}\n\n{}\n\n", self.title, self.method);
        text += &format!("| what | who | {} |\n", units.join(" | "));
        text += &format!("| --- | --- |{}\n", " ---: |".repeat(units.len()));
        for what in firsts(self.series.iter().map(|it| it.what.as_str())) {
            let of_it = self.series.iter().filter(|it| it.what == what);
            for who in firsts(of_it.map(|it| it.who.as_str())) {
                let cells = units.iter().map(|unit| self.cell(what, who, unit));
                text += &format!(
                    "| {what} | {who} |{} |\n",
                    cells.collect::<Vec<_>>().join(" |")
                );
            }
        }
        text
    }

    fn cell(&self, what: &str, who: &str, unit: &str) -> String {
        let known = |it: &&Series| it.what == what && it.who == who && it.unit == unit;
        let Some(series) = self.series.iter().find(known) else {
            return String::new();
        };
        let ratio = self.ratios(series);
        let ratio = ratio.map_or(String::new(), |it| format!("<br>× {}", spread(&it)));
        format!(" {}{ratio}", spread(&series.rounds))
    }

    /// The table as JSON, with all rounds.
    pub fn json(&self) -> Value {
        let series = self.series.iter().map(|series| {
            json!({
                "what": series.what,
                "who": series.who,
                "unit": series.unit,
                "median": quantile(&series.rounds, 0.5),
                "rounds": series.rounds,
                "rejoin_over_this": self.ratios(series),
            })
        });
        json!({
            "title": self.title,
            "method": self.method,
            "series": series.collect::<Vec<_>>(),
        })
    }

    /// Rejoin's figure divided by this one, for each round.
    fn ratios(&self, of: &Series) -> Option<Vec<f64>> {
        let rejoin = self.series.iter().find(|it| {
            it.who == REJOIN && it.what == of.what && it.unit == of.unit && of.who != REJOIN
        })?;
        let pairs = rejoin.rounds.iter().zip(&of.rounds);
        let ratios: Vec<_> = pairs
            .filter(|(_, other)| **other != 0.0)
            .map(|(rejoin, other)| rejoin / other)
            .collect();
        (!ratios.is_empty()).then_some(ratios)
    }
}

/// Removes duplicates; keeps the order of first occurrence.
fn firsts<'text>(all: impl Iterator<Item = &'text str>) -> Vec<&'text str> {
    let mut firsts = Vec::new();
    for one in all {
        if !firsts.contains(&one) {
            firsts.push(one);
        }
    }
    firsts
}

fn spread(rounds: &[f64]) -> String {
    let shown = |quantile_of| short(quantile(rounds, quantile_of));
    match rounds {
        [only] => short(*only),
        _ => format!("{} ({} – {})", shown(0.5), shown(0.0), shown(1.0)),
    }
}

/// Formats with three significant digits.
fn short(figure: f64) -> String {
    match figure.abs() {
        it if it >= 100.0 => {
            let digits = format!("{figure:.0}");
            let mut shown = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) && digit.is_ascii_digit() {
                    shown.push(',');
                }
                shown.push(digit);
            }
            shown
        }
        it if it >= 10.0 => format!("{figure:.1}"),
        it if it >= 0.1 || it == 0.0 => format!("{figure:.2}"),
        _ => format!("{figure:.4}"),
    }
}

/// The quantile `part` (0 to 1) of the figures, with linear interpolation; 0 if there are none.
pub fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().saturating_sub(1) as f64 * part;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}
