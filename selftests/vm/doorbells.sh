#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The ways a doorbell can travel: tracked by KVM, and by VFIO region write when the
# pages are not mapped. In direct mode the CQ head is forwarded at once or with
# the next submission; in guarded mode it is never trapped. And interrupts that
# are moved and masked by the guest meanwhile.

. "$(dirname "$0")/common.sh"
vm_args "$@"

SECS=${SECS:-5}
FIO="--filename=/dev/nvme0n1 --rw=randread --bs=4k --size=64m --iodepth=4 --time_based --runtime=$SECS"

# guest_with CQ-HEAD [QEMU device properties]: an instance whose CQ heads go that
# way; guarded mode has only one
guest_with()
{
	[ "$MODE" = guarded ] ||
		echo "$1" >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/cq_head" || return 1
	UUID=$(vm_instance 2q 2) || return 1
	vm_guest vm0 --cpus "${CPUS:-2}" --mem 640 --qemu-arg -device \
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

# Of each pair only the SQ's page is tracked: KVM emulates the guest's stores to
# that one, about one for each ring; a store to the other, one for each interrupt,
# costs nothing. How often pages were tracked says nothing: firmware and kernel
# move the BAR. Of a busy queue no store is emulated.
heads_are_not_tracked()
{
	local emulated rings interrupts param=/sys/module/lightiov/parameters/busy_doorbells

	guest_with none || { vm_guest_trouble vm0 "$UUID"; return 1; }
	emulated=$(kvm_exit vm0 pf_emulate)
	stats
	rings=$SQ_DOORBELLS interrupts=$INTERRUPTS
	echo N >$param
	vm_fio vm0 "guarded" "$FIO" || { echo Y >$param; vm_guest_trouble vm0 "$UUID"; return 1; }
	echo Y >$param
	emulated=$(($(kvm_exit vm0 pf_emulate) - emulated))
	stats
	rings=$((SQ_DOORBELLS - rings)) interrupts=$((INTERRUPTS - interrupts))
	echo "$emulated stores emulated, $rings rings, $interrupts interrupts"
	[ $rings -gt 100 ] && [ $emulated -gt $((rings / 2)) ] &&
		[ $emulated -lt $((rings + interrupts / 2)) ]
}

lazy_heads_cost_no_exit()
{
	guest_with lazy && vm_fio vm0 "CQ head lazy" "$FIO" || return 1
	stats
	[ "$CQ_DOORBELLS" -le "$SQ_DOORBELLS" ] && guest_gone
}

# exits_and_rings DEPTH: of so many commands at a time in guest vm0, in EXITS, RINGS, HALTS
# and IOS
exits_and_rings()
{
	EXITS=$(mdev_attr "$UUID" stats/doorbell_exits)
	RINGS=$(mdev_attr "$UUID" stats/sq_doorbells)
	HALTS=$(mdev_attr "$UUID" stats/halt_doorbells)
	IOS=$(ios_of_guest)
	vm_fio vm0 "queue depth $1" "--filename=/dev/nvme0n1 --rw=randread --bs=4k --size=64m \
		--iodepth=$1 --time_based --runtime=$SECS" || return 1
	EXITS=$(($(mdev_attr "$UUID" stats/doorbell_exits) - EXITS))
	RINGS=$(($(mdev_attr "$UUID" stats/sq_doorbells) - RINGS))
	HALTS=$(($(mdev_attr "$UUID" stats/halt_doorbells) - HALTS))
	IOS=$(($(ios_of_guest) - IOS))
	echo "depth $1: $IOS I/Os, $EXITS exits for doorbells, $RINGS rings, $HALTS at halts, busy" \
		"$(mdev_attr "$UUID" stats/busy_periods) times so far"
}

# The emulated host now and then stops for so long that commands seem to be rare, and the
# queue is not taken to be busy: then it is tried again.
few_exits_at_depth()
{
	for _ in 1 2 3; do
		exits_and_rings "$1" || return 2
		[ $((EXITS * 4)) -ge "$IOS" ] || return 0
	done
	echo "too many exits"
	return 1
}

# guest_has_few_exits DEPTH: or is on a debug kernel that is too slow: then it goes, and the
# test is skipped
guest_has_few_exits()
{
	local rc

	few_exits_at_depth "$1"
	rc=$?
	[ $rc != 0 ] || return 0
	vm_guest_trouble vm0 "$UUID"
	# A queue is busy when commands come less than 4 ms apart.
	[ $rc = 1 ] && vm_is_debug_kernel && [ "$IOS" -lt $((SECS * 300)) ] && guest_gone || return 1
	echo "too slow on this kernel for a queue to be busy"
	return "$KSFT_SKIP"
}

# A queue's completions and a timer look at its doorbell. The rest are retreats: other vCPUs'
# queues, the beginning, a pause of the guest.
busy_queues_cost_no_exit()
{
	local param=/sys/module/lightiov/parameters/busy_doorbells rc

	guest_with auto || { vm_guest_trouble vm0 "$UUID"; return 1; }
	guest_has_few_exits 32 || return
	echo N >$param
	exits_and_rings 32
	rc=$?
	echo Y >$param
	[ $rc = 0 ] && [ $((EXITS * 4)) -gt $((RINGS * 3)) ] && guest_gone
}

# One command at a time: the guest's halts look. Of one vCPU, or the guest moves the work, and
# each queue is a busy one for some commands only.
lone_commands_go_at_halts()
{
	local CPUS=1

	guest_with auto || { vm_guest_trouble vm0 "$UUID"; return 1; }
	guest_has_few_exits 1 || return
	[ $((HALTS * 2)) -gt "$RINGS" ] || { echo "but not at halts"; return 1; }
	guest_gone
}

# As if interrupts were posted to the guest's CPU: none of them looks at the doorbells.
posted_interrupts_need_no_exits()
{
	vm_host_ready lacks=host_interrupts && lone_commands_go_at_halts
}

# Nor do halts: the timer alone does, and not only every 8 ms as where others look as well.
timer_looks_often_enough()
{
	local CPUS=1 rings

	vm_host_ready lacks=host_interrupts,halts && guest_with auto ||
		{ vm_guest_trouble vm0 "$UUID"; return 1; }
	for _ in 1 2 3; do
		guest_has_few_exits 32 || return
		rings=$(((RINGS - EXITS) / SECS))
		echo "$rings a second by the timer"
		[ $rings -le 180 ] || break
	done
	[ $rings -gt 180 ] &&
		vm_fio vm0 verified --filename=/dev/nvme0n1 --rw=randrw "$VM_MIXED_BS" --size=64m \
			--iodepth=32 --time_based --runtime="$SECS" "$VM_VERIFY" && guest_gone
}

region_writes_work_too()
{
	guest_with auto ,x-no-mmap=on && vm_fio vm0 "no doorbell page mapped" "$FIO" || return 1
	stats
	[ "$TRACKING_ADDS" = 0 ] && guest_gone
}

clean_up()
{
	vm_kill_guests
	vm_remove_all
}

# shellcheck disable=SC2034 # for common.sh
VM_AFTER_FAILURE=clean_up
for MODE in $MODES; do
	vm_test host_is_ready vm_host_ready
	if [ "$MODE" = guarded ]; then
		vm_test heads_are_not_tracked heads_are_not_tracked
	else
		vm_test tracked_heads_are_forwarded_at_once tracked_heads_are_forwarded_at_once
	fi
	vm_test interrupts_follow_the_guest interrupts_follow_the_guest
	if [ "$MODE" = direct ]; then
		vm_test lazy_heads_cost_no_exit lazy_heads_cost_no_exit
	fi
	vm_test busy_queues_cost_no_exit busy_queues_cost_no_exit
	vm_test lone_commands_go_at_halts lone_commands_go_at_halts
	vm_test region_writes_work_too region_writes_work_too
	vm_test nothing_is_left vm_nothing_is_left
	if [ "$MODE" = direct ]; then
		vm_test posted_interrupts_need_no_exits posted_interrupts_need_no_exits
		vm_test nothing_is_left_of_that vm_nothing_is_left
		vm_test timer_looks_often_enough timer_looks_often_enough
		vm_test nothing_is_left_of_the_timer vm_nothing_is_left
	fi
done
vm_run
