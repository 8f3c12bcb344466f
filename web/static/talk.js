// What happens in a session, as elements: prompts and texts, and a line for each step, which a click unfolds.

import {el, fill, shown, write} from "./dom.js";

const MOST = 2000; // elements that stay on the page
const MARKS = {ok: "✓", failed: "✗", denied: "✗ denied", interrupted: "✗ interrupted"};

export class Talk {
  constructor(place) {
    this.place = place;
    this.known = new Map(); // kind, id -> {node, ...}
  }

  clear() {
    this.known.clear();
    this.place.replaceChildren();
    this.older = null;
  }

  // Objects as in the file `activity`, in their order; `before`: they come before this element.
  add(objects, before = null) {
    const {place} = this;
    const following = !before && place.scrollHeight - place.scrollTop - place.clientHeight < 40;
    for (const one of objects) this.one(one, before);
    while (!before && place.childElementCount > MOST) place.firstElementChild.remove();
    if (following) place.scrollTop = place.scrollHeight;
  }

  one(made, before) {
    this[made.kind]?.(made, before);
  }

  // The element of an object: that which there is, or a new one.
  get(kind, id, before, make) {
    const key = `${kind} ${id}`;
    let known = id === undefined ? undefined : this.known.get(key);
    if (!known) {
      known = make();
      this.known.set(key, known);
      this.place.insertBefore(known.node, before);
    }
    return known;
  }

  said(made, before, who, kind) {
    const known = this.get(made.kind, made.id ?? `answer ${made.turn}`, before, () => {
      const text = el("pre");
      const time = made.ts ? new Date(made.ts * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}) : "";
      return {text, node: el(`article.${kind}`, {}, el("h2", {}, who, " ", el("time", {}, time)), text)};
    });
    if ("part" in made) write(known.text, made.part);
    else if (made.void) known.node.remove();
    else if ("text" in made) {
      const words = shown(made.text).replace(/\n+$/, "");
      if (known.text.textContent !== words) fill(known.text, words);
    }
    known.node.hidden = !known.text.firstChild;
    if (made.parent) known.node.classList.add("sub");
  }

  prompt(made, before) {
    if (made.origin === "agent") this.note({...made, kind: "note", text: "the agent goes on by itself"}, before);
    else this.said(made, before, made.origin === "mail" ? "Mail" : "You", "user");
  }

  text(made, before) {
    this.said(made, before, made.parent ? "Subagent" : "Agent", "agent");
  }

  // A step: a line, and what is in it when it is unfolded.
  step(made, before, line) {
    const known = this.get("step", made.id, before, () => {
      const mark = el("span.mark"), words = el("span.words"), counts = el("span.counts"), inside = el("div.inside");
      const node = el("details.step", {}, el("summary", {}, mark, words, counts), inside);
      return {node, mark, words, counts, inside, parts: new Map()};
    });
    if (line) known.words.textContent = shown(line);
    if (made.parent) known.node.classList.add("sub");
    return known;
  }

  // A part of what is in a step, by its name; its text grows or is replaced.
  within(known, name, kind = "") {
    if (!known.parts.has(name)) {
      const made = el(kind ? `pre.${kind}` : "pre");
      known.parts.set(name, made);
      known.inside.append(made);
    }
    return known.parts.get(name);
  }

  tool(made, before) {
    const known = this.step(made, before, made.title && made.title !== made.name ? `${made.name} ${made.title}` : made.name);
    if (!known.mark.textContent) known.mark.textContent = "·";
    if (made.input !== undefined && !known.parts.has("diff")) {
      const {input} = made;
      const words = typeof input === "string" ? input : typeof input?.command === "string" ? input.command : JSON.stringify(input, null, 1);
      this.within(known, "input", "quiet").textContent = shown(words);
    }
  }

  output(made, before) {
    const known = this.step(made, before);
    if ("part" in made) write(this.within(known, "output"), made.part);
    else if (made.text) fill(this.within(known, "output"), made.text);
    if (!made.end) return;
    known.mark.textContent = MARKS[made.end];
    known.node.dataset.end = made.end;
    if (made.exit) known.counts.textContent = ` exit ${made.exit}`;
  }

  edit(made, before) {
    const known = this.step(made, before, `Edit ${made.path ?? ""}${made.line ? `:${made.line}` : ""}`);
    known.mark.textContent = "✓";
    known.counts.replaceChildren(el("b.add", {}, ` +${made.added ?? "?"}`), el("b.del", {}, ` −${made.removed ?? "?"}`));
    known.parts.get("input")?.remove();
    known.parts.delete("input");
    if (made.diff) this.within(known, `diff ${made.n ?? 1}`, "diff").replaceChildren(...diff(made.diff));
  }

  ask(made, before) {
    const known = this.step(made, before, (made.text ?? "").trim().split("\n")[0]);
    known.mark.textContent = "?";
    this.within(known, "text").textContent = shown(made.text);
    if (made.diff) this.within(known, "diff", "diff").replaceChildren(...diff(made.diff));
  }

  decision(made, before) {
    const known = this.step(made, before);
    known.counts.textContent = shown(` → ${made.choice ?? made.by}${made.by === "pane" ? " (in the pane)" : ""}`);
  }

  thinking(made, before) {
    const known = this.step(made, before, made.on ? "thinking…" : made.seconds ? `thought ${Math.round(made.seconds)} s` : "thought");
    known.mark.textContent = "·";
    if (made.text) this.within(known, "text", "quiet").textContent = shown(made.text);
  }

  plan(made, before) {
    const marks = {todo: "☐", doing: "▸", done: "☑", dropped: "☒"};
    const known = this.step({id: `plan ${made.turn}`}, before, `plan: ${made.items.filter((one) => one.state === "done").length} of ${made.items.length} done`);
    known.mark.textContent = "·";
    this.within(known, "text").textContent = made.items.map((one) => `${marks[one.state] ?? "☐"} ${shown(one.text)}`).join("\n");
  }

  retry(made, before) {
    const of = made.of ? ` of ${made.of}` : "";
    this.line({...made, id: `retry ${made.turn}`}, before, `retrying ${made.attempt ?? ""}${of}${made.reason ?? made.status ? `: ${made.reason ?? made.status}` : ""}`, true);
  }

  limit(made, before) {
    this.line(made, before, `limit: ${made.reason ?? ""}`, true);
  }

  compact(made, before) {
    this.line(made, before, made.state === "done" ? "conversation shortened" : "shortening the conversation…");
  }

  subagent(made, before) {
    this.line(made, before, `subagent ${made.title ?? made.name ?? ""}: ${made.state ?? ""}`);
  }

  note(made, before) {
    this.line(made, before, made.text);
  }

  end(made, before) {
    if (made.how !== "answer") this.line({...made, id: `end ${made.turn}`}, before, made.how === "error" ? made.reason || "error" : "interrupted", true);
  }

  line(made, before, words, loud = false) {
    const known = this.get(made.kind, made.id, before, () => ({node: el(loud ? "p.line.loud" : "p.line")}));
    known.node.textContent = shown(words);
  }
}

// The lines of a unified diff, coloured.
export function diff(text) {
  return shown(text).replace(/\n$/, "").split("\n").map((line) =>
    el(/^(\+\+\+|---) /.test(line) ? "span.file" : {"+": "span.add", "-": "span.del", "@": "span.hunk"}[line[0]] ?? "span", {}, `${line}\n`));
}
