// TypeScript client 2.x; the first argument is its version negotiation: auto or legacy.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { run } from "./mcp_client.mjs";

const mode = process.argv[2];

await run({
  newClient: () => new Client({ name: "typescript-2", version: "1" }, { versionNegotiation: { mode } }),
  newTransport: (url, authProvider) => new StreamableHTTPClientTransport(url, { authProvider }),
  finish: (transport, callback) => transport.finishAuth(callback.searchParams),
  UnauthorizedError,
});
