// A client on the TypeScript SDK 1.x: reads all that is listed, makes the calls that stdin asks for,
// and prints the results.
//
//   echo '{"modules": …, "transport": "stdio|http|sse", "command": […], "env": {…}, "url": …,
//          "calls": [[tool, arguments], …]}' | node walk.mjs

import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const plan = JSON.parse(await text(process.stdin));
const require = createRequire(join(plan.modules, "here.js"));
const sdk = (path) => require(`@modelcontextprotocol/sdk/client/${path}`);

const transports = {
  stdio() {
    const [command, ...args] = plan.command;
    const { StdioClientTransport } = sdk("stdio.js");
    return new StdioClientTransport({ command, args, env: plan.env, stderr: "ignore" });
  },
  http() {
    const { StreamableHTTPClientTransport } = sdk("streamableHttp.js");
    return new StreamableHTTPClientTransport(new URL(plan.url));
  },
  sse() {
    const { SSEClientTransport } = sdk("sse.js");
    return new SSEClientTransport(new URL(plan.url));
  },
};

const { Client } = sdk("index.js");
const client = new Client({ name: "walk", version: "1" });
await client.connect(transports[plan.transport]());
const report = {
  server: client.getServerVersion(),
  tools: (await client.listTools()).tools.map((tool) => tool.name),
  prompts: (await client.listPrompts()).prompts,
  resources: (await client.listResources()).resources,
  templates: (await client.listResourceTemplates()).resourceTemplates,
  read: [],
  got: [],
  results: [],
};
for (const { uri } of report.resources) {
  report.read.push(...(await client.readResource({ uri })).contents);
}
for (const { name, arguments: wanted } of report.prompts) {
  const given = Object.fromEntries((wanted ?? []).map((each) => [each.name, "autumn"]));
  report.got.push(...(await client.getPrompt({ name, arguments: given })).messages);
}
for (const [name, args] of plan.calls) {
  report.results.push(await client.callTool({ name, arguments: args }));
}
await client.close();
console.log(JSON.stringify(report));
