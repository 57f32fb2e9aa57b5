#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The other ways in which a controller comes to be reset, besides its user's wish: a
# function reset, the recovery from a PCI error, a command of the host's that takes too
# long, and a controller that fails while a program on VFIO is killed, so that its
# queues cannot be deleted. Each with a guest at work, which goes on: in guarded mode it
# does not notice, in direct mode its driver starts over. And a reset that takes longer than
# the guest's driver has patience: nothing in the VM or in QEMU waits for it but what needs
# the drive. And what becomes of queues that cannot be taken from the drive in any way.
#
# lab-options: --drive-opts throttling.bps-total=4194304, so that commands are in flight;
# --slots 1, so that there is a port; and a namespace 4 on which each takes 4 s, see
# selftests/check.
#
# Arguments: guarded, direct, TIMES=N (3; full 25: of the first two).

. "$(dirname "$0")/common.sh"
vm_args "$@"
STUCK_ONLY=${STUCK_ONLY:-}

TIMES=${TIMES:-${FULL:+25}}
TIMES=${TIMES:-3}

guest_is_at_work()
{
	l1_all_ones 0 && vm_host_ready && modprobe vfio_iommu_type1 || return 1
	BDF=$(l1_bdf 0)
	CTRL=$(l1_ctrl 0)
	# See shrink.sh.
	vm_allow_on_debug_kernel 'lock held when returning to user space'
	UUID=$(vm_instance 1q 1) && PROGRAM=$(vm_instance 2q 2) &&
		vm_guest vm0 --mdev "$UUID" && vm_guest_nvme vm0 || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=16k --size=16m --iodepth=8 $VM_VERIFY &&
		l2_exec vm0 'echo vm-recovery-begin >/dev/kmsg'
}

guest_noticed()
{
	l2_exec vm0 'dmesg | sed "1,/vm-recovery-begin/d" | grep -E "nvme|I/O error|hung"'
}

# goes_on_from BEFORE: the drive is live again, and the guest does more than BEFORE, what
# vm_guest_ios said
goes_on_from()
{
	l1_wait 60 l1_ctrl_live 0 || { echo "the drive is $(cat "/sys/class/nvme/$CTRL/state")"; return 1; }
	vm_guest_goes_on vm0 "$UUID" "$1" 60 || return 1
	if [ "$MODE" = guarded ]; then
		guest_noticed && { echo "the guest noticed"; return 1; }
	fi
	vm_host_reads
}

# times LINE COMMAND...: it does what it is for, which LINE in the log says
times()
{
	local line=$1 i before

	shift
	for ((i = 1; i <= TIMES; i++)); do
		vm_log_mark
		before=$(vm_guest_ios vm0) && "$@" && goes_on_from "$before" && vm_log_says "$line" ||
			{ echo "time $i"; vm_log_since_mark; return 1; }
	done
}

# While the port's link is frozen the drive cannot be disabled, and it is not known whether
# its queues are gone. When it is live again they are.
link_fails()
{
	l1_pci_error 0 && vm_log_says 'frozen state error detected, reset controller'
}

# First it is aborted, which does not help; a second time-out is a reset. A passthrough
# command, since others would be repeated, before nvme holds the controller live again: then
# a time-out is its end.
command_times_out()
{
	local before ns rc=0 pid

	ns=$(l1_ns 0 4 60) && before=$(vm_guest_ios vm0) || return 1
	vm_log_mark
	nvme io-passthru "$ns" --opcode=2 --namespace-id=4 --timeout=100 --data-len=4096 --read \
		>/run/passthru.log 2>&1 </dev/null &
	pid=$!
	l1_wait 60 vm_log_says 'nvme.*timeout, reset controller' || { vm_log_since_mark; rc=1; }
	if wait $pid; then
		echo "the command completed"
		rc=1
	fi
	goes_on_from "$before" && return $rc
}

# Bit 2 of the command register, its own.
bus_mastering_off()
{
	local config=/sys/bus/pci/devices/$BDF/config command

	command=$(od -An -v -tu1 -j 4 -N 1 "$config")
	printf '%b' "\\0$(printf %03o $((command & ~4)))" |
		dd of="$config" bs=1 seek=4 conv=notrunc status=none
}

