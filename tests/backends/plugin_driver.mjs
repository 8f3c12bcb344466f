// Drives the plugin for opencode: node plugin_driver.mjs PLUGIN. Its hooks and events come from standard input, a line of JSON each:
// {"prompt": id}, {"event": type, ...properties}, {"messages": [...]}: what the service has by now, {"pass": ms}: time goes by.
import { createInterface } from "node:readline"
import { mock } from "node:test"

mock.timers.enable({ apis: ["setTimeout"] })
const { AnviLLM } = await import(process.argv[2])
let messages = []
const client = { session: { messages: async () => ({ data: messages }), children: async () => ({ data: [] }) } }
const plugin = await AnviLLM({ client })
const calm = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
for await (const line of createInterface({ input: process.stdin })) {
  const { prompt, event, messages: now, pass, ...properties } = JSON.parse(line)
  if (now) messages = now
  if (pass) mock.timers.tick(pass)
  if (prompt) await plugin["chat.message"]({ sessionID: "s" }, { message: { id: prompt }, parts: [{ type: "text", text: prompt }] })
  if (event) void plugin.event({ event: { type: event, properties: { sessionID: "s", ...properties } } })
  await calm()
}
