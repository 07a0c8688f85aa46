//! What the compiler does not keep: which crate may know which, and that the tree stays readable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each may depend on. Dependencies point one way.
const EDGES: [(&str, &[&str]); 16] = [
    ("rejoin-core", &[]),
    ("rejoin-metrics", &[]),
    ("rejoin-log", &["rejoin-core", "rejoin-metrics"]),
    (
        "rejoin-engine",
        &["rejoin-core", "rejoin-log", "rejoin-metrics"],
    ),
    (
        "rejoin-sim",
        &["rejoin-core", "rejoin-log", "rejoin-engine"],
    ),
    ("rejoin-http", &["rejoin-metrics"]),
    ("rejoin-accounts", &["rejoin-http"]),
    (
        "rejoin-arthas",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
        ],
    ),
    ("rejoin-console", &["rejoin-http"]),
    (
        "rejoin-doris",
        &[
            "rejoin-core",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
        ],
    ),
    (
        "rejoin-maxscale",
        &[
            "rejoin-core",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
        ],
    ),
    (
        "rejoin-native",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
        ],
    ),
    (
        "rejoin-admin",
        &[
            "rejoin-log",
            "rejoin-metrics",
            "rejoin-engine",
            "rejoin-http",
        ],
    ),
    (
        "rejoin",
        &[
            "rejoin-admin",
            "rejoin-core",
            "rejoin-log",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
            "rejoin-arthas",
            "rejoin-console",
            "rejoin-doris",
            "rejoin-maxscale",
            "rejoin-native",
        ],
    ),
    (
        "rejoin-fuzz-checks",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
            "rejoin-arthas",
            "rejoin-doris",
            "rejoin-native",
            "rejoin-maxscale",
        ],
    ),
    (
        "rejoin-cost",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-accounts",
            "rejoin-arthas",
            "rejoin-maxscale",
        ],
    ),
];

/// Only these crates may know these others, so that the day one must go costs one crate.
const SEAMS: [(&str, &[&str]); 5] = [
    ("argon2", &["rejoin-accounts"]),
    ("hyper", &["rejoin-http"]),
    ("crc32c", &["rejoin-log"]),
    ("rustix", &["rejoin-engine"]),
    ("rustls", &["rejoin-http", "rejoin"]),
];

const OUTSIDE: [&str; 2] = ["fuzz/Cargo.toml", "tests/bench/Cargo.toml"];

/// All that comes with the log.
const OF_THE_LOG: &str = "\
    crc32c proc-macro2 quote rejoin-core rejoin-metrics syn thiserror thiserror-impl unicode-ident";

/// All that comes with the engine, without its features.
const OF_THE_ENGINE: &str = "\
    async-channel cfg-if concurrent-queue crc32c crossbeam-utils event-listener \
    event-listener-strategy futures futures-channel futures-core futures-io futures-macro \
    futures-sink futures-task futures-util getrandom itoa libc memchr once_cell parking \
    pin-project-lite proc-macro2 quote rejoin-core rejoin-log rejoin-metrics serde_core serde_json slab syn \
    thiserror thiserror-impl tracing tracing-core unicode-ident uuid zmij";

/// What the features `smol` and `shell` add to that.
const OF_ITS_FEATURES: &str = "\
    async-executor async-fs async-io async-lock async-net async-process async-signal async-task \
    atomic-waker base64 bitflags blocking errno fastrand futures-lite linux-raw-sys piper \
    polling rustix signal-hook-registry smol";

const LONGEST_FILE: usize = 500;

#[test]
fn crates_depend_on_each_other_as_allowed() {
    let allowed: BTreeMap<_, BTreeSet<_>> = EDGES
        .into_iter()
        .map(|(from, to)| (from, to.iter().copied().collect()))
        .collect();
    let manifests = manifests();
    let known: BTreeSet<_> = manifests.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        known,
        allowed.keys().copied().collect(),
        "every crate has its line in EDGES"
    );
    for (name, manifest) in &manifests {
        for dependency in table(manifest, "dependencies").filter(|it| it.starts_with("rejoin-")) {
            let is_allowed = allowed[name.as_str()].contains(dependency.as_str());
            assert!(is_allowed, "{name} may not depend on {dependency}");
        }
    }
}

#[test]
fn the_core_depends_on_nothing() {
    let (_, manifest) = manifests()
        .into_iter()
        .find(|(name, _)| name == "rejoin-core")
        .unwrap();
    assert_eq!(table(&manifest, "dependencies").count(), 0);
    let lib = fs::read_to_string(root().join("engine/core/src/lib.rs")).unwrap();
    assert!(lib.contains("#![no_std]"));
}

