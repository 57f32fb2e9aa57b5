#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The ways a doorbell can travel: tracked by KVM, and by VFIO region write when the
# pages are not mapped. In direct mode the CQ head is forwarded at once or with
# the next submission; in guarded mode it is never trapped. And interrupts that
# are moved and masked by the guest meanwhile.
#
# One guest for all of a mode's tests that need no other parameters of the module: two
# vCPUs, a device whose doorbell pages are mapped (DISK), and one whose are not (OTHER).
#
# Nothing here is a rate: figures are counts of so many commands, and what is a busy
# queue is measured against the guest's own pace, see at_this_pace().
#
# Arguments: guarded, direct, LACKS=halts,... (for all of it, to see tests fail),
# BUSY=0 (likewise: no queue is ever busy), APART=N (busy_apart_us is that, whatever the
# pace is).

. "$(dirname "$0")/common.sh"
vm_args "$@"

FIO="--rw=randread --bs=4k --size=64m"
PARAMS=/sys/module/lightiov/parameters
BUSY=${BUSY:-1}
# Commands of one measurement. A queue becomes busy after 64 stores, stays it for 1024 at
# least, and after a try in vain the next one comes after twice as many stores.
SOME=600
MANY=2048

# attr NAME: statistic of the instance that is measured
attr()
{
	mdev_attr "$UUID" "stats/$1"
}

host_is_ready()
{
	vm_host_ready ${LACKS:+lacks=$LACKS}
}

# heads_go HOW: how CQ heads of queues that are made from now on go; guarded mode has one way
heads_go()
{
	[ "$MODE" = guarded ] || echo "$1" >"/sys/bus/pci/devices/$(l1_bdf 0)/lightiov/cq_head"
}

# guest_is_there: the one with two devices; boots it if a test that failed left none
guest_is_there()
{
	local unmapped

	[ ! -e "$L2_RUN/vm0/pid" ] || ! l2_alive vm0 || return 0
	UUID=$(vm_instance 2q 2) && unmapped=$(vm_instance 1q 3) || return 1
	vm_guest vm0 --cpus 2 --mem 640 --mdev "$UUID" --qemu-arg -device \
		--qemu-arg "vfio-pci,sysfsdev=/sys/bus/mdev/devices/$unmapped,x-no-mmap=on" &&
		vm_guest_nvme vm0 2 && DISK=$(vm_guest_disk vm0 "$UUID") &&
		OTHER=$(vm_guest_disk vm0 "$unmapped") || return 1
	OTHER_UUID=$unmapped
	CTRL=$(controller_of "$DISK")
}

# controller_of DISK: its name, which interrupts have
controller_of()
{
	sed 's|/dev/\(nvme[0-9]*\)n.*|\1|' <<<"$1"
}

# guest_with_one_device: of one vCPU
guest_with_one_device()
{
	UUID=$(vm_instance 1q 2) && vm_guest vm0 --mem 640 --mdev "$UUID" && vm_guest_nvme vm0 &&
		DISK=$(vm_guest_disk vm0 "$UUID") && CTRL=$(controller_of "$DISK")
}

guest_gone()
{
	vm_guest_log_is_clean vm0 && l2_stop vm0 && vm_remove_all
}

# new_queues: the guest makes its queues anew
new_queues()
{
	l2_exec vm0 --timeout 120 "cd /sys/class/nvme/$CTRL && echo 1 >reset_controller &&
		until [ \$(cat state) = live ]; do sleep 0.1; done"
}

ios_of_guest()
{
	l2_exec vm0 "awk '{ print \$1 + \$5 }' /sys/block/${DISK##*/}/stat"
}

# reads LABEL COMMANDS DEPTH [FIO ARG...]: so many, not for so long
reads()
{
	vm_fio vm0 "$1" "$FIO" --filename="$DISK" --io_size=$(($2 * 4))k --iodepth="$3" "${@:4}"
}

