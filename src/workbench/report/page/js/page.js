// What all pages share.

/** The data of the page. */
const data = JSON.parse(document.getElementById("data").textContent);

/** An element with text and other elements in it. No text is parsed as HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") made.addEventListener("click", value);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);

const grouped = (number) => number.toLocaleString("en-US");

/** A number and what it counts, in the plural unless it is one. */
const counted = (number, name) => `${grouped(number)} ${name}${number === 1 ? "" : "s"}`;
