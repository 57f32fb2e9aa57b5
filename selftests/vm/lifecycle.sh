#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is created can be taken away, in any order and while in use: kill -9 in
# the middle of I/O, removal of an instance, unbinding and unloading; and what
# must be refused is refused with a line that says why. The short variant does in
# direct mode only what depends on the mode.
#
# lab-options: --drives 2
#
# Arguments: full (10 kills and 10 reloads), guarded, direct, KILLS=N, RELOADS=N.

. "$(dirname "$0")/common.sh"
vm_args "$@"

KILLS=${KILLS:-${FULL:+10}}
KILLS=${KILLS:-1}
RELOADS=${RELOADS:-${FULL:+10}}
RELOADS=${RELOADS:-4}
BDF=$(l1_bdf 0)
DEV=/sys/bus/pci/devices/$BDF

# background FUNCTION...: its process ID in BG; background_done: has it ended?
background()
{
	"$@" >/tmp/background.log 2>&1 &
	BG=$!
}

background_done()
{
	vm_is_gone "$BG"
}

pairs_are()
{
	[ "$(vm_parent_attr 0 queue_pairs_free 2>/dev/null)" = "$1" ]
}

# ---- what is told of states ----

# told DEVICE STATE: "change" events of a device with that state
told()
{
	awk -v RS= -v dev="$1\n" -v state="LIGHTIOV_STATE=$2" \
		'/ACTION=change/ && index($0, dev) && index($0, state) { n++ } END { print n + 0 }' \
		/run/uevents
}

was_told_more_than()
{
	[ "$(told "$2" "$3")" -gt "$1" ]
}

was_told()
{
	was_told_more_than 0 "$@"
}

# poll_state FILE: "ready" when it has read it; then the next word, once who polls it was woken
poll_state()
{
	python3 -c '
import select, sys
f = open(sys.argv[1])
f.read()
p = select.poll()
p.register(f, select.POLLPRI | select.POLLERR)
print("ready", flush=True)
woken = p.poll(60000)
f.seek(0)
print("woken" if woken else "not woken", f.read().strip())' "$1"
}

# uevents of an instance and of its controller, and no more of them than a second has
changes_of_state()
{
	local uuid=$1 ctrl poller start i n rc=0

	ctrl=$(l1_ctrl 0)
	poll_state "/sys/bus/mdev/devices/$uuid/lightiov/state" >/run/polled &
	poller=$!
	l1_wait 30 grep -q ready /run/polled && vm_program_start "$uuid" || return 1
	l1_wait 20 was_told "$uuid" enabled || { echo "no event when it was enabled"; rc=1; }
	wait $poller && cat /run/polled && grep -q '^woken' /run/polled || rc=1
	echo 1 >"/sys/class/nvme/$ctrl/reset_controller" && l1_wait 30 l1_drive_ready 0 || rc=1
	l1_wait 20 was_told "$BDF" live || { echo "no event after the reset"; rc=1; }
	vm_program_kill || rc=1
	l1_wait 20 was_told "$uuid" idle || { echo "no event at the close"; rc=1; }

	n=$(told "$uuid" "")
	start=$SECONDS
	for ((i = 0; i < 20; i++)); do
		/out/vfio/liov_cycle "$uuid" 1 >/dev/null || rc=1
	done
	sleep 2
	n=$(($(told "$uuid" "") - n))
	echo "$i opens in $((SECONDS - start)) s: $n events"
	# None at all, if it was closed each time the second was over.
	[ $n -le $((SECONDS - start + 2)) ] || rc=1
	n=$(told "$uuid" enabled)
	vm_program_start "$uuid" && l1_wait 20 was_told_more_than "$n" "$uuid" enabled ||
		{ echo "no event after many opens"; rc=1; }
	vm_program_kill || rc=1
	return $rc
}

