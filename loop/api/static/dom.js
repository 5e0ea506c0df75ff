// Elements from text: whatever the server or a user said becomes a text node, never markup.

/** `h("p", { class: "said" }, "text", child)`: an element; `on…` are listeners, null attributes and children are left out. */
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

/** Replace what is in an element only if it says something new, and leave the keyboard where it was. */
export function show(place, said, children) {
  const text = JSON.stringify(said);
  if (place.dataset.said === text) return;
  place.dataset.said = text;
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.replaceChildren(...children());
  if (focused) $(focused)?.focus();
}

/** 2026-05-03 08:15Z, as everywhere in the loop: its clock is UTC. */
export function when(iso) {
  return h("time", { datetime: iso }, `${new Date(iso).toISOString().slice(0, 16).replace("T", " ")}Z`);
}

export const percent = (share) => (typeof share === "number" ? `${(100 * share).toFixed(2)} %` : "–");
