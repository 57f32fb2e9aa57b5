#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The drive leaves without a word: its registers and its configuration read all ones,
# then the host takes notice. Users of instances get errors and can end, the host
# gets rid of the drive, and when it is back all of it works again. And a drive that
# stays on the bus but is dead: found out by nvme's own timeouts.
#
# lab-options: --slots 1
#
# Arguments: full (100 removals, the dead drive), guarded, direct, REMOVALS=N.

. "$(dirname "$0")/common.sh"
vm_args "$@"

REMOVALS=${REMOVALS:-${FULL:+100}}
REMOVALS=${REMOVALS:-5}
PORT=$(l1_port 0)
PORT_CONFIG=/sys/bus/pci/devices/$PORT/config

# peek OFFSET LENGTH, poke OFFSET BYTE...: configuration space of the port, decimal
peek()
{
	od -An -v -tu1 -j "$1" -N "$2" "$PORT_CONFIG"
}

poke()
{
	local offset=$1 byte

	for byte in "${@:2}"; do
		printf '%b' "\\0$(printf %03o "$byte")"
	done | dd of="$PORT_CONFIG" bs=1 seek=$((offset)) conv=notrunc status=none
}

# A device that is pulled out does no DMA: the port resets it. Then no cycle finds
# its way any more, neither to its configuration nor to its registers.
pull_out()
{
	local control

	BUSES=$(peek 0x19 2)
	COMMAND=$(peek 4 1)
	control=$(peek 0x3e 1)
	poke 0x3e $((control | 0x40))
	poke 4 $((COMMAND & ~6))
	poke 0x19 0 0
	poke 0x3e $((control))
}

# The emulated IOMMU has not heard that its device went, since it had another number at
# that moment: once more, with no driver that would use what it still knows.
# shellcheck disable=SC2086 # numbers
put_back()
{
	poke 0x19 $BUSES
	poke 4 $COMMAND
	rmmod nvme && echo 1 >"/sys/bus/pci/devices/$PORT/rescan" && notice &&
		modprobe nvme || return 1
	echo 1 >"/sys/bus/pci/devices/$PORT/rescan"
	l1_wait 30 l1_drive_ready 0 && vm_parents_ready || { echo "the drive is not back"; return 1; }
	[ "$(l1_all_ones_at 0)" = "$ONES" ] || { echo "its registers are somewhere else"; return 1; }
}

# What a hot-plug driver does when it sees that the slot is empty.
notice()
{
	echo 1 >"/sys/bus/pci/devices/$BDF/remove"
}

notice_in_the_background()
{
	notice &
	NOTICE=$!
}

noticed()
{
	vm_is_gone "$NOTICE"
}

# leave UUID: it and the drive are gone
leave()
{
	l1_wait 30 noticed || { echo "the host does not get rid of it"; return 1; }
	wait "$NOTICE"
	if [ -e "/sys/bus/mdev/devices/$1" ] || [ -e "/sys/bus/pci/devices/$BDF" ]; then
		echo "something is left"
		return 1
	fi
	l1_wait 5 vm_pins_are_back || { echo "pages stay pinned: $(vm_pins), were $VM_PINS"; return 1; }
	if grep lightiov /proc/interrupts; then
		echo "interrupts are left"
		return 1
	fi
}

host_is_ready()
{
	l1_all_ones 0 && ONES=$(l1_all_ones_at 0) &&
		vm_host_ready && modprobe vfio_iommu_type1 && BDF=$(l1_bdf 0) || return 1
	echo "the drive is $BDF behind $PORT"
	# What a timeout costs.
	l1_nvme_timeouts 0 5 5
}

idle_instances_go_along()
{
	local uuid

	uuid=$(vm_instance 2q 2) && vm_create 1q || return 1
	pull_out
	vm_log_mark
	notice_in_the_background
	leave "$uuid" && vm_log_says 'the controller has left' && put_back && vm_host_reads &&
		vm_counters_are_back
}

