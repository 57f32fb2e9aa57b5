# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# fio, in guests and on the host. Sourced by ../common.sh.

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

# vm_host_fio_start [SIZE]: verified I/O of the host on the first SIZE (16m) of the first namespace
# of drive 0; it has begun when this returns, since a fio that is just starting does not hear of
# its end
vm_host_fio_start()
{
	local ns before

	ns=$(l1_ns 0 1) && before=$(vm_ios_of "$ns") || return 1
	fio --minimal --name=host --filename="$ns" --ioengine=io_uring --direct=1 --rw=randrw --bs=4k \
		--iodepth=8 --size="${1:-16m}" --verify=crc32c --verify_fatal=1 --verify_backlog=128 \
		--time_based --runtime=1d >/tmp/host.log 2>&1 &
	VM_HOST_FIO=$!
	l1_wait 60 vm_has_more_ios "$ns" "$before"
}

# vm_ios_of DEVICE: reads and writes that the host has completed on it
vm_ios_of()
{
	awk '{ print $1 + $5 }' "/sys/block/${1##*/}/stat"
}

vm_has_more_ios()
{
	[ "$(vm_ios_of "$1")" -gt "$2" ]
}

# vm_host_fio_stop: its figures; false if something went wrong
vm_host_fio_stop()
{
	kill -INT "$VM_HOST_FIO"
	l1_wait 60 vm_is_gone "$VM_HOST_FIO" || { echo "the host's I/O hangs"; kill -9 "$VM_HOST_FIO"; return 1; }
	vm_fio_figures "host" "$(</tmp/host.log)"
}
