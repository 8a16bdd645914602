# shellcheck shell=bash
# The page at /docs: Swagger UI from its npm package, its version and checksum pinned, in a cache
# folder that all clones share; with nginx/docs, which starts it. Nothing of it comes from elsewhere
# when the page is shown.

SWAGGER_VERSION=5.35.0
SWAGGER_SHA512=534eaba4cb56f55dd73c638179a993512af4674f63317e0826e00da44fc465b021c341bc0a0c2bcd4e18997927fe1d3008336c5dd19aad334d1c2dec53cc9551
SWAGGER_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/usher/swagger-ui-$SWAGGER_VERSION
SWAGGER_FILES=(swagger-ui-bundle.js swagger-ui.css favicon-32x32.png LICENSE NOTICE)

docs_there() { [[ -f $SWAGGER_CACHE/LICENSE ]]; }

docs_fetch() {
	local new
	docs_there && return
	command -v npm >/dev/null || {
		echo "npm is not there"
		return 1
	}
	mkdir -p "${SWAGGER_CACHE%/*}"
	new=$(mktemp -d "$SWAGGER_CACHE.XXXXXX")
	docs_unpack "$new" || {
		rm -rf "$new"
		return 1
	}
	put_in_place "$new" "$SWAGGER_CACHE" docs_there # only a whole set of files bears the name
}

docs_unpack() {
	local package=swagger-ui-dist-$SWAGGER_VERSION.tgz
	(cd "$1" && npm pack --silent "swagger-ui-dist@$SWAGGER_VERSION") || return 1
	(cd "$1" && sha512sum --quiet -c - <<<"$SWAGGER_SHA512  $package") || return 1
	tar -xzf "$1/$package" -C "$1" --no-same-owner --strip-components=1 "${SWAGGER_FILES[@]/#/package/}" || return 1
	rm "$1/$package"
}

# docs_files: the names that a page has.
docs_files() { (cd "$USHER_ROOT/nginx/docs" && printf '%s\n' "${SWAGGER_FILES[@]}" *); }

# docs_may_go DIR: there is nothing at DIR, or an empty folder, or one with a page of ours.
docs_may_go() {
	[[ -e $1 || -L $1 ]] || return 0
	[[ -d $1 && (-z $(ls -A -- "$1/") || -f $1/start.js && -f $1/swagger-ui-bundle.js) ]]
}

# docs_put DIR: the page, in place of an earlier one; whatever else may be there is left alone.
docs_put() {
	local file
	docs_may_go "$1" || return 1
	mkdir -p -- "$1"
	for file in $(docs_files); do rm -f -- "$1/$file"; done
	cp "${SWAGGER_FILES[@]/#/$SWAGGER_CACHE/}" "$USHER_ROOT"/nginx/docs/* "$1/"
	chmod -R u+rwX,go+rX "$1/"
}

# docs_choose DIR: the page, or a line that says why there is none.
docs_choose() {
	docs_there || note docs "fetching Swagger UI $SWAGGER_VERSION into $SWAGGER_CACHE, once"
	if docs_fetch >"$USHER_VAR/log/step-docs.log" 2>&1; then
		docs_put "$1"
	else
		note docs "there is no page at /docs: npm, or the package, can't be had (log/step-docs.log)"
	fi
}
