#!/bin/sh
# Runs http-tests/cache-tests against a gateway, and against nginx beside it: run.sh SUITE TOLLGATE [--list]
# SUITE is a checkout of github.com/http-tests/cache-tests in which `npm i` has been run.
set -eu
suite=$(realpath "$1") tollgate=$(realpath "$2") list=${3:-}
here=$(dirname "$(realpath "$0")")
dir=$(mktemp -d)
pids=
stop() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap stop EXIT INT TERM
cd "$suite"
npm_config_protocol=http npm_config_port=18000 npm_config_pidfile="$dir/server.pid" \
    node test-engine/server/server.mjs >"$dir/server.log" 2>&1 &
pids="$pids $!"
"$tollgate" run -c "$here/tollgate.yaml" >"$dir/tollgate.log" 2>&1 &
pids="$pids $!"
sed "s|@DIR@|$dir|" "$here/nginx.conf" >"$dir/nginx.conf"
nginx -c "$dir/nginx.conf" 2>/dev/null &
pids="$pids $!"
for port in 18000 18002 18004; do
    until node -e "require('net').connect($port,'127.0.0.1').on('connect',()=>process.exit(0)).on('error',()=>process.exit(1))"; do :; done
done
for one in tollgate:18002 nginx:18004; do
    npm_config_base="http://127.0.0.1:${one#*:}" npm_config_id='' npm_package_config_id='' \
        node --no-warnings test-engine/cli.mjs >"$dir/${one%:*}.json" 2>"$dir/${one%:*}.err"
    echo "== ${one%:*}"
    node "$here/score.mjs" "$suite" "$dir/${one%:*}.json" $list
    list=
done
