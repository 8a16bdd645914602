# shellcheck shell=bash
# Beside api and stack, for the tests of sagas: sign-ups with a profile, and what both databases have.

# joined PROFILE: the body, of EMAIL and PASSWORD
joined() {
	jq -cn --arg e "$EMAIL" --arg p "$PASSWORD" --argjson profile "$1" '{name: "Kim", email: $e, password: $p, profile: $profile}'
}

# joined_up PROFILE: EMAIL is there now. Sets USER_ID and SAGA_ID.
joined_up() {
	TOKEN='' post /users/with-profile "$(joined "$1")"
	expect 201
	USER_ID=$(jq .user.id <<<"$BODY")
	SAGA_ID=$(jq -r .saga_id <<<"$BODY")
	export USER_ID SAGA_ID
}

profile_sql() { DATABASE=$PROFILE_DATABASE_URL sql_at "$@"; }
profile_owner_sql() { DATABASE=$PROFILE_DATABASE_SYNC_URL sql_at "$@"; }
profiles_of() { profile_sql 'SELECT count(*) FROM profiles WHERE user_id = :u' "u=$1"; }

# is_stored TYPE N: has the event store so many of USER_ID?
is_stored() { [[ $(sql "SELECT count(*) FROM events WHERE user_id = :u AND event_type = :'t'" "u=$USER_ID" "t=$1") == "$2" ]]; }

# user_about EMAIL: the user that was last made with it, there or gone; events_about: its "version type"
user_about() {
	sql "SELECT max(user_id) FROM events WHERE event_type = 'user_created' AND data ->> 'email' = :'e'" "e=$1"
}
events_about() {
	sql "SELECT concat_ws(' ', version, event_type) FROM events WHERE user_id = (SELECT max(user_id) FROM events
		WHERE event_type = 'user_created' AND data ->> 'email' = :'e') ORDER BY position" "e=$1"
}

# sagas_of EMAIL: how many; saga_of: the last one's id; saga_is EMAIL STATE
sagas_of() {
	sql "SELECT count(*) FROM sagas WHERE user_id IN (SELECT user_id FROM events WHERE event_type = 'user_created'
		AND data ->> 'email' = :'e')" "e=$1"
}
saga_of() { sql "SELECT id FROM sagas WHERE user_id = :u" "u=$(user_about "$1")"; }
saga_is() { [[ $(sql "SELECT state FROM sagas WHERE user_id = :u" "u=$(user_about "$1")") == "$2" ]]; }
saga_is_over() { [[ $(sql "SELECT state FROM sagas WHERE user_id = :u" "u=$(user_about "$1")") =~ ^(done|undone)$ ]]; }

# has_both EMAIL, has_neither EMAIL
has_both() {
	local user
	user=$(sql "SELECT id FROM users WHERE email = :'e'" "e=$1")
	[[ $user && $(profiles_of "$user") == 1 ]]
}
has_neither() {
	local user
	user=$(user_about "$1")
	[[ $(sql "SELECT count(*) FROM users WHERE email = :'e'" "e=$1") == 0 ]] &&
		[[ ! $user || $(profiles_of "$user") == 0 ]]
}

# sagas_are_due USER_ID: whoever had them has had them for long enough
sagas_are_due() { sql "UPDATE sagas SET due_at = now() WHERE user_id = :u AND state IN ('running', 'undoing')" "u=$1"; }

# counter NAME: of the workers and the daemon
counter() { curl -sS "$BASE_URL/metrics" | awk -v n="$1" '$1 == n { print $2 }'; }
