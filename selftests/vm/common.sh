# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the guest scenarios share. Source it first, with the scenario's own
# arguments:
#
#	. "$(dirname "$0")/common.sh"
#	vm_args "$@"
#
# Arguments of every scenario: "full" for the long variant, "guarded" or "direct"
# for one mode only (a scenario that knows both runs in both), NAME=VALUE to set
# a variable. ONLY=REGEX plans just the tests whose names match.
# IOMMUFD=1 has guests and programs use VFIO through iommufd, where the kernel has it. A scenario that needs options of "lab run" names them in a comment
# "lab-options:" in its first lines.
#
# MODE is the mode of the instances that are made. In guarded mode the attribute
# is not touched and the guest is not changed: that is the default a user gets.
# In direct mode lightiov_guest.ko is loaded in the guest.

. "$(dirname "${BASH_SOURCE[0]}")/../lab/l1.sh"

FULL=${FULL:-}
MODE=${MODE:-guarded}
MODES=${MODES:-}
# Parameters of the host's nvme module.
NVME_ARGS=()
VM_STARTED=$SECONDS

vm_args()
{
	local arg

	for arg in "$@"; do
		case $arg in
		full) FULL=1 ;;
		guarded|direct|MODE=*)
			MODES=${MODES:+$MODES }${arg#MODE=}
			MODE=${MODES%% *} ;;
		[A-Z]*=*) declare -g "$arg" ;;
		*) echo "Bail out! unknown argument: $arg"; exit 1 ;;
		esac
	done
	MODES=${MODES:-guarded direct}
	[ -z "${IOMMUFD:-}" ] || vm_use_iommufd
}

vm_use_iommufd()
{
	modprobe -q iommufd
	if [ ! -c /dev/iommu ]; then
		echo "TAP version 13"
		echo "1..0 # SKIP this kernel has no iommufd"
		exit 4
	fi
	export LIGHTIOV_IOMMUFD=1
}

# All of a scenario's tests in this mode? The short variant of both modes leaves out
# in direct mode what guarded mode has shown.
vm_all()
{
	[ -n "$FULL" ] || [ "$MODE" = guarded ] || [ "$MODES" = direct ]
}

# vm_test NAME FUNCTION [ARG...]: a test of the plan, in the mode MODE has now;
# its name in the results begins with the mode. vm_run runs all of them, and
# VM_AFTER_FAILURE, if set, after each that failed.
VM_TESTS=()
VM_AFTER_FAILURE=
vm_test()
{
	[ -z "${ONLY:-}" ] || grep -qE -- "$ONLY" <<<"$1" || return 0
	VM_TESTS+=("$(printf '%q ' "$MODE" "$@")")
}

