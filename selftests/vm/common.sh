# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the guest scenarios share. Source it first, with the scenario's own
# arguments:
#
#	. "$(dirname "$0")/common.sh"
#	vm_args "$@"
#
# Arguments of every scenario: "full" for the long variant, "guarded" or "direct"
# for one mode only (a scenario that knows both runs in both), NAME=VALUE to set
# a variable. ONLY=REGEX plans just the tests whose names match.
# IOMMUFD=1 has guests and programs use VFIO through iommufd, where the kernel has it.
# A scenario that needs options of "lab run" names them in a comment "lab-options:" in
# its first lines.
#
# MODE is the mode of the instances that are made. In guarded mode the attribute
# is not touched and the guest is not changed: that is the default a user gets.
# In direct mode lightiov_guest.ko is loaded in the guest.
#
# Here are arguments and the plan; each file of lib/ says in its first lines what it has.

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$VM_DIR/../lab/l1.sh"
# shellcheck source=selftests/vm/lib/host.sh
. "$VM_DIR/lib/host.sh"
# shellcheck source=selftests/vm/lib/log.sh
. "$VM_DIR/lib/log.sh"
# shellcheck source=selftests/vm/lib/instance.sh
. "$VM_DIR/lib/instance.sh"
# shellcheck source=selftests/vm/lib/left.sh
. "$VM_DIR/lib/left.sh"
# shellcheck source=selftests/vm/lib/program.sh
. "$VM_DIR/lib/program.sh"
# shellcheck source=selftests/vm/lib/guest.sh
. "$VM_DIR/lib/guest.sh"
# shellcheck source=selftests/vm/lib/fio.sh
. "$VM_DIR/lib/fio.sh"

FULL=${FULL:-}
SHARED=${SHARED:-}
MODE=${MODE:-guarded}
MODES=${MODES:-}
VM_STARTED=$SECONDS

vm_args()
{
	local arg

	for arg in "$@"; do
		case $arg in
		full) FULL=1 ;;
		guarded|direct|MODE=*)
			MODES=${MODES:+$MODES }${arg#MODE=}
			MODE=${MODES%% *} ;;
		[A-Z]*=*) declare -g "$arg" ;;
		*) echo "Bail out! unknown argument: $arg"; exit 1 ;;
		esac
	done
	MODES=${MODES:-guarded direct}
	[ -z "${IOMMUFD:-}" ] || vm_use_iommufd
	[ -z "$SHARED" ] || export LIGHTIOV_TYPES="shared-4q shared-2q"
}

vm_use_iommufd()
{
	modprobe -q iommufd
	if [ ! -c /dev/iommu ]; then
		echo "TAP version 13"
		echo "1..0 # SKIP this kernel has no iommufd"
		exit 4
	fi
	export LIGHTIOV_IOMMUFD=1
}

# All of a scenario's tests in this mode? The short variant of both modes leaves out
# in direct mode what guarded mode has shown.
vm_all()
{
	[ -n "$FULL" ] || [ "$MODE" = guarded ] || [ "$MODES" = direct ]
}

# vm_test NAME FUNCTION [ARG...]: a test of the plan, in the mode MODE has now;
# its name in the results begins with the mode. vm_run runs all of them, and
# VM_AFTER_FAILURE, if set, after each that failed.
VM_TESTS=()
VM_AFTER_FAILURE=
vm_test()
{
	[ -z "${ONLY:-}" ] || grep -qE -- "$ONLY" <<<"$1" || return 0
	VM_TESTS+=("$(printf '%q ' "$MODE" "$@")")
}

vm_run()
{
	local test failed start
	local -a words

	ktap_plan ${#VM_TESTS[@]}
	for test in "${VM_TESTS[@]}"; do
		eval "words=($test)"
		MODE=${words[0]}
		failed=$KTAP_FAIL
		start=$SECONDS
		ktap_run "$MODE.${words[1]}" "${words[@]:2}"
		[ $((SECONDS - start)) -lt 5 ] || echo "# it took $((SECONDS - start)) s"
		[ "$KTAP_FAIL" = "$failed" ] || [ -z "$VM_AFTER_FAILURE" ] ||
			$VM_AFTER_FAILURE
	done
	vm_finish
}

# vm_give_up WHAT...: the end of a measurement that cannot go on
vm_give_up()
{
	echo "$(basename "$0" .sh): FAILED: $*"
	dmesg | grep -iE 'lightiov|vfio|nvme' | tail -n 8
	exit 1
}

# How long it took, then the totals.
vm_finish()
{
	[ "$L1_SLOW" = 100 ] || echo "# limits were stretched to $L1_SLOW %"
	echo "# ${0##*/}${FULL:+ (full)} took $((SECONDS - VM_STARTED)) s"
	ktap_finish
}
