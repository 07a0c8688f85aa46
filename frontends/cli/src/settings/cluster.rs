//! `[cluster]` in a settings file, and the flags that mean the same: this server as one of several nodes.

use super::Wait;
use serde::Deserialize;
use std::path::PathBuf;

/// The settings of a node. None of them: the server is alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct ClusterTable {
    /// Servers of NATS that keep the logs of all nodes, `nats://HOST:PORT` or `tls://HOST:PORT`; repeat it
    /// or separate them with commas. This server is then one of several nodes [default: it is alone]
    #[arg(long = "cluster", value_name = "URL", env = "REJOIN_CLUSTER", value_delimiter = ',', help_heading = NODES, hide = IS_HIDDEN)]
    nats: Option<Vec<String>>,

    /// Name of this node: lower-case letters, digits and `-`. Its log belongs to that name, so it must stay
    /// the same, and no other node may have it
    #[arg(long = "node", value_name = "NAME", env = "REJOIN_NODE", help_heading = NODES, hide = IS_HIDDEN)]
    node: Option<String>,

    /// Name of the cluster: nodes with the same name belong together [default: rejoin]
    #[arg(long = "cluster-name", value_name = "NAME", env = "REJOIN_CLUSTER_NAME", help_heading = NODES, hide = IS_HIDDEN)]
    name: Option<String>,

    /// Monitoring addresses (`http`) of all servers of NATS, which say whether these sync; repeat it or
    /// separate them with commas [default: port 8222 of each server in --cluster]
    #[arg(long = "cluster-monitoring", value_name = "HOST:PORT", env = "REJOIN_CLUSTER_MONITORING", value_delimiter = ',', help_heading = NODES, hide = IS_HIDDEN)]
    monitoring: Option<Vec<String>>,

    /// How many servers of NATS keep each record: 3 or 5. 1 is for tests: what one disk loses is lost then
    /// [default: 3]
    #[arg(long = "cluster-replicas", value_name = "COUNT", env = "REJOIN_CLUSTER_REPLICAS", help_heading = NODES, hide = IS_HIDDEN)]
    replicas: Option<usize>,

    /// User of NATS, with the password in --cluster-password-file
    #[arg(long = "cluster-user", value_name = "NAME", env = "REJOIN_CLUSTER_USER", help_heading = NODES, hide = IS_HIDDEN)]
    user: Option<String>,

    /// File whose first line is the password of --cluster-user; others may not read it
    #[arg(long = "cluster-password-file", value_name = "FILE", env = "REJOIN_CLUSTER_PASSWORD_FILE", help_heading = NODES, hide = IS_HIDDEN)]
    password_file: Option<PathBuf>,

    /// File whose first line is a token for NATS, instead of user and password; others may not read it
    #[arg(long = "cluster-token-file", value_name = "FILE", env = "REJOIN_CLUSTER_TOKEN_FILE", help_heading = NODES, hide = IS_HIDDEN)]
    token_file: Option<PathBuf>,

    /// PEM file with the authority that signed the certificates of the servers of NATS [default: those that
    /// the system trusts]
    #[arg(long = "cluster-cacert", value_name = "FILE", env = "REJOIN_CLUSTER_CACERT", help_heading = NODES, hide = IS_HIDDEN)]
    cacert: Option<PathBuf>,

    /// How long another node must have been silent until this one takes its sessions, from 6s to 10m; its
    /// running commands are lost then. The same at all nodes [default: 6s]
    #[arg(long = "cluster-take-over-after", value_name = "DURATION", env = "REJOIN_CLUSTER_TAKE_OVER_AFTER", help_heading = NODES, hide = IS_HIDDEN)]
    take_over_after: Option<Wait>,

    /// How long this node's commands go on while it is cut off from NATS, 15s or more: another node may have
    /// taken their sessions and said that they are lost [default: 60s]
    #[arg(long = "cluster-stop-jobs-without-log", value_name = "DURATION", env = "REJOIN_CLUSTER_STOP_JOBS_WITHOUT_LOG", help_heading = NODES, hide = IS_HIDDEN)]
    stop_jobs_without_log: Option<Wait>,
}

