//! The measures, one subject per file, and their order in a run.

mod appends;
mod deliveries;
mod growth;
mod http;
mod latency;
mod logs;
mod memory;
mod polls;
mod replay;
mod streams;

use crate::contestants::Arthas;
use crate::figures::Section;
use crate::{Options, Outcome, machine, report, stores};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

/// The context of a measure.
#[derive(Debug)]
pub(crate) struct Bench<'run> {
    pub(crate) options: &'run Options,
    pub(crate) arthas: Option<Arthas>,
    /// An empty directory on the disk to measure.
    pub(crate) scratch: PathBuf,
    /// The measures that failed, with the reasons.
    pub(crate) missing: Vec<String>,
}

type Measure = fn(&mut Bench<'_>) -> Outcome<Section>;

const MEASURES: [(&str, Measure); 11] = [
    ("http", http::requests),
    ("polls", polls::open_polls),
    ("appends", appends::appends),
    ("latency", latency::emitted_to_seen),
    ("deliveries", deliveries::deliveries),
    ("streams", streams::deliveries),
    ("readers", deliveries::one_job_and_its_readers),
    ("memory", memory::idle),
    ("replay", replay::replay),
    ("growth", growth::in_the_core),
    ("pages", growth::of_pages),
];

/// Runs the selected measures.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let unknown = |name: &&String| MEASURES.iter().all(|(known, _)| known != name);
    if let Some(name) = options.only.iter().find(unknown) {
        let known: Vec<_> = MEASURES.iter().map(|(name, _)| *name).collect();
        return Err(format!("unknown measure {name}; available: {}", known.join(", ")).into());
    }
    machine::allow_many_files()?;
    std::fs::create_dir_all(&options.scratch)?;
    let mut bench = Bench {
        options,
        arthas: None,
        scratch: PathBuf::new(),
        missing: Vec::new(),
    };
    let mut versions = vec![(
        "Rejoin".to_owned(),
        machine::said(Command::new(&options.rejoin).arg("--version")),
    )];
    match Arthas::find(options) {
        Ok(arthas) => {
            versions.push(("Arthas".into(), arthas.version.clone()));
            bench.arthas = Some(arthas);
        }
        Err(why) => bench.missing.push(format!("Arthas: {why}")),
    }
    versions.extend(
        LIBRARIES
            .into_iter()
            .map(|name| (name.to_owned(), locked(name))),
    );
    versions.extend(stores::nats_version().map(|it| ("NATS".to_owned(), it)));
    let machine = machine::describe(options.quick, &versions);
    let mut sections = Vec::new();
    let began = Instant::now();
    for (name, measure) in MEASURES {
        if !options.only.is_empty() && !options.only.iter().any(|it| it == name) {
            continue;
        }
        eprintln!("{:>4} s  {name}", began.elapsed().as_secs());
        let scratch = tempfile::tempdir_in(&options.scratch)?;
        bench.scratch = scratch.path().into();
        match measure(&mut bench) {
            Ok(section) => sections.push(section),
            // A failed measure must not end the run; the report lists it.
            Err(error) => bench.missing.push(format!("{name}: {error}")),
        }
        report::write(options, &machine, &sections, &bench.missing)?;
    }
    eprintln!("{:>4} s  done", began.elapsed().as_secs());
    for missing in &bench.missing {
        eprintln!("not measured: {missing}");
    }
    println!("{}", options.out.join("measured.md").display());
    Ok(())
}

/// The version of a library in this program.
fn locked(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let versions = lock
        .split("[[package]]")
        .filter_map(|package| {
            let (_, rest) = package.split_once(&format!("name = \"{name}\"\nversion = \""))?;
            rest.split('"').next()
        })
        .collect::<Vec<_>>();
    versions.join(", ")
}

const LIBRARIES: [&str; 7] = [
    "hyper", "smol", "axum", "tokio", "rusqlite", "fjall", "tide",
];
