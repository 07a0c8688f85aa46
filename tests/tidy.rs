//! Rules about the repository that the compiler doesn't check: which crate may depend on which,
//! licences and sources of dependencies (`deny.toml`), the glossary in `CONTRIBUTING.md`, and that
//! the tests named in `ARCHITECTURE.md` exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates of this workspace that each of them may depend on.
const EDGES: [(&str, &[&str]); 24] = [
    ("rejoin-core", &[]),
    ("rejoin-metrics", &[]),
    ("rejoin-log", &["rejoin-core", "rejoin-metrics"]),
    ("rejoin-cluster", &["rejoin-core", "rejoin-log"]),
    (
        "rejoin-log-jetstream",
        &["rejoin-core", "rejoin-log", "rejoin-cluster"],
    ),
    (
        "rejoin-engine",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-metrics",
            "rejoin-screen",
        ],
    ),
    (
        "rejoin-node",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-cluster",
            "rejoin-log-jetstream",
            "rejoin-engine",
        ],
    ),
    ("rejoin-runner-arthas", &["rejoin-engine"]),
    ("rejoin-screen", &[]),
    ("rejoin-replay", &["rejoin-core", "rejoin-screen"]),
    ("rejoin-search", &["rejoin-engine"]),
    (
        "rejoin-sim",
        &[
            "rejoin-core",
            "rejoin-log",
            "rejoin-cluster",
            "rejoin-engine",
            // Without NATS.
            "rejoin-node",
        ],
    ),
    ("rejoin-http", &["rejoin-metrics"]),
    ("rejoin-accounts", &["rejoin-core", "rejoin-http"]),
    (
        "rejoin-arthas",
        &["rejoin-engine", "rejoin-http", "rejoin-accounts"],
    ),
    ("rejoin-console", &["rejoin-http"]),
    (
        "rejoin-doris",
        &["rejoin-engine", "rejoin-http", "rejoin-accounts"],
    ),
    (
        "rejoin-maxscale",
        &["rejoin-engine", "rejoin-http", "rejoin-accounts"],
    ),
    (
        "rejoin-mcp",
        &[
            "rejoin-engine",
            "rejoin-search",
            "rejoin-http",
            "rejoin-accounts",
        ],
    ),
    (
        "rejoin-native",
        &[
            "rejoin-log",
            "rejoin-engine",
            "rejoin-replay",
            "rejoin-search",
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
            "rejoin-accounts",
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
            "rejoin-mcp",
            "rejoin-metrics",
            "rejoin-native",
            // With the feature `cluster` only.
            "rejoin-node",
            "rejoin-replay",
            "rejoin-runner-arthas",
            "rejoin-screen",
            "rejoin-search",
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
            "rejoin-mcp",
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

/// External crates that only the named crates may depend on, so that replacing one changes one crate.
const SEAMS: [(&str, &[&str]); 8] = [
    ("argon2", &["rejoin-accounts"]),
    ("async-nats", &["rejoin-log-jetstream"]),
    ("avt", &["rejoin-screen"]),
    ("hyper", &["rejoin-http"]),
    ("crc32c", &["rejoin-log"]),
    (
        "rustix",
        &[
            "rejoin",
            "rejoin-accounts",
            "rejoin-engine",
            "rejoin-http",
            "rejoin-log",
        ],
    ),
    ("rustls", &["rejoin-http", "rejoin"]),
    ("tide", &["rejoin-http"]),
];

/// Manifests outside the workspace.
const OUTSIDE: [&str; 2] = ["fuzz/Cargo.toml", "tests/bench/Cargo.toml"];

/// All dependencies of the log, direct and indirect.
const OF_THE_LOG: &str = "\
    bitflags crc32c linux-raw-sys proc-macro2 quote rejoin-core rejoin-metrics rustix syn \
    thiserror thiserror-impl unicode-ident";

/// All dependencies of the engine without its features.
const OF_THE_ENGINE: &str = "\
    async-channel avt base64 bitflags concurrent-queue crc32c crossbeam-utils event-listener \
    event-listener-strategy futures futures-channel futures-core futures-io futures-macro \
    futures-sink futures-task futures-util itoa linux-raw-sys memchr once_cell parking \
    pin-project-lite proc-macro2 quote rejoin-core rejoin-log rejoin-metrics rejoin-screen \
    rustix serde serde_core serde_derive serde_json slab syn thiserror thiserror-impl tracing \
    tracing-core unicode-ident unicode-width zmij";

/// What its features `smol` and `shell` add.
const OF_ITS_FEATURES: &str = "\
    async-executor async-fs async-io async-lock async-net async-process async-signal async-task \
    atomic-waker blocking cfg-if errno fastrand futures-lite getrandom libc piper polling \
    pty-process signal-hook-registry smol";

/// Public types that may share a name, with the reason.
const SAME_NAME: [(&str, &str); 5] = [
    (
        "Clock",
        "in rejoin-engine a runtime for tests; in rejoin-accounts a function that tells the time",
    ),
    ("OpenError", "each layer's error for the same act"),
    (
        "Server",
        "in rejoin-core the process that created a session; in rejoin-node a client of those that keep a log",
    ),
    ("Session", "in rejoin-http one of TLS, for tests only"),
    ("Settings", "of each frontend"),
];

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
        "EDGES lists every crate"
    );
    for (name, manifest) in &manifests {
        for dependency in table(manifest, "dependencies").filter(|name| name.starts_with("rejoin-"))
        {
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
            let has = table(&manifest, "dependencies").any(|name| name == dependency);
            assert!(
                !has || allowed.contains(&name.as_str()),
                "{name} may not depend on {dependency}"
            );
        }
    }
}

