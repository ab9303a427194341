// A closer look: messages between lines that stand for nodes and services.

/** The maximum number of messages to draw, so that dragging stays smooth. */
const DRAWN_MAX = 20_000;

/** Nodes and then services, each with its line. */
function tracks() {
  const nodes = nodeNames.filter((name) => !state.hiddenNodes.has(name));
  const services = serviceNames.filter((name) => !state.hiddenNodes.has(name));
  const spacing = nodes.length > 12 ? 38 : 58;
  const list = [...nodes.map((name, i) => ({ name, y: 34 + i * spacing })), 
    ...services.map((name, i) => ({ name, y: 34 + nodes.length * spacing - 10 + i * 34 }))];
  return list;
}

const typeOf = (m) => baseKinds[messages.kind[m]];

function isShown(m) {
  const involved = [messages.src[m], messages.dest[m]].filter((name) => !isClient[name]);
  return !state.hiddenTypes.has(typeOf(m)) && involved.every((name) => !state.hiddenNodes.has(messages.names[name]));
}

function messagesInWindow() {
  const { from, to } = state.window;
  const found = [];
  const first = lowerBound(bySending, from - longestWay_us, (m) => messages.sent_us[m]);
  for (let i = first; i < messageCount && messages.sent_us[bySending[i]] <= to; i++) {
    const m = bySending[i];
    if (endOf(m) >= from && isShown(m)) found.push(m);
  }
  return found;
}

const diagramPlot = new Plot("diagram", () => {
  const list = tracks();
  return (list.length > 0 ? list[list.length - 1].y : 40) + 42;
}, windowTime, (context, plot) => {
  const list = tracks();
  const heights = new Map(list.map(({ name, y }) => [name, y]));
  plot.shadeFaults(context);
  for (const { name, y } of list) {
    context.strokeStyle = nodeNames.includes(name) ? colours.quiet : colours.rule;
    context.lineWidth = 1;
    line(context, plot.left, y + 0.5, plot.right, y + 0.5);
    context.fillStyle = colours.ink;
    context.textAlign = "right";
    context.font = "12px system-ui, sans-serif";
    context.fillText(fitted(context, name, plot.left - 8), plot.left - 6, y);
  }
  plot.clip(context);
  const found = messagesInWindow();
  const stride = Math.ceil(found.length / DRAWN_MAX);
  const chosen = state.caused ?? (state.message === null ? null : new Map([[state.message, ""]]));
  const isSparse = found.length < 1500;
  plot.segments = [];
  found.forEach((m, i) => {
    if (chosen?.has(m) || (stride > 1 && i % stride !== 0)) return;
    context.globalAlpha = chosen ? 0.1 : isSparse ? 0.8 : Math.max(0.12, 0.8 * (1500 / found.length) ** 0.5);
    drawMessage(context, plot, m, heights, isSparse ? 1.2 : 0.8);
  });
  context.globalAlpha = 1;
  if (state.operation !== null) drawOperation(context, plot, state.operation, heights);
  for (const m of chosen?.keys() ?? []) if (isShown(m)) drawMessage(context, plot, m, heights, 2, true);
  drawPrinted(context, plot, heights);
  context.restore();
  plot.timeAxis(context);
  noteWindow(found.length, stride);
});

/** Where a message is in the drawing: from its sending to its end. Clients are above the line of their node. */
function segmentOf(plot, m, heights) {
  const above = 20;
  const [src, dest] = [messages.src[m], messages.dest[m]];
  const from = isClient[src] ? heights.get(messages.names[dest]) - above : heights.get(messages.names[src]);
  const to = isClient[dest] ? heights.get(messages.names[src]) - above : heights.get(messages.names[dest]);
  if (from === undefined || to === undefined || Number.isNaN(from + to)) return null;
  return { m, x1: plot.x(messages.sent_us[m]), y1: from, x2: plot.x(endOf(m)), y2: to };
}

