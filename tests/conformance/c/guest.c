// A connector in C, written from the contract (wit/connector) and from
// ../README.md alone: manifest, auth and entities. What is handed to the host is
// freed by the generated code after the call, so all of it is allocated.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connector.h"

#define API "https://api.conformance.example"

typedef connector_string_t string;
typedef connector_list_u8_t bytes;
typedef rollout_connector_types_error_t error;
typedef rollout_connector_types_item_t item;
typedef rollout_connector_http_request_t request;
typedef rollout_connector_http_response_t response;
typedef rollout_connector_http_failure_t failure;
typedef exports_rollout_connector_entities_write_t write;
typedef exports_rollout_connector_entities_written_t written;

// ---- texts ----

// A text that grows. Allocations that fail end the call, as the host expects.
static void *grown(void *at, size_t size) {
  void *there = realloc(at, size ? size : 1);
  if (!there) abort();
  return there;
}

static void add(string *text, const void *more, size_t len) {
  text->ptr = grown(text->ptr, text->len + len);
  if (len) memcpy(text->ptr + text->len, more, len);
  text->len += len;
}

static void add_c(string *text, const char *more) { add(text, more, strlen(more)); }
static void add_s(string *text, const string *more) { add(text, more->ptr, more->len); }

static void add_number(string *text, uint64_t number) {
  char digits[24];
  add(text, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number));
}

// In quotes. Nothing that is tested here needs an escape.
static void add_quoted(string *text, const string *more) {
  add_c(text, "\"");
  add_s(text, more);
  add_c(text, "\"");
}

static string copy_n(const void *from, size_t len) {
  string text = {0};
  add(&text, from, len);
  return text;
}

static string copy(const char *from) { return copy_n(from, strlen(from)); }
static string copy_s(const string *from) { return copy_n(from->ptr, from->len); }

static bool is(const string *text, const char *expected) {
  return text->len == strlen(expected) && memcmp(text->ptr, expected, text->len) == 0;
}

static bool starts(const string *text, const char *with) {
  return text->len >= strlen(with) && memcmp(text->ptr, with, strlen(with)) == 0;
}

// A text of this program for a function that only reads it.
static string lent(const char *text) { return (string){(uint8_t *)text, strlen(text)}; }

// ---- errors ----

enum {
  INVALID_INPUT = ROLLOUT_CONNECTOR_TYPES_ERROR_INVALID_INPUT,
  NOT_FOUND = ROLLOUT_CONNECTOR_TYPES_ERROR_NOT_FOUND,
  CONFLICT = ROLLOUT_CONNECTOR_TYPES_ERROR_CONFLICT,
  RATE_LIMITED = ROLLOUT_CONNECTOR_TYPES_ERROR_RATE_LIMITED,
  UPSTREAM = ROLLOUT_CONNECTOR_TYPES_ERROR_UPSTREAM,
  UNSUPPORTED = ROLLOUT_CONNECTOR_TYPES_ERROR_UNSUPPORTED,
  INTERNAL = ROLLOUT_CONNECTOR_TYPES_ERROR_INTERNAL,
  OTHER = ROLLOUT_CONNECTOR_TYPES_ERROR_OTHER,
};

// The cases that hold a text and nothing else; all are laid out alike.
static bool fail(error *err, uint8_t tag, string message) {
  err->tag = tag;
  err->val.internal = message;
  return false;
}

static bool fail_rate_limited(error *err, connector_option_u64_t wait, const char *message) {
  err->tag = RATE_LIMITED;
  err->val.rate_limited = (rollout_connector_types_rate_limit_t){wait, copy(message)};
  return false;
}

static bool fail_upstream(error *err, uint16_t status, bool retryable, bool maybe_applied,
                          const char *message) {
  err->tag = UPSTREAM;
  err->val.upstream = (rollout_connector_types_upstream_t){
      .status = {status != 0, status},
      .retryable = retryable,
      .maybe_applied = maybe_applied,
      .message = copy(message),
  };
  return false;
}

