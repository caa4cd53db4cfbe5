// openid-client: OpenID discovery, registration, code flow with ID token, userinfo, refresh, introspection, revocation.
import * as oidc from "openid-client";
import { obey, openInBrowser, REDIRECT_URI } from "./driver.mjs";
import { callTool, Unauthorized } from "./strict_client.mjs";

let mcp, config, tokens;
const insecure = { execute: [oidc.allowInsecureRequests] };

async function signIn() {
  const verifier = oidc.randomPKCECodeVerifier();
  const [state, nonce] = [oidc.randomState(), oidc.randomNonce()];
  const url = oidc.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT_URI,
    scope: "openid profile email",
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    max_age: "600",
    state,
    nonce,
  });
  const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, maxAge: 600, idTokenExpected: true };
  tokens = await oidc.authorizationCodeGrant(config, await openInBrowser(url), checks);
}

await obey({
  async connect({ url }) {
    mcp = url;
    const metadata = {
      client_name: "openid-client",
      redirect_uris: [REDIRECT_URI],
      token_endpoint_auth_method: "client_secret_basic",
    };
    config = await oidc.dynamicClientRegistration(new URL(new URL(url).origin), metadata, undefined, insecure);
    oidc.enableNonRepudiationChecks(config); // the ID token's signature, by the published keys
    await signIn();
    const { sub } = tokens.claims();
    const person = await oidc.fetchUserInfo(config, tokens.access_token, sub);
    return { email: person.email, claims: Object.keys(tokens.claims()).sort(), scope: tokens.scope };
  },
  async call({ name }) {
    try {
      return await callTool(mcp, tokens.access_token, name);
    } catch (error) {
      if (!(error instanceof Unauthorized)) throw error;
      tokens = await oidc.refreshTokenGrant(config, tokens.refresh_token);
      return callTool(mcp, tokens.access_token, name);
    }
  },
  async introspect() {
    return oidc.tokenIntrospection(config, tokens.access_token);
  },
  async revoke() {
    await oidc.tokenRevocation(config, tokens.refresh_token);
  },
});
