#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # jq is quoted; each test is a subshell
# Access tokens of every algorithm: others can check them, nobody can forge them, and keys change without
# logging anybody out.

load lib/api
load lib/stack

setup() {
	fresh_user
	cd "$BATS_TEST_TMPDIR"
}
teardown() { worker_down; }

# key ALGORITHM NAME: a pair of files in the test's folder.
key() { usherctl key new --algorithm "$1" "$BATS_TEST_TMPDIR/$2" >/dev/null; }
# signing ALGORITHM NAME [NAME=VALUE...]: a worker that signs with that key.
signing() { worker_up "JWT_ALGORITHM=$1" "JWT_PRIVATE_KEY_FILE=$BATS_TEST_TMPDIR/$2" "${@:3}"; }
# log_in_there: at that worker. Sets TOKEN.
log_in_there() {
	TOKEN='' ask POST /auth/login "$(sign_in_as "$EMAIL" "$PASSWORD")"
	expect 200
	TOKEN=$(jq -r .access_token <<<"$BODY")
}
head_of_token() { unbase64url "$(cut -d. -f1 <<<"$1")"; }
opens() {
	TOKEN=$1 ask GET /users/me
	expect 200 '.id == ($ENV.USER_ID | tonumber)'
}

# refused WHAT TOKEN: all in the same words
refused() {
	local said
	TOKEN=$2 ask GET /users/me
	[[ $STATUS == 401 ]] || came "expected it to be refused: $1"
	expect 401
	said=$(jq -cS 'del(.request_id)' <<<"$BODY") # (each answer has an id of its own)
	: "${SAID:=$said}"
	[[ $said == "$SAID" && $(header WWW-Authenticate) == 'Bearer error="invalid_token"' ]] || came "expected it to be refused like the others: $1"
}

# signed KEYFILE HEADER CLAIMS: RS256 with a key of the test's folder.
signed() {
	local text
	text=$(printf '%s' "$2" | base64url).$(printf '%s' "$3" | base64url)
	printf '%s.%s' "$text" "$(printf '%s' "$text" | openssl dgst -binary -sha256 -sign "$BATS_TEST_TMPDIR/$1" | base64url)"
}

@test "a login answers a token of the set algorithm, which names its key" {
	local algorithm
	for algorithm in ES256 RS256; do
		key "$algorithm" "$algorithm.pem"
		signing "$algorithm" "$algorithm.pem"
		log_in_there
		[ "$(head_of_token "$TOKEN" | jq -r .alg)" = "$algorithm" ]
		opens "$TOKEN"
		opens "$TOKEN" # by memory
		TOKEN='' ask GET /auth/jwks.json
		expect 200 '.keys | length == 1' '.keys[0].use == "sig"' '.keys[0] | has("d") or has("p") or has("k") | not'
		[ "$(jq -r '.keys[0] | .alg, .kid' <<<"$BODY")" = "$(head_of_token "$TOKEN" | jq -r '.alg, .kid')" ]
		[ "$(header Cache-Control)" = 'public, max-age=300' ]
		worker_down
	done
}

@test "HS384 and HS512 are served too, and their secret is in no public set" {
	local algorithm
	for algorithm in HS384 HS512; do
		worker_up "JWT_ALGORITHM=$algorithm"
		log_in_there
		[ "$(head_of_token "$TOKEN" | jq -r .alg)" = "$algorithm" ]
		opens "$TOKEN"
		worker_down
	done
	TOKEN='' get /auth/jwks.json
	expect 200 '. == {keys: []}'
}

