# shellcheck shell=bash
# What "scripts/test --full" brings from npm and PyPI for t/33-docs.bats: a generator of TypeScript
# clients, a browser's driver, a validator and a property-based tester of OpenAPI, all pinned. They lie
# in var/client, outside of any instance, and are brought once.

CLIENT_HOME=$USHER_ROOT/var/client
PACKAGES_CLIENT=(chromium python3-venv nodejs npm)

client_wanted() { cat "$USHER_ROOT"/t/client/{package-lock.json,requirements.txt} | sha256sum; }

client_get_ready() {
	packages_install "${PACKAGES_CLIENT[@]}"
	mkdir -p "$CLIENT_HOME"
	cp "$USHER_ROOT"/t/client/* "$CLIENT_HOME"
	if [[ $(cat "$CLIENT_HOME/brought" 2>/dev/null) == "$(client_wanted)" ]]; then return; fi
	(cd "$CLIENT_HOME" && npm ci --ignore-scripts --no-audit --no-fund)
	python3 -m venv --clear "$CLIENT_HOME/python"
	"$CLIENT_HOME/python/bin/pip" install --quiet -r "$CLIENT_HOME/requirements.txt"
	client_wanted >"$CLIENT_HOME/brought"
}
