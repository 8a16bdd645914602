# shellcheck shell=bash
# Counting what tests say. PASSED, FAILED and SKIPPED grow; FAILURES tells which.

PASSED=0
FAILED=0
SKIPPED=0
FAILURES=()

# tap_add FILE: a TAP stream; what its plan promises and never came has failed.
tap_add() {
	local ok not_ok skip plan
	ok=$(grep -cE '^ok' "$1" || true)
	not_ok=$(grep -cE '^not ok' "$1" || true)
	skip=$(grep -cE '^ok .*# skip' "$1" || true)
	plan=$(sed -nE 's/^1\.\.([0-9]+).*/\1/p' "$1" | head -n 1)
	((PASSED += ok - skip, SKIPPED += skip, FAILED += not_ok)) || true # 0 is no failure
	((FAILED += plan > ok + not_ok ? plan - ok - not_ok : 0)) || true
	failures_add '^not ok [0-9]* *' "$1"
}

# failures_add BEFORE FILE: the lines that begin so, without that.
failures_add() {
	local line
	while IFS= read -r line; do FAILURES+=("$line"); done < <(sed -n "s/$1//p" "$2")
}

# check_add NAME STATUS: one check.
check_add() {
	if (($2 == 0)); then
		((++PASSED))
	else
		((++FAILED))
		FAILURES+=("$1")
		note "$1" "FAILED"
	fi
}

# The last line of a run; fails if anything did, or if nothing was run.
tally() {
	((${#FAILURES[@]} == 0)) || printf 'failed: %s\n' "${FAILURES[@]}"
	((SKIPPED == 0)) || echo "($SKIPPED skipped)"
	echo "$PASSED passed, $FAILED failed"
	((FAILED == 0 && PASSED > 0))
}