# A drive that cannot reach memory: it fetches no command, so that none completes, Delete
# I/O SQ among them, and reports a fatal status.
controller_fails()
{
	local before start rc=0

	l1_nvme_timeouts 0 5 5 || return 1
	vm_program_start "$PROGRAM" || return 1
	before=$(vm_guest_ios vm0) || return 1
	vm_log_mark
	start=$SECONDS
	bus_mastering_off || return 1
	vm_program_kill || rc=1
	echo "the program's device was closed"
	l1_took_at_most 60 $start || rc=1
	vm_log_says 'controller is down; will reset: CSTS=0x[0-9a-f]*[2367abef],' &&
		vm_log_says 'lightiov: the controller failed, and was disabled' ||
		{ vm_log_since_mark; rc=1; }
	goes_on_from "$before" || rc=1
	[ "$(mdev_attr "$PROGRAM" state)" = idle ] && /out/vfio/liov_cycle "$PROGRAM" 200 || rc=1
	l1_nvme_timeouts 0 30 60 || rc=1
	return $rc
}

# ---- a reset that takes longer than the guest's own time-outs ----

HOLD_MS=20000

# The guest's clock: the longest time, in ms, in which it did not run, of so many seconds.
CLOCK='import sys, time
longest, last = 0, time.monotonic()
end = last + float(sys.argv[1])
while last < end:
    time.sleep(0.02)
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print(round(longest * 1000))'

# clock_and_monitor SECONDS: of guest vm1 and its QEMU meanwhile, in CLOCK_MS and MONITOR_MS
clock_and_monitor()
{
	l2_exec vm1 "python3 -c '$CLOCK' $1 >/run/clock 2>&1 </dev/null &" || return 1
	MONITOR_MS=$(python3 "$LAB/../vm/monitor_latency.py" /run/l2/vm1/monitor.sock "$1") || return 1
	CLOCK_MS=$(l2_exec vm1 --timeout 120 "while ! grep -q . /run/clock; do sleep 0.2; done; cat /run/clock") &&
		echo "$1 s: the monitor's longest answer $MONITOR_MS ms, the clock's longest gap $CLOCK_MS ms"
}

another_guest_is_at_work()
{
	SLOW=$(vm_instance 1q 3) && vm_guest vm1 --mdev "$SLOW" || return 1
	# Its driver's time-outs, which the reset is longer than.
	l2_exec vm1 'modprobe nvme_core io_timeout=5 admin_timeout=8' && vm_guest_nvme vm1 || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start vm1 --filename=/dev/nvme0n1 --rw=randrw --bs=16k --size=16m --iodepth=8 $VM_VERIFY
}

# As for a slow drive: it aborts, resets its controller and waits for that; an admin command
# waits, and so does what looks at registers meanwhile, but nothing else in VM or QEMU.
guest_waits_for_a_long_reset()
{
	local before monitor clock limit

	clock_and_monitor 5 || return 1
	monitor=$MONITOR_MS clock=$CLOCK_MS
	before=$(vm_guest_ios vm1) || return 1
	vm_log_mark
	l1_pci_error 0 $HOLD_MS >/run/held 2>&1 </dev/null &
	l2_exec vm1 '(sleep 1; nvme id-ctrl /dev/nvme0 >/run/id 2>&1) </dev/null &
		(sleep 2; for i in $(seq 20); do nvme show-regs /dev/nvme0; sleep 0.5; done >/run/regs 2>&1) </dev/null &' &&
		clock_and_monitor $((HOLD_MS / 1000)) || return 1
	wait $! || { cat /run/held; return 1; }
	# Of a machine that is busy otherwise both may be worse.
	limit=$((monitor * 4 > 100 ? monitor * 4 : 100))
	[ "$MONITOR_MS" -le $limit ] || { echo "the monitor waited longer than $limit ms"; return 1; }
	limit=$((clock * 4 > 1000 ? clock * 4 : 1000))
	[ "$CLOCK_MS" -le $limit ] || { echo "the clock stood for longer than $limit ms"; return 1; }
	l2_exec vm1 'dmesg | grep -E "nvme.*(imeout|reset controller|Abort)" | tail -n 3'
	vm_guest_goes_on vm1 "$SLOW" "$before" 120 && l2_exec vm1 --timeout 120 'nvme id-ctrl /dev/nvme0 | head -n 3' &&
		vm_fio_stop vm1 && l2_stop vm1 && mdev_remove "$SLOW"
}

