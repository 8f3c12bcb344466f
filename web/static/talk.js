// What happens in a session, as elements: prompts and texts, and a line for each step, which a click unfolds.

import {el, fill, shown, write} from "./dom.js";
import {Pace} from "./pace.js";

const MOST = 2000; // elements that stay on the page
const SOME = 100; // lines of a diff in a block
const LONG = 4000; // such a line is written in pieces
const NEAR = 40; // px from the end that count as the end
const MARKS = {ok: "✓", failed: "✗", denied: "✗ denied", interrupted: "✗ interrupted"};

export class Talk {
  constructor(place) {
    this.place = place;
    this.known = new Map(); // kind, id -> {node, ...}
    this.pace = new Pace((piece, before) => this.piece(piece, before));
    this.top = 0;
    this.atEnd = true; // and stays there, whatever comes
    place.addEventListener("scroll", () => this.scrolled());
    place.addEventListener("contentvisibilityautostatechange", () => this.atEnd && this.toEnd());
  }

  clear() {
    this.pace.clear();
    this.known.clear();
    this.place.replaceChildren();
  }

  // Objects as in the file `activity`, in their order; `before`: they come before this element. Resolves when they are on the page.
  add(objects, before = null) {
    return this.pace.add(this.all(objects, before), before);
  }

  *all(objects, before) {
    for (const one of objects) {
      yield* this[one.kind]?.(one, before) ?? [];
      yield;
    }
  }

  // What is read stays where it is.
  piece(work, before) {
    const {place} = this, below = before && place.scrollHeight - place.scrollTop;
    work();
    while (!before && place.childElementCount > MOST) place.firstElementChild.remove();
    if (before) this.top = place.scrollTop = place.scrollHeight - below;
    else if (this.atEnd) this.toEnd();
  }

  // The person has scrolled, or what is above has got its size.
  scrolled() {
    const {place} = this, rest = place.scrollHeight - place.scrollTop - place.clientHeight;
    if (rest < NEAR) this.atEnd = true;
    else if (place.scrollTop < this.top) this.atEnd = false;
    this.top = place.scrollTop;
  }

  toEnd() {
    this.atEnd = true;
    this.place.scrollTop = this.place.scrollHeight;
    this.top = this.place.scrollTop;
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

  *said(made, before, who, kind) {
    const known = this.get(made.kind, made.id ?? `answer ${made.turn}`, before, () => {
      const text = el("pre");
      const time = made.ts ? new Date(made.ts * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"}) : "";
      return {text, said: "", node: el(`article.${kind}`, {}, el("h2", {}, who, " ", el("time", {}, time)), text)};
    });
    if (made.parent) known.node.classList.add("sub");
    const was = known.said;
    if (made.void) known.node.remove();
    else if ("part" in made) known.said += made.part;
    else if ("text" in made) known.said = trimmed(String(made.text ?? ""));
    known.node.hidden = !known.said;
    if (made.void) return;
    if ("part" in made) yield* write(known.text, made.part);
    else if ("text" in made && known.said !== was) yield* fill(known.text, known.said);
  }

  *prompt(made, before) {
    if (made.origin === "agent") this.note({...made, kind: "note", text: "the agent continues on its own"}, before);
    else yield* this.said(made, before, made.origin === "mail" ? "Mail" : "You", "user");
  }

  *text(made, before) {
    yield* this.said(made, before, made.parent ? "Subagent" : "Agent", "agent");
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

  *tool(made, before) {
    const known = this.step(made, before, made.title && made.title !== made.name ? `${made.name} ${made.title}` : made.name);
    if (!known.mark.textContent) known.mark.textContent = "·";
    if (made.input !== undefined && !known.parts.has("diff")) {
      const {input} = made;
      const words = typeof input === "string" ? input : typeof input?.command === "string" ? input.command : JSON.stringify(input, null, 1);
      yield* fill(this.within(known, "input", "quiet"), words ?? "");
    }
  }

  *output(made, before) {
    const known = this.step(made, before);
    if ("part" in made) yield* write(this.within(known, "output"), made.part);
    else if (made.text) yield* fill(this.within(known, "output"), made.text);
    if (!made.end) return;
    known.mark.textContent = MARKS[made.end];
    known.node.dataset.end = made.end;
    if (made.exit) known.counts.textContent = ` exit ${made.exit}`;
  }

  *edit(made, before) {
    const known = this.step(made, before, `Edit ${made.path ?? ""}${made.line ? `:${made.line}` : ""}`);
    known.mark.textContent = "✓";
    const counted = "added" in made && "removed" in made;
    known.counts.replaceChildren(...counted ? [el("b.add", {}, ` +${made.added}`), el("b.del", {}, ` −${made.removed}`)] : []);
    known.parts.get("input")?.remove();
    known.parts.delete("input");
    if (made.diff) yield* diff(this.within(known, `diff ${made.n ?? 1}`, "diff"), made.diff);
  }

  *ask(made, before) {
    const known = this.step(made, before, (made.text ?? "").trim().split("\n")[0]);
    known.mark.textContent = "?";
    yield* fill(this.within(known, "text"), made.text ?? "");
    if (made.diff) yield* diff(this.within(known, "diff", "diff"), made.diff);
  }

  decision(made, before) {
    const known = this.step(made, before);
    known.counts.textContent = shown(` → ${made.choice ?? made.by}${made.by === "pane" ? " (in the pane)" : ""}`);
  }

  *thinking(made, before) {
    const known = this.step(made, before, made.on ? "thinking…" : made.seconds ? `thought ${Math.round(made.seconds)} s` : "thought");
    known.mark.textContent = "·";
    if (made.text) yield* fill(this.within(known, "text", "quiet"), made.text);
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

// Without the empty lines at its end.
function trimmed(text) {
  let end = text.length;
  while (text[end - 1] === "\n") end--;
  return text.slice(0, end);
}

// Show the lines of a unified diff, coloured, instead of what an element has.
export function* diff(place, text) {
  const lines = text.replace(/\n$/, "").split("\n");
  place.replaceChildren();
  for (let at = 0; at < lines.length; at += SOME) {
    const some = lines.slice(at, at + SOME), block = el(some.length === SOME ? "span.block.full" : "span.block");
    for (const line of some) {
      const kind = /^(\+\+\+|---) /.test(line) ? ".file" : {"+": ".add", "-": ".del", "@": ".hunk"}[line[0]] ?? "";
      const made = el(`span${kind}`);
      block.append(made);
      yield* line.length < LONG ? short(made, line) : write(made, `${line}\n`);
    }
    place.append(block);
    yield;
  }
}

function short(place, line) {
  place.textContent = shown(`${line}\n`);
  return [];
}
