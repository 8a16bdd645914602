# shellcheck shell=bash
# shellcheck disable=SC2153 # REQUESTS is what a shot sets, CONNECTIONS what scripts/bench was told
# Instruments of scripts/bench. A shot is one run of load; figures are noted by name, with the raw
# ones behind them. Whatever fails ends the bench: a figure with errors in it is none.

declare -A FIGURE RAW # name: value, and what it was made of

figure() {
	FIGURE[$1]=$2
	RAW[$1]=$3
}

progress() { printf '%-10s %s\n' "$1" "$2"; }

calc() { awk "BEGIN { printf \"%.${2:-3}f\", $1 }"; }
median() { printf '%s\n' "$@" | sort -g | awk '{ v[NR] = $1 } END { print (v[int((NR + 1) / 2)] + v[int(NR / 2) + 1]) / 2 }'; }
highest() { printf '%s\n' "$@" | sort -g | tail -n 1; }
total() { printf '%s\n' "$@" | awk '{ n += $1 } END { print n + 0 }'; }
whole() { printf '%.0f' "$1"; }
wholes() { printf '%.0f ' "$@" | sed 's/ $//'; }

# shot KIND SECONDS CONNECTIONS FIRST COUNT [once]: load.lua's KIND for users FIRST and following.
# Sets REQUESTS, RATE (a second), P50 and P99 (ms), ERRORS.
shot() {
	local kind=$1 seconds=$2 connections=$3 first=$4 count=$5 log word took
	log=$BENCH_LOG/$(date +%H%M%S)-$kind.log
	wrk -t "$WRK_THREADS" -c "$connections" -d "$seconds" --timeout 10s \
		-s "$BENCH_D/load.lua" "$BASE_URL" \
		-- "$kind" "$TOKENS" "$WRK_THREADS" "$first" "$count" "${@:6}" >"$log" 2>&1 ||
		die "wrk failed: $(tail -n 3 "$log")"
	grep -q '^bench: the list' "$log" &&
		die "$kind: more than $count requests; raise --users ($(sed -n 's/^bench: //p' "$log" | sort -u | paste -sd\;))"
	read -r word REQUESTS took P50 P99 ERRORS < <(tail -n 1 "$log")
	[[ $word == result ]] || die "wrk said: $(tail -n 3 "$log")"
	((REQUESTS > 0)) || die "$kind: nobody answered ($log)"
	RATE=$(calc "$REQUESTS / $took")
}

clean_shot() {
	shot "$@"
	((ERRORS == 0)) || die "$1: $(grep '^bench: errors' "$BENCH_LOG"/*-"$1".log | tail -n 1)"
}

# in_turn ROUND FIRST SECOND: both, in another order each round.
in_turn() {
	if (($1 % 2)); then
		"$2"
		"$3"
	else
		"$3"
		"$2"
	fi
}

kv() { redis-cli -s "$(run_path)/redis.sock" "$@"; }
# kv_count: sets KV_HITS and KV_MISSES, so far. A turn also asks whether anything waits to be flushed: that
# there is nothing is no miss.
kv_count() {
	local info asks
	info=$(kv info stats)
	asks=$(kv info commandstats | sed -n 's/^cmdstat_zcard:calls=\([0-9]*\),.*/\1/p')
	KV_HITS=$(sed -n 's/^keyspace_hits:\([0-9]*\).*/\1/p' <<<"$info")
	KV_MISSES=$(($(sed -n 's/^keyspace_misses:\([0-9]*\).*/\1/p' <<<"$info") - ${asks:-0}))
}

# What the last measurement has left to be written out belongs to no later one.
settle() {
	pg_admin -d usher -c CHECKPOINT
	sync -f "$USHER_VAR"
}

# resident PID [FIELD]: in KiB
resident() { awk -v f="${2:-VmRSS}:" '$1 == f { print $2 }' "/proc/$1/status"; }

mib() { calc "($1) / 1024" 2; }

version() { sed -n '1s/[^0-9]*\([0-9][0-9.]*\).*/\1/p'; } # the first number of what is said

machine() {
	local cpu memory commit
	cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
	memory=$(awk '$1 == "MemTotal:" { printf "%.0f GB", $2 / 1e6 }' /proc/meminfo)
	commit=$(git -C "$USHER_ROOT" describe --always --dirty 2>/dev/null || echo "no git")
	cat <<-EOF
		$(nproc) cores (${cpu:-unknown}), $memory, Linux $(uname -r), load before: $LOAD_BEFORE
		nginx $(nginx_command -v 2>&1 | version), PostgreSQL $("$PG_BIN/postgres" -V | version), Redis $(redis-server -v | version), wrk $(wrk -v 2>&1 | version); usher $commit
		workers: $NGINX_WORKERS nginx, $READERS read, $READERS echo, $HASHERS auth
		$ROUNDS rounds of $SECONDS_EACH s; $CONNECTIONS connections, $WRK_THREADS threads of wrk; bcrypt cost $COST
	EOF
}
