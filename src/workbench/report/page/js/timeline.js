// A closer look: operations by client, each a bar from its invocation to its completion.

const windowTime = () => state.window;

/** Operations in the order in which they began, and the longest of them: to find those of a window. */
const byBeginning = Uint32Array.from({ length: operationCount }, (_, o) => o)
  .sort((a, b) => operations.invoked_us[a] - operations.invoked_us[b]);
let longestOperation_us = 0;
for (const took_us of operations.took_us) longestOperation_us = Math.max(longestOperation_us, took_us);

function operationsInWindow() {
  const { from, to } = state.window;
  const found = [];
  const first = lowerBound(byBeginning, from - longestOperation_us, (o) => operations.invoked_us[o]);
  for (let i = first; i < operationCount && operations.invoked_us[byBeginning[i]] <= to; i++) {
    const o = byBeginning[i];
    if (completedAt(o) >= from && !state.hiddenNodes.has(nodeNames[operations.node[o]])) found.push(o);
  }
  return found;
}

/** The clients of these operations by node: where each one's lane is, and where each node's lanes begin. */
function lanesOf(found) {
  const clients = new Map();
  for (const o of found) clients.set(operations.client[o], operations.node[o]);
  const inOrder = [...clients].sort(([a, nodeOfA], [b, nodeOfB]) => nodeOfA - nodeOfB || a - b);
  const lanes = new Map(inOrder.map(([client], lane) => [client, lane]));
  return { lanes, inOrder };
}

let timelineFound = [];
let timelineLanes = lanesOf([]);
const laneHeight = () => Math.min(18, Math.max(1, 420 / Math.max(1, timelineLanes.lanes.size)));

const timelinePlot = new Plot("timeline", () => {
  timelineFound = operationsInWindow();
  timelineLanes = lanesOf(timelineFound);
  return Math.max(60, Math.min(460, timelineLanes.lanes.size * laneHeight()) + 30);
}, windowTime, (context, plot) => {
  const height = laneHeight();
  const gap = height > 6 ? 3 : height > 3 ? 1 : 0;
  plot.shadeFaults(context);
  nameLanes(context, plot, height);
  plot.clip(context);
  plot.bars = [];
  for (const o of timelineFound) {
    const lane = timelineLanes.lanes.get(operations.client[o]);
    const x = plot.x(operations.invoked_us[o]);
    const bar = { o, x, y: 2 + lane * height, width: Math.max(plot.x(completedAt(o)) - x, 1.5), height: height - gap };
    const isFaded = state.operation !== null && state.operation !== o;
    context.globalAlpha = isFaded ? 0.3 : 0.85;
    context.fillStyle = colours[outcomes[operations.outcome[o]]];
    context.fillRect(bar.x, bar.y, bar.width, bar.height);
    if (height >= 14 && bar.width > 40) {
      context.fillStyle = colours.paper;
      context.textAlign = "left";
      context.font = "11px system-ui, sans-serif";
      const begin = Math.max(bar.x, plot.left);
      context.fillText(fitted(context, operations.call[o], bar.x + bar.width - begin - 6), begin + 4, bar.y + bar.height / 2 + 0.5);
    }
    plot.bars.push(bar);
  }
  context.globalAlpha = 1;
  const chosen = plot.bars.find((bar) => bar.o === state.operation);
  if (chosen) {
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.5;
    context.strokeRect(chosen.x - 1, chosen.y - 1, chosen.width + 2, chosen.height + 2);
  }
  context.restore();
  plot.timeAxis(context);
});

/** Names each client, or where they are many, each node with clients. */
function nameLanes(context, plot, height) {
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "right";
  let previous = null;
  timelineLanes.inOrder.forEach(([client, node], lane) => {
    const y = 2 + lane * height;
    if (node !== previous && lane > 0) {
      context.strokeStyle = colours.rule;
      line(context, plot.left, y - 1, plot.right, y - 1);
    }
    context.fillStyle = colours.quiet;
    if (height >= 11) context.fillText(`c${client}`, plot.left - 6, y + height / 2 - 1);
    else if (node !== previous) context.fillText(nodeNames[node], plot.left - 6, y + 6);
    previous = node;
  });
}

function barAt(plot, { x, y }) {
  const near = (bar) => x >= bar.x - 4 && x <= bar.x + bar.width + 4 && y >= bar.y - 1 && y <= bar.y + Math.max(bar.height, 3) + 1;
  return plot.bars?.findLast(near)?.o ?? null;
}