#[test]
fn only_the_router_names_tide() {
    let is_source = |path: &Path| {
        let path = path.to_string_lossy();
        path.ends_with(".rs") && path.contains("/src/")
    };
    for path in files(&root(), &is_source) {
        let is_router = path.ends_with("http/src/web/router.rs");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.contains("tide::"), is_router, "{}", path.display());
    }
}

#[test]
fn tokio_is_for_tests_and_for_the_client_of_nats_only() {
    let outside = OUTSIDE.map(|path| manifest(&root().join(path)));
    for (name, manifest) in manifests().into_iter().chain(outside) {
        let tokio = table(&manifest, "dependencies").any(|name| name.starts_with("tokio"));
        // The client of NATS needs it, on a thread of its own.
        let is_allowed = name == "rejoin-log-jetstream";
        assert!(
            !tokio || is_allowed,
            "{name} may use tokio in its tests only"
        );
    }
}

#[test]
fn the_log_and_the_engine_bring_only_the_listed_crates() {
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

/// The names of all crates that a package is built with on Linux.
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

/// Advisories need a database: `.ci/run` says how they are checked.
#[test]
fn licences_bans_and_sources_are_as_deny_toml_says() {
    let deny: toml::Table = read("deny.toml").parse().unwrap();
    let allowed: BTreeSet<_> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|licence| licence.as_str().unwrap())
        .collect();
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        metadata.status.success(),
        "{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let names: BTreeMap<_, _> = packages
        .iter()
        .map(|package| {
            (
                package["id"].as_str().unwrap(),
                package["name"].as_str().unwrap(),
            )
        })
        .collect();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(
            licence_is_allowed(licence, &allowed),
            "{name}: deny.toml doesn't allow the licence `{licence}`"
        );
        match package["source"].as_str() {
            None => assert!(name.starts_with("rejoin"), "{name} is not from a registry"),
            Some(source) => assert_eq!(
                source, "registry+https://github.com/rust-lang/crates.io-index",
                "{name} is from an unknown source"
            ),
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let is_wildcard = dependency["req"] == "*" && dependency["path"].is_null();
            assert!(
                !(is_wildcard && name.starts_with("rejoin")),
                "{name}: give {} a version",
                dependency["name"]
            );
        }
    }
    for ban in deny["bans"]["deny"].as_array().unwrap() {
        let banned = ban["crate"].as_str().unwrap();
        let wrappers: Vec<_> = ban
            .get("wrappers")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(toml::Value::as_str)
            .collect();
        for node in metadata["resolve"]["nodes"].as_array().unwrap() {
            let user = names[node["id"].as_str().unwrap()];
            for dependency in node["dependencies"].as_array().unwrap() {
                let is_banned = names[dependency.as_str().unwrap()] == banned;
                assert!(
                    !is_banned || wrappers.contains(&user),
                    "deny.toml bans {banned}, and {user} depends on it"
                );
            }
        }
    }
}