#[test]
fn what_may_have_to_go_one_day_is_behind_one_seam() {
    for (name, manifest) in manifests() {
        for (dependency, allowed) in SEAMS {
            let has = table(&manifest, "dependencies").any(|it| it == dependency);
            assert!(
                !has || allowed.contains(&name.as_str()),
                "{name} may not know {dependency}"
            );
        }
    }
}

#[test]
fn tokio_is_for_tests_only() {
    let outside = OUTSIDE.map(|path| manifest(&root().join(path)));
    for (name, manifest) in manifests().into_iter().chain(outside) {
        let tokio = table(&manifest, "dependencies").any(|it| it.starts_with("tokio"));
        assert!(!tokio, "{name} may use tokio in its tests only");
    }
}

#[test]
fn whoever_embeds_the_engine_gets_no_crate_by_surprise() {
    let named =
        |names: &str| -> BTreeSet<String> { names.split_whitespace().map(str::to_owned).collect() };
    let bare = named(OF_THE_ENGINE);
    assert!(!bare.contains("smol") && !bare.contains("tokio"));
    assert_eq!(comes_with("rejoin-log", &[]), named(OF_THE_LOG));
    assert_eq!(
        comes_with("rejoin-engine", &["--no-default-features"]),
        bare
    );
    let all = bare.union(&named(OF_ITS_FEATURES)).cloned().collect();
    assert_eq!(comes_with("rejoin-engine", &[]), all);
}

/// The names of the crates that one is built with, on Linux.
fn comes_with(package: &str, features: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            package,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .args([
            "--target",
            "x86_64-unknown-linux-gnu",
            "--offline",
            "--locked",
        ])
        .args(features)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let lines = String::from_utf8(tree.stdout).unwrap();
    lines
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_file_can_be_read_from_top_to_bottom() {
    for (path, text) in sources() {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let lines = text.lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{shown} has {lines} lines: is there a seam?"
        );
        assert!(
            text.starts_with("//!"),
            "{shown} does not begin by saying what it is"
        );
        for banned in ["todo!(", "unimplemented!(", "#[ignore", "dbg!("] {
            // This file has to name them.
            let found = text.contains(banned) && !shown.ends_with("tidy.rs");
            assert!(!found, "{shown} has {banned}");
        }
    }
}

#[test]
fn every_promise_is_kept_by_tests_that_exist() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let all: String = sources().into_iter().map(|(_, text)| text).collect();
    let mut promises = 0;
    for line in architecture
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains(" `"))
    {
        let Some((number, rest)) = line.trim_start_matches("| ").split_once(" | ") else {
            continue;
        };
        if number.parse::<u32>().is_err() {
            continue;
        }
        promises += 1;
        let (_, tests) = rest.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let mut tests = tests.split('`').skip(1).step_by(2).peekable();
        assert!(tests.peek().is_some(), "promise {number} names no test");
        for test in tests {
            let exists =
                all.contains(&format!("fn {test}(")) || all.contains(&format!("fn {test}<"));
            assert!(exists, "promise {number}: there is no test {test}");
        }
    }
    assert_eq!(promises, 12, "the table of promises in ARCHITECTURE.md");
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn manifests() -> Vec<(String, toml::Table)> {
    files(&root(), &|path| path.ends_with("Cargo.toml"))
        .into_iter()
        // The fuzzers' own and the harness', which are outside the workspace.
        .filter(|path| !OUTSIDE.iter().any(|it| *path == root().join(it)))
        // The root's is the workspace, and no package.
        .filter(|path| *path != root().join("Cargo.toml"))
        .map(|path| manifest(&path))
        .collect()
}

fn manifest(path: &Path) -> (String, toml::Table) {
    let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let name = manifest["package"]["name"].as_str().unwrap().to_owned();
    (name, manifest)
}

fn table(manifest: &toml::Table, name: &str) -> impl Iterator<Item = String> {
    let table = manifest
        .get(name)
        .and_then(toml::Value::as_table)
        .cloned()
        .unwrap_or_default();
    table.into_iter().map(|(dependency, _)| dependency)
}

fn sources() -> Vec<(PathBuf, String)> {
    files(&root(), &|path| {
        path.extension().is_some_and(|it| it == "rs")
    })
    .into_iter()
    .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
    .collect()
}

fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, wanted));
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}