vm_run()
{
	local test failed start
	local -a words

	ktap_plan ${#VM_TESTS[@]}
	for test in "${VM_TESTS[@]}"; do
		eval "words=($test)"
		MODE=${words[0]}
		failed=$KTAP_FAIL
		start=$SECONDS
		ktap_run "$MODE.${words[1]}" "${words[@]:2}"
		[ $((SECONDS - start)) -lt 5 ] || echo "# it took $((SECONDS - start)) s"
		[ "$KTAP_FAIL" = "$failed" ] || [ -z "$VM_AFTER_FAILURE" ] ||
			$VM_AFTER_FAILURE
	done
	vm_finish
}

# vm_give_up WHAT...: the end of a measurement that cannot go on
vm_give_up()
{
	echo "$(basename "$0" .sh): FAILED: $*"
	dmesg | grep -iE 'lightiov|vfio|nvme' | tail -n 8
	exit 1
}

# How long it took, then the totals.
vm_finish()
{
	[ "$L1_SLOW" = 100 ] || echo "# limits were stretched to $L1_SLOW %"
	echo "# ${0##*/}${FULL:+ (full)} took $((SECONDS - VM_STARTED)) s"
	ktap_finish
}

# ---- the host ----

vm_parent_ready()
{
	[ -d "/sys/bus/pci/devices/$1/mdev_supported_types" ]
}

vm_parents_ready()
{
	local n

	for ((n = 0; n < $(l1_drives); n++)); do
		l1_wait 30 vm_parent_ready "$(l1_bdf $n)" ||
			{ echo "drive $n is not offered to guests"; return 1; }
	done
}

# vm_parent_attr N NAME
vm_parent_attr()
{
	cat "/sys/bus/pci/devices/$(l1_bdf "$1")/lightiov/$2"
}

# vm_load_lightiov [PARAM=VALUE...]: what the mode needs, no more; again, if what a
# test left has to go first
vm_load_lightiov()
{
	if [ -d /sys/module/lightiov ]; then
		rmmod lightiov || return 1
	fi
	[ "$MODE" != direct ] || set -- allow_direct=1 "$@"
	l1_load_lightiov "$@" && vm_parents_ready
}

# vm_host_ready [PARAM=VALUE...]: nvme, then lightiov, KVM; and the counters that
# vm_nothing_is_left compares with.
vm_host_ready()
{
	if [ ! -d /sys/module/nvme ]; then
		l1_load_nvme "${NVME_ARGS[@]}" || return 1
	fi
	vm_load_lightiov "$@" || return 1
	l1_load_kvm && l2_payload || return 1
	vm_baseline
	echo "free queue pairs: $VM_FREE"
}

vm_free_pairs()
{
	local n

	for ((n = 0; n < $(l1_drives); n++)); do
		vm_parent_attr $n queue_pairs_free
	done | paste -sd ' '
}

# Pages pinned for DMA at this moment, by anybody.
vm_pins()
{
	cat /proc/sys/vm/stat_refresh
	awk '$1 == "nr_foll_pin_acquired" { n += $2 }
		$1 == "nr_foll_pin_released" { n -= $2 }
		END { print n }' /proc/vmstat
}

vm_free_mib()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
	awk '$1 == "MemFree:" { print int($2 / 1024) }' /proc/meminfo
}

vm_baseline()
{
	VM_FREE=$(vm_free_pairs)
	VM_PINS=$(vm_pins)
	VM_MIB=$(vm_free_mib)
}

vm_pins_are_back()
{
	[ "$(vm_pins)" = "$VM_PINS" ]
}

# With no instance left, all is as it was at vm_baseline. Free memory has some
# slack (MiB): slabs and page tables come and go.
VM_SLACK=64
vm_counters_are_back()
{
	local rc=0 n mib

	if ls /sys/bus/mdev/devices/* >/dev/null 2>&1; then
		echo "instances are left"
		return 1
	fi
	if [ "$(vm_free_pairs)" != "$VM_FREE" ]; then
		echo "free queue pairs: $(vm_free_pairs), were $VM_FREE"
		rc=1
	fi
	for ((n = 0; n < $(l1_drives); n++)); do
		if [ "$(vm_parent_attr $n vectors)" != "0 used, 0 shared" ]; then
			echo "drive $n vectors: $(vm_parent_attr $n vectors)"
			rc=1
		fi
	done
	if grep lightiov /proc/interrupts; then
		echo "interrupts are left"
		rc=1
	fi
	if ! l1_wait 5 vm_pins_are_back; then
		echo "pinned pages: $(vm_pins), were $VM_PINS"
		rc=1
	fi
	mib=$(vm_free_mib)
	echo "free memory: $mib MiB, was $VM_MIB"
	if [ $((VM_MIB - mib)) -gt "$VM_SLACK" ]; then
		grep -E '^(Mem|Slab|SUnr|Anon|Shmem|PageT|Unevict|Mlocked)' \
			/proc/meminfo
		rc=1
	fi
	return $rc
}

# vm_stats UUID: counters of an instance that are not 0, in one line
vm_stats()
{
	(cd "/sys/bus/mdev/devices/$1/lightiov/stats" && grep -s . ./*) |
		grep -v -e ':0$' -e latency: | sed 's|^\./||' | paste -sd ' '
}

# What a guest and its instance know when something went wrong.
vm_guest_trouble()
{
	echo "--- guest $1"
	l2_exec "$1" 'dmesg | grep -iE "nvme|lightiov" | tail -n 20
		grep nvme /proc/interrupts; cat /sys/block/nvme*n1/stat' || true
	[ -z "${2:-}" ] || {
		vm_stats "$2"
		mdev_attr "$2" queues
		mdev_attr "$2" state
		grep lightiov /proc/interrupts
	}
}

# On a debug kernel everything takes its time.
vm_is_debug_kernel()
{
	[ -e /sys/kernel/debug/kmemleak ]
}

# PREEMPT_RT
vm_is_rt_kernel()
{
	grep -qs 1 /sys/kernel/realtime
}

# vm_allow_on_debug_kernel LINE...: what such a kernel reports of the host's own drivers
vm_allow_on_debug_kernel()
{
	! vm_is_debug_kernel || printf '%s\n' "$@" >>/results/allow
}

# Programs map one page at many addresses; DMA_API_DEBUG counts no more than seven mappings.
vm_memory_has_many_addresses()
{
	vm_allow_on_debug_kernel 'report DMA-API: exceeded 7 overlapping mappings of cacheline'
}

# vm_is_gone PID: a process of this shell
vm_is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

# Every guest that still runs.
vm_kill_guests()
{
	local d

	for d in "$L2_RUN"/*/pid; do
		[ ! -e "$d" ] || { d=${d%/pid}; ! l2_alive "${d##*/}" || l2_kill9 "${d##*/}"; }
	done
}