/// The name of a cluster that has no other.
const DEFAULT_NAME: &str = "rejoin";

/// The heading of these flags in the help.
pub(super) const NODES: &str = "Several nodes";

/// In a build without several nodes, the help does not show the flags; using them is an error that says so.
const IS_HIDDEN: bool = cfg!(not(feature = "cluster"));

impl ClusterTable {
    /// These settings, completed by the others.
    pub(crate) fn or(self, other: Self) -> Self {
        let Self {
            nats,
            node,
            name,
            monitoring,
            replicas,
            user,
            password_file,
            token_file,
            cacert,
            take_over_after,
            stop_jobs_without_log,
        } = self;
        Self {
            nats: nats.or(other.nats),
            node: node.or(other.node),
            name: name.or(other.name),
            monitoring: monitoring.or(other.monitoring),
            replicas: replicas.or(other.replicas),
            user: user.or(other.user),
            password_file: password_file.or(other.password_file),
            token_file: token_file.or(other.token_file),
            cacert: cacert.or(other.cacert),
            take_over_after: take_over_after.or(other.take_over_after),
            stop_jobs_without_log: stop_jobs_without_log.or(other.stop_jobs_without_log),
        }
    }

    /// The name of the cluster; none if this server is alone.
    pub(crate) fn cluster_name(&self) -> Option<&str> {
        let name = self.name.as_deref().unwrap_or(DEFAULT_NAME);
        self.is_set().then_some(name)
    }

    /// Whether this server is to be one of several nodes.
    pub(crate) fn is_set(&self) -> bool {
        *self != Self::default()
    }
}

#[cfg(feature = "cluster")]
pub(crate) use membership::ClusterError;

#[cfg(feature = "cluster")]
mod membership {
    use super::{ClusterTable, DEFAULT_NAME, Wait};
    use rejoin_core::Limits;
    use rejoin_engine::{Runtime, SmolRuntime};
    use rejoin_node::limits::{
        LATEST_TAKE_OVER, LEAST_STOP_JOBS, STOP_JOBS_AFTER, TAKE_OVER_AFTER,
    };
    use rejoin_node::{
        Access, ConnectionSettings, MembershipSettings, NodeName, NodePatience, Process, SyncProof,
    };
    use std::io;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// How this server takes part in a cluster.
    #[derive(Clone, Debug)]
    pub(crate) struct NodeSettings {
        pub(crate) connection: ConnectionSettings,
        pub(crate) cluster: NodeName,
        pub(crate) node: NodeName,
        pub(crate) replicas: usize,
        pub(crate) sync: SyncProof,
        pub(crate) patience: NodePatience,
    }

    impl NodeSettings {
        /// Those of this run of the program, with its copies of the logs in a directory.
        pub(crate) fn membership(self, directory: PathBuf, limits: Limits) -> MembershipSettings {
            let Self {
                connection,
                cluster,
                node,
                replicas,
                sync,
                patience,
            } = self;
            MembershipSettings {
                connection,
                cluster,
                node,
                process: Process(SmolRuntime.random()),
                replicas,
                sync,
                patience,
                directory,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                limits,
            }
        }
    }