# A program on VFIO that does I/O ends because its controller is lost, not before.
removal_under_io()
{
	local uuid rc=0 start

	uuid=$(vm_instance 2q 2) || return 1
	vm_program_start "$uuid" || return 1
	sleep "0.$((RANDOM % 10))"
	start=$SECONDS
	pull_out
	notice_in_the_background
	l1_wait 30 vm_is_gone "$VM_PROGRAM" || { echo "its user hangs"; vm_program_kill; rc=1; }
	wait "$VM_PROGRAM" && rc=1
	grep -q 'controller was lost' $VM_PROGRAM_LOG &&
		grep -q 'ERR was raised 1 times' $VM_PROGRAM_LOG || { cat $VM_PROGRAM_LOG; rc=1; }
	leave "$uuid" || rc=1
	l1_took_at_most 20 $start || rc=1
	put_back && vm_host_reads || rc=1
	return $rc
}

removals_under_io()
{
	local i

	for ((i = 1; i <= REMOVALS; i++)); do
		removal_under_io || { echo "removal $i of $REMOVALS"; return 1; }
	done
	vm_counters_are_back
}

# An unbind in order with a program at work: its controller goes, and that is no error.
unbind_in_order_raises_nothing()
{
	local uuid rc=0

	uuid=$(vm_instance 2q 2) && vm_program_start "$uuid" || return 1
	vm_log_mark
	echo "$BDF" >/sys/bus/pci/drivers/nvme/unbind &
	NOTICE=$!
	l1_wait 20 vm_log_says 'waiting for the VM to release' || rc=1
	vm_program_stop || rc=1
	grep -q 'ERR was raised 0 times' $VM_PROGRAM_LOG || { echo "ERR was raised"; rc=1; }
	l1_wait 30 noticed || { echo "the unbind hangs"; rc=1; }
	[ ! -e "/sys/bus/mdev/devices/$uuid" ] || { echo "the instance is left"; rc=1; }
	echo "$BDF" >/sys/bus/pci/drivers/nvme/bind && l1_wait 30 l1_drive_ready 0 &&
		vm_parents_ready && vm_host_reads && vm_counters_are_back || rc=1
	return $rc
}

host_gave_up()
{
	[ "$(cat /sys/class/nvme/nvme*/state)" = dead ]
}

# Registers read all ones, configuration does not: as with firmware that hangs. The host
# finds out, and gives it up.
drive_dies()
{
	BUSES=$(peek 0x19 2)
	COMMAND=$(peek 4 1)
	vm_log_mark
	poke 4 $((COMMAND & ~2))
	timeout 60 dd if="$(l1_ns 0 1)" of=/dev/null bs=4k count=1 iflag=direct status=none
	l1_wait 60 host_gave_up || { cat /sys/class/nvme/nvme*/state; return 1; }
}

# dead_drive_leaves UUID: and comes back healthy
dead_drive_leaves()
{
	local rc=0

	pull_out
	notice_in_the_background
	leave "$1" || rc=1
	COMMAND=$((COMMAND | 6))
	put_back && vm_host_reads && vm_counters_are_back || rc=1
	return $rc
}

# A program is told when nvme gives the controller up, while that is still on the bus.
dead_drive_raises_err()
{
	local uuid rc=0

	uuid=$(vm_instance 2q 2) && vm_program_start "$uuid" || return 1
	drive_dies || rc=1
	l1_wait 60 vm_is_gone "$VM_PROGRAM" || { echo "its user hangs"; vm_program_kill; rc=1; }
	grep 'ERR was raised 1 times' $VM_PROGRAM_LOG || { cat $VM_PROGRAM_LOG; rc=1; }
	mdev_remove "$uuid" || rc=1
	dead_drive_leaves "$uuid" || rc=1
	return $rc
}

# guest_gets_errors SECONDS: its I/O ends, with errors, and it lives
guest_gets_errors()
{
	l2_exec vm0 --timeout $(($1 * 2)) "for i in \$(seq $1); do
		pgrep -x fio >/dev/null || break; sleep 1
	done
	! pgrep -x fio >/dev/null || { dmesg | tail -n 20; exit 1; }
	grep -E -m 3 'error|Input/output' /tmp/fio.log; dmesg | grep -iE 'nvme' | tail -n 4"
}

start_guest()
{
	UUID=$(vm_instance 1q 2) && vm_guest vm0 --mdev "$UUID" && vm_guest_nvme vm0 &&
		vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=64m --iodepth=16
}

