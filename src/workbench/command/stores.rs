//! The flags that select the stores of a run.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use clap::builder::{EnumValueParser, PossibleValue, StringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Command};

use super::error::CommandError;
use super::options::RunOptions;
use super::values::positive;
use crate::stdio::random_seed;
use crate::workbench::nemesis::Fault;
use crate::workbench::process::{Clusters, LocalCluster, RunError};
use crate::workbench::service::SequentialStore;
use crate::workbench::service::etcd::{EtcdOptions, Keys, MemberUrl};
use crate::workbench::store::ETCD_LOGS;
use crate::workbench::world::Settings;

/// The prefix of a flag's value that is a list of members of etcd.
const ETCD: &str = "etcd=";

/// The store that answers as seq-kv.
#[derive(Clone, Debug)]
pub(super) enum SequentialKv {
    /// A store of this crate.
    Own(SequentialStore),
    /// A cluster of etcd.
    Etcd(Cluster),
}

/// The members of a cluster of etcd.
#[derive(Clone, Debug)]
pub(super) struct Cluster(pub Vec<MemberUrl>);

impl SequentialKv {
    /// The variant of this crate's store. It gets no requests if a cluster answers in its place.
    pub(super) fn own(&self) -> SequentialStore {
        match self {
            SequentialKv::Own(store) => *store,
            SequentialKv::Etcd(_) => SequentialStore::default(),
        }
    }
}

/// Refuses the flags that need a cluster, for simulations.
///
/// # Errors
///
/// When one of them is given.
pub(super) fn refuse_clusters(
    seq_kv: Option<&SequentialKv>,
    faults: &[Fault],
) -> Result<(), CommandError> {
    let wrong = match seq_kv {
        Some(SequentialKv::Etcd(_)) => "--seq-kv etcd=...",
        _ if faults.iter().any(|fault| fault.is_of_members()) => "--nemesis with faults of members",
        _ => return Ok(()),
    };
    Err(CommandError::Options(format!(
        "{wrong}: a simulation has its own time, which no cluster can follow. Use eddy test"
    )))
}

/// The flags for stores that only a run in real time has.
#[derive(Args)]
pub(super) struct StoreOptions {
    /// Let a cluster of etcd answer as lin-kv: etcd=URL,URL,... with the address of each member, as for --seq-kv.
    #[arg(long, value_name = "STORE", value_parser = cluster)]
    lin_kv: Option<Cluster>,

    /// Start a cluster of etcd with N members for the run, on loopback, and let it answer as seq-kv and lin-kv. The program
    /// etcd has to be on the PATH. The members' logs are kept in the run's folder.
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "lin_kv")]
    etcd_local: Option<usize>,
}

impl StoreOptions {
    /// Refuses flags that contradict each other.
    ///
    /// # Errors
    ///
    /// When two of them do.
    pub(super) fn check(&self, run: &RunOptions) -> Result<(), CommandError> {
        let is_given = matches!(run.seq_kv, SequentialKv::Etcd(_));
        let wrong = match self.etcd_local {
            Some(_) if is_given => "--etcd-local can't be used with --seq-kv etcd=...",
            None if run.nemesis.iter().any(|fault| fault.is_of_members()) => {
                "--nemesis member-kill and member-pause need --etcd-local"
            }
            _ => return Ok(()),
        };
        Err(CommandError::Options(String::from(wrong)))
    }

    /// The clusters that answer for services in a run. `folder` is the folder of the run, if it is stored.
    ///
    /// # Errors
    ///
    /// When there are no free ports for the members of `--etcd-local`.
    pub(super) fn clusters(
        &self,
        seq_kv: &SequentialKv,
        settings: &Settings,
        folder: Option<&Path>,
    ) -> Result<Clusters, CommandError> {
        if let Some(count) = self.etcd_local {
            return local(count, settings, folder);
        }
        let given = match seq_kv {
            SequentialKv::Etcd(cluster) => Some(cluster),
            SequentialKv::Own(_) => None,
        };
        let seq_kv = given.map(|Cluster(members)| seq_kv_of(members, of_run(settings)));
        let lin_kv =
            (self.lin_kv.as_ref()).map(|Cluster(members)| lin_kv_of(members, of_run(settings)));
        Ok(Clusters {
            services: seq_kv.into_iter().chain(lin_kv).collect(),
            local: None,
        })
    }
}

