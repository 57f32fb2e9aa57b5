#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# nvme-cli 2.13-2 on Debian 13's kernel 6.12.118: `nvme show-regs` and `nvme effects-log`
# fail for every drive that a driver has bound, with messages that lead astray.
#
# Guess it contradicts: root reads a PCIe drive's registers with `nvme show-regs
# /dev/nvme0`, and the effects log with `nvme effects-log /dev/nvme0`; if the kernel
# forbids the mapping, the tool says so, and the kernel argument it names helps.
# Seen: the kernel has CONFIG_IO_STRICT_DEVMEM, so BAR 0 cannot be mapped. show-regs then
# sends a Fabrics command (Get Property) to the PCIe drive and reports that command's
# refusal, "Invalid Command Opcode", as if the drive were at fault. effects-log, which
# wants CAP.CSS only to choose the pages, prints nothing at all and exits 1, with
# -o json too; --csi=0 makes it work. Only -v gives the reason, and its advice,
# io_memory=relaxed, is no argument of the kernel: iomem=relaxed is.
# Who meets it: everybody who wants CAP, CC, CSTS or the doorbell stride of a live drive
# on Debian, or monitors with effects-log.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 64M "$T/disk"
try() {
	APPEND=$1 guest '
nvme show-regs /dev/nvme0 > /tmp/o 2>&1; echo "show-regs exit $?: $(head -n 1 /tmp/o)"
nvme show-regs -v /dev/nvme0 2>&1 | grep relaxed
nvme effects-log /dev/nvme0 > /tmp/o 2>&1; echo "effects-log exit $?, $(wc -l < /tmp/o) lines"
nvme effects-log /dev/nvme0 -o json > /tmp/o 2>&1; echo "json exit $?, $(wc -l < /tmp/o) lines"
nvme effects-log /dev/nvme0 --csi=0 > /tmp/o 2>&1; echo "csi 0 exit $?, $(wc -l < /tmp/o) lines"' \
		-drive "file=$T/disk,format=raw,if=none,id=d" -device nvme,serial=a,drive=d
}
strict='*show-regs exit 1: NVMe status: Invalid Command Opcode*io_memory=relaxed*
effects-log exit 1, 0 lines
json exit 1, 0 lines
csi 0 exit 0, [1-9]*'
try ""
expect "the stock kernel" "$(cat "$T/out")" "$strict"
try io_memory=relaxed
expect "the argument that the tool names changes nothing" "$(cat "$T/out")" "$strict"
try iomem=relaxed
expect "the kernel's own argument helps" "$(cat "$T/out")" \
	'*show-regs exit 0: cap*effects-log exit 0, [1-9]*json exit 0, [1-9]*'
exit "$FAILED"
