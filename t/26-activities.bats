#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# What a user did: the service's notes and the callers' own, newest first.

load lib/api
load lib/stack
load lib/fault

setup() {
	fresh_user
	login
}

teardown() { worker_down; }

link() { header Link | sed -nE "s/^<([^>]*)>; rel=\"$1\"\$/\1/p"; }

@test "the service notes what it did, newest first" {
	patch "/users/$USER_ID" '{"age":31}'
	get "/users/$USER_ID/activities"
	expect 200 'map(.activity_type) == ["user_updated","user_login","user_created"]' \
		'all(keys == ["activity_type","created_at","data","description","id","user_id"])' \
		'all(.user_id == ($ENV.USER_ID | tonumber))' '.[0].data == {"fields": ["age"]}' \
		'all(.created_at | test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]{6}Z$"))' 'map(.id) == (map(.id) | sort | reverse)'
}

@test "a caller's own is added whole, and makes no new version and no event" {
	local version events
	version=$(version_of "$USER_ID") events=$(events_of "$USER_ID")
	post "/users/$USER_ID/activities" '{"activity_type":"page.viewed","description":" 가격표 ","data":{"page":3,"tags":["a",1.5,null]}}'
	expect 201 '.activity_type == "page.viewed" and .description == "가격표" and .data == {"page":3,"tags":["a",1.5,null]}' \
		'.user_id == ($ENV.USER_ID | tonumber)'
	MADE=$BODY
	export MADE
	get "/users/$USER_ID/activities?limit=1"
	expect 200 '. == [$ENV.MADE | fromjson]'
	post "/users/$USER_ID/activities/" '{"activity_type":"bare"}'
	expect 201 '.description == null and .data == null'
	[ "$(version_of "$USER_ID")" = "$version" ]
	[ "$(events_of "$USER_ID")" = "$events" ]
}

@test "a bad one is refused, every fault at once" {
	post "/users/$USER_ID/activities" '{"description":5,"data":[],"x":1}'
	faulty body.activity_type body.description body.data body.x
	post "/users/$USER_ID/activities" '{"activity_type":"user_login"}'
	faulty body.activity_type
	fault body.activity_type '.type == "reserved"'
	post "/users/$USER_ID/activities" "{\"activity_type\":\"x\",\"description\":\"$(printf 'a%.0s' {1..501})\"}"
	faulty body.description
	post "/users/$USER_ID/activities" 'x'
	expect 400
	TYPE=text/xml post "/users/$USER_ID/activities" '{}'
	expect 415
}

@test "pages follow each other by cursors, whatever is added meanwhile" {
	owner_sql "INSERT INTO user_activities (user_id, activity_type) SELECT :u, 'a' || n FROM generate_series(1, 5) n" "u=$USER_ID"
	get "/users/$USER_ID/activities?limit=3"
	expect 200 'map(.activity_type) == ["a5","a4","a3"]'
	post "/users/$USER_ID/activities" '{"activity_type":"late"}'
	get "/users/$USER_ID/activities?limit=3"
	NEXT=$(link next)
	get "$BASE_URL$NEXT"
	expect 200 'map(.activity_type) == ["a3","a2","a1"]'
	get "$BASE_URL$(link next)"
	expect 200 'map(.activity_type) == ["user_login","user_created"]'
	[ -z "$(link next)" ]
	get "/users/$USER_ID/activities?limit=0&cursor=x&skip=1"
	faulty query.limit query.cursor query.skip
}

@test "others may neither see nor add, an admin may both" {
	local other=$USER_ID
	fresh_user
	login
	get "/users/$other/activities"
	expect 403
	post "/users/$other/activities" '{"activity_type":"x"}'
	expect 403
	TOKEN='' get "/users/$other/activities"
	expect 401
	fresh_admin
	TOKEN=$ADMIN
	get "/users/$other/activities"
	expect 200
	post "/users/$other/activities" '{"activity_type":"x"}'
	expect 201
	get /users/9007199254740991/activities
	expect 404 '.code == "user_not_found"'
	post /users/9007199254740991/activities '{"activity_type":"x"}'
	expect 404 '.code == "user_not_found"'
	get /users/x/activities
	faulty path.id
	delete "/users/$other/activities"
	expect 405
	[ "$(header Allow)" = 'GET, HEAD, POST, OPTIONS' ]
}

@test "they go with their user" {
	local gone=$USER_ID
	fresh_admin
	as_admin delete "/users/$gone"
	expect 204
	[ "$(sql 'SELECT count(*) FROM user_activities WHERE user_id = :u' "u=$gone")" = 0 ]
	as_admin get "/users/$gone/activities"
	expect 404
}

# fill N: so many activities of 16 KB each
fill() {
	owner_sql "INSERT INTO user_activities (user_id, activity_type, data)
		SELECT :u, 'big', jsonb_build_object('x', repeat('x', 16000)) FROM generate_series(1, $1)" "u=$USER_ID"
}

@test "a page of long ones ends after a megabyte, and the next goes on" {
	local seen=0 pages=0 url="$API/users/$USER_ID/activities?limit=1000"
	fill 150
	while [[ $url ]]; do
		get "$url"
		[ "$STATUS" = 200 ]
		((${#BODY} < 1200000)) || fail "a page of ${#BODY} bytes"
		((seen += $(jq length <<<"$BODY"), ++pages))
		url=$(link next)
		[[ ! $url ]] || url=$BASE_URL$url
	done
	[ "$pages" = 3 ]
	[ "$seen" = 152 ] # with the service's own two
}

@test "many long lists in one turn take the memory of one" {
	local before
	! sanitized || skip "its memory says nothing"
	fill 300
	WORKER_BATCH=64 worker_up
	ask GET "/users/$USER_ID/activities?limit=1000"
	before=$(peak_kib)
	freeze "$WORKER_PID" # until all are there
	play "$WORKER" "/api/v1/users/$USER_ID/activities?limit=1000" "$TOKEN" "$WORKER_PID" <<-'PYTHON'
		path, uri, token, pid = sys.argv[1:]
		crowd = [Connection(path) for _ in range(32)]
		for c in crowd:
		    c.send(request("GET", uri, token=token))
		os.kill(int(pid), signal.SIGCONT)
		for c in crowd:
		    assert c.answer(within=60).status == 200
	PYTHON
	(($(peak_kib) - before < 32768)) || fail "it took $before KiB, then $(peak_kib)"
}
peak_kib() { awk '/^VmHWM/ { print $2 }' "/proc/$WORKER_PID/status"; }
