# shellcheck shell=bash
# Beside api and stack, for the tests of faults: plays with the FastCGI client, load in the
# background, and whatever stops, freezes and kills parts of the stack. Each test puts back what
# it took away: its teardown calls mend.

# These tests stop servers: never those of an instance that nobody named.
: "${USHER_VAR:?set by: eval \"\$(scripts/dev env)\"}" "${USHER_RUN:?}" "${USHER_PORT:?}"

export PYTHONPATH=$BATS_TEST_DIRNAME/lib PYTHONDONTWRITEBYTECODE=1
FROZEN=()
CHILDREN=()

# play [ARG...] <<PYTHON: a play with lib/fcgi.py, of at most two minutes.
# shellcheck disable=SC2119,SC2120
play() {
	timeout 120 python3 -c $'import sys\nfrom fcgi import *\nexec(compile(sys.stdin.read(), "play", "exec"))' "$@"
}

# sanitized: do the programs under test carry the address sanitizer? Then they may be slow and large.
sanitized() { grep -q libasan < <(ldd "$USHER_BIN/usher-api"); }
if sanitized; then export USHER_SANITIZED=1; fi

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

#
# Taking away and putting back
#

# dev WORDS...: the stack's controls; what they start must not hold bats' descriptors.
dev() {
	"$USHER_DEV" "$@" >"$BATS_TEST_TMPDIR/dev.log" 2>&1 3>&- || fail "$(tail -n 20 "$BATS_TEST_TMPDIR/dev.log")"
}

# workers POOL: process ids, in order.
workers() { "$USHER_DEV" pids "$1" | sort -n; }
pool_is_whole() { (($(workers "$1" | wc -l) == $2)); }

# freeze PID: it hangs from now on, until thaw or mend.
freeze() {
	FROZEN+=("$1")
	kill -STOP "$1"
	wait_for 5 is_frozen "$1"
}
is_frozen() { [[ $(ps -o stat= -p "$1") == T* ]]; }
thaw() { kill -CONT "$1"; }
thaw_all() {
	local pid
	for pid in "${FROZEN[@]}"; do kill -CONT "$pid" 2>/dev/null || true; done
	FROZEN=()
}

# hold_row ID, let_row_go: a transaction of ours that has locked the user.
hold_row() {
	coproc HOLDER { exec psql -XqAt "$DATABASE_URL" 3>&- 2>&1; }
	printf 'BEGIN;\nSELECT id FROM users WHERE id = %s FOR UPDATE;\n' "$1" >&"${HOLDER[1]}"
	read -rt 5 _ <&"${HOLDER[0]}"
}
# shellcheck disable=SC2153 # coproc sets HOLDER_PID
let_row_go() {
	printf 'ROLLBACK;\n\\q\n' >&"${HOLDER[1]}"
	wait "$HOLDER_PID" || true
}

# rows_are_awaited N: do so many statements of workers wait for what somebody has locked? (The daemon's may
# wait for the same.)
rows_are_awaited() {
	(($(admin_sql "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'usher-api' AND wait_event_type = 'Lock'") >= $1))
}

