// What the browser keeps for this page: its key, and texts that were not sent. It may refuse all of that, even to be asked.

const DRAFT = "anvil-draft ";
const MOST = 100; // drafts; the oldest go first
const here = new Map(); // what it does not keep, as long as the page is there

export function kept(name) {
  try {
    return localStorage.getItem(name) ?? here.get(name) ?? "";
  } catch {
    return here.get(name) ?? "";
  }
}

// Whether it is kept over a reload.
export function keep(name, value) {
  here.delete(name);
  try {
    if (value) localStorage.setItem(name, value);
    else localStorage.removeItem(name);
    return true;
  } catch {
    if (value) here.set(name, value);
    return false;
  }
}

// The text of a session that was not sent.
export const draft = (session) => {
  try {
    return JSON.parse(kept(DRAFT + session) || '{"text": ""}').text;
  } catch {
    return "";
  }
};

export function keepDraft(session, text) {
  keep(DRAFT + session, text && JSON.stringify({text, when: Date.now()}));
  if (text) forget();
}

function forget() {
  try {
    const names = Object.keys(localStorage).filter((name) => name.startsWith(DRAFT));
    if (names.length <= MOST) return;
    const when = (name) => JSON.parse(localStorage.getItem(name)).when;
    localStorage.removeItem(names.reduce((a, b) => (when(a) <= when(b) ? a : b)));
  } catch { /* nothing is kept, or not by us */ }
}
