#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2016
#
# QEMU 10.0.13's nvme-ns with Debian 13's kernel 6.12.118: uuid=, nguid= and eui64= do not
# become the disk's name in the guest.
#
# Guess it contradicts: a namespace with a uuid has it as its wwid, so the guest finds the disk
# under /dev/disk/by-id/nvme-uuid.UUID, whatever drive and number it has.
# Seen: QEMU reports all three (nvme ns-descs shows them), but Linux has a quirk for QEMU's PCI
# id 1b36:0010, and one for the older id that use-intel-id=on gives: "Ignoring bogus Namespace
# Identifiers". sysfs has no uuid, nguid or eui, and the wwid is made of vendor, serial, model
# and namespace id, as for a namespace with no identifier.
# Who meets it: who gives his namespaces a uuid so that fstab or multipath knows them again, and
# moves one to another controller or serial number.

T=$(mktemp -d) && trap 'rm -rf "$T"' EXIT
QEMU=qemu-system-x86=1:10.0.13+ds-0+deb13u1
NVME=nvme-cli=2.13-2
# shellcheck source=guest.bash
. "$(dirname "$0")/guest.bash"
unpack "$T/q" "$QEMU"
unpack "$T/g" "${GUEST[@]}" "$NVME"
truncate -s 16M "$T/a" "$T/b" "$T/c"
id=11111111-2222-3333-4444-555555555555
look='
for n in 1 2 3; do
	nvme ns-descs /dev/nvme0 -n $n | grep -E "^(uuid|nguid|eui64)" | tr -d " "
done
for d in /sys/block/nvme0n*; do echo "$(cat $d/nsid) $(cat $d/wwid)"; done | sort
echo "ids: $(ls -d /sys/block/*/uuid /sys/block/*/nguid /sys/block/*/eui 2>/dev/null | wc -l)"
echo "ignored: $(dmesg | grep -c "Ignoring bogus Namespace Identifiers")"'
namespaces=(-drive "file=$T/a,format=raw,if=none,id=a" -device "nvme-ns,drive=a,nsid=1,uuid=$id"
	-drive "file=$T/b,format=raw,if=none,id=b"
	-device "nvme-ns,drive=b,nsid=2,nguid=${id//-/}"
	-drive "file=$T/c,format=raw,if=none,id=c"
	-device "nvme-ns,drive=c,nsid=3,eui64=0x5254000000000001")
for intel in off on; do
	guest "$look" -device nvme,serial=a,use-intel-id=$intel "${namespaces[@]}"
	expect "use-intel-id=$intel: told, and ignored" "$(sed '1d;$d' "$T/out")" "uuid:$id
nguid:${id//-/}
eui64:5254000000000001
1 nvme.????-61-51454d55204e564d65204374726c-00000001
2 nvme.????-61-51454d55204e564d65204374726c-00000002
3 nvme.????-61-51454d55204e564d65204374726c-00000003
ids: 0
ignored: 3"
done
exit "$FAILED"