// The error of this name; answers true if there is none.
static bool named_error(const string *name, error *err) {
  static const char *const texts[] = {
      [ROLLOUT_CONNECTOR_TYPES_ERROR_UNAUTHORIZED] = "unauthorized",
      [ROLLOUT_CONNECTOR_TYPES_ERROR_FORBIDDEN] = "forbidden",
      [NOT_FOUND] = "not-found",
      [CONFLICT] = "conflict",
      [UNSUPPORTED] = "unsupported",
      [ROLLOUT_CONNECTOR_TYPES_ERROR_HALTED] = "halted",
      [INTERNAL] = "internal",
  };
  for (uint8_t tag = 0; tag < sizeof texts / sizeof *texts; tag++)
    if (texts[tag] && is(name, texts[tag])) return fail(err, tag, copy_s(name));
  if (is(name, "rate-limited"))
    return fail_rate_limited(err, (connector_option_u64_t){true, 1500}, "rate-limited");
  if (is(name, "rate-limited-unknown"))
    return fail_rate_limited(err, (connector_option_u64_t){false, 0}, "rate-limited-unknown");
  if (is(name, "upstream")) return fail_upstream(err, 502, true, true, "upstream");
  if (is(name, "upstream-unknown")) return fail_upstream(err, 0, false, false, "upstream-unknown");
  if (is(name, "other")) {
    err->tag = OTHER;
    err->val.other = (connector_tuple2_string_string_t){copy("teapot"), copy("other")};
    return false;
  }
  if (is(name, "invalid-input")) {
    rollout_connector_types_field_issue_t *issues = grown(NULL, 2 * sizeof *issues);
    issues[0] = (rollout_connector_types_field_issue_t){copy("/emails/0/value"), copy("is no address")};
    issues[1] = (rollout_connector_types_field_issue_t){copy(""), copy("is too old")};
    err->tag = INVALID_INPUT;
    err->val.invalid_input = (rollout_connector_types_list_field_issue_t){issues, 2};
    return false;
  }
  return true;
}

// What it means that there is no response. `wrote`: the request changes something.
static bool fail_request(error *err, const failure *why, bool wrote) {
  switch (why->tag) {
    case ROLLOUT_CONNECTOR_HTTP_FAILURE_DENIED:
      return fail(err, INTERNAL, copy_s(&why->val.denied));
    case ROLLOUT_CONNECTOR_HTTP_FAILURE_TIMEOUT:
      return fail_upstream(err, 0, true, wrote, "timeout");
    case ROLLOUT_CONNECTOR_HTTP_FAILURE_CONNECTION:
      fail_upstream(err, 0, true, wrote, "connection: ");
      add_s(&err->val.upstream.message, &why->val.connection);
      return false;
    case ROLLOUT_CONNECTOR_HTTP_FAILURE_TOO_LARGE:
      fail_upstream(err, 0, false, wrote, "larger than ");
      add_number(&err->val.upstream.message, why->val.too_large);
      return false;
    default:
      return fail_rate_limited(err, why->val.budget, "budget");
  }
}

// What it means that a slot has no code.
static bool fail_slot(error *err, const rollout_connector_types_slot_error_t *why) {
  static const char *const reasons[] = {"unknown: ", "not signing: ", "empty: "};
  string message = copy(reasons[why->tag]);
  add_s(&message, &why->val.unknown);
  return fail(err, INTERNAL, message);
}

// What it means that a value was not stored.
static bool fail_state(error *err, const rollout_connector_state_state_error_t *why) {
  switch (why->tag) {
    case ROLLOUT_CONNECTOR_STATE_STATE_ERROR_CHANGED: {
      string message = copy("changed: ");
      add_number(&message, why->val.changed);
      return fail(err, CONFLICT, message);
    }
    case ROLLOUT_CONNECTOR_STATE_STATE_ERROR_TOO_LARGE:
      return fail(err, INTERNAL, copy_s(&why->val.too_large));
    default:
      fail_upstream(err, 0, true, false, "state: ");
      add_s(&err->val.upstream.message, &why->val.unavailable);
      return false;
  }
}

// ---- manifest and auth ----

void exports_rollout_connector_manifest_describe(string *ret) {
  static const unsigned char manifest[] = {
#embed "manifest.json"
  };
  *ret = copy_n(manifest, sizeof manifest);
}

static string or_none(bool there, const string *field) {
  return there ? copy_s(field) : copy("none");
}

bool exports_rollout_connector_auth_probe(exports_rollout_connector_auth_account_t *ret, error *err) {
  request me = {.method = lent("GET"), .url = lent(API "/me"), .authenticate = true};
  response answer;
  failure why;
  if (!rollout_connector_http_send(&me, &answer, &why)) return fail_request(err, &why, false);
  if (answer.status == 401)
    return fail(err, ROLLOUT_CONNECTOR_TYPES_ERROR_UNAUTHORIZED, copy_n(answer.body.ptr, answer.body.len));
  if (answer.status / 100 != 2) return fail_upstream(err, answer.status, false, false, "me");

  string name = lent("account"), field;
  bool there = rollout_connector_credential_field(&name, &field);
  ret->external_id = or_none(there, &field);
  name = lent("region");
  there = rollout_connector_app_field(&name, &field);
  connector_tuple2_string_string_t *fields = grown(NULL, sizeof *fields);
  *fields = (connector_tuple2_string_string_t){copy("region"), or_none(there, &field)};
  ret->fields = (connector_list_tuple2_string_string_t){fields, 1};
  ret->label = copy_n(answer.body.ptr, answer.body.len);
  ret->avatar = (connector_option_string_t){true, copy(API "/me.svg")};
  ret->extra.is_some = false;
  return true;
}

