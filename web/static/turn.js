// Pages of one browser share the few connections that it allows to one server, six in most: of the streams, which hold theirs, only
// some are open at once. A page that waits tells the one that has its place, which makes room when it has had its time.

const PLACES = [0, 1, 2, 3].map((n) => `anvil-stream-${n}`);
const TIME = 3000; // ms that a page keeps its place though another waits, once it has been told what there is
const LONGEST = 30000; // ms that it keeps it though it has not
let room; // where pages tell which place they wait for

// Call `follow(signal, told)` when there is a place; its signal also ends what it does when another page is to have it. It calls `told`
// when it has been told what there is: on a busy machine that may take longer than its time, and a turn that ends before it is none.
export async function inTurn(signal, follow) {
  const now = await navigator.locks?.query().catch(() => null);
  if (!now) return follow(signal, () => {}); // not a secure context, or it keeps nothing: every page for itself
  const busy = (name) => [...now.held, ...now.pending].filter((one) => one.name === name).length;
  const name = PLACES.reduce((a, b) => (busy(a) <= busy(b) ? a : b));
  room ??= new BroadcastChannel("anvil-stream");
  room.postMessage(name);
  return navigator.locks.request(name, {signal}, () => hold(name, signal, follow));
}

async function hold(name, signal, follow) {
  const turn = new AbortController();
  const end = () => turn.abort();
  let timer, wanted = false, until = Date.now() + LONGEST;
  const limit = () => {
    clearTimeout(timer);
    if (wanted) timer = setTimeout(end, Math.max(0, until - Date.now()));
  };
  const makeRoom = () => {
    wanted = true;
    limit();
  };
  const told = () => {
    if (until - Date.now() <= TIME) return;
    until = Date.now() + TIME;
    limit();
  };
  const asked = (event) => event.data === name && makeRoom();
  signal.addEventListener("abort", end);
  room.addEventListener("message", asked);
  try {
    if (signal.aborted) end();
    if ((await navigator.locks.query()).pending.some((one) => one.name === name)) makeRoom();
    return await follow(turn.signal, told);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    room.removeEventListener("message", asked);
  }
}
