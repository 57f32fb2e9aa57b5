#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The comparison: one guest has a disk in every way that methods.sh knows, measure.py
# works with one after the other and counts what it costs. Results are lines of JSON,
# which report.py makes readable.
#
# lab-options: --drives 2 --namespaces 10 --nssize 768M --qpairs 16 --vfs 1 --append
# nvme_core.multipath=0; or --dstrd 10 instead of --vfs 1
#
# Arguments: full, METHODS="...", REPEATS=N, SECS=N (of each run), SEED=N,
# WORKLOADS="rw:bs:qd:jobs ...", APP=N (operations of the key-value store, 0: none),
# VCPUS=N, MIB=N (that each method works on), COMMIT=what is measured.

. "$(dirname "$0")/../../selftests/vm/common.sh"
. "$(dirname "$0")/methods.sh"
vm_args "$@"

QUICK="randread:4k:1:1 randread:4k:32:1 randrw:4k:8:4 read:128k:8:1"
# Reads at every depth and size; the others where curves bend.
ALL="$(for qd in 1 2 4 8 16 32 64 128; do echo randread:4k:$qd:1; done
for jobs in 2 4 8; do echo randread:4k:8:$jobs; done
for bs in 16k 64k 128k 1m; do echo randread:$bs:8:1; done
for rw in randwrite randrw; do
	for qd in 1 8 32 128; do echo $rw:4k:$qd:1; done
	echo $rw:4k:8:8
	for bs in 128k 1m; do echo $rw:$bs:8:1; done
done)"
METHODS=${METHODS:-$METHODS_ALL}
WORKLOADS=${WORKLOADS:-$([ -n "$FULL" ] && echo $ALL || echo $QUICK)}
REPEATS=${REPEATS:-3}
SECS=${SECS:-$([ -n "$FULL" ] && echo 3 || echo 2)}
SEED=${SEED:-1}
APP=${APP:-$([ -n "$FULL" ] && echo 6000 || echo 1500)}
VCPUS=${VCPUS:-1}
MIB=${MIB:-64}
MEM=768
HERE=$(dirname "$0")

step()
{
	echo "== $* ($SECONDS s)"
}

# Not sparse, and the same for all.
fill()
{
	local dev

	dev=$([ "$1" = vfio ] && l1_ns 1 1 || ns_of "$1") &&
		dd if=/run/bench/random of="$dev" bs=1M count=$MIB oflag=direct status=none
}

# made METHOD: its host side; a method that cannot be had is left out, and said so
HAVE=()
made()
{
	local why rc

	# Not in a subshell: it adds to arrays.
	"${1//-/_}_host" >/run/bench/why 2>&1
	rc=$?
	why=$(cat /run/bench/why)
	case $rc in
	0) HAVE+=("$1") ;;
	4) echo "$1: left out: $why"
	   LEFT_OUT+=("$1" "$why") ;;
	*) echo "$why"; return 1 ;;
	esac
}

disk_of()
{
	local nsid=1

	case $1 in
	host) ns_of host; return ;;
	# As the drive numbers them.
	direct|sriov) nsid=$(position_of "$1") ;;
	esac
	l2_exec bench --timeout 60 "$(guest_disk "$(slot_of "$1")" $nsid)" || {
		echo "no disk of $1"
		l2_exec bench 'dmesg | grep -iE "nvme|scsi|virtio|lightiov" | tail -n 30'
		return 1
	} >&2
}

# A line of JSON for each method, for measure.py.
spec()
{
	local m dev

	for m in "${HAVE[@]}"; do
		dev=$(disk_of "$m") || return 1
		jq -nc --arg name "$m" --arg dev "$dev" '{name: $name, dev: $dev}'
	done
}

LEFT_OUT=()
mkdir -p /run/bench
step "drives"
l1_load_nvme || vm_give_up "nvme"
# All but those of its virtual function, if it has one.
if has_virtual_functions; then
	l1_drive_grants 0 14 || vm_give_up "the drive's queue pairs"
fi
l1_wait 30 l1_drive_ready 0 || vm_give_up "the drive"
l1_load_lightiov allow_direct=1 && vm_parents_ready || vm_give_up "lightiov"
l1_load_kvm && l2_payload || vm_give_up "KVM"
dd if=/dev/urandom of=/run/bench/random bs=1M count=$MIB status=none || vm_give_up "random data"
for m in $METHODS; do
	case $m in sriov|spdk) continue ;; esac
	fill "$m" || vm_give_up "filling the namespace of $m"
done
rm /run/bench/random
step "methods"
for m in $METHODS; do
	made "$m" || vm_give_up "$m"
done
step "guest"
l2_start bench --cpus "$VCPUS" --mem $MEM --machine q35,i8042=off,sata=off,memory-backend=mem \
	--append nvme_core.multipath=0 \
	--qemu-arg -object --qemu-arg "memory-backend-memfd,id=mem,size=${MEM}M,share=on" \
	"${DEVICES[@]}" && l2_wait_up bench 300 || vm_give_up "the guest"
l2_exec bench --timeout 120 'insmod /payload/lightiov_guest.ko; modprobe virtio_scsi
	modprobe sd_mod; modprobe nvme' || vm_give_up "drivers in the guest"
spec >/run/bench/methods || vm_give_up "disks in the guest"
step "measuring"
jq -nc '{kind: "machine", cpu: $cpu, cpus: $cpus, kernel: $kernel, qemu: $qemu, fio: $fio,
	commit: $commit, lab: true, vcpus: $vcpus, mib: $mib, doorbell_stride: $stride,
	left_out: $left_out}' \
	--arg cpu "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1) (emulated)" \
	--argjson cpus "$(nproc)" --arg kernel "$(uname -r)" \
	--arg qemu "$(qemu-system-x86_64 --version | head -n 1)" --arg fio "$(fio --version)" \
	--arg commit "${COMMIT:-unknown}" --argjson vcpus "$VCPUS" --argjson mib "$MIB" \
	--argjson stride "$(vm_parent_attr 0 doorbell_stride)" \
	--argjson left_out "$(printf '%s\n' "${LEFT_OUT[@]}" | jq -Rn '[inputs | select(. != "")]')" \
	>/results/bench.jsonl
python3 "$HERE/measure.py" --guest "$L2_RUN/bench" --methods /run/bench/methods \
	--out /results/bench.jsonl --repeats "$REPEATS" --secs "$SECS" --seed "$SEED" \
	--mib "$MIB" --app "$APP" --daemons "${DAEMONS[*]}" --workloads "$(echo $WORKLOADS)"
measured=$?
step "taking it down"
vm_guest_log_is_clean bench || vm_give_up "the guest's log"
l2_stop bench || vm_give_up "stopping the guest"
step "methods"
vm_remove_all || vm_give_up "removing instances"
for m in "${HAVE[@]}"; do
	if declare -F "${m//-/_}_undo" >/dev/null; then
		"${m//-/_}_undo" || echo "bench: undoing $m: $?"
	fi
done
[ $measured -eq 0 ] || vm_give_up "measuring: runs failed"
step "done"
