// Keep a correct book of every level by following its changes, through lost connections too. Needs no login.
//
// Usage: npm install graphql graphql-ws; node follow_book.mjs [CEA|EUA] [ws://127.0.0.1:8000/graphql]
// Node 22 has WebSocket and crc32; Node 20.15 has them with --experimental-websocket.
import { crc32 } from 'node:zlib';
import { createClient } from 'graphql-ws';

const [certificate = 'CEA', url = 'ws://127.0.0.1:8000/graphql'] = process.argv.slice(2);
const SILENCE_MS = 5_000; // a heartbeat comes each second
const query = `subscription Changes($certificate: CertificateType!, $after: BigInt) {
  orderBookChanges(certificateType: $certificate, afterSequence: $after) {
    ... on OrderBookSnapshot { reason book { sequence checksum bids { price quantity } asks { price quantity } } }
    ... on OrderBookDelta { sequence previousSequence checksum changes { side price quantity } }
    ... on OrderBookHeartbeat { newest: sequence at } } }`;

let levels = { BUY: new Map(), SELL: new Map() }; // price → quantity, both as they were sent
let sequence = null; // null: begin anew

function best(side, count = 10) {
  const prices = [...levels[side].keys()].sort((a, b) => (side === 'BUY' ? b - a : a - b));
  return prices.slice(0, count);
}

// Carries one event out; throws when it does not lead to the book it should.
function take(event) {
  if ('newest' in event) return; // a heartbeat: if we are not there by the next one, we miss something
  if ('book' in event) {
    event = event.book;
    const mapped = (side) => new Map(side.map(({ price, quantity }) => [price, quantity]));
    levels = { BUY: mapped(event.bids), SELL: mapped(event.asks) };
  } else if (event.previousSequence !== sequence) {
    throw new Error(`a gap between ${sequence} and ${event.previousSequence}`);
  } else {
    for (const { side, price, quantity } of event.changes) {
      if (quantity === '0') levels[side].delete(price);
      else levels[side].set(price, quantity); // absolute: what is at this price now
    }
  }
  const side = (letter, name) => best(name).map((price) => `${letter}:${price}:${levels[name].get(price)};`);
  const text = [...side('b', 'BUY'), ...side('a', 'SELL')].join('');
  if (crc32(text) !== event.checksum) throw new Error(`not the book of ${event.sequence}`);
  sequence = event.sequence;
}

for (;;) {
  const client = createClient({ url, retryAttempts: 0 }); // this loop tries again, and says from where
  let watchdog;
  try {
    for await (const { data } of client.iterate({ query, variables: { certificate, after: sequence } })) {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => client.terminate(), SILENCE_MS);
      take(data.orderBookChanges);
      console.log(certificate, sequence, ...best('BUY', 1), '|', ...best('SELL', 1));
    }
  } catch (error) {
    const isDefect = error instanceof Error;
    console.error(isDefect ? `${error.message}; beginning anew` : `connection lost; going on after ${sequence}`);
    if (isDefect) sequence = null;
  }
  clearTimeout(watchdog);
  await client.dispose();
  await new Promise((resolve) => setTimeout(resolve, 1_000));
}
