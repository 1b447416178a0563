#!/bin/sh
# Asks a running sandbox (`spanway sandbox` or `docker-compose up`) whether it does what it shows: both
# services answer through the proxies, and the traces of the two requests are on the collector's page.
#
#   usage: verify.sh [FRONT-PROXY [COLLECTOR]]        as HOST:PORT; default: localhost:10000 localhost:55679
set -eu

front=${1:-localhost:10000}
collector=${2:-localhost:55679}

# fail TEXT: say what is wrong and end.
fail() {
    echo "verify: $1" >&2
    exit 1
}

# greets NUMBER: the service of that number answers through the front proxy.
greets() {
    expected="Hello from behind Envoy (service $1)!"
    answer=$(curl --silent --show-error --max-time 5 "http://$front/trace/$1") || fail "GET /trace/$1 failed"
    [ "$answer" = "$expected" ] || fail "GET /trace/$1 answered '$answer' instead of '$expected'"
    echo "verify: GET /trace/$1 is answered"
}

# shows NAME: the page of traces names it. Proxies send spans in batches, so this may take some seconds.
shows() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        if curl --silent --show-error --max-time 5 "http://$collector/debug/tracez" | grep -w "$1" > /dev/null; then
            echo "verify: the page of traces has $1"
            return
        fi
        sleep 1
    done
    fail "the page of traces on $collector has no $1"
}

greets 1
greets 2
for name in front-envoy envoy-1 envoy-2 routeToEnvoy1 routeToEnvoy2ViaEnvoy1 routeToEnvoy2; do
    shows "$name"
done
echo "verify: all is well"
