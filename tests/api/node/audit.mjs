// node audit.mjs URL: run every audit of graphql-http; print {"ok": n, "rest": [...]} on one line.
import { load } from "./resolve.mjs";

const [url] = process.argv.slice(2);
const { auditServer } = await load("graphql-http");
const results = await auditServer({ url });
const rest = results
  .filter(({ status }) => status !== "ok")
  .map(({ id, status, name, reason }) => ({ id, status, name, reason }));
console.log(JSON.stringify({ ok: results.length - rest.length, rest }));
