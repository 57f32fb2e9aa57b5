#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What a guest, or a program on VFIO, can do to its own device while it works:
# function resets in a loop, BAR0 moved, decode off, MSI-X masked and its table
# wiped, memory unplugged and ballooned, another kernel by kexec. One verifying fio
# runs all the time, and nothing is left on the host.
#
# Arguments: full (1000 resets by VFIO and FLR, 1000 FLRs by a guest, 500 moves; also
# a kexec out of a crash), guarded, direct, RESETS=N (40), FLRS=N (12), MOVES=N (60),
# MSIX=N (20).

. "$(dirname "$0")/common.sh"
vm_args "$@"

RESETS=${RESETS:-${FULL:+1000}}
RESETS=${RESETS:-40}
FLRS=${FLRS:-${FULL:+1000}}
FLRS=${FLRS:-12}
MOVES=${MOVES:-${FULL:+500}}
MOVES=${MOVES:-60}
MSIX=${MSIX:-${FULL:+200}}
MSIX=${MSIX:-20}
G=abuse
DISK=/dev/nvme0n1
# Its buffers: 16 MiB.
FIO="--filename=$DISK --rw=randrw --bssplit=4k/97:1m/3 --size=16m --iodepth=16 $VM_VERIFY"

in_guest()
{
	vm_python $G "$@"
}

host_and_instances()
{
	vm_host_ready && modprobe vfio_iommu_type1 || return 1
	PROGRAM=$(vm_instance 2q 1) && UUID=$(vm_instance 1q 2)
}

resets_by_program()
{
	/out/vfio/liov_abuse_resets "$PROGRAM" "$1" && /out/vfio/liov_cycle "$PROGRAM" 2000 &&
		vm_stats "$PROGRAM" && mdev_remove "$PROGRAM"
}

# ---- the guest ----

# With room for a DIMM, and for another kernel. The table of MSI-X is the driver's.
guest_is_at_work()
{
	vm_guest $G --mem 768M,slots=2,maxmem=2G --append "iomem=relaxed crashkernel=192M" \
		--mdev "$UUID" --qemu-arg -device --qemu-arg virtio-balloon-pci,id=balloon0 &&
		guest_has_disk || return 1
	# Direct mode's helper keeps memory offline that comes after the windows.
	[ "$MODE" = direct ] || plug_dimm || return 1
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start $G $FIO
}

guest_has_disk()
{
	vm_guest_nvme $G && BDF=$(vm_guest_bdf $G)
}

# fio, which ends at the first error and the first wrong block, goes on.
fio_goes_on()
{
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec $G 'ios() { read -r r _ _ _ w _ </sys/block/nvme0n1/stat; echo $((r + w)); }
		a=$(ios); for i in $(seq 250); do
			pgrep -x fio >/dev/null || break
			[ $(ios) -lt $((a + 16)) ] || exit 0; sleep 0.2
		done; tail -n 3 /tmp/fio.log | cut -c1-200; exit 1' &&
		vm_guest_log_is_clean $G && return 0
	vm_guest_trouble $G "$UUID"
	return 1
}

no_queue_is_busy()
{
	! mdev_attr "$UUID" queues | grep -w busy
}

# Each command interrupts, and each doorbell is a store that KVM emulates for us, unless
# the queue is taken to be busy.
works_afterwards()
{
	local rc=0 emulated rings busy=/sys/module/lightiov/parameters/busy_doorbells

	# shellcheck disable=SC2086 # a list of words
	vm_fio $G "afterwards" --filename=$DISK --rw=randrw --bs=16k --size=2m --iodepth=8 \
		$VM_VERIFY || rc=1
	# It ends by itself, soon.
	echo N >$busy
	l1_wait 5 no_queue_is_busy || { echo "a queue without I/O is busy"; rc=1; }
	emulated=$(kvm_exit $G pf_emulate)
	rings=$(mdev_attr "$UUID" stats/sq_doorbells)
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec $G 'irqs() { awk "/nvme0q1/ { print \$2 }" /proc/interrupts; }
		a=$(irqs); dd if=/dev/nvme0n1 of=/dev/null bs=4k count=64 iflag=direct status=none
		n=$(($(irqs) - a)); echo "$n interrupts of 64 reads"; [ $n -ge 64 ]' || rc=1
	emulated=$(($(kvm_exit $G pf_emulate) - emulated))
	rings=$(($(mdev_attr "$UUID" stats/sq_doorbells) - rings))
	echo Y >$busy
	echo "$rings doorbells, $emulated stores emulated"
	[ $rings -ge 64 ] && [ $emulated -ge $rings ] || rc=1
	vm_guest_log_is_clean $G || rc=1
	[ $rc = 0 ] || vm_guest_trouble $G "$UUID"
	return $rc
}

