// The whole run: latency and rate.

const runTime = () => run;
const shownKind = (o) => state.kind === "" || operations.kinds[operations.kind[o]] === state.kind;
const bins = () => series.by_kind[state.kind] ?? { ok: [], failed: [], indeterminate: [], p50_us: [], p95_us: [], p99_us: [] };

/** Latencies from the shortest to the longest, as powers of ten. */
const latencyRange = (() => {
  let [low, high] = [Infinity, 1];
  for (const us of operations.took_us) [low, high] = [Math.min(low, us), Math.max(high, us)];
  const [from, to] = [Math.log10(Math.max(Math.min(low, high), 10)), Math.log10(Math.max(high, 100))];
  return { from: Math.floor(from * 3) / 3, to: Math.max(Math.ceil(to * 3) / 3, from + 1) };
})();

/** Each kind of fault has a strip above the plot, below its name. */
const FAULT_STRIP = 20;
const faultStrips = faultKinds.length * FAULT_STRIP;

const latencyPlot = new Plot("latency", () => (innerWidth < 640 ? 250 : 310) + faultStrips, runTime, (context, plot) => {
  const top = faultStrips + 8;
  const y = (us) => plot.bottom - (Math.log10(Math.max(us, 1)) - latencyRange.from)
    / (latencyRange.to - latencyRange.from) * (plot.bottom - top);
  plot.y = y;
  plot.shadeFaults(context, faultStrips);
  drawFaultStrips(context, plot);
  context.lineWidth = 1;
  context.textAlign = "right";
  for (let power = Math.ceil(latencyRange.from - 1e-9); power <= latencyRange.to; power++) {
    context.strokeStyle = colours.rule;
    line(context, plot.left, y(10 ** power), plot.right, y(10 ** power));
    context.fillStyle = colours.quiet;
    context.fillText(duration(10 ** power), plot.left - 6, y(10 ** power));
  }
  plot.clip(context);
  const size = operationCount > 20_000 ? 1 : operationCount > 2000 ? 1.5 : 2.5;
  for (let kind = 0; kind < 3; kind++) {
    context.fillStyle = colours[outcomes[kind]];
    context.globalAlpha = kind === 0 ? (operationCount > 20_000 ? 0.18 : operationCount > 2000 ? 0.3 : 0.5) : 0.9;
    for (let o = 0; o < operationCount; o++) {
      if (operations.outcome[o] !== kind || operations.index[o] % operations.stride !== 0 || !shownKind(o)) continue;
      const side = kind === 0 ? size : size + 1.5;
      context.fillRect(plot.x(operations.invoked_us[o]) - side / 2, y(operations.took_us[o]) - side / 2, side, side);
    }
  }
  context.globalAlpha = 1;
  const { p50_us, p95_us, p99_us } = bins();
  context.strokeStyle = colours.ink;
  for (const [values, width] of [[p99_us, 0.8], [p95_us, 1.2], [p50_us, 2]]) {
    context.lineWidth = width;
    strokeBins(context, plot, values, y);
  }
  context.restore();
  nameLines(context, plot, [["p99", p99_us], ["p95", p95_us], ["p50", p50_us]], y);
  frameWindow(context, plot, faultStrips);
  if (state.operation !== null) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.5;
    context.beginPath();
    context.arc(plot.x(operations.invoked_us[state.operation]), y(operations.took_us[state.operation]), 6, 0, 7);
    context.stroke();
  }
  plot.timeAxis(context);
});

new Plot("rate", 130, runTime, (context, plot) => {
  const rates = bins();
  let most = 1;
  for (const outcome of outcomes) for (const rate of rates[outcome]) most = Math.max(most, rate);
  const step = roundStep(most / 2.5);
  const y = (rate) => plot.bottom - rate / (most * 1.08) * (plot.bottom - 6);
  plot.shadeFaults(context);
  context.lineWidth = 1;
  context.textAlign = "right";
  for (let rate = step; rate <= most; rate += step) {
    context.strokeStyle = colours.rule;
    line(context, plot.left, y(rate), plot.right, y(rate));
    context.fillStyle = colours.quiet;
    context.fillText(rate < 10_000 ? `${grouped(rate)}/s` : `${grouped(rate / 1000)}k/s`, plot.left - 6, y(rate));
  }
  plot.clip(context);
  for (const outcome of outcomes) {
    if (!rates[outcome].some((rate) => rate > 0)) continue;
    context.strokeStyle = colours[outcome];
    context.lineWidth = 1.75;
    strokeBins(context, plot, rates[outcome], y);
  }
  context.restore();
  frameWindow(context, plot, 0);
  plot.timeAxis(context);
});

