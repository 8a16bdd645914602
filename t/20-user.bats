#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# One user: who may read, change and remove it, and what each answers.

load lib/api
load lib/stack

setup() {
	fresh_user
	login
}

@test "a user reads itself, by number and as me" {
	local body
	get "/users/$USER_ID"
	expect 200 '.id == ($ENV.USER_ID | tonumber) and .email == $ENV.EMAIL and .login_count == 1'
	body=$BODY
	get /users/me
	expect 200
	[ "$BODY" = "$body" ]
	get "/users/me/"
	expect 200
	get "/users/$USER_ID/"
	expect 200
}

@test "HEAD answers what GET answers, without the body" {
	local length
	get "/users/$USER_ID"
	length=$(header Content-Length)
	head_of "/users/$USER_ID"
	expect 200
	[ "$(header Content-Length)" = "$length" ]
	[ "$(header ETag)" = '"2"' ]
	[ -z "$BODY" ]
	head_of /users/me
	expect 200
	TOKEN='' head_of /users/me
	expect 401
	head_of "$BASE_URL/healthz"
	expect 200
}

@test "nobody reads, changes or removes without a token" {
	TOKEN=''
	get "/users/$USER_ID"
	expect 401
	get /users/
	expect 401
	patch "/users/$USER_ID" '{"age":1}'
	expect 401
	put "/users/$USER_ID" '{}'
	expect 401
	delete "/users/$USER_ID"
	expect 401
	[ "$(version_of "$USER_ID")" = 2 ]
}

@test "nobody reads, changes or removes another, or lists all" {
	local me=$USER_ID mine=$TOKEN
	fresh_user
	TOKEN=$mine
	get "/users/$USER_ID"
	expect 403 '.code == "forbidden"'
	patch "/users/$USER_ID" '{"age":1}'
	expect 403
	put "/users/$USER_ID" '{"name":"x","email":"x@example.com"}'
	expect 403
	delete "/users/$USER_ID"
	expect 403
	get /users/
	expect 403
	[ "$(version_of "$USER_ID")" = 1 ]
	[ "$me" != "$USER_ID" ]
}

@test "a user is not told who exists: a stranger's number is 403 whether taken or not" {
	get /users/4611686018427387904
	expect 403
	patch /users/4611686018427387904 '{"age":1}'
	expect 403
	delete /users/4611686018427387904
	expect 403
}

@test "rights are looked at before the body is" {
	local mine=$TOKEN
	fresh_user
	TOKEN=$mine
	patch "/users/$USER_ID" '{"age":"x"}'
	expect 403
	patch "/users/$USER_ID" '{'
	expect 403
	TOKEN='' patch "/users/$USER_ID" '{'
	expect 401
}

@test "an admin reads, changes and removes any user" {
	fresh_admin
	as_admin get "/users/$USER_ID"
	expect 200
	as_admin patch "/users/$USER_ID" '{"age":44}'
	expect 200 '.age == 44'
	as_admin delete "/users/$USER_ID"
	expect 204
	as_admin get "/users/$USER_ID"
	expect 404 '.code == "user_not_found"'
}

@test "who does not exist is 404 for an admin, in the guide's words" {
	fresh_admin
	as_admin get /users/4611686018427387904 -H 'Accept-Language: ko'
	expect 404 '.detail == "사용자를 찾을 수 없습니다"'
	as_admin patch /users/4611686018427387904 '{"age":1}'
	expect 404
	as_admin put /users/4611686018427387904 '{"name":"x","email":"x4611686018427387904@example.com"}'
	expect 404
	as_admin delete /users/4611686018427387904
	expect 404
	as_admin patch /users/4611686018427387904 '{"status":"inactive"}'
	expect 404
}

@test "a number that is none is named as a fault of the path, for whoever asks" {
	local id
	fresh_admin
	for id in 0 -1 01 1.0 1e3 0x1 abc 9223372036854775808 99999999999999999999999 %31 '1%20' '+1' 'me2' '1;x' '1,2' 'ME'; do
		as_admin get "/users/$id"
		faulty path.id
		patch "/users/$id" '{"age":1}'
		faulty path.id
		delete "/users/$id"
		faulty path.id
	done
	as_admin get /users/9223372036854775807
	expect 404
}

@test "PATCH changes what it bears and leaves the rest" {
	patch "/users/$USER_ID" '{"age":30,"nickname":"길동"}'
	expect 200 '.age == 30 and .nickname == "길동" and .name == $ENV.NAME and .email == $ENV.EMAIL'
	patch "/users/$USER_ID" '{"age":31}'
	expect 200 '.age == 31 and .nickname == "길동"'
	get "/users/$USER_ID"
	expect 200 '.age == 31 and .nickname == "길동" and .name == $ENV.NAME' '.updated_at > .created_at'
}

