# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the host's own commands do to a backing that is in use, or was between two
# opens: format, detach; and namespaces of another command set. Sourced by backing.sh,
# whose functions it uses. A program on VFIO does verified I/O (liov_cycle, vm_program_*),
# which ends when its controller is lost.
#
# Namespace 3 of drive 0 is nobody else's here. Formats of QEMU's: 0 has blocks of 512
# bytes, 4 of 4096, both without metadata.

NSID_HOST=3

format()
{
	nvme format "/dev/$(l1_ctrl 0)" --namespace-id=$NSID_HOST --lbaf="$1" --force >/dev/null ||
		{ echo "nvme format --lbaf=$1 failed"; return 1; }
	l1_wait 20 block_size_is "$2" || { echo "the host does not see blocks of $2 bytes"; return 1; }
}

block_size_is()
{
	local ns

	ns=$(l1_ns 0 $NSID_HOST 0 2>/dev/null) && [ "$(blockdev --getss "$ns")" = "$1" ]
}

says()
{
	vm_log_says "$1" || { echo "no such line: $1"; vm_log_since_mark | tail; return 1; }
}

program_is_stopped()
{
	# Its controller had a fatal status, and it says so; what ends it in order, says other things.
	l1_wait 60 vm_is_gone "$VM_PROGRAM" || { echo "the program goes on"; vm_program_kill; return 1; }
	! wait "$VM_PROGRAM" || { echo "it ended as if nothing had been"; return 1; }
	cat $VM_PROGRAM_LOG
}

# cannot_open REGEX: and the log says why, if the instance has its line of that second left
cannot_open()
{
	sleep 1
	vm_log_mark
	! /out/vfio/liov_cycle "$C" 1 2>&1 || { echo "it could be opened"; return 1; }
	says "$1"
}

host_commands_ready()
{
	modprobe vfio_iommu_type1
	NS3=$(l1_ns 0 $NSID_HOST) && { block_size_is 512 || format 0 512; } &&
		C=$(vm_create 1q) && backing "$C" "$NS3"
}

zoned()
{
	local ns

	ns=$(l1_ns 0 6 1) || { echo "no namespace 6"; return "$KSFT_SKIP"; }
	refused "$NOTSUP" "${ns#/dev/} is zoned" "$C" "$ns" &&
		refused "$NOTSUP" "${ns#/dev/} is zoned" "$C" "$ns:0+8"
}

# Before its first block has changed the host's command has waited for the fence.
format_stops_the_user()
{
	vm_program_start "$C" || return 1
	vm_log_mark
	format 4 4096 || return 1
	says "$C: .*Format NVM .* namespace $NSID_HOST, .* controller stops" && program_is_stopped
}

other_format_is_refused()
{
	cannot_open "$C: .*blocks of 4096 bytes, 512 before.*write the backing again"
}

written_again_it_has_the_new_format()
{
	local blocks

	backing "$C" "$NS3" && vm_program_start "$C" && vm_program_stop || return 1
	blocks=$(($(blockdev --getsize64 "$NS3") / 4096))
	refused "$RANGE" "which has $blocks logical blocks of 4096 bytes" "$C" "$NS3:0+$((blocks + 1))"
}

# The blocks are erased, but it is the same namespace in the same format.
same_format_stops_and_goes_on()
{
	vm_program_start "$C" || return 1
	vm_log_mark
	format 4 4096 && says "$C: .*Format NVM .* controller stops" && program_is_stopped &&
		vm_program_start "$C" && vm_program_stop && format 4 4096 &&
		vm_program_start "$C" && vm_program_stop
}

# Whoever opened the device can make its work items sleep for as long as he likes, and with
# them the lock of its slow path. What follows a format he does not reach all the same.
format_does_not_wait_for_who_sleeps()
{
	vm_program_start "$C" 0 asleep && l1_wait 60 grep -q 'it sleeps' $VM_PROGRAM_LOG ||
		{ cat $VM_PROGRAM_LOG; return 1; }
	vm_log_mark
	format 4 4096 && says "$C: .*Format NVM .* controller stops" && program_is_stopped || return 1
	grep -q 'nothing was done after it' $VM_PROGRAM_LOG || return 1
	! vm_log_says 'could not be deleted in time' && vm_program_start "$C" && vm_program_stop
}

# As nvme-cli 3 does; nvme-core has another path for it.
format_by_io_uring_stops_the_user()
{
	vm_program_start "$C" || return 1
	vm_log_mark
	/out/vfio/uring_admin "/dev/$(l1_ctrl 0)" 0x80 $NSID_HOST 4 || return 1
	says "$C: .*Format NVM .* controller stops" && program_is_stopped &&
		vm_program_start "$C" && vm_program_stop
}

other_namespaces_go_on()
{
	local d

	d=$(vm_instance 1q 2) && vm_program_start "$d" || return 1
	vm_log_mark
	format 0 512 && sleep 1 && vm_program_stop && mdev_remove "$d" || return 1
	! vm_log_since_mark | grep "lightiov.*controller stops" &&
		cannot_open "$C: .*blocks of 512 bytes, 4096 before" && backing "$C" "$NS3"
}

