#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The clock tells nobody who has an account here, and what became of it.

load lib/api
load lib/stack

setup() { declare -gA ADDRESS=(); }
teardown() { worker_down; }

# work_us: what the worker has worked so far, by the kernel's account; others' load is not in it
work_us() {
	local ns
	read -r ns _ <"/proc/$WORKER_PID/schedstat"
	echo $((ns / 1000))
}

# sample GROUP PASSWORD: one refused login of the account of that group, and what it cost the worker
sample() {
	local before
	before=$(work_us)
	ask POST /auth/login "$(sign_in_as "${ADDRESS[$1]}" "$2")"
	[ "$STATUS" = 401 ]
	echo $(($(work_us) - before)) >>"$BATS_TEST_TMPDIR/$1"
}

# hash_is ADDRESS HASH: by the hand of another system (no change by usher: no version, no event)
hash_is() { admin_sql "SET session_replication_role = replica; UPDATE users SET password_hash = '$2' WHERE email = '$1'" usher; }

# account GROUP: one more, whose address is ADDRESS[GROUP]; its password is PASSWORD
account() {
	ADDRESS[$1]=$(fresh_address)
	ask POST /users/ "$(sign_up_as "${ADDRESS[$1]}" "$PASSWORD")"
	expect 201
}

median() { sort -n "$BATS_TEST_TMPDIR/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# within PER_CENT GROUP...: do their medians differ by less than that from the first one's?
within() {
	local per_cent=$1 first group us
	shift
	first=$(median "$1")
	for group; do
		us=$(median "$group")
		echo "$group: $us us"
		((us * 100 < first * (100 + per_cent) && us * 100 > first * (100 - per_cent))) ||
			fail "$group costs $us us, $1 $first us"
	done
}

@test "known, unknown, inactive and locked accounts, those with hashes of other systems, and guesses of any length cost the same" {
	local guess i group groups=(known unknown long inactive locked cheap foreign)
	[ -r /proc/self/schedstat ] || skip "this kernel keeps no account"
	PASSWORD=$(some_id)
	printf -v guess '🔑%.0s' {1..128} # 512 bytes, which libcrypt would refuse at once
	worker_up BCRYPT_COST=9 RATE_LOGIN_ACCOUNT=0 RATE_LOGIN_IP=0 RATE_SIGNUP_IP=0
	for group in "${groups[@]}"; do account "$group"; done
	ADDRESS[unknown]=$(fresh_address)
	owner_sql "UPDATE users SET status = 'inactive' WHERE email = :'e'" "e=${ADDRESS[inactive]}"
	owner_sql "INSERT INTO login_failures SELECT id, 10, now() + interval '1 hour' FROM users WHERE email = :'e'" "e=${ADDRESS[locked]}"
	hash_is "${ADDRESS[cheap]}" "$(foreign_hash "$PASSWORD" '$2b$05$abcdefghijklmnopqrstuu')"
	hash_is "${ADDRESS[foreign]}" "$(foreign_hash "$PASSWORD" '$6$somesalt$')"
	sample known wrong # the first of all fetches what is fetched once
	rm "$BATS_TEST_TMPDIR/known"
	for ((i = 0; i < 7; i++)); do # ten would lock them
		sample known "wrong $i"
		sample unknown "wrong $i"
		sample long "$guess"
		sample inactive "$PASSWORD"
		sample locked "$PASSWORD"
		sample cheap "wrong $i"
		sample foreign "wrong $i"
	done
	within 5 known unknown long inactive locked
	# of these the hash itself is another: near enough is what can be had
	within 12 known cheap foreign
}

@test "a sign-up with a taken address costs what a free one costs" {
	local i before
	[ -r /proc/self/schedstat ] || skip "this kernel keeps no account"
	PASSWORD=$(some_id)
	worker_up BCRYPT_COST=9 RATE_SIGNUP_IP=0
	account taken
	for ((i = 0; i < 5; i++)); do
		before=$(work_us)
		ask POST /users/ "$(sign_up_as "${ADDRESS[taken]}" "$PASSWORD")"
		[ "$STATUS" = 400 ]
		echo $(($(work_us) - before)) >>"$BATS_TEST_TMPDIR/taken"
		before=$(work_us)
		ask POST /users/ "$(sign_up_as "$(fresh_address)" "$PASSWORD")"
		[ "$STATUS" = 201 ]
		echo $(($(work_us) - before)) >>"$BATS_TEST_TMPDIR/free"
	done
	within 5 taken free
}
