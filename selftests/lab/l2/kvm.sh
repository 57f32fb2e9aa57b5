# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What KVM counts of a guest. Sourced by ../l1.sh.

# kvm_exits NAME: "counter value" lines of this guest's KVM
kvm_exits()
{
	local pid dir f

	pid=$(l2_pid "$1") || return 1
	for dir in "/sys/kernel/debug/kvm/$pid"-*; do
		[ -e "$dir/exits" ] || continue
		for f in "$dir"/*; do
			[ -f "$f" ] && echo "${f##*/} $(cat "$f" 2>/dev/null)"
		done
		return 0
	done
	l1_err "no KVM counters of guest $1"
}

# kvm_exit NAME COUNTER: one of them
kvm_exit()
{
	local f

	f=$(echo "/sys/kernel/debug/kvm/$(l2_pid "$1")"-*/"$2")
	cat "$f"
}
