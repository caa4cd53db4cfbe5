// oauth4webapi: every step of RFC 9728, 8414, 7591, 6749, 7636, 9207 and 8707 spelled out, every answer validated.
import * as oauth from "oauth4webapi";
import { obey, openInBrowser, REDIRECT_URI } from "./driver.mjs";
import { callTool, Unauthorized } from "./strict_client.mjs";

const insecure = { [oauth.allowInsecureRequests]: true };
let mcp, server, client, authentication, tokens;

async function discover() {
  const resource = await oauth.processResourceDiscoveryResponse(mcp, await oauth.resourceDiscoveryRequest(mcp, insecure));
  const issuer = new URL(resource.authorization_servers[0]);
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
  server = await oauth.processDiscoveryResponse(issuer, response);
}

async function register() {
  const metadata = {
    client_name: "oauth4webapi",
    redirect_uris: [REDIRECT_URI],
    token_endpoint_auth_method: "client_secret_basic",
  };
  const response = await oauth.dynamicClientRegistrationRequest(server, metadata, insecure);
  client = await oauth.processDynamicClientRegistrationResponse(response);
  authentication = oauth.ClientSecretBasic(client.client_secret);
}

async function signIn() {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: REDIRECT_URI,
    response_type: "code",
    scope: "openid profile email",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    resource: mcp.href,
    state,
    nonce,
  });
  const parameters = oauth.validateAuthResponse(server, client, await openInBrowser(url), state);
  const more = { additionalParameters: { resource: mcp.href }, ...insecure };
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, authentication, parameters, REDIRECT_URI, verifier, more,
  );
  const expected = { expectedNonce: nonce, requireIdToken: true };
  tokens = await oauth.processAuthorizationCodeResponse(server, client, response, expected);
  await oauth.validateApplicationLevelSignature(server, response, insecure);
}

async function refresh() {
  const response = await oauth.refreshTokenGrantRequest(server, client, authentication, tokens.refresh_token, insecure);
  tokens = await oauth.processRefreshTokenResponse(server, client, response);
}

await obey({
  async connect({ url }) {
    mcp = new URL(url);
    await discover();
    await register();
    await signIn();
    const claims = oauth.getValidatedIdTokenClaims(tokens);
    const response = await oauth.userInfoRequest(server, client, tokens.access_token, insecure);
    const person = await oauth.processUserInfoResponse(server, client, claims.sub, response);
    return { email: person.email, claims: Object.keys(claims).sort(), scope: tokens.scope };
  },
  async call({ name }) {
    try {
      return await callTool(mcp, tokens.access_token, name);
    } catch (error) {
      if (!(error instanceof Unauthorized)) throw error;
      await refresh();
      return callTool(mcp, tokens.access_token, name);
    }
  },
  async introspect() {
    const response = await oauth.introspectionRequest(server, client, authentication, tokens.access_token, insecure);
    return oauth.processIntrospectionResponse(server, client, response);
  },
  async revoke() {
    const response = await oauth.revocationRequest(server, client, authentication, tokens.refresh_token, insecure);
    await oauth.processRevocationResponse(response);
  },
});
