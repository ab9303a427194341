// The verdict, its evidence, and the figures.

/** What was checked. A history from elsewhere has no messages. */
const subject = report.history === null ? "run" : "history";

function validInWords() {
  const { ok, failed, indeterminate } = report.operations;
  const total = ok + failed + indeterminate;
  return 2 * ok < total ? `no answer is wrong, but only ${ok} of ${total} operations succeeded`
    : `nothing is wrong with this ${subject}`;
}

const verdicts = {
  true: ["valid", "✓ Valid", validInWords()],
  false: ["invalid", "✗ Invalid", `this ${subject} shows what must not happen`],
  unknown: ["unknown", "? Unknown", `this ${subject} could not be decided`],
};

const spaced = (name) => name.replaceAll("_", " ");

/** The maximum number of figures of a list to show. */
const LISTED_MAX = 5;

/** The names of the quantiles, which results.json names by their fractions, as upstream does. */
const QUANTILES = new Map([["0", "min"], ["0.5", "median"], ["0.95", "p95"], ["0.99", "p99"], ["1", "max"]]);

/** A figure in words: quantiles in rising order, and each member of an object by its name. */
function inWords(value) {
  if (Array.isArray(value)) {
    // A list in a list is a range.
    const words = (part) => (Array.isArray(part) ? part.map(inWords).join(" to ") : inWords(part));
    const listed = value.slice(0, LISTED_MAX).map(words).join("; ");
    return value.length > LISTED_MAX ? `${listed}; … (${value.length} in results.json)` : listed;
  }
  if (typeof value === "number") return value.toLocaleString("en-US", { maximumFractionDigits: 4 });
  if (typeof value !== "object") return String(value);
  // Members whose names are no numbers keep their order.
  const members = Object.entries(value ?? {}).sort(([a], [b]) => a - b);
  return members.map(([name, part]) => `${QUANTILES.get(name) ?? spaced(name)}: ${inWords(part)}`).join(", ");
}

/** Shows findings or warnings in their section, if there are any, each with its operations. */
function showFindings(findings, name) {
  byId(`${name}s`).hidden = findings.length === 0;
  byId(`${name}-list`).append(...findings.map((finding) => element(
    "li", { class: finding.valid === true ? "warning" : verdicts[finding.valid][0] },
    element("p", {}, finding.what),
    ...finding.operations.map((words, i) => element("button", {
      class: "row mono",
      "data-operation": finding.operation_indices[i],
      onclick: () => selectIndex(finding.operation_indices[i], true),
    }, words)),
  )));
}

function summarize() {
  const [style, word, meaning] = verdicts[report.valid];
  document.title = `${word} · ${report.workload}`;
  const faultCount = counted(faults.length, "fault");
  const source = report.history === null ? `on ${counted(report.nodes.length, "node")}` : `from ${report.history}`;
  byId("subject").textContent = `${report.workload} ${source}, ${counted(report.clients, "client")}, `
    + (report.time_limit_s === null ? "" : `${grouped(report.time_limit_s)} s, `) + faultCount;
  byId("verdict").className = style;
  byId("verdict").append(report.valid === true && report.warnings.length > 0
    ? `${word} with warnings: Maelstrom lets this ${subject} pass` : `${word}: ${meaning}`);
  byId("command").append(element("code", {}, report.repeat));

  showFindings(report.findings, "finding");
  showFindings(report.warnings, "warning");
  if (report.warnings.some((warning) => warning.valid !== true)) byId("warnings-strict").textContent = ", but --strict does not";

  const { operations: counts, latency_ms: latency, messages: traffic, facts } = report;
  const total = counts.ok + counts.failed + counts.indeterminate;
  const figures = [
    ["operations", grouped(total), `${grouped(counts.ok)} ok, ${grouped(counts.failed)} failed, ${grouped(counts.indeterminate)} unknown`
      + (report.operations_per_s == null ? "" : `; ${report.operations_per_s.toFixed(1)} a second of ${report.rate_per_s} asked for`)],
  ];
  if (traffic) {
    figures.push(["messages an operation", traffic.all_per_operation.toFixed(2), `${grouped(traffic.all)} in all`]);
  }
  // If the nodes ran elsewhere, these were not seen.
  if (traffic && traffic.servers !== null) {
    figures.push(["of these between servers", traffic.servers_per_operation.toFixed(2), `${grouped(traffic.servers)} in all`]);
  }
  if (latency) {
    figures.splice(1, 0, ["median latency", duration(latency.p50 * 1e3),
      `p99 ${duration(latency.p99 * 1e3)}, max ${duration(latency.max * 1e3)}`]);
  }
  // What a challenge asks of broadcast.
  const stable = facts.stable_latencies_ms;
  if (stable?.["0.5"] !== undefined) {
    figures.splice(latency ? 2 : 1, 0, ["median stable latency", duration(stable["0.5"] * 1e3),
      `max ${duration(stable["1"] * 1e3)} to reach all nodes`]);
  }
  byId("figures").append(...figures.map(([name, value, more]) => element("div", {},
    element("dt", {}, name), element("dd", {}, value, element("small", {}, more)))));
  const byType = Object.entries(report.operations_by_type).map(([type, counts]) => [`of these ${type}`, counts]);
  const latencies = Object.entries(report.latency_ms_by_type).map(([type, latency]) => [`of these ${type}`, latency]);
  const all = [["operations", counts], ...byType, ["latency_ms", latency], ...(latencies.length > 1 ? latencies : []),
    ["messages", traffic], ...Object.entries(facts)];
  byId("facts").append(...all.map(([name, value]) => [spaced(name), inWords(value)]).filter(([, words]) => words !== "")
    .map(([name, words]) => element("tr", {}, element("td", {}, name), element("td", {}, words))));

  byId("faults").hidden = faults.length === 0;
  byId("fault-count").textContent = faultCount;
  byId("fault-list").append(...faults.map(({ what, from, to }) => element("tr", {},
    element("td", {}, `${moment(from, 2)} to ${to === Infinity ? "the end" : moment(to, 2)}`), element("td", {}, what))));

  byId("latency-note").textContent = "One point an operation, and the latency that half, 95 % and 99 % of those begun at the time kept within"
    + (operations.stride > 1 ? `. Of ${grouped(operations.total)} operations one in ${operations.stride} is a point; lines and rates count all.` : ".");
  const held = messageCount < messages.total
    ? `This page holds ${grouped(messageCount)} of ${grouped(messages.total)} messages: those around the evidence, then those from the start on`
      + (messages.omitted > 0 ? `. messages.jsonl.lz4 reached its limit: ${counted(messages.omitted, "message")} not stored. ` : "; eddy show --messages prints all. ")
    : "";
  byId("messages").hidden = !traffic;
  byId("message-note").textContent = `${held}Time runs to the right; above a node's line are its clients. Choose an operation to see what it has caused.`
    + (printed.length > 0 ? " A mark below a node's line is a line that the node printed on stderr." : "");
  noteLog();
}

/** Describes the contents of the log, and which lines of the nodes it lacks. */
function noteLog() {
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const [total, omitted] = [sum(logs.total), sum(logs.omitted)];
  const what = report.history === null ? "Operations, faults and what nodes print on stderr" : "Operations and faults";
  const held = lineCount < total
    ? ` This page holds ${grouped(lineCount)} of ${grouped(total)} lines that nodes printed: those from the time of the evidence, and the first and the last of each node`
      + (omitted > 0 ? `. Logs reached their limit: ${counted(omitted, "line")} not stored.` : "; node-logs has all.")
    : "";
  byId("log-note").textContent = `${what}, in the order of time.${held}`;
}
