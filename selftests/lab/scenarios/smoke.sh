#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The lab itself works: L1 has its drives and its KVM, a plain guest runs.

. "$(dirname "$0")/../l1.sh"

DRIVES=$(l1_drives)

host_driver_binds_every_drive()
{
	local n

	[ "$DRIVES" -gt 0 ] || return 1
	[ ! -d /sys/module/nvme ] || { echo "nvme came by itself"; return 1; }
	l1_load_nvme || return 1
	for ((n = 0; n < DRIVES; n++)); do
		echo "drive $n: $(l1_bdf $n) $(l1_ctrl $n) $(l1_ns $n 1)"
	done
}

dma_is_translated()
{
	local type

	grep -q 'iommu=off\|iommu=pt' /proc/cmdline && return "$KSFT_SKIP"
	type=$(cat "/sys/bus/pci/devices/$(l1_bdf 0)/iommu_group/type")
	echo "$type"
	[[ $type = DMA* ]]
}

host_io_with_verification()
{
	local dev

	dev=$(l1_ns 0 1) || return 1
	fio --name=smoke --filename="$dev" --rw=randwrite --bs=4k --size=4m \
		--direct=1 --ioengine=io_uring --iodepth=8 --verify=crc32c \
		--minimal >/dev/null
}

plain_guest_comes_up()
{
	local start=$SECONDS

	l1_load_kvm && l2_start vm0 && l2_wait_up vm0 || return 1
	echo "agent answers $((SECONDS - start)) s after l2_start"
}

commands_run_in_the_guest()
{
	local out

	out=$(l2_exec vm0 'uname -r') || return 1
	[ "/boot/vmlinuz-$out" = "$(readlink -f /boot/lab-l2-vmlinuz)" ] || return 1
	l2_exec vm0 'exit 7'
	[ $? = 7 ] || { echo "exit code lost"; return 1; }
	l2_exec vm0 --timeout 2 'sleep 60'
	[ $? = 124 ] || { echo "timeout not kept"; return 1; }
	# More than any buffer on the way holds.
	[ "$(l2_exec vm0 'head -c 300000 /dev/zero | tr "\0" x' | wc -c)" = 300000 ]
}

exits_are_counted()
{
	local before after

	before=$(kvm_exit vm0 exits) || return 1
	l2_exec vm0 true || return 1
	after=$(kvm_exit vm0 exits)
	echo "exits of one command: $((after - before))"
	[ "$after" -gt "$before" ] && kvm_exits vm0 | grep -q '^mmio_exits '
}

guest_reboots()
{
	l2_reboot vm0 && l2_exec vm0 true
}

guest_powers_off()
{
	l2_stop vm0
}

ktap_plan 8
ktap_run host_driver_binds_every_drive host_driver_binds_every_drive
ktap_run dma_is_translated dma_is_translated
ktap_run host_io_with_verification host_io_with_verification
ktap_run plain_guest_comes_up plain_guest_comes_up
ktap_run commands_run_in_the_guest commands_run_in_the_guest
ktap_run exits_are_counted exits_are_counted
ktap_run guest_reboots guest_reboots
ktap_run guest_powers_off guest_powers_off
ktap_finish
