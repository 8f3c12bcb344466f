// MCP's client for TypeScript: starts the server named on the command line, lists what it has, calls tools; prints what it found as JSON.

import {Client} from "@modelcontextprotocol/client";
import {StdioClientTransport} from "@modelcontextprotocol/client/stdio";

const [command, ...args] = process.argv.slice(2);
const client = new Client({name: "test", version: "1"});
await client.connect(new StdioClientTransport({command, args, env: process.env}));
const names = ({tools}) => tools.map((tool) => tool.name);
const found = {server: client.getServerVersion().name, tools: names(await client.listTools())};
found.prompts = (await client.listPrompts()).prompts.map((one) => one.name);
found.resources = (await client.listResources()).resources.map((one) => one.uri);
found.made = (await client.callTool({name: "bead_new", arguments: {title: "by TypeScript"}})).structuredContent;
found.sessions = (await client.callTool({name: "list_sessions", arguments: {}})).structuredContent;
const refused = await client.callTool({name: "list_sessions", arguments: {nonsense: 1}});
found.refused = refused.isError ? refused.content[0].text : "";
console.log(JSON.stringify(found));
await client.close();
