//! The report on a run: the verdict, the findings and the figures, as text and as JSON.

mod changes;
mod figures;
pub mod listing;
mod machine;
pub mod page;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::audit::{
    Counts, Demands, about_nodes, about_stale_replies, message_storm, never_succeeded,
    nothing_asked, unanswered,
};
use super::check::availability;
use super::check::limits::{self, Measure};
use super::check::{Finding, Severity, Validity};
use super::history::Operation;
use super::nemesis::FaultWindow;
use super::store::StoreErrors;
use super::words;
use super::workload::Workload;
use super::world::{Record, Settings};

use figures::milliseconds;
pub use figures::{Figures, Quantiles};
pub use machine::{Invocation, Machine, VERSION};
use text::Milliseconds;

/// The verdict on a run or on an imported history, and its figures.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    valid: Validity,
    workload: Cow<'static, str>,
    /// The file of an imported history; `None` for a run.
    history: Option<PathBuf>,
    nodes: Vec<String>,
    clients: usize,
    /// `None` for an imported history.
    seed: Option<u64>,
    /// How long clients sent requests; `None` for a history without times.
    time_limit_s: Option<f64>,
    /// The violations and undecided questions.
    findings: Vec<ReportedFinding>,
    /// The warnings.
    warnings: Vec<ReportedFinding>,
    operations: Counts,
    /// The successful operations a second while clients sent requests, and how many were asked for; `None` for an imported
    /// history.
    operations_per_s: Option<f64>,
    rate_per_s: Option<f64>,
    operations_by_type: BTreeMap<Cow<'static, str>, Counts>,
    latency_ms: Option<Quantiles>,
    /// Of each type of which an operation succeeded. Empty where that of all is `None`, and in results of earlier versions.
    #[serde(default)]
    latency_ms_by_type: BTreeMap<Cow<'static, str>, Quantiles>,
    /// `None` for an imported history.
    messages: Option<Messages>,
    /// The measurements that have a limit.
    limits: Vec<Measure>,
    faults: Vec<ReportedFault>,
    facts: Map<String, Value>,
    repeat: String,
    /// Every flag of that command with its value, except those under "What is shown and kept". Like the version and the
    /// machine, they are missing in results of earlier versions.
    #[serde(default)]
    settings: Map<String, Value>,
    version: Option<Cow<'static, str>>,
    /// Also `None` in the files of a simulated run, which are the same on any machine.
    machine: Option<Machine>,
    /// The folder of the run.
    store: Option<PathBuf>,
    /// The files in that folder that are not whole.
    #[serde(skip)]
    broken_files: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReportedFinding {
    valid: Validity,
    what: String,
    /// The operations that show it, each as text.
    operations: Vec<String>,
    /// The same operations, as indices into the history.
    operation_indices: Vec<usize>,
    /// The number of findings for which it stands, if it stands for findings that are not shown; else zero, as in results of
    /// earlier versions.
    #[serde(default)]
    hidden_count: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Messages {
    all: u64,
    all_received: u64,
    all_per_operation: f64,
    clients: u64,
    clients_received: u64,
    /// `None` like the two that follow if the nodes ran elsewhere: their messages to others were not seen.
    servers: Option<u64>,
    servers_received: Option<u64>,
    servers_per_operation: Option<f64>,
    /// Replies of services about a value that had been replaced, as far as they arrived.
    #[serde(default)]
    stale_received: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ReportedFault {
    what: String,
    began_s: f64,
    ended_s: Option<f64>,
}

/// An imported history.
pub struct HistoryFile<'a> {
    /// The file.
    pub path: &'a Path,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// The line of the file on which each operation begins, counted from 1.
    pub lines: Vec<usize>,
    /// Whether it has times. If not, those of its operations only give their order.
    pub has_times: bool,
}

/// The figures that are times.
const TIMES: [&str; 2] = ["stable_latencies_ms", "worst_stale"];

impl Report {
    /// The report on a run. `invocation` is the command that repeats it.
    pub fn new<W: Workload>(
        record: &Record<W>,
        settings: &Settings,
        demands: Demands,
        invocation: Invocation,
    ) -> Self {
        let time_limit_s = record.asked_for(settings.time_limit).as_secs_f64();
        let ok_count = figures::ok_in_time(&record.history) as f64;
        Report {
            nodes: settings.nodes.clone(),
            clients: settings.client_count,
            seed: Some(settings.seed),
            time_limit_s: Some(time_limit_s),
            operations_per_s: Some(figures::ratio(ok_count, time_limit_s)),
            rate_per_s: Some(settings.rate_per_s),
            ..Report::of(record, None, demands, invocation)
        }
    }

    /// The report on an imported history.
    pub fn of_history<W: Workload>(
        record: &Record<W>,
        file: &HistoryFile<'_>,
        demands: Demands,
        invocation: Invocation,
    ) -> Self {
        let history = record.history.iter();
        let clients: HashSet<usize> = history.clone().map(|operation| operation.client).collect();
        let last = history.map(|operation| operation.completed_at).max();
        Report {
            history: Some(file.path.to_path_buf()),
            nodes: file.nodes.clone(),
            clients: clients.len(),
            time_limit_s: last.filter(|_| file.has_times).map(|at| at.as_secs_f64()),
            messages: None,
            ..Report::of(record, Some(file), demands, invocation)
        }
    }

    /// The common part for runs and imported histories.
    fn of<W: Workload>(
        record: &Record<W>,
        file: Option<&HistoryFile<'_>>,
        demands: Demands,
        invocation: Invocation,
    ) -> Self {
        let history = &record.history;
        let by_kind = Counts::by_kind::<W>(history);
        let operations = Counts::sum(by_kind.values());
        let mut findings = record.findings.clone();
        let mut facts = Map::new();
        let mut limited = Vec::new();
        let messages = Messages::new(record, operations.total());
        findings.extend(message_storm(record));
        let mut unsuccessful = Vec::from_iter(unanswered(record, &by_kind));
        // A run that was cut short has a finding for that. What it lacks besides is no evidence.
        let is_whole = record.cut_short_at.is_none();
        if is_whole {
            findings.extend(nothing_asked(history));
            unsuccessful.extend(never_succeeded::<W>(
                history,
                &by_kind,
                &record.fault_windows,
                demands.availability,
                &record.findings,
            ));
            let availability = availability::check(history, W::is_success, demands.availability);
            unsuccessful.extend(availability.findings);
            facts.extend(availability.facts);
        }
        for finding in &mut unsuccessful {
            finding.what += &about_nodes(record, &finding.operations);
        }
        findings.extend(unsuccessful);
        // The answers of a run without a last phase are right or wrong whatever would have followed.
        if is_whole || !W::HAS_LAST_PHASE {
            let mut verdict = record.workload.check(history);
            for finding in &mut verdict.findings {
                finding.what += &about_stale_replies(record, finding).unwrap_or_default();
            }
            findings.extend(verdict.findings);
            facts.extend(verdict.facts);
        }
        if is_whole {
            limited = demands
                .limits
                .measure(messages.servers_per_operation.unwrap_or_default(), &facts);
            findings.extend(limits::check(&limited).findings);
        }
        let has_times = file.is_none_or(|file| file.has_times);
        for fact in TIMES.into_iter().filter(|_| !has_times) {
            facts.remove(fact);
        }
        let validities = findings
            .iter()
            .map(|finding| finding.severity.validity(demands.is_strict));
        let valid = validities.max().unwrap_or(Validity::Valid);
        let latency_ms_by_type = by_kind.keys().filter_map(|&kind| {
            let of_kind = |operation: &&Operation<_, _>| W::request_kind(&operation.call) == kind;
            let mut latencies = figures::latencies(history.iter().filter(of_kind));
            Some((kind.into(), Quantiles::of(&mut latencies)?))
        });
        let (warnings, findings): (Vec<_>, Vec<_>) = findings
            .into_iter()
            .partition(|finding| finding.severity == Severity::Warning);
        let reported = |findings: Vec<Finding>| {
            let findings = findings.into_iter();
            findings
                .map(|finding| ReportedFinding::new::<W>(finding, history, file, demands.is_strict))
                .collect()
        };
        Report {
            valid,
            workload: W::NAME.into(),
            history: None,
            nodes: Vec::new(),
            clients: 0,
            seed: None,
            time_limit_s: None,
            findings: reported(findings),
            warnings: reported(warnings),
            operations,
            operations_per_s: None,
            rate_per_s: None,
            latency_ms: has_times
                .then(|| Quantiles::of(&mut figures::latencies(history)))
                .flatten(),
            latency_ms_by_type: latency_ms_by_type.filter(|_| has_times).collect(),
            operations_by_type: by_kind
                .iter()
                .map(|(kind, counts)| ((*kind).into(), *counts))
                .collect(),
            messages: Some(messages),
            limits: limited,
            faults: record.fault_windows.iter().map(reported_fault).collect(),
            facts,
            repeat: invocation.command,
            settings: invocation.settings,
            version: Some(VERSION.into()),
            machine: None,
            store: None,
            broken_files: Vec::new(),
        }
    }

    /// The first violation or undecided question, as text; empty if there is none.
    pub fn first_finding(&self) -> String {
        let worst = self
            .all_findings()
            .find(|finding| finding.valid == self.valid);
        worst.map_or_else(String::new, |finding| finding.what.clone())
    }

    /// The workload.
    pub fn workload(&self) -> &str {
        &self.workload
    }

    /// The seed of a run.
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// Sets the machine on which the run was made.
    pub fn set_machine(&mut self, machine: Machine) {
        self.machine = Some(machine);
    }

    /// Sets the folder in which the run is stored.
    pub fn set_store(&mut self, folder: &Path) {
        self.store = Some(folder.to_path_buf());
    }

    /// Stores the report with `store`. From then on it leaves out what needs a file that is not whole, as on a full disk.
    ///
    /// # Errors
    ///
    /// Those of `store`.
    pub fn store_with(
        &mut self,
        store: impl FnOnce(&Report) -> Result<(), StoreErrors>,
    ) -> Result<(), StoreErrors> {
        let stored = store(self);
        if let Err(errors) = &stored {
            self.broken_files = errors.file_names().map(String::from).collect();
        }
        stored
    }

    /// Whether all of these files of a stored run are whole.
    fn are_whole(&self, names: &[&str]) -> bool {
        let mut broken = self.broken_files.iter();
        !broken.any(|broken| names.contains(&&**broken))
    }

    /// The folder in which the run is stored, if it is.
    pub fn store(&self) -> Option<&Path> {
        self.store.as_deref()
    }

    /// The operations that show the findings, as indices into the history.
    pub fn evidence(&self) -> impl Iterator<Item = usize> {
        self.all_findings()
            .flat_map(|finding| finding.operation_indices.iter().copied())
    }

    /// The findings, then the warnings.
    fn all_findings(&self) -> impl Iterator<Item = &ReportedFinding> {
        self.findings.iter().chain(&self.warnings)
    }

    /// The names of the nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The number of operations.
    pub fn operation_count(&self) -> usize {
        self.operations.total()
    }

    /// The measurements that have a limit.
    pub fn limits(&self) -> &[Measure] {
        &self.limits
    }

    /// Whether the messages were recorded. Those of an imported history were not.
    pub fn has_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// The number of warnings, those included that are not shown.
    pub fn warning_count(&self) -> usize {
        let warnings = self.warnings.iter();
        warnings.map(|warning| warning.hidden_count.max(1)).sum()
    }

    /// The verdict.
    pub fn validity(&self) -> Validity {
        self.valid
    }
}

fn reported_fault(window: &FaultWindow) -> ReportedFault {
    ReportedFault {
        what: window.what.clone(),
        began_s: window.began_at.as_secs_f64(),
        ended_s: window.ended_at.map(|at| at.as_secs_f64()),
    }
}

impl ReportedFinding {
    fn new<W: Workload>(
        finding: Finding,
        history: &[Operation<W::Call, W::Answer>],
        file: Option<&HistoryFile<'_>>,
        is_strict: bool,
    ) -> Self {
        let operations = finding.operations.iter().map(|&index| {
            let operation = &history[index];
            let line = file.map(|file| format!(" (line {})", file.lines[index]));
            let line = line.unwrap_or_default();
            let outcome = match &finding.subject {
                Some(subject) => words::outcome_around::<W>(operation, subject),
                None => words::outcome::<W>(operation),
            };
            let (at, after) = match file.is_none_or(|file| file.has_times) {
                true => {
                    let took = operation.completed_at - operation.invoked_at;
                    let at = format!(" at {:.3} s", operation.invoked_at.as_secs_f64());
                    (at, format!(", after {}", Milliseconds(milliseconds(took))))
                }
                false => Default::default(),
            };
            format!(
                "#{index}{line}{at}, c{} to {}: {} → {}{after}",
                operation.client,
                operation.node,
                words::call::<W>(&operation.call),
                outcome,
            )
        });
        ReportedFinding {
            valid: finding.severity.validity(is_strict),
            operations: operations.collect(),
            operation_indices: finding.operations.clone(),
            hidden_count: finding.hidden_count,
            what: finding.what,
        }
    }
}

impl Messages {
    fn new<W: Workload>(record: &Record<W>, operation_count: usize) -> Self {
        let per_operation = |count: u64| figures::ratio(count as f64, operation_count as f64);
        let Record {
            sent,
            received,
            stale_received,
            ..
        } = record;
        let seen = (!record.is_elsewhere).then_some((sent.servers, received.servers));
        let (servers, servers_received) = seen.unzip();
        Messages {
            all: sent.all,
            all_received: received.all,
            all_per_operation: per_operation(sent.all),
            clients: sent.clients(),
            clients_received: received.clients(),
            servers,
            servers_received,
            servers_per_operation: servers.map(per_operation),
            stale_received: *stale_received,
        }
    }
}
