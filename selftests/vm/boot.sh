#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# No Linux in between: SeaBIOS and OVMF find a guarded instance with NVMe drivers
# of their own, which know no helper, and load a boot loader from it; that loads a
# kernel. The kernel's nvme driver then takes over what the firmware left, and
# reads and writes the same disk. Once on a whole namespace, once on a range of
# blocks in the middle of one.
#
# Arguments: ON="namespace range" (or drive: the whole drive through vfio-pci,
# without LightIOV, to see who is at fault), FIRMWARE="seabios ovmf".

. "$(dirname "$0")/common.sh"
ON="namespace range"
FIRMWARE="seabios ovmf"
vm_args "$@"

IMG=/tmp/boot.img
MIB=$((1 << 20))
# An odd block, so that nothing that the guest addresses is aligned on the drive.
RANGE_START=70001
RANGE_COUNT=262144
# The guest reads the first and writes the second 2 MiB of the partition lab-data.
PATTERN=$((2 * MIB))
KERNEL_BYTES=$(stat -c %s -L /boot/lab-l2-vmlinuz)

# ---- the disk ----

# place ON: where the disk is; on the namespace DEV from byte START, SIZE bytes
place()
{
	local nsid

	# SeaBIOS tries the first disk only.
	case $1 in
	drive) nsid=1 ;;
	namespace) nsid=2 ;;
	range) nsid=3 ;;
	esac
	DEV=$(l1_ns 0 $nsid) || return 1
	[ "$(blockdev --getss "$DEV")" = 512 ] || { echo "not 512-byte blocks"; return 1; }
	START=0
	SIZE=$(blockdev --getsize64 "$DEV")
	BACKING=$DEV
	if [ "$1" = range ]; then
		START=$((RANGE_START * 512))
		SIZE=$((RANGE_COUNT * 512))
		BACKING=$DEV:$RANGE_START+$RANGE_COUNT
	fi
}

# sum OFFSET BYTES: of the disk, what the drive itself holds
sum()
{
	dd if="$DEV" bs=1M iflag=direct,skip_bytes,count_bytes \
		skip=$((START + $1)) count="$2" status=none | sha256sum | cut -c1-64
}

# fill OFFSET BYTES: with noise
fill()
{
	head -c "$2" /dev/urandom >/tmp/noise &&
		dd if=/tmp/noise of="$DEV" bs=1M oflag=direct,seek_bytes \
			seek=$((START + $1)) conv=notrunc status=none
}

# What lies next to the range.
neighbours()
{
	[ "$START" = 0 ] || echo "$(sum -$MIB $MIB) $(sum "$SIZE" $MIB)"
}

disk_is_written()
{
	place "$1" || return 1
	TOKEN=$1-$(cat /proc/sys/kernel/random/uuid)
	"$LAB/boot-disk" $IMG $SIZE "$TOKEN" || return 1
	sfdisk --dump $IMG
	DATA=$(sfdisk --dump $IMG |
		sed -n 's/.*start= *\([0-9]*\),.*name="lab-data".*/\1/p')
	DATA=$((${DATA:?no partition lab-data} * 512))
	# The drive is new: what the image leaves out is zero.
	dd if=$IMG of="$DEV" bs=64k oflag=seek_bytes seek="$START" \
		conv=sparse,notrunc,fsync status=none && rm $IMG || return 1
	if [ "$START" != 0 ]; then
		fill -$MIB $MIB && fill "$SIZE" $MIB || return 1
	fi
	NEIGHBOURS=$(neighbours)
}

neighbours_are_untouched()
{
	[ "$(neighbours)" = "$NEIGHBOURS" ]
}

# ---- the guest ----

# Sets DEVICE, for QEMU.
take()
{
	if [ "$1" = drive ]; then
		UUID=
		DEVICE="vfio-pci,host=$(l1_bdf 0)"
		l1_bind_vfio "$(l1_bdf 0)"
	else
		UUID=$(vm_instance 2q "$BACKING") || return 1
		DEVICE="vfio-pci,sysfsdev=/sys/bus/mdev/devices/$UUID"
	fi
}

give_back()
{
	if [ -n "$UUID" ]; then
		mdev_remove "$UUID"
	else
		l1_bind_nvme "$(l1_bdf 0)" && l1_wait 30 l1_drive_ready 0
	fi
}