# ---- no fence at all ----

# all_pairs: those that neither the host uses nor anybody else
all_pairs()
{
	echo $(($(vm_parent_attr 0 queue_pairs_total) - $(vm_parent_attr 0 queue_pairs_host)))
}

free_pairs_are()
{
	[ "$(vm_parent_attr 0 queue_pairs_free)" = "$1" ]
}

# What the hardware was not seen to let go is not given to anybody else, and all of it is
# free when the controller was disabled: the pair on which the drive was asked about its CQ
# head, and those of a program that was killed.
stuck_pairs_are_free_after_a_reset()
{
	local uuid all rc=0 lost=2 says='its 2 queue pairs are not used again before the next reset'

	[ -z "$SHARED" ] || { lost=1 says='memory of shared queue pair .* is given up; reset'; }
	l1_load_nvme && vm_log_mark && vm_host_ready lacks=fence && modprobe vfio_iommu_type1 || return 1
	CTRL=$(l1_ctrl 0)
	all=$(all_pairs)
	vm_log_says 'could not ask the drive .* a queue pair is not used before the next reset' &&
		free_pairs_are $((all - 1)) || { vm_parent_attr 0 queue_pairs_free; return 1; }
	uuid=$(vm_instance 2q 2) && vm_program_start "$uuid" || return 1
	vm_program_kill || rc=1
	mdev_remove "$uuid" || return 1
	vm_log_says "$says" || rc=1
	free_pairs_are $((all - 1 - lost)) || { echo "free: $(vm_parent_attr 0 queue_pairs_free) of $all"; rc=1; }

	echo 1 >"/sys/class/nvme/$CTRL/reset_controller"
	l1_wait 60 l1_ctrl_live 0 && l1_wait 10 free_pairs_are "$all" ||
		{ echo "free after a reset: $(vm_parent_attr 0 queue_pairs_free) of $all"; rc=1; }
	vm_log_says "$((1 + lost)) queue pairs whose deletion had failed are free again" || rc=1
	[ $rc = 0 ] || vm_log_since_mark | grep lightiov
	# All of them can be used: nothing of the hardware's is in the way.
	rmmod lightiov && vm_host_ready && uuid=$(vm_instance 4q 2) &&
		/out/vfio/liov_cycle "$uuid" 200 && mdev_remove "$uuid" || rc=1
	vm_counters_are_back && rmmod lightiov && vm_host_reads && rmmod nvme && return $rc
}

no_error_and_no_wrong_byte()
{
	vm_stats "$UUID"
	vm_fio_stop vm0 && l2_stop vm0
}

# Without the look at the log: nvme speaks of what was done to it.
nothing_is_left()
{
	vm_remove_all && vm_counters_are_back && rmmod lightiov && vm_host_reads && rmmod nvme
}

for MODE in ${STUCK_ONLY:+$MODES}; do
	vm_test stuck_pairs_are_free_after_a_reset stuck_pairs_are_free_after_a_reset
done
[ -z "$STUCK_ONLY" ] || vm_run
for MODE in $MODES; do
	vm_test guest_is_at_work guest_is_at_work
	vm_test "guest_goes_on_over_${TIMES}_function_resets" times 'nvme.*default/read/poll queues' l1_function_reset 0
	vm_test "guest_goes_on_over_${TIMES}_pci_errors" \
		times 'the controller does not let itself be disabled \(CSTS 0xffffffff\)' link_fails
	vm_test guest_goes_on_when_a_command_of_the_host_times_out command_times_out
	vm_test guest_goes_on_when_the_controller_fails controller_fails
	vm_test no_error_and_no_wrong_byte no_error_and_no_wrong_byte
	vm_test another_guest_is_at_work another_guest_is_at_work
	vm_test guest_waits_for_a_long_reset guest_waits_for_a_long_reset
	vm_test nothing_is_left nothing_is_left
	vm_test stuck_pairs_are_free_after_a_reset stuck_pairs_are_free_after_a_reset
done
vm_run
