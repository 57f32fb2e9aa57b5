#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A measurement, not a test: the same guest on the same emulated drive by LightIOV
# guarded, LightIOV direct and vfio-pci of a whole drive, 4 KiB random reads. One
# guest runs at a time, the others are stopped, or their timers would cost it more
# than anything that is compared here. The ways take turns, and medians are shown.
# Exits are expensive here out of proportion: read them beside the IOPS. "device" are
# the exits that doorbells and interrupts of the device are the reason for, by the
# instance's counters; the other ones are the guest's timer and its idling, more for
# each I/O the fewer I/Os a second there are.
#
# lab-options: --drives 2 --timeout 3600
#
# Arguments: SECS=N (of each run, 4), REPEATS=N (9), QDS="1 32", WAYS="guarded
# direct vfio"; there is also "shared": guarded on shared queue pairs.

. "$(dirname "$0")/common.sh"
vm_args "$@"

SECS=${SECS:-4}
REPEATS=${REPEATS:-9}
QDS=${QDS:-1 32}
WAYS=${WAYS:-guarded direct vfio}
OUT=/run/compare
MIB=256
mkdir -p $OUT

# start WAY: its guest; same CPU, same memory, same driver
declare -A UUID=()
start()
{
	case $1 in
	guarded) UUID[$1]=$(MODE=guarded vm_instance 1q 1) ;;
	direct) UUID[$1]=$(MODE=direct vm_instance 1q 2) ;;
	shared) UUID[$1]=$(MODE=guarded SHARED=1 vm_instance 1q 3) ;;
	vfio)
		l1_bind_vfio "$(l1_bdf 1)" &&
			l2_start vfio --mem 768 --vfio-pci "$(l1_bdf 1)"
		return ;;
	esac
	[ -n "${UUID[$1]}" ] && l2_start "$1" --mem 768 --mdev "${UUID[$1]}"
}

# nvme_in WAY: loads the driver; the first use of memory and of pages is not measured
nvme_in()
{
	MODE=${1/shared/guarded} vm_guest_nvme "$1" && run "$1" 32 warm && run "$1" 1 warm
}

# alone WAY: it runs, and nobody else
alone()
{
	local way

	for way in $WAYS; do
		[ "$way" = "$1" ] || ! l2_alive "$way" ||
			l2_monitor "$way" stop >/dev/null || return 1
	done
	l2_monitor "$1" cont >/dev/null && l2_exec "$1" true
}

# KVM's counters of all exits, and of an instance those that the device is the reason
# for: doorbells and interrupts. The rest is timers and idling.
counters()
{
	kvm_exits "$1" | grep -E '^(exits|mmio_exits|io_exits|irq_injections|halt_exits) '
	[ -z "${UUID[$1]:-}" ] || (cd "/sys/bus/mdev/devices/${UUID[$1]}/lightiov/stats" &&
		echo "device_exits $(($(cat doorbell_exits) + $(cat interrupts)))")
}

# run WAY QD NUMBER: one line "iops mean-us p99-us exits to-qemu interrupts halts
# device" (the latter five for each I/O) in OUT/WAY-QD
run()
{
	local way=$1 qd=$2 json ios

	alone "$way" || return 1
	counters "$way" | sort >$OUT/before
	json=$(l2_exec "$way" --timeout 120 "fio --name=x --filename=/dev/nvme0n1 --direct=1 \
		--ioengine=io_uring --rw=randread --bs=4k --size=${MIB}m --iodepth=$qd \
		--time_based --runtime=$SECS --norandommap --output-format=json") ||
		{ echo "$json"; return 1; }
	counters "$way" | sort >$OUT/after
	ios=$(jq '.jobs[0].read.total_ios' <<<"$json") && [ "$ios" -gt 0 ] || return 1
	[ "$3" != warm ] || return 0
	{
		jq -r '.jobs[0].read | [.iops, .clat_ns.mean / 1000,
			.clat_ns.percentile["99.000000"] / 1000] | @tsv' <<<"$json"
		join $OUT/before $OUT/after | awk -v n="$ios" '{ d[$1] = $3 - $2 }
			END { print d["exits"] / n, (d["mmio_exits"] + d["io_exits"]) / n,
				d["irq_injections"] / n, d["halt_exits"] / n,
				d["device_exits"] / n }'
	} | paste -sd ' ' | tr '\t' ' ' | tee -a "$OUT/$way-$qd" | sed "s/^/# $way QD $qd: /"
}

