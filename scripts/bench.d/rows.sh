# shellcheck shell=bash
# shellcheck disable=SC2153 # REQUESTS is what a shot sets, CONNECTIONS what scripts/bench was told
# The measurements of scripts/bench: each function notes the figures of one or more rows.

HOT=1000       # users that the cached rows read: their tokens and records fit everywhere
MANY=20000     # users that the changing rows change
LOGIN_LEAST=10 # seconds; there are only a few logins in each

warm() { # COUNT: these users and their sessions are in Redis
	clean_shot get 1 "$CONNECTIONS" 1 "$1"
	# each at least once: a second's load passes through the lists more often than that
	((REQUESTS > $1)) || clean_shot get 5 "$CONNECTIONS" 1 "$1"
}

#
# Reading
#

read_echo() {
	clean_shot echo "$SECONDS_EACH" "$CONNECTIONS" 1 "$HOT"
	echo_rate=$RATE
	echo_p99=$P99
}

read_cached() {
	local before
	kv_count
	before=$KV_MISSES
	shot get "$SECONDS_EACH" "$CONNECTIONS" 1 "$HOT"
	kv_count
	((KV_MISSES - before <= REQUESTS / 1000)) || die "cached: $((KV_MISSES - before)) keys were absent"
	cached_rate=$RATE
	cached_p99=$P99
}

measure_cached() {
	local round ratios=() rates=() echoes=() tails=() echo_tails=() errors=()
	local echo_rate echo_p99 cached_rate cached_p99
	for ((round = 1; round <= ROUNDS; round++)); do
		warm "$HOT"
		in_turn "$round" read_echo read_cached
		ratios+=("$(calc "$cached_rate / $echo_rate")")
		rates+=("$cached_rate")
		echoes+=("$echo_rate")
		tails+=("$cached_p99")
		echo_tails+=("$echo_p99")
		errors+=("$ERRORS")
		progress cached "$(whole "$cached_rate")/s, p99 $cached_p99 ms; echo $(whole "$echo_rate")/s, p99 $echo_p99 ms"
	done
	figure cached_vs_echo "$(median "${ratios[@]}")" \
		"$(wholes "${rates[@]}") / $(wholes "${echoes[@]}") requests/s"
	figure cached_p99_ms "$(median "${tails[@]}")" "${tails[*]}; echo ${echo_tails[*]}"
	figure cached_errors "$(total "${errors[@]}")" "${errors[*]}"
}

# The same with tokens of ES256, whose signatures cost a hundred times as much: each worker checks one
# once. The pools are restarted for it, and again when it is over.
use_es256() {
	local key=$USHER_VAR/es256.pem
	rm -f "$key" "$key.pub"
	"$USHER_BIN/usherctl" key new "$key" >/dev/null || die "no key could be made"
	export JWT_ALGORITHM=ES256 JWT_PRIVATE_KEY_FILE=$key
	pools_again
	KEY_ID=$(curl -s "$BASE_URL/api/v1/auth/jwks.json" | jq -r '.keys[0].kid')
	export KEY_ID
	python3 -P "$BENCH_D/tokens.py" "$HOT" >"$1" # not from its own folder, where there is another bcrypt
}

use_secret() {
	unset JWT_ALGORITHM JWT_PRIVATE_KEY_FILE KEY_ID
	pools_again
}

pools_again() {
	(api_restart) >"$BENCH_LOG/restart.log" 2>&1 || die "the pools did not start again: $BENCH_LOG/restart.log"
	pool_drained read
}

measure_cached_es256() {
	local round ratios=() rates=() echoes=() echo_rate echo_p99 cached_rate cached_p99
	local TOKENS=$USHER_VAR/tokens-es256
	use_es256 "$TOKENS"
	for ((round = 1; round <= ROUNDS; round++)); do
		warm "$HOT"
		in_turn "$round" read_echo read_cached
		ratios+=("$(calc "$cached_rate / $echo_rate")")
		rates+=("$cached_rate")
		echoes+=("$echo_rate")
		progress es256 "$(whole "$cached_rate")/s; echo $(whole "$echo_rate")/s"
	done
	use_secret
	figure cached_vs_echo_es256 "$(median "${ratios[@]}")" \
		"$(wholes "${rates[@]}") / $(wholes "${echoes[@]}") requests/s"
}