# vm_host_reads [DRIVE]: its first namespace can be read
vm_host_reads()
{
	dd if="$(l1_ns "${1:-0}" 1)" of=/dev/null bs=64k count=16 iflag=direct status=none
}

# Kills guests and removes instances that are there, checks, unloads, checks again.
vm_nothing_is_left()
{
	local d n rc=0

	vm_kill_guests
	vm_remove_all || rc=1
	vm_counters_are_back || rc=1
	vm_host_log_is_clean || rc=1
	rmmod lightiov || return 1
	for ((n = 0; n < $(l1_drives); n++)); do
		d=/sys/bus/pci/devices/$(l1_bdf $n)
		if [ -e "$d/lightiov" ] || [ -e "$d/mdev_supported_types" ]; then
			echo "drive $n still has files of lightiov"
			rc=1
		fi
		l1_wait 30 l1_drive_ready $n || { echo "drive $n lost"; return 1; }
		vm_host_reads $n || rc=1
	done
	rmmod nvme || rc=1
	return $rc
}

# Removes every instance that is left, so that a test that failed does not make
# the next ones fail. Guests must be gone.
vm_remove_all()
{
	local d rc=0

	for d in /sys/bus/mdev/devices/*; do
		[ ! -e "$d" ] || mdev_remove "${d##*/}" || rc=1
	done
	return $rc
}

# Lines of the host's log since vm_log_mark, or all.
VM_LOG_MARK=
vm_log_mark()
{
	VM_LOG_MARK="vm-mark-$RANDOM$RANDOM"
	echo "$VM_LOG_MARK" >/dev/kmsg
}

vm_log_since_mark()
{
	if [ -n "$VM_LOG_MARK" ]; then
		dmesg | sed "1,/$VM_LOG_MARK/d"
	else
		dmesg
	fi
}

# vm_log_says REGEX: since the mark; shows the line
vm_log_says()
{
	vm_log_since_mark | grep -E -m 1 "$1"
}

# Neither driver had trouble with the drive. (The lab itself looks for warnings.)
vm_host_log_is_clean()
{
	! dmesg | grep -iE 'nvme.*(timeout|I/O error|abort|fatal|failed|unable to set)|lightiov.*(failed|lost|leaked|get its queues back)|critical (target|medium)' |
		grep -vE 'unable to set dbbuf|module verification failed|probe with driver lightiov failed with error -28'
}

