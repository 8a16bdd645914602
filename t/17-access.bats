#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # sed is quoted; each test is a subshell
# Who may call what: every call, asked by everybody there is.
#
# Rights are looked at before what a call carries, and a parameter that no call knows is refused by
# each: so who may is told of the parameter, who may not is told so, and nothing is done either way.

load lib/api
load lib/stack

# who METHOD PATH; beneath /api/v1, but for the last four. Who began a saga is known only when it is
# read: t/44-saga.bats
CALLS='
anyone POST   /users
anyone POST   /users/with-profile
anyone POST   /auth/login
anyone POST   /auth/token
anyone POST   /auth/refresh
anyone POST   /auth/verify-email
anyone POST   /auth/password/forgot
anyone POST   /auth/password/reset
anyone GET    /auth/jwks.json
user   GET    /users/me
user   POST   /events
user   POST   /auth/password
user   POST   /auth/logout
user   GET    /auth/sessions
user   DELETE /auth/sessions/{id}
user   GET    /sagas/{id}
self   GET    /users/{id}
self   PATCH  /users/{id}
self   PUT    /users/{id}
self   DELETE /users/{id}
self   GET    /users/{id}/activities
self   POST   /users/{id}/activities
self   GET    /users/{id}/profile
self   PUT    /users/{id}/profile
self   GET    /users/{id}/events
admin  GET    /users
admin  GET    /users/search
admin  GET    /users/{id}/state
admin  GET    /events
admin  GET    /stats
anyone GET    /healthz
anyone GET    /readyz
anyone GET    /metrics
anyone GET    /openapi.json
'

setup() {
	fresh_user
	login
	fresh_admin
}

# rows COMMAND: runs it with who, METHOD and PATH of each
rows() {
	local who method path
	while read -r who method path; do
		[[ ! $who ]] || "$1" "$who" "$method" "$path"
	done <<<"$CALLS"
}

# one METHOD PATH: of the user, with a parameter that nobody knows; STATUS as after a call
one() {
	local url=${2/'{id}'/$USER_ID}
	[[ $url =~ ^/(healthz|readyz|metrics|openapi.json)$ ]] && url=$BASE_URL$url
	if [[ $1 == GET || $1 == DELETE ]]; then call "$1" "$url?nobody=knows"; else send "$1" "$url?nobody=knows" '{}'; fi
}

# is STATUS WHO METHOD PATH
is() { [[ $STATUS == "$1" ]] || came "expected $1 of $3 $4, which is for $2"; }
refused_or() { if [[ $1 == yes ]]; then is 422 "${@:3}"; else is "$2" "${@:3}"; fi; }
may() { if [[ " $1 " == *" $2 "* ]]; then echo yes; fi; }

@test "the table has every call, and no other" {
	rows echo_call | sort >"$BATS_TEST_TMPDIR/here"
	usherctl calls | sed -nE 's/^\| `([A-Z]+) ([^`]+)`.*/\1 \2/p' | sed 's, /api/v1/, /,' | sort | diff - "$BATS_TEST_TMPDIR/here"
}
echo_call() { echo "$2 $3"; }

@test "without a token only what is anyone's may be called" {
	TOKEN=''
	rows by_nobody
}
by_nobody() {
	one "$2" "$3"
	if [[ $3 == /auth/token ]]; then is 400 "$@"; else refused_or "$(may anyone "$1")" 401 "$@"; fi
}

@test "a user may call what is a user's, and of what is somebody's only its own" {
	rows by_owner
	fresh_user # somebody else, and the token is still the first one's
	rows by_stranger
}
by_owner() { [[ $1 == anyone ]] || { one "$2" "$3" && refused_or "$(may 'user self' "$1")" 403 "$@"; }; }
by_stranger() { [[ $1 == anyone ]] || { one "$2" "$3" && refused_or "$(may user "$1")" 403 "$@"; }; }

@test "an admin may call everything, of everybody" {
	TOKEN=$ADMIN
	rows by_admin
}
by_admin() { [[ $1 == anyone ]] || { one "$2" "$3" && is 422 "$@"; }; }
