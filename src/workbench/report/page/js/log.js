// A closer look: the log of the time shown, with operations, faults, and what nodes printed on stderr.

/** The maximum number of entries that a list shows. */
const ENTRIES_MAX = 200;

/** How many entries are listed before a chosen one that is not among the first. */
const ENTRIES_BEFORE = 20;

/** Lines that nodes printed, and in place of those that this page lacks, how many there are (`count`) from one time to
 * another. In the order of time. */
const printed = (() => {
  const entries = [];
  const addMissing = (node, at, until, count) => { if (count > 0) entries.push({ node, at, until, count }); };
  const next = nodeNames.map(() => ({ number: 0, at: whole.from }));
  for (let i = 0; i < lineCount; i++) {
    const [node, number, at] = [logs.node[i], logs.number[i], logs.at_us[i]];
    addMissing(node, next[node].at, at, number - next[node].number);
    entries.push({ node, at, until: at, text: logs.text[i] });
    next[node] = { number: number + 1, at };
  }
  logs.total.forEach((total, node) => addMissing(node, next[node].at, whole.to, total - next[node].number));
  return entries.sort((a, b) => a.at - b.at);
})();

const printedWithin = (from, to, isWanted) => printed.filter((entry) => entry.at <= to && entry.until >= from
  && isWanted(nodeNames[entry.node]));

const printedText = ({ node, until, count, text }) => (count === undefined ? text
  : `… ${counted(count, "line")} of ${nodeNames[node]} until ${moment(until)} ${count === 1 ? "is" : "are"} not on this page`);

const faultEvents = faults.flatMap(({ what, from, to }) => [
  { at: from, who: "fault begins", text: what }, { at: to, who: "fault ends", text: what },
]).sort((a, b) => a.at - b.at);

/** The kinds of entries: how to find those of a time span, and how to show one. `time` formats a time. */
const entryKinds = {
  operations: {
    within: (from, to) => {
      const [first, end] = [from, to + 1].map((us) => lowerBound(byBeginning, us, (o) => operations.invoked_us[o]));
      return byBeginning.subarray(first, end).filter((o) => !state.hiddenNodes.has(nodeNames[operations.node[o]]));
    },
    at: (o) => operations.invoked_us[o],
    isChosen: (o) => o === state.operation && state.printed === null,
    row: (o, time) => entryRow("button", outcomes[operations.outcome[o]], time(operations.invoked_us[o]),
      `c${operations.client[o]} → ${nodeNames[operations.node[o]]}`, `${operations.call[o]} → ${operations.answer[o]}`,
      { "data-operation": operations.index[o], onclick: () => select(o) }),
  },
  faults: {
    within: (from, to) => faultEvents.filter(({ at }) => from <= at && at <= to),
    at: ({ at }) => at,
    isChosen: () => false,
    row: ({ at, who, text }, time) => entryRow("div", "fault", time(at), who, text),
  },
  stderr: {
    within: (from, to) => printedWithin(from, to, (name) => !state.hiddenNodes.has(name)),
    at: ({ at }) => at,
    isChosen: (entry) => entry === state.printed,
    row: (entry, time) => entryRow("div", entry.count === undefined ? "printed" : "missing", time(entry.at),
      nodeNames[entry.node], printedText(entry)),
  },
};

function entryRow(name, style, time, who, text, attributes = {}) {
  return element("li", {}, element(name, { class: `entry ${style}`, ...attributes },
    element("span", { class: "at" }, time), element("span", { class: "who" }, who),
    element("span", { class: "mono" }, text)));
}

/** The entries of all kinds that are not hidden, each with its kind, in the order of time. */
function entriesWithin(from, to) {
  const kinds = Object.entries(entryKinds).filter(([name]) => !state.hiddenEntries.has(name)).map(([, kind]) => kind);
  const lists = kinds.map((kind) => kind.within(from, to));
  const next = kinds.map(() => 0);
  const timeOfNext = (k) => (next[k] < lists[k].length ? kinds[k].at(lists[k][next[k]]) : Infinity);
  const total = lists.reduce((sum, list) => sum + list.length, 0);
  const entries = [];
  while (entries.length < total) {
    let first = -1;
    for (let k = 0; k < kinds.length; k++) {
      if (next[k] < lists[k].length && (first < 0 || timeOfNext(k) < timeOfNext(first))) first = k;
    }
    entries.push([kinds[first], lists[first][next[first]++]]);
  }
  return entries;
}

let listedLast = "";