# vm_create TYPE [DRIVE]: prints the UUID of a new instance of this MODE
vm_create()
{
	local uuid

	uuid=$(mdev_create "$(l1_bdf "${2:-0}")" "$1") || return 1
	if [ "$MODE" = direct ]; then
		mdev_attr "$uuid" mode direct || return 1
	fi
	if [ "$(mdev_attr "$uuid" mode)" != "$MODE" ]; then
		l1_err "mode is $(mdev_attr "$uuid" mode), not $MODE"
		return 1
	fi
	echo "$uuid"
}

# vm_instance TYPE NSID|BACKING [DRIVE]: the same with a backing: the namespace
# of this number, or what the path says
vm_instance()
{
	local uuid dev=$2

	case $dev in
	/*) ;;
	*) dev=$(l1_ns "${3:-0}" "$2") || { l1_err "no namespace $2"; return 1; } ;;
	esac
	uuid=$(vm_create "$1" "${3:-0}") || return 1
	mdev_attr "$uuid" backing "$dev" || return 1
	echo "$uuid"
}

# vm_host_sha DEVICE OFFSET-MIB MIB: sha256 of what the drive holds
vm_host_sha()
{
	dd if="$1" bs=1M skip="$2" count="$3" iflag=direct status=none |
		sha256sum | cut -c1-64
}

# le32 NUMBER: as printf %b wants it
le32()
{
	local i

	for ((i = 0; i < 32; i += 8)); do
		printf '\\0%03o' $((($1 >> i) & 255))
	done
}

# vm_partition DEVICE "FIRST COUNT"...: an MBR by hand, in blocks; type 83h
vm_partition()
{
	local dev=$1 p entries=

	shift
	for p in "$@"; do
		entries+="\\0000\\0000\\0000\\0000\\0203\\0000\\0000\\0000"
		entries+="$(le32 "${p% *}")$(le32 "${p#* }")"
	done
	printf '%b' "$entries" | dd of="$dev" bs=1 seek=446 status=none &&
		printf '%b' '\0125\0252' | dd of="$dev" bs=1 seek=510 status=none &&
		blockdev --rereadpt "$dev"
}

# ---- a program on VFIO ----

# vm_program_start UUID [NICENESS]: liov_cycle on an instance, in the background; returns
# when it does I/O. Its process is VM_PROGRAM, its output in VM_PROGRAM_LOG.
VM_PROGRAM=
VM_PROGRAM_LOG=/run/program.log
vm_program_start()
{
	# The child truncates it some time later: an earlier program must not be heard.
	: >$VM_PROGRAM_LOG
	nice -n "${2:-0}" /out/vfio/liov_cycle "$1" "${@:3}" </dev/null >$VM_PROGRAM_LOG 2>&1 &
	VM_PROGRAM=$!
	l1_wait 120 vm_program_began_or_ended && grep -q ready $VM_PROGRAM_LOG && return 0
	cat $VM_PROGRAM_LOG
	vm_program_kill
	return 1
}

vm_program_began_or_ended()
{
	grep -q ready $VM_PROGRAM_LOG || vm_is_gone "$VM_PROGRAM"
}

# vm_program_kill: at whatever moment; its device is closed when it is gone
vm_program_kill()
{
	kill -9 "$VM_PROGRAM" 2>/dev/null
	l1_wait 120 vm_is_gone "$VM_PROGRAM" 2>/dev/null || { echo "the end of the program hangs"; return 1; }
	wait "$VM_PROGRAM" 2>/dev/null
	return 0
}

# vm_program_stop: in order; fails if an I/O failed, or if what it read was not what it wrote
vm_program_stop()
{
	local rc

	kill -TERM "$VM_PROGRAM" && wait "$VM_PROGRAM"
	rc=$?
	cat $VM_PROGRAM_LOG
	return $rc
}

# ---- guests ----

# vm_guest NAME [options of l2_start]: boots it
vm_guest()
{
	l2_start "$@" && l2_wait_up "$1" 480
}

# Shell code for a guest: wait until there are $1 nvme disks. How long, says l2_exec.
vm_wait_disks()
{
	cat <<-EOT
	while :; do
		n=0; for d in /dev/nvme*n1; do [ ! -b \$d ] || n=\$((n + 1)); done
		[ \$n -lt $1 ] || break; sleep 0.2
	done
	EOT
}

# vm_guest_nvme NAME [DISKS]: nvme, in direct mode the helper first; waits for its
# disks (1)
vm_guest_nvme()
{
	local helper=true seconds=120

	# The host maps all of the guest's memory for each device.
	! vm_is_debug_kernel || seconds=600
	[ "$MODE" != direct ] || helper="insmod /payload/lightiov_guest.ko"
	l2_exec "$1" --timeout $seconds "$helper &&
		echo 'vm: loading nvme' >/dev/kmsg && modprobe nvme &&
		{ $(vm_wait_disks "${2:-1}"); }" && return 0
	l2_exec "$1" 'dmesg | grep -iE "nvme|lightiov"'
	return 1
}

# vm_guest_disk NAME UUID: prints the guest's device node of an instance, which
# it finds by the serial number
vm_guest_disk()
{
	l2_exec "$1" "for c in /sys/class/nvme/nvme*; do
		grep -qi '^nqn.2014-08.org.nvmexpress:uuid:$2' \$c/subsysnqn || continue
		for d in /dev/\${c##*/}n[0-9]*; do
			[ -b \$d ] && echo \$d && exit 0
		done
	done; exit 1"
}

