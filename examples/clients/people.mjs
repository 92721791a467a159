// Connects an account, waits for its first sync, reads all people, makes one and
// changes it. Node 20 or newer and nothing else; README.md says how to run it.

import { createHmac, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

const settings = ['ROLLOUT_URL', 'ROLLOUT_CLIENT_ID', 'ROLLOUT_CLIENT_SECRET', 'API_KEY'];
const [url, clientId, clientSecret, apiKey] = settings.map((name) => process.env[name]);
const { CONSUMER: consumer = 'customer-1', APP_KEY: appKey = 'follow-up-boss' } = process.env;

// #region token
// Says who asks: your product, for one of its users. Made on your server, where the
// secret is, without asking anybody.
function token(consumer) {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: 'HS512', typ: 'JWT' };
  const claims = { iss: clientId, sub: consumer, iat: now, exp: now + 15 * 60 };
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${createHmac('sha512', clientSecret).update(signed).digest('base64url')}`;
}
// #endregion

// #region call
// One request, sent again for up to two minutes when
// - the answer has Retry-After: 429, 503, and 409 while the account's first sync or a
//   write with the same key is under way;
// - nobody knows what became of it (`maybe_applied`, a broken connection) and it may
//   be done twice, because it is a read or has a key.
async function call(method, path, { body, credential, key } = {}) {
  const headers = { Authorization: `Bearer ${token(consumer)}` };
  if (body) headers['Content-Type'] = 'application/json';
  if (credential) headers['X-Rollout-Credential-Id'] = credential;
  if (key) headers['Idempotency-Key'] = key;
  const repeatable = method === 'GET' || key;
  const patience = Date.now() + 120_000;
  for (;;) {
    let wait, problem;
    try {
      const signal = AbortSignal.timeout(60_000);
      const sent = body && JSON.stringify(body);
      const response = await fetch(url + path, { method, headers, body: sent, signal });
      const text = await response.text();
      if (response.ok) return text && JSON.parse(text);
      // With the request's id its operator finds it in the host's log.
      problem = `${response.status}, request id ${response.headers.get('X-Request-Id')}: ${text}`;
      wait = Number(response.headers.get('Retry-After'));
      if (repeatable && text.includes('"maybe_applied"')) wait ||= 1;
    } catch (error) {
      problem = error.cause?.message ?? error.message;
      wait = repeatable && 1;
    }
    if (!wait || Date.now() > patience) throw new Error(`${method} ${path}: ${problem}`);
    console.error(`again in ${wait} s: ${method} ${path}: ${problem}`);
    // A little more by chance, so that many who wait don't come back at once.
    await sleep((wait + Math.random()) * 1000);
  }
}
// #endregion

// The whole first sync, of all that the account has; people can be read once they are
// there, and answer 409 until then.
async function synced(credential) {
  for (;;) {
    const account = await call('GET', `/api/credentials/${credential}`);
    const { sync } = account;
    if (sync.status === 'done') return;
    if (account.status === 'broken' || sync.status === 'failed') {
      throw new Error(`the account can't be synced: ${JSON.stringify(account)}`);
    }
    const { records, total } = sync.entities.people;
    console.log(`syncing: ${records} of ${total ?? '?'} people`);
    await sleep(2000);
  }
}

// All people, newest first. `next` leads on until there is no more.
async function* everybody(credential) {
  let next = '';
  do {
    const query = new URLSearchParams({ limit: '100', next });
    const page = await call('GET', `/crm/api/people?${query}`, { credential });
    yield* page.people;
    next = page._metadata.next;
  } while (next);
}

async function main() {
  const missing = settings.filter((name) => !process.env[name]);
  if (missing.length) throw new Error(`not set: ${missing.join(', ')}; README.md says what to set`);

  // The same account again keeps its id. What `userInputs` holds depends on the app:
  // GET /api/connectors says so.
  const account = { appKey, userInputs: { apiKey } };
  const { id: credential, label } = await call('POST', '/api/credentials', { body: account });
  console.log(`connected ${label}: credential ${credential}`);
  await synced(credential);

  let count = 0;
  for await (const _ of everybody(credential)) count += 1;
  console.log(`read ${count} people`);

  // A key belongs to what caused the write: kept with it, it does the write once even
  // if this program ends in the midst of it and starts anew.
  const emails = [{ value: 'ada@example.com' }];
  const ada = { firstName: 'Ada', lastName: 'Lovelace', emails, tags: ['Buyer'] };
  const { id, name } = await call('POST', '/crm/api/people', { credential, key: randomUUID(), body: ada });
  console.log(`created ${name}: ${id}`);

  const body = { tags: ['Met in person'] };
  await call('PUT', `/crm/api/people/${id}?mergeTags=true`, { credential, key: randomUUID(), body });
  const person = await call('GET', `/crm/api/people/${id}`, { credential });
  console.log(`updated ${person.name}: ${person.tags.join(', ')}`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
