# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Instances: how they are made in this MODE, what they count, how all of them go.
# Sourced by ../common.sh.

# vm_create TYPE [DRIVE]: prints the UUID of a new instance of this MODE. SHARED=1: one whose
# queue pairs are shared, two at least
vm_create()
{
	local uuid type=$1

	[ -z "$SHARED" ] || type=shared-${type/#1q/2q}
	uuid=$(mdev_create "$(l1_bdf "${2:-0}")" "$type") || return 1
	if [ "$MODE" = direct ]; then
		mdev_attr "$uuid" mode direct || return 1
	fi
	if [ "$(mdev_attr "$uuid" mode)" != "$MODE" ]; then
		l1_err "mode is $(mdev_attr "$uuid" mode), not $MODE"
		return 1
	fi
	echo "$uuid"
}

# vm_instance TYPE NSID|BACKING [DRIVE]: the same with a backing: the namespace
# of this number, or what the path says
vm_instance()
{
	local uuid dev=$2

	case $dev in
	/*) ;;
	*) dev=$(l1_ns "${3:-0}" "$2") || { l1_err "no namespace $2"; return 1; } ;;
	esac
	uuid=$(vm_create "$1" "${3:-0}") || return 1
	mdev_attr "$uuid" backing "$dev" || return 1
	echo "$uuid"
}

# vm_stats UUID: counters of an instance that are not 0, in one line
vm_stats()
{
	(cd "/sys/bus/mdev/devices/$1/lightiov/stats" && grep -s . ./*) |
		grep -v -e ':0$' -e latency: | sed 's|^\./||' | paste -sd ' '
}

# Removes every instance that is left, so that a test that failed does not make
# the next ones fail. Guests must be gone.
vm_remove_all()
{
	local d rc=0

	for d in /sys/bus/mdev/devices/*; do
		[ ! -e "$d" ] || mdev_remove "${d##*/}" || rc=1
	done
	return $rc
}
