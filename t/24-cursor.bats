#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# Walking the list of users by cursors: forwards, backwards, while people come and go.

load lib/api
load lib/stack

setup() {
	fresh_admin
	TOKEN=$ADMIN
}

# crowd N: N users of status inactive, with one mark in their names; FIRST and LAST of them
crowd() {
	MARK=$(some_id)
	sql_crowd "$1"
	FIRST=$(sql "SELECT min(id) FROM users WHERE name = :'m'" "m=$MARK")
	LAST=$(sql "SELECT max(id) FROM users WHERE name = :'m'" "m=$MARK")
	export MARK FIRST LAST
}
sql_crowd() {
	owner_sql "INSERT INTO users (name, email, password_hash, status)
		SELECT :'m', :'m' || '-' || gen_random_uuid() || '@example.com', 'x', 'inactive' FROM generate_series(1, :n)" "m=$MARK" "n=$1"
}

# link REL: the URL of the answer's link, or nothing
link() {
	local path
	path=$(header Link | sed -nE "s/^<([^>]*)>; rel=\"$1\"\$/\1/p")
	echo "${path:+$BASE_URL$path}"
}

# before ID: how many inactive users stand before it
before() { sql "SELECT count(*) FROM users WHERE id < :id AND status = 'inactive'" "id=$1"; }

@test "next leads through all pages, and prev back through the same" {
	local pages=() url n
	crowd 7
	get "/users/?status=inactive&limit=3&skip=$(before "$FIRST")"
	for ((n = 0; n < 3; n++)); do
		expect 200
		pages+=("$(jq -c 'map(.id)' <<<"$BODY")")
		url=$(link next)
		((n == 2)) || get "$url"
	done
	[ "$(printf '%s\n' "${pages[@]}" | jq -cs 'add | map(select(. <= ($ENV.LAST | tonumber)))')" = \
		"$(sql "SELECT json_agg(id ORDER BY id) FROM users WHERE name = :'m'" "m=$MARK" | jq -c .)" ]
	get "$(link prev)"
	expect 200
	[ "$(jq -c 'map(.id)' <<<"$BODY")" = "${pages[1]}" ]
	get "$(link prev)"
	[ "$(jq -c 'map(.id)' <<<"$BODY")" = "${pages[0]}" ]
	get "$(link next)"
	[ "$(jq -c 'map(.id)' <<<"$BODY")" = "${pages[1]}" ]
}

@test "a link keeps limit, status and include, and the first page is always linked" {
	crowd 3
	get "/users/?status=inactive&limit=2&include=activities&count=exact"
	expect 200
	[[ $(link next) == "$API/users/?limit=2&status=inactive&include=activities&cursor="* ]] || came 'expected a next'
	[ -z "$(link prev)" ]
	FIRST_PAGE=$(jq -c 'map(.id)' <<<"$BODY")
	get "$(link next)"
	get "$(link first)"
	[ "$(jq -c 'map(.id)' <<<"$BODY")" = "$FIRST_PAGE" ]
}

@test "the last page has no next; behind it there is nothing, but a way back" {
	crowd 2
	get "/users/?limit=1000&status=inactive&skip=$(before "$FIRST")"
	while [[ $(link next) ]]; do get "$(link next)"; done
	expect 200 'length > 0'
	[ "$(link prev)" ]
	# all of a page go away between two looks at it
	get "/users/?limit=1&status=inactive&skip=$(before "$FIRST")"
	NEXT=$(link next)
	owner_sql "DELETE FROM users WHERE id > :f" "f=$FIRST"
	get "$NEXT"
	expect 200 '. == []'
	get "$(link prev)"
	expect 200 '.[0].id == ($ENV.FIRST | tonumber)'
}

@test "everybody who is there all the while is seen exactly once while others come and go" {
	local stay seen=() url
	crowd 60
	stay=$(sql "SELECT json_agg(id ORDER BY id) FROM users WHERE name = :'m' AND id % 3 > 0" "m=$MARK" | jq -c .)
	get "/users/?limit=7&status=inactive&skip=$(before "$FIRST")"
	while :; do
		expect 200
		seen+=("$(jq -c 'map(select(.name == $ENV.MARK) | .id)' <<<"$BODY")")
		url=$(link next)
		[[ $url && $(jq '.[-1].id' <<<"$BODY") -lt $LAST ]] || break
		# some before and some behind where we are leave, and new ones come
		owner_sql "DELETE FROM users WHERE id IN (SELECT id FROM users WHERE name = :'m' AND id % 3 = 0 ORDER BY random() LIMIT 3)" "m=$MARK"
		sql_crowd 2
		get "$url"
	done
	SEEN=$(printf '%s\n' "${seen[@]}" | jq -cs add) STAY=$stay
	export SEEN STAY
	jq -en '($ENV.SEEN | fromjson) as $seen | ($seen | length == (unique | length)) and (($ENV.STAY | fromjson) - $seen == [])' ||
		fail "seen $SEEN" "stay $STAY"
}

