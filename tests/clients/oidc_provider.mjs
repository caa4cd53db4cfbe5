// A certified OpenID provider on a free loopback port, with its own sign-in and consent pages.
// Standard input: one line of JSON, {client: {...}, account: {...}}. Standard output: {issuer}.
import http from "node:http";
import readline from "node:readline";
import Provider from "oidc-provider";

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { client, account } = JSON.parse((await lines.next()).value);

const server = http.createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const provider = new Provider(issuer, {
  clients: [client],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "picture"] },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...account }) }),
  cookies: { keys: ["for tests"] },
});
server.on("request", provider.callback());
console.log(JSON.stringify({ issuer }));
await lines.next(); // until standard input closes
process.exit(0);
