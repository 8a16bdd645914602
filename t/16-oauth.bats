#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The token endpoint as RFC 6749 has it, for clients that know nothing of us.

load lib/api
load lib/stack

setup() { fresh_user; }
teardown() { worker_down; }

TYPE_FORM=application/x-www-form-urlencoded
# form NAME=VALUE...: posted; the values are encoded here.
form() {
	local pair how=()
	for pair; do how+=(--data-urlencode "$pair"); done
	TOKEN='' call POST /auth/token "${how[@]}"
}
by_password() { form grant_type=password "username=${1-$EMAIL}" "password=${2-$PASSWORD}"; }

# granted: what a client of OAuth 2 must find (5.1).
granted() {
	[[ $STATUS == 200 ]] || came "expected a grant"
	expect 200 '.token_type | ascii_downcase == "bearer"' '.expires_in == 1800' \
		'(.access_token | length > 0) and (.refresh_token | length > 0)'
	[[ $(header Content-Type) == application/json* ]]
	never_stored
}
# declined STATUS ERROR: in the endpoint's own form (5.2), and not as a problem document.
declined() {
	[[ $STATUS == "$1" ]] || came "expected $1, not $STATUS"
	ERROR=$2 jq -e '.error == $ENV.ERROR and (.error_description | test("^[ -!#-\\[\\]-~]+$"))
		and keys == ["error","error_description"]' >/dev/null <<<"$BODY" || came "expected $2"
	[[ $(header Content-Type) == application/json* ]]
	never_stored
}
never_stored() {
	[[ $(header Cache-Control) == no-store && $(header Pragma) == no-cache ]] || came "expected it not to be stored"
}

@test "the password grant brings tokens that open what is the user's" {
	by_password
	granted
	TOKEN=$(jq -r .access_token <<<"$BODY")
	get /users/me
	expect 200 '.id == ($ENV.USER_ID | tonumber)'
}

@test "the refresh_token grant rotates, as POST /auth/refresh does" {
	local first second
	by_password
	first=$(jq -r .refresh_token <<<"$BODY")
	form grant_type=refresh_token "refresh_token=$first"
	granted
	second=$(jq -r .refresh_token <<<"$BODY")
	[ "$second" != "$first" ]
	form grant_type=refresh_token "refresh_token=$first"
	granted
	[ "$(jq -r .refresh_token <<<"$BODY")" = "$second" ]
	post /auth/refresh "{\"refresh_token\":\"$second\"}"
	expect 200
	form grant_type=refresh_token "refresh_token=$first"
	declined 400 invalid_grant
	post /auth/refresh "{\"refresh_token\":\"$second\"}"
	expect 401
}

@test "a wrong password, a stranger and an inactive user are declined in the same words" {
	local known
	by_password "$EMAIL" 'not the password'
	declined 400 invalid_grant
	known=$BODY
	by_password "nobody-$EMAIL"
	declined 400 invalid_grant
	[ "$BODY" = "$known" ]
	fresh_admin
	as_admin patch "/users/$USER_ID" '{"status":"inactive"}'
	by_password
	declined 400 invalid_grant
	[ "$BODY" = "$known" ]
}

@test "what stock clients send besides is passed over" {
	form grant_type=password "username=$EMAIL" "password=$PASSWORD" client_id=docs client_secret=none scope= \
		'scope=read write' resource=x
	granted
	TOKEN='' call POST /auth/token/ -u 'docs:none' -H "Content-Type: $TYPE_FORM; charset=UTF-8" \
		--data-urlencode grant_type=password --data-urlencode "username=$EMAIL" --data-urlencode "password=$PASSWORD"
	granted
}

@test "letters of every kind come through the form" {
	local email password='비밀 번호+100% & =열쇠;'
	email=$(fresh_address)
	post /users/ "$(sign_up_as "$email" "$password")"
	expect 201
	by_password "$email" "$password"
	granted
}