# Every user once in a round, so that its record, its session and its token are new to all.
read_missing() {
	local hits misses
	kv flushall >/dev/null
	kv_count
	hits=$KV_HITS misses=$KV_MISSES
	clean_shot get "$SECONDS_EACH" "$CONNECTIONS" 1 "$USERS" once
	kv_count
	((KV_HITS - hits <= REQUESTS / 1000 && KV_MISSES - misses >= 2 * REQUESTS)) ||
		die "miss: $((KV_HITS - hits)) keys were there"
	miss_rate=$RATE
	miss_p99=$P99
	miss_kept=$(calc "$(kv dbsize) / $REQUESTS / 2 * 100" 0)
}

measure_miss() {
	local round ratios=() rates=() echoes=() tails=() kept=()
	local echo_rate echo_p99 miss_rate miss_p99 miss_kept
	warm "$HOT" # every worker has found Redis
	for ((round = 1; round <= ROUNDS; round++)); do
		settle
		in_turn "$round" read_echo read_missing
		ratios+=("$(calc "$miss_rate / $echo_rate")")
		rates+=("$miss_rate")
		echoes+=("$echo_rate")
		tails+=("$miss_p99")
		kept+=("$miss_kept")
		progress miss "$(whole "$miss_rate")/s, p99 $miss_p99 ms; echo $(whole "$echo_rate")/s"
	done
	figure miss_vs_echo "$(median "${ratios[@]}")" \
		"$(wholes "${rates[@]}") / $(wholes "${echoes[@]}") requests/s; p99 ${tails[*]} ms; put into Redis ${kept[*]} %"
}

#
# Finding
#

PEOPLE=1000000  # users that lists and searches go through
QUESTIONS=20000 # different ones

# A million users, and user 1 an admin, whose token is ADMIN_TOKEN.
people() {
	[[ ! ${ADMIN_TOKEN-} ]] || return 0
	progress people "$PEOPLE of them"
	pg_admin -d usher -v "people=$PEOPLE" -f "$BENCH_D/people.sql" >"$BENCH_LOG/people.log"
	pg_admin -d usher -c "UPDATE users SET role = 'admin' WHERE id = 1" >/dev/null
	kv flushall >/dev/null
	ADMIN_TOKEN=$(sed -n '1s/^1 //p' "$TOKENS")
	settle
}

# paths: each path of standard input with the admin's token, as a list for a shot of kind path
paths() { sed "s|\$| $ADMIN_TOKEN|"; }

