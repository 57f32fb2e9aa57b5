#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A whole drive through vfio-pci in a guest: the reference LightIOV is measured
# against must work in the lab.

. "$(dirname "$0")/../l1.sh"

BDF=$(l1_bdf 0)
SUM=

host_leaves_a_pattern()
{
	local dev

	l1_load_nvme || return 1
	dev=$(l1_ns 0 1) || return 1
	head -c 4096 /dev/urandom >/tmp/pattern
	dd if=/tmp/pattern of="$dev" bs=4096 count=1 oflag=direct status=none ||
		return 1
	SUM=$(sha256sum </tmp/pattern)
}

drive_goes_to_vfio_pci()
{
	l1_bind_vfio "$BDF"
}

guest_with_the_drive_comes_up()
{
	l2_start ref --vfio-pci "$BDF" && l2_wait_up ref
}

guest_reads_what_the_host_wrote()
{
	local dev out

	l2_load_nvme ref || return 1
	dev=$(l2_ns ref nvme0 1) || return 1
	out=$(l2_exec ref "dd if=$dev bs=4096 count=1 iflag=direct \
		status=none | sha256sum") || return 1
	[ "$out" = "$SUM" ]
}

drive_comes_back_to_the_host()
{
	l2_stop ref && l1_bind_nvme "$BDF" && l1_wait 30 l1_drive_ready 0 &&
		[ "$(head -c 4096 "$(l1_ns 0 1)" | sha256sum)" = "$SUM" ]
}

ktap_plan 5
ktap_run host_leaves_a_pattern host_leaves_a_pattern
ktap_run drive_goes_to_vfio_pci drive_goes_to_vfio_pci
ktap_run guest_with_the_drive_comes_up guest_with_the_drive_comes_up
ktap_run guest_reads_what_the_host_wrote guest_reads_what_the_host_wrote
ktap_run drive_comes_back_to_the_host drive_comes_back_to_the_host
ktap_finish
