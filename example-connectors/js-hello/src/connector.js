// A connector in plain JavaScript: it lists the people and the users of a Follow Up Boss
// account. The contract's records and variants are objects here, its errors are thrown.

import { fetch, FetchError } from './fetch.js';
import { MANIFEST } from './manifest.js';

const API = 'https://api.followupboss.com/v1';
const LARGEST_PAGE = 100;
// The app writes whole seconds, and a change may become visible after a later one.
const OVERLAP_MS = 3 * 60 * 1000;

// What the app's lists are asked for, and how a record becomes the catalogue's.
const ENTITIES = {
  people: {
    query: 'fields=allFields&includeTrash=true',
    ids: 'id',
    deleted: (person) => person.stage === 'Trash',
    mapped: (person) => ({
      name: person.name,
      firstName: person.firstName,
      lastName: person.lastName,
      stage: person.stage,
      stageId: reference(person.stageId),
      source: person.source === '<unspecified>' ? '' : person.source,
      assignedUserId: reference(person.assignedUserId),
      tags: person.tags?.map((tag) => tag.name ?? tag).filter(Boolean),
      emails: person.emails?.filter(hasValue).map(contact),
      phones: person.phones?.filter(hasValue).map(contact),
      averagePrice: person.price,
      lastActivity: person.lastActivity,
      created: person.created,
      updated: person.updated,
    }),
  },
  users: {
    query: 'includeDeleted=true',
    ids: 'ids',
    deleted: (user) => user.status === 'Deleted',
    mapped: (user) => ({
      firstName: user.firstName,
      lastName: user.lastName,
      email: user.email,
      username: user.email,
      phone: user.phone,
      role: user.role,
      status: user.status,
      timezone: user.timezone,
      created: user.created,
      updated: user.updated,
    }),
  },
};

export const manifest = {
  describe: () => MANIFEST,
};

export const auth = guarded({
  probe() {
    const { account, user } = ask('/identity').json();
    const label = [user.name, account.name && `(${account.name})`].filter(Boolean).join(' ');
    return {
      label: label || `Account ${account.id}`,
      avatar: null,
      externalId: `${account.id}:${user.id}`,
      fields: [],
      extra: null,
    };
  },
});

export const entities = guarded({
  // A pass lists by rising id: an id never changes, so what is edited meanwhile is
  // neither skipped nor moved. It changes after the pass began, though, by the app's
  // own clock, and that is where the next pass looks back to.
  //
  // The cursor: `since` is that moment for the pass under way, `began` for the next
  // one, `id` the last id read.
  changes(entity, scope, cursor, limit) {
    const of = known(entity);
    if (scope.tag === 'parents') throw unsupported(entity, 'listing by parent');
    const { since, began, id = 0, total } = JSON.parse(cursor ?? '{}');
    const size = Math.min(Math.max(limit, 1), LARGEST_PAGE);
    let query = `sort=id&limit=${size}&idGreaterThan=${id}&${of.query}`;
    if (since) query += `&updatedAfter=${encodeURIComponent(since)}`;
    const response = ask(`/${entity}?${query}`);
    const answer = response.json();
    const records = answer[entity];
    const last = records.reduce((last, record) => Math.max(last, record.id), id);
    const done = records.length < size;
    const pass = {
      since,
      began: began ?? appTime(response),
      id: last,
      total: total ?? answer._metadata?.total,
    };
    const next = !done ? pass : scope.tag === 'full' ? null : { since: pass.began };
    return {
      items: records.map((record) => item(of, record)),
      next: next && JSON.stringify(next),
      done,
      total: pass.total ?? null,
      extra: null,
    };
  },

  get(entity, ids) {
    const of = known(entity);
    const items = [];
    for (let at = 0; at < ids.length; at += LARGEST_PAGE) {
      const some = ids.slice(at, at + LARGEST_PAGE);
      const query = `${of.ids}=${some.join(',')}&limit=${LARGEST_PAGE}&${of.query}`;
      items.push(...ask(`/${entity}?${query}`).json()[entity].map((record) => item(of, record)));
    }
    // A list that ignores the filter must not pass for an answer to it.
    return items.filter(({ id }) => ids.includes(id));
  },

  create: (entity) => refuse(entity, 'create'),
  update: (entity) => refuse(entity, 'update'),
  delete: (entity) => refuse(entity, 'delete'),
  perform: (entity, id, operation) => refuse(entity, operation),
});

// What is thrown must be an error of the contract: a mistake in here is `internal`.
function guarded(functions) {
  const guard = (call) => (...inputs) => {
    try {
      return call(...inputs);
    } catch (error) {
      throw error instanceof Error ? { tag: 'internal', val: String(error) } : error;
    }
  };
  return Object.fromEntries(Object.entries(functions).map(([name, call]) => [name, guard(call)]));
}

function item(of, record) {
  return {
    id: String(record.id),
    body: JSON.stringify(of.mapped(record)),
    native: JSON.stringify(record),
    updatedAt: Date.parse(record.updated) || null,
    deleted: of.deleted(record),
    mergedIds: [],
    extra: null,
  };
}

// Zero is the app's word for nobody.
function reference(id) {
  return id ? String(id) : null;
}

function hasValue({ value }) {
  return Boolean(value);
}

function contact({ value, type, status, isPrimary }) {
  return { value, type, status, isPrimary: Boolean(isPrimary) };
}

// When the app answered, with room for what it was slow to show.
function appTime(response) {
  const now = Date.parse(response.headers.get('date'));
  return now ? new Date(now - OVERLAP_MS).toISOString().replace(/\.\d+/, '') : undefined;
}

function known(entity) {
  return Object.hasOwn(ENTITIES, entity) ? ENTITIES[entity] : refuse(entity, 'list');
}

function refuse(entity, verb) {
  throw unsupported(entity, verb);
}

function unsupported(entity, verb) {
  return { tag: 'unsupported', val: `${verb} of ${entity}` };
}

function ask(path) {
  let response;
  try {
    response = fetch(API + path, { headers: { accept: 'application/json' } });
  } catch (error) {
    throw unreachable(error);
  }
  if (response.status === 200) return response;
  throw rejected(response);
}

// No answer. What the host refused it would refuse again.
function unreachable(error) {
  if (!(error instanceof FetchError)) return error;
  if (error.code === 'HTTP-request-denied') return { tag: 'internal', val: error.message };
  return upstream(null, true, error.message);
}

// An answer that is none.
function rejected(response) {
  const { status } = response;
  const message = said(response) ?? `the app answered ${status}`;
  switch (status) {
    case 401:
      return { tag: 'unauthorized', val: message };
    case 403:
      return { tag: 'forbidden', val: message };
    case 404:
      return { tag: 'not-found', val: message };
    case 429: {
      const seconds = Number(response.headers.get('retry-after'));
      return { tag: 'rate-limited', val: { retryAfterMs: seconds ? seconds * 1000 : null, message } };
    }
    default:
      return upstream(status, status === 408 || status >= 500, message);
  }
}

function upstream(status, retryable, message) {
  return { tag: 'upstream', val: { status, retryable, maybeApplied: false, message } };
}

function said(response) {
  try {
    return response.json().errorMessage;
  } catch {
    return undefined;
  }
}