fio_ends_and_all_works()
{
	vm_fio_stop $G && works_afterwards
}

# ---- configuration space ----

flrs_of_the_guest()
{
	l2_exec $G "cat /sys/bus/pci/devices/$BDF/reset_method" | grep -w flr &&
		in_guest $((60 + 5 * $1)) abuse_pci.py "$BDF" flr $DISK "$1" && fio_goes_on
}

bar_moves()
{
	local adds

	adds=$(mdev_attr "$UUID" stats/tracking_adds)
	in_guest $((60 + 2 * $1)) abuse_pci.py "$BDF" move $DISK "$1" || return 1
	adds=$(($(mdev_attr "$UUID" stats/tracking_adds) - adds))
	echo "pages tracked anew: $adds"
	# The SQ's where it is back; and where it was meanwhile, if there was time. In
	# direct mode the CQ's as well, if the drive asks for that.
	[ $adds -ge "$1" ] && [ $adds -le $((4 * $1 + 4)) ] && fio_goes_on
}

tracked_more_than()
{
	[ "$(mdev_attr "$UUID" stats/tracking_adds)" -gt "$1" ]
}

# bar_goes WHERE: and the page is tracked there
bar_goes()
{
	local adds

	adds=$(mdev_attr "$UUID" stats/tracking_adds)
	in_guest 30 abuse_pci.py "$BDF" "$1" || return 1
	l1_wait 10 tracked_more_than "$adds" || { echo "$1: not tracked"; return 1; }
}

tracking_follows_the_bar()
{
	bar_goes away && bar_goes back &&
		l2_exec $G "dd if=$DISK of=/dev/null bs=4k count=1 iflag=direct status=none" &&
		fio_goes_on
}

msix_wiped()
{
	in_guest $((60 + 2 * $1)) abuse_pci.py "$BDF" msix $DISK "$1" && fio_goes_on
}

# ---- memory ----

pinned()
{
	mdev_attr "$UUID" stats/pinned_bytes
}

monitor()
{
	local out

	out=$(l2_monitor $G "$1")
	! grep -iE 'error|not found|invalid|unknown|could not' <<<"$out"
}

dimm_is_gone()
{
	! l2_monitor $G "info memory-devices" | grep -q dimm1
}

# A guest's movable memory: buffers come from there first.
plug_dimm()
{
	PINNED=$(pinned)
	l2_exec $G 'echo online_movable >/sys/devices/system/memory/auto_online_blocks' &&
		monitor "object_add memory-backend-ram,id=ram1,size=256M" &&
		monitor "device_add pc-dimm,id=dimm1,memdev=ram1" || return 1
	# Two blocks.
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec $G 'for i in $(seq 250); do
			n=$(cat /sys/devices/system/memory/memory*/valid_zones | grep -c "^Movable")
			[ $n -lt 2 ] || exit 0; sleep 0.2
		done; grep . /sys/devices/system/memory/memory*/{state,valid_zones}; exit 1'
}

# awk: MiB of movable memory that are in use
# shellcheck disable=SC2016 # awk's own variables
MOVABLE='/zone *Movable/ { m = 1 } m && /pages free/ { free = $3 }
	m && / managed/ { print int(($2 - free) / 256); exit }'

