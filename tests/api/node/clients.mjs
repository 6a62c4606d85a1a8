// node --experimental-websocket clients.mjs URL QUERY [SUBSCRIPTION]: run a query with urql and a subscription with
// graphql-ws, as the dashboard does; print what arrived on one line.
import { load } from "./resolve.mjs";

const [url, query, subscription] = process.argv.slice(2);
const { Client, fetchExchange } = await load("@urql/core");
const { createClient } = await load("graphql-ws");
const outcome = {};

for (const [key, preferGetMethod] of [["urqlPost", false], ["urqlGet", "force"]]) {
  const client = new Client({ url, exchanges: [fetchExchange], preferGetMethod });
  const { data, error } = await client.query(query, {}).toPromise();
  outcome[key] = { data, error: error?.message };
}

if (subscription) {
  const socket = createClient({ url: url.replace(/^http/, "ws"), retryAttempts: 0 });
  outcome.events = [];
  for await (const { data, errors } of socket.iterate({ query: subscription })) {
    outcome.events.push(errors ? { data, errors } : data);
    if (outcome.events.length >= 3) break;
  }
  await socket.dispose();
}
console.log(JSON.stringify(outcome));
