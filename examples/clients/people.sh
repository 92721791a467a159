#!/usr/bin/env bash
# Connects an account, waits for its first sync, reads all people, makes one and
# changes it. bash, curl, openssl and jq: bash can't read JSON. README.md says how to
# run it.
set -euo pipefail

for tool in curl openssl jq; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
for name in ROLLOUT_URL ROLLOUT_CLIENT_ID ROLLOUT_CLIENT_SECRET API_KEY; do
  [ -n "${!name:-}" ] || { echo "not set: $name; README.md says what to set" >&2; exit 1; }
done
CONSUMER=${CONSUMER:-customer-1}
APP_KEY=${APP_KEY:-follow-up-boss}
credential=
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# region token
base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# token CONSUMER: says who asks, your product, for one of its users. While openssl runs,
# others on this machine can see the secret in the list of processes: on a machine that
# is not yours alone, take another language.
token() {
  local signed
  signed=$(printf '{"alg":"HS512","typ":"JWT"}' | base64url).$(jq -cnj --arg sub "$1" \
    '(now | floor) as $now | {iss: env.ROLLOUT_CLIENT_ID, $sub, iat: $now, exp: ($now + 900)}' | base64url)
  printf '%s.' "$signed"
  printf '%s' "$signed" | openssl dgst -sha512 -hmac "$ROLLOUT_CLIENT_SECRET" -binary | base64url
}
# endregion

# header NAME: of the last answer.
header() { tr -d '\r' <"$scratch/head" | awk -F': ' -v name="$1" 'tolower($1) == name { print $2 }'; }

# call METHOD PATH [BODY [KEY]]: one request, sent again for up to two minutes when
# - the answer has Retry-After: 429, 503, and 409 while the account's first sync or a
#   write with the same key is under way;
# - nobody knows what became of it (`maybe_applied`, a broken connection) and it may be
#   done twice, because it is a read or has a key.
call() {
  local method=$1 path=$2 body=${3:-} key=${4:-} patience=$((SECONDS + 120)) status wait problem
  local arguments=(-sS --max-time 60 -X "$method" -D "$scratch/head" -o "$scratch/body")
  [ -z "$body" ] || arguments+=(-H 'Content-Type: application/json' --data-binary @-)
  [ -z "$credential" ] || arguments+=(-H "X-Rollout-Credential-Id: $credential")
  [ -z "$key" ] || arguments+=(-H "Idempotency-Key: $key")
  while :; do
    wait=
    # The token comes by a file, so that the list of processes does not show it.
    if status=$(curl "${arguments[@]}" -H @<(echo "Authorization: Bearer $(token "$CONSUMER")") \
      -w '%{http_code}' "$ROLLOUT_URL$path" 2>"$scratch/error" <<<"$body"); then
      if [[ $status == 2* ]]; then
        cat "$scratch/body"
        return
      fi
      # With the request's id its operator finds it in the host's log.
      problem="$status, request id $(header x-request-id): $(cat "$scratch/body")"
      wait=$(header retry-after)
    else
      problem=$(cat "$scratch/error")
      status=broken
    fi
    if [[ $method == GET || -n $key ]] && [[ $status == broken || $problem == *'"maybe_applied"'* ]]; then
      wait=${wait:-1}
    fi
    if [[ ! $wait =~ ^[0-9]+$ ]] || ((SECONDS > patience)); then
      echo "$method $path: $problem" >&2
      return 1
    fi
    echo "again in $wait s: $method $path: $problem" >&2
    # A little more by chance, so that many who wait don't come back at once.
    sleep "$wait.$RANDOM"
  done
}

# The same account again keeps its id. What `userInputs` holds depends on the app:
# GET /api/connectors says so.
account=$(jq -n --arg appKey "$APP_KEY" '{$appKey, userInputs: {apiKey: env.API_KEY}}')
account=$(call POST /api/credentials "$account")
credential=$(jq -r .id <<<"$account")
echo "connected $(jq -r .label <<<"$account"): credential $credential"

# The whole first sync, of all that the account has; people can be read once they are
# there, and answer 409 until then.
while :; do
  account=$(call GET "/api/credentials/$credential")
  [ "$(jq -r .sync.status <<<"$account")" != done ] || break
  if jq -e '.status == "broken" or .sync.status == "failed"' <<<"$account" >/dev/null; then
    echo "the account can't be synced: $account" >&2
    exit 1
  fi
  jq -r '.sync.entities.people | "syncing: \(.records) of \(.total // "?") people"' <<<"$account"
  sleep 2
done

# All people, newest first. `next` leads on until there is no more.
count=0 next=
while :; do
  page=$(call GET "/crm/api/people?limit=100&next=$next")
  count=$((count + $(jq '.people | length' <<<"$page")))
  next=$(jq -r '._metadata.next // "" | @uri' <<<"$page")
  [ -n "$next" ] || break
done
echo "read $count people"

# A key belongs to what caused the write: kept with it, it does the write once even if
# this program ends in the midst of it and starts anew.
ada='{"firstName": "Ada", "lastName": "Lovelace", "tags": ["Buyer"],
  "emails": [{"value": "ada@example.com"}]}'
ada=$(call POST /crm/api/people "$ada" "$(openssl rand -hex 16)")
id=$(jq -r .id <<<"$ada")
echo "created $(jq -r .name <<<"$ada"): $id"

tags='{"tags": ["Met in person"]}'
call PUT "/crm/api/people/$id?mergeTags=true" "$tags" "$(openssl rand -hex 16)" >/dev/null
ada=$(call GET "/crm/api/people/$id")
echo "updated $(jq -r '"\(.name): \(.tags | join(", "))"' <<<"$ada")"
