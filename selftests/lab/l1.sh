# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What a scenario uses inside L1. Source it first:
#
#	. "$(dirname "$0")/../l1.sh"
#
# The functions are in l1/ (the host), l2/ (guests) and ktap.sh (results); each file says
# in its first lines what it has.

LAB=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# l1_err TEXT: a line of the result that says why; fails
l1_err()
{
	echo "# $*" >&2
	return 1
}

# shellcheck source=selftests/lab/ktap.sh
. "$LAB/ktap.sh"
# shellcheck source=selftests/lab/l1/pace.sh
. "$LAB/l1/pace.sh"
# shellcheck source=selftests/lab/l1/drives.sh
. "$LAB/l1/drives.sh"
# shellcheck source=selftests/lab/l1/drivers.sh
. "$LAB/l1/drivers.sh"
# shellcheck source=selftests/lab/l1/mdev.sh
. "$LAB/l1/mdev.sh"
# shellcheck source=selftests/lab/l2/machine.sh
. "$LAB/l2/machine.sh"
# shellcheck source=selftests/lab/l2/boot.sh
. "$LAB/l2/boot.sh"
# shellcheck source=selftests/lab/l2/exec.sh
. "$LAB/l2/exec.sh"
# shellcheck source=selftests/lab/l2/kvm.sh
. "$LAB/l2/kvm.sh"
