// Canvases, their axes, and what all of them share.

/** The current view. After changing it, call `changed`. */
const state = {
  /** The time span of the closer look. */
  window: { from: 0, to: 1 },
  /** The type of operations in the plots; "" for all. */
  kind: "",
  hiddenNodes: new Set(),
  hiddenTypes: new Set(),
  /** The kinds of entries that the log leaves out. */
  hiddenEntries: new Set(),
  /** The chosen operation and the messages that it caused, or the chosen message. */
  operation: null,
  caused: null,
  message: null,
  /** The chosen line that a node printed. */
  printed: null,
};

const plots = [];
let isDue = false;

function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const plot of plots) plot.draw();
  });
}

let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = Object.fromEntries([...document.styleSheets[0].cssRules[0].style]
    .filter((name) => name.startsWith("--"))
    .map((name) => [name.slice(2), style.getPropertyValue(name).trim()]));
}
readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readColours();
  changed();
});

const kindColour = (name) => (name === "error" ? colours.failed
  : colours[`type-${kindNames.filter((other) => other !== "error").indexOf(name) % 8}`]);

/** A canvas as wide as its place. `paint(context, plot)` draws it; the plot has its size and time span. */
class Plot {
  constructor(id, height, time, paint) {
    this.canvas = byId(id);
    this.height = height;
    this.time = time;
    this.paint = paint;
    plots.push(this);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  get left() { return this.width < 500 ? 54 : 64; }
  get right() { return this.width - 10; }

  draw() {
    const height = typeof this.height === "function" ? this.height() : this.height;
    const scale = devicePixelRatio || 1;
    this.width = this.canvas.clientWidth;
    this.bottom = height - 22;
    if (this.width === 0) return;
    const [width, tall] = [Math.round(this.width * scale), Math.round(height * scale)];
    if (this.canvas.width !== width || this.canvas.height !== tall) {
      this.canvas.style.height = `${height}px`;
      [this.canvas.width, this.canvas.height] = [width, tall];
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, this.width, height);
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.paint(context, this);
  }

  x(us) {
    const { from, to } = this.time();
    return this.left + (us - from) / (to - from) * (this.right - this.left);
  }

  us(x) {
    const { from, to } = this.time();
    return from + (x - this.left) / (this.right - this.left) * (to - from);
  }

  /** Keeps what follows out of the margins, until the context is restored. */
  clip(context) {
    context.save();
    context.beginPath();
    context.rect(this.left, 0, this.right - this.left, this.bottom + 1);
    context.clip();
  }

  /** Adds the time span of a fault to the path. */
  addFault(context, fault, top, height) {
    const from = this.x(fault.from);
    context.rect(from, top, Math.max(this.x(Math.min(fault.to, whole.to)) - from, 1), height);
  }

  /** Shades the time of faults, in one shade even where faults overlap. */
  shadeFaults(context, top = 0) {
    this.clip(context);
    context.fillStyle = colours.fault;
    context.beginPath();
    for (const fault of faults) this.addFault(context, fault, top, this.bottom - top);
    context.fill();
    context.restore();
  }

  timeAxis(context) {
    const { from, to } = this.time();
    const step = roundStep((to - from) / Math.max(2, (this.right - this.left) / 110));
    const digits = Math.max(0, 6 - Math.floor(Math.log10(step) + 1e-9));
    context.fillStyle = colours.quiet;
    context.strokeStyle = colours.rule;
    context.lineWidth = 1;
    line(context, this.left, this.bottom + 0.5, this.right, this.bottom + 0.5);
    context.textAlign = "center";
    for (let us = Math.ceil(from / step) * step; us <= to; us += step) {
      const x = this.x(us);
      line(context, x, this.bottom, x, this.bottom + 4);
      const text = moment(us, digits).replace(/^-(0\.?0* s)$/, "$1");
      const half = context.measureText(text).width / 2;
      context.fillText(text, Math.min(Math.max(x, half), this.width - half), this.bottom + 13);
    }
  }

  /** Where a pointer is, in pixels of the drawing. */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

/** The first of 1, 2, 5, 10, 20, 50, ... that is not below. */
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999);
}

/** The text, cut with an ellipsis if it is wider than `width`. */
function fitted(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let length = text.length;
  while (length > 1 && context.measureText(`${text.slice(0, length)}…`).width > width) length--;
  return `${text.slice(0, length)}…`;
}

const tooltip = byId("tooltip");
function showTooltip(event, lines) {
  tooltip.replaceChildren(...lines.map((text) => element("div", {}, text)));
  tooltip.hidden = false;
  const [right, bottom] = [innerWidth - tooltip.offsetWidth - 8, innerHeight - tooltip.offsetHeight - 8];
  tooltip.style.left = `${Math.max(8, Math.min(event.clientX + 14, right))}px`;
  tooltip.style.top = `${Math.max(8, Math.min(event.clientY + 14, bottom))}px`;
}
const hideTooltip = () => { tooltip.hidden = true; };

const operationLines = (o) => [
  `${operations.call[o]} → ${operations.answer[o]}`,
  `#${operations.index[o]}, c${operations.client[o]} at ${nodeNames[operations.node[o]]}, `
    + `${moment(operations.invoked_us[o])}, took ${duration(operations.took_us[o])}`,
];

const messageLines = (m) => [
  `${sourceOf(m)} → ${destinationOf(m)} ${messages.kinds[messages.kind[m]]}`,
  `${moment(messages.sent_us[m])}, ${isLost(m) ? messages.fates[messages.fate[m]] : `took ${duration(messages.took_us[m])}`}${staleness(m)}`,
  messages.body[m],
];
