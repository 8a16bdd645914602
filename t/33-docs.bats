#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# The interface's own document, and the page that shows it. What needs a browser or a generator,
# from PyPI and npm, runs with scripts/test --full.

load lib/api
load lib/stack

@test "GET /openapi.json is what usherctl openapi prints" {
	get "$BASE_URL/openapi.json"
	expect 200 '.openapi == "3.1.0"' '.components.securitySchemes | map(.type) == ["http","oauth2"]' \
		'.components.securitySchemes.password.flows.password.tokenUrl == "/api/v1/auth/token"'
	[ "$(header Content-Type)" = application/json ]
	[ "$BODY" = "$(usherctl openapi)" ]
}

@test "what the document refers to is there, and every call is described" {
	usherctl openapi | jq -e '
		. as $all
		| ([.. | objects | .["$ref"]? // empty] | unique
			| all(ltrimstr("#/") | split("/") as $p | ($all | getpath($p)) != null))
		and ([.paths[][]] | all((.summary | length > 0) and (.responses | keys | any(startswith("2")))
			and (.responses | has("502")) and (.responses | has("504"))))
		and ([.paths[][].operationId] | length == (unique | length))' >/dev/null
}

@test "every parameter that is listed is described" {
	[ -z "$(usherctl openapi | jq -r '.paths[][] | .operationId as $o | .parameters[] | select(.in == "query" and (.description | length == 0))
		| "\($o) \(.name)"')" ]
}

# page: is it there? (Without npm it is not, and dev up says so.)
page() { [[ -f $USHER_RUN/docs/index.html ]] || skip "Swagger UI could not be had"; }

@test "the page at /docs is served here, under a policy that lets no foreign script in" {
	local file at_slash
	page
	get "$BASE_URL/docs/"
	expect 200
	at_slash=$BODY
	get "$BASE_URL/docs"
	expect 200
	[ "$BODY" = "$at_slash" ]
	[[ $(header Content-Type) == text/html* ]]
	[[ $(header Content-Security-Policy) == *"script-src 'self'"* && $(header Content-Security-Policy) != *unsafe* ]]
	run -1 grep -E '<script>|https?:' <<<"$BODY" # nothing inline, nothing from elsewhere
	for file in $(grep -oP '(src|href)="\K[^"]+' <<<"$BODY"); do
		get "$BASE_URL$file"
		expect 200
	done
	for file in /docs /docs/ /docs/start.js; do
		call POST "$BASE_URL$file" -d x
		expect 405 '.code == "method_not_allowed"'
		[ "$(header Allow)" = "GET, HEAD" ]
	done
	get "$BASE_URL/docs/start.js"
	[[ $(header Content-Type) == application/javascript* ]]
	get "$BASE_URL/docs/nothing"
	expect 404
	get "$BASE_URL/docs/../usher"
	expect 404
}

#
# With what npm and PyPI bring: scripts/test --full
#

# full: is this such a run? CLIENT is then the folder of all that (scripts/lib/client.sh).
full() {
	[[ ${USHER_TEST_FULL-} ]] || skip "only with --full"
	CLIENT=$SOURCES/var/client
}

@test "the document is valid by a validator that is not ours" {
	full
	usherctl openapi >"$BATS_TEST_TMPDIR/openapi.json"
	"$CLIENT/python/bin/openapi-spec-validator" "$BATS_TEST_TMPDIR/openapi.json"
}

# tried MORE...: all kinds of requests, made of the document, in the name of TOKEN; no 5xx but those
# that are documented, no answer that the document does not allow.
tried() {
	(cd "$BATS_TEST_TMPDIR" && timeout 300 "$CLIENT/python/bin/schemathesis" --config-file "$BATS_TEST_TMPDIR/schemathesis.toml" \
		run "$BASE_URL/openapi.json" ${TOKEN:+-H "Authorization: Bearer $TOKEN"} --no-color --seed 1 --generation-database none \
		-n 8 --phases "${PHASES-examples,coverage,fuzzing}" --warnings off "$@" \
		--checks "${CHECKS-not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance}")
}

# tried_with_token MORE...: first what leaves the token and the user there, then what ends them.
tried_with_token() {
	local how id ends
	printf '[parameters]\n"path.id" = %s\n' "$USER_ID" >"$BATS_TEST_TMPDIR/schemathesis.toml"
	for how in exclude include; do
		ends=()
		for id in post_auth_logout delete_auth_sessions_id delete_users_id; do ends+=("--$how-operation-id" "$id"); done
		tried "${ends[@]}" "$@"
	done
}

@test "no request of a stranger's finds an answer that is not documented" {
	full
	fresh_user
	printf '[parameters]\n"path.id" = %s\n' "$USER_ID" >"$BATS_TEST_TMPDIR/schemathesis.toml"
	TOKEN='' tried
}

@test "nor does one of a user's" {
	full
	fresh_user
	login
	tried_with_token
}

@test "nor does one of an admin's" {
	full
	fresh_user
	fresh_admin
	TOKEN=$ADMIN tried_with_token
}

@test "what the document forbids is refused, values, names, headers and methods" {
	full
	fresh_user
	fresh_admin
	CHECKS=negative_data_rejection,unsupported_method,missing_required_header PHASES=coverage TOKEN=$ADMIN \
		tried_with_token --exclude-operation-id post_auth_token # OAuth passes over what is empty
}

@test "what a document forbids is found out: the tester sees a wrong one" {
	full
	printf '\n' >"$BATS_TEST_TMPDIR/schemathesis.toml"
	usherctl openapi | jq '.components.schemas.Health.properties.status.enum = ["well"]' >"$BATS_TEST_TMPDIR/wrong.json"
	cd "$BATS_TEST_TMPDIR"
	run -1 timeout 100 "$CLIENT/python/bin/schemathesis" run wrong.json --url "$BASE_URL" --no-color --generation-database none \
		-n 1 --phases fuzzing --include-path /healthz --checks response_schema_conformance
}

@test "a TypeScript client made by a stock generator compiles, and signs up, logs in, updates, searches" {
	full
	fresh_admin
	mkdir "$BATS_TEST_TMPDIR/client" # what is generated is this run's
	cp "$CLIENT"/*.json "$CLIENT"/*.ts "$BATS_TEST_TMPDIR/client"
	ln -s "$CLIENT/node_modules" "$BATS_TEST_TMPDIR/client/node_modules"
	cd "$BATS_TEST_TMPDIR/client"
	usherctl openapi >openapi.json
	npx --no-install openapi-typescript openapi.json -o schema.d.ts
	npx --no-install tsc -p .
	ADMIN=$ADMIN node client.js
}

@test "a browser at /docs logs in by the Authorize button and tries a call" {
	full
	page
	fresh_user
	PICTURE=$USHER_VAR/docs.png CHROMIUM=$(type -P chromium) timeout 120 node "$CLIENT/browse.mjs"
	[ -s "$USHER_VAR/docs.png" ]
}