function drawMessage(context, plot, m, heights, width, isChosen = false) {
  const segment = segmentOf(plot, m, heights);
  if (segment === null) return;
  plot.segments.push(segment);
  const { x1, y1 } = segment;
  let { x2, y2 } = segment;
  if (isLost(m)) [x2, y2] = [x1 + (x2 - x1) * 0.6, y1 + (y2 - y1) * 0.6];
  const colour = isLost(m) ? colours.lost : kindColour(typeOf(m));
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = width;
  context.setLineDash(isLost(m) ? [4, 3] : messages.in_reply_to[m] !== null ? [1.5, 2] : []);
  context.beginPath();
  context.moveTo(x1, y1);
  if (messages.src[m] === messages.dest[m]) context.quadraticCurveTo((x1 + x2) / 2, y1 + 22, x2, y2);
  else context.lineTo(x2, y2);
  context.stroke();
  context.setLineDash([]);
  if (isLost(m)) {
    line(context, x2 - 3.5, y2 - 3.5, x2 + 3.5, y2 + 3.5);
    line(context, x2 - 3.5, y2 + 3.5, x2 + 3.5, y2 - 3.5);
  } else if (width > 1) {
    context.beginPath();
    context.arc(x2, y2, isChosen ? 3 : 2, 0, 7);
    context.fill();
  }
}

/** The time that an operation took, above the line of its node. */
function drawOperation(context, plot, o, heights) {
  const y = heights.get(nodeNames[operations.node[o]]);
  if (y === undefined) return;
  const [from, to] = [plot.x(operations.invoked_us[o]), plot.x(completedAt(o))];
  context.fillStyle = colours[outcomes[operations.outcome[o]]];
  context.fillRect(from, y - 23, Math.max(to - from, 2), 4);
}

/** The message whose line is nearest, if it is near. */
function messageAt(plot, { x, y }) {
  let [best, least] = [null, 9 ** 2];
  for (const { m, x1, y1, x2, y2 } of plot.segments ?? []) {
    const [dx, dy] = [x2 - x1, y2 - y1];
    const along = Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
    const distance = (x1 + along * dx - x) ** 2 + (y1 + along * dy - y) ** 2;
    if (distance <= least) [best, least] = [m, distance];
  }
  return best;
}

/** Shows the chosen operation with the messages that it caused, or the chosen message with its request or replies. */
function showSelection() {
  const place = byId("selection");
  place.replaceChildren();
  if (state.operation === null && state.message === null) return;
  const clear = element("button", { onclick: clearSelection }, "Show all again");
  const rows = state.operation !== null ? [...state.caused] : [
    ...requestsOf(state.message).map((m) => [m, "what it replies to"]),
    [state.message, "this message"],
    ...repliesTo(state.message).map((m) => [m, `reply of ${sourceOf(m)}`]),
  ];
  const title = state.operation !== null
    ? operationLines(state.operation).join(" · ")
    : messageLines(state.message).slice(0, 2).join(" · ");
  place.append(element("header", {}, element("h3", {}, title), clear));
  if (state.operation !== null) place.append(element("p", { class: "note" }, causesNote(state.operation, rows.length)));
  const start_us = state.operation !== null ? operations.invoked_us[state.operation] : messages.sent_us[rows[0][0]];
  // A message that was delivered twice is listed twice.
  const listed = new Set();
  const row = ([m, role]) => {
    const isCopy = listed.has(messages.id[m]);
    listed.add(messages.id[m]);
    return element("li", { "data-message": messages.id[m] },
      element("span", { class: "at" }, `+${duration(messages.sent_us[m] - start_us)}`),
      element("span", {}, `${sourceOf(m)} → ${destinationOf(m)}`),
      element("span", { class: isLost(m) ? "lost" : "role" }, isLost(m) ? messages.fates[messages.fate[m]]
        : (isCopy ? `a copy, at +${duration(endOf(m) - start_us)}` : role) + staleness(m)),
      element("span", { class: "mono" }, messages.body[m]));
  };
  place.append(element("ol", { class: "messages" }, ...rows.map(row)));
  if (state.operation !== null) place.append(...printedMeanwhile(state.operation));
}

function causesNote(o, count) {
  if (report.messages === null) return "";
  if (count === 0 && messages.omitted > 0 && operations.invoked_us[o] > messages.last_us) {
    return "Its messages were not stored: messages.jsonl.lz4 had reached its limit.";
  }
  if (count === 0) return "Its messages are not among those that this page holds; eddy show --messages prints them.";
  if (count <= 2) return "";
  return "“Sent meanwhile” is after the node received the request and before it replied; what nodes sent after the reply is listed up to 10 ms. Other operations of the node at that time may have caused some of these messages.";
}
