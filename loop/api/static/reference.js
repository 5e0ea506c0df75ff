// "API": every operation of /v1, from this server's OpenAPI document.

import { $, h } from "./dom.js";
import { keyring } from "./keys.js";

async function draw() {
  const api = await fetch("/openapi.json", { credentials: "omit" }).then((response) => response.json(), () => null);
  if (api === null) return void ($("problem").textContent = "The server does not answer.");
  $("about").append(...api.info.description.split("\n\n").map((text) => h("p", {}, code(text))));
  $("about").append(h("p", { class: "small" }, "For tools: ", h("a", { href: "/openapi.json" }, "openapi.json")));
  const all = Object.entries(api.paths).flatMap(([path, verbs]) => Object.entries(verbs).map(([verb, operation]) => ({ path, verb, ...operation })));
  const tags = [...new Set(all.map((each) => each.tags[0]))];
  const known = api.components.schemas;
  $("operations").append(...tags.map((tag) => h("section", {}, h("h2", {}, tag),
    all.filter((each) => each.tags[0] === tag).map((each) => operation(each, known)))));
}

function operation(each, known) {
  const roles = each["x-loop-roles"];
  return h("details", { class: "operation" },
    h("summary", {}, h("code", {}, h("b", { class: "verb" }, each.verb.toUpperCase()), ` ${each.path}`), h("span", { class: "small" }, each.summary)),
    h("p", {}, code(each.description ?? "")),
    h("p", { class: "small" }, roles.length ? `Needs a key of role ${roles.join(" or ")}.` : "Needs no key."),
    each.parameters && fields("Parameters", each.parameters.map((one) => ({ name: `${one.name} (${one.in})`, needed: one.required, of: one.schema, text: one.description }))),
    Object.entries(each.requestBody?.content ?? {}).map(([media, { schema, example }]) => body(`Body, ${media}`, schema, example, known)),
    answers(each.responses, (status) => status.startsWith("2")).map(([status, { content = {} }]) => {
      const [[media, { schema } = {}] = []] = Object.entries(content);
      return body(`${status}, ${media ?? "no body"}`, schema, null, known);
    }),
    h("p", { class: "small" }, "Refused with a problem document: ",
      answers(each.responses, (status) => status >= "4").map(([status, { description }]) => `${status} ${description}`).join(", ") || "never", "."));
}

const answers = (all, wanted) => Object.entries(all).filter(([status]) => wanted(status));

function body(title, schema, example, known) {
  const whole = resolved(schema?.items ?? schema, known);
  const listed = Object.entries(whole?.properties ?? {}).map(([name, of]) => ({ name, needed: whole.required?.includes(name), of, text: of.description }));
  return h("div", {},
    listed.length ? fields(schema.items ? `${title}, a list of` : title, listed) : h("h3", {}, title, schema && `, ${type(schema)}`),
    example && h("pre", { tabindex: "0", "aria-label": "Example" }, JSON.stringify(example, null, 2)));
}

function fields(title, rows) {
  return h("div", {}, h("h3", {}, title), h("dl", { class: "lines" }, rows.flatMap(({ name, needed, of, text }) => [
    h("dt", {}, h("code", {}, name), needed && h("span", { title: "required" }, " *")),
    h("dd", {}, type(of), text && h("span", { class: "small" }, " · ", code(text)))])));
}

const resolved = (schema, known) => (schema?.$ref ? known[schema.$ref.split("/").at(-1)] : schema);

/** A schema in a few words. */
function type(schema) {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.anyOf) return schema.anyOf.map(type).join(" or ");
  if (schema.enum) return schema.enum.join(" or ");
  if (schema.const !== undefined) return String(schema.const);
  if (schema.type === "array") return `list of ${schema.items ? type(schema.items) : "anything"}`;
  return [schema.format ?? schema.contentEncoding ?? schema.type ?? "anything", limits(schema)].filter(Boolean).join(" ");
}

function limits({ minimum, exclusiveMinimum, maximum, minLength, maxLength }) {
  if (maximum !== undefined) return `${minimum ?? `over ${exclusiveMinimum}`} to ${maximum}`;
  return maxLength === undefined ? "" : `of ${minLength ?? 0} to ${maxLength} characters`;
}

/** Text whose `quoted` parts are code. */
const code = (text) => text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

keyring(() => null);
draw();