no_namespace()
{
	! l1_ns 0 $NSID_HOST 0 >/dev/null 2>&1
}

# detach-ns, attach-ns: of controller 0, which is this one
attachment()
{
	nvme "$1" "/dev/$(l1_ctrl 0)" --namespace-id=$NSID_HOST --controllers=0 >/dev/null &&
		nvme ns-rescan "/dev/$(l1_ctrl 0)"
}

detach_stops_the_user()
{
	vm_program_start "$C" || return 1
	vm_log_mark
	attachment detach-ns && l1_wait 20 no_namespace || { echo "not detached"; return 1; }
	l1_wait 20 vm_log_says "$C: .* controller stops" && program_is_stopped &&
		cannot_open "$C: .*namespace $NSID_HOST .*write the backing again"
}

# The host's claim went with the disk: what comes back is not it.
attached_again_it_must_be_written_again()
{
	attachment attach-ns && NS3=$(l1_ns 0 $NSID_HOST) || return 1
	cannot_open "$C: .*write the backing again" && backing "$C" "$NS3" &&
		vm_program_start "$C" && vm_program_stop
}

host_commands_end()
{
	# What failed tests left running keeps the instance.
	! pkill -9 -x liov_cycle || { sleep 1; echo "a program still ran"; }
	mdev_remove "$C" && opens_exclusively "$NS3"
}

# ---- a running guest, which has namespace 3 as its second disk ----

second_disk_reads_zeroes()
{
	l2_exec vm0 "dd if=$SECOND bs=64k count=1 iflag=direct status=none |
		cmp -n 65536 - /dev/zero" >/dev/null 2>&1
}

# second_disk_is_written COUNT: so many times 64 KiB
second_disk_is_written()
{
	l2_exec vm0 --timeout 120 "yes | timeout 60 dd of=$SECOND bs=64k count=$1 iflag=fullblock \
		oflag=direct conv=notrunc status=none"
}

# The guest's driver hears of it, resets its controller and goes on: with what is there now.
guest_goes_on_after_a_format()
{
	second_disk_is_written 16 || return 1
	vm_log_mark
	format 0 512 && says "$G: .*Format NVM .* namespace $NSID_HOST, .* controller stops" &&
		l1_wait 120 second_disk_reads_zeroes ||
		{ vm_guest_trouble vm0 "$G"; return 1; }
	second_disk_is_written 16 &&
		[ "$(yes | head -c 1048576 | sha256sum)" = \
		  "$(dd if="$NS3" bs=64k count=16 iflag=direct status=none | sha256sum)" ]
}

is_lost()
{
	[ "$(mdev_attr "$G" state)" = lost ]
}

# In blocks eight times as large what it wrote would be elsewhere, and somebody else's.
guest_stays_stopped_after_another_format()
{
	local refused="$G: .*blocks of 4096 bytes, 512 before.*write the backing again" sum

	vm_log_mark
	format 4 4096 || return 1
	sum=$(vm_host_sha "$NS3" 0 64)
	l1_wait 120 vm_log_says "$refused" && l1_wait 60 is_lost ||
		{ vm_guest_trouble vm0 "$G"; return 1; }
	# Its driver waits for the controller, for two minutes: so does this, and for nothing.
	l2_exec vm0 "(yes | dd of=$SECOND bs=64k count=16 iflag=fullblock oflag=direct \
		conv=notrunc) </dev/null >/dev/null 2>&1 &" && sleep 5 && is_lost || return 1
	[ "$(vm_host_sha "$NS3" 0 64)" = "$sum" ] || { echo "something was written"; return 1; }
	# Its other disk is another controller.
	l2_exec vm0 "dd if=$DISK of=/dev/null bs=64k count=16 iflag=direct status=none"
}

guest_command_tests()
{
	vm_test guest_goes_on_after_a_format_by_the_host guest_goes_on_after_a_format
	vm_test guest_stays_stopped_after_another_format guest_stays_stopped_after_another_format
}

host_command_tests()
{
	vm_test host_commands_ready host_commands_ready
	vm_test zoned_namespace_is_refused zoned
	vm_test format_by_the_host_stops_the_user_first format_stops_the_user
	vm_test other_format_is_refused_at_open other_format_is_refused
	vm_test backing_written_again_has_the_new_format written_again_it_has_the_new_format
	vm_test format_to_the_same_is_a_pause same_format_stops_and_goes_on
	vm_test format_waits_for_nobody_who_sleeps format_does_not_wait_for_who_sleeps
	vm_test format_by_io_uring_stops_the_user_too format_by_io_uring_stops_the_user
	vm_test format_leaves_other_namespaces_alone other_namespaces_go_on
	vm_test detached_namespace_stops_the_user detach_stops_the_user
	vm_test attached_again_is_not_claimed attached_again_it_must_be_written_again
	vm_test host_commands_end host_commands_end
}
