#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# One guest, one queue pair: the thinnest real path, for use by hand and as
# the quickest check.

. "$(dirname "$0")/../lab/l1.sh"

modules_load()
{
	l1_load_nvme && l1_load_lightiov allow_direct=1
}

pairs_are_carved()
{
	BDF=$(l1_bdf 0)
	l1_wait 20 test -d "/sys/bus/pci/devices/$BDF/mdev_supported_types" || return 1
	grep . "/sys/bus/pci/devices/$BDF/lightiov/"*
}

instance_is_created()
{
	UUID=$(mdev_create "$BDF" 1q) || return 1
	mdev_attr "$UUID" backing "$(l1_ns 0 2)" && mdev_attr "$UUID" backing
}

guest_driver_binds()
{
	l1_load_kvm && l2_start vm0 --mdev "$UUID" && l2_wait_up vm0 || return 1
	l2_exec vm0 'insmod /payload/lightiov_guest.ko && modprobe nvme && sleep 3; ls -l /dev/nvme*; dmesg | tail -30; [ -b /dev/nvme0n1 ]'
}

guest_does_io()
{
	l2_exec vm0 --timeout 120 'fio --name=v --filename=/dev/nvme0n1 --rw=randwrite --bs=4k --size=8m --direct=1 --ioengine=io_uring --iodepth=8 --verify=crc32c'
	grep . "/sys/bus/mdev/devices/$UUID/lightiov/stats/"*
	mdev_attr "$UUID" queues
}

all_is_given_back()
{
	l2_stop vm0 && mdev_remove "$UUID" && rmmod lightiov && rmmod nvme
}

ktap_plan 6
ktap_run modules_load modules_load
ktap_run pairs_are_carved pairs_are_carved
ktap_run instance_is_created instance_is_created
ktap_run guest_driver_binds guest_driver_binds
ktap_run guest_does_io guest_does_io
ktap_run all_is_given_back all_is_given_back
ktap_finish