// ---- every function of the host ----

static bool exercise_send(const string *id, const string *body, string *out, error *err) {
  rollout_connector_http_header_t headers[] = {
      {lent("content-type"), lent("application/json")},
      {lent("x-id"), *id},
  };
  rollout_connector_http_placement_t secrets[] = {
      {lent("s1"), lent("Bearer "), {ROLLOUT_CONNECTOR_HTTP_PLACE_HEADER, {.header = lent("x-token")}}},
      {lent("s2"), lent(""), {ROLLOUT_CONNECTOR_HTTP_PLACE_QUERY, {.query = lent("key")}}},
      {lent("s3"), lent(""), {ROLLOUT_CONNECTOR_HTTP_PLACE_FORM_FIELD, {.form_field = lent("field")}}},
      {lent("s4"), lent(""), {ROLLOUT_CONNECTOR_HTTP_PLACE_JSON_POINTER, {.json_pointer = lent("/a/b")}}},
      {lent("s5"), lent(""), {.tag = ROLLOUT_CONNECTOR_HTTP_PLACE_BASIC_USER}},
      {lent("s6"), lent(""), {.tag = ROLLOUT_CONNECTOR_HTTP_PLACE_BASIC_PASSWORD}},
  };
  rollout_connector_http_capture_t capture[] = {
      {lent("c1"), {ROLLOUT_CONNECTOR_HTTP_SOURCE_JSON_POINTER, {.json_pointer = lent("/token")}}},
      {lent("c2"), {ROLLOUT_CONNECTOR_HTTP_SOURCE_HEADER, {.header = lent("x-token")}}},
      {lent("c3"), {ROLLOUT_CONNECTOR_HTTP_SOURCE_COOKIE, {.cookie = lent("session")}}},
  };
  request asked = {
      .method = lent("POST"),
      .url = lent(API "/send"),
      .headers = {headers, 2},
      .body = {true, {body->ptr, body->len}},
      .secrets = {secrets, 6},
      .capture = {capture, 3},
      .timeout_ms = {true, 1234},
      .max_bytes = {true, 5678},
  };
  response answer;
  failure why;
  if (!rollout_connector_http_send(&asked, &answer, &why)) return fail_request(err, &why, true);
  add_c(out, "{\"status\":");
  add_number(out, answer.status);
  add_c(out, ",\"headers\":[");
  for (size_t at = 0; at < answer.headers.len; at++) {
    add_c(out, at ? ",[" : "[");
    add_quoted(out, &answer.headers.ptr[at].name);
    add_c(out, ",");
    add_quoted(out, &answer.headers.ptr[at].value);
    add_c(out, "]");
  }
  add_c(out, "],\"body\":");
  add(out, answer.body.ptr, answer.body.len);
  add_c(out, "}");
  return true;
}

static bool exercise_send_all(string *out) {
  request asked[] = {
      {.method = lent("GET"), .url = lent(API "/1")},
      {.method = lent("GET"), .url = lent(API "/2")},
      {.method = lent("GET"), .url = lent(API "/3")},
  };
  rollout_connector_http_list_request_t requests = {asked, 3};
  rollout_connector_http_list_result_response_failure_t answers;
  rollout_connector_http_send_all(&requests, &answers);
  for (size_t at = 0; at < answers.len; at++) {
    add_c(out, at ? "," : "[");
    add_number(out, answers.ptr[at].is_err ? 0 : answers.ptr[at].val.ok.status);
  }
  add_c(out, "]");
  return true;
}

static bool exercise_fields(const string *id, string *out) {
  string name = *id, field;
  add_c(out, "{\"credential\":");
  if (rollout_connector_credential_field(&name, &field)) add_quoted(out, &field);
  else add_c(out, "null");
  add_c(out, ",\"app\":");
  if (rollout_connector_app_field(&name, &field)) add_quoted(out, &field);
  else add_c(out, "null");
  add_c(out, "}");
  return true;
}

