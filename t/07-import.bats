#!/usr/bin/env bats
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2034 # jq is quoted; each test is a subshell
# usherctl user import: users of another system, with their hashes, checked like any others.

load lib/api
load lib/stack

setup() {
	cd "$BATS_TEST_TMPDIR"
	PASSWORD=$(some_id)
	HASH=$(foreign_hash "$PASSWORD" '$2b$04$abcdefghijklmnopqrstuu')
	TAG=i$RANDOM$RANDOM$RANDOM # all addresses of a test begin so
}

# address N, rows FILE: how many of this test's users there are
address() { echo "$TAG-$1@example.com"; }
count() { sql "SELECT count(*) FROM users WHERE email LIKE :'t' || '-%'" "t=$TAG"; }

# csv_of N: a file of N users
csv_of() {
	echo 'email,password_hash,name'
	jot() { awk -v n="$1" -v tag="$TAG" -v hash="$HASH" 'BEGIN { for (i = 1; i <= n; i++) print tag "-" i "@example.com," hash ",Kim " i }'; }
	jot "$1"
}

@test "users of a CSV file can log in with the passwords that they had" {
	{
		echo 'name,email,password_hash,age,phone,nickname,status'
		echo "\"홍, 길동\",$(address 1),$HASH,30,+82 10-1,\"길\"\"동\","
		printf '%s\r\n' " Kim ,$(address 2),$(foreign_hash "$PASSWORD" '$6$somesalt$'),,,,active"
		echo "Lee,$(address 3),$HASH,,,,inactive"
	} >users.csv
	run -0 usherctl user import users.csv
	[[ $output == *"3 users imported, 0 there already, 0 refused"* ]]
	login "$(address 1)" "$PASSWORD"
	get /users/me
	expect 200 '.name == "홍, 길동" and .age == 30 and .phone == "+82 10-1" and .nickname == "길\"동" and .role == "user"'
	login "$(address 2)" "$PASSWORD"
	get /users/me
	expect 200 '.name == "Kim" and .age == null and .nickname == null'
	TOKEN='' post /auth/login "$(sign_in_as "$(address 3)" "$PASSWORD")"
	expect 401
}

@test "users of a file of JSON lines too" {
	jq -cn --arg e "$(address 1)" --arg h "$HASH" '{name: "홍길동", email: $e, password_hash: $h, age: 7, nickname: null}' >users.json
	echo >>users.json
	jq -cn --arg e "$(address 2)" --arg h "$HASH" '{name: "Kim", email: $e, password_hash: $h, role: "admin"}' >>users.json
	run -0 usherctl user import users.json
	login "$(address 1)" "$PASSWORD"
	get /users/me
	expect 200 '.name == "홍길동" and .age == 7'
	login "$(address 2)" "$PASSWORD"
	get /users/
	expect 200
}

@test "a hash of any scheme that libcrypt knows is taken, and becomes bcrypt at the first login" {
	local setting n=0
	echo 'name,email,password_hash' >users.csv
	for setting in '$2a$05$abcdefghijklmnopqrstuu' '$2y$05$abcdefghijklmnopqrstuu' '$5$salt$' '$5$rounds=1000$salt$' \
		'$6$rounds=1000$salt$' '$1$salt$' '$y$j75$F5Jx5fExrKuPp53xLKQ..1$' '$gy$j75$F5Jx5fExrKuPp53xLKQ..1$' '$7$6U..../....F5Jx5fExrKuPp53xLKQ..1$'; do
		((++n))
		echo "Kim,$(address "$n"),$(foreign_hash "$PASSWORD" "$setting")" >>users.csv
	done
	run -0 usherctl user import users.csv
	[ "$(count)" = 9 ]
	for ((; n > 0; n--)); do
		login "$(address "$n")" "$PASSWORD"
		[[ $(hash_of "$(address "$n")") == '$2b$'* ]]
	done
}

@test "what is no hash, or one too costly, is refused" {
	local bad n=0
	echo 'name,email,password_hash' >users.csv
	for bad in "$PASSWORD" '$2b$16$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcde' "${HASH:0:59}" "${HASH}x" "${HASH:0:58}!" \
		'$2x$04$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyzabcde' "$(foreign_hash x '$6$salt$')x" 'ab1WlBqQ0Eck2' '*' '!' '$6$rounds=9999999$salt$x' \
		'$y$jFT$F5Jx5fExrKuPp53xLKQ..1$JHmHcr8ew2sUsYRVJ0Rg2Ym3ALlLgNhqYTgG7iH.Cc2' '$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA'; do
		((++n))
		echo "Kim,$(address "$n"),\"$bad\"" >>users.csv
	done
	run -1 usherctl user import users.csv
	[ "$(grep -c '^line [0-9]*: password_hash: ' <<<"$output")" = "$n" ] || fail "$output"
	[ "$(count)" = 0 ]
}

