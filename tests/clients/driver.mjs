// How the Python tests drive a client: one JSON object a line, a command in and its outcome out.
// While a command runs, {"open": URL} asks the person to open a page; {"callback": URL or null} tells where that ended.
import readline from "node:readline";

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const read = async () => {
  const { value, done } = await lines.next();
  return done ? undefined : JSON.parse(value);
};
const write = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** Let the person decide; gives the URL that led back here. */
export async function openInBrowser(url) {
  write({ open: String(url) });
  const { callback } = await read();
  if (callback === null) throw new Error("the person was asked to sign in again");
  return new URL(callback);
}

/** Let time pass for this process, as it passes for the server. */
function advance({ seconds }) {
  const now = Date.now;
  Date.now = () => now() + 1000 * seconds;
}

/** Carry out commands by the functions of `actions` until standard input ends. */
export async function obey(given) {
  const actions = { advance, ...given };
  for (let command; (command = await read()); ) {
    try {
      write({ result: await actions[command.do](command) });
    } catch (error) {
      write({ error: `${error?.name}: ${error?.message}`, cause: String(error?.error ?? error?.cause?.error ?? error?.cause ?? "") });
    }
  }
  process.exit(0);
}

export const REDIRECT_URI = "http://localhost:43210/callback";