static bool exercise_mac(const string *slot, const string *body, string *out, error *err) {
  string name = *slot;
  bytes data = {body->ptr, body->len}, code;
  rollout_connector_types_slot_error_t why;
  for (int at = 0; at < 8; at++) {
    bool made = at < 4 ? rollout_connector_credential_mac(&name, (uint8_t)(at % 4), &data, &code, &why)
                       : rollout_connector_app_mac(&name, (uint8_t)(at % 4), &data, &code, &why);
    if (!made) return fail_slot(err, &why);
    add_c(out, at ? ",\"" : "[\"");
    for (size_t byte = 0; byte < code.len; byte++) {
      char hex[3];
      snprintf(hex, sizeof hex, "%02x", code.ptr[byte]);
      add_c(out, hex);
    }
    add_c(out, "\"");
  }
  add_c(out, "]");
  return true;
}

static bool exercise_verify(const string *slot, const string *body, string *out, error *err) {
  string name = *slot;
  bytes data = {body->ptr, body->len};
  rollout_connector_types_slot_error_t why;
  for (int at = 0; at < 4; at++) {
    string offered = lent(at % 2 ? "bad" : "good");
    bytes code = {offered.ptr, offered.len};
    uint8_t algorithm = ROLLOUT_CONNECTOR_TYPES_MAC_ALGORITHM_HMAC_SHA256;
    bool good;
    bool done = at < 2 ? rollout_connector_credential_verify_mac(&name, algorithm, &data, &code, &good, &why)
                       : rollout_connector_app_verify_mac(&name, algorithm, &data, &code, &good, &why);
    if (!done) return fail_slot(err, &why);
    add_c(out, at ? "," : "[");
    add_c(out, good ? "true" : "false");
  }
  add_c(out, "]");
  return true;
}

static bool exercise_state(const string *id, const string *body, string *out, error *err) {
  string key = *id, value = *body;
  uint64_t absent = 0, version, other;
  rollout_connector_state_option_entry_t found, left;
  rollout_connector_state_state_error_t why;
  if (!rollout_connector_state_set(&key, &value, &absent, &version, &why) ||
      !rollout_connector_state_get(&key, &found, &why))
    return fail_state(err, &why);
  rollout_connector_state_state_error_t lost = {.tag = UINT8_MAX};
  rollout_connector_state_set(&key, &value, &absent, &other, &lost);
  if (!rollout_connector_state_delete(&key, &version, &why) ||
      !rollout_connector_state_get(&key, &left, &why))
    return fail_state(err, &why);

  add_c(out, "{\"version\":");
  add_number(out, version);
  add_c(out, ",\"found\":");
  if (found.is_some) {
    add_c(out, "[");
    add_s(out, &found.val.value);
    add_c(out, ",");
    add_number(out, found.val.version);
    add_c(out, "]");
  } else {
    add_c(out, "null");
  }
  add_c(out, ",\"lost\":");
  if (lost.tag == ROLLOUT_CONNECTOR_STATE_STATE_ERROR_CHANGED) add_number(out, lost.val.changed);
  else add_c(out, "null");
  add_c(out, left.is_some ? ",\"left\":true}" : ",\"left\":false}");
  return true;
}

static bool exercise(const string *operation, const string *id, const string *body, string *out, error *err) {
  if (is(operation, "send")) return exercise_send(id, body, out, err);
  if (is(operation, "send-all")) return exercise_send_all(out);
  if (is(operation, "fields")) return exercise_fields(id, out);
  if (is(operation, "mac")) return exercise_mac(id, body, out, err);
  if (is(operation, "verify-mac")) return exercise_verify(id, body, out, err);
  if (is(operation, "state")) return exercise_state(id, body, out, err);
  if (is(operation, "log")) {
    string line = *id;
    for (uint8_t level = 0; level <= ROLLOUT_CONNECTOR_LOG_LEVEL_ERROR; level++)
      rollout_connector_log_write(level, &line);
    add_c(out, "{}");
    return true;
  }
  return fail(err, UNSUPPORTED, copy_s(operation));
}

// ---- entities ----

static item plain(const string *id, string body) {
  return (item){.id = copy_s(id), .body = body};
}

static bool written_item(written *ret, item record) {
  ret->tag = EXPORTS_ROLLOUT_CONNECTOR_ENTITIES_WRITTEN_ITEM;
  ret->val.item = record;
  return true;
}

