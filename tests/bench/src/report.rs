//! Writes the report, as Markdown and as JSON: all sections, with machine, date and versions.

use crate::figures::Section;
use crate::{Options, Outcome};
use serde_json::{Value, json};

/// Writes `measured.md` and `measured.json`. Called after each measure, so that an interrupted run
/// leaves a partial report.
///
/// # Errors
///
/// If the directory is not writable.
pub(crate) fn write(
    options: &Options,
    machine: &Value,
    sections: &[Section],
    missing: &[String],
) -> Outcome<()> {
    std::fs::create_dir_all(&options.out)?;
    let mut page = String::new();
    let Value::Object(facts) = machine else {
        return Err("the description of the machine is not an object".into());
    };
    page += "| | |\n| --- | --- |\n";
    for (name, fact) in facts {
        page += &match fact {
            Value::Object(versions) => versions
                .iter()
                .map(|(name, version)| format!("| {name} | {} |\n", plain(version)))
                .collect(),
            fact => format!("| {} | {} |\n", name.replace('_', " "), plain(fact)),
        };
    }
    page += LEGEND;
    for section in sections {
        page += &format!("\n{}", section.markdown());
    }
    if !missing.is_empty() {
        page += "\n## Not measured in this run\n\n";
        for missing in missing {
            page += &format!("- {missing}\n");
        }
    }
    std::fs::write(options.out.join("measured.md"), page)?;
    let sections: Vec<_> = sections.iter().map(Section::json).collect();
    let all = json!({ "machine": machine, "sections": sections, "missing": missing });
    let text = serde_json::to_string_pretty(&all)?;
    Ok(std::fs::write(options.out.join("measured.json"), text)?)
}

fn plain(fact: &Value) -> String {
    fact.as_str()
        .map_or_else(|| fact.to_string(), str::to_owned)
}

const LEGEND: &str = "
Medians of the rounds, with the lowest and the highest. *×* is Rejoin's figure divided by that \
contestant's, calculated for each round, in which both ran shortly after each other.
";