# Pages under I/O cannot be moved; the guest tries until one can. What VFIO unmaps
# must have lost its pins, or the host's kernel stops.
dimm_during_io()
{
	local with used rc=0

	used=$(l2_exec $G "awk '$MOVABLE' /proc/zoneinfo") || return 1
	with=$(pinned)
	monitor "device_del dimm1" || rc=1
	if ! l1_wait 300 dimm_is_gone; then
		echo "not unplugged"
		l2_exec $G 'dmesg | tail -n 5; grep . /sys/devices/system/memory/memory*/state | tail -n 4'
		rc=1
	fi
	echo "$used MiB of it in use; pinned: $((PINNED >> 20)) MiB before it came," \
		"$((with >> 20)) MiB with it, $(($(pinned) >> 20)) MiB after it went"
	[ "$used" -ge 16 ] && [ $((with - PINNED)) -ge $((8 << 20)) ] ||
		{ echo "the drive did not use it"; rc=1; }
	monitor "object_del ram1" || rc=1
	fio_goes_on || rc=1
	return $rc
}

balloon_is_at()
{
	l2_monitor $G "info balloon" | grep -q "actual=$1\b"
}

# QEMU leaves the pages alone, since the drive may reach them.
balloon_during_io()
{
	local rc=0 mib

	l2_exec $G 'modprobe virtio_balloon' || return 1
	for mib in 704 768 672 768; do
		monitor "balloon $mib" && l1_wait 60 balloon_is_at $mib && sleep 0.5 && continue
		l2_monitor $G "info balloon"
		rc=1
	done
	fio_goes_on || rc=1
	return $rc
}

# ---- another kernel ----

# other_kernel COMMAND: in a guest that COMMAND makes start anew
other_kernel()
{
	local id

	id=$("$LAB/l2ctl" "$L2_RUN/$G" ping 20) || return 1
	l2_exec $G "(sleep 0.5; $1) </dev/null >/dev/null 2>&1 &"
	l2_wait_other_boot $G "$id" 180 || l1_err "no other kernel came up"
}

kexec_during_io()
{
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start $G $FIO || return 1
	in_guest 60 abuse_kexec.py load || return 1
	other_kernel "python3 -I -S /tmp/abuse_kexec.py go" && guest_has_disk && works_afterwards
}

# Nothing is shut down: the drive goes on with what it has.
crash_kexec_during_io()
{
	# The trace that goes with it; whatever else has one has other lines, too.
	printf '%s\n' 'Kernel panic - not syncing: sysrq triggered crash' 'Call Trace:' \
		>>/results/allow
	# shellcheck disable=SC2086 # a list of words
	vm_fio_start $G $FIO || return 1
	in_guest 60 abuse_kexec.py crash || return 1
	other_kernel "echo c >/proc/sysrq-trigger" && guest_has_disk || return 1
	l2_exec $G '[ -e /proc/vmcore ]' || { echo "not the kernel for crashes"; return 1; }
	works_afterwards
}

guest_goes()
{
	vm_stats "$UUID"
	l2_stop $G && mdev_remove "$UUID"
}

# -EINTR: the guest's own reset came while it still looked at namespaces after the one before.
# shellcheck disable=SC2034 # for common.sh
VM_GUEST_ALLOW='Identify namespace failed \(-4\)'
for MODE in $MODES; do
	vm_test host_and_instances host_and_instances
	vm_test "${RESETS}_resets_in_the_middle_of_everything_do_no_harm" \
		resets_by_program "$RESETS"
	vm_test guest_is_at_work guest_is_at_work
	vm_test "guest_goes_on_over_${FLRS}_flrs_of_its_own" flrs_of_the_guest "$FLRS"
	vm_test "guest_goes_on_over_${MOVES}_moves_of_its_bar" bar_moves "$MOVES"
	vm_test tracking_follows_the_bar tracking_follows_the_bar
	vm_test "guest_goes_on_over_${MSIX}_wipes_of_its_msix_table" msix_wiped "$MSIX"
	if [ "$MODE" = guarded ]; then
		vm_test memory_is_unplugged_during_io dimm_during_io
		vm_test balloon_during_io_does_no_harm balloon_during_io
	fi
	vm_test verified_io_and_interrupts_afterwards fio_ends_and_all_works
	vm_test kexec_during_io_starts_over kexec_during_io
	if [ -n "$FULL" ]; then
		vm_test kexec_out_of_a_crash_starts_over crash_kexec_during_io
	fi
	vm_test guest_goes guest_goes
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
