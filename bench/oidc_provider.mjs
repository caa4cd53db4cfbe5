// The certified OpenID provider of Node, with everything it keeps in SQLite, durable as ours: first argument the port,
// second the database's file, third the folder of the installed packages.
import { createRequire } from "node:module";
import { generateKeyPairSync } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [port, file, packages] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(createRequire(join(packages, "_")).resolve("oidc-provider")));

const database = new DatabaseSync(file);
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE kept (model TEXT, id TEXT, payload TEXT, grant_id TEXT, uid TEXT, expires_at INTEGER,
    PRIMARY KEY (model, id)) WITHOUT ROWID;
  CREATE INDEX by_grant ON kept (grant_id) WHERE grant_id IS NOT NULL;
  CREATE INDEX by_uid ON kept (uid) WHERE uid IS NOT NULL;
`);
const PUT = database.prepare("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?, ?)");
const FIND = database.prepare("SELECT payload, expires_at FROM kept WHERE model = ? AND id = ?");
const FIND_UID = database.prepare("SELECT payload, expires_at FROM kept WHERE model = ? AND uid = ?");
const CONSUME = database.prepare(
  "UPDATE kept SET payload = json_set(payload, '$.consumed', unixepoch()) WHERE model = ? AND id = ?");
const DESTROY = database.prepare("DELETE FROM kept WHERE model = ? AND id = ?");
const REVOKE = database.prepare("DELETE FROM kept WHERE model = ? AND grant_id = ?");

const alive = (row) =>
  row && !(row.expires_at && row.expires_at < Date.now()) ? JSON.parse(row.payload) : undefined;

class Adapter {
  constructor(model) {
    this.model = model;
  }
  async upsert(id, payload, seconds) {
    const until = seconds ? Date.now() + seconds * 1000 : null;
    PUT.run(this.model, id, JSON.stringify(payload), payload.grantId ?? null, payload.uid ?? null, until);
  }
  async find(id) {
    return alive(FIND.get(this.model, id));
  }
  async findByUid(uid) {
    return alive(FIND_UID.get(this.model, uid));
  }
  async consume(id) {
    CONSUME.run(this.model, id);
  }
  async destroy(id) {
    DESTROY.run(this.model, id);
  }
  async revokeByGrantId(grantId) {
    REVOKE.run(this.model, grantId);
  }
}

const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey.export({ format: "jwk" });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Adapter,
  clientDefaults: { id_token_signed_response_alg: "ES256" },
  cookies: { keys: ["for benches"] },
  features: { registration: { enabled: true } },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  issueRefreshToken: (_, client) => client.grantTypeAllowed("refresh_token"),
  expiresWithSession: () => false,
  jwks: { keys: [{ ...key, alg: "ES256", use: "sig" }] },
});
provider.listen(Number(port), "127.0.0.1");
