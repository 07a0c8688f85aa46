#!/usr/bin/env bash
# The walk-through of the Arthas HTTP API with curl, sed and json_pp, its command blocks as they
# are printed in the documentation (but for the port, which is any free one), and what each must
# answer. The statement's `watch` is a program that says something and then runs on; with the address
# of a real Arthas, attached to its own math-game, it is that of Arthas.
# Needs curl, json_pp (perl) and a built binary.
#
#     tests/walkthrough.sh [BINARY [ARTHAS]]
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${1:-target/release/rejoin}
arthas=${2:-}
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; wait "$server" || true; rm -rf "$work"' EXIT

mkdir "$work/bin"
printf '#!/bin/sh\nprintf "watching %%s\\n" "$*"\nexec sleep 100\n' >"$work/bin/watch"
chmod +x "$work/bin/watch"

if [ -n "$arthas" ]; then
    printf '[services.orders]\nkind = "arthas"\nurl = "%s"\n' "$arthas" >"$work/rejoin.toml"
    export REJOIN_CONFIG=$work/rejoin.toml
fi
PATH="$work/bin:$PATH" "$binary" serve --listen 127.0.0.1:0 --data "$work/data" --log-level warn >"$work/out" &
server=$!
for _ in $(seq 1 100); do [ -s "$work/out" ] && break; sleep 0.1; done
port=$(sed -n 's/.*http:\/\/127.0.0.1:\([0-9]*\),.*/\1/p' "$work/out")
passed=0

# Runs a command block as printed, from standard input; localhost:8563 is where the server is.
run() {
    local printed
    printed=$(cat)
    eval "${printed//localhost:8563/127.0.0.1:$port}"
}

# Says that the answer (in $answer) holds each of the patterns, or ends here.
expect() {
    local what=$1
    shift
    for pattern in "$@"; do
        if ! grep -qE -- "$pattern" <<<"$answer"; then
            printf 'FAILED: %s: no %s in:\n%s\n' "$what" "$pattern" "$answer" >&2
            exit 1
        fi
    done
    passed=$((passed + 1))
}

# The printed loop that pulls, without its `sleep`: once.
pull() {
    run <<'PRINTED'
curl -Ss -XPOST http://localhost:8563/api -d '{ "action":"pull_results", "sessionId" : "'"$session_id"'", "consumerId" : "'"$consumer_id"'" }' | json_pp
PRINTED
}

answer=$(run <<'PRINTED'
session_data=$(curl -Ss -XPOST http://localhost:8563/api -d '{ "action":"init_session" }'); echo $session_data | json_pp
session_id=$(echo $session_data | sed 's/.*"sessionId":"\([^"]*\)".*/\1/g'); echo $session_id
consumer_id=$(echo $session_data | sed 's/.*"consumerId":"\([^"]*\)".*/\1/g'); echo $consumer_id
PRINTED
)
expect "create" '"consumerId" : "[0-9a-f]{32}_1"' '"sessionId" : "[0-9a-f-]{36}"' \
    '"state" : "SUCCEEDED"' '^[0-9a-f-]{36}$' '^[0-9a-f]{32}_1$'
session_id=$(grep -E '^[0-9a-f-]{36}$' <<<"$answer")

answer=$(run <<'PRINTED'
session_data=$(curl -Ss -XPOST http://localhost:8563/api -d '{ "action":"join_session", "sessionId" : "'"$session_id"'" }'); echo $session_data | json_pp
consumer_id=$(echo $session_data | sed 's/.*"consumerId":"\([^"]*\)".*/\1/g'); echo $consumer_id
PRINTED
)
expect "join" '"consumerId" : "[0-9a-f]{32}_2"' '"state" : "SUCCEEDED"' '^[0-9a-f]{32}_2$'
consumer_id=$(grep -E '^[0-9a-f]{32}_2$' <<<"$answer")

answer=$(pull)
expect "pull" '"inputStatus" : "DISABLED"' '"message" : "Welcome to arthas!"' \
    '"type" : "welcome"' '"pid" : "[0-9]+"' '"inputStatus" : "ALLOW_INPUT"'

# Pulls until there is such a line.
pull_until() {
    answer=
    for _ in $(seq 1 30); do
        answer+=$(pull)
        if grep -qE -- "$1" <<<"$answer"; then return; fi
    done
}

answer=$(run <<'PRINTED'
curl -Ss -XPOST http://localhost:8563/api -d '''{ "action":"async_exec", "command":"watch demo.MathGame primeFactors \"{params, returnObj, throwExp}\" ", "sessionId" : "'"$session_id"'" }''' | json_pp
PRINTED
)
expect "execute" '"state" : "SCHEDULED"' '"jobStatus" : "READY"' '"jobId" : 1' \
    '"command" : "watch demo.MathGame primeFactors \\"\{params, returnObj, throwExp\}\\" "'

if [ -n "$arthas" ]; then
    pull_until '"type" : "watch"'
    expect "its results" '"type" : "command"' '"state" : "SCHEDULED"' \
        '"inputStatus" : "ALLOW_INTERRUPT"' '"type" : "enhancer"' '"methodCount" : 1' \
        '"accessPoint" : "AtEx' '"methodName" : "primeFactors"' '"value" : "@ArrayList\['
else
    pull_until '"type" : "shell"'
    expect "its results" '"type" : "command"' '"state" : "SCHEDULED"' \
        '"inputStatus" : "ALLOW_INTERRUPT"' \
        '"content" : "watching demo.MathGame primeFactors \{params, returnObj, throwExp\}\\n"'
fi

answer=$(run <<'PRINTED'
curl -Ss -XPOST http://localhost:8563/api -d ''' { "action":"interrupt_job", "sessionId" : "'"$session_id"'" } ''' | json_pp
PRINTED
)
expect "interrupt" '"state" : "SUCCEEDED"' '"jobStatus" : "TERMINATED"' '"jobId" : 1'

pull_until '"type" : "status"'
expect "status" '"statusCode" : 0' '"type" : "status"'

answer=$(run <<'PRINTED'
curl -Ss -XPOST http://localhost:8563/api -d '''{ "action":"close_session", "sessionId" : "'"$session_id"'" }'''
PRINTED
)
expect "close" '^\{"state":"SUCCEEDED"\}$'

kill -TERM "$server"
wait "$server"
printf 'walk-through: %s passed, 0 failed\n' "$passed"
