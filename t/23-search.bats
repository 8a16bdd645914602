#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153 # jq is quoted; each test is a subshell
# Finding users: any language's letters, the best first, and no letter that means more than itself.

load lib/api
load lib/stack

setup() {
	fresh_admin
	TOKEN=$ADMIN
}

# named NAME [NICKNAME [EMAIL]]: somebody is called so
named() {
	owner_sql "INSERT INTO users (name, nickname, email, password_hash) VALUES (:'n', nullif(:'k', ''), :'e', 'x')" \
		"n=$1" "k=${2-}" "e=${3-$(fresh_address)}"
}

# find TEXT [LIMIT]
find_users() { call GET /users/search -G --data-urlencode "q=$1" --data-urlencode "limit=${2-100}"; }

# found TEXT JQ...: what the names of those found are
found() {
	find_users "$1"
	expect 200 'map(.name) | '"$2"
}

# hangul N: a word of N syllables that nobody else here is called by
hangul() { python3 -c 'import random, sys; print("".join(chr(random.randrange(0xac00, 0xd7a4)) for _ in range(int(sys.argv[1]))))' "$1"; }

@test "exact comes first, then what begins so, then what holds it" {
	W=$(some_id)
	export W
	named "x$W"
	named "${W}tail"
	named "$W"
	named "somebody $W"
	named 'by nickname' "$W"
	found "$W" '.[:2] | sort == ([$ENV.W, "by nickname"] | sort)'
	found "$W" '.[2] == $ENV.W + "tail" and (.[3:] | sort) == (["somebody " + $ENV.W, "x" + $ENV.W] | sort)'
	expect 200 'all(keys == ["age","created_at","email","id","login_count","name","nickname","phone","role","status","updated_at"])'
	find_users "$W" 1
	expect 200 'length == 1'
	found "${W:4:20}" 'length == 5'
	find_users "${W}zz"
	expect 200 '. == []'
}

@test "Hangul is found by its first syllable, its second, two in the middle" {
	W=$(hangul 5)
	export W
	named "$W"
	found "${W:0:1}" 'index($ENV.W) != null'
	found "${W:2:1}" 'index($ENV.W) != null'
	found "${W:1:2}" '. == [$ENV.W]'
	found "${W:3:2}" '. == [$ENV.W]'
	found "${W:1:3}" '. == [$ENV.W]'
	found "$W" '. == [$ENV.W]'
}

@test "old users are found as new ones are" {
	local n
	W=$(hangul 4)
	export W
	named "x${W} y"
	# a thousand that are newer
	owner_sql "INSERT INTO users (name, email, password_hash) SELECT 'Newer', 'newer' || n || :'w' || '@example.com', 'x'
		FROM generate_series(1, 1000) n" "w=$(some_id)"
	found "${W:1:2}" '. == ["x" + $ENV.W + " y"]'
	found "${W:1:3}" '. == ["x" + $ENV.W + " y"]'
	found "${W:2:1}" 'index("x" + $ENV.W + " y") != null'
	owner_sql "DELETE FROM users WHERE name = 'Newer'"
}

@test "case, accents and composition do not count" {
	W=$(some_id)
	export W
	named "José Ñandú $W"
	named "$(printf 'Jose\u0301 Decomposed %s' "$W")"
	for q in "josé ñandú $W" "JOSE NANDU $W" "$(printf 'jose\u0301 n\u0303andu\u0301 %s' "$W")"; do
		found "$q" '. == ["José Ñandú " + $ENV.W]'
	done
	found "$(printf 'JOSÉ decomposed %s' "$W")" 'length == 1'
	# a name in single letters of Hangul, as some systems send it
	H=$(hangul 3)
	export H
	named "$(python3 -c 'import sys, unicodedata; print(unicodedata.normalize("NFD", sys.argv[1]))' "$H")"
	find_users "$H"
	expect 200 'length == 1'
	named "Straße $W"
	found "straße $W" 'length == 1'
	named "Дмитрий 李小龍 $W"
	found "ДМИТРИЙ 李小龍 $W" 'length == 1'
	found "李小龍 $W" 'length == 1'
}

@test "percent, underscore and backslash are letters like any other" {
	W=$(some_id)
	export W
	named "a%b_c\\d $W"
	named "aXbYcZd $W"
	found "a%b_c\\d $W" '. == ["a%b_c\\d " + $ENV.W]'
	found "%b_c\\d $W" '. == ["a%b_c\\d " + $ENV.W]'
	for q in "%$W" "a%$W" "_$W" "a_b_c_d $W" "\\$W" "$W%"; do
		find_users "$q"
		expect 200 '. == []'
	done
	find_users '%' 100
	expect 200 'length > 0 and all((.name + (.nickname // "")) | contains("%"))'
	find_users '%_%_%'
	expect 200 '. == []'
	find_users "' OR 1=1 --"
	expect 200 '. == []'
}

@test "an address is looked for only where the question has an @" {
	W=$(some_id)
	export W
	named Somebody '' "first.$W@Some-$W.example.com"
	found "first.$W" '. == []'
	found "FIRST.$W@" '. == ["Somebody"]'
	found "@some-$W.exa" '. == ["Somebody"]'
	found "$W@some-" '. == ["Somebody"]'
	found "first.$W@some-$W.example.com" '. == ["Somebody"]'
	found '@' 'length > 0'
}

@test "the index follows every change of a name" {
	W=$(some_id)
	export W
	fresh_user
	patch "/users/$USER_ID" "{\"name\":\"new $W\",\"nickname\":\"nick $W\"}"
	expect 200
	found "nick $W" 'length == 1'
	found "new $W" 'length == 1'
	patch "/users/$USER_ID" '{"nickname":null}'
	found "nick $W" '. == []'
	patch "/users/$USER_ID" '{"name":"other"}'
	found "new $W" '. == []'
	patch "/users/$USER_ID" "{\"nickname\":\"again $W\"}"
	found "again $W" '. == ["other"]'
	delete "/users/$USER_ID"
	expect 204
	found "again $W" '. == []'
}

@test "a question is looked at, and is an admin's to ask" {
	get /users/search
	faulty query.q
	get '/users/search?q='
	faulty query.q
	get '/users/search?q=%20%20&limit=0'
	faulty query.q query.limit
	get '/users/search?q=a&limit=101&skip=1'
	faulty query.limit query.skip
	get "/users/search?q=$(printf 'a%.0s' {1..101})"
	faulty query.q
	get '/users/search?q=%00'
	faulty query.q
	find_users $'a\tb'
	faulty query.q
	get "/users/search?q=$(printf '\xcc\x81' | xxd -p | sed 's/../%&/g')" # an accent with nothing under it
	expect 200 '. == []'
	patch /users/search '{}'
	expect 405
	[ "$(header Allow)" = 'GET, HEAD, OPTIONS' ]
	fresh_user
	login
	find_users a
	expect 403
	TOKEN='' find_users a
	expect 401
}
