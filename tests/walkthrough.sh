#!/usr/bin/env bash
# The walk-through of the Arthas HTTP API with curl, sed and json_pp, its command blocks as they
# are printed in the documentation (but for the port, which is any free one, and the statement,
# which is the shell's), and what each must answer. Needs: curl, json_pp (perl), a built binary.
#
#     tests/walkthrough.sh [BINARY]
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/release/rejoin}
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT

"$binary" serve --listen 127.0.0.1:0 --data "$work/data" >"$work/out" &
server=$!
for _ in $(seq 1 100); do [ -s "$work/out" ] && break; sleep 0.1; done
port=$(sed -n 's/.*http:\/\/127.0.0.1:\([0-9]*\),.*/\1/p' "$work/out")
passed=0

# Each command is read from here as printed; localhost:8563 becomes the server's address.
run() { eval "${1//localhost:8563/127.0.0.1:$port}"; }
expect() { # what, answer, pattern…
    local what=$1 answer=$2; shift 2
    for pattern in "$@"; do
        if ! grep -qE -- "$pattern" <<<"$answer"; then
            printf 'FAILED: %s: no %s in:\n%s\n' "$what" "$pattern" "$answer" >&2
            exit 1
        fi
    done
    passed=$((passed + 1))
}

run 'session_data=$(curl -Ss -XPOST http://localhost:8563/api -d '"'"'{ "action":"init_session" }'"'"')'
expect "create" "$(echo $session_data | json_pp)" '"consumerId" : "[0-9a-f]{32}_1"' \
    '"sessionId" : "[0-9a-f-]{36}"' '"state" : "SUCCEEDED"'
session_id=$(echo $session_data | sed 's/.*"sessionId":"\([^"]*\)".*/\1/g')
consumer_id=$(echo $session_data | sed 's/.*"consumerId":"\([^"]*\)".*/\1/g')
expect "the session's identity" "$session_id" '^[0-9a-f-]{36}$'
expect "the consumer's identity" "$consumer_id" '^[0-9a-f]{32}_1$'

run 'session_data=$(curl -Ss -XPOST http://localhost:8563/api -d '"'"'{ "action":"join_session", "sessionId" : "'"'"'"$session_id"'"'"'" }'"'"')'
expect "join" "$(echo $session_data | json_pp)" '"consumerId" : "[0-9a-f]{32}_2"' '"state" : "SUCCEEDED"'
consumer_id=$(echo $session_data | sed 's/.*"consumerId":"\([^"]*\)".*/\1/g')

pull='curl -Ss -XPOST http://localhost:8563/api -d '"'"'{ "action":"pull_results", "sessionId" : "'"'"'"$session_id"'"'"'", "consumerId" : "'"'"'"$consumer_id"'"'"'" }'"'"' | json_pp'
expect "pull" "$(run "$pull")" '"inputStatus" : "DISABLED"' '"message" : "Welcome to arthas!"' \
    '"type" : "welcome"' '"pid" : "[0-9]+"' '"inputStatus" : "ALLOW_INPUT"'

run 'answer=$(curl -Ss -XPOST http://localhost:8563/api -d '"''"'{ "action":"async_exec", "command":"printf \"{params, returnObj, throwExp}\"; sleep 100", "sessionId" : "'"'"'"$session_id"'"'"'" }'"''"' | json_pp)'
expect "execute" "$answer" '"state" : "SCHEDULED"' '"jobStatus" : "READY"' '"jobId" : 1' \
    '"command" : "printf \\"\{params, returnObj, throwExp\}\\"; sleep 100"'
answer=$(run "$pull")
while ! grep -q '"type" : "shell"' <<<"$answer"; do answer+=$(run "$pull"); done
expect "results" "$answer" '"type" : "command"' '"inputStatus" : "ALLOW_INTERRUPT"' \
    '"content" : "\{params, returnObj, throwExp\}"'

run 'answer=$(curl -Ss -XPOST http://localhost:8563/api -d '"''"' { "action":"interrupt_job", "sessionId" : "'"'"'"$session_id"'"'"'" } '"''"' | json_pp)'
expect "interrupt" "$answer" '"state" : "SUCCEEDED"' '"jobStatus" : "TERMINATED"' '"jobId" : 1'
expect "status" "$(run "$pull")" '"statusCode" : 0' '"type" : "status"'

run 'answer=$(curl -Ss -XPOST http://localhost:8563/api -d '"''"'{ "action":"close_session", "sessionId" : "'"'"'"$session_id"'"'"'" }'"''"')'
expect "close" "$answer" '^\{"state":"SUCCEEDED"\}$'

kill -TERM "$server"
wait "$server"
printf 'walk-through: %s passed, 0 failed\n' "$passed"