# vm_guest_bdf NAME: the address of its first NVMe function
vm_guest_bdf()
{
	# shellcheck disable=SC2016 # expanded in the guest
	l2_exec "$1" 'basename $(readlink -f /sys/class/nvme/nvme0/device)'
}

# vm_python NAME SECONDS SCRIPT ARG...: a python program of this directory, in a guest
vm_python()
{
	local guest=$1 seconds=$2 script=$3

	shift 3
	l2_exec "$guest" --timeout "$seconds" "cat >/tmp/$script <<'EOT'
$(cat "$(dirname "${BASH_SOURCE[0]}")/$script")
EOT
		python3 -I -S /tmp/$script $*"
}

# vm_guest_ios NAME: reads and writes of its disk so far
vm_guest_ios()
{
	l2_exec "$1" "awk '{ print \$1 + \$5 }' /sys/block/nvme0n1/stat"
}

# vm_guest_goes_on NAME UUID BEFORE [SECONDS]: more than a few I/Os beyond BEFORE, what
# vm_guest_ios said; whatever happened in between
vm_guest_goes_on()
{
	local after start=$SECONDS

	while after=$(vm_guest_ios "$1"); do
		[ "$after" -le $(($3 + 16)) ] || return 0
		! l1_time_is_up $start "${4:-30}" || break
		sleep 0.5
	done
	echo "guest $1: I/Os $3, then ${after:-no answer}"
	vm_guest_trouble "$1" "$2"
	return 1
}

# vm_guest_log_is_clean NAME: no I/O error, time-out or reset in its log, but what
# VM_GUEST_ALLOW, a regex, says
VM_GUEST_ALLOW=
vm_guest_log_is_clean()
{
	local log

	log=$(l2_exec "$1" dmesg) || return 1
	! grep -iE 'I/O error|nvme.*(timeout|abort|fatal|failed|controller is down)|critical (target|medium)|EXT4-fs (error|warning)|Buffer I/O|WARNING:|BUG:' <<<"$log" |
		grep -vE "module verification failed${VM_GUEST_ALLOW:+|$VM_GUEST_ALLOW}"
}

# ---- fio ----

