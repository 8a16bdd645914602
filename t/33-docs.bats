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
			and (.responses | has("500")) and (.responses | has("503"))))
		and ([.paths[][].operationId] | length == (unique | length))' >/dev/null
}

@test "every parameter that is listed is described" {
	[ -z "$(usherctl openapi | jq -r '.paths[][] | .operationId as $o | .parameters[] | select(.in == "query" and (.description | length == 0))
		| "\($o) \(.name)"')" ]
}

# page: is it there? (Without npm it is not, and dev up says so.)
page() { [[ -f $USHER_RUN/docs/index.html ]] || skip "Swagger UI could not be had"; }

@test "the page at /docs is served here, under a policy that lets no foreign script in" {
	local file
	page
	get "$BASE_URL/docs"
	expect 301
	[ "$(header Location)" = /docs/ ]
	get "$BASE_URL/docs/"
	expect 200
	[[ $(header Content-Type) == text/html* ]]
	[[ $(header Content-Security-Policy) == *"script-src 'self'"* && $(header Content-Security-Policy) != *unsafe* ]]
	run -1 grep -E '<script>|https?:' <<<"$BODY" # nothing inline, nothing from elsewhere
	for file in $(grep -oP '(src|href)="\K[^"]+' <<<"$BODY"); do
		get "$BASE_URL/docs/$file"
		expect 200
	done
	get "$BASE_URL/docs/start.js"
	[[ $(header Content-Type) == application/javascript* ]]
	get "$BASE_URL/docs/nothing"
	expect 404
	get "$BASE_URL/docs/../usher"
	expect 404
}
