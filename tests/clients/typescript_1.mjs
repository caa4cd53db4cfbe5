// TypeScript SDK 1.x.
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { run } from "./mcp_client.mjs";

await run({
  newClient: () => new Client({ name: "typescript-1", version: "1" }),
  newTransport: (url, authProvider) => new StreamableHTTPClientTransport(url, { authProvider }),
  finish: (transport, callback) => transport.finishAuth(callback.searchParams.get("code")),
  UnauthorizedError,
});