stats()
{
	local s

	for s in sq_doorbells cq_doorbells interrupts tracking_adds; do
		declare -g "${s^^}=$(attr $s)"
	done
	echo "SQ doorbells $SQ_DOORBELLS, CQ doorbells $CQ_DOORBELLS," \
		"interrupts $INTERRUPTS, pages tracked $TRACKING_ADDS"
}

tracked_heads_are_forwarded_at_once()
{
	heads_go tracked && guest_is_there && reads "CQ head tracked" $SOME 4 ||
		{ vm_guest_trouble vm0 "$UUID"; return 1; }
	stats
	# Four pages; each interrupt's completions are acknowledged by a store.
	[ "$TRACKING_ADDS" -ge 4 ] && [ $((CQ_DOORBELLS * 2)) -gt "$INTERRUPTS" ]
}

interrupts_follow_the_guest()
{
	local before after

	guest_is_there && vm_fio_start vm0 --filename="$DISK" --rw=randread --bs=4k --iodepth=4 || return 1
	before=$(ios_of_guest)
	l2_exec vm0 --timeout 120 "moved=0
		for i in \$(seq 6); do for irq in \$(awk -F: '/${CTRL}q/ { print \$1 }' /proc/interrupts); do
			echo \$((i % 2)) >/proc/irq/\$irq/smp_affinity_list 2>/dev/null && moved=\$((moved + 1))
		done; sleep 0.2; done; echo moves: \$moved"
	# A reset of the controller masks and unmasks every vector.
	new_queues && new_queues || return 1
	after=$(ios_of_guest)
	echo "I/Os meanwhile: $((after - before))"
	vm_fio_stop vm0 && [ "$after" -gt "$before" ]
}

# Of each pair only the SQ's page is tracked: KVM emulates the guest's stores to
# that one, about one for each ring; a store to the other, one for each interrupt,
# costs nothing. How often pages were tracked says nothing: firmware and kernel
# move the BAR. Of a busy queue no store is emulated.
heads_are_not_tracked()
{
	local emulated rings interrupts rc

	guest_is_there || { vm_guest_trouble vm0 "$UUID"; return 1; }
	emulated=$(kvm_exit vm0 pf_emulate)
	stats
	rings=$SQ_DOORBELLS interrupts=$INTERRUPTS
	echo N >$PARAMS/busy_doorbells
	reads "guarded" $SOME 4
	rc=$?
	echo Y >$PARAMS/busy_doorbells
	[ $rc = 0 ] || { vm_guest_trouble vm0 "$UUID"; return 1; }
	emulated=$(($(kvm_exit vm0 pf_emulate) - emulated))
	stats
	rings=$((SQ_DOORBELLS - rings)) interrupts=$((INTERRUPTS - interrupts))
	echo "$emulated stores emulated, $rings rings, $interrupts interrupts"
	[ $rings -gt 100 ] && [ $emulated -gt $((rings / 2)) ] &&
		[ $emulated -lt $((rings + interrupts / 2)) ]
}

lazy_heads_cost_no_exit()
{
	local rings heads

	guest_is_there && heads_go lazy && new_queues || return 1
	stats
	rings=$SQ_DOORBELLS heads=$CQ_DOORBELLS
	reads "CQ head lazy" $SOME 4 || return 1
	stats
	[ $((SQ_DOORBELLS - rings)) -gt 100 ] &&
		[ $((CQ_DOORBELLS - heads)) -le $((SQ_DOORBELLS - rings)) ]
}