bool exports_rollout_connector_entities_changes(string *entity, exports_rollout_connector_entities_scope_t *scope,
                                                string *maybe_cursor, uint32_t limit,
                                                exports_rollout_connector_entities_page_t *ret, error *err) {
  (void)err;
  *ret = (exports_rollout_connector_entities_page_t){.done = true};
  if (is(entity, "notes")) return true;
  static const char *const scopes[] = {"incremental", "full", "parents"};
  string body = copy("{\"scope\":\"");
  add_c(&body, scopes[scope->tag]);
  add_c(&body, "\",\"parents\":[");
  if (scope->tag == EXPORTS_ROLLOUT_CONNECTOR_ENTITIES_SCOPE_PARENTS) {
    for (size_t at = 0; at < scope->val.parents.len; at++) {
      if (at) add_c(&body, ",");
      add_quoted(&body, &scope->val.parents.ptr[at]);
    }
  }
  add_c(&body, "],\"limit\":");
  add_number(&body, limit);
  add_c(&body, "}");
  item *items = grown(NULL, sizeof *items);
  *items = plain(entity, body);
  ret->items = (exports_rollout_connector_entities_list_item_t){items, 1};
  ret->next.is_some = true;
  ret->next.val = maybe_cursor ? copy_s(maybe_cursor) : copy("1");
  ret->done = maybe_cursor != NULL;
  ret->total = (connector_option_u64_t){true, limit};
  return true;
}

bool exports_rollout_connector_entities_get(string *entity, connector_list_string_t *ids,
                                            exports_rollout_connector_entities_list_item_t *ret, error *err) {
  (void)entity;
  item *items = grown(NULL, ids->len * sizeof *items);
  size_t count = 0;
  for (size_t at = 0; at < ids->len; at++) {
    string *id = &ids->ptr[at];
    if (starts(id, "error-")) {
      string name = {id->ptr + 6, id->len - 6};
      if (!named_error(&name, err)) return false;
    } else if (is(id, "whole")) {
      item whole = plain(id, copy("{\"name\":\"Zoë 😀\"}"));
      whole.native.is_some = true;
      whole.native.val = copy("{\"n\":1}");
      whole.updated_at.is_some = true;
      whole.updated_at.val = 1751469561000;
      string *merged = grown(NULL, 2 * sizeof *merged);
      merged[0] = copy("a");
      merged[1] = copy("b");
      whole.merged_ids = (connector_list_string_t){merged, 2};
      items[count++] = whole;
    } else if (is(id, "bare")) {
      items[count++] = plain(id, copy("{}"));
    } else if (is(id, "gone")) {
      items[count] = plain(id, copy("{}"));
      items[count++].deleted = true;
    }
  }
  *ret = (exports_rollout_connector_entities_list_item_t){items, count};
  return true;
}

bool exports_rollout_connector_entities_create(string *entity, write *write, written *ret, error *err) {
  (void)err;
  if (is(entity, "notes")) {
    ret->tag = EXPORTS_ROLLOUT_CONNECTOR_ENTITIES_WRITTEN_ID;
    ret->val.id = copy_s(&write->idempotency_key);
    return true;
  }
  if (!is(entity, "people")) {
    ret->tag = EXPORTS_ROLLOUT_CONNECTOR_ENTITIES_WRITTEN_ACCEPTED;
    return true;
  }
  string id = lent("new"), how = copy("{\"merge\":[");
  for (size_t at = 0; at < write->merge.len; at++) {
    if (at) add_c(&how, ",");
    add_quoted(&how, &write->merge.ptr[at]);
  }
  add_c(&how, "],\"idempotencyKey\":");
  add_quoted(&how, &write->idempotency_key);
  add_c(&how, "}");
  item made = plain(&id, copy_s(&write->body));
  made.native.is_some = true;
  made.native.val = how;
  return written_item(ret, made);
}

bool exports_rollout_connector_entities_update(string *entity, string *id, write *write, written *ret, error *err) {
  (void)entity;
  (void)err;
  return written_item(ret, plain(id, copy_s(&write->body)));
}

bool exports_rollout_connector_entities_delete(string *entity, string *id, string *key, error *err) {
  if (is(id, "missing")) return fail(err, NOT_FOUND, copy_s(id));
  string line = copy("deleted ");
  add_s(&line, entity);
  add_c(&line, "/");
  add_s(&line, id);
  add_c(&line, " ");
  add_s(&line, key);
  rollout_connector_log_write(ROLLOUT_CONNECTOR_LOG_LEVEL_INFO, &line);
  return true;
}

bool exports_rollout_connector_entities_perform(string *entity, string *id, string *operation, write *write,
                                                written *ret, error *err) {
  (void)entity;
  string answer = {0};
  if (!exercise(operation, id, &write->body, &answer, err)) return false;
  return written_item(ret, plain(id, answer));
}
