#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The demonstration: a guest, not changed in any way, does I/O through queue pairs
# carved from the drive its host goes on using, and what it wrote is read back
# through the host.

. "$(dirname "$0")/../lab/l1.sh"

GUEST_CPUS=2
SECS=5
OUT=/run/demo
mkdir -p $OUT

step()
{
	echo "== $*"
}

give_up()
{
	echo "demo: FAILED: $*"
	dmesg | grep -i lightiov | tail -n 5
	exit 1
}

# The counters of the guest's KVM and of the instance, "name value" a line.
counters()
{
	local f

	kvm_exits g0 | grep -E '^(exits|mmio_exits|io_exits|insn_emulation|halt_exits|irq_injections) '
	for f in doorbell_exits interrupts; do
		echo "$f $(mdev_attr "$UUID" stats/$f)"
	done
}

# guest_fio NAME ARGS...: one job in the guest, JSON to $OUT/NAME.json and the
# counters around it
guest_fio()
{
	local name=$1

	shift
	counters >"$OUT/$name.before"
	l2_exec g0 --timeout 120 "fio --name=$name --filename=/dev/nvme0n1 --direct=1 \
		--ioengine=io_uring --bs=4k --output-format=json $*" >"$OUT/$name.json" ||
		{ cat "$OUT/$name.json"; give_up "fio $name in the guest"; }
	counters >"$OUT/$name.after"
}

# fio_row LABEL FILE read|write: IOPS, mean and p99 latency
fio_row()
{
	jq -r --arg l "$1" --arg d "$3" '.jobs[0][$d] | [$l,
		(.iops | round), (.clat_ns.mean / 1000 | round),
		(.clat_ns.percentile["99.000000"] / 1000 | round)] | @tsv' "$2" |
		awk -F'\t' '{ printf "  %-34s %8d %10d %10d\n", $1, $2, $3, $4 }'
}

# exit_row LABEL NAME: counters per I/O
exit_row()
{
	local ios

	ios=$(jq '.jobs[0] | .read.total_ios + .write.total_ios' "$OUT/$2.json")
	join "$OUT/$2.before" "$OUT/$2.after" | awk -v l="$1" -v n="$ios" '
		{ d[$1] = $3 - $2 }
		END {
			printf "  %-18s %8d %8.2f %8.3f %8.2f %8.2f %8.2f\n", l, n,
				d["exits"] / n, (d["mmio_exits"] + d["io_exits"]) / n,
				d["doorbell_exits"] / n, d["interrupts"] / n,
				d["halt_exits"] / n
		}'
}

step "load the host's own nvme driver, then lightiov"
l1_load_nvme || give_up "nvme"
l1_load_lightiov || give_up "lightiov"
BDF=$(l1_bdf 0)
l1_wait 30 test -d "/sys/bus/pci/devices/$BDF/mdev_supported_types" ||
	give_up "$BDF did not become a parent"
HOST_NS=$(l1_ns 0 3)
GUEST_NS=$(l1_ns 0 2)

step "create an instance by sysfs, on $GUEST_NS"
UUID=$(mdev_create "$BDF" ${GUEST_CPUS}q) || give_up "create"
mdev_attr "$UUID" backing "$GUEST_NS" || give_up "backing"
MODE=$(mdev_attr "$UUID" mode)

step "boot a guest with it (stock QEMU, kernel and driver; a minute, here all is emulated)"
l1_load_kvm && l2_start g0 --cpus $GUEST_CPUS --mdev "$UUID" && l2_wait_up g0 400 ||
	give_up "the guest did not boot"
l2_exec g0 'modprobe nvme &&
	for i in $(seq 100); do [ -b /dev/nvme0n1 ] && exit 0; sleep 0.2; done; exit 1' ||
	give_up "no disk in the guest"
mdev_attr "$UUID" queues >$OUT/queues

step "guest: 4 KiB random reads, one at a time"
guest_fio read1 --rw=randread --size=256m --iodepth=1 --time_based --runtime=$SECS
step "guest: the same at queue depth 32, host I/O on $HOST_NS at the same time"
# Held back: both share one emulated CPU.
fio --name=host --filename="$HOST_NS" --rw=randrw --bs=4k --size=16m --direct=1 \
	--ioengine=io_uring --iodepth=4 --verify=crc32c --verify_backlog=32 \
	--time_based --runtime=$((4 * SECS)) --rate_iops=100,100 --output-format=json >$OUT/host.json 2>$OUT/host.err &
host=$!
guest_fio read32 --rw=randread --size=256m --iodepth=32 --time_based --runtime=$SECS
step "guest: 4 KiB random writes, then all of it verified"
guest_fio write32 --rw=randwrite --size=8m --iodepth=32 --verify=crc32c --randseed=42 \
	--allrandrepeat=1
wait $host || { cat $OUT/host.err; give_up "fio of the host"; }

step "stop the guest and read its data back through the host"
guest_sum=$(l2_exec g0 --timeout 60 'head -c 8M /dev/nvme0n1 | sha256sum') || give_up "checksum"
l2_stop g0 || give_up "the guest did not stop"
mdev_attr "$UUID" backing '' || give_up "release the backing"
host_sum=$(head -c 8M "$GUEST_NS" | sha256sum)
zero_sum=$(head -c 8M /dev/zero | sha256sum)
[ "$guest_sum" = "$host_sum" ] && [ "$host_sum" != "$zero_sum" ] ||
	give_up "host reads $host_sum, the guest read $guest_sum"

lightiov_dir=/sys/bus/pci/devices/$BDF/lightiov
echo
echo "LightIOV, $MODE mode (the default), nothing added to the guest: what was seen"
echo
echo "Drive $BDF ($(cat "/sys/class/nvme/$(l1_ctrl 0)/model" | xargs)), bound to the stock nvme driver:"
echo "  $(cat $lightiov_dir/queue_pairs_total) queue pairs, $(cat $lightiov_dir/queue_pairs_host) the host's," \
	"$GUEST_CPUS carved for the guest, $(cat $lightiov_dir/queue_pairs_free) free"
sed 's/^\([0-9]*\): hardware \([0-9]*\) sq \([0-9]*\) cq \([0-9]*\) vector \([0-9]*\)/  guest queue \1 = hardware queue \2, depth \3, MSI-X vector \5/' $OUT/queues
echo
printf '  %-34s %8s %10s %10s\n' "4 KiB random, fio io_uring" IOPS "mean us" "p99 us"
fio_row "guest read, depth 1" $OUT/read1.json read
fio_row "guest read, depth 32 (host busy)" $OUT/read32.json read
fio_row "guest write, depth 32 (host busy)" $OUT/write32.json write
fio_row "host read, 100/s (guest busy)" $OUT/host.json read
fio_row "host write, 100/s (guest busy)" $OUT/host.json write
echo
echo "  Per I/O, by KVM's and the module's own counters:"
printf '  %-18s %8s %8s %8s %8s %8s %8s\n' "" I/Os exits "to QEMU" doorbell interr. halts
exit_row "read, depth 1" read1
exit_row "read, depth 32" read32
exit_row "write, depth 32" write32
echo
echo "  Verified: $(jq '.jobs[0].read.total_ios' $OUT/write32.json) blocks by the guest itself," \
	"$(jq '.jobs[0].read.total_ios' $OUT/host.json) by the host on its own namespace, no error;"
echo "  8 MiB written by the guest, read back through the host: match"
echo "  sha256 ${host_sum%% *}"
echo
mdev_remove "$UUID" && rmmod lightiov || give_up "tear down"
cp $OUT/*.json /results/
echo "demo: PASSED"
