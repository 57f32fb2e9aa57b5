# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Instances, through sysfs. Sourced by ../l1.sh.

L1_REMOVE_SECS=60

# mdev_create BDF TYPE [UUID]: prints the UUID. TYPE in full, or 4q for
# nvme-lightiov-4q.
mdev_create()
{
	local type=$2 uuid=${3:-} dir

	case $type in
	nvme-*) ;;
	*) type=nvme-lightiov-$type ;;
	esac
	[ -n "$uuid" ] || uuid=$(cat /proc/sys/kernel/random/uuid)
	dir=/sys/bus/pci/devices/$1/mdev_supported_types/$type
	[ -d "$dir" ] || { l1_err "$1 has no mdev type $type"; return 1; }
	echo "$uuid" >"$dir/create" || return 1
	[ -e "/sys/bus/mdev/devices/$uuid" ] || return 1
	echo "$uuid"
}

# mdev_remove UUID: for as long as somebody has it open the kernel waits, and no signal ends
# that; here it is a failure, so that what comes next can end those who have it.
mdev_remove()
{
	local removed rc=0

	read -r -t $((L1_REMOVE_SECS * L1_SLOW / 100)) removed < \
		<(echo 1 >"/sys/bus/mdev/devices/$1/remove" && echo yes) || rc=$?
	[ $rc -le 128 ] || l1_err "$1 is still open and not removed after $L1_REMOVE_SECS s"
	[ "$removed" = yes ]
}

# mdev_attr UUID NAME [VALUE]: read or write one of the instance's attributes
mdev_attr()
{
	local f=/sys/bus/mdev/devices/$1/lightiov/$2

	if [ $# -gt 2 ]; then
		echo "$3" >"$f"
	else
		cat "$f"
	fi
}