@test "two libraries of other languages accept what is issued, by the public set alone" {
	local algorithm
	for algorithm in ES256 RS256; do
		key "$algorithm" "$algorithm.pem"
		signing "$algorithm" "$algorithm.pem"
		log_in_there
		printf '%s' "$TOKEN" >token
		TOKEN='' ask GET /auth/jwks.json
		printf '%s' "$BODY" >jwks
		/usr/bin/python3 - "$algorithm" "$USER_ID" <<-'PYTHON'
			import json, sys, jwt
			token = open("token").read()
			keys = jwt.PyJWKSet.from_dict(json.load(open("jwks"))).keys
			kid = jwt.get_unverified_header(token)["kid"]
			key = next(k for k in keys if k.key_id == kid).key
			claims = jwt.decode(token, key, algorithms=[sys.argv[1]], audience="usher", issuer="usher",
			                    options={"require": ["exp", "iat", "sub", "jti", "aud", "iss"]})
			assert claims["sub"] == sys.argv[2], claims
		PYTHON
		NODE_PATH=/usr/share/nodejs node - "$algorithm" "$USER_ID" <<-'JAVASCRIPT'
			const fs = require("fs"), jose = require("jose");
			const [, , algorithm, user] = process.argv;
			const keys = jose.createLocalJWKSet(JSON.parse(fs.readFileSync("jwks")));
			jose.jwtVerify(fs.readFileSync("token", "utf8"), keys,
				{ algorithms: [algorithm], issuer: "usher", audience: "usher" }).then(({ payload }) => {
				if (payload.sub !== user) throw new Error(payload.sub);
			}).catch((e) => { console.error(e); process.exit(1); });
		JAVASCRIPT
		worker_down
	done
}

@test "a table of forged tokens: each is refused, and in the same words" {
	local claims header kid pub good dots payload
	key RS256 rs.pem
	key RS256 thief.pem
	signing RS256 rs.pem
	log_in_there
	good=$TOKEN claims=$(claims "$TOKEN") header=$(head_of_token "$TOKEN") pub=$(<rs.pem.pub)$'\n'
	kid=$(jq -r .kid <<<"$header")
	payload=$(cut -d. -f2 <<<"$good")
	opens "$(signed rs.pem "$header" "$claims")" # so what follows is refused for what it is
	refused "none" "$(printf '{"alg":"none"}' | base64url).$payload."
	refused "none, signed" "$(signed rs.pem '{"alg":"none"}' "$claims")"
	refused "nOnE with the kid" "$(printf '{"alg":"nOnE","kid":"%s"}' "$kid" | base64url).$payload.AAAA"
	refused "HS256 with the public key" "$(token_of '{"alg":"HS256","typ":"JWT"}' "$claims" "$pub")"
	refused "the same with the kid" "$(token_of "{\"alg\":\"HS256\",\"kid\":\"$kid\"}" "$claims" "$pub")"
	refused "HS256 with our other secret" "$(token_of '{"alg":"HS256"}' "$claims")"
	refused "another's key, our kid" "$(signed thief.pem "$header" "$claims")"
	refused "a wrong kid" "$(signed rs.pem "$(jq -c '.kid = "x"' <<<"$header")" "$claims")"
	refused "a kid that is a path" "$(signed rs.pem "$(jq -c '.kid = "../rs.pem"' <<<"$header")" "$claims")"
	refused "a key of its own" "$(signed thief.pem "$(jq -c '.jwk = {kty: "RSA"} | .jku = "http://127.0.0.1/"' <<<"$header")" "$claims")"
	refused "crit" "$(signed rs.pem "$(jq -c '.crit = ["b64"] | .b64 = false' <<<"$header")" "$claims")"
	refused "RS512" "$(signed rs.pem "$(jq -c '.alg = "RS512"' <<<"$header")" "$claims")"
	refused "another issuer" "$(signed rs.pem "$header" "$(jq -c '.iss = "bank"' <<<"$claims")")"
	refused "another audience" "$(signed rs.pem "$header" "$(jq -c '.aud = "bank"' <<<"$claims")")"
	refused "expired" "$(signed rs.pem "$header" "$(jq -c '.exp = now - 1 | .exp |= floor' <<<"$claims")")"
	refused "not yet valid" "$(signed rs.pem "$header" "$(jq -c '.nbf = (now + 61 | floor)' <<<"$claims")")"
	refused "issued in the future" "$(signed rs.pem "$header" "$(jq -c '.iat = (now + 61 | floor)' <<<"$claims")")"
	for name in exp iat sub jti sid iss aud use; do
		refused "no $name" "$(signed rs.pem "$header" "$(jq -c "del(.$name)" <<<"$claims")")"
		refused "$name as an object" "$(signed rs.pem "$header" "$(jq -c ".$name = {}" <<<"$claims")")"
		refused "$name twice" "$(signed rs.pem "$header" "$(jq -c . <<<"$claims" | sed "s/}\$/,\"$name\":$(jq -c ".$name" <<<"$claims")}/")")"
	done
	refused "exp as a text" "$(signed rs.pem "$header" "$(jq -c '.exp |= tostring' <<<"$claims")")"
	refused "exp with a point" "$(signed rs.pem "$header" "$(sed -E 's/("exp":[0-9]+)/\1.5/' <<<"$claims")")"
	refused "sub as a number" "$(signed rs.pem "$header" "$(jq -c '.sub |= tonumber' <<<"$claims")")"
	refused "another's sub" "$(signed rs.pem "$header" "$(jq -c '.sub = "1"' <<<"$claims")")"
	refused "a segment more" "$good.$payload"
	refused "a segment less" "${good%.*}"
	refused "no signature" "${good%.*}."
	dots=$(printf '.%.0s' {1..8192})
	refused "8 KB of dots" "$dots"
	refused "a letter changed" "$(tr A-Za-z N-ZA-Mn-za-m <<<"${good:0:40}")${good:40}"
	opens "$good"
}

