# shellcheck shell=bash
# The whole vocabulary of the tests: ask usher something, and say what has to come back.
#
#   fresh_user                    EMAIL, PASSWORD, NAME, USER_ID of somebody new
#   login                         TOKEN, which get, post and so on then carry
#   post /users/ '{"name":…}'     STATUS, BODY, and the head, for "header NAME"
#   expect 201 '.id > 0'          the status, and what jq must find true in the body
#
# What is promised of every answer, expect looks at each time: a request id, no sniffing, and a
# problem document with all its parts for whatever has failed.

bats_require_minimum_version 1.5.0
: "${BASE_URL:?set by: eval \"\$(scripts/dev env)\"}"
API=$BASE_URL/api/v1
SOURCES=$BATS_TEST_DIRNAME/..
USHER_DEV=${USHER_DEV:-$SOURCES/scripts/dev}

fail() {
	printf '%s\n' "$@" >&2
	return 1
}

usherctl() { "$USHER_BIN/usherctl" "$@"; }

#
# Asking
#

# call METHOD PATH [CURL OPTION...]: PATH is under /api/v1, or a whole URL. Carries TOKEN if set.
call() {
	local url=$2 dir=$BATS_TEST_TMPDIR how
	METHOD=$1
	shift 2
	[[ $url == http* ]] || url=$API$url
	how=(-X "$METHOD")
	[[ $METHOD != HEAD ]] || how=(--head)
	[[ ! ${TOKEN-} ]] || how+=(-H "Authorization: Bearer $TOKEN")
	rm -f "$dir/.body"
	STATUS=$(curl -sS -g --path-as-is --max-time 30 -D "$dir/.head" -o "$dir/.body" -w '%{http_code}' \
		"${how[@]}" "$@" "$url")
	[[ -f $dir/.body && $METHOD != HEAD ]] || : >"$dir/.body"
	BODY=$(<"$dir/.body")
	HEAD=$(<"$dir/.head")
	HEAD=${HEAD//$'\r'/}
}

# send METHOD PATH BODY [CURL OPTION...]: BODY is text, or @FILE. TYPE is its media type; empty, none.
send() {
	local method=$1 path=$2 body=$3
	shift 3
	if [[ $body != @* ]]; then
		printf '%s' "$body" >"$BATS_TEST_TMPDIR/.sent"
		body=@$BATS_TEST_TMPDIR/.sent
	fi
	call "$method" "$path" -H "Content-Type:${TYPE- application/json}" -H 'Expect:' --data-binary "$body" "$@"
}

get() { call GET "$@"; }
head_of() { call HEAD "$@"; }
delete() { call DELETE "$@"; }
post() { send POST "$@"; }
put() { send PUT "$@"; }
patch() { send PATCH "$@"; }

# raw TEXT: TEXT (printf's \r\n and so on) as it stands, on a connection of its own; the answer's
# head and body as after a call. For what curl would never send.
raw() {
	local answer fd
	exec {fd}<>"/dev/tcp/127.0.0.1/${BASE_URL##*:}"
	# one write, as a pipe gives it: the shell's own printf writes line by line
	# shellcheck disable=SC2059 # it is a format
	{ printf "$1" | cat >&"$fd"; } 2>/dev/null || true # nginx may have heard enough
	answer=$(timeout 20 cat <&"$fd" | tr -d '\r' || true)
	exec {fd}>&-
	METHOD=${1%% *}
	HEAD=${answer%%$'\n\n'*}
	BODY=${answer#*$'\n\n'}
	STATUS=$(awk 'NR == 1 { print $2 }' <<<"$HEAD")
}

#
# Expecting
#

# header NAME: its value; a line each if it was there several times.
header() {
	local line
	while IFS= read -r line; do
		[[ ${line,,} != "${1,,}:"* ]] || printf '%s\n' "${line#*: }"
	done <<<"$HEAD"
}

# came WHY: fails, and shows what came.
came() { fail "$1" "--- came, for $METHOD:" "$HEAD" "" "${BODY:0:3000}"; }

# expect STATUS [JQ FILTER...]: exported variables are $ENV.NAME in a filter.
expect() {
	local filter
	[[ $STATUS == "$1" ]] || came "expected $1, not $STATUS"
	[[ $(header X-Request-Id) =~ ^[A-Za-z0-9._-]{1,64}$ ]] || came "expected one sane X-Request-Id"
	[[ $(header X-Content-Type-Options) == nosniff ]] || came "expected X-Content-Type-Options once"
	if ((STATUS >= 400)); then expect_problem; fi
	for filter in "${@:2}"; do
		jq -e "$filter" >/dev/null <<<"$BODY" || came "expected $filter"
	done
}

# RFC 9457, and the headers that belong to a status.
expect_problem() {
	REQUEST_ID=$(header X-Request-Id)
	export REQUEST_ID STATUS
	[[ $(header Content-Type) == application/problem+json ]] || came "expected a problem document"
	[[ $(header Cache-Control) == no-store ]] || came "expected a problem not to be stored"
	case $STATUS in
	401) [[ $(header WWW-Authenticate) == Bearer* ]] || came "expected WWW-Authenticate: Bearer" ;;
	405) [[ $(header Allow) ]] || came "expected Allow" ;;
	429 | 503) [[ $(header Retry-After) =~ ^[0-9]+$ ]] || came "expected Retry-After" ;;
	esac
	[[ $METHOD == HEAD ]] || jq -e '
		(.type | type == "string") and (.title | length > 0) and .status == ($ENV.STATUS | tonumber)
		and (.detail | length > 0) and (.code | test("^[a-z_]+$")) and .request_id == $ENV.REQUEST_ID
		and (keys - ["type","title","status","detail","code","request_id","errors"] == [])
		and (if .status == 422 or (.code == "malformed" and has("errors")) then (.errors | length > 0 and all(
			(.loc | length > 0) and (.msg | length > 0) and (.type | length > 0))) else has("errors") | not end)
		' >/dev/null <<<"$BODY" || came "expected a whole problem document"
}