# count_exits COMMANDS DEPTH [FIO ARG...]: into EXITS, RINGS, HALTS, IOS; and US, how long
# it took
count_exits()
{
	EXITS=$(attr doorbell_exits)
	RINGS=$(attr sq_doorbells)
	HALTS=$(attr halt_doorbells)
	IOS=$(ios_of_guest)
	reads "queue depth $2" "$@" >/tmp/reads || { cat /tmp/reads; return 1; }
	cat /tmp/reads
	US=$(sed -n 's/.*read \([0-9]*\) IOPS.*/\1/p' /tmp/reads)
	EXITS=$(($(attr doorbell_exits) - EXITS))
	RINGS=$(($(attr sq_doorbells) - RINGS))
	HALTS=$(($(attr halt_doorbells) - HALTS))
	IOS=$(($(ios_of_guest) - IOS))
	US=$((IOS * 1000000 / (US > 0 ? US : 1)))
	echo "depth $2: $IOS I/Os, $EXITS exits for doorbells, $RINGS rings, $HALTS at halts, busy" \
		"$(attr busy_periods) times so far"
}

# at_this_pace DEPTH [FIO ARG...]: what is known of this guest with an exit for each store
# (BASE_EXITS, BASE_IOS), right before a measurement; and what is a busy queue here.
# Commands at most 4 ms apart are that by default, which a machine that is emulated, and
# has other things to do, may not reach: so it is eight times the time from store to store.
at_this_pace()
{
	local rc apart

	echo N >$PARAMS/busy_doorbells
	count_exits $SOME "$@"
	rc=$?
	[ "$BUSY" = 0 ] || echo Y >$PARAMS/busy_doorbells
	[ $rc = 0 ] || return 1
	[ "$EXITS" -gt 0 ] && [ $((EXITS * 4)) -gt $((RINGS * 3)) ] ||
		{ echo "not an exit for each store"; return 1; }
	BASE_EXITS=$EXITS BASE_IOS=$IOS
	# Of two queues each has one half.
	apart=$((US * 16 / EXITS))
	[ $apart -ge 4000 ] || apart=4000
	echo "${APART:-$apart}" >$PARAMS/busy_apart_us
	echo "a store each $((US / EXITS)) us: busy at less than $(cat $PARAMS/busy_apart_us) us"
}

# few_exits DEPTH [FIO ARG...]: a fourth of those without busy queues, of queues that know
# nothing of what was before. The machine's pace may change in the middle, and a queue is
# then not taken to be busy: measured anew, pace and all, twice.
few_exits()
{
	for _ in 1 2 3; do
		new_queues && at_this_pace "$@" && count_exits $MANY "$@" || return 1
		[ $((EXITS * 4 * BASE_IOS)) -ge $((BASE_EXITS * IOS)) ] || return 0
	done
	echo "too many exits: $EXITS of $IOS, and $BASE_EXITS of $BASE_IOS with one for each store"
	vm_guest_trouble vm0 "$UUID"
	return 1
}

# What is more than an interrupt may do goes to a job: also a command that needs more
# lookups of memory than any of them may.
large_commands_are_left_by_interrupts()
{
	local before after

	# Commands that take long, and a queue that is busy all the same.
	echo 1000000 >$PARAMS/busy_apart_us
	for _ in 1 2 3; do
		before=$(attr budget_cuts)
		vm_fio vm0 "large" --filename="$DISK" --rw=randrw --bs=512k --size=64m --io_size=128m \
			--iodepth=32 "$VM_VERIFY" || return 1
		after=$(attr budget_cuts)
		echo "$((after - before)) passes were cut"
		[ "$after" -le "$before" ] || return 0
	done
	return 1
}

# A queue's completions and a timer look at its doorbell. The rest are retreats: other vCPUs'
# queues, the beginning, a pause of the guest.
busy_queues_cost_no_exit()
{
	guest_is_there && heads_go auto || { vm_guest_trouble vm0 "$UUID"; return 1; }
	few_exits 32 || return 1
	[ "$MODE" = direct ] || large_commands_are_left_by_interrupts
}

# The functions of KVM's that are hooked call one another.
LOOKS=/sys/kernel/tracing/events/kprobes/liov_looks/enable
looks_at_halts_begin()
{
	mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing
	echo p:liov_looks liov_busy_halted >/sys/kernel/tracing/kprobe_events &&
		HALTS_BEFORE=$(kvm_exit vm0 halt_exits) && echo 1 >$LOOKS
}