@test "a cursor is looked at, and is not given together with a skip" {
	local bad cursor
	get '/users/?limit=1'
	cursor=$(link next)
	cursor=${cursor##*cursor=}
	get "/users/?cursor=$cursor"
	expect 200
	get "/users/?cursor=$cursor&skip=1"
	faulty query.skip
	for bad in '' x 1 '%00' "${cursor}A" "${cursor:1}" "A${cursor:1}" "${cursor:0:5}B${cursor:6}" "$(printf "A%.0s" {1..20})" \
		"$(printf 'A%.0s' {1..5000})"; do
		[[ $bad != "$cursor" ]] || continue
		get "/users/?cursor=$bad"
		faulty query.cursor
	done
	get "/users/$ADMIN_ID/activities?cursor=$cursor" # of another list
	faulty query.cursor
	fault query.cursor '.type == "cursor"'
}

@test "count=exact tells how many there are in all, and only if asked" {
	crowd 3
	get "/users/?limit=1&count=exact&status=inactive"
	expect 200 'length == 1'
	[ "$(header X-Total-Count)" = "$(sql "SELECT count(*) FROM users WHERE status = 'inactive'")" ]
	get '/users/?limit=1' -H 'Origin: https://app.example'
	[ -z "$(header X-Total-Count)" ]
	[[ $(header Access-Control-Expose-Headers) == *Link*X-Total-Count* ]]
	for bad in '' 1 true EXACT; do
		get "/users/?count=$bad"
		faulty query.count
	done
	get '/users/?include=sessions'
	faulty query.include
}

@test "include=activities brings each user's newest ten, in one statement" {
	fresh_user
	owner_sql "INSERT INTO user_activities (user_id, activity_type, data) SELECT :u, 'seen.' || n, jsonb_build_object('n', n)
		FROM generate_series(1, 12) n" "u=$USER_ID"
	TOKEN=$ADMIN get "/users/$USER_ID/activities?limit=10"
	NEWEST=$(jq -cS . <<<"$BODY")
	export NEWEST
	get "/users/?include=activities&limit=2&skip=$(($(sql 'SELECT count(*) FROM users WHERE id < :id' "id=$USER_ID") - 1))"
	expect 200 'length == 2' '.[1].id == ($ENV.USER_ID | tonumber)' '.[1].activities == ($ENV.NEWEST | fromjson)' \
		'.[1].activities | map(.data.n) == [12,11,10,9,8,7,6,5,4,3]' '.[0].activities | type == "array"'
	get '/users/?limit=1'
	expect 200 '.[0] | has("activities") | not'
}

@test "pages with much in them end after a megabyte, forwards and backwards, and lose nobody" {
	local forwards=() backwards=() url count=0
	crowd 12
	owner_sql "INSERT INTO user_activities (user_id, activity_type, data)
		SELECT u.id, 'big', jsonb_build_object('x', repeat('x', 16000)) FROM users u, generate_series(1, 10)
		WHERE u.name = :'m'" "m=$MARK"
	url="$API/users/?status=inactive&limit=1000&include=activities&skip=$(before "$FIRST")"
	while [[ $url ]]; do
		a_page "$url"
		forwards+=("${IDS[@]}")
		url=$(link next)
		((++count))
	done
	[ "${forwards[*]}" = "$(seq -s' ' "$FIRST" "$LAST")" ]
	[ "$count" -ge 2 ]
	backwards=("${IDS[@]}")
	while url=$(link prev) && ((${#backwards[@]} < 12)) && [[ $url ]]; do
		a_page "$url"
		backwards=("${IDS[@]}" "${backwards[@]}")
	done
	[ "${backwards[*]}" = "${forwards[*]}" ]
}
# a_page URL: no longer than it may be; IDS, those of the crowd on it
a_page() {
	get "$1"
	[ "$STATUS" = 200 ]
	((${#BODY} < 1300000)) || fail "a page of ${#BODY} bytes"
	mapfile -t IDS < <(jq '.[] | select(.name == $ENV.MARK).id' <<<"$BODY")
}
