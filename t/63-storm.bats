#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# A storm of logins: so many hashes at once as the pool has workers, so many waiting as can be
# served in time, and the rest is told to come again at once.

load lib/api
load lib/stack
load lib/fault

WAITING=100 # limit_conn usher_hashing in nginx/usher/hashing.conf

setup() {
	fresh_user
	login
}
teardown() {
	worker_down
	mend
}

# storm N: so many logins of strangers at once, in the background: "STATUS SECONDS" a line in .storm
# as each is answered
storm() {
	local i
	for ((i = 0; i < $1; i++)); do
		((i == 0)) || echo next
		printf '%s\n' "url = $API/auth/login" "output = /dev/null" 'header = "Content-Type: application/json"' \
			"data = \"{\\\"email\\\":\\\"storm$i-$EMAIL\\\",\\\"password\\\":\\\"wrong\\\"}\"" 'max-time = 60' \
			'write-out = "%{http_code} %{time_total} %header{retry-after}\n"'
	done >"$BATS_TEST_TMPDIR/.config"
	stdbuf -oL curl -sZ --no-progress-meter --parallel-immediate --parallel-max 300 -K "$BATS_TEST_TMPDIR/.config" \
		>"$BATS_TEST_TMPDIR/.storm" 2>/dev/null 3>&- &
	STORM=$!
	CHILDREN+=("$STORM")
}
answered() { (($(grep -c "^$1 " "$BATS_TEST_TMPDIR/.storm") >= $2)); }

@test "when the queue is full the rest gets 503 at once, reading goes on, and who waits is served" {
	local pid
	for pid in $(workers auth); do freeze "$pid"; done # as if each hash took for ever
	storm $((WAITING + 20))
	wait_for 20 answered 503 20
	post /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 503 '.code == "unavailable"'
	[[ $(header Retry-After) =~ ^[1-9][0-9]*$ ]]
	get /users/me
	expect 200
	[ "$(wc -l <"$BATS_TEST_TMPDIR/.storm")" = 20 ] # who waits, waits
	for pid in $(workers auth); do thaw "$pid"; done
	wait "$STORM" || true
	[ "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/.storm" | sort | uniq -c | xargs)" = "$WAITING 401 20 503" ] ||
		fail "$(sort "$BATS_TEST_TMPDIR/.storm" | cut -d' ' -f1 | uniq -c)"
	login # and all is as before
}

@test "two clients that never finish what they send keep nobody else out" {
	play <<-'PYTHON'
		def begin_login(client):
		    s = socket.create_connection(("127.0.0.1", int(os.environ["USHER_PORT"])))
		    s.settimeout(PATIENCE_S)
		    s.sendall(("POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %s\r\nContent-Type: application/json\r\n"
		               "Content-Length: 60\r\n\r\n{" % client).encode())
		    return s
		def some_client():
		    return "10.%d.%d.%d" % tuple(random.randrange(1, 255) for _ in range(3))
		def answered(s):
		    return select.select([s], [], [], 0)[0]
		crowd = [begin_login(client) for client in [some_client(), some_client()] for _ in range(55)]
		assert wait_for(lambda: sum(1 for s in crowd if answered(s)) >= 90, within=4), "most are sent away at once"
		other = begin_login(some_client())
		other.sendall(json.dumps({"email": "nobody@example.com", "password": "wrong"}).ljust(59)[1:].encode() + b" ")
		status = other.recv(4096).split()[1]
		assert status == b"401", status
		gone = [s.recv(4096) for s in crowd if answered(s)]
		assert all(a.split()[1] in (b"503", b"408") for a in gone), gone[0]
		assert b"Retry-After" in gone[-1], gone[-1]
	PYTHON
}

@test "a pool makes as many hashes at once as it has workers" {
	local i pids=() least
	# one worker: eight logins at once take it the work of eight, one after the other
	worker_up BCRYPT_COST=10 RATE_LOGIN_IP=0 SLOW_MS=0
	ask POST /auth/login "$(sign_in_as "nobody-$EMAIL" wrong)"
	for i in {1..8}; do
		(ask POST /auth/login "$(sign_in_as "nobody$i-$EMAIL" wrong)" && [ "$STATUS" = 401 ]) &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
	[ "$(find "/proc/$WORKER_PID/task" -mindepth 1 -maxdepth 1 | wc -l)" = 1 ]
	# none began before the one before it had ended, as the log has it: when it began, and how long it took
	least=$(grep request.done "$WORKER_LOG" | jq -s 'def seconds: (.[:19] + "Z" | fromdate) + (.[19:-1] | "0" + . | tonumber);
		[.[] | {from: (.time | seconds), took: (.ms / 1000)}]
		| [range(1; length) as $i | .[$i].from - .[$i - 1].from - .[$i - 1].took] | min')
	jq -en --argjson least "$least" '$least > -0.002' >/dev/null || fail "one began $least s after the one before it ended"
	worker_down
	# and the pool has a worker for each core, no more
	pool_is_whole auth "$(nproc)"
}
