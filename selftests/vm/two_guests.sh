#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Several users of one drive at once: two guests and the host, each on its own
# namespace, all verified, and no kernel thread of ours working meanwhile; then one
# guest with two LightIOV devices beside an ordinary NVMe device, its driver unbound,
# reloaded and rebooted; and the guests that direct mode must turn away (those work
# in guarded mode, see guest_memory.sh). The short variant leaves the two guests out
# in direct mode.
#
# Arguments: full (a minute of I/O), guarded, direct, SECS=N.

. "$(dirname "$0")/common.sh"
vm_args "$@"

SECS=${SECS:-${FULL:+60}}
SECS=${SECS:-6}

# ---- two guests and the host ----

two_guests_come_up()
{
	A=$(vm_instance 1q 2) && B=$(vm_instance 1q 3) || return 1
	l2_start a --mem 768 --mdev "$A" && l2_start b --mem 768 --mdev "$B" &&
		l2_wait_up a 480 && l2_wait_up b 480 || return 1
	vm_guest_nvme a && vm_guest_nvme b
}

# kernel_work SECONDS [COMMAND...]: what the kernel did for lightiov in that time, and until
# COMMAND succeeds, into WORK (work items and timers with a function of lightiov), TICKS
# (CPU time of threads with its name), HITS (its interrupts) and RINGS (doorbells of both
# instances)
T=/sys/kernel/tracing
EVENTS="workqueue/workqueue_execute_start timer/timer_expire_entry timer/hrtimer_expire_entry"

# Of each of its threads: number and ticks. A worker has the name of the queue it worked for
# last, so they come and go.
thread_ticks()
{
	# The name is in parentheses and may hold spaces; 14 and 15 are the times.
	cat /proc/[0-9]*/stat 2>/dev/null | grep -E '^[0-9]+ \([^)]*(lightiov|liov)' |
		sed 's/ (.*) / /' | awk '{ print $1, $13 + $14 }' | sort
}

all_threads_ticks()
{
	cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' |
		awk '$2 == 2 { n += $12 + $13 } END { print n + 0 }'
}

interrupts_of_lightiov()
{
	awk '/lightiov/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' \
		/proc/interrupts
}

rings()
{
	local uuid n=0

	for uuid in "$A" "$B"; do
		n=$((n + $(mdev_attr "$uuid" stats/sq_doorbells) +
			$(mdev_attr "$uuid" stats/cq_doorbells)))
	done
	echo $n
}

