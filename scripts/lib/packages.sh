# shellcheck shell=bash
# What apt has to bring, by purpose. Installs only what is missing, and starts no server while it
# does: the distribution's own clusters and services stay as they are.

PACKAGES_BUILD=(gcc make autoconf automake libtool pkg-config autoconf-archive libfcgi-dev libpq-dev
	libhiredis-dev librdkafka-dev libjansson-dev libjwt-dev libcrypt-dev libcurl4-openssl-dev libssl-dev)
PACKAGES_RUN=(postgresql-15 redis-server nginx-light spawn-fcgi libfcgi-bin kcat curl jq procps
	python3-aiosmtpd)
PACKAGES_KAFKA=(openjdk-17-jre-headless maven)
PACKAGES_TEST=(bats wrk python3-jwt python3-cryptography python3-requests-oauthlib node-jose)
PACKAGES_CHECK=(clang-format-14 shellcheck cppcheck libasan8 libubsan1)

# packages_missing PACKAGE...: those that are not installed. Another flavour that does the same
# counts: a JDK for a JRE, any nginx for nginx-light.
packages_missing() {
	local p
	for p; do
		case $p in
		openjdk-*) java_fits && continue ;;
		nginx-light) command -v nginx >/dev/null && continue ;;
		nodejs) command -v node >/dev/null && continue ;;
		npm) command -v npm >/dev/null && continue ;;
		esac
		[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || echo "$p"
	done
}

# packages_install PACKAGE...
packages_install() {
	local missing sudo=
	mapfile -t missing < <(packages_missing "$@")
	((${#missing[@]})) || {
		remark "nothing missing"
		return 0
	}
	if ((EUID != 0)); then
		sudo="sudo -n"
		$sudo true 2>/dev/null || {
			echo "These packages are missing; as root: apt-get install -y ${missing[*]}"
			return 1
		}
	fi
	echo "installing: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	$sudo apt-get update -qq || true # an old list may do
	# shellcheck disable=SC2086 # empty for root
	without_service_starts "$sudo" $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}"
	remark "${#missing[@]} installed"
}

# without_service_starts SUDO COMMAND...: invoke-rc.d asks policy-rc.d, which says no meanwhile.
without_service_starts() {
	local sudo=$1 policy=/usr/sbin/policy-rc.d rc=0 ours=
	shift
	if [[ ! -e $policy ]]; then
		ours=1
		printf '#!/bin/sh\nexit 101\n' | $sudo install -m 0755 /dev/stdin "$policy"
	fi
	"$@" || rc=$?
	[[ $ours ]] && $sudo rm -f "$policy"
	return "$rc"
}

java_fits() {
	local v
	v=$(java -version 2>&1 | sed -n '1s/.*"\([0-9]*\).*/\1/p') || return 1
	[[ $v ]] && ((v >= 17))
}
