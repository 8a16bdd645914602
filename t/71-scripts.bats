#!/usr/bin/env bats
# The scripts that people run: what they refuse, and that they say so.

load lib/api
load lib/stack

setup() { cd "$BATS_TEST_TMPDIR"; }

@test "scripts/docs leaves a folder alone that is no page of ours" {
	mkdir theirs
	echo precious >theirs/thesis.txt
	run -1 "$SOURCES/scripts/docs" theirs
	[[ $output == *theirs* ]]
	[ "$(cat theirs/thesis.txt)" = precious ]
	run -1 "$SOURCES/scripts/docs" ''
	run -1 "$SOURCES/scripts/docs"
	run -1 "$SOURCES/scripts/docs" -rf
}

@test "scripts/docs fills an empty folder, and again" {
	[[ -f $USHER_RUN/docs/index.html ]] || skip "Swagger UI could not be had"
	mkdir page
	"$SOURCES/scripts/docs" page
	[ -s page/index.html ]
	echo note >page/note
	"$SOURCES/scripts/docs" page
	[ -s page/index.html ] && [ -s page/note ]
}

@test "each script says how it is called" {
	for script in dev test docs; do
		run -0 "$SOURCES/scripts/$script" --help
		[[ $output == *"scripts/$script"* ]] || fail "$script: $output"
	done
}

@test "scripts/dev logs shows what there is, all or one's, and names what there is not" {
	run -0 "$USHER_DEV" logs
	[[ $output == *request.done* ]]
	run -0 "$USHER_DEV" logs api
	[[ $output == *request.done* ]]
	run -1 "$USHER_DEV" logs foo
	[[ $output == *"no component foo; there are: "* ]]
}

@test "a port that is none, or taken, is told before anything is done" {
	run -1 env USHER_PORT=abc "$USHER_DEV" status
	[[ $output == *USHER_PORT*abc* && $output != *'unbound'* ]]
	run -1 env USHER_VAR="$PWD/other" USHER_PORT="${BASE_URL##*:}" "$USHER_DEV" up
	[[ $output == *"port ${BASE_URL##*:} is taken"* ]]
	[[ $output != *packages* ]]
}

@test "the number of a process that ended is nobody's once another has it" {
	local file=$BATS_TEST_TMPDIR/x.pid
	pid_now() { bash -c '. "$0/scripts/lib/daemon.sh"; USHER_RUN=$1; pid_of x' "$SOURCES" "$BATS_TEST_TMPDIR"; }
	echo $$ >"$file"
	[ "$(pid_now)" = $$ ]
	touch -d '1 day ago' "$file"
	[ "$(pid_now)" = "" ]
}
