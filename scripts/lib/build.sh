# shellcheck shell=bash
# The programs, built out of tree into $USHER_BUILD. Configures once and leaves the rest to make.
# USHER_CONFIGURE holds options for configure.

build() {
	if [[ $USHER_BIN != "$USHER_BUILD" ]]; then
		remark "programs of $USHER_BIN are taken as they are"
		return
	fi
	[[ -x $USHER_ROOT/configure ]] || (cd "$USHER_ROOT" && ./autogen.sh)
	mkdir -p "$USHER_BUILD"
	cd "$USHER_BUILD"
	exec {lock}>"$USHER_BUILD.lock" # instances share the build: one make at a time
	flock "$lock"
	# shellcheck disable=SC2086 # a list of words
	[[ -f Makefile ]] || "$USHER_ROOT/configure" ${USHER_CONFIGURE-}
	make -j"$(nproc)"
}
