//! Generates `packaging/rejoin.example.toml` from the help of the flags: every setting with its
//! meaning and default.
//!
//! `REJOIN_WRITE_EXAMPLE=1 cargo test --bin rejoin example` rewrites the file.

use super::Settings;
use super::cluster::{ClusterTable, NODES};
use clap::{Arg, Args as _, Command};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Examples for settings without a default.
const SAMPLES: [(&str, &str); 16] = [
    ("arthas-service", r#""orders""#),
    ("accounts", r#""/etc/rejoin/accounts.toml""#),
    ("login-key-file", r#""/etc/rejoin/login.key""#),
    ("job-user", r#""rejoin-jobs""#),
    ("allow-host", r#"["rejoin.example"]"#),
    ("allow-origin", r#"["https://ui.example"]"#),
    ("path-prefix", r#""/rejoin""#),
    ("trusted-proxies", r#"["127.0.0.1", "10.0.0.0/8"]"#),
    ("tls-cert", r#""/etc/rejoin/certificate.pem""#),
    ("tls-key", r#""/etc/rejoin/key.pem""#),
    ("maxscale-listen", r#""127.0.0.1:8989""#),
    ("doris-listen", r#""127.0.0.1:8030""#),
    ("admin-listen", r#""127.0.0.1:9563""#),
    ("mcp-services", r#"["shell"]"#),
    ("retain-age", r#""30d""#),
    ("retain-bytes", "10737418240"),
];

const HEAD: &str = "\
# All settings of `rejoin serve`. Environment variables (REJOIN_ and the name in capitals) override
# this file, and flags of the same names override both.
#
# A commented-out setting shows its default, or an example if there is no default. To change a
# setting, remove the `#` directly before its name.
#
# Settings whose names begin with a frontend's name can also be in a table at the end of the file:
# `[frontends.maxscale]` with `listen = …` is the same as `maxscale-listen = …`.
";

const CLUSTER: &str = "
# ── Several nodes ──

# This server as one of several nodes, which keep their logs on servers of NATS: any of them serves any
# session, and another one goes on when this one dies. Only in builds with the feature `cluster`. As flags:
# --node, and --cluster for `nats`; the others begin with --cluster.

#[cluster]
#nats = [\"nats://a:4222\", \"nats://b:4222\", \"nats://c:4222\"]
#node = \"n1\"
#name = \"rejoin\"
#monitoring = [\"a:8222\", \"b:8222\", \"c:8222\"]
#replicas = 3
#user = \"rejoin\"
#password-file = \"/etc/rejoin/nats.password\"
#token-file = \"/etc/rejoin/nats.token\"
#cacert = \"/etc/rejoin/nats-ca.pem\"
#take-over-after = \"6s\"
#stop-jobs-without-log = \"60s\"
";

const SERVICES: &str = "
# ── Services ──

# What runs the commands of sessions: a table for each service, with its name. If there are any, there
# are no others: without [services.shell], no commands run on this machine. Without any there is
# the service `shell`. All options: book/src/services.md.

#[services.shell]
#kind = \"shell\"

#[services.orders]
#kind = \"arthas\"
#url = \"http://127.0.0.1:8564\"
";

const WEBHOOKS: &str = "
# ── Webhooks ──

# Webhooks that are sent when a job has ended or a session was closed: a table for each, with its name. Requests are
# signed with the secret. All options: book/src/notifying.md.

#[notify.chat]
#url = \"https://hooks.example/rejoin\"
#secret-file = \"/etc/rejoin/chat.secret\"
#events = [\"job-failed\", \"job-lost\"]
#longer-than = \"1m\"
#console = \"https://rejoin.example\"
";

/// Columns of a comment.
const WIDTH: usize = 98;

#[test]
fn the_example_explains_every_setting_as_the_command_line_does() {
    let expected = example();
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/rejoin.example.toml");
    if std::env::var_os("REJOIN_WRITE_EXAMPLE").is_some() {
        std::fs::write(&file, &expected).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    let missing: Vec<_> = expected
        .lines()
        .filter(|line| !written.lines().any(|known| known == *line))
        .collect();
    assert!(
        written == expected,
        "the example does not match the settings; missing: {missing:#?}\n\
         `REJOIN_WRITE_EXAMPLE=1 cargo test --bin rejoin example` rewrites it"
    );
}

#[test]
fn every_setting_in_a_file_is_also_a_flag() {
    let flags: BTreeSet<_> = arguments().iter().map(name).collect();
    let error = toml::from_str::<Settings>("no-such-setting = 1").unwrap_err();
    let mut keys = known_names(&error);
    // Tables repeat other settings, and the last is an old name.
    keys.retain(|key| {
        let is_table = ["cluster", "frontends", "services", "notify"].contains(&key.as_str());
        !is_table && key != "operate-listen"
    });
    assert_eq!(keys, flags);
}

#[test]
fn every_setting_of_a_cluster_is_a_flag_and_in_the_example() {
    let command = Settings::augment_args(Command::new("serve"));
    let of_nodes = command
        .get_arguments()
        .filter(|argument| argument.get_help_heading() == Some(NODES));
    let flags: BTreeSet<_> = of_nodes
        .map(|argument| match &*name(argument) {
            "cluster" => "nats".to_owned(),
            flag => flag.strip_prefix("cluster-").unwrap_or(flag).to_owned(),
        })
        .collect();
    let error = toml::from_str::<ClusterTable>("no-such-setting = 1").unwrap_err();
    assert_eq!(known_names(&error), flags);
    let shown = CLUSTER.lines().filter_map(|line| line.split_once(" = "));
    let shown = shown.map(|(key, _)| key.trim_start_matches('#').to_owned());
    assert_eq!(shown.collect::<BTreeSet<_>>(), flags);
}

/// The names that would have been right.
fn known_names(error: &toml::de::Error) -> BTreeSet<String> {
    let (_, names) = error.message().split_once("expected one of ").unwrap();
    names
        .split('`')
        .skip(1)
        .step_by(2)
        .map(Into::into)
        .collect()
}

#[test]
fn the_documented_defaults_are_the_real_ones() {
    let named: String = arguments()
        .iter()
        .filter_map(|argument| Some(format!("{} = {}\n", name(argument), default(argument)?)))
        .collect();
    assert!(named.lines().count() > 20, "{named}");
    let shown = |settings: &Settings| {
        format!(
            "{:#?}",
            (
                (settings.listen(), settings.data(), settings.log_requests()),
                (settings.engine(), settings.log(), settings.http()),
                (settings.arthas(), settings.doris(), settings.mcp()),
                (settings.interrupt_grace(), settings.shutdown_grace()),
                settings.keeps_leftovers(),
                settings.log_level.unwrap_or_default(),
                settings.log_format.unwrap_or_default(),
            )
        )
    };
    let said: Settings = toml::from_str(&named).unwrap();
    assert_eq!(shown(&said), shown(&Settings::default()));
}

#[test]
fn the_example_with_every_setting_enabled_is_valid() {
    let all: String = example()
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.starts_with(|it: char| it.is_ascii_lowercase() || it == '['))
        .map(|line| format!("{line}\n"))
        .collect();
    let table: toml::Table = all.parse().unwrap();
    assert_eq!(
        table.len(),
        arguments().len() + 3,
        "and the cluster, the services and the webhooks"
    );
    toml::from_str::<Settings>(&all).unwrap();
}

fn example() -> String {
    let mut example = HEAD.to_owned();
    let mut heading = None;
    for argument in arguments() {
        let own = argument.get_help_heading().map(ToOwned::to_owned);
        if own != heading {
            let _ = writeln!(
                example,
                "\n# ── {} ──",
                own.as_deref().unwrap_or("The server")
            );
            heading = own;
        }
        let help = argument.get_help().unwrap().to_string();
        let value = default(&argument).unwrap_or_else(|| sample(&argument));
        example.push('\n');
        for line in wrapped(&help) {
            let _ = writeln!(example, "# {line}");
        }
        let _ = writeln!(example, "#{} = {value}", name(&argument));
    }
    example + CLUSTER + SERVICES + WEBHOOKS
}

/// The arguments, grouped by heading as in the help.
fn arguments() -> Vec<Arg> {
    let command = Settings::augment_args(Command::new("serve"));
    let mut headings = vec![];
    for argument in command.get_arguments() {
        let heading = argument.get_help_heading().map(ToOwned::to_owned);
        if !headings.contains(&heading) {
            headings.push(heading);
        }
    }
    let place = |argument: &Arg| {
        let own = argument.get_help_heading();
        headings.iter().position(|it| it.as_deref() == own)
    };
    // These are in a table of their own.
    let is_flat = |argument: &&Arg| argument.get_help_heading() != Some(NODES);
    let mut arguments: Vec<_> = command.get_arguments().filter(is_flat).cloned().collect();
    arguments.sort_by_key(place);
    arguments
}

fn name(argument: &Arg) -> String {
    argument.get_long().unwrap().to_owned()
}

/// The default in the help as a TOML value, if it is one. Settings with an example have none: any
/// text would do for a path.
fn default(argument: &Arg) -> Option<String> {
    if SAMPLES.iter().any(|(known, _)| *known == name(argument)) {
        return None;
    }
    let help = argument.get_help()?.to_string();
    let (_, default) = help.rsplit_once("[default: ")?;
    let default = default.trim_end_matches(']');
    let ways = [default.to_owned(), format!("{default:?}")];
    ways.into_iter().find(|value| {
        let line = format!("{} = {value}", name(argument));
        toml::from_str::<Settings>(&line).is_ok()
    })
}

fn sample(argument: &Arg) -> String {
    let name = name(argument);
    let known = SAMPLES.iter().find(|(known, _)| *known == name);
    let (_, value) = known.unwrap_or_else(|| panic!("SAMPLES has nothing to show for {name}"));
    (*value).to_owned()
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().unwrap();
        match last.is_empty() {
            true => last.push_str(word),
            false if last.chars().count() + 1 + word.chars().count() <= WIDTH => {
                last.push(' ');
                last.push_str(word);
            }
            false => lines.push(word.to_owned()),
        }
    }
    lines
}