no_halt_looked_twice()
{
	local looks halts

	looks=$(awk '$1 == "liov_looks" { print $2 }' /sys/kernel/tracing/kprobe_profile)
	halts=$(($(kvm_exit vm0 halt_exits) - HALTS_BEFORE))
	echo 0 >$LOOKS
	echo >/sys/kernel/tracing/kprobe_events
	echo "$looks looks at $halts halts"
	[ "$looks" -gt 0 ] && [ "$looks" -le "$halts" ]
}

# One command at a time: the guest's halts look. On one vCPU, or the guest moves the work, and
# each queue is a busy one for some commands only.
lone_commands_go_at_halts()
{
	local rc

	if vm_is_rt_kernel; then
		echo "halts are not seen on PREEMPT_RT"
		return "$KSFT_SKIP"
	fi
	guest_is_there || { vm_guest_trouble vm0 "$UUID"; return 1; }
	looks_at_halts_begin || return 1
	few_exits 1 --cpus_allowed=0
	rc=$?
	no_halt_looked_twice && [ $rc = 0 ] || return 1
	[ $((HALTS * 2)) -gt "$RINGS" ] || { echo "but not at halts"; return 1; }
}

region_writes_work_too()
{
	local UUID=$UUID DISK=$DISK

	guest_is_there || return 1
	UUID=$OTHER_UUID DISK=$OTHER
	reads "no doorbell page mapped" $SOME 4 || return 1
	stats
	[ "$SQ_DOORBELLS" -gt 100 ] && [ "$TRACKING_ADDS" = 0 ]
}

# As if interrupts were posted to the guest's CPU: none of them looks at the doorbells.
posted_interrupts_need_no_exits()
{
	local rc

	vm_host_ready "lacks=host_interrupts${LACKS:+,$LACKS}" && guest_with_one_device ||
		{ vm_guest_trouble vm0 "$UUID"; return 1; }
	lone_commands_go_at_halts
	rc=$?
	[ $rc != "$KSFT_SKIP" ] || guest_gone || return 1
	[ $rc = 0 ] || return $rc
	guest_gone
}

# Nor do halts: the timer alone does. It comes after the time of a handful of commands, not
# only at the latest, which is twice busy_apart_us: if it did, so many looks would take
# that long each.
timer_looks_often_enough()
{
	local looks latest

	vm_host_ready lacks=host_interrupts,halts && guest_with_one_device ||
		{ vm_guest_trouble vm0 "$UUID"; return 1; }
	for _ in 1 2 3; do
		few_exits 32 || return
		looks=$((RINGS - EXITS)) latest=$((2 * $(cat $PARAMS/busy_apart_us)))
		echo "$looks looks of the timer's in $US us, which comes after $latest us at the latest"
		[ $((US * 2)) -ge $((looks * latest)) ] || break
	done
	[ $((US * 2)) -lt $((looks * latest)) ] || { echo "it comes as late as it may"; return 1; }
	vm_fio vm0 verified --filename="$DISK" --rw=randrw "$VM_MIXED_BS" --size=64m \
		--iodepth=32 --io_size=64m "$VM_VERIFY" && guest_gone
}

clean_up()
{
	vm_kill_guests
	vm_remove_all
}

# shellcheck disable=SC2034 # for common.sh
VM_AFTER_FAILURE=clean_up
for MODE in $MODES; do
	vm_test host_is_ready host_is_ready
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
	vm_test guest_goes guest_gone
	vm_test nothing_is_left vm_nothing_is_left
	if [ "$MODE" = direct ]; then
		vm_test posted_interrupts_need_no_exits posted_interrupts_need_no_exits
		vm_test nothing_is_left_of_that vm_nothing_is_left
		vm_test timer_looks_often_enough timer_looks_often_enough
		vm_test nothing_is_left_of_the_timer vm_nothing_is_left
	fi
done
vm_run
