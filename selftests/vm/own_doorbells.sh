#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Direct mode on a drive whose own doorbells are a page apart: the guest stores
# to the drive itself, without an exit, and only while its queue exists.
#
# lab-options: --dstrd 10 --append iomem=relaxed --qemu-arg -d --qemu-arg guest_errors
#
# L1's QEMU plays the drive and logs every store to a doorbell of no queue: that
# shows that none of the guest's stores gets through when it must not.

. "$(dirname "$0")/common.sh"
vm_args direct "$@"

SECS=${SECS:-8}
RESETS=${RESETS:-${FULL:+25}}
RESETS=${RESETS:-5}
FIO="--rw=randread --bs=4k --size=64m --iodepth=4 --time_based --runtime=$SECS"
OWN=/sys/module/lightiov/parameters/own_doorbells
BUSY=/sys/module/lightiov/parameters/busy_doorbells
DRIVE_LOG=/results/l1-qemu.log

host_is_ready()
{
	vm_host_ready || return 1
	CTRL=$(l1_ctrl 0)
	echo "doorbell stride of the drive: $(vm_parent_attr 0 doorbell_stride)"
	[ "$(vm_parent_attr 0 doorbell_stride)" = 4096 ] && [ "$(cat $OWN)" = Y ]
}

# stray: stores to doorbells of no queue that the drive has seen so far
stray()
{
	grep -c 'doorbell write for nonexistent queue' $DRIVE_LOG
}

too_big()
{
	grep -c 'submission queue doorbell write value beyond queue size' $DRIVE_LOG
}