/// A cluster to start for the run, with its files in the folder of the run, or else in a temporary one.
///
/// # Errors
///
/// When there are no free ports for its members.
pub(super) fn local(
    count: usize,
    settings: &Settings,
    folder: Option<&Path>,
) -> Result<Clusters, CommandError> {
    let temporary = || std::env::temp_dir().join(format!("eddy-{:016x}", random_seed()));
    let path = folder.map_or_else(temporary, |folder| folder.join(ETCD_LOGS));
    let cluster = LocalCluster::new(count, path, folder.is_some(), random_seed());
    let cluster = cluster.map_err(RunError::Local)?;
    let members: Vec<_> = cluster.urls().collect();
    Ok(Clusters {
        services: vec![
            seq_kv_of(&members, of_run(settings)),
            lin_kv_of(&members, of_run(settings)),
        ],
        local: Some(cluster),
    })
}

pub(super) fn seq_kv_of(members: &[MemberUrl], keys: Keys) -> EtcdOptions {
    EtcdOptions {
        service: "seq-kv",
        reads_are_serializable: true,
        members: members.to_vec(),
        keys,
    }
}

pub(super) fn lin_kv_of(members: &[MemberUrl], keys: Keys) -> EtcdOptions {
    EtcdOptions {
        service: "lin-kv",
        reads_are_serializable: false,
        ..seq_kv_of(members, keys)
    }
}

/// The keys of a run.
fn of_run(settings: &Settings) -> Keys {
    Keys::OfSession {
        lease_ttl: lasts_at_most(settings),
    }
}

/// An upper bound of the duration of a run.
fn lasts_at_most(settings: &Settings) -> Duration {
    // The time for the last replies before the recovery, and for the last phase.
    const LESS_THAN_A_MINUTE: Duration = Duration::from_secs(60);
    2 * settings.init_timeout
        + settings.time_limit
        + settings.recovery.max(settings.init_timeout)
        + LESS_THAN_A_MINUTE
}

pub(super) fn cluster(text: &str) -> Result<Cluster, String> {
    let urls = text.strip_prefix(ETCD);
    let urls = urls.ok_or("expected etcd=URL,URL,... with the address of each member")?;
    let members: Result<_, _> = urls.split(',').map(str::parse).collect();
    members.map(Cluster)
}

/// Reads the value of --seq-kv.
#[derive(Clone)]
pub(super) struct SequentialKvParser;

impl TypedValueParser for SequentialKvParser {
    type Value = SequentialKv;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<SequentialKv, clap::Error> {
        if value.as_encoded_bytes().starts_with(ETCD.as_bytes()) {
            let parser = StringValueParser::new().try_map(|text| cluster(&text));
            return parser
                .parse_ref(command, arg, value)
                .map(SequentialKv::Etcd);
        }
        let own = EnumValueParser::new().parse_ref(command, arg, value);
        own.map(SequentialKv::Own).map_err(|mut error| {
            let values = self.possible_values().into_iter().flatten();
            let names = values.map(|value| String::from(value.get_name()));
            error.insert(
                ContextKind::ValidValue,
                ContextValue::Strings(names.collect()),
            );
            error
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let etcd = PossibleValue::new("etcd=URL,URL,...")
            .help("A cluster of etcd, by the addresses of its members. Reads are serializable");
        let own = EnumValueParser::<SequentialStore>::new();
        let own: Vec<_> = own.possible_values()?.collect();
        Some(Box::new(own.into_iter().chain([etcd])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_store_is_answered_with_all_that_there_are() {
        let flag = Arg::new("seq-kv").long("seq-kv");
        let command = Command::new("eddy").arg(flag.value_parser(SequentialKvParser));
        let parsed = command.try_get_matches_from(["eddy", "--seq-kv", "foo"]);
        let error = parsed.expect_err("there is no such store").to_string();
        let stores = "maelstrom, strict, lazy, etcd=URL,URL,...";
        assert!(error.contains(stores), "{error}");
    }
}