@test "what is missing, empty or there twice is an invalid request that names it" {
	form
	declined 400 invalid_request
	form grant_type=
	declined 400 invalid_request
	[[ $(jq -r .error_description <<<"$BODY") == grant_type:* ]]
	form grant_type=password "username=$EMAIL"
	declined 400 invalid_request
	[[ $(jq -r .error_description <<<"$BODY") == password:* ]]
	form grant_type=password "username=$EMAIL" password=
	declined 400 invalid_request
	form grant_type=refresh_token
	declined 400 invalid_request
	[[ $(jq -r .error_description <<<"$BODY") == refresh_token:* ]]
	form grant_type=password grant_type=password "username=$EMAIL" "password=$PASSWORD"
	declined 400 invalid_request
}

@test "other grants are not supported" {
	local grant
	for grant in client_credentials authorization_code implicit Password 'urn:ietf:params:oauth:grant-type:jwt-bearer'; do
		form "grant_type=$grant"
		declined 400 unsupported_grant_type
	done
}

@test "a body of another type, or one that is malformed, is an invalid request" {
	TOKEN='' post /auth/token "$(jq -cn --arg u "$EMAIL" --arg p "$PASSWORD" '{grant_type:"password",username:$u,password:$p}')"
	declined 400 invalid_request
	[[ $(jq -r .error_description <<<"$BODY") == *"$TYPE_FORM"* ]]
	TYPE='' TOKEN='' post /auth/token "grant_type=password"
	declined 400 invalid_request
	TYPE=$TYPE_FORM TOKEN='' post /auth/token "grant_type=password&username=%FF%FE&password=x"
	declined 400 invalid_request
	printf 'grant_type=password\0&username=x' >"$BATS_TEST_TMPDIR/nul"
	TYPE=$TYPE_FORM TOKEN='' post /auth/token "@$BATS_TEST_TMPDIR/nul"
	declined 400 invalid_request
	form 'grant_type=password' "username=$EMAIL" "password=$(printf 'x%.0s' {1..200})"
	declined 400 invalid_request
}

@test "the JSON calls take no form" {
	TYPE=$TYPE_FORM TOKEN='' post /auth/login "email=$EMAIL&password=$PASSWORD"
	expect 415
	get /auth/token
	expect 405
}

@test "the limits of login count here too" {
	local i
	worker_up RATE_LOGIN_ACCOUNT=2/60 BCRYPT_COST=4
	for i in 1 2 3; do
		TOKEN='' ask POST /auth/token "grant_type=password&username=$EMAIL&password=wrong" "CONTENT_TYPE=$TYPE_FORM"
	done
	declined 429 temporarily_unavailable
	[[ $(header Retry-After) =~ ^[0-9]+$ ]]
}

@test "no password is said back or logged" {
	local password='nobody must see 7b1f'
	by_password "$EMAIL" "$password"
	declined 400 invalid_grant
	[[ $BODY != *"$password"* ]]
	run ! log_has 'nobody must see'
}

@test "a stock client of another language logs in and renews" {
	OAUTHLIB_INSECURE_TRANSPORT=1 /usr/bin/python3 - "$API" "$EMAIL" "$PASSWORD" <<-'PYTHON'
		import sys
		from oauthlib.oauth2 import LegacyApplicationClient
		from oauthlib.oauth2.rfc6749.errors import InvalidGrantError
		from requests_oauthlib import OAuth2Session
		api, email, password = sys.argv[1:]
		url = api + "/auth/token"
		session = OAuth2Session(client=LegacyApplicationClient(client_id="docs"))
		first = session.fetch_token(url, username=email, password=password)
		assert session.get(api + "/users/me").json()["email"] == email
		second = session.refresh_token(url, refresh_token=first["refresh_token"])
		assert second["refresh_token"] != first["refresh_token"]
		assert session.get(api + "/users/me").status_code == 200
		try:
		    session.fetch_token(url, username=email, password="wrong")
		    sys.exit("a wrong password was taken")
		except InvalidGrantError:
		    pass
	PYTHON
}
