//! The accepted cost of each path: `baseline.toml`, written by `renew`.

use crate::Outcome;
use crate::counts::Counts;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use toml::{Table, Value};

pub(crate) struct Baseline {
    compiler: String,
    counts: Counts,
}

impl Baseline {
    pub(crate) fn read() -> Outcome<Self> {
        let table: Table = std::fs::read_to_string(file())?.parse()?;
        let compiler = table.get("compiler").and_then(Value::as_str);
        let counts = table.iter().filter_map(|(path, counts)| {
            let counts = counts.as_table()?.iter();
            let counts = counts.filter_map(|(what, count)| {
                let count = count.as_float()?;
                Some((what.clone(), count))
            });
            Some((path.clone(), counts.collect::<BTreeMap<_, _>>()))
        });
        Ok(Self {
            compiler: compiler.unwrap_or_default().to_owned(),
            counts: counts.collect(),
        })
    }

    pub(crate) fn write(counts: &Counts) -> Outcome<()> {
        let mut text = format!(
            "# Cost of the hot paths per unit. Written by `cargo cost renew`.\n\
             compiler = {:?}\n",
            compiler()?
        );
        for (path, counts) in counts {
            text += &format!("\n[{path:?}]\n");
            for (what, count) in counts {
                println!("{path}: {count:.1} {what}");
                text += &format!("{what:?} = {count:.1}\n");
            }
        }
        Ok(std::fs::write(file(), text)?)
    }

    /// Prints all counts. Fails if one has grown by more than 10%, or is missing in the baseline or
    /// in `counts`.
    pub(crate) fn compare(&self, counts: &Counts) -> Outcome<()> {
        let mut grown = Vec::new();
        for (path, counts) in counts {
            for (what, &count) in counts {
                let known = self.counts.get(path).and_then(|known| known.get(what));
                let Some(&known) = known else {
                    grown.push(format!("{path}: {what} is not in the baseline"));
                    continue;
                };
                println!("{path}: {count:.1} {what}, baseline {known:.1}");
                if count > known * MOST + SLACK {
                    grown.push(format!("{path}: {what}, {known:.1} to {count:.1}"));
                }
                if count < known / MOST - SLACK {
                    println!("  below the baseline: run `cargo cost renew` to lower it");
                }
            }
        }
        let gone = self
            .counts
            .keys()
            .filter(|path| !counts.contains_key(*path));
        grown.extend(gone.map(|path| format!("{path}: in the baseline, but no longer counted")));
        if grown.is_empty() {
            return Ok(());
        }
        let mut why = format!(
            "the cost differs from the baseline (limit: 10% more):\n  {}",
            grown.join("\n  ")
        );
        let compiler = compiler()?;
        if compiler != self.compiler {
            why += &format!(
                "\nthe baseline was made with {}, this is {compiler}: renew it on the commit \
                 before your change and compare with that",
                self.compiler
            );
        }
        Err(why.into())
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("baseline.toml")
}

fn compiler() -> Outcome<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Allowed growth.
const MOST: f64 = 1.1;

/// Allowed absolute difference, for counts near zero.
const SLACK: f64 = 0.5;