# Verified as it goes (a time-based fio has no verification phase at its end):
# after so many writes, they are read back.
# shellcheck disable=SC2034 # for the scenarios
VM_VERIFY="--verify=crc32c --verify_fatal=1 --verify_backlog=128 \
--verify_state_save=0 --serialize_overlap=1"
VM_FIO="fio --minimal --allow_file_create=0 --ioengine=io_uring --direct=1 --group_reporting"
# 4 KiB to 1 MiB
# shellcheck disable=SC2034
VM_MIXED_BS="--bssplit=4k/50:8k/10:16k/10:64k/15:256k/10:1m/5"

# vm_fio_figures LABEL TERSE-OUTPUT: one line of what fio measured; fails if it
# had an error or did nothing
vm_fio_figures()
{
	awk -F';' -v label="$1" '
	$1 == 3 {
		found = 1
		printf "%s: ", label
		if ($8)
			printf "read %d IOPS, %.1f MiB/s, %d us; ", $8, $7 / 1024, $40
		if ($49)
			printf "write %d IOPS, %.1f MiB/s, %d us", $49, $48 / 1024, $81
		print ""
		if ($5 || $6 + $47 == 0) {
			print label ": fio error " $5
			bad = 1
		}
	}
	END { exit bad || !found }' <<<"$2"
}

# vm_fio NAME LABEL ARG...: in a guest
vm_fio()
{
	local guest=$1 label=$2 out rc

	shift 2
	# The fio of a guest works for minutes in the long variant.
	out=$(l2_exec "$guest" --timeout $((${SECS:-30} + 180)) \
		"$VM_FIO --name=vm $*")
	rc=$?
	vm_fio_figures "$label" "$out" && [ $rc = 0 ] && return 0
	tail -n 20 <<<"$out" | cut -c1-200
	return 1
}

# vm_host_fio LABEL ARG...: on the host
vm_host_fio()
{
	local label=$1 out rc

	shift
	# shellcheck disable=SC2086 # a list of words
	out=$($VM_FIO --name=host "$@" 2>&1)
	rc=$?
	vm_fio_figures "$label" "$out" && [ $rc = 0 ] && return 0
	tail -n 20 <<<"$out" | cut -c1-200
	return 1
}

# vm_fio_start NAME ARG...: in the background in a guest, without an end;
# returns when it does I/O
vm_fio_start()
{
	local guest=$1

	shift
	l2_exec "$guest" --timeout 150 "rm -f /tmp/fio.log
		setsid $VM_FIO --name=bg --time_based --runtime=1d $* \
			</dev/null >/tmp/fio.log 2>&1 &
		a=; for i in \$(seq 300); do
			b=\$(cat /sys/block/nvme*n1/stat)
			[ -n \"\$a\" ] && [ \"\$a\" != \"\$b\" ] && pgrep -x fio >/dev/null && exit 0
			a=\$b; sleep 0.3
		done; cat /tmp/fio.log; exit 1"
}

# vm_fio_stop NAME: ends it; fails if it had an error
#
# Of fio's processes the first is told, which tells the others. Each has the handler, it
# prints, and a job that is interrupted in malloc() would wait for its own lock there.
vm_fio_stop()
{
	local out

	# shellcheck disable=SC2016 # expanded in the guest
	out=$(l2_exec "$1" --timeout 120 'pgrep -x fio >/dev/null || echo fio ended early
		pkill -INT -o -x fio
		for i in $(seq 300); do
			pgrep -x fio >/dev/null || break; sleep 0.2
		done
		cat /tmp/fio.log
		pids=$(pgrep -x fio) || exit 0
		echo fio does not end, in flight: $(cat /sys/block/nvme*n1/inflight)
		for p in $pids; do
			grep -H State /proc/$p/task/*/status
			head -n 3 /proc/$p/task/*/stack /proc/$p/task/*/syscall
		done
		dmesg | tail -n 3; exit 1') &&
		vm_fio_figures "background" "$out" &&
		! grep -E 'fio ended early|verify:|io_u error' <<<"$out" && return 0
	tail -n 40 <<<"$out" | cut -c1-200
	return 1
}