# column WAY QD N: the median of a column; quartile for the spread
column()
{
	awk -v n="$3" '{ print $n }' "$OUT/$1-$2" | sort -g |
		awk '{ v[NR] = $1 } END { h = int(NR / 2)
			print NR % 2 ? v[h + 1] : (v[h] + v[h + 1]) / 2 }'
}

# Nobody counts them for vfio-pci.
device()
{
	[ "$1" = vfio ] && echo - || printf %.2f "$(column "$1" "$2" 8)"
}

range()
{
	awk '{ print int($1 + .5) }' "$OUT/$1-$2" | sort -n | sed -n '1p;$p' | paste -sd-
}

echo "# loading, booting three guests"
l1_load_nvme && l1_load_lightiov allow_direct=1 && vm_parents_ready || vm_give_up "load"
l1_load_kvm && l2_payload || vm_give_up "KVM"
# The same data under all: nothing sparse.
for dev in "$(l1_ns 0 1)" "$(l1_ns 0 2)" "$(l1_ns 0 3)" "$(l1_ns 1 1)"; do
	dd if=/dev/urandom of="$dev" bs=1M count=$MIB oflag=direct status=none || vm_give_up "fill"
done
for way in $WAYS; do
	start "$way" || vm_give_up "start $way"
done
for way in $WAYS; do
	l2_wait_up "$way" 240 || vm_give_up "guest $way"
done
for way in $WAYS; do
	alone "$way" && nvme_in "$way" || vm_give_up "nvme in $way"
done
for ((r = 1; r <= REPEATS; r++)); do
	echo "# round $r of $REPEATS"
	for qd in $QDS; do
		for way in $WAYS; do
			run "$way" "$qd" $r || vm_give_up "fio in $way"
		done
	done
done

echo
echo "4 KiB random reads, 1 vCPU, medians of $REPEATS runs of $SECS s"
printf '%-10s %4s %8s %15s %9s %9s %9s %9s %9s %9s %9s\n' "" QD IOPS "(min-max)" "mean us" "p99 us" \
	exits/IO device/IO QEMU/IO irqs/IO halts/IO
for qd in $QDS; do
	for way in $WAYS; do
		printf '%-10s %4d %8.0f %15s %9.0f %9.0f %9.2f %9s %9.3f %9.2f %9.2f\n' "$way" "$qd" \
			"$(column "$way" "$qd" 1)" "$(range "$way" "$qd")" \
			"$(column "$way" "$qd" 2)" "$(column "$way" "$qd" 3)" \
			"$(column "$way" "$qd" 4)" "$(device "$way" "$qd")" "$(column "$way" "$qd" 5)" \
			"$(column "$way" "$qd" 6)" "$(column "$way" "$qd" 7)"
	done
done
for qd in $QDS; do
	for way in $WAYS; do
		[ "$way" != guarded ] || continue
		[ -s "$OUT/guarded-$qd" ] || continue
		awk -v qd="$qd" -v way="$way" -v a="$(column guarded "$qd" 1)" -v b="$(column "$way" "$qd" 1)" \
			-v x="$(column guarded "$qd" 4)" -v y="$(column "$way" "$qd" 4)" 'BEGIN {
			printf "QD %d: guarded has %.0f %% of the IOPS of %s, and %.0f %% of its exits per I/O\n",
				qd, 100 * a / b, way, 100 * x / y }'
		[ "$way" = direct ] || continue
		awk -v qd="$qd" -v x="$(column guarded "$qd" 8)" -v y="$(column direct "$qd" 8)" 'BEGIN {
			printf "QD %d: of those that the device is the reason for (doorbells, interrupts) %.3f, direct %.3f\n",
				qd, x, y }'
	done
done
cp $OUT/*-* /results/
for way in $WAYS; do
	alone "$way" && vm_guest_log_is_clean "$way" && l2_stop "$way" || vm_give_up "stop $way"
done
vm_remove_all || vm_give_up "remove"
