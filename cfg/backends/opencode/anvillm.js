// opencode's plugin of AnviLLM: tells what happens in the session through anvillm-hook ($ANVILLM_HOOK, a JSON array of words).
// Reports go out one after another, in order, each with how long it waited for that. Subagents (sessions with a parent) are not told of.
// What is taken is first written to a file of JSON lines ($ANVILLM_JOURNAL), which proves it, whatever becomes of the report.
import { spawn } from "node:child_process"
import { appendFileSync } from "node:fs"

const ATTEMPTS = 6
const PATIENCE = 60_000 // ms
const ECHO = 5_000 // ms in which the end of what was broken off may be told once more

const words = JSON.parse(process.env.ANVILLM_HOOK || "[]")
const journal = process.env.ANVILLM_JOURNAL

const run = (name, payload, flags = []) =>
  new Promise((resolve) => {
    const child = spawn(words[0], [...words.slice(1), ...flags, name], { stdio: ["pipe", "pipe", "ignore"] })
    let said = ""
    child.stdout.on("data", (data) => (said += data))
    child.on("error", () => resolve(""))
    child.on("close", () => resolve(said.trim()))
    child.stdin.on("error", () => {})
    child.stdin.end(JSON.stringify(payload))
  })

let queue = Promise.resolve()
const report = (name, payload) => {
  const made = performance.now()
  queue = queue.then(() => run(name, { ...payload, journal }, [`--ago=${Math.round(performance.now() - made)}`]))
  return queue
}

const write = (line) => {
  try {
    appendFileSync(journal, JSON.stringify({ ...line, at: Date.now() }) + "\n")
  } catch {} // the report tells it too
}

// What streams: a file of JSON lines ($ANVILLM_TOLD), which the daemon follows. Nobody waits for it.
const told = process.env.ANVILLM_TOLD
const tell = (line) => {
  try {
    if (told) appendFileSync(told, JSON.stringify({ ...line, at: Date.now() }) + "\n")
  } catch {} // the answer is told all the same
}

const text = (parts) => parts.filter((part) => part.type === "text" && !part.synthetic).map((part) => part.text).join("")

// Of the last answer in a turn: whether the turn ends with it, and what would change if it went on.
const ended = (answer) => answer?.info.error || (answer?.info.time?.completed && answer.info.finish !== "tool-calls")
const state = (answer) => JSON.stringify([answer?.info.id, answer?.info.time?.completed, answer?.parts.length])

