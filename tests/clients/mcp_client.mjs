// What both TypeScript SDKs have in common: a store of credentials, and the way from a 401 to a connected client.
import { obey, openInBrowser, REDIRECT_URI } from "./driver.mjs";

/** The `OAuthClientProvider` that an application writes, kept in memory. */
export class Credentials {
  redirectUrl = REDIRECT_URI;
  clientMetadata = {
    client_name: "TypeScript client",
    redirect_uris: [REDIRECT_URI],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
  };
  saved = {};
  callback = undefined;

  state() { return (this.saved.state = crypto.randomUUID()); }
  clientInformation() { return this.saved.client; }
  saveClientInformation(client) { this.saved.client = client; }
  tokens() { return this.saved.tokens; }
  saveTokens(tokens) { this.saved.tokens = tokens; }
  saveCodeVerifier(verifier) { this.saved.verifier = verifier; }
  codeVerifier() { return this.saved.verifier; }
  invalidateCredentials(scope) { // what the server no longer honours is forgotten
    for (const name of scope === "all" ? Object.keys(this.saved) : [scope]) delete this.saved[name];
  }
  async redirectToAuthorization(url) { this.callback = await openInBrowser(url); }
}

/** Obey the tests with a client made by `newClient` over a transport made by `newTransport(url, credentials)`. */
export function run({ newClient, newTransport, finish, UnauthorizedError }) {
  const credentials = new Credentials();
  let url, client, transport;

  async function connect() {
    for (let attempt = 0; attempt < 2; attempt++) {
      client = newClient();
      transport = newTransport(new URL(url), credentials);
      try {
        await client.connect(transport);
        return;
      } catch (error) {
        if (!(error instanceof UnauthorizedError) || attempt) throw error;
        const state = credentials.callback.searchParams.get("state");
        if (state !== credentials.saved.state) throw new Error("another state came back");
        await finish(transport, credentials.callback);
      }
    }
  }

  return obey({
    async connect(command) {
      url = command.url;
      await connect();
      return { version: transport.protocolVersion ?? null };
    },
    async reconnect() {
      await client.close();
      await connect();
    },
    async tools() {
      return (await client.listTools()).tools.map((tool) => tool.name);
    },
    async call({ name }) {
      return (await client.callTool({ name, arguments: {} })).structuredContent;
    },
    /** The whole result of a call, after the list that teaches the client the output schemas it checks by. */
    async outcome({ name, input }) {
      await client.listTools();
      const { isError, content, structuredContent } = await client.callTool({ name, arguments: input });
      const text = content.map((part) => part.text ?? "").join("");
      return { isError: isError ?? false, text, code: structuredContent?.error?.code ?? null };
    },
    async close() {
      await transport.terminateSession?.();
      await client.close();
    },
  });
}