@test "PATCH with null removes what may be absent, and nothing else" {
	patch "/users/$USER_ID" '{"age":30,"phone":"1","nickname":"x"}'
	patch "/users/$USER_ID" '{"age":null,"phone":null,"nickname":null}'
	expect 200 '.age == null and .phone == null and .nickname == null'
	patch "/users/$USER_ID" '{"name":null,"email":null}'
	faulty body.name body.email
}

@test "PATCH speaks merge-patch too" {
	TYPE=' application/merge-patch+json' patch "/users/$USER_ID" '{"age":5}'
	expect 200 '.age == 5'
	TYPE=' application/json; charset=utf-8' patch "/users/$USER_ID" '{"age":6}'
	expect 200 '.age == 6'
}

@test "PATCH of nothing is refused" {
	patch "/users/$USER_ID" '{}'
	faulty body
	fault body '.type == "nothing_to_change"'
}

@test "PATCH names every bad field at once" {
	patch "/users/$USER_ID" '{"name":"","email":"x","age":-1,"phone":"x","nickname":[],"hat":1,"password":"new password","id":7,"login_count":0,"version":3}'
	faulty body.name body.email body.age body.phone body.nickname body.hat body.password body.id body.login_count body.version
	[ "$(version_of "$USER_ID")" = 2 ]
}

@test "one bad field and nothing is changed" {
	patch "/users/$USER_ID" '{"age":20,"nickname":7}'
	faulty body.nickname
	get "/users/$USER_ID"
	expect 200 '.age == null'
}

@test "an address can be changed, and the old one is free again" {
	local old=$EMAIL
	EMAIL=$(fresh_address)
	patch "/users/$USER_ID" "{\"email\":\"$EMAIL\"}"
	expect 200 '.email == $ENV.EMAIL'
	login
	post /users/ "$(sign_up_as "$old")"
	expect 201
}

@test "an address can be changed in its case alone" {
	local EMAIL=U${EMAIL#u}
	patch "/users/$USER_ID" "{\"email\":\"$EMAIL\"}"
	expect 200 '.email == $ENV.EMAIL'
}

@test "an address that another has is refused, whatever its case" {
	local taken=$EMAIL
	fresh_user
	login
	patch "/users/$USER_ID" "{\"email\":\"${taken^^}\"}" -H 'Accept-Language: ko'
	expect 400 '.code == "email_taken"' '.detail == "이미 존재하는 이메일입니다"'
	put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$taken\"}"
	expect 400 '.code == "email_taken"'
	fresh_admin
	as_admin patch "/users/$USER_ID" "{\"email\":\"$taken\",\"status\":\"inactive\"}"
	expect 400 '.code == "email_taken"'
	get "/users/$USER_ID"
	expect 200 '.email == $ENV.EMAIL and .status == "active"'
}

@test "PUT replaces the updatable fields: what it leaves out becomes null" {
	patch "/users/$USER_ID" '{"age":30,"phone":"1","nickname":"x"}'
	put "/users/$USER_ID" "{\"name\":\"새 이름\",\"email\":\"$EMAIL\",\"age\":7}"
	expect 200 '.name == "새 이름" and .age == 7 and .phone == null and .nickname == null' \
		'.status == "active" and .role == "user" and .login_count == 1'
	put "/users/$USER_ID" '{"age":7}'
	faulty body.name body.email
}

@test "PUT by an admin keeps a role and status that it does not bear" {
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"role":"admin"}'
	as_admin put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$EMAIL\"}"
	expect 200 '.role == "admin" and .status == "active"'
	as_admin put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$EMAIL\",\"role\":\"user\",\"status\":\"inactive\"}"
	expect 200 '.role == "user" and .status == "inactive"'
}

@test "status and role are an admin's to change" {
	local method
	patch "/users/$USER_ID" '{"role":"admin"}'
	expect 403 '.code == "forbidden"'
	patch "/users/$USER_ID" '{"status":"inactive"}'
	expect 403
	patch "/users/$USER_ID" '{"age":3,"role":"user"}'
	expect 403
	put "/users/$USER_ID" "{\"name\":\"x\",\"email\":\"$EMAIL\",\"role\":\"admin\"}"
	expect 403
	get "/users/$USER_ID"
	expect 200 '.role == "user" and .status == "active" and .age == null'

	fresh_admin
	as_admin patch "/users/$USER_ID" '{"role":"king","status":"asleep"}'
	faulty body.role body.status
	fault body.role '.type == "enum"'
	as_admin patch "/users/$USER_ID" '{"role":null,"status":null}'
	faulty body.role body.status
	as_admin patch "/users/$USER_ID" '{"role":1,"status":true}'
	faulty body.role body.status
}

