"use strict";
// Turns pages, filters, sorts, searches and follows links within the page. The first items of each section are there as
// elements, all of them as data. What is to be shown beyond the first is a copy of the section's form with the item's values
// in it: as text and as attributes, never as markup, so nothing that it handles can become code.

const PRINTED = 2000;
const MARK = /\u27e6([^\u27e7]*)\u27e7/g;
const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const views = [];

// Items come column by column; a column that repeats itself has each value once.
function unpack(columns) {
  const items = [];
  for (const [name, { values, of }] of Object.entries(columns)) {
    for (let place = 0; place < (of ?? values).length; place++) {
      (items[place] ??= {})[name] = values[of?.[place] ?? place];
    }
  }
  return items;
}

// What is at a path within an item.
function at(item, path) {
  return path === "" ? item : (item[path] ?? path.split(".").reduce((found, name) => found?.[name], item));
}

function filled(text, item) {
  return text.replace(MARK, (_, path) => at(item, path) ?? "");
}

// A form's node for an item: once, once for each of a list, or not at all.
function copies(node, item) {
  const { if: needed, each } = node.dataset ?? {};
  if (needed !== undefined && !(at(item, needed)?.length ?? at(item, needed))) return [];
  return each === undefined ? [fill(node, item)] : at(item, each).map((one) => fill(node, one));
}

function fill(node, item) {
  const made = node.cloneNode(false);
  if (node.nodeType === Node.TEXT_NODE) made.data = filled(node.data, item);
  for (const { name, value } of node.attributes ?? []) {
    if (name === "data-if" || name === "data-each") made.removeAttribute(name);
    else if (value.includes("\u27e6")) made.setAttribute(name, filled(value, item));
  }
  for (const child of node.childNodes) made.append(...copies(child, item));
  return made;
}

// The paths of all that a form shows in words or in titles, and the lists within it: what a search looks at.
function outline(node, found = { paths: [], lists: [] }) {
  const texts = node.nodeType === Node.TEXT_NODE ? [node.data] : [node.title, node.dataset?.find];
  for (const text of texts) for (const [, path] of (text ?? "").matchAll(MARK)) found.paths.push(path);
  for (const child of node.childNodes) {
    const each = child.dataset?.each;
    if (each === undefined) outline(child, found);
    else found.lists.push([each, outline(child)]);
  }
  return found;
}

function words({ paths, lists }, item) {
  return [
    ...paths.map((path) => at(item, path) ?? ""),
    ...lists.flatMap(([each, inner]) => at(item, each).map((one) => words(inner, one))),
  ].join(" ");
}

class View {
  constructor(section) {
    this.section = section;
    this.size = Number(section.dataset.view);
    this.body = section.querySelector("[data-items]");
    this.came = unpack(JSON.parse(section.querySelector("[data-all]").textContent));
    this.items = this.came;
    this.form = section.querySelector("template[data-form]")?.content.firstElementChild;
    this.outline = this.form && outline(this.form);
    const there = [...this.body.children, ...(section.querySelector("template[data-rest]")?.content.children ?? [])];
    this.elements = new Map(there.map((element, place) => [this.items[place], element]));
    this.shown = this.items;
    this.page = 0;
    this.search = section.querySelector("[data-search]");
    this.filters = [...section.querySelectorAll("select[data-filter]")];
    this.status = section.querySelector("[data-count]");
    this.back = section.querySelector("[data-back]");
    this.next = section.querySelector("[data-next]");
    this.texts = new Map();
    this.listen();
    this.show();
  }

  listen() {
    this.back.addEventListener("click", () => this.turn(this.page - 1));
    this.next.addEventListener("click", () => this.turn(this.page + 1));
    this.search.addEventListener("input", () => this.apply());
    for (const filter of this.filters) filter.addEventListener("change", () => this.apply());
    this.section.querySelector("[data-clear]").addEventListener("click", () => this.preset(new URLSearchParams()));
    const order = this.section.querySelector("select[data-order]");
    order?.addEventListener("change", () => this.arrange(order.value.replace("-", ""), order.value.startsWith("-")));
    for (const button of this.section.querySelectorAll("[data-sort]")) {
      button.addEventListener("click", () => this.sort(button));
    }
  }

