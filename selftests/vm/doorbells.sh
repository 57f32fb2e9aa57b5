#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The ways a doorbell can travel: tracked by KVM with the CQ head forwarded at
# once or with the next submission, and by VFIO region write when the pages are
# not mapped; and interrupts that are moved and masked by the guest meanwhile.

. "$(dirname "$0")/common.sh"
vm_args "$@"

SECS=${SECS:-8}
FIO="--filename=/dev/nvme0n1 --rw=randread --bs=4k --size=64m --iodepth=4 --time_based --runtime=$SECS"

host_is_ready()
{
	vm_host_ready
}

# guest_with MODE [QEMU device properties]: an instance opened in that CQ mode
guest_with()
{
	echo "$1" >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/cq_head" || return 1
	UUID=$(vm_instance 2q 2) || return 1
	vm_guest vm0 --cpus 2 --qemu-arg -device \
		--qemu-arg "vfio-pci,sysfsdev=/sys/bus/mdev/devices/$UUID${2:-}" &&
		vm_guest_nvme vm0
}

guest_gone()
{
	vm_guest_log_is_clean vm0 && l2_stop vm0 && mdev_remove "$UUID"
}

ios_of_guest()
{
	l2_exec vm0 "awk '{ print \$1 + \$5 }' /sys/block/nvme0n1/stat"
}

stats()
{
	local s

	for s in sq_doorbells cq_doorbells interrupts tracking_adds; do
		declare -g "${s^^}=$(mdev_attr "$UUID" stats/$s)"
	done
	echo "SQ doorbells $SQ_DOORBELLS, CQ doorbells $CQ_DOORBELLS," \
		"interrupts $INTERRUPTS, pages tracked $TRACKING_ADDS"
}

tracked_heads_are_forwarded_at_once()
{
	guest_with tracked && vm_fio vm0 "CQ head tracked" "$FIO" ||
		{ vm_guest_trouble vm0 "$UUID"; return 1; }
	stats
	# Four pages; each interrupt's completions are acknowledged by a store.
	[ "$TRACKING_ADDS" -ge 4 ] && [ $((CQ_DOORBELLS * 2)) -gt "$INTERRUPTS" ]
}

interrupts_follow_the_guest()
{
	local before after

	vm_fio_start vm0 "--filename=/dev/nvme0n1 --rw=randread --bs=4k --iodepth=4" || return 1
	before=$(ios_of_guest)
	l2_exec vm0 --timeout 120 'moved=0
		for i in $(seq 10); do for irq in $(awk -F: "/nvme0q/ { print \$1 }" /proc/interrupts); do
			echo $((i % 2)) >/proc/irq/$irq/smp_affinity_list 2>/dev/null && moved=$((moved + 1))
		done; sleep 0.2; done; echo "moves: $moved"'
	# A reset of the controller masks and unmasks every vector.
	l2_exec vm0 --timeout 120 'for i in 1 2 3; do
		echo 1 >/sys/class/nvme/nvme0/reset_controller && sleep 1 || exit 1; done' || return 1
	after=$(ios_of_guest)
	echo "I/Os meanwhile: $((after - before))"
	vm_fio_stop vm0 && [ "$after" -gt "$before" ] && guest_gone
}

lazy_heads_cost_no_exit()
{
	guest_with lazy && vm_fio vm0 "CQ head lazy" "$FIO" || return 1
	stats
	[ "$CQ_DOORBELLS" -le "$SQ_DOORBELLS" ] && guest_gone
}

region_writes_work_too()
{
	guest_with auto ,x-no-mmap=on && vm_fio vm0 "no doorbell page mapped" "$FIO" || return 1
	stats
	[ "$TRACKING_ADDS" = 0 ] && guest_gone
}

ktap_plan 6
ktap_run host_is_ready host_is_ready
ktap_run tracked_heads_are_forwarded_at_once tracked_heads_are_forwarded_at_once
ktap_run interrupts_follow_the_guest interrupts_follow_the_guest
ktap_run lazy_heads_cost_no_exit lazy_heads_cost_no_exit
ktap_run region_writes_work_too region_writes_work_too
ktap_run nothing_is_left vm_nothing_is_left
vm_finish