export const AnviLLM = async ({ client }) => {
  if (!words.length || !process.env.ANVILLM_SESSION) return {}
  const children = new Set()
  let turn = null // the session in which a turn runs
  let broken = null // the session whose turn is being broken off
  let id = "" // of that turn: of the message that began it
  const answers = new Set() // ids of messages of the model
  const texts = new Set() // ids of their texts
  const printed = new Map() // of a tool: how much of its output was told
  let aborted = -ECHO // when the last turn that was broken off ended
  let stale = 0 // questions that went away: the newest that counts

  const answersOf = async (session, since) => {
    const found = (await client.session.messages({ path: { id: session } })).data ?? []
    return found.slice(since ? found.findIndex(({ info }) => info.id === since) + 1 : 0).filter(({ info }) => info.role === "assistant")
  }

  const family = async (session, depth = 0) => {
    const found = depth < 5 ? await client.session.children({ path: { id: session } }) : {}
    const below = await Promise.all((found.data ?? []).map(({ id }) => family(id, depth + 1)))
    return [session, ...below.flat()]
  }

  // The last answer of a turn, if there is one, and what this conversation and its subagents have used so far.
  const last = async (session, began) => {
    const answer = (await answersOf(session, began)).pop()
    const everybody = (await Promise.all((await family(session)).map(answersOf))).flat()
    const sum = (pick) => everybody.reduce((total, { info }) => total + (pick(info.tokens ?? {}) || 0), 0)
    const usage = { input: sum((t) => t.input), output: sum((t) => t.output), cached: sum((t) => t.cache?.read) }
    return { answer, usage }
  }

  const ask = async (asked) => {
    const number = ++stale
    const choice = await run("Ask", { ...asked, patterns: (asked.patterns ?? []).join(" ") }, ["--wait"])
    if (number !== stale || !choice) return
    if (choice === "interrupt") return interrupt(asked)
    await client.postSessionIdPermissionsPermissionId({
      path: { id: asked.sessionID, permissionID: asked.id },
      body: { response: choice },
    })
  }

  // A turn that is only broken off has no end while its question is open; one that is only refused may go on.
  const interrupt = async (asked) => {
    const session = turn
    broken = session
    await client.postSessionIdPermissionsPermissionId({
      path: { id: asked.sessionID, permissionID: asked.id },
      body: { response: "reject" },
    })
    if (session) await client.session.abort({ path: { id: session } })
  }

  const abort = (told) => {
    aborted = performance.now()
    report("Abort", told)
  }

  // It is idle, as it may say twice of what was broken off; by then the next turn may have begun. Its answer tells which of them is over,
  // or that nothing more comes of it for a while.
  const idle = async (session) => {
    if (session === broken || performance.now() - aborted >= ECHO) return over(session)
    const began = id
    const first = (await answersOf(session, began)).pop()
    if (!ended(first)) {
      await new Promise((resolve) => setTimeout(resolve, ECHO))
      const now = (await answersOf(session, began)).pop()
      if ((now && !now.info.time?.completed && !now.info.error) || state(now) !== state(first)) return
    }
    if (turn === session && id === began) return over(session)
  }

  // What is broken off before its first word has an end like any other: without an answer, or with one that has an error.
  const over = async (session) => {
    const told = { session, turn: id }
    turn = null
    try {
      const { answer, usage } = await last(session, id)
      const error = answer?.info.error
      if (session === broken || !answer || error?.name === "MessageAbortedError") abort(told)
      else if (error) report("Fail", { ...told, reason: error.data?.message || error.name || "error" })
      else report("Stop", { ...told, text: text(answer.parts), usage })
    } catch (error) {
      report("Fail", { ...told, reason: `its answer cannot be read: ${error}` })
    }
  }

  // It tries again for ever, and waits as long as a service says; a person is told instead.
  const giveUp = async (session, message, next) => {
    turn = null
    report("Fail", { session, turn: id, reason: message, detail: `next attempt at ${next}` })
    await client.session.abort({ path: { id: session } })
  }

  // A part of a message, told anew whenever it has changed.
  const part = (one) => {
    if (!answers.has(one.messageID)) return
    const parent = children.has(one.sessionID) ? one.sessionID : undefined
    if (one.type === "text" && !one.synthetic) {
      texts.add(one.id)
      if (one.time?.end) tell({ type: "text", id: one.id, parent, text: one.text })
    } else if (one.type === "reasoning") {
      const done = one.time?.end
      tell({ type: "thinking", id: one.id, parent, on: !done, ...(done ? { seconds: (done - one.time.start) / 1000, text: one.text } : {}) })
    } else if (one.type === "tool") {
      const { callID: id, tool: name, state } = one
      if (state.status === "running" && !printed.has(id)) {
        printed.set(id, 0)
        tell({ type: "tool", id, parent, name, input: state.input, title: state.title })
      }
      const output = state.output ?? state.metadata?.output ?? ""
      if (state.status === "running" && output.length > printed.get(id)) {
        tell({ type: "output", id, parent, part: output.slice(printed.get(id)) })
        printed.set(id, output.length)
      } else if (state.status === "completed" || state.status === "error") {
        printed.delete(id)
        const { diff, exists } = state.metadata ?? {}
        const wrote = name === "write" && state.status === "completed"
        const { filePath: path, content } = state.input ?? {}
        const news = wrote && !exists ? { op: "add", created: content?.length <= 1 << 20 ? content : undefined } : { op: "change" }
        if (diff || wrote) tell({ type: "edit", id, parent, path, diff, ...news })
        tell({ type: "output", id, parent, text: state.error ?? output, status: state.status, exit: state.metadata?.exit })
      }
    }
  }

  const on = {
    "message.updated": ({ info }) => {
      if (info.role === "assistant") answers.add(info.id)
    },
    "message.part.updated": (found) => part(found.part),
    "message.part.delta": ({ sessionID, partID, field, delta }) => {
      if (field === "text" && texts.has(partID))
        tell({ type: "text", id: partID, parent: children.has(sessionID) ? sessionID : undefined, part: delta })
    },
    "todo.updated": ({ sessionID, todos }) => children.has(sessionID) || tell({ type: "plan", todos }),
    "session.status": ({ sessionID, status }) => {
      if (sessionID !== turn || status?.type !== "retry") return
      tell({ type: "retry", attempt: status.attempt, reason: status.message, next: status.next / 1000 })
      if (status.attempt < ATTEMPTS && status.next - Date.now() < PATIENCE) return
      return giveUp(sessionID, status.message, Math.ceil(status.next / 1000))
    },
    "session.created": ({ info }) => {
      if (!info.parentID) return
      children.add(info.id)
      tell({ type: "subagent", id: info.id, title: info.title, state: "begun" })
    },
    "session.error": ({ sessionID, error }) => {
      if (sessionID !== turn) return
      turn = null
      if (error?.name === "MessageAbortedError") abort({ session: sessionID, turn: id })
      else report("Fail", { session: sessionID, turn: id, reason: error?.data?.message || error?.name || "error" })
    },
    "session.idle": async ({ sessionID }) => {
      if (children.has(sessionID)) tell({ type: "subagent", id: sessionID, state: "ended" })
      if (sessionID === turn) return idle(sessionID)
    },
    "permission.asked": (asked) => void ask(asked),
    "permission.replied": ({ sessionID }) => {
      stale++
      report("Answered", { session: sessionID })
    },
  }

  return {
    event: async ({ event }) => on[event.type]?.(event.properties),
    "chat.message": async ({ sessionID }, { message, parts }) => {
      if (children.has(sessionID)) return
      const joins = turn === sessionID // it is read before the next step of the turn that runs
      if (!joins) id = message?.id ?? ""
      if (!joins) broken = null
      turn = sessionID
      const told = { session: sessionID, turn: id, text: text(parts) }
      write({ type: joins ? "joined" : "taken", ...told })
      report(joins ? "Joined" : "Submit", told)
    },
  }
}
