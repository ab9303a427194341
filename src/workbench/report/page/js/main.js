// Choosing, moving and zooming, and the first drawing.

/** The shortest time span of the closer look. */
const WINDOW_MIN_US = 50;

/** Moves the closer look to a time span, as far as it lies within the run. */
function look(from, to) {
  const length = Math.min(Math.max(to - from, WINDOW_MIN_US), whole.to - whole.from);
  const middle = (from + to) / 2;
  const begin = Math.min(Math.max(middle - length / 2, whole.from), whole.to - length);
  state.window = { from: begin, to: begin + length };
  changed();
}

/** Makes the time span longer or shorter. The time `us` keeps its place on the screen. */
function zoom(factor, us = (state.window.from + state.window.to) / 2) {
  const { from, to } = state.window;
  look(us - (us - from) * factor, us + (to - us) * factor);
}

function move(us) {
  look(state.window.from + us, state.window.to + us);
}

/** How long a choice must stay the same before it is put into the address. Browsers limit how often an address may change:
 * Chromium to 200 times in 10 s, Safari to 100 in 30 s. */
const ADDRESS_REST_MS = 400;
let addressTimer = 0;

/** Puts the chosen operation into the address, for a link to it, once the choice has stayed the same for a while. */
function updateAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => {
    const hash = state.operation === null ? "" : `#operation=${operations.index[state.operation]}`;
    if (hash !== location.hash) history.replaceState(null, "", hash || "#");
  }, ADDRESS_REST_MS);
}

/** Chooses an operation. Moves the closer look to it if `moves` or if it is out of view. */
function select(o, moves = false) {
  [state.operation, state.message, state.caused, state.printed] = [o, null, causedBy(o), null];
  updateAddress();
  let to = completedAt(o);
  for (const m of state.caused.keys()) to = Math.max(to, endOf(m));
  const from = operations.invoked_us[o];
  const isSeen = from >= state.window.from && to <= state.window.to
    && (to - from) * 100 > state.window.to - state.window.from;
  if (moves || !isSeen) {
    const margin = Math.max((to - from) * 0.25, 200);
    look(from - margin, to + margin);
  }
  showSelection();
  changed();
}

function selectIndex(index, moves) {
  const o = operationByIndex.get(index);
  if (o === undefined) return;
  select(o, moves);
  // A history from elsewhere has no diagram.
  const place = byId(report.messages === null ? "timeline" : "diagram");
  place.scrollIntoView({ block: "center", behavior: "smooth" });
}

function selectMessage(m) {
  const o = operationOf(m);
  if (o !== undefined) {
    select(o);
    return;
  }
  [state.operation, state.caused, state.message, state.printed] = [null, null, m, null];
  updateAddress();
  showSelection();
  changed();
}

/** Shows the lines of a mark in a tooltip and in the log. A click does so too, because a finger can't hover over a mark. */
function choosePrinted(mark, event) {
  [state.printed] = mark.entries;
  showTooltip(event, markLines(mark));
  changed();
}

function clearSelection() {
  [state.operation, state.caused, state.message, state.printed] = [null, null, null, null];
  updateAddress();
  showSelection();
  changed();
}

/** Drag to move, pinch or Ctrl and wheel to zoom, arrows and + - on the keyboard; a click goes to `click`. */
function movable(plot, click, hover) {
  const { canvas } = plot;
  const pointers = new Map();
  let wasMoved = false;
  const perPixel = () => (state.window.to - state.window.from) / (plot.right - plot.left);
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, plot.place(event));
    canvas.setPointerCapture(event.pointerId);
    wasMoved = pointers.size > 1;
  });
  canvas.addEventListener("pointermove", (event) => {
    const place = plot.place(event);
    const before = pointers.get(event.pointerId);
    if (before === undefined) {
      hover(event, place);
      return;
    }
    if (!wasMoved && Math.abs(place.x - before.x) < 4) return;
    wasMoved = true;
    hideTooltip();
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other === undefined) move((before.x - place.x) * perPixel());
    else zoom(Math.max(Math.abs(before.x - other.x), 10) / Math.max(Math.abs(place.x - other.x), 10), plot.us(other.x));
    pointers.set(event.pointerId, place);
  });
  const end = (event) => {
    pointers.delete(event.pointerId);
    if (event.type === "pointerup" && !wasMoved) click(event, plot.place(event));
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", hideTooltip);
  canvas.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.metaKey) zoom(Math.exp(event.deltaY * 0.004), plot.us(plot.place(event).x));
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move(event.deltaX * perPixel());
    else return;
    event.preventDefault();
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const tenth = (state.window.to - state.window.from) / 10;
    const action = {
      ArrowLeft: () => move(-tenth), ArrowRight: () => move(tenth),
      "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), Escape: clearSelection,
    }[event.key];
    if (!action) return;
    action();
    event.preventDefault();
  });
}

/** How many decimals the times in the time span need to differ. */
function windowDigits() {
  const { from, to } = state.window;
  return Math.max(1, Math.min(6, 7 - Math.floor(Math.log10(to - from))));
}

