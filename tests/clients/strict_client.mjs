// What the two strict OpenID clients have in common: an MCP tool call and `/me` with the token that they got.

/** Call a tool with an access token; a 401 is an error that carries its challenge. */
export async function callTool(mcp, accessToken, name) {
  const response = await fetch(mcp, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${accessToken}`,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": "2025-11-25",
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: {} } }),
  });
  if (response.status === 401) throw new Unauthorized(response.headers.get("www-authenticate"));
  return (await response.json()).result.structuredContent;
}

export class Unauthorized extends Error {
  name = "Unauthorized";
}