/// Whether an SPDX expression can be met with the allowed licences. `/` is an old way to write `OR`.
fn licence_is_allowed(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let is_allowed = any_alternative(&mut words, allowed);
    is_allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_alternative(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut is_allowed = all_parts(words, allowed);
    while words.next_if_eq(&"OR").is_some() {
        is_allowed |= all_parts(words, allowed);
    }
    is_allowed
}

fn all_parts(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    let mut is_allowed = single_licence(words, allowed);
    while words.next_if_eq(&"AND").is_some() {
        is_allowed &= single_licence(words, allowed);
    }
    is_allowed
}

fn single_licence(words: &mut Words<'_>, allowed: &BTreeSet<&str>) -> bool {
    match words.next() {
        Some("(") => any_alternative(words, allowed) && words.next() == Some(")"),
        Some(licence) => match words.next_if_eq(&"WITH") {
            Some(_) => {
                allowed.contains(format!("{licence} WITH {}", words.next().unwrap()).as_str())
            }
            None => allowed.contains(licence),
        },
        None => false,
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_means_them() {
    let allowed = BTreeSet::from(["MIT", "ISC", "Unicode-3.0"]);
    for expression in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "MIT AND ISC",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 AND GPL-3.0 OR MIT",
    ] {
        assert!(licence_is_allowed(expression, &allowed), "{expression}");
    }
    for expression in [
        "",
        "Apache-2.0",
        "MIT AND Apache-2.0",
        "(MIT OR ISC) AND GPL-3.0",
        "MIT WITH LLVM-exception",
        "MIT ISC",
    ] {
        assert!(!licence_is_allowed(expression, &allowed), "{expression}");
    }
}

#[test]
fn every_word_of_the_glossary_is_declared_in_the_crate_that_it_names() {
    let contributing = read("CONTRIBUTING.md");
    let (_, glossary) = contributing.split_once("## Glossary").unwrap();
    let glossary = glossary.split("\n## ").next().unwrap();
    let sources = sources();
    let mut words = 0;
    for line in glossary.lines().filter(|line| line.starts_with("| **")) {
        let cells: Vec<_> = line.split(" | ").collect();
        let [word, _, place] = cells[..] else {
            panic!("word, meaning, where: {line}");
        };
        let names: Vec<_> = place.split('`').skip(1).step_by(2).collect();
        let [item, crate_path] = names[..] else {
            panic!("{word}: an item and a crate, in backticks: {place}");
        };
        let source = root().join(crate_path).join("src");
        let is_declared = sources
            .iter()
            .filter(|(path, _)| path.starts_with(&source))
            .any(|(_, text)| declares(text, item));
        assert!(is_declared, "{word}: {crate_path} doesn't declare {item}");
        words += 1;
    }
    assert!(words >= 15, "the glossary has {words} words");
}

fn declares(text: &str, item: &str) -> bool {
    text.lines().any(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        ["struct ", "enum ", "trait ", "type "].iter().any(|kind| {
            line.strip_prefix(kind)
                .and_then(|rest| rest.strip_prefix(item))
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
        })
    })
}

#[test]
fn no_two_public_types_have_one_name() {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        let is_product = shown.contains("/src/")
            && (shown.starts_with("engine/") || shown.starts_with("frontends/"));
        if !is_product {
            continue;
        }
        // What follows is for tests.
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        for line in text.lines() {
            for kind in ["pub struct ", "pub enum ", "pub trait ", "pub type "] {
                let Some(rest) = line.strip_prefix(kind) else {
                    continue;
                };
                let end = rest
                    .find(|c: char| !c.is_alphanumeric())
                    .unwrap_or(rest.len());
                let places = places.entry(rest[..end].to_owned()).or_default();
                places.insert(shown.clone());
            }
        }
    }
    assert!(places.len() > 50);
    let shared: Vec<_> = places
        .iter()
        .filter(|(name, places)| {
            places.len() > 1 && !SAME_NAME.iter().any(|(allowed, _)| allowed == name)
        })
        .collect();
    assert!(
        shared.is_empty(),
        "public types of one name; rename one, or add it to SAME_NAME with the reason: {shared:#?}"
    );
}

#[test]
fn every_file_says_what_it_is_and_has_nothing_unfinished() {
    for (path, text) in sources() {
        let shown = path.strip_prefix(root()).unwrap().display().to_string();
        assert!(
            text.starts_with("//!"),
            "{shown} doesn't begin with a comment that says what it is"
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
    let architecture = read("ARCHITECTURE.md");
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
    assert_eq!(promises, 13, "the table of promises in ARCHITECTURE.md");
}

#[test]
fn pages_of_the_book_link_to_nothing_outside_of_it() {
    // Such a link would be dead where the book is built.
    let pages = files(&root().join("book/src"), &|path| {
        path.extension().is_some_and(|it| it == "md")
    });
    assert!(pages.len() > 10);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.contains("](../"), "{}", page.display());
    }
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn manifests() -> Vec<(String, toml::Table)> {
    files(&root(), &|path| path.ends_with("Cargo.toml"))
        .into_iter()
        .filter(|path| !OUTSIDE.iter().any(|outside| *path == root().join(outside)))
        // The workspace's manifest, which is no package.
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
        path.extension().is_some_and(|extension| extension == "rs")
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