/** Lists what happened in the time shown. */
function showLog() {
  const { from, to } = state.window;
  const hidden = [...state.hiddenNodes, ...state.hiddenEntries].sort();
  const wanted = JSON.stringify([from, to, hidden, state.operation, printed.indexOf(state.printed)]);
  if (wanted === listedLast) return;
  listedLast = wanted;
  const entries = entriesWithin(from, to);
  const chosen = entries.findIndex(([kind, entry]) => kind.isChosen(entry));
  const first = chosen < ENTRIES_MAX ? 0 : chosen - ENTRIES_BEFORE;
  const listed = entries.slice(first, first + ENTRIES_MAX);
  const list = byId("log");
  const time = (us) => moment(us, Math.max(3, windowDigits()));
  list.replaceChildren(...listed.map(([kind, entry]) => kind.row(entry, time)));
  byId("log-count").textContent = entries.length === 0 ? "Nothing happened in this time."
    : listed.length === entries.length ? ""
      : `Listed: ${grouped(first + 1)} to ${grouped(first + listed.length)} of ${grouped(entries.length)} entries.`;
  list.scrollTop = 0;
  const row = list.children[chosen - first];
  if (chosen < 0 || !row) return;
  row.firstChild.setAttribute("aria-current", true);
  list.scrollTop = row.offsetTop - list.offsetTop - list.clientHeight / 2;
}

/** How long the view must stay the same before the log is listed again. */
const LOG_REST_MS = 120;
let logTimer = 0;
plots.push({
  draw: () => {
    clearTimeout(logTimer);
    logTimer = setTimeout(showLog, LOG_REST_MS);
  },
});

/** What the nodes that took part in an operation printed meanwhile. */
function printedMeanwhile(o) {
  if (printed.length === 0) return [];
  const names = new Set([nodeNames[operations.node[o]]]);
  for (const m of state.caused.keys()) {
    for (const name of [sourceOf(m), destinationOf(m)]) if (nodeNames.includes(name)) names.add(name);
  }
  const begin = operations.invoked_us[o];
  const entries = printedWithin(begin, completedAt(o), (name) => names.has(name));
  const who = [...names].sort().join(", ");
  if (entries.length === 0) return [element("p", { class: "note" }, `${who} printed nothing on stderr meanwhile.`)];
  const more = entries.length - ENTRIES_MAX;
  const time = (us) => `+${duration(Math.max(us - begin, 0))}`;
  return [
    element("h4", {}, `What ${who} printed meanwhile`),
    element("ol", { class: "log" }, ...entries.slice(0, ENTRIES_MAX).map((entry) => entryKinds.stderr.row(entry, time))),
    ...more > 0 ? [element("p", { class: "note" }, `and ${counted(more, "line")} more`)] : [],
  ];
}

/** Marks below the lines of nodes when they printed something: lines that are near each other share a mark. */
function drawPrinted(context, plot, heights) {
  const { from, to } = state.window;
  const last = new Map();
  plot.marks = [];
  for (const entry of printedWithin(from, to, (name) => heights.has(name))) {
    const y = heights.get(nodeNames[entry.node]);
    const [x1, x2] = [plot.x(entry.at), plot.x(entry.until)];
    const previous = last.get(entry.node);
    if (previous && entry.count === undefined && x1 - previous.x1 < 4) {
      previous.entries.push(entry);
      continue;
    }
    const mark = { x1, x2, y, entries: [entry] };
    plot.marks.push(mark);
    if (entry.count === undefined) last.set(entry.node, mark);
  }
  for (const { x1, x2, y, entries } of plot.marks) {
    context.fillStyle = colours.printed;
    if (entries[0].count === undefined) {
      context.fillRect(x1 - 1.5, y + 3, 3, 9);
    } else {
      context.globalAlpha = 0.35;
      context.fillRect(x1, y + 6, Math.max(x2 - x1, 1), 3);
      context.globalAlpha = 1;
    }
  }
}

/** The mark at a place. A mark of printed lines wins over one of missing lines. */
function markAt(plot, { x, y }) {
  const isNear = (mark) => x >= mark.x1 - 4 && x <= mark.x2 + 4 && y >= mark.y + 2 && y <= mark.y + 14;
  const near = (plot.marks ?? []).filter(isNear);
  return near.findLast((mark) => mark.entries[0].count === undefined) ?? near[0] ?? null;
}

/** The maximum number of lines in the tooltip of a mark. */
const TOOLTIP_LINES_MAX = 6;

function markLines({ entries }) {
  const lines = entries.slice(0, TOOLTIP_LINES_MAX).map((entry) => `${moment(entry.at)}  ${printedText(entry)}`);
  const more = entries.length - lines.length;
  return [`${nodeNames[entries[0].node]} printed`, ...lines, ...more > 0 ? [`and ${counted(more, "line")} more`] : []];
}
