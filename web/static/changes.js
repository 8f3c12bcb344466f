// What a session has changed, to be read: all of it since it began, or what one turn did; each file unfolds by itself.

import {act, el, shown} from "./dom.js";
import {call} from "./net.js";
import {pour} from "./pace.js";
import {diff} from "./talk.js";

const MANY = 3000; // lines of a diff up to which every file is unfolded
const MOST = 5000; // lines of one file that are shown

export class Changes {
  constructor(place, path) {
    this.path = path;
    this.was = null;
    this.choice = el("select", {"aria-label": "Whose changes", onchange: () => this.read()}, el("option", {value: ""}, "All"));
    this.size = el("span.quiet");
    this.files = el("div");
    const again = el("button", {onclick: () => act(again, () => this.refresh())}, "Read again");
    place.replaceChildren(el("div.bar", {}, el("h2", {}, "Changes"), this.choice, this.size, again), this.files);
    this.refresh();
  }

  // A turn has ended, or the user asks.
  async refresh() {
    const turns = await call("GET", `${this.path}/changes`).catch(() => []);
    const chosen = this.choice.value;
    this.choice.replaceChildren(el("option", {value: ""}, "All"), ...turns.toReversed().map(({n, plus, minus}) =>
      el("option", {value: n}, `Turn ${n}: +${plus} −${minus}`)));
    this.choice.value = turns.some(({n}) => String(n) === chosen) ? chosen : "";
    await this.read();
  }

  async read() {
    const asked = (this.asked = {}), n = this.choice.value; // an older answer that comes later is not shown
    const found = await call("GET", `${this.path}${n && `/turns/${n}`}/diff`).catch((error) => error);
    if (asked !== this.asked) return;
    const text = found instanceof Error ? found.message : found.diff;
    const was = JSON.stringify([n, text]);
    if (was === this.was) return; // what is unfolded stays
    this.was = was;
    if (found instanceof Error) this.say(`There is no diff to show: ${text}`);
    else this.draw(text);
  }

  say(words) {
    this.size.textContent = "";
    this.files.replaceChildren(el("p.quiet", {}, shown(words)));
  }

  draw(text) {
    const [notes, ...parts] = text.split(/^(?=diff --git )/m);
    const [first, files] = notes.startsWith("diff --git ") ? ["", [notes, ...parts]] : [notes, parts];
    if (!text) return this.say("Nothing is changed.");
    const made = files.map((part) => file(part.replace(/\n$/, "").split("\n")));
    const open = made.reduce((sum, one) => sum + one.lines.length, 0) <= MANY;
    this.size.textContent = `${made.length} ${made.length === 1 ? "file" : "files"} +${sum(made, "plus")} −${sum(made, "minus")}`;
    this.files.replaceChildren(first && el("pre.quiet", {}, shown(first)), ...made.map((one) => block(one, open)));
  }
}

const sum = (files, of) => files.reduce((total, one) => total + one[of], 0);

// One file of a diff: its name, what is added and removed, and its lines.
function file(lines) {
  const at = lines.findIndex((line) => line.startsWith("@@ ")), head = at < 0 ? lines : lines.slice(0, at);
  const body = at < 0 ? [] : lines.slice(at);
  const named = (sign) => head.find((line) => line.startsWith(sign) && !line.endsWith(" /dev/null"))?.slice(sign.length + 2).replace(/\t$/, "");
  const name = named("+++ ") ?? named("--- ") ?? lines[0].slice("diff --git ".length).replace(/^"?a\//, "").replace(/"? "?b\/.*$/, "");
  const how = head.some((line) => line.startsWith("new file")) ? "new" : head.some((line) => line.startsWith("deleted file")) ? "deleted"
    : head.some((line) => /^(GIT binary patch|Binary files)/.test(line)) ? "binary" : "";
  const count = (sign) => body.filter((line) => line[0] === sign).length;
  return {name, how, plus: count("+"), minus: count("-"), lines: body.length ? body : head};
}

function block(one, open) {
  const text = el("pre.diff");
  const fill = async () => {
    if (text.firstChild) return;
    const more = one.lines.length - MOST;
    await pour(diff(text, one.lines.slice(0, MOST).join("\n")));
    if (more > 0) text.append(`… ${more} lines more: read them in the terminal or by 9P`);
  };
  if (open) fill();
  return el("details.changed", {open, ontoggle: fill},
    el("summary", {}, el("b", {}, shown(one.name)), one.how ? el("span.kind", {}, ` ${one.how}`) : "",
      el("b.add", {}, ` +${one.plus}`), el("b.del", {}, ` −${one.minus}`)),
    text);
}