/** Draws a strip for each kind of fault, with the times at which there was one. */
function drawFaultStrips(context, plot) {
  plot.clip(context);
  context.textAlign = "left";
  faultKinds.forEach((kind, row) => {
    const y = row * FAULT_STRIP;
    context.fillStyle = colours["fault-ink"];
    context.fillText(kind, plot.left, y + 7);
    context.beginPath();
    for (const fault of faults) if (fault.kind === kind) plot.addFault(context, fault, y + 14, 3);
    context.fill();
    context.fillStyle = colours.rule;
    context.fillRect(plot.left, y + 17, plot.right - plot.left, 1);
  });
  context.restore();
}

/** The end of an interval. `count` is the number of all intervals. */
const binEnd = (bin, count) => (bin === count - 1 ? series.end_us : (bin + 1) * series.bin_us);

/** Draws a line through the middles of all intervals that have a value. */
function strokeBins(context, plot, values, y) {
  context.beginPath();
  context.lineJoin = "round";
  let isDown = false;
  values.forEach((value, bin) => {
    if (value === null) { isDown = false; return; }
    const middle = (bin * series.bin_us + binEnd(bin, values.length)) / 2;
    const [x, height] = [plot.x(middle), y(value)];
    if (isDown) context.lineTo(x, height);
    else { context.moveTo(x, height); context.lineTo(x + 0.1, height); }
    isDown = true;
  });
  context.stroke();
}

/** Names each line at its end, without overlaps. */
function nameLines(context, plot, named, y) {
  context.textAlign = "right";
  context.fillStyle = colours.ink;
  context.font = "600 11px system-ui, sans-serif";
  let lowest = -Infinity;
  for (const [name, values] of named) {
    const last = values.findLastIndex((value, bin) => value !== null && (values[bin - 1] ?? null) !== null);
    if (last < 0) continue;
    const height = Math.max(y(values[last]) - 8, lowest + 12);
    context.strokeStyle = colours.paper;
    context.lineWidth = 3;
    const x = Math.min(plot.x(binEnd(last, values.length)), plot.right) - 2;
    context.strokeText(name, x, height);
    context.fillText(name, x, height);
    lowest = height;
  }
  context.font = "12px system-ui, sans-serif";
}

/** Frames the time span of the closer look. */
function frameWindow(context, plot, top) {
  const marked = brush ?? state.window;
  const from = Math.max(plot.x(marked.from), plot.left);
  const to = Math.min(plot.x(marked.to), plot.right);
  context.strokeStyle = colours.quiet;
  context.lineWidth = 1;
  context.setLineDash([3, 3]);
  context.strokeRect(Math.round(from) + 0.5, top + 0.5, Math.max(Math.round(to - from), 2), plot.bottom - top);
  context.setLineDash([]);
}

/** The time span that is being marked. */
let brush = null;

/** Dragging marks a time span; a click chooses the operation there, or moves the closer look. */
function brushable(plot) {
  let start = null;
  const { canvas } = plot;
  canvas.addEventListener("pointerdown", (event) => {
    start = plot.place(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const place = plot.place(event);
    if (start === null) {
      const found = nearestPoint(plot, place);
      const lines = found === null ? brokenAt(plot.us(place.x)) : operationLines(found);
      if (lines.length === 0) hideTooltip();
      else showTooltip(event, lines);
      return;
    }
    if (Math.abs(place.x - start.x) < 5 && brush === null) return;
    const ends = [plot.us(start.x), plot.us(place.x)].sort((a, b) => a - b);
    brush = { from: Math.max(ends[0], whole.from), to: Math.min(ends[1], whole.to) };
    hideTooltip();
    changed();
  });
  const end = (event) => {
    if (start === null) return;
    const found = nearestPoint(plot, plot.place(event));
    if (brush !== null) look(brush.from, brush.to);
    else if (event.type === "pointerup" && found !== null) select(found, true);
    else if (event.type === "pointerup") {
      const half = (state.window.to - state.window.from) / 2;
      look(plot.us(start.x) - half, plot.us(start.x) + half);
    }
    [start, brush] = [null, null];
    changed();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", hideTooltip);
}

/** The faults at a time, in words. */
function brokenAt(us) {
  return faults.filter((fault) => fault.from <= us && us <= fault.to).map((fault) => fault.what);
}

/** The operation whose point is nearest, if it is near. */
function nearestPoint(plot, { x, y }) {
  if (!plot.y) return null;
  let [best, least] = [null, 10 ** 2];
  for (let o = 0; o < operationCount; o++) {
    const dx = plot.x(operations.invoked_us[o]) - x;
    if (dx * dx >= least || !shownKind(o)) continue;
    const dy = plot.y(operations.took_us[o]) - y;
    if (dx * dx + dy * dy < least) [best, least] = [o, dx * dx + dy * dy];
  }
  return best;
}
