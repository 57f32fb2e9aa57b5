#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13: werror=stop of a drive that a nvme device uses is taken and does nothing.
#
# Guess it contradicts: when the host has no space left the VM stops and can go on later, as
# with virtio-blk; or the device, if it cannot do that, refuses the option.
# Seen: with nvme the VM runs on, QMP says neither BLOCK_IO_ERROR nor STOP, and the guest gets
# Write Fault: "critical medium error", "No data available". With virtio-blk, the same drive and
# the same error, QMP says both, and the guest just waits.
# Who meets it: who keeps thin images: one full host file system is, for each guest with nvme, a
# drive that dies, and the management of the VMs is not told.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
mkdir -p "$T/g/etc/modprobe.d"
conf=$T/g/etc/modprobe.d/finding.conf
echo 'softdep nvme pre: virtio_blk' > "$conf"
trap 'rm -rf "$conf" "$T"' EXIT
truncate -s 16M "$T/disk"
# QEMU's blkdebug driver is the full file system: each write ends with ENOSPC
drive=driver=blkdebug,image.driver=file,image.filename=$T/disk
drive+=,inject-error.0.event=none,inject-error.0.iotype=write,inject-error.0.errno=28
drive+=,if=none,id=d,werror=stop
# one_write NAME DISK QEMU ARGUMENT...: QMP's events are in $T/NAME; the VM ends when it stops
one_write() {
	local name=$1 disk=$2
	shift 2
	mkfifo "$T/$name.in" "$T/$name.out"
	cat "$T/$name.out" > "$T/$name" &
	local reader=$!
	{
		echo '{"execute":"qmp_capabilities"}'
		until grep -q -E '"(STOP|SHUTDOWN)"' "$T/$name"; do sleep 1; done
		sleep 1
		echo '{"execute":"quit"}'
	} > "$T/$name.in" 2> /dev/null &
	local writer=$!
	(guest "modprobe virtio_blk; sleep 1
		dd if=/dev/zero of=/dev/$disk bs=4096 count=1 oflag=direct 2>&1 | grep error
		dmesg | grep -o 'critical .* error'" -drive "$drive" -chardev "pipe,id=q,path=$T/$name" \
		-mon chardev=q,mode=control "$@") > "$T/$name.log" 2>&1
	sleep 1
	kill "$reader" "$writer" 2> /dev/null
	grep -o -E '"(BLOCK_IO_ERROR|STOP)"' "$T/$name" | sort -u | xargs
}
expect "nvme: no event" "$(one_write nvme nvme0n1 -device nvme,serial=a,drive=d)" ""
expect "and an error in the guest" "$(sed -n '/^GUEST-BEGIN/,$p' "$T/nvme.log" |
	grep -v aio)" "GUEST-BEGIN
dd: error writing '/dev/nvme0n1': No data available
critical medium error
GUEST-END"
expect "virtio-blk: stopped" "$(one_write virtio vda -device virtio-blk,drive=d)" \
	"BLOCK_IO_ERROR STOP"
expect "and no error in the guest" "$(grep -c -E 'error|GUEST-END' "$T/virtio.log")" 0
exit "$FAILED"