@test "a user removes itself, with all that belongs to it" {
	delete "/users/$USER_ID"
	expect 204
	[ -z "$BODY" ]
	[ "$(sql 'SELECT (SELECT count(*) FROM users WHERE id = :id) + (SELECT count(*) FROM sessions WHERE user_id = :id)
		+ (SELECT count(*) FROM user_activities WHERE user_id = :id)' "id=$USER_ID")" = 0 ]
	fresh_admin
	as_admin get "/users/$USER_ID"
	expect 404
	as_admin delete "/users/$USER_ID"
	expect 404
}

@test "an address is free again when its user is gone" {
	local old=$USER_ID
	delete "/users/$USER_ID"
	expect 204
	post /users/ "$(sign_up_as "$EMAIL")"
	expect 201 '.id != ($ENV.USER_ID | tonumber)'
	[ "$(jq .id <<<"$BODY")" -gt "$old" ]
}

@test "two removals at once: one is done, the other finds nobody" {
	local answers
	fresh_admin
	answers=$(curl -sS -Z -X DELETE -H "Authorization: Bearer $ADMIN" -o /dev/null -w '%{http_code}\n' "$API/users/$USER_ID" \
		--next -sS -X DELETE -H "Authorization: Bearer $ADMIN" -o /dev/null -w '%{http_code}\n' "$API/users/$USER_ID" | sort | xargs)
	[ "$answers" = "204 404" ]
	[ "$(events_of "$USER_ID" | grep -c user_deleted)" = 1 ]
}

@test "what a user did is kept beside it" {
	patch "/users/$USER_ID" '{"age":30}'
	[ "$(sql 'SELECT activity_type FROM user_activities WHERE user_id = :id ORDER BY id' "id=$USER_ID" | xargs)" = \
		"user_created user_login user_updated" ]
}

@test "no method but those of the table is let in, and the answer names these" {
	local methods
	allowed() { # METHODS METHOD PATH
		methods=$1
		call "$2" "$3"
		expect 405 '.code == "method_not_allowed"'
		[ "$(header Allow | tr -d ' ' | tr , '\n' | sort | xargs)" = "$(tr ' ' '\n' <<<"$methods" | sort | xargs)" ] ||
			came "expected Allow: $methods"
	}
	allowed "GET HEAD PATCH PUT DELETE OPTIONS" POST "/users/$USER_ID"
	allowed "GET HEAD OPTIONS" PATCH /users/me
	allowed "GET HEAD OPTIONS" DELETE /users/me
	allowed "GET HEAD POST OPTIONS" DELETE /users/
	allowed "GET HEAD POST OPTIONS" PUT /users
	allowed "POST OPTIONS" GET /auth/login
	allowed "POST OPTIONS" DELETE /auth/login/
	allowed "GET HEAD OPTIONS" POST "$BASE_URL/healthz"
	allowed "GET HEAD OPTIONS" DELETE "$BASE_URL/readyz"
	allowed "GET HEAD PATCH PUT DELETE OPTIONS" PROPFIND "/users/$USER_ID"
}

@test "OPTIONS asks neither for a token nor for a store" {
	TOKEN='' call OPTIONS "/users/$USER_ID" -H 'Origin: https://a.example' -H 'Access-Control-Request-Method: PATCH'
	expect 204
	[[ $(header Access-Control-Allow-Methods) == *PATCH* ]]
	[[ $(header Access-Control-Allow-Headers) == *Authorization* ]]
	[ "$(header Access-Control-Allow-Origin)" = '*' ]
	[ -z "$(header Access-Control-Allow-Credentials)" ]
	TOKEN='' call OPTIONS /nothing
	expect 404
}

@test "no path finds a way around the table" {
	local path
	fresh_admin
	for path in /users// //users/ "//users/$USER_ID" "/users/$USER_ID//" "/users/$USER_ID/.." "/users/../users/$USER_ID" "/./users/$USER_ID" \
		"/Users/$USER_ID" "/%75sers/$USER_ID" "/users%2f$USER_ID" "/users/$USER_ID/x" "/users/$USER_ID%00" "/users/me/me" /users/me%2f \
		/users/search2/x /auth /auth/ /auth/login/x /auth/login//; do
		as_admin get "$path"
		((STATUS == 404 || STATUS == 422 || STATUS == 400)) || came "expected no way in by $path"
		expect "$STATUS"
	done
}

@test "a whole address in the request line is a path like any other" {
	get "/users/$USER_ID" --request-target "http://elsewhere.example/api/v1/users/me"
	expect 200 '.email == $ENV.EMAIL'
}
