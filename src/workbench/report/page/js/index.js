// The runs in a store, the newest first.

/** The address of a run's page, or of the most useful file or folder that it has instead. */
const addressOf = ({ name, file }) => [...name.split("/"), file].map(encodeURIComponent).join("/");

const rows = data.runs.map((run) => {
  const row = element("tr", {},
    element("td", {}, element("a", { href: addressOf(run) }, run.began_at)),
    element("td", {}, run.workload),
    element("td", { class: run.validity ?? "none" }, run.verdict ?? "none"),
    element("td", { class: "seed" }, run.seed === null ? "" : `seed ${run.seed}`),
    element("td", { class: "finding" }, run.finding));
  return { row, text: row.textContent.toLowerCase() };
});
byId("run-list").append(...rows.map(({ row }) => row));

/** Shows the runs that have each of the typed words, and their number. */
function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/);
  let count = 0;
  for (const { row, text } of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    count += row.hidden ? 0 : 1;
  }
  byId("run-count").textContent = count === rows.length ? counted(count, "run") : `${grouped(count)} of ${counted(rows.length, "run")}`;
}
byId("filter").addEventListener("input", filter);
filter();
// The time that all of this took since the browser requested the page.
document.documentElement.dataset.readyMs = Math.round(performance.now());