# instance_moved COUNTER BYTES: the guest's driver has used the queues of the
# instance for that much, with no command refused.
instance_moved()
{
	local bytes

	[ -n "$UUID" ] || return 0
	vm_stats "$UUID" | tr ' ' '\n' | grep -v ':0$' | paste -sd ' '
	if grep -v '^0$' "/sys/bus/mdev/devices/$UUID/lightiov/stats/refused_"*; then
		echo "commands were refused"
		return 1
	fi
	bytes=$(mdev_attr "$UUID" "stats/$1")
	[ "$bytes" -ge "$2" ] && return 0
	echo "$1 is $bytes, less than $2"
	return 1
}

# What the instance knows when something went wrong.
instance_trouble()
{
	vm_stats "$UUID"
	mdev_attr "$UUID" queues
	mdev_attr "$UUID" state
	dmesg | grep -F "$UUID"
}

# guest_boots NAME FIRMWARE SUM: until it is off again, by itself
guest_boots()
{
	local guest=$1 by log=/results/l2-$1-console.log start=$SECONDS

	case $2 in
	seabios) by="syslinux on BIOS" ;;
	ovmf) by="systemd-boot on UEFI" ;;
	esac
	l2_start "$guest" --firmware "$2" \
		--qemu-arg -device --qemu-arg "$DEVICE,bootindex=0" || return 1
	l2_wait_console "$guest" 'boot-init: press enter' ${WAIT:-150} || return 1
	echo "kernel up after $((SECONDS - start)) s"
	# Without what moves the cursor.
	sed 's/\x1b\[[0-9;?=]*[A-Za-z]//g; s/\x1bc//g' "$log" | tr -cd '\n[:print:]'
	grep -q "boot-init: loaded by $by" "$log" || { echo "not by $by"; return 1; }
	# Linux's nvme driver is not loaded yet.
	echo "so far:"
	instance_moved bytes_read "$KERNEL_BYTES" || return 1

	l2_type "$guest" "" || return 1
	l2_wait_console "$guest" 'boot-init: (done|FAILED)' 60 || return 1
	l1_wait 30 l2_gone "$guest" || { echo "the guest does not power off"; return 1; }
	if ! grep -q 'boot-init: done' "$log"; then
		tail -n 20 "$log"
		return 1
	fi
	grep -q "boot-init: token $TOKEN" "$log" || { echo "not this disk"; return 1; }
	grep -q "boot-init: read $3" "$log" || { echo "it read something else"; return 1; }
	echo "off after $((SECONDS - start)) s"
	instance_moved bytes_write "$PATTERN"
}

firmware_boots()
{
	local on=$1 firmware=$2 pattern rc=0

	place "$on" && fill "$DATA" "$PATTERN" || return 1
	pattern=$(sum "$DATA" "$PATTERN")
	take "$on" || return 1
	if ! guest_boots "$firmware-$on" "$firmware" "$pattern"; then
		rc=1
		[ -z "$UUID" ] || instance_trouble
	fi
	! l2_alive "$firmware-$on" || l2_kill9 "$firmware-$on"
	give_back && place "$on" || return 1
	[ $rc = 0 ] || return 1
	[ "$(sum $((DATA + PATTERN)) "$PATTERN")" = "$pattern" ] && return 0
	echo "the guest's writes are not on the drive"
	return 1
}

# Without it OVMF would abort L1's QEMU, see lab/modules/cr8/lab_cr8.c.
lab_can_run_ovmf()
{
	l1_load_kvm && l1_insmod /out/lab_cr8.ko
}

everything_is_given_back()
{
	local rc=0

	vm_nothing_is_left || rc=1
	[ ! -d /sys/module/lab_cr8 ] || rmmod lab_cr8 || rc=1
	return $rc
}

vm_test host_is_ready vm_host_ready
case $FIRMWARE in
*ovmf*) vm_test lab_can_run_ovmf lab_can_run_ovmf ;;
esac
for on in $ON; do
	case $on in
	namespace) what=a_guarded_instance ;;
	range) what=an_lba_range ;;
	*) what=the_whole_drive ;;
	esac
	vm_test "disk_is_written_for_$what" disk_is_written "$on"
	for firmware in $FIRMWARE; do
		vm_test "${firmware}_boots_from_$what" firmware_boots "$on" "$firmware"
	done
	[ "$on" != range ] ||
		vm_test blocks_beside_the_range_are_untouched neighbours_are_untouched
done
vm_test nothing_is_left everything_is_given_back
vm_run