@test "refused lines are reported by line and reason, never by value, and the others imported" {
	{
		echo 'name,email,password_hash,age'
		echo "Kim,$(address 1),$HASH,"
		echo "Kim,secretive,$HASH,"
		printf '"two\nlines",%s,%s,\n' "$(address 2)" "$HASH"
		echo ",$(address 3),$HASH,200"
		echo "Kim,$(address 4),$HASH"
		echo "Kim,\"$(address 5),$HASH,1" # never closed: the rest is its
	} >users.csv
	run -1 usherctl user import users.csv
	[[ $output == *"line 3: email: Must be a valid email address"* ]]
	[[ $output == *"line 4: name: May not contain control characters"* ]]
	[[ $output == *"line 6: age: "*"line 6: name: This field is required"* ]]
	[[ $output == *"line 7: can't be read"*"line 8: can't be read"* ]]
	[[ $output == *"1 user imported, 0 there already, 5 refused"* ]]
	[[ $output != *secretive* && $output != *"$HASH"* && $output != *"$TAG"* ]]
	[ "$(count)" = 1 ]
}

@test "a JSON line is as strict as a request" {
	{
		echo "{\"name\":\"Kim\",\"email\":\"$(address 1)\",\"password_hash\":\"$HASH\",\"password\":\"x\"}"
		echo "{\"name\":\"Kim\",\"email\":\"$(address 2)\",\"password_hash\":\"$HASH\",\"age\":\"7\"}"
		echo "{\"name\":\"Kim\",\"name\":\"Kim\",\"email\":\"$(address 3)\",\"password_hash\":\"$HASH\"}"
		echo "[]"
		echo "{\"name\":\"Kim\",\"email\":\"$(address 4)\"}"
	} >users.json
	run -1 usherctl user import users.json
	[[ $output == *"line 1: password: "*"line 2: age: "*"line 3: can't be read as a JSON object"*"line 4: "*"line 5: password_hash: "* ]] || fail "$output"
	[ "$(count)" = 0 ]
}

@test "a header that names what users have not, or names it twice, stops it at once" {
	local header
	for header in 'name,email,password_hash,salary' 'name,email,name' '' 'name,email,password_hash,password'; do
		echo "$header" >users.csv
		run -1 usherctl user import users.csv
		[[ $output == *column* ]] || fail "$output"
	done
	run -1 usherctl user import nowhere.csv
	[[ $output == *"No such file"* ]]
	run -2 usherctl user import
}

@test "who is there already is left as it is, and running again changes nothing" {
	fresh_user
	{
		echo 'name,email,password_hash'
		echo "Other,${EMAIL^^},$HASH"
		echo "Kim,$(address 1),$HASH"
		echo "Kim,$(address 1),$HASH"
	} >users.csv
	run -0 usherctl user import users.csv
	[[ $output == *"1 user imported, 2 there already"* ]]
	run -0 usherctl user import users.csv
	[[ $output == *"0 users imported, 3 there already"* ]]
	[ "$(version_of "$USER_ID")" = 1 ]
	[ "$(count)" = 1 ]
	login "$EMAIL" "$PASSWORD"
}

@test "each has its event, its activity and its way to Kafka, and no mail welcomes it" {
	local id
	{
		echo 'name,email,password_hash'
		echo "Kim,$(address 1),$HASH"
		echo "Lee,$(address 2),$HASH"
	} >users.csv
	usherctl user import users.csv
	for id in $(sql "SELECT id FROM users WHERE email LIKE :'t' || '-%'" "t=$TAG"); do
		[ "$(events_of "$id")" = "1 user_created" ]
		[ "$(sql 'SELECT activity_type FROM user_activities WHERE user_id = :id' "id=$id")" = user_imported ]
		run -1 grep -F "${HASH:7}" <<<"$(sql 'SELECT data FROM events WHERE user_id = :id' "id=$id")"
		heard() { [ "$(sql 'SELECT count(*) FROM user_settings WHERE user_id = :id' "id=$id")" = 1 ]; }
		wait_for 20 heard # the daemon has done what follows from the event
		[ "$(sql 'SELECT count(*) FROM mail_outbox WHERE user_id = :id' "id=$id")" = 0 ]
	done
}

@test "killed halfway it is simply run again" {
	csv_of 3000 >users.csv
	mkfifo pipe
	usherctl user import pipe 2>/dev/null 3>&- &
	exec {half}>pipe
	head -n 1500 users.csv >&"$half"
	some() { (($(count) > 0)); }
	wait_for 20 some
	kill -9 $!
	wait $! || true
	exec {half}>&-
	(($(count) < 3000))
	run -0 usherctl user import users.csv
	[ "$(count)" = 3000 ]
	[ "$(sql "SELECT count(*) FROM events e JOIN users u ON u.id = e.user_id WHERE u.email LIKE :'t' || '-%'" "t=$TAG")" = 3000 ]
}

@test "two imports at once make each user once" {
	csv_of 1000 >users.csv
	usherctl user import users.csv >first 2>&1 &
	usherctl user import users.csv >second 2>&1
	wait $!
	[ "$(count)" = 1000 ]
	[ "$(sql "SELECT count(*) FROM events e JOIN users u ON u.id = e.user_id WHERE u.email LIKE :'t' || '-%'" "t=$TAG")" = 1000 ]
}