    /// Why the settings of a cluster can't be used.
    #[derive(Debug, thiserror::Error)]
    pub(crate) enum ClusterError {
        #[error("a node needs servers of NATS: set --cluster, or `nats` in [cluster]")]
        NoServers,
        #[error(
            "{0} is not the address of a server of NATS: write nats://HOST:PORT or tls://HOST:PORT"
        )]
        Server(String),
        #[error(
            "an address of a server of NATS must not have a user or a password: everyone may read it; set \
             `user` and `password-file` in [cluster]"
        )]
        SecretInAddress,
        #[error("a node needs a name: set --node, or `node` in [cluster]")]
        NoNode,
        #[error(
            "{0} is not a name of a node or a cluster: use 1 to 32 lower-case letters, digits and `-`"
        )]
        Name(String),
        #[error("{0} replicas: use 3 or 5, or 1 for tests")]
        Replicas(usize),
        #[error(
            "set both --cluster-user and --cluster-password-file, or only --cluster-token-file"
        )]
        Access,
        #[error(
            "take-over-after: use whole seconds from 6s to 10m; a busy machine misses some beats, and a takeover \
             loses the commands that run"
        )]
        TakeOverAfter,
        #[error(
            "stop-jobs-without-log: use 15s or more, because electing a leader takes NATS up to 10 seconds"
        )]
        StopJobs,
        #[error("cannot read {}: {}", .0.display(), .1)]
        File(PathBuf, #[source] io::Error),
        #[error("{} can be read by others: `chmod 600` it", .0.display())]
        ReadableByOthers(PathBuf),
        #[error("the first line of {} is empty", .0.display())]
        Empty(PathBuf),
    }

    impl ClusterTable {
        /// What they say, checked. None: the server is alone.
        pub(crate) fn node(&self) -> Result<Option<NodeSettings>, ClusterError> {
            if !self.is_set() {
                return Ok(None);
            }
            let servers = self.nats.clone().unwrap_or_default();
            if servers.is_empty() {
                return Err(ClusterError::NoServers);
            }
            let hosts: Vec<_> = servers
                .iter()
                .map(|server| host(server))
                .collect::<Result<_, _>>()?;
            let node = self.node.as_deref().ok_or(ClusterError::NoNode)?;
            let monitoring = self.monitoring.clone();
            let monitoring = monitoring
                .unwrap_or_else(|| hosts.iter().map(|host| format!("{host}:8222")).collect());
            let replicas = self.replicas.unwrap_or(3);
            if !matches!(replicas, 1 | 3 | 5) {
                return Err(ClusterError::Replicas(replicas));
            }
            Ok(Some(NodeSettings {
                connection: ConnectionSettings {
                    servers,
                    access: self.access()?,
                    authority: self.cacert.clone(),
                },
                cluster: name(self.name.as_deref().unwrap_or(DEFAULT_NAME))?,
                node: name(node)?,
                replicas,
                sync: SyncProof::Monitoring(monitoring),
                patience: NodePatience {
                    take_over_after: self.take_over_after()?,
                    stop_jobs_after: self.stop_jobs_after()?,
                },
            }))
        }

        fn take_over_after(&self) -> Result<Duration, ClusterError> {
            let usual = Wait(TAKE_OVER_AFTER);
            let Wait(after) = self.take_over_after.unwrap_or(usual);
            let is_whole = after.subsec_nanos() == 0;
            let is_sane = is_whole && (TAKE_OVER_AFTER..=LATEST_TAKE_OVER).contains(&after);
            is_sane.then_some(after).ok_or(ClusterError::TakeOverAfter)
        }

        fn stop_jobs_after(&self) -> Result<Duration, ClusterError> {
            let Wait(after) = self.stop_jobs_without_log.unwrap_or(Wait(STOP_JOBS_AFTER));
            let is_sane = after >= LEAST_STOP_JOBS;
            is_sane.then_some(after).ok_or(ClusterError::StopJobs)
        }

        fn access(&self) -> Result<Access, ClusterError> {
            match (&self.user, &self.password_file, &self.token_file) {
                (None, None, None) => Ok(Access::Open),
                (Some(user), Some(file), None) => Ok(Access::Password {
                    user: user.clone(),
                    password: secret(file)?,
                }),
                (None, None, Some(file)) => Ok(Access::Token(secret(file)?)),
                _ => Err(ClusterError::Access),
            }
        }
    }

    fn name(text: &str) -> Result<NodeName, ClusterError> {
        text.parse()
            .map_err(|_| ClusterError::Name(text.to_owned()))
    }

    /// The host in the address of a server.
    fn host(server: &str) -> Result<&str, ClusterError> {
        let wrong = || ClusterError::Server(server.to_owned());
        let rest = server
            .strip_prefix("nats://")
            .or_else(|| server.strip_prefix("tls://"));
        let rest = rest.ok_or_else(wrong)?;
        if rest.contains('@') {
            return Err(ClusterError::SecretInAddress);
        }
        let host = match rest.rsplit_once(':') {
            // Not the last group of an IPv6 address.
            Some((host, port)) if !port.contains(']') => {
                port.parse::<u16>().map_err(|_| wrong())?;
                host
            }
            _ => rest,
        };
        let is_host = !host.is_empty() && !host.contains('/');
        is_host.then_some(host).ok_or_else(wrong)
    }

    fn secret(file: &Path) -> Result<String, ClusterError> {
        let failed = |error| ClusterError::File(file.into(), error);
        let mode = std::fs::metadata(file)
            .map_err(failed)?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(ClusterError::ReadableByOthers(file.into()));
        }
        let text = std::fs::read_to_string(file).map_err(failed)?;
        match text.lines().next().map(str::trim) {
            Some(secret) if !secret.is_empty() => Ok(secret.to_owned()),
            _ => Err(ClusterError::Empty(file.into())),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn read(text: &str) -> Result<Option<NodeSettings>, ClusterError> {
            toml::from_str::<ClusterTable>(text).unwrap().node()
        }

        #[test]
        fn a_server_without_settings_of_a_cluster_is_alone() {
            assert!(read("").unwrap().is_none());
        }

        #[test]
        fn the_monitoring_of_each_server_is_at_its_usual_port() {
            let node =
                read("nats = ['nats://a:4222', 'tls://[::1]:4222', 'nats://c']\nnode = 'n1'");
            let node = node.unwrap().unwrap();
            let usual = ["a:8222", "[::1]:8222", "c:8222"].map(str::to_owned);
            assert_eq!(node.sync, SyncProof::Monitoring(usual.into()));
            assert_eq!((node.cluster.as_str(), node.replicas), ("rejoin", 3));
        }

        #[test]
        fn a_node_can_be_more_patient_than_usual() {
            let node = "nats = ['nats://a']\nnode = 'n1'";
            let waits = |more: &str| {
                let node = read(&format!("{node}\n{more}")).unwrap().unwrap();
                (
                    node.patience.take_over_after.as_secs(),
                    node.patience.stop_jobs_after.as_secs(),
                )
            };
            assert_eq!(waits(""), (6, 60));
            let more = "take-over-after = '1m'\nstop-jobs-without-log = '5m'";
            assert_eq!(waits(more), (60, 300));
        }

        #[test]
        fn what_is_missing_or_wrong_is_said() {
            for (text, said) in [
                ("node = 'n1'", "needs servers"),
                ("nats = ['nats://a']", "needs a name"),
                ("nats = ['a:4222']\nnode = 'n1'", "nats://HOST:PORT"),
                ("nats = ['nats://a:port']\nnode = 'n1'", "nats://HOST:PORT"),
                ("nats = ['nats://u:p@a']\nnode = 'n1'", "password-file"),
                ("nats = ['nats://a']\nnode = 'N 1'", "lower-case"),
                ("nats = ['nats://a']\nnode = 'n1'\nreplicas = 2", "3 or 5"),
                ("nats = ['nats://a']\nnode = 'n1'\nuser = 'u'", "both"),
                (
                    "nats = ['nats://a']\nnode = 'n1'\ntake-over-after = '5s'",
                    "from 6s to 10m",
                ),
                (
                    "nats = ['nats://a']\nnode = 'n1'\ntake-over-after = '11m'",
                    "from 6s to 10m",
                ),
                (
                    "nats = ['nats://a']\nnode = 'n1'\nstop-jobs-without-log = '10s'",
                    "15s or more",
                ),
                (
                    "nats = ['nats://a']\nnode = 'n1'\ntoken-file = '/no/file'",
                    "cannot read /no/file",
                ),
            ] {
                let error = read(text).unwrap_err().to_string();
                assert!(error.contains(said), "{text}: {error}");
            }
        }
    }
}