states_are_told()
{
	local uuid monitor rc

	uuid=$(vm_instance 1q 2) || return 1
	stdbuf -oL udevadm monitor --kernel --property >/run/uevents &
	monitor=$!
	l1_wait 20 grep -q KERNEL /run/uevents && changes_of_state "$uuid"
	rc=$?
	kill $monitor
	[ $rc = 0 ] || tail -n 60 /run/uevents
	mdev_remove "$uuid" && return $rc
}

# ---- loading ----

reserve_before_nvme()
{
	local args=(reserve=4)

	# Without nvme there are no parents to wait for yet.
	[ "$MODE" != direct ] || args+=(allow_direct=1)
	l1_load_lightiov "${args[@]}" && l1_load_nvme || return 1
	vm_parents_ready || return 1
	grep . "$DEV/lightiov/queue_pairs_"*
	# Nothing had to be reset: the hooks took part in the first probe.
	! vm_log_says 'resetting the controller' && [ "$(vm_parent_attr 0 queue_pairs_free)" -ge 4 ] &&
		vm_host_reads
}

reload_after_nvme()
{
	local i rc=0

	vm_host_fio_start 64m || return 1
	for ((i = 0; i < RELOADS; i++)); do
		rmmod lightiov || { rc=1; break; }
		if [ -e "$DEV/lightiov" ]; then
			echo "files are left"
			rc=1
		fi
		vm_load_lightiov || { rc=1; break; }
	done
	vm_host_fio_stop || rc=1
	vm_host_reads || rc=1
	return $rc
}

kvm_and_counters()
{
	l1_load_kvm && l2_payload && vm_baseline
}

# ---- what is refused ----

# refused REGEX COMMAND...: COMMAND fails, and the log says why
refused()
{
	local regex=$1

	shift
	vm_log_mark
	if "$@" 2>/tmp/refused.log; then
		echo "not refused: $*"
		return 1
	fi
	grep -o '[^:]*$' /tmp/refused.log | head -n 1
	vm_log_says "$regex" || { echo "no line: $regex"; vm_log_since_mark; return 1; }
}

second_instance_on_one_namespace()
{
	local a b rc

	a=$(vm_instance 1q 2) && b=$(vm_create 1q) || return 1
	refused "LBAs 0 to [0-9]+ of namespace 2 belong to $a" \
		mdev_attr "$b" backing "$(l1_ns 0 2)" &&
		grep -q 'busy' /tmp/refused.log
	rc=$?
	[ -z "$(mdev_attr "$b" backing)" ] || rc=1
	# Released with an empty string, it can go to the other.
	mdev_attr "$a" backing "" && mdev_attr "$b" backing "$(l1_ns 0 2)" || rc=1
	mdev_remove "$a" && mdev_remove "$b" || rc=1
	return $rc
}

mounted_backing()
{
	local a rc

	a=$(vm_create 1q) || return 1
	mkdir -p /tmp/m
	mkfs.ext4 -q -F "$(l1_ns 0 3)" && mount "$(l1_ns 0 3)" /tmp/m || return 1
	refused 'cannot claim .*mounted or in use' \
		mdev_attr "$a" backing "$(l1_ns 0 3)"
	rc=$?
	umount /tmp/m
	# And the other way round.
	mdev_attr "$a" backing "$(l1_ns 0 3)" || rc=1
	if mount "$(l1_ns 0 3)" /tmp/m 2>/dev/null; then
		echo "a backing can be mounted"
		umount /tmp/m
		rc=1
	fi
	mdev_remove "$a" || rc=1
	return $rc
}

# Direct mode cannot keep a guest inside a partition. An MBR with one, of type 83h,
# 65536 blocks at block 2048.
partition_in_direct_mode()
{
	local a ns rc

	ns=$(l1_ns 0 3)
	a=$(vm_create 1q) || return 1
	printf '%b' '\0\0\0\0\0203\0\0\0\0\010\0\0\0\0\01\0' |
		dd of="$ns" bs=1 seek=446 status=none &&
		printf '%b' '\0125\0252' | dd of="$ns" bs=1 seek=510 status=none &&
		blockdev --rereadpt "$ns" && l1_wait 5 test -b "${ns}p1" || return 1
	modprobe vfio_iommu_type1
	mdev_attr "$a" backing "${ns}p1" &&
		refused 'not a whole namespace' /out/vfio/liov_cycle "$a" 1
	rc=$?
	mdev_attr "$a" backing "" || rc=1
	dd if=/dev/zero of="$ns" bs=4k count=1 status=none &&
		blockdev --rereadpt "$ns" && mdev_remove "$a" || rc=1
	return $rc
}

