//! Figures: what each round gave for each contestant, and what they come to.
//!
//! Rounds are kept apart, so that a ratio is taken within a round, between two that ran one after
//! the other. Never here: a mean, which one bad round of a shared machine would spoil.

use serde_json::{Value, json};

/// One subject: a table of the report.
#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    /// How it was measured, and what has to be known to read it.
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

/// The one that every other is compared with, where it took part.
pub const REJOIN: &str = "Rejoin";

impl Section {
    pub fn new(title: &'static str, method: impl Into<String>) -> Self {
        Self {
            title,
            method: method.into(),
            series: Vec::new(),
        }
    }

    /// Notes one round's figure.
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

    /// The table, as Markdown: a line for each contestant, a column for each unit.
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

    /// The same, with every round.
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

    /// Rejoin's figure over this one, round by round.
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

/// Each once, in the order in which they were first seen.
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

/// Three digits that count.
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

/// The figure that this part of all figures is below, between two of them where it falls between; 0
/// of none.
pub fn quantile(figures: &[f64], part: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = sorted.len().saturating_sub(1) as f64 * part;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(0.0);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}