kernel_work()
{
	local e ticks all hits start=$SECONDS

	echo 0 >$T/tracing_on
	echo 16384 >$T/buffer_size_kb
	echo >$T/trace
	for e in $EVENTS; do
		echo 1 >"$T/events/$e/enable" || return 1
	done
	ticks=$(thread_ticks)
	all=$(all_threads_ticks)
	hits=$(interrupts_of_lightiov)
	BEFORE=$(rings)
	echo 1 >$T/tracing_on
	sleep "$1"
	# What it waits for may be there too late to be counted as such: the caller sees that.
	[ $# = 1 ] || l1_wait 60 "${@:2}"
	echo 0 >$T/tracing_on
	TICKS=$(join <(echo "$ticks") <(thread_ticks) | awk '{ n += $3 - $2 } END { print n + 0 }')
	HITS=$(($(interrupts_of_lightiov) - hits))
	RINGS=$(($(rings) - BEFORE))
	all=$(($(all_threads_ticks) - all))
	for e in $EVENTS; do
		echo 0 >"$T/events/$e/enable"
	done
	WORK=$(grep -c 'function.*\[lightiov\]' $T/trace)
	TIMERS=$(grep -c 'function.*liov_busy_timer \[lightiov\]' $T/trace)
	grep 'function.*\[lightiov\]' $T/trace | sed 's/.*function[ =]*//' |
		sort | uniq -c | sort -rn | head -n 5
	echo "in $((SECONDS - start)) s: $WORK work items and timers ($TIMERS) of lightiov (of $(grep -vc '^#' $T/trace) traced)," \
		"$TICKS ticks in its threads ($all in all kernel threads), $HITS interrupts, $RINGS doorbells"
	if grep -h '^overrun: [1-9]' $T/per_cpu/cpu*/stats; then
		echo "the trace is not complete"
		return 1
	fi
	echo >$T/trace
}

work_was_traced()
{
	grep -q 'function.*\[lightiov\]' $T/trace
}

# Proof that the trace sees work of lightiov: an admin command is done by a worker. One a
# second until the trace ends, however long it takes to begin.
trace_sees_work()
{
	l2_exec a 'touch /tmp/rescan /tmp/rescanning
		(while [ -e /tmp/rescan ]; do
			sleep 1; echo 1 >/sys/class/nvme/nvme0/rescan_controller
		done; rm /tmp/rescanning) >/dev/null 2>&1 &' &&
		kernel_work 1 work_was_traced && [ "$WORK" -gt 0 ] || return 1
	# Over, before it is told that there is none.
	l2_exec a --timeout 90 'rm /tmp/rescan
		while [ -e /tmp/rescanning ]; do sleep 0.2; done; sleep 1'
}

idle_guests_cost_nothing()
{
	trace_sees_work || { echo "the trace is blind"; return 1; }
	sleep 1
	kernel_work 5 && [ "$WORK" = 0 ] && [ "$TICKS" = 0 ] && [ "$HITS" = 0 ] &&
		[ "$RINGS" = 0 ]
}

rang()
{
	[ $(($(rings) - BEFORE)) -ge "$1" ]
}

# What is done is done by the threads that ring and in interrupts, some of them a timer's.
busy_guests_need_no_thread()
{
	local guest rc=0

	for guest in a b; do
		vm_fio_start $guest --filename=/dev/nvme0n1 --rw=randrw --bs=4k --size=64m \
			--iodepth=16 || rc=1
	done
	# The first round pins memory.
	sleep 3
	kernel_work 3 rang 1000 || rc=1
	for guest in a b; do
		vm_fio_stop $guest || rc=1
	done
	[ "$RINGS" -ge 1000 ] || { echo "not busy"; rc=1; }
	[ $((WORK - TIMERS)) -le $((RINGS / 100)) ] && [ "$TIMERS" -le $((RINGS / 2)) ] &&
		[ "$TICKS" -le 1 ] || rc=1
	return $rc
}

all_three_at_once()
{
	local guest rc=0
	local -a verify

	read -ra verify <<<"$VM_VERIFY $VM_MIXED_BS"
	for guest in a b; do
		vm_fio $guest "guest $guest" --filename=/dev/nvme0n1 --rw=randrw \
			--size=512m --iodepth=16 "${verify[@]}" \
			--time_based --runtime="$SECS" >/tmp/fio-$guest.log 2>&1 &
		echo $! >/tmp/fio-$guest.pid
	done
	vm_host_fio "host" --filename="$(l1_ns 0 1)" --rw=randrw --size=512m \
		--iodepth=16 "${verify[@]}" --time_based --runtime="$SECS" || rc=1
	for guest in a b; do
		wait "$(cat /tmp/fio-$guest.pid)" || rc=1
		cat /tmp/fio-$guest.log
		vm_guest_log_is_clean $guest || rc=1
	done
	return $rc
}

# Each wrote what it says through its own queues; the host sees all of it in
# the right place.
each_wrote_its_own_namespace()
{
	local guest rc=0
	local -A sum dev

	dev[a]=$(l1_ns 0 2)
	dev[b]=$(l1_ns 0 3)
	for guest in a b; do
		sum[$guest]=$(l2_exec $guest "dd if=/dev/urandom of=/tmp/data bs=1M count=8 status=none
			dd if=/tmp/data of=/dev/nvme0n1 bs=1M seek=100 oflag=direct status=none
			sha256sum </tmp/data | cut -c1-64") || return 1
	done
	for guest in a b; do
		[ "$(vm_host_sha "${dev[$guest]}" 100 8)" = "${sum[$guest]}" ] ||
			{ echo "guest $guest: other data on the drive"; rc=1; }
		l2_stop $guest || rc=1
	done
	mdev_remove "$A" && mdev_remove "$B" || rc=1
	return $rc
}

# ---- one guest, two devices and an ordinary one ----

write_and_verify()
{
	local d rc=0

	for d in "$@"; do
		# shellcheck disable=SC2086 # a list of words
		vm_fio c "$d" --filename="$d" --rw=randwrite --bs=16k --size=1m \
			--iodepth=16 $VM_VERIFY || rc=1
	done
	return $rc
}

devices_of_c()
{
	DA=$(vm_guest_disk c "$A") && DB=$(vm_guest_disk c "$B") || return 1
	PLAIN=$(l2_exec c "for c in /sys/class/nvme/nvme*; do
		grep -q ordinary0 \$c/serial && echo /dev/\${c##*/}n1; done")
	echo "$A is $DA, $B is $DB, ordinary is $PLAIN"
	[ -n "$PLAIN" ]
}

three_devices_side_by_side()
{
	rm -f /tmp/ordinary.img
	truncate -s 256M /tmp/ordinary.img
	A=$(vm_instance 2q 2) && B=$(vm_instance 1q 3) || return 1
	vm_guest c --cpus 2 --mdev "$A" --mdev "$B" \
		--qemu-arg -drive --qemu-arg if=none,id=ord,format=raw,file=/tmp/ordinary.img \
		--qemu-arg -device --qemu-arg nvme,serial=ordinary0,drive=ord || return 1
	vm_guest_nvme c 3 && devices_of_c &&
		write_and_verify "$DA" "$DB" "$PLAIN"
}

ordinary_nvme_is_left_alone()
{
	local pci

	pci=$(l2_exec c "basename \$(readlink -f /sys/class/nvme/${PLAIN:5:5}/device)") ||
		return 1
	l2_exec c 'dmesg | grep LightIOV'
	# Two devices were given windows, one of them twice, and this is not one of them.
	[ "$(l2_exec c 'dmesg | sed -n "s/.*nvme \(.*\): LightIOV: direct mode.*/\1/p" | sort -u | wc -l')" = 2 ] &&
		! l2_exec c "dmesg | grep '$pci: LightIOV'"
}

driver_is_unbound_and_bound_again()
{
	local pci rc=0 i

	pci=$(l2_exec c "basename \$(readlink -f /sys/class/nvme/${DA:5:5}/device)") ||
		return 1
	for ((i = 0; i < ${FULL:+9}1; i++)); do
		l2_exec c "echo $pci >/sys/bus/pci/drivers/nvme/unbind &&
			echo $pci >/sys/bus/pci/drivers/nvme/bind
			$(vm_wait_disks 3)" || return 1
		devices_of_c >/dev/null || return 1
	done
	write_and_verify "$DA" "$DB" || rc=1
	return $rc
}

helper_is_unloaded_and_loaded_again()
{
	# The driver keeps working without it, and its windows stay.
	l2_exec c 'rmmod lightiov_guest' && write_and_verify "$DA" || return 1
	l2_exec c 'insmod /payload/lightiov_guest.ko' && write_and_verify "$DB" || return 1
	driver_is_unloaded_and_loaded_again
}

driver_is_unloaded_and_loaded_again()
{
	l2_exec c "modprobe -r nvme && modprobe nvme && { $(vm_wait_disks 3); }" &&
		devices_of_c && write_and_verify "$DA"
}

guest_reboots_during_io()
{
	vm_fio_start c --filename="$DA" --rw=randrw --bs=4k --size=256m \
		--iodepth=32 && l2_reboot c || return 1
	# Nothing of the guest before is left; in guarded mode the firmware's own
	# driver may have been there meanwhile.
	echo "pinned: $(mdev_attr "$A" stats/pinned_bytes) bytes"
	if [ "$MODE" = direct ]; then
		[ "$(mdev_attr "$A" stats/pinned_bytes)" = 0 ]
	else
		[ "$(mdev_attr "$A" stats/pinned_bytes)" -le $((16 << 20)) ]
	fi
}

# In the rebooted guest. Without windows there are controllers, but no disks.
helper_comes_after_nvme()
{
	l2_exec c "modprobe nvme; { $(vm_wait_disks 1); }; sleep 2
		ls /dev/nvme*; { $(vm_wait_disks 1); } && set -- /dev/nvme*n1 && [ \$# = 1 ]" ||
		{ echo "disks without windows"; return 1; }
	l2_exec c --timeout 180 "insmod /payload/lightiov_guest.ko && { $(vm_wait_disks 3); }" ||
		{ l2_exec c 'dmesg | tail -n 20'; return 1; }
	devices_of_c && write_and_verify "$DA" "$DB" "$PLAIN"
}

rebooted_guest_works()
{
	vm_guest_nvme c 3 && devices_of_c && write_and_verify "$DA" "$DB" "$PLAIN"
}

three_devices_are_gone()
{
	l2_stop c && mdev_remove "$A" && mdev_remove "$B" && vm_counters_are_back
}

# ---- guests that direct mode turns away ----

# guest_refused NAME REGEX [options of l2_start]
guest_refused()
{
	local name=$1 regex=$2 rc=0

	shift 2
	vm_guest "$name" "$@" || return 1
	l2_exec "$name" --timeout 180 'insmod /payload/lightiov_guest.ko; modprobe nvme
		sleep 5; [ ! -b /dev/nvme0n1 ]' || { echo "a disk appeared"; rc=1; }
	l2_exec "$name" "dmesg | grep -E 'LightIOV|nvme'; dmesg | grep -q '$regex'" ||
		{ echo "no line: $regex"; rc=1; }
	[ "$(mdev_attr "$A" stats/pinned_bytes)" = 0 ] ||
		{ echo "memory stays pinned"; rc=1; }
	l2_kill9 "$name"
	return $rc
}

swiotlb_is_refused()
{
	A=$(vm_instance 1q 2) || return 1
	guest_refused bounce 'boot without swiotlb=force' --mdev "$A" \
		--append swiotlb=force
}

viommu_is_refused()
{
	guest_refused viommu 'a vIOMMU translates its DMA; boot with iommu.passthrough=1' \
		--machine q35,kernel-irqchip=split \
		--qemu-arg -device --qemu-arg intel-iommu,caching-mode=on,intremap=on \
		--append "intel_iommu=on iommu.passthrough=0" --mdev "$A"
}

for MODE in $MODES; do
	vm_test host_is_ready vm_host_ready
	if vm_all; then
		vm_test two_guests_come_up two_guests_come_up
		vm_test idle_guests_cost_nothing idle_guests_cost_nothing
		vm_test busy_guests_need_no_thread busy_guests_need_no_thread
		vm_test two_guests_and_the_host_verify_at_once all_three_at_once
		vm_test each_guest_wrote_its_own_namespace each_wrote_its_own_namespace
	fi
	vm_test two_devices_work_beside_an_ordinary_one three_devices_side_by_side
	vm_test driver_is_unbound_and_bound_again driver_is_unbound_and_bound_again
	if [ "$MODE" = guarded ]; then
		vm_test driver_is_unloaded_and_loaded_again driver_is_unloaded_and_loaded_again
		vm_test guest_reboots_during_io guest_reboots_during_io
		vm_test rebooted_guest_works rebooted_guest_works
	else
		vm_test ordinary_nvme_is_left_alone ordinary_nvme_is_left_alone
		vm_test helper_is_unloaded_and_loaded_again helper_is_unloaded_and_loaded_again
		vm_test guest_reboots_during_io guest_reboots_during_io
		vm_test helper_may_come_after_nvme helper_comes_after_nvme
	fi
	vm_test three_devices_are_gone_without_trace three_devices_are_gone
	if [ "$MODE" = direct ]; then
		vm_test swiotlb_is_refused_with_a_line swiotlb_is_refused
		vm_test viommu_is_refused_with_a_line viommu_is_refused
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