# faulty NAME...: 422, and exactly these are named, all at once ("body.age", "query.limit", "body").
faulty() {
	local named
	expect 422 '.code == "invalid"'
	named=$(jq -r '.errors[].loc | map(tostring) | join(".")' <<<"$BODY" | sort)
	[[ $named == "$(printf '%s\n' "$@" | sort)" ]] || came "expected just these faults: $*"
}

# fault NAME JQ: of the fault named so.
fault() {
	jq -e --arg name "$1" "first(.errors[] | select((.loc | map(tostring) | join(\".\")) == \$name)) | $2" \
		>/dev/null <<<"$BODY" || came "expected of $1: $2"
}

#
# People
#

some_id() { tr -d '-' </proc/sys/kernel/random/uuid; }
fresh_address() { echo "u$(some_id)@example.com"; }

# sign_up_as EMAIL [PASSWORD [NAME]], sign_in_as EMAIL PASSWORD: the bodies.
sign_up_as() {
	jq -cn --arg e "$1" --arg p "${2-$PASSWORD}" --arg n "${3-Kim}" '{name: $n, email: $e, password: $p}'
}
sign_in_as() { jq -cn --arg e "$1" --arg p "$2" '{email: $e, password: $p}'; }

# fresh_user: somebody new, not logged in. Sets EMAIL, PASSWORD, NAME, USER_ID.
fresh_user() {
	EMAIL=$(fresh_address) PASSWORD=$(some_id) NAME="홍길동 $RANDOM"
	TOKEN='' post /users/ "$(sign_up_as "$EMAIL" "$PASSWORD" "$NAME")"
	expect 201
	USER_ID=$(jq .id <<<"$BODY")
	export EMAIL PASSWORD NAME USER_ID
}

# login [EMAIL PASSWORD]: of who was made last, if nobody is named. Sets TOKEN and REFRESH.
login() {
	TOKEN='' post /auth/login "$(sign_in_as "${1-$EMAIL}" "${2-$PASSWORD}")"
	expect 200
	TOKEN=$(jq -r .access_token <<<"$BODY")
	REFRESH=$(jq -r .refresh_token <<<"$BODY")
}

# fresh_admin: sets ADMIN, a token, and ADMIN_ID; who is logged in stays so.
fresh_admin() {
	local email password
	email=$(fresh_address) password=$(some_id)
	usherctl admin create --email "$email" --password-stdin <<<"$password" >/dev/null
	TOKEN='' post /auth/login "$(sign_in_as "$email" "$password")"
	expect 200
	ADMIN=$(jq -r .access_token <<<"$BODY")
	ADMIN_ID=$(claims "$ADMIN" | jq -r .sub)
}

# as_admin CALL...: one call in the name of ADMIN.
as_admin() { TOKEN=$ADMIN "$@"; }

#
# Tokens
#

unbase64url() {
	local text
	text=$(tr '_-' '/+' <<<"$1")
	while ((${#text} % 4)); do text+='='; done
	base64 -d <<<"$text"
}
base64url() { base64 -w0 | tr '/+' '_-' | tr -d '='; }

# claims TOKEN: what it says, as JSON.
claims() { unbase64url "$(cut -d. -f2 <<<"$1")"; }

# token_of HEADER CLAIMS [KEY [DIGEST]]: made and signed here, by the service's own key if none is given.
token_of() {
	local text key=${3-$JWT_SECRET_KEY}
	text=$(printf '%s' "$1" | base64url).$(printf '%s' "$2" | base64url)
	printf '%s.%s' "$text" "$(printf '%s' "$text" | openssl dgst -binary "-${4-sha256}" -mac HMAC \
		-macopt "hexkey:$(printf '%s' "$key" | xxd -p -c 1000)" | base64url)"
}