# own_guest UUID...: boots a guest with one CPU. One queue of each instance
# with two is polled: nobody uses it, so tests can store to its doorbells.
own_guest()
{
	local uuid
	local -a devs=()

	for uuid in "$@"; do
		devs+=(--mdev "$uuid")
	done
	l2_start vm0 --append iomem=relaxed "${devs[@]}" && l2_wait_up vm0 240 || return 1
	l2_exec vm0 --timeout 180 "insmod /payload/lightiov_guest.ko &&
		modprobe nvme poll_queues=1 && { $(vm_wait_disks $#); }" ||
		{ vm_guest_trouble vm0 "$1"; return 1; }
	# What the programs below need of the guest: the disk, its PCI address.
	DISK=$(vm_guest_disk vm0 "$1") || return 1
	GBDF=$(guest_bdf "$DISK")
}

guest_bdf()
{
	l2_exec vm0 "basename \$(readlink -f /sys/class/block/${1#/dev/}/device/device)"
}

guest_gone()
{
	local uuid

	vm_guest_log_is_clean vm0 && l2_stop vm0 || return 1
	for uuid in "$@"; do
		mdev_remove "$uuid" || return 1
	done
}

ios_of_guest()
{
	l2_exec vm0 "awk '{ print \$1 + \$5 }' /sys/block/${DISK#/dev/}/stat"
}

# measure LABEL UUID: fio in the guest; sets IOS, and for 100 I/Os: EXITS, FAULTS
# (stores to tracked pages are such, timers and interrupts are not), DOORBELLS
measure()
{
	local ios exits faults doorbells

	ios=$(ios_of_guest)
	exits=$(kvm_exit vm0 exits)
	faults=$(kvm_exit vm0 pf_taken)
	doorbells=$(mdev_attr "$2" stats/sq_doorbells)
	vm_fio vm0 "$1" "--filename=$DISK" "$FIO" ||
		{ vm_guest_trouble vm0 "$2"; return 1; }
	EXITS=$(($(kvm_exit vm0 exits) - exits))
	FAULTS=$(($(kvm_exit vm0 pf_taken) - faults))
	DOORBELLS=$(($(mdev_attr "$2" stats/sq_doorbells) - doorbells))
	IOS=$(($(ios_of_guest) - ios))
	[ "$IOS" -gt 0 ] || return 1
	EXITS=$((EXITS * 100 / IOS))
	FAULTS=$((FAULTS * 100 / IOS))
	DOORBELLS=$((DOORBELLS * 100 / IOS))
	echo "$1: $IOS I/Os, per 100: $EXITS exits, $FAULTS page faults," \
		"$DOORBELLS doorbells forwarded"
}

# The same drive and guest with the feature off: what the next test compares with.
tracked_stores_exit()
{
	echo N >$OWN
	echo N >$BUSY
	A=$(vm_instance 2q 2) && own_guest "$A" && measure tracked "$A" || return 1
	echo Y >$OWN
	echo Y >$BUSY
	[ "$DOORBELLS" -gt 25 ] && [ "$FAULTS" -ge "$DOORBELLS" ] && guest_gone "$A"
}

own_stores_cost_no_exit()
{
	A=$(vm_instance 2q 2) && B=$(vm_instance 1q 1) && own_guest "$A" "$B" || return 1
	measure own "$A" || return 1
	# The guest touches new memory now and then. How many exits of other kinds there
	# are (timers, interrupts) depends on how slow the machine is.
	[ "$DOORBELLS" = 0 ] && [ "$FAULTS" -lt 10 ]
}

io_is_right()
{
	vm_fio vm0 verified "--filename=$DISK" --rw=randrw "$VM_MIXED_BS" --size=64m \
		--iodepth=8 --time_based --runtime="$SECS" "$VM_VERIFY"
}

# store VALUE TIMES: to the tail doorbell of A's polled queue, by a program in
# the guest. TIMES 0: until /tmp/enough is there.
store()
{
	cat <<-EOT
	python3 -c '
	import mmap, os, time
	fd = os.open("/sys/bus/pci/devices/$GBDF/resource0", os.O_RDWR | os.O_SYNC)
	tail = memoryview(mmap.mmap(fd, 4096, offset=0x1000 + 2 * 2 * 4096)).cast("I")
	n = 0
	while n < $2 or not ($2 or os.path.exists("/tmp/enough")):
	    tail[0] = $1
	    n += 1
	    if n % 50 == 0: time.sleep(0.001)
	print(n, "stores")'
	EOT
}

stores_reach_the_drive_itself()
{
	local big stray bar

	big=$(too_big)
	stray=$(stray)
	l2_exec vm0 "$(store 0xfff0 3)" || return 1
	echo "the drive has seen $(($(too_big) - big)) of 3 values too big"
	[ $(($(too_big) - big)) = 3 ] && [ "$(stray)" = "$stray" ] || return 1
	# Does the log say so when a store has no queue? This one has not.
	bar=$(sed -n '1s/ .*//p' "/sys/bus/pci/devices/$(l1_bdf 0)/resource")
	busybox devmem $((bar + 0x1000 + 2 * 12 * 4096)) 32 0 || return 1
	[ "$(stray)" = $((stray + 1)) ]
}

# Neither do others, nor does the guest's I/O come to a stop.
nothing_gets_through_while_the_host_resets()
{
	local i n before after stray rc=0

	stray=$(stray)
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 "--filename=$DISK" --rw=randrw --bs=4k --size=32m \
		--iodepth=8 $VM_VERIFY || return 1
	l2_exec vm0 "rm -f /tmp/enough; ($(store 0 0)) </dev/null >/tmp/store.log 2>&1 & sleep 1"
	for ((i = 1; i <= RESETS; i++)); do
		before=$(ios_of_guest)
		echo 1 >"/sys/class/nvme/$CTRL/reset_controller" || return 1
		l1_wait 30 l1_ctrl_live 0 || { echo "not live again"; return 1; }
		for ((n = 0; n < 60; n++)); do
			after=$(ios_of_guest)
			[ "$after" -le $((before + 64)) ] || break
			sleep 0.5
		done
		echo "reset $i: guest I/Os $before, then $after; stray stores: $(($(stray) - stray))"
		[ "$after" -gt $((before + 64)) ] || { vm_guest_trouble vm0 "$A"; return 1; }
	done
	l2_exec vm0 'touch /tmp/enough; sleep 2; cat /tmp/store.log; grep -q stores /tmp/store.log' || rc=1
	vm_fio_stop vm0 || rc=1
	[ "$(stray)" = "$stray" ] || rc=1
	return $rc
}

# The other instance of the guest does verified I/O all the time.
queues_come_and_go_beside_others()
{
	local i stray disk=$DISK

	stray=$(stray)
	DISK=$(vm_guest_disk vm0 "$B") || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 "--filename=$DISK" --rw=randrw --bs=4k --size=32m \
		--iodepth=4 $VM_VERIFY || return 1
	for ((i = 0; i < 3; i++)); do
		l2_exec vm0 --timeout 120 "echo $GBDF >/sys/bus/pci/drivers/nvme/unbind" || return 1
		l2_exec vm0 "$(store 0 500)" || return 1
		[ $i = 0 ] || l2_exec vm0 "echo 1 >/sys/bus/pci/devices/$GBDF/reset" || return 1
		l2_exec vm0 --timeout 120 "echo $GBDF >/sys/bus/pci/drivers/nvme/bind &&
			{ $(vm_wait_disks 2); }" || return 1
		disk=$(vm_guest_disk vm0 "$A") || return 1
		vm_fio vm0 "again, round $i" "--filename=$disk" --rw=randrw --bs=4k --size=4m \
			"$VM_VERIFY" || return 1
	done
	vm_fio_stop vm0 || return 1
	DISK=$disk
	echo "doorbells forwarded: A $(mdev_attr "$A" stats/sq_doorbells)," \
		"B $(mdev_attr "$B" stats/sq_doorbells); stray stores: $(($(stray) - stray))"
	[ "$(mdev_attr "$A" stats/sq_doorbells)" = 0 ] &&
		[ "$(mdev_attr "$B" stats/sq_doorbells)" = 0 ] && [ "$(stray)" = "$stray" ] &&
		guest_gone "$A" "$B"
}

# A user that maps nothing: its stores come by way of the module.
region_writes_work_too()
{
	A=$(vm_instance 1q 2) || return 1
	vm_guest vm0 --qemu-arg -device \
		--qemu-arg "vfio-pci,sysfsdev=/sys/bus/mdev/devices/$A,x-no-mmap=on" &&
		vm_guest_nvme vm0 && DISK=$(vm_guest_disk vm0 "$A") || return 1
	measure "not mapped" "$A" && [ "$DOORBELLS" -gt 25 ] && guest_gone "$A"
}

ktap_plan 9
ktap_run host_is_ready host_is_ready
ktap_run tracked_stores_exit tracked_stores_exit
ktap_run own_stores_cost_no_exit own_stores_cost_no_exit
ktap_run io_is_right io_is_right
ktap_run stores_reach_the_drive_itself stores_reach_the_drive_itself
ktap_run nothing_gets_through_while_the_host_resets nothing_gets_through_while_the_host_resets
ktap_run queues_come_and_go_beside_others queues_come_and_go_beside_others
ktap_run region_writes_work_too region_writes_work_too
ktap_run nothing_is_left vm_nothing_is_left
vm_finish