  text(item) {
    let text = this.texts.get(item);
    if (text === undefined) {
      text = (this.outline ? words(this.outline, item) : item.words).toLowerCase();
      this.texts.set(item, text);
    }
    return text;
  }

  element(item) {
    let element = this.elements.get(item);
    if (element === undefined) {
      element = fill(this.form, item);
      this.elements.set(item, element);
    }
    return element;
  }

  // Every word must be there, and every filter must fit.
  apply() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = this.filters.filter((one) => one.value).map((one) => [one.dataset.filter, one.value]);
    this.shown = this.items.filter(
      (item) =>
        wanted.every(([name, value]) => item[name] === value) &&
        (words.length === 0 || words.every((word) => this.text(item).includes(word))),
    );
    this.page = 0;
    this.show();
  }

  preset(parameters) {
    this.search.value = parameters.get("q") ?? "";
    for (const filter of this.filters) {
      const value = parameters.get(filter.dataset.filter) ?? "";
      filter.value = [...filter.options].some((option) => option.value === value) ? value : "";
    }
    this.apply();
  }

  sort(button) {
    const header = button.closest("th");
    const descending = header.getAttribute("aria-sort") === "ascending";
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    this.arrange(button.dataset.sort, descending);
  }

  // By what is at a path; as they came where there is none.
  arrange(path, descending) {
    const keyed = this.came.map((item) => [String(at(item, path) ?? ""), item]);
    if (path) keyed.sort((one, other) => collator.compare(one[0], other[0]) * (descending ? -1 : 1));
    this.items = keyed.map((pair) => pair[1]);
    this.apply();
  }

  turn(page) {
    this.page = page;
    this.show();
    this.section.scrollIntoView();
  }

  show(all = false) {
    const start = all ? 0 : this.page * this.size;
    const end = all ? Math.min(PRINTED, this.shown.length) : Math.min(start + this.size, this.shown.length);
    this.body.replaceChildren(...this.shown.slice(start, end).map((item) => this.element(item)));
    const of = this.shown.length === this.items.length ? "" : ` (${this.items.length.toLocaleString("en")} in all)`;
    this.status.textContent =
      this.shown.length === 0
        ? `Nothing matches${of}`
        : `${(start + 1).toLocaleString("en")} to ${end.toLocaleString("en")} of ${this.shown.length.toLocaleString("en")}${of}`;
    this.back.disabled = this.page === 0;
    this.next.disabled = end >= this.shown.length;
  }

  // Whether an item with this id is in this view; it is then on the page that shows.
  reveal(id) {
    const item = this.items.find((one) => one.anchor === id);
    if (item === undefined) return false;
    if (!this.shown.includes(item)) this.preset(new URLSearchParams());
    this.page = Math.floor(this.shown.indexOf(item) / this.size);
    this.show();
    focusOn(this.element(item));
    return true;
  }
}

function focusOn(element) {
  document.querySelector(".here")?.classList.remove("here");
  element.classList.add("here");
  element.tabIndex = -1;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "start" });
}

// #<id> shows one item; #<section>?<filter>=<value>&q=<words> shows those that match.
function follow() {
  let wanted;
  try {
    wanted = decodeURIComponent(location.hash.slice(1));
  } catch {
    return;
  }
  const [id, query] = wanted.split("?", 2);
  if (!id) return;
  const view = views.find((one) => one.section.id === id);
  if (view !== undefined) {
    if (query !== undefined) view.preset(new URLSearchParams(query));
    view.section.scrollIntoView();
    return;
  }
  views.some((one) => one.reveal(id));
}

async function copy(button) {
  const code = button.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

for (const section of document.querySelectorAll("[data-view]")) {
  if (section.querySelector("[data-items]")) views.push(new View(section));
}
document.documentElement.classList.add("js");
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  if (button) copy(button);
  const link = event.target.closest("a[href^='#']");
  // The same link again: the address does not change, so nothing else would happen.
  if (link && link.getAttribute("href") === location.hash) follow();
});
addEventListener("hashchange", follow);
addEventListener("beforeprint", () => {
  for (const view of views) view.show(true);
  for (const details of document.querySelectorAll("details:not(.numbers)")) details.open = true;
});
addEventListener("afterprint", () => {
  for (const view of views) view.show();
});
follow();
document.documentElement.dataset.ready = "yes";
