//! The flags that say which stores answer the nodes.

use std::ffi::OsStr;
use std::time::Duration;

use clap::builder::{EnumValueParser, PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Args, Command};

use super::error::CommandError;
use crate::workbench::service::SequentialStore;
use crate::workbench::service::etcd::{EtcdOptions, MemberUrl};
use crate::workbench::world::Settings;

/// What names a cluster of etcd, before the addresses of its members.
const ETCD: &str = "etcd=";

/// What answers as seq-kv.
#[derive(Clone, Debug)]
pub(super) enum SequentialKv {
    /// A store of this crate.
    Own(SequentialStore),
    /// A cluster of etcd.
    Etcd(Cluster),
}

/// The members of a cluster of etcd.
#[derive(Clone, Debug)]
pub(super) struct Cluster(Vec<MemberUrl>);

impl SequentialKv {
    /// The store of this crate. Where a cluster answers in its place, it is not asked.
    pub(super) fn own(&self) -> SequentialStore {
        match self {
            SequentialKv::Own(store) => *store,
            SequentialKv::Etcd(_) => SequentialStore::default(),
        }
    }

    /// The store, where there can be no other than one of this crate.
    ///
    /// # Errors
    ///
    /// When it is another.
    pub(super) fn only_own(&self) -> Result<(), CommandError> {
        match self {
            SequentialKv::Own(_) => Ok(()),
            SequentialKv::Etcd(_) => Err(CommandError::Options(String::from(
                "--seq-kv etcd=...: a simulation has its own time, which no cluster can follow. Use eddy test",
            ))),
        }
    }
}

/// The flags that only a run in real time has.
#[derive(Args)]
pub(super) struct StoreOptions {
    /// Let a cluster of etcd answer as lin-kv: etcd=URL,URL,... with the address of each member, as for --seq-kv.
    #[arg(long, value_name = "STORE", value_parser = cluster)]
    lin_kv: Option<Cluster>,
}

impl StoreOptions {
    /// The clusters that answer for services in a run.
    pub(super) fn clusters(&self, seq_kv: &SequentialKv, settings: &Settings) -> Vec<EtcdOptions> {
        let sequential = match seq_kv {
            SequentialKv::Etcd(cluster) => Some(cluster),
            SequentialKv::Own(_) => None,
        };
        let lin_kv = self.lin_kv.as_ref();
        let named = [("seq-kv", true, sequential), ("lin-kv", false, lin_kv)];
        let lease_ttl = lasts_at_most(settings);
        let options = |(service, reads_are_serializable, cluster): (_, _, Option<&Cluster>)| {
            let Cluster(members) = cluster?.clone();
            Some(EtcdOptions {
                service,
                reads_are_serializable,
                members,
                lease_ttl,
            })
        };
        named.into_iter().filter_map(options).collect()
    }
}

/// The time after which a run is over for certain.
fn lasts_at_most(settings: &Settings) -> Duration {
    // That of the last answers to requests, and of the last phase.
    const LESS_THAN_A_MINUTE: Duration = Duration::from_secs(60);
    2 * settings.init_timeout
        + settings.time_limit
        + settings.recovery.max(settings.init_timeout)
        + LESS_THAN_A_MINUTE
}

fn cluster(text: &str) -> Result<Cluster, String> {
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
        own.map(SequentialKv::Own)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let etcd = PossibleValue::new("etcd=URL,URL,...")
            .help("A cluster of etcd, by the addresses of its members. Reads are serializable");
        let own = EnumValueParser::<SequentialStore>::new();
        let own: Vec<_> = own.possible_values()?.collect();
        Some(Box::new(own.into_iter().chain([etcd])))
    }
}
