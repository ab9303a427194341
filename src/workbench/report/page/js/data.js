// The data of the page, and how to find things in it. Operations and messages are stored as columns, and identified by
// their position in them.

const { report, series, operations, messages, logs } = data;
const operationCount = operations.index.length;
const messageCount = messages.id.length;
const lineCount = logs.number.length;

const outcomes = ["ok", "failed", "indeterminate"];

const faults = report.faults.map((fault) => ({
  what: fault.what,
  // "killed: n0, n3" is of the kind "killed".
  kind: fault.what.split(":")[0],
  from: fault.began_s * 1e6,
  to: fault.ended_s === null ? Infinity : fault.ended_s * 1e6,
}));

const faultKinds = [...new Set(faults.map((fault) => fault.kind))].sort();

/** The whole run, microseconds. */
const whole = { from: 0, to: 1 };
for (let i = 0; i < operationCount; i++) {
  whole.to = Math.max(whole.to, operations.invoked_us[i] + operations.took_us[i]);
}
for (let i = 0; i < messageCount; i++) {
  whole.from = Math.min(whole.from, messages.sent_us[i]);
  whole.to = Math.max(whole.to, messages.sent_us[i]);
}
/** The run without the time in which nodes only printed something, because a node may take long to start. */
const run = { ...whole };
if (lineCount > 0) {
  whole.from = Math.min(whole.from, logs.at_us[0]);
  whole.to = Math.max(whole.to, logs.at_us[lineCount - 1]);
}

/** Operations by their number in the history, and by the client and id of their request. */
const operationByIndex = new Map();
const operationByRequest = new Map();
for (let i = 0; i < operationCount; i++) {
  operationByIndex.set(operations.index[i], i);
  operationByRequest.set(`c${operations.client[i]} ${operations.msg_id[i]}`, i);
}

/** Compares two messages: of those that were sent in one microsecond, numbers show which came first. */
const inOrderOfSending = (a, b) => messages.sent_us[a] - messages.sent_us[b] || messages.id[a] - messages.id[b];
/** Messages in the order of sending, and the longest time that any of them was under way. */
const bySending = Uint32Array.from({ length: messageCount }, (_, i) => i).sort(inOrderOfSending);
let longestWay_us = 0;
for (const took_us of messages.took_us) longestWay_us = Math.max(longestWay_us, took_us);

const nodeNames = report.nodes;
const isNode = messages.names.map((name) => nodeNames.includes(name));
const isClient = messages.names.map((name, i) => !isNode[i] && /^c\d+$/.test(name));
const serviceNames = messages.names.filter((_, i) => !isNode[i] && !isClient[i]).sort();

/** A reply has the colour of its request. */
const baseKinds = messages.kinds.map((kind) => kind.replace(/_ok$/, ""));
const kindNames = [...new Set(baseKinds)].sort();

const sourceOf = (m) => messages.names[messages.src[m]];
const destinationOf = (m) => messages.names[messages.dest[m]];
const isLost = (m) => messages.fates[messages.fate[m]] !== "delivered";
const staleIds = new Set(messages.stale);
/** A remark about a reply of a service that was stale, else nothing. */
const staleness = (m) => staleIds.has(messages.id[m]) ? " · stale: the value had been replaced when the service replied" : "";
const endOf = (m) => messages.sent_us[m] + messages.took_us[m];
const completedAt = (o) => operations.invoked_us[o] + operations.took_us[o];

/** The position of the first element of `list` whose `key` is not below `value`. */
function lowerBound(list, value, key) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function duration(us) {
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${(us / 1e3).toPrecision(us < 1e5 ? 3 : 4).replace(/\.0+$/, "")} ms`;
  return `${(us / 1e6).toPrecision(3)} s`;
}

const moment = (us, digits = 3) => `${(us / 1e6).toFixed(digits).replace(/^-(0\.?0*)$/, "$1")} s`;