encoded() { python3 -c 'import sys, urllib.parse
for line in sys.stdin: print(sys.argv[1] + urllib.parse.quote(line.rstrip("\n"), safe=""))' "$1"; }

# One question at a time and reader, so that what is measured is the search and not the queue.
measure_search() {
	local round tails=() medians=() rates=() list=$BENCH_LOG/questions
	people
	pg_admin -d usher -At -v "how_many=$QUESTIONS" -f "$BENCH_D/questions.sql" |
		encoded '/api/v1/users/search?q=' | paths >"$list"
	TOKENS=$list clean_shot path 2 "$READERS" 1 "$QUESTIONS"
	for ((round = 1; round <= ROUNDS; round++)); do
		TOKENS=$list clean_shot path "$SECONDS_EACH" "$READERS" 1 "$QUESTIONS"
		tails+=("$P99")
		medians+=("$P50")
		rates+=("$RATE")
		progress search "$(whole "$RATE")/s, p50 $P50 ms, p99 $P99 ms"
	done
	figure search_p99_ms "$(median "${tails[@]}")" \
		"${tails[*]}; p50 ${medians[*]} ms; $(wholes "${rates[@]}") questions/s over $PEOPLE users"
}

read_first_page() {
	TOKENS=$BENCH_LOG/first clean_shot path "$SECONDS_EACH" "$READERS" 1 "$WRK_THREADS"
	first_rate=$RATE
}

read_last_page() {
	TOKENS=$BENCH_LOG/last clean_shot path "$SECONDS_EACH" "$READERS" 1 "$WRK_THREADS"
	last_rate=$RATE
}

# The link to the last page, from the page before it.
last_page() {
	curl -sS -D - -o /dev/null -H "Authorization: Bearer $ADMIN_TOKEN" "$BASE_URL/api/v1/users/?skip=$((PEOPLE - 200))" |
		tr -d '\r' | sed -nE 's/^Link: <([^>]*)>; rel="next"$/\1/p'
}

measure_cursor() {
	local round ratios=() firsts=() lasts=() first_rate last_rate i last
	people
	last=$(last_page)
	[[ $last == *cursor=* ]] || die "no link to the last page"
	for ((i = 0; i < WRK_THREADS; i++)); do echo '/api/v1/users/'; done | paths >"$BENCH_LOG/first"
	for ((i = 0; i < WRK_THREADS; i++)); do echo "$last"; done | paths >"$BENCH_LOG/last"
	for ((round = 1; round <= ROUNDS; round++)); do
		in_turn "$round" read_first_page read_last_page
		ratios+=("$(calc "$first_rate / $last_rate")")
		firsts+=("$first_rate")
		lasts+=("$last_rate")
		progress cursor "first $(whole "$first_rate")/s, last $(whole "$last_rate")/s"
	done
	figure cursor_last_vs_first "$(median "${ratios[@]}")" \
		"$(wholes "${firsts[@]}") / $(wholes "${lasts[@]}") pages of 100 a second"
}

#
# Changing
#

# The statement as PostgreSQL heard it from a worker: logged for a moment, for want of a better
# witness.
change_statement() {
	local log
	log=$(realpath "$USHER_VAR/log/postgres.log")
	pg_admin -d usher -c "ALTER SYSTEM SET log_min_duration_statement = 0" -c "SELECT pg_reload_conf()" >/dev/null
	wait_for 10 change_was_logged "$log" || die "PostgreSQL logs no statement"
	pg_admin -d usher -c "ALTER SYSTEM SET log_min_duration_statement = '200ms'" -c "SELECT pg_reload_conf()" >/dev/null
	grep -a -m 1 ' execute user_change: ' "$log" | sed 's/.* execute user_change: //'
	: >"$log" # a thousand lines of it
}

# The workers' sessions hear of a new setting a moment after it was made.
change_was_logged() {
	clean_shot patch 1 "$READERS" 1 "$MANY"
	grep -aq ' execute user_change: ' "$1"
}

change_by_pgbench() {
	local log=$BENCH_LOG/pgbench.log
	settle
	PGPASSWORD=$SERVICE_PASSWORD PGCLIENTENCODING=UTF8 "$PG_BIN/pgbench" -h "$(run_path)/pg" -U usher -n -M prepared \
		-c "$READERS" -j "$READERS" -T "$SECONDS_EACH" -f "$BENCH_LOG/user_change.sql" \
		-D n=0 -D "run=$((++pgbench_runs + SECONDS_AT_START))" -D request=0123456789abcdef0123456789abcdef \
		usher >"$log" 2>&1 || die "pgbench failed: $(tail -n 3 "$log")"
	grep -q '^number of failed transactions: 0 ' "$log" || die "pgbench had failures: $log"
	pgbench_rate=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$log")
}

change_by_patch() {
	local before after
	settle
	before=$(events)
	clean_shot patch "$SECONDS_EACH" "$CONNECTIONS" 1 "$MANY"
	after=$(events)
	((after - before >= REQUESTS)) || die "patch: $REQUESTS answers, but $((after - before)) events"
	patch_rate=$RATE
	patch_p99=$P99
}

events() { pg_admin -d usher -At -c "SELECT count(*) FROM events"; }

measure_patch() {
	local round ratios=() rates=() bases=() tails=() pgbench_runs=0
	local patch_rate patch_p99 pgbench_rate
	warm "$MANY"
	change_statement >"$BENCH_LOG/user_change.txt"
	python3 "$BENCH_D/pgbench.py" "$MANY" <"$BENCH_LOG/user_change.txt" >"$BENCH_LOG/user_change.sql"
	for ((round = 1; round <= ROUNDS; round++)); do
		in_turn "$round" change_by_pgbench change_by_patch
		ratios+=("$(calc "$patch_rate / $pgbench_rate")")
		rates+=("$patch_rate")
		bases+=("$pgbench_rate")
		tails+=("$patch_p99")
		progress patch "$(whole "$patch_rate")/s, p99 $patch_p99 ms; pgbench $(whole "$pgbench_rate")/s"
	done
	figure patch_vs_pgbench "$(median "${ratios[@]}")" \
		"$(wholes "${rates[@]}") / $(wholes "${bases[@]}") changes/s; p99 ${tails[*]} ms"
}

#
# Hashing
#

# As nice as the workers that hash, so that whatever else runs here slows both alike.
hash_alone() {
	hash_s=$(nice -n "$HASHERS_NICE" \
		python3 "$BENCH_D/bcrypt.py" time "$COST" "$(nproc)" "$((SECONDS_EACH / 2 + 1))")
}

hash_logins() {
	clean_shot login "$login_seconds" $((2 * HASHERS)) "$login_next" "$MANY"
	login_rate=$RATE
	((login_next += REQUESTS + 4 * HASHERS))
}

measure_login() {
	local round ratios=() rates=() times=() login_next=1
	local login_rate hash_s login_seconds=$((SECONDS_EACH > LOGIN_LEAST ? SECONDS_EACH : LOGIN_LEAST))
	for ((round = 1; round <= ROUNDS; round++)); do
		in_turn "$round" hash_alone hash_logins
		ratios+=("$(calc "$login_rate * $hash_s / $(nproc)")")
		rates+=("$(calc "$login_rate" 2)")
		times+=("$(calc "$hash_s * 1000" 0)")
		progress login "$(calc "$login_rate" 2)/s; one bcrypt $(calc "$hash_s * 1000" 0) ms, $(nproc) at once"
	done
	figure login_vs_bcrypt "$(median "${ratios[@]}")" \
		"${rates[*]} logins/s; one bcrypt ${times[*]} ms with $(nproc) at once"
}

read_quiet() {
	clean_shot get "$SECONDS_EACH" "$CONNECTIONS" 1 "$HOT"
	quiet_p99=$P99
	quiet_rate=$RATE
}

hashers_are_busy() { [[ $(pool_pids auth | xargs -r -n 1 ps -o stat= -p | grep -c ^R) == "$HASHERS" ]]; }

# Logins begin earlier and end later.
read_in_storm() {
	local logins
	(clean_shot login $((SECONDS_EACH + 2)) 16 "$login_next" "$MANY" && echo "$REQUESTS") >"$BENCH_LOG/storm" &
	logins=$!
	wait_for 10 hashers_are_busy
	clean_shot get "$SECONDS_EACH" "$CONNECTIONS" 1 "$HOT"
	storm_p99=$P99
	storm_rate=$RATE
	wait "$logins" || die "the logins failed"
	storm_logins=$(<"$BENCH_LOG/storm")
	((login_next += storm_logins + 64))
}

measure_storm() {
	local round ratios=() storms=() quiets=() login_next=$((MANY / 2)) logins=()
	local quiet_p99 quiet_rate storm_p99 storm_rate storm_logins
	for ((round = 1; round <= ROUNDS; round++)); do
		warm "$HOT"
		in_turn "$round" read_quiet read_in_storm
		ratios+=("$(calc "$storm_p99 / $quiet_p99")")
		storms+=("$storm_p99")
		quiets+=("$quiet_p99")
		logins+=("$storm_logins")
		progress storm "p99 $storm_p99 ms at $(whole "$storm_rate")/s with $storm_logins logins; quiet $quiet_p99 ms at $(whole "$quiet_rate")/s"
	done
	figure storm_p99_ratio "$(median "${ratios[@]}")" "p99 ${storms[*]} / ${quiets[*]} ms; logins meanwhile ${logins[*]}"
}

#
# The worker
#

pool_resident() { # FIELD: of each reader, KiB
	local pid
	for pid in $(pool_pids read); do resident "$pid" "$1"; done
}

# Fresh workers: their growth at the start is not hidden by what ran before.
measure_memory() {
	local before after grown=() i pids requests=0 size peak
	pools_again
	pids=$(pool_pids read | xargs)
	warm "$HOT"
	while ((requests < WARM_UP)); do
		clean_shot get 2 "$CONNECTIONS" 1 "$HOT"
		((requests += REQUESTS))
	done
	mapfile -t before < <(pool_resident VmRSS)
	progress memory "after $requests requests: ${before[*]} KiB"
	requests=0
	while ((requests < MILLION)); do
		clean_shot get 5 "$CONNECTIONS" 1 "$HOT"
		((requests += REQUESTS))
	done
	mapfile -t after < <(pool_resident VmRSS)
	progress memory "after $requests more: ${after[*]} KiB"
	[[ $pids == "$(pool_pids read | xargs)" ]] || die "a worker ended meanwhile"
	for i in "${!after[@]}"; do grown+=("$(mib "${after[i]} - ${before[i]}")"); done
	figure worker_growth_mib "$(highest "${grown[@]}")" \
		"${before[*]} KiB after the warm-up, ${after[*]} KiB after $requests more requests"
	# whatever else a reader may hold on to: misses, changes, long lists
	kv flushall >/dev/null
	clean_shot get 2 "$CONNECTIONS" 1 "$USERS" once
	clean_shot patch 2 "$CONNECTIONS" 1 "$MANY"
	mapfile -t size < <(pool_resident VmRSS)
	mapfile -t peak < <(pool_resident VmHWM)
	[[ $pids == "$(pool_pids read | xargs)" ]] || die "a worker ended meanwhile"
	figure worker_rss_mib "$(mib "$(highest "${size[@]}")")" \
		"${size[*]} KiB after hits, misses and changes; peak ${peak[*]} KiB"
}

measure_start() {
	local token took alive
	token=$(sed -n '1s/^1 //p' "$TOKENS")
	warm "$HOT"
	took=$(cd "$USHER_VAR" && python3 "$BENCH_D/start.py" "$STARTS" /api/v1/users/1 "$token" "$USHER_BIN/usher-api" 2>"$BENCH_LOG/start.log") ||
		die "start: $(tail -n 1 "$BENCH_LOG/start.log")"
	alive=$(cd "$USHER_VAR" && python3 "$BENCH_D/start.py" "$STARTS" /healthz "$token" "$USHER_BIN/usher-api" 2>>"$BENCH_LOG/start.log") ||
		die "start: $(tail -n 1 "$BENCH_LOG/start.log")"
	progress start "$took ms to a user, $alive ms to /healthz"
	figure start_ms "$took" "median of $STARTS, to a cached user; to /healthz $alive"
}

#
# Events
#

EVENTS=100000  # in each round: some seconds' worth
LATENCY_TIMES=200

events_up() {
	[[ ${EVENTS_UP-} ]] && return
	EVENTS_UP=1
	alive kafka || kafka_choose real
	stack_each start kafka
	instance_env
}

# events_daemon ROLE...: a daemon of these roles, until events_daemon_end
events_daemon() {
	local roles ready=$USHER_RUN/bench-eventd.ready log=$BENCH_LOG/eventd.log
	roles=$(IFS=, && echo "$*")
	rm -f "$ready"
	: >"$log"
	daemon bench-eventd "$log" env -C "$USHER_VAR" "$USHER_BIN/usher-eventd" --role "$roles" --ready-file "$ready"
	wait_for 10 test -s "$ready" || die "the daemon did not begin: $(tail -n 1 "$log")"
}
events_daemon_end() { end bench-eventd 10; }

events_ask() { pg_admin -d usher -At -c "$1"; }
events_counted() { events_ask "SELECT COALESCE(sum(n), 0) FROM stats_daily WHERE what = 'event'"; }

# seconds_until SECONDS TEST...: sets TOOK
seconds_until() {
	local began=$EPOCHREALTIME
	wait_for "$@" || die "waited in vain for ${*:2}"
	TOOK=$(calc "$EPOCHREALTIME - $began")
}
outbox_is_empty() { [[ $(events_ask "SELECT NOT EXISTS (SELECT FROM outbox)") == t ]]; }
all_are_counted() { (($(events_counted) >= $1)); }
partitions_came() { grep -q '"bus.partitions_came"' "$BENCH_LOG/eventd.log"; }

measure_events() {
	local round relayed=() consumed=() before
	events_up
	for ((round = 1; round <= ROUNDS; round++)); do
		before=$(events_counted)
		pg_admin -d usher -v "events=$EVENTS" -v "users=$USERS" -f "$BENCH_D/events.sql"
		settle
		events_daemon relay
		seconds_until 60 outbox_is_empty
		relayed+=("$(calc "$EVENTS / $TOOK" 0)")
		events_daemon_end
		settle
		events_daemon consume
		wait_for 30 partitions_came || die "the consumer was given no partitions"
		seconds_until 60 all_are_counted $((before + EVENTS))
		consumed+=("$(calc "$EVENTS / $TOOK" 0)")
		events_daemon_end
		progress events "${relayed[-1]}/s relayed, ${consumed[-1]}/s consumed"
	done
	figure relay_eps "$(median "${relayed[@]}")" "${relayed[*]} events/s, of $EVENTS"
	figure consume_eps "$(median "${consumed[@]}")" "${consumed[*]} events/s"
}

measure_event_latency() {
	local times=()
	events_up
	events_daemon relay consume cache
	wait_for 30 partitions_came || die "the consumer was given no partitions"
	seconds_until 60 outbox_is_empty
	settle
	mapfile -t times < <(pg_admin -d usher -At -v "times=$LATENCY_TIMES" -f "$BENCH_D/latency.sql")
	events_daemon_end
	((${#times[@]} == LATENCY_TIMES)) || die "only ${#times[@]} of $LATENCY_TIMES events were timed"
	figure event_p99_ms "$(calc "${times[LATENCY_TIMES * 99 / 100 - 1]}" 1)" \
		"of $LATENCY_TIMES: median $(calc "${times[LATENCY_TIMES / 2]}" 1), longest $(calc "${times[-1]}" 1) ms"
	progress latency "${RAW[event_p99_ms]}"
}
