#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user-space programs of selftests/vfio on a fresh instance: no KVM, no
# guest, every register and command by hand. They run through run_on_hardware,
# as they would on a real drive; their own KTAP goes out as it is.

. "$(dirname "$0")/common.sh"
vm_args "$@"

on_hardware()
{
	OUTPUT=/out/vfio LIGHTIOV_BDF=$(l1_bdf 0) LIGHTIOV_BACKING=$1 \
		"$LAB/../run_on_hardware"
}

host_is_ready()
{
	vm_host_ready
}

device_in_use_is_refused()
{
	local dev out

	dev=$(l1_ns 0 3) && mke2fs -q "$dev" 16m && mkdir -p /run/mnt && mount "$dev" /run/mnt || return 1
	out=$(on_hardware "$dev")
	umount /run/mnt
	echo "$out"
	grep -q '^Bail out.*in use' <<<"$out"
}

host_goes_on_working()
{
	vm_host_fio "host after it" --filename="$(l1_ns 0 1)" --rw=randwrite --bs=4k \
		--size=4m --iodepth=8 --verify=crc32c
}

ktap_plan 4
ktap_run host_is_ready host_is_ready
ktap_run device_in_use_is_refused device_in_use_is_refused
on_hardware "$(l1_ns 0 2)" || KTAP_FAIL=$((KTAP_FAIL + 1))
ktap_run host_goes_on_working host_goes_on_working
ktap_run nothing_is_left vm_nothing_is_left
vm_finish