removal_under_a_guest()
{
	start_guest || return 1
	pull_out
	notice_in_the_background
	guest_gets_errors 150 || return 1
	vm_state_is running || { l2_monitor vm0 "info status"; return 1; }
	noticed && { echo "removed under a guest that does not let go"; return 1; }
	l2_stop vm0 && leave "$UUID" && put_back && vm_host_reads && vm_counters_are_back
}

vm_state_is()
{
	l2_monitor vm0 "info status" | grep -q "$1"
}

# Where an operator wants it: a VM stops at once, and stays until it is ended.
removal_stops_a_vm_if_told_to()
{
	local param=/sys/module/lightiov/parameters/stop_vm_on_loss rc=0

	echo Y >$param
	start_guest || { echo N >$param; return 1; }
	echo N >$param
	vm_state_is running || rc=1
	pull_out
	notice_in_the_background
	l1_wait 30 vm_state_is internal-error || { l2_monitor vm0 "info status"; rc=1; }
	l2_kill9 vm0 && leave "$UUID" && put_back && vm_host_reads && vm_counters_are_back ||
		rc=1
	return $rc
}

# Stock QEMU unplugs a device in a hot-plug slot when VFIO asks for it.
removal_from_a_slot_of_the_guest()
{
	UUID=$(vm_instance 1q 3) || return 1
	vm_guest vm1 --qemu-arg -device --qemu-arg pcie-root-port,id=rp0,chassis=1 \
		--qemu-arg -device --qemu-arg \
		"vfio-pci,bus=rp0,sysfsdev=/sys/bus/mdev/devices/$UUID${IOMMUFD:+,iommufd=iommufd0}" &&
		vm_guest_nvme vm1 || return 1
	pull_out
	notice_in_the_background
	l1_wait 100 noticed || { l2_exec vm1 'dmesg | tail -n 20'; return 1; }
	leave "$UUID" && l2_exec vm1 '[ ! -e /dev/nvme0 ]' && l2_stop vm1 && put_back &&
		vm_host_reads && vm_counters_are_back
}

dead_drive_under_a_guest()
{
	local rc=0 start

	start_guest || return 1
	drive_dies || rc=1
	l1_wait 5 vm_log_says 'lightiov: nvme has given the controller up' || { vm_log_since_mark; rc=1; }
	start=$SECONDS
	guest_gets_errors 200 || rc=1
	[ "$(mdev_attr "$UUID" state)" = lost ] || { mdev_attr "$UUID" state; rc=1; }
	vm_log_mark
	l2_stop vm0 || rc=1
	mdev_remove "$UUID" || rc=1
	echo "errors and the end of the guest took $((SECONDS - start)) s"
	# It could not be disabled: what its queues point to is nobody else's.
	[ "$MODE" = direct ] || vm_log_says 'guest memory leaked: .* may still write to them' ||
		{ vm_log_since_mark; rc=1; }
	dead_drive_leaves "$UUID" || rc=1
	return $rc
}

nothing_is_left()
{
	vm_counters_are_back && rmmod lightiov && vm_host_reads && rmmod nvme
}

clean_up()
{
	vm_kill_guests
	pkill -9 -x liov_cycle
	[ -z "${NOTICE:-}" ] || wait "$NOTICE"
	l1_drive_ready 0 || put_back
	vm_remove_all
}
# shellcheck disable=SC2034 # for vm_run
VM_AFTER_FAILURE=clean_up

# shellcheck disable=SC2034 # for common.sh
for MODE in $MODES; do
	vm_test host_is_ready host_is_ready
	vm_test idle_instances_go_along idle_instances_go_along
	vm_test "${REMOVALS}_removals_under_io" removals_under_io
	vm_test unbind_in_order_raises_nothing unbind_in_order_raises_nothing
	vm_test removal_under_a_guest removal_under_a_guest
	vm_test removal_from_a_hot_plug_slot_of_the_guest removal_from_a_slot_of_the_guest
	if [ -n "$FULL" ]; then
		vm_test removal_stops_a_vm_if_told_to removal_stops_a_vm_if_told_to
		vm_test dead_drive_raises_err dead_drive_raises_err
		vm_test dead_drive_under_a_guest dead_drive_under_a_guest
	fi
	vm_test nothing_is_left nothing_is_left
done
vm_run
