# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what a shot sets, and what in_turn's two measure
# Write-behind, and reading without Redis. Sourced by scripts/bench after rows.sh.

waiting_users() { kv zcard dirty_users; }
nobody_waits() { (($(waiting_users) == 0)); }
accepted() { pg_admin -d usher -At -c "SELECT sum(behind) FROM users"; }

# The daemon's role is at work all the while; what was answered is in PostgreSQL in the end.
change_behind() {
	local before after
	settle
	before=$(accepted)
	clean_shot behind "$SECONDS_EACH" "$CONNECTIONS" 1 "$MANY"
	behind_rate=$RATE
	behind_p99=$P99
	wait_for 30 nobody_waits || die "behind: changes still wait"
	after=$(accepted)
	((after - before >= REQUESTS * 99 / 100)) || die "behind: $REQUESTS answers, but $((after - before)) changes behind"
}

measure_behind() {
	local round ratios=() rates=() bases=() tails=()
	local behind_rate behind_p99 patch_rate patch_p99
	events_daemon flush
	warm "$MANY"
	for ((round = 1; round <= ROUNDS; round++)); do
		in_turn "$round" change_by_patch change_behind
		ratios+=("$(calc "$behind_rate / $patch_rate")")
		rates+=("$behind_rate")
		bases+=("$patch_rate")
		tails+=("$behind_p99")
		progress behind "$(whole "$behind_rate")/s, p99 $behind_p99 ms; at once $(whole "$patch_rate")/s"
	done
	events_daemon_end
	figure behind_vs_patch "$(median "${ratios[@]}")" \
		"$(wholes "${rates[@]}") / $(wholes "${bases[@]}") changes/s; p99 ${tails[*]} ms"
}

# Users that wait, and a flusher that finds them; from when it is at work to its last. What search has an
# index on (name, nickname) costs PostgreSQL four times as much, flushed or not.
flush_all() {
	local users=$MANY before
	warm "$users"
	clean_shot behind_phone 5 "$CONNECTIONS" 1 "$users"
	events_daemon flush
	users=$(waiting_users)
	before=$EPOCHREALTIME
	while ! nobody_waits; do read -rt 0.1 <> <(:) || true; done
	flush_rate=$(calc "$users / ($EPOCHREALTIME - $before)")
	flush_users=$users
	events_daemon_end
}

measure_flush() {
	local round rates=() all=() flush_rate flush_users
	for ((round = 1; round <= ROUNDS; round++)); do
		settle
		flush_all
		rates+=("$flush_rate")
		all+=("$flush_users")
		progress flush "$flush_users users waited, $(whole "$flush_rate")/s"
	done
	figure flush_eps "$(whole "$(median "${rates[@]}")")" \
		"$(wholes "${rates[@]}") users/s; ${all[*]} waited still when the daemon had begun"
}

read_without_redis() {
	redis_stop
	shot get "$SECONDS_EACH" "$CONNECTIONS" 1 "$HOT"
	noredis_rate=$RATE
	noredis_p99=$P99
	((ERRORS == 0)) || die "without Redis: $ERRORS errors"
	redis_start
}

measure_noredis() {
	local round ratios=() rates=() echoes=() tails=()
	local echo_rate echo_p99 noredis_rate noredis_p99
	for ((round = 1; round <= ROUNDS; round++)); do
		settle
		in_turn "$round" read_echo read_without_redis
		ratios+=("$(calc "$noredis_rate / $echo_rate")")
		rates+=("$noredis_rate")
		echoes+=("$echo_rate")
		tails+=("$noredis_p99")
		progress noredis "$(whole "$noredis_rate")/s, p99 $noredis_p99 ms; echo $(whole "$echo_rate")/s"
	done
	figure noredis_vs_echo "$(median "${ratios[@]}")" \
		"$(wholes "${rates[@]}") / $(wholes "${echoes[@]}") requests/s; p99 ${tails[*]} ms"
}