# mend: the stack whole again, nothing of ours left in the background.
mend() {
	local pid
	rm -f "$BATS_TEST_TMPDIR"/*.on
	thaw_all
	for pid in "${CHILDREN[@]}"; do wait "$pid" || true; done
	CHILDREN=()
	if [[ ${HOLDER_PID-} ]]; then kill "$HOLDER_PID" 2>/dev/null || true; fi
	"$USHER_DEV" status >/dev/null 2>&1 || dev start
	wait_for 15 has_come 200 GET "$BASE_URL/readyz"
	wait_for 15 all_ready
}

# all_ready: has every worker found its stores again? Asked on many connections, so that all answer.
all_ready() {
	play <<-'PYTHON' >/dev/null 2>&1
		for pool in ("read", "auth"):
		    crowd = [Connection(socket_of(pool)) for _ in range(16)]
		    for c in crowd:
		        c.send(request("GET", "/readyz", keep=False))
		    for checks in [c.answer().json["checks"] for c in crowd]:
		        assert checks["postgresql"] == checks["redis"] == "ok"
	PYTHON
}

# every_worker STATUS [METHOD PATH]: what TOKEN gets from the reading workers, asked on many connections at
# once, so that all answer.
every_worker() {
	play "$1" "$TOKEN" "${2-GET}" "/api/v1${3-/users/me}" <<-'PYTHON'
		status, token, method, path = sys.argv[1:]
		crowd = [Connection(socket_of("read")) for _ in range(16)]
		for c in crowd:
		    c.send(request(method, path, keep=False, token=token))
		for a in [c.answer() for c in crowd]:
		    assert a.status == int(status), a
	PYTHON
}

#
# Asking until, and what an outage answers
#

# has_come STATUS METHOD PATH [CURL OPTION...]: for wait_for.
has_come() {
	local wanted=$1
	shift
	call "$@" && [[ $STATUS == "$wanted" ]]
}

# is_unavailable: what a request that needs PostgreSQL is told without it.
is_unavailable() { expect 503 '.code == "unavailable" or .code == "uncertain"'; }

# known_user: somebody who is logged in, page and session in Redis.
known_user() {
	fresh_user
	login
	get "/users/$USER_ID"
	wait_for 5 is_cached
}
is_cached() { has_come 200 GET "/users/$USER_ID" && [[ $(header X-Cache) == HIT ]]; }

#
# Load
#

# keep_asking NAME METHOD PATH [BODY]: one request after the other, in the background, until
# stop_asking NAME. asked NAME: a line for each, status and seconds.
keep_asking() {
	local name=$1 i
	local how=(-X "$2" -H "Authorization: Bearer $TOKEN")
	if (($# > 3)); then how+=(-H 'Content-Type: application/json' --data-binary "$4"); fi
	touch "$BATS_TEST_TMPDIR/$name.on"
	for ((i = 0; i < 50000; i++)); do
		[[ -e $BATS_TEST_TMPDIR/$name.on ]] || break
		curl -s -m 30 -o /dev/null -w '%{http_code} %{time_total}\n' "${how[@]}" "$API$3" || true
	done >"$BATS_TEST_TMPDIR/$name.asked" 2>&1 3>&- &
	CHILDREN+=($!)
	wait_for 5 asked_more "$name" 2
}
asked() { cat "$BATS_TEST_TMPDIR/$1.asked"; }
# asked_more NAME N: have there been at least N by now?
asked_more() { (($(asked "$1" | wc -l) >= $2)); }
# so many more answers from now on
asked_on() { wait_for 20 asked_more "$1" $(($(asked "$1" | wc -l) + $2)); }
stop_asking() {
	local pid
	rm -f "$BATS_TEST_TMPDIR"/*.on
	for pid in "${CHILDREN[@]}"; do wait "$pid" || true; done
	CHILDREN=()
}

# storm SECONDS NAME PATH [LUA]: 64 connections of wrk in the background; storm_over waits for it.
# storm_said NAME FIGURE: requests, connect, read, write, timeout or status (answers that are no 2xx).
storm() {
	cat >"$BATS_TEST_TMPDIR/$2.lua" <<-EOF
		wrk.headers["Authorization"] = "Bearer $TOKEN"
		${4-}
		done = function(s)
		  print(string.format("figures requests %d connect %d read %d write %d timeout %d status %d", s.requests,
		    s.errors.connect, s.errors.read, s.errors.write, s.errors.timeout, s.errors.status))
		end
	EOF
	wrk -t1 -c64 -d "$1s" --timeout 15s -s "$BATS_TEST_TMPDIR/$2.lua" "$API$3" \
		>"$BATS_TEST_TMPDIR/$2.storm" 2>&1 3>&- &
	CHILDREN+=($!)
}
storm_over() { stop_asking; }
storm_said() {
	awk -v name="$2" '$1 == "figures" { for (i = 2; i < NF; i += 2) if ($i == name) print $(i + 1) }' \
		"$BATS_TEST_TMPDIR/$1.storm"
}
# storm_lost NAME: all that went wrong, of whatever kind.
storm_lost() {
	local kind sum=0
	for kind in connect read write timeout status; do ((sum += $(storm_said "$1" "$kind"))) || true; done
	echo "$sum"
}

# a sign-up with an address of its own each time, for storm
SIGN_UPS='
	wrk.method = "POST"
	wrk.headers["Content-Type"] = "application/json"
	local n, tag = 0, tostring(os.time()) .. tostring(math.random(1, 1000000000))
	init = function() math.randomseed(os.time()) end
	request = function()
	  n = n + 1
	  return wrk.format(nil, nil, nil, string.format(
	    "{\"name\":\"Kim\",\"email\":\"s%s-%d@example.com\",\"password\":\"correct horse battery\"}", tag, n))
	end'