@test "keys change one by one, and nobody is logged out" {
	local old new
	mkdir keys
	key ES256 old.pem
	key ES256 new.pem
	signing ES256 old.pem "JWT_KEYS_DIR=$PWD/keys"
	log_in_there
	old=$TOKEN
	worker_down
	cp old.pem.pub new.pem.pub keys/ # both known
	signing ES256 new.pem "JWT_KEYS_DIR=$PWD/keys"
	log_in_there
	new=$TOKEN
	opens "$old" && opens "$new"
	[ "$(head_of_token "$old" | jq .kid)" != "$(head_of_token "$new" | jq .kid)" ]
	TOKEN='' ask GET /auth/jwks.json
	expect 200 '.keys | length == 2'
	worker_down
	rm keys/old.pem.pub # when its last token has expired
	signing ES256 new.pem "JWT_KEYS_DIR=$PWD/keys"
	TOKEN=$old ask GET /users/me
	expect 401
	opens "$new"
}

@test "a secret is replaced, and a secret gives way to a key pair, and nobody is logged out" {
	local first second
	worker_up JWT_SECRET_KEY=AxB7kQ2mZ9pL4sD8vN1cR6tY3wE5uH0g
	log_in_there
	first=$TOKEN
	worker_down
	worker_up JWT_SECRET_KEY=Qw3eR5tY7uI9oP1aS2dF4gH6jK8lZ0xC JWT_SECRET_KEY_OLD='AxB7kQ2mZ9pL4sD8vN1cR6tY3wE5uH0g'
	log_in_there
	second=$TOKEN
	opens "$first" && opens "$second"
	worker_down
	key RS256 rs.pem
	signing RS256 rs.pem JWT_SECRET_KEY_OLD='AxB7kQ2mZ9pL4sD8vN1cR6tY3wE5uH0g Qw3eR5tY7uI9oP1aS2dF4gH6jK8lZ0xC'
	opens "$first" && opens "$second"
}

@test "the operator makes keys that only their owner can read, and none over another" {
	run -0 usherctl key new "$PWD/a.pem" # ES256 by default
	[[ $output == *"ES256, kid "* ]]
	[ "$(stat -c %a a.pem)" = 600 ]
	openssl pkey -in a.pem -noout -text | grep -q prime256v1
	openssl pkey -pubin -in a.pem.pub -noout
	run -1 usherctl key new "$PWD/a.pem"
	[[ $output == *exists* ]]
	run -2 usherctl key new
	run -2 usherctl key new --algorithm HS256 "$PWD/b"
	run -1 usherctl key new "$PWD/no/such/folder"
}

@test "a worker does not start with a key that is not fit" {
	key RS256 rs.pem
	run -2 timeout 5 env JWT_ALGORITHM=ES256 "$USHER_BIN/usher-api" </dev/null
	[[ $output == *JWT_PRIVATE_KEY_FILE* ]]
	run -1 timeout 5 env JWT_ALGORITHM=ES256 "JWT_PRIVATE_KEY_FILE=$PWD/rs.pem" "$USHER_BIN/usher-api" </dev/null
	[[ $output == *key.not_fit* ]]
	run -2 timeout 5 env -u JWT_SECRET_KEY "$USHER_BIN/usher-api" </dev/null
	[[ $output == *JWT_SECRET_KEY* ]]
}
