// Elements from text: text from the server or a user becomes a text node, never markup.

/** `h("p", { class: "outcome" }, "text", child)`: an element; `on…` are listeners, null attributes and children are left out. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Replace the children of an element if `content` changed, and keep the keyboard focus. */
export function show(place, content, children) {
  const text = JSON.stringify(content);
  if (place.dataset.content === text) return;
  place.dataset.content = text;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.replaceChildren(...children());
  if (focused) $(focused)?.focus();
}

/** 2026-05-03 08:15Z, in UTC. */
export function when(iso) {
  return h("time", { datetime: iso }, `${new Date(iso).toISOString().slice(0, 16).replace("T", " ")}Z`);
}

export const percent = (share) => (typeof share === "number" ? `${(100 * share).toFixed(2)} %` : "–");