function noteWindow(shown, stride) {
  const { from, to } = state.window;
  const digits = windowDigits();
  byId("window-note").textContent = `${moment(from, digits)} to ${moment(to, digits)}: `
    + counted(timelineFound.length, "operation")
    + (report.messages === null ? "" : `, ${counted(shown, "message")}`)
    + (stride > 1 ? `, of which one in ${stride} is drawn` : "");
}

/** A button that can be on or off. */
function toggle(label, isOn, flip, colour) {
  const swatch = colour ? [element("span", { class: "swatch", "data-colour": colour })] : [];
  return element("button", {
    "aria-pressed": isOn,
    onclick: (event) => {
      event.currentTarget.setAttribute("aria-pressed", flip());
      changed();
    },
  }, ...swatch, label);
}

function flipIn(set, name) {
  if (!set.delete(name)) set.add(name);
  return !set.has(name);
}

function addControls() {
  if (operations.kinds.length > 1) {
    const filter = byId("kind-filter");
    filter.append(...["", ...operations.kinds].map((kind) => element("button", {
      "aria-current": kind === state.kind,
      onclick: (event) => {
        state.kind = kind;
        for (const button of filter.children) button.setAttribute("aria-current", button === event.currentTarget);
        changed();
      },
    }, kind === "" ? "all types" : kind)));
  }
  byId("window-controls").append(
    element("button", { onclick: () => move((state.window.from - state.window.to) / 2), "aria-label": "earlier" }, "←"),
    element("button", { onclick: () => move((state.window.to - state.window.from) / 2), "aria-label": "later" }, "→"),
    element("button", { onclick: () => zoom(0.5), "aria-label": "zoom in" }, "+"),
    element("button", { onclick: () => zoom(2), "aria-label": "zoom out" }, "−"),
    element("button", { onclick: () => look(whole.from, whole.to) }, "whole run"),
  );
  const names = [...nodeNames, ...serviceNames];
  if (names.length > 1) {
    byId("node-filter").append(...names.map((name) => toggle(name, true, () => flipIn(state.hiddenNodes, name))));
  }
  byId("type-filter").append(...kindNames.map((name) => toggle(name, true, () => flipIn(state.hiddenTypes, name), name)));
  const entries = { operations: true, faults: faults.length > 0, stderr: printed.length > 0 };
  const entryNames = Object.keys(entries).filter((name) => entries[name]);
  if (entryNames.length > 1) {
    byId("log-filter").append(...entryNames.map((name) => toggle(name, true, () => flipIn(state.hiddenEntries, name))));
  }
  byId("outcome-legend").append(...outcomes.map((outcome) => element("span", {},
    element("span", { class: "swatch", "data-outcome": outcome }), outcome === "indeterminate" ? "unknown" : outcome)));
  paintSwatches();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintSwatches);
}

function paintSwatches() {
  for (const swatch of document.querySelectorAll(".swatch")) {
    swatch.style.background = swatch.dataset.outcome ? colours[swatch.dataset.outcome] : kindColour(swatch.dataset.colour);
  }
}

/** The number of the operation that the address names, if it names one. */
function linkedIndex() {
  const linked = /^#operation=(\d+)$/.exec(location.hash);
  return linked ? Number(linked[1]) : undefined;
}

/** Begins with the operation in the address, or the first operation of the evidence, or else with so many messages from the
 * start that each can be seen. */
function lookFirst() {
  const proof = operationByIndex.get(linkedIndex() ?? [...report.findings, ...report.warnings].flatMap((finding) => finding.operation_indices)[0]);
  if (proof !== undefined) {
    select(proof, true);
    return;
  }
  const first = lowerBound(bySending, 0, (m) => messages.sent_us[m]);
  const last = bySending[Math.min(first + 150, messageCount - 1)];
  look(0, last === undefined ? whole.to : messages.sent_us[last]);
}

summarize();
addControls();
brushable(latencyPlot);
movable(timelinePlot, (event, place) => {
  const o = barAt(timelinePlot, place);
  if (o !== null) select(o);
  else clearSelection();
}, (event, place) => {
  const o = barAt(timelinePlot, place);
  if (o === null) hideTooltip();
  else showTooltip(event, operationLines(o));
});
movable(diagramPlot, (event, place) => {
  const mark = markAt(diagramPlot, place);
  const m = messageAt(diagramPlot, place);
  if (mark !== null) choosePrinted(mark, event);
  else if (m !== null) selectMessage(m);
  else clearSelection();
}, (event, place) => {
  const mark = markAt(diagramPlot, place);
  const m = messageAt(diagramPlot, place);
  if (mark !== null) showTooltip(event, markLines(mark));
  else if (m !== null) showTooltip(event, messageLines(m));
  else hideTooltip();
});
lookFirst();
addEventListener("hashchange", () => selectIndex(linkedIndex(), true));
for (const plot of plots) plot.draw();
showLog();
// The time that all of this took since the browser requested the page.
document.documentElement.dataset.readyMs = Math.round(performance.now());
