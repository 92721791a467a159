"""Connects an account, waits for its first sync, reads all people, makes one and
changes it. Python 3.9 or newer and nothing else; README.md says how to run it."""

import base64
import hashlib
import hmac
import json
import os
import random
import sys
import time
import urllib.error
import urllib.request
import uuid
from http.client import HTTPException
from urllib.parse import urlencode

SETTINGS = ["ROLLOUT_URL", "ROLLOUT_CLIENT_ID", "ROLLOUT_CLIENT_SECRET", "API_KEY"]
URL, CLIENT_ID, CLIENT_SECRET, API_KEY = map(os.environ.get, SETTINGS)
CONSUMER = os.environ.get("CONSUMER", "customer-1")
APP_KEY = os.environ.get("APP_KEY", "follow-up-boss")


# region token
def token(consumer):
    """Says who asks: your product, for one of its users. Made on your server, where
    the secret is, without asking anybody."""

    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    now = int(time.time())
    header = {"alg": "HS512", "typ": "JWT"}
    claims = {"iss": CLIENT_ID, "sub": consumer, "iat": now, "exp": now + 15 * 60}
    signed = b".".join(encode(json.dumps(part).encode()) for part in (header, claims))
    signature = hmac.new(CLIENT_SECRET.encode(), signed, hashlib.sha512).digest()
    return (signed + b"." + encode(signature)).decode()
# endregion


class Failed(Exception):
    """A request that can't be answered as it is, in words for the log."""


def call(method, path, body=None, credential=None, key=None):
    """One request, sent again for up to two minutes when
    - the answer has Retry-After: 429, 503, and 409 while the account's first sync or
      a write with the same key is under way;
    - nobody knows what became of it (`maybe_applied`, a broken connection) and it
      may be done twice, because it is a read or has a key."""
    request = urllib.request.Request(URL + path, method=method)
    request.add_header("Authorization", f"Bearer {token(CONSUMER)}")
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if credential:
        request.add_header("X-Rollout-Credential-Id", credential)
    if key:
        request.add_header("Idempotency-Key", key)
    repeatable = method == "GET" or key
    patience = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                text = response.read()
                return json.loads(text) if text else None
        except urllib.error.HTTPError as answer:
            text = answer.read().decode()
            # With the request's id its operator finds it in the host's log.
            problem = f"{answer.code}, request id {answer.headers['X-Request-Id']}: {text}"
            after = answer.headers["Retry-After"] or ""
            wait = int(after) if after.isdigit() else 0
            if repeatable and '"maybe_applied"' in text:
                wait = 1
        except (OSError, HTTPException) as error:
            problem, wait = error, 1 if repeatable else 0
        if not wait or time.monotonic() > patience:
            raise Failed(f"{method} {path}: {problem}")
        print(f"again in {wait} s: {method} {path}: {problem}", file=sys.stderr)
        # A little more by chance, so that many who wait don't come back at once.
        time.sleep(wait + random.random())


def wait_until_synced(credential):
    """The whole first sync, of all that the account has; people can be read once they
    are there, and answer 409 until then."""
    while True:
        account = call("GET", f"/api/credentials/{credential}")
        sync = account["sync"]
        if sync["status"] == "done":
            return
        if account["status"] == "broken" or sync["status"] == "failed":
            raise Failed(f"the account can't be synced: {json.dumps(account)}")
        people = sync["entities"]["people"]
        print(f"syncing: {people['records']} of {people['total'] or '?'} people")
        time.sleep(2)


def everybody(credential):
    """All people, newest first. `next` leads on until there is no more."""
    after = ""
    while after is not None:
        query = urlencode({"limit": 100, "next": after})
        page = call("GET", f"/crm/api/people?{query}", credential=credential)
        yield from page["people"]
        after = page["_metadata"]["next"]


def main():
    missing = [name for name in SETTINGS if not os.environ.get(name)]
    if missing:
        raise Failed(f"not set: {', '.join(missing)}; README.md says what to set")

    # The same account again keeps its id. What `userInputs` holds depends on the app:
    # GET /api/connectors says so.
    account = {"appKey": APP_KEY, "userInputs": {"apiKey": API_KEY}}
    account = call("POST", "/api/credentials", account)
    credential = account["id"]
    print(f"connected {account['label']}: credential {credential}")
    wait_until_synced(credential)
    print(f"read {sum(1 for _ in everybody(credential))} people")

    # A key belongs to what caused the write: kept with it, it does the write once
    # even if this program ends in the midst of it and starts anew.
    emails = [{"value": "ada@example.com"}]
    ada = {"firstName": "Ada", "lastName": "Lovelace", "emails": emails, "tags": ["Buyer"]}
    ada = call("POST", "/crm/api/people", ada, credential, key=str(uuid.uuid4()))
    print(f"created {ada['name']}: {ada['id']}")

    here = f"/crm/api/people/{ada['id']}"
    tags = {"tags": ["Met in person"]}
    call("PUT", f"{here}?mergeTags=true", tags, credential, key=str(uuid.uuid4()))
    ada = call("GET", here, credential=credential)
    print(f"updated {ada['name']}: {', '.join(ada['tags'])}")


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    try:
        main()
    except Failed as problem:
        sys.exit(str(problem))
