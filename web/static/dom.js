// Elements from data. Text becomes text nodes only, never markup: what agents say is hostile input.

// el("button.primary", {onclick: f, disabled: true}, "Send") -> HTMLElement
export function el(name, props = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag);
  made.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made && key !== "list") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== false));
  return made;
}

// Control characters made visible; marks that reorder the text around them, and what is not seen at all, replaced: as anvilsrv/display.py.
const CONTROL = new RegExp("[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b\\u200e\\u200f" +
  "\\u2028-\\u202e\\u2060-\\u2069\\ufeff\\u{e0000}-\\u{e007f}]", "gu");
export function shown(text) {
  return String(text ?? "").replaceAll("\r\n", "\n").replace(CONTROL, (c) => {
    const code = c.codePointAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code) : code === 127 ? "\u2421" : "\ufffd";
  });
}

// Add a text, as it is shown, to what an element has, in blocks: those out of sight cost the browser nothing. A block ends with a line,
// except in one that is longer than a block: the browser cannot break a line of a megabyte without a pause. A generator (pace.js).
const LINES = 100, SIZE = 16000; // of a block, in UTF-16 units
export function* write(place, said) {
  const text = String(said ?? "");
  for (let from = 0; from < text.length;) {
    let to = cut(text, from + SIZE);
    if (text[to - 1] === "\r" && text[to] === "\n") to++;
    append(place, shown(text.slice(from, to)));
    from = to;
    yield;
  }
}

function append(place, words) {
  for (let from = 0; from < words.length;) {
    let block = place.lastElementChild;
    if (!block || block.classList.contains("full")) {
      place.append(block = el("span.block"));
      Object.assign(block, {lines: 0, size: 0, line: 0});
    }
    let to = from, full = false;
    while (to < words.length && !full) {
      const end = words.indexOf("\n", to) + 1 || words.length, next = Math.min(end, cut(words, to + SIZE - block.line));
      const whole = words[next - 1] === "\n";
      block.size += next - to;
      block.line = whole ? 0 : block.line + next - to;
      if (whole) block.lines++;
      full = whole ? block.lines === LINES || block.size >= SIZE : block.line >= SIZE;
      to = next;
    }
    block.append(words.slice(from, to));
    if (full) block.classList.add("full");
    from = to;
  }
}

// Not between the halves of a surrogate pair.
const cut = (words, at) => (/[\ud800-\udbff]/.test(words[at - 1] ?? "") ? at + 1 : at);

// What is copied of such texts is what they are: blocks are no lines.
export function copied(event) {
  const range = document.getSelection()?.rangeCount ? document.getSelection().getRangeAt(0) : null;
  const around = range?.commonAncestorContainer;
  if (!(around?.nodeType === Node.ELEMENT_NODE ? around : around?.parentElement)?.closest("pre")) return;
  event.clipboardData.setData("text/plain", range.cloneContents().textContent);
  event.preventDefault();
}

// The same instead of what it has.
export function* fill(place, text) {
  place.replaceChildren();
  yield* write(place, text);
}

export function clock(seconds) {
  const then = new Date(seconds * 1000);
  return then.toDateString() === new Date().toDateString()
    ? then.toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"})
    : then.toLocaleDateString();
}

export function toast(text, wrong = false) {
  const made = el(wrong ? "p.toast.wrong" : "p.toast", {}, shown(text).slice(0, 500));
  document.getElementById("toasts").append(made);
  setTimeout(() => made.remove(), wrong ? 10000 : 5000);
}

// Run an async action for a button: disabled meanwhile, what fails is said. Returns whether it worked.
export async function act(button, action, say = (why) => toast(why, true)) {
  if (button) button.disabled = true;
  try {
    await action();
    return true;
  } catch (error) {
    say(error.message);
    return false;
  } finally {
    if (button) button.disabled = false;
  }
}

// What a field is on the page, and its value: one of `options` or any of `several`, which may still be coming, lines, or a line.
function control(field) {
  const common = {name: field.name, value: field.value ?? "", required: !!field.required, autocomplete: "off"};
  const label = (node) => el("label", {}, el("span", {}, field.label), node);
  if (field.several) {
    const boxes = [], node = el("fieldset", {hidden: true}, el("legend", {}, field.label));
    Promise.resolve(field.several).then((found) => {
      boxes.push(...found.map((one) => el("input", {type: "checkbox", value: one.value})));
      node.append(...found.map((one, n) => el("label", {title: shown(one.title)}, boxes[n], shown(one.label))));
      node.hidden = !boxes.length;
    });
    return {node, value: () => boxes.filter((box) => box.checked).map((box) => box.value).join(",")};
  }
  if (field.options) {
    const select = el("select", {name: field.name}); // the first that is not disabled is chosen
    Promise.resolve(field.options).then((found) => select.append(...found.map((one) =>
      el("option", {value: one.value, disabled: !!one.disabled, title: shown(one.title)}, shown(one.label)))));
    return {node: label(select), value: () => select.value};
  }
  const input = field.rows ? el("textarea", {...common, rows: field.rows}) : el("input", {...common, spellcheck: false});
  return {node: label(input), value: () => input.value};
}

// A dialog with fields, whose values `submit` gets. What it refuses by throwing stands in the dialog, with all that was typed.
export function form(title, fields, label, submit) {
  const controls = fields.map(control);
  const go = el("button.primary", {type: "submit"}, label);
  const wrong = el("p.wrong", {role: "alert", hidden: true});
  const say = (why) => {
    wrong.textContent = shown(why);
    wrong.hidden = !why;
  };
  const dialog = el("dialog", {"aria-label": title},
    el("form", {onsubmit: async (event) => {
      event.preventDefault();
      say("");
      const values = Object.fromEntries(fields.map((field, n) => [field.name, controls[n].value()]));
      if (await act(go, () => submit(values), say)) dialog.close();
    }},
    el("h2", {}, title),
    ...controls.map((one) => one.node),
    wrong,
    el("div.bar", {}, el("button", {type: "button", onclick: () => dialog.close()}, "Cancel"), go)));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// Put other elements into a place with buttons; their focus, and how far they are scrolled on a narrow page, stay.
export function inPlace(place, nodes) {
  const buttons = () => [...place.querySelectorAll("button")], tools = () => place.querySelector(".tools");
  const focused = buttons().find((one) => one === document.activeElement)?.textContent, far = tools()?.scrollLeft ?? 0;
  place.replaceChildren(...nodes);
  if (focused) buttons().find((one) => one.textContent === focused)?.focus({preventScroll: true});
  if (far) tools()?.scrollTo(far, 0);
}