other_drives_namespace()
{
	local a rc

	[ "$(l1_drives)" -gt 1 ] || { echo "needs two drives: lab run --drives 2"; return "$KSFT_SKIP"; }
	a=$(vm_create 1q) || return 1
	refused 'neither a namespace of .* nor a partition' \
			mdev_attr "$a" backing "$(l1_ns 1 1)" &&
		refused 'not a block device' mdev_attr "$a" backing /dev/null &&
		refused 'no such device' mdev_attr "$a" backing /dev/nvme77n1
	rc=$?
	mdev_remove "$a" || rc=1
	return $rc
}

more_pairs_than_there_are()
{
	local a=() uuid rc free

	free=$(vm_parent_attr 0 queue_pairs_free)
	while uuid=$(mdev_create "$BDF" 16q 2>/dev/null); do
		a+=("$uuid")
	done
	echo "$free pairs free: ${#a[@]} instances of 16"
	[ ${#a[@]} = $((free / 16)) ] &&
		refused '16 queue pairs wanted, [0-9]+ free' mdev_create "$BDF" 16q &&
		[ "$(cat "$DEV/mdev_supported_types/nvme-lightiov-16q/available_instances")" = 0 ]
	rc=$?
	for uuid in "${a[@]}"; do
		mdev_remove "$uuid" || rc=1
	done
	pairs_are "$free" || rc=1
	return $rc
}

# qemu_refused NAME REGEX [options of l2_start]: QEMU ends by itself
qemu_refused()
{
	local name=$1 regex=$2

	shift 2
	vm_log_mark
	if l2_start "$name" "$@" 2>/dev/null && ! l1_wait 30 l2_gone "$name"; then
		echo "QEMU runs"
		l2_kill9 "$name"
		return 1
	fi
	grep -E -m 1 'vfio|error' "/results/l2-$name-qemu.log"
	vm_log_says "$regex"
}

guest_without_backing()
{
	local a rc

	a=$(vm_create 1q) || return 1
	qemu_refused nobacking 'no backing; write' --mdev "$a"
	rc=$?
	mdev_remove "$a" || rc=1
	return $rc
}

# A stranger's guest never gets it by mistake.
direct_mode_without_permission()
{
	local a rc

	rmmod lightiov && l1_load_lightiov && vm_parents_ready &&
		a=$(mdev_create "$BDF" 1q) || return 1
	refused 'direct mode is off; load lightiov with allow_direct=1' \
			mdev_attr "$a" mode direct &&
		grep -qi 'not permitted' /tmp/refused.log &&
		[ "$(mdev_attr "$a" mode)" = guarded ] &&
		refused 'no such mode' mdev_attr "$a" mode fast
	rc=$?
	mdev_remove "$a" && vm_load_lightiov || rc=1
	return $rc
}

# ---- while idle ----

unbind_with_idle_instances()
{
	local a b

	a=$(vm_instance 2q 2) && b=$(vm_instance 4q 3) || return 1
	echo "$BDF" >/sys/bus/pci/drivers/nvme/unbind || return 1
	if [ -e "/sys/bus/mdev/devices/$a" ] || [ -e "/sys/bus/mdev/devices/$b" ] ||
	   [ -e "$DEV/lightiov" ]; then
		echo "instances or files are left"
		return 1
	fi
	echo "$BDF" >/sys/bus/pci/drivers/nvme/bind || return 1
	l1_wait 30 l1_drive_ready 0 && vm_parents_ready && vm_counters_are_back &&
		a=$(vm_instance 1q 2) && mdev_remove "$a" && vm_host_reads
}

# A backing is an open disk, which holds nvme; an instance without one does not.
unload_nvme_with_idle_instances()
{
	local a

	a=$(vm_instance 2q 2) || return 1
	if rmmod nvme 2>/tmp/refused.log; then
		echo "unloaded under a backing"
		return 1
	fi
	cat /tmp/refused.log
	mdev_attr "$a" backing "" && rmmod nvme || return 1
	[ ! -e "$DEV/lightiov" ] && [ ! -e "/sys/bus/mdev/devices/$a" ] || return 1
	l1_load_nvme && vm_parents_ready && vm_counters_are_back && vm_host_reads
}

unload_with_idle_instances()
{
	vm_instance 2q 2 && rmmod lightiov || return 1
	if ls /sys/bus/mdev/devices/* >/dev/null 2>&1; then
		return 1
	fi
	vm_host_reads && vm_load_lightiov && vm_counters_are_back
}

# ---- while a guest works ----

start_working_guest()
{
	UUID=$(vm_instance 2q 2) || return 1
	vm_guest vm0 --cpus 1 --mdev "$UUID" && guest_works
}

guest_works()
{
	vm_guest_nvme vm0 &&
		vm_fio_start vm0 --filename=/dev/nvme0n1 --rw=randrw --bs=4k \
			--size=256m --iodepth=32
}

restart_guest()
{
	rm -f "$L2_RUN/vm0/retried"
	l2_launch vm0 && l2_wait_up vm0 && guest_works
}

idle_again()
{
	l2_gone vm0 && [ "$(mdev_attr "$UUID" state)" = idle ]
}

kill9_in_the_middle_of_io()
{
	local i

	start_working_guest || return 1
	for ((i = 1; ; i++)); do
		sleep 0.$((RANDOM % 10))
		l2_kill9 vm0
		l1_wait 20 idle_again || { mdev_attr "$UUID" state; return 1; }
		mdev_attr "$UUID" queues
		# Shared pairs keep theirs as long as there are instances.
		if [ -z "$SHARED" ] && { grep lightiov /proc/interrupts ||
		   [ "$(vm_parent_attr 0 vectors)" != "0 used, 0 shared" ]; }; then
			echo "vectors are left"
			return 1
		fi
		l1_wait 5 vm_pins_are_back || { echo "pages stay pinned"; return 1; }
		vm_host_reads || return 1
		[ $i -lt "$KILLS" ] || break
		restart_guest || return 1
	done
	echo "$i kills"
	mdev_remove "$UUID" && vm_counters_are_back
}

unload_is_refused_while_in_use()
{
	start_working_guest || return 1
	if rmmod lightiov 2>/tmp/refused.log; then
		echo "unloaded under a guest"
		return 1
	fi
	cat /tmp/refused.log
	grep -q 'in use' /tmp/refused.log &&
		l2_exec vm0 'pgrep -x fio >/dev/null'
}

removal_waits_for_the_guest()
{
	vm_log_mark
	background mdev_remove "$UUID"
	l1_wait 10 vm_log_says 'waiting for the VM to release this device' >/dev/null ||
		{ echo "no line in the log"; return 1; }
	vm_log_says 'waiting for the VM'
	sleep 2
	if background_done; then
		echo "removed under a guest"
		return 1
	fi
	# The guest goes on meanwhile.
	l2_exec vm0 'dd if=/dev/nvme0n1 of=/dev/null bs=64k count=4 iflag=direct status=none' ||
		return 1
	l2_kill9 vm0
	l1_wait 30 background_done || { echo "removal hangs"; return 1; }
	wait "$BG" && [ ! -e "/sys/bus/mdev/devices/$UUID" ] && vm_counters_are_back
}

# Stock QEMU unplugs a device in a hot-plug slot when VFIO asks for it.
removal_unplugs_from_a_slot()
{
	UUID=$(vm_instance 1q 3) || return 1
	vm_guest slot --qemu-arg -device --qemu-arg pcie-root-port,id=rp0,chassis=1 \
		--qemu-arg -device --qemu-arg \
		"vfio-pci,bus=rp0,sysfsdev=/sys/bus/mdev/devices/$UUID${IOMMUFD:+,iommufd=iommufd0}" &&
		vm_guest_nvme slot || return 1
	background mdev_remove "$UUID"
	if ! l1_wait 40 background_done; then
		echo "not unplugged"
		l2_exec slot 'dmesg | tail -n 5'
		l2_kill9 slot
		l1_wait 20 background_done
		return 1
	fi
	wait "$BG" && l2_exec slot '[ ! -e /dev/nvme0 ]' && l2_stop slot
}

unbind_nvme()
{
	echo "$BDF" >/sys/bus/pci/drivers/nvme/unbind
}

unbind_waits_for_the_guest()
{
	UUID=$(vm_instance 2q 2) || return 1
	# The command line names the device that the test before removed.
	sed -i "s|/mdev/devices/[-0-9a-f]*|/mdev/devices/$UUID|" "$L2_RUN/vm0/cmd"
	restart_guest || return 1
	vm_log_mark
	background unbind_nvme
	l1_wait 10 vm_log_says 'waiting for the VM to release this device' >/dev/null ||
		{ echo "no line in the log"; return 1; }
	sleep 1
	if background_done; then
		echo "unbound under a guest"
		return 1
	fi
	l2_exec vm0 'pgrep -x fio >/dev/null' && vm_host_reads || return 1
	l2_kill9 vm0
	l1_wait 60 background_done || { echo "unbinding hangs"; return 1; }
	wait "$BG" && [ ! -e "$DEV/lightiov" ] || return 1
	echo "$BDF" >/sys/bus/pci/drivers/nvme/bind
	l1_wait 30 l1_drive_ready 0 && vm_parents_ready && vm_counters_are_back &&
		vm_host_reads
}

# A test that failed leaves nothing to the next.
clean_up()
{
	vm_kill_guests
	[ -z "${BG:-}" ] || wait "$BG"
	[ -e "$DEV/driver" ] || echo "$BDF" >/sys/bus/pci/drivers_probe
	[ -d /sys/module/lightiov ] || vm_load_lightiov
	vm_parents_ready && vm_remove_all
}
# shellcheck disable=SC2034 # for vm_run
VM_AFTER_FAILURE=clean_up

for MODE in $MODES; do
	if vm_all; then
		vm_test queue_pairs_are_reserved_when_loaded_before_nvme reserve_before_nvme
		vm_test reloading_leaves_host_io_alone reload_after_nvme
		vm_test kvm_is_there kvm_and_counters
		vm_test second_instance_on_one_namespace_is_refused second_instance_on_one_namespace
		vm_test mounted_backing_is_refused mounted_backing
		vm_test other_drives_namespace_is_refused other_drives_namespace
		vm_test more_pairs_than_there_are_are_refused more_pairs_than_there_are
		vm_test guest_without_backing_is_refused guest_without_backing
		vm_test states_are_told states_are_told
		vm_test unbinding_nvme_takes_idle_instances_along unbind_with_idle_instances
		vm_test unloading_nvme_takes_idle_instances_along unload_nvme_with_idle_instances
		vm_test unloading_takes_idle_instances_along unload_with_idle_instances
	else
		vm_test host_is_ready vm_host_ready
	fi
	if [ "$MODE" = direct ]; then
		vm_test partition_in_direct_mode_is_refused partition_in_direct_mode
	else
		vm_test direct_mode_without_permission_is_refused direct_mode_without_permission
	fi
	vm_test kill_9_in_the_middle_of_io_gives_all_back kill9_in_the_middle_of_io
	if vm_all; then
		vm_test unloading_is_refused_while_a_guest_works unload_is_refused_while_in_use
		vm_test removal_waits_for_the_guest removal_waits_for_the_guest
		vm_test unbinding_nvme_waits_for_the_guest unbind_waits_for_the_guest
		vm_test removal_unplugs_from_a_hot_plug_slot removal_unplugs_from_a_slot
	fi
	vm_test nothing_is_left vm_nothing_is_left
done
vm_run
