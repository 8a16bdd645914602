#!/usr/bin/env bats
# The proof that no read is stale and no acknowledged write is lost, whatever dies meanwhile; what
# exactly is proved stands in lib/cache_check.py. An hour of it, by hand: CHECK_SECONDS=3600.

load lib/api
load lib/stack
load lib/fault

teardown() {
	redis config set appendfsync everysec >/dev/null
	mend
}

@test "no read is older than what was acknowledged before it, no write is lost, and all agree in the end" {
	local seed=()
	[[ ! ${CHECK_SEED-} ]] || seed=(--seed "$CHECK_SEED")
	run -0 python3 "$BATS_TEST_DIRNAME/lib/cache_check.py" --seconds "${CHECK_SECONDS-60}" "${seed[@]}"
	echo "# $(grep -E '^seed|^not shown' <<<"$output" | paste -sd';')" >&3
}
