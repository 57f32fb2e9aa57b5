# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# KTAP on stdout, as in Documentation/dev-tools/ktap.rst, with kselftest's exit
# codes. A test is a function; "return $KSFT_SKIP" skips it, for the reason that its
# last line gives, and any output it makes becomes diagnostic lines.

KSFT_PASS=0
KSFT_FAIL=1
KSFT_SKIP=4

KTAP_N=0
KTAP_PASS=0
KTAP_FAIL=0
KTAP_SKIP=0
KTAP_PLAN=

ktap_plan()
{
	KTAP_PLAN=$1
	echo "TAP version 13"
	echo "1..$1"
}

ktap_diag()
{
	printf '%s\n' "$*" | sed 's/^\(# \)\?/# /'
}

ktap_pass()
{
	KTAP_N=$((KTAP_N + 1))
	KTAP_PASS=$((KTAP_PASS + 1))
	echo "ok $KTAP_N $1"
}

ktap_fail()
{
	KTAP_N=$((KTAP_N + 1))
	KTAP_FAIL=$((KTAP_FAIL + 1))
	echo "not ok $KTAP_N $1"
}

# ktap_skip NAME [REASON]
ktap_skip()
{
	KTAP_N=$((KTAP_N + 1))
	KTAP_SKIP=$((KTAP_SKIP + 1))
	echo "ok $KTAP_N $1 # SKIP ${2:-}"
}

# ktap_run NAME FUNCTION [ARG...]
#
# FUNCTION runs in this shell, so it may set variables the next one needs; its
# output goes through a file so that this holds.
ktap_run()
{
	local name=$1 out rc start=$SECONDS last

	shift
	out=$(mktemp)
	"$@" >"$out" 2>&1
	rc=$?
	sed 's/^\(# \)\?/# /' "$out"
	last=$(tail -n 1 "$out")
	rm -f "$out"
	case $rc in
	"$KSFT_PASS") ktap_pass "$name" ;;
	"$KSFT_SKIP") ktap_skip "$name" "$last" ;;
	*)	echo "# $name: exit $rc after $((SECONDS - start)) s"
		ktap_fail "$name" ;;
	esac
}

ktap_finish()
{
	if [ -n "$KTAP_PLAN" ] && [ "$KTAP_PLAN" -ne "$KTAP_N" ]; then
		echo "# planned $KTAP_PLAN tests but ran $KTAP_N"
		KTAP_FAIL=$((KTAP_FAIL + 1))
	fi
	echo "# Totals: pass:$KTAP_PASS fail:$KTAP_FAIL xfail:0 xpass:0 skip:$KTAP_SKIP error:0"
	if [ "$KTAP_FAIL" -gt 0 ]; then
		exit $KSFT_FAIL
	fi
	if [ "$KTAP_PASS" -eq 0 ]; then
		exit $KSFT_SKIP
	fi
	exit $KSFT_PASS
}
