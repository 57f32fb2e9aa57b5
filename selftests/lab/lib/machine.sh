# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The machine of L1: its IOMMU, its drives, QEMU's command line. By the options of
# lab run and lab shell, see run.sh.

L1_APPEND="console=ttyS0 ignore_loglevel panic=-1 oops=panic panic_on_warn=0
	mitigations=off tsc=reliable no_timer_check
	rcupdate.rcu_cpu_stall_timeout=300 watchdog_thresh=60
	random.trust_cpu=on lab.role=l1"

# shellcheck disable=SC2054 # QEMU's commas
# Options for the emulated IOMMU and the kernel arguments that go with it.
iommu_args()
{
	case $IOMMU in
	translated)
		IOMMU_QEMU=(-device intel-iommu,intremap=on)
		IOMMU_APPEND="intel_iommu=on iommu.passthrough=0" ;;
	passthrough)
		IOMMU_QEMU=(-device intel-iommu,intremap=on)
		IOMMU_APPEND="intel_iommu=on iommu=pt" ;;
	off)
		IOMMU_QEMU=()
		IOMMU_APPEND="intel_iommu=off" ;;
	*) die "--iommu is translated, passthrough or off" ;;
	esac
}

# Fresh sparse images in directory $1; sets DRIVE_QEMU.
make_drives()
{
	local dir=$1 d n f at vfs

	DRIVE_QEMU=()
	if [ -n "$SLOTS" ]; then
		# For l1_all_ones.
		DRIVE_QEMU+=(-object "memory-backend-ram,id=ones,size=64K"
			-device "ivshmem-plain,memdev=ones,bus=pcie.0,addr=0x1e")
	fi
	for ((d = 0; d < DRIVES; d++)); do
		# The slot is what l1_bdf goes by.
		at=bus=pcie.0,addr=$(printf '0x%x' $((0x10 + d)))
		if [ -n "$SLOTS" ]; then
			DRIVE_QEMU+=(-device "pcie-root-port,id=slot$d,chassis=$((d + 1)),$at")
			at=bus=slot$d
		fi
		vfs=
		if [ -n "$VFS" ]; then
			DRIVE_QEMU+=(-device "nvme-subsys,id=subsys$d")
			vfs=,subsys=subsys$d,sriov_max_vfs=$VFS,sriov_vq_flexible=$((QPAIRS - 2)),sriov_vi_flexible=$((2 * VFS))
		fi
		DRIVE_QEMU+=(-device "nvme,id=nvme$d,serial=lab$d,$at,max_ioqpairs=$QPAIRS,msix_qsize=$VECTORS$vfs${NVME_OPTS:+,$NVME_OPTS}")
		for ((n = 1; n <= NAMESPACES; n++)); do
			f=d${d}n$n.raw
			truncate -s "$NSSIZE" "$dir/$f"
			# Not flushed: no test of the lab survives its power.
			DRIVE_QEMU+=(-drive "if=none,id=d${d}n$n,format=raw,cache=unsafe,discard=unmap,file=/lab/drives/$f${DRIVE_OPTS:+,$DRIVE_OPTS}"
				-device "nvme-ns,drive=d${d}n$n,bus=nvme$d,nsid=$n")
		done
	done
}

# shellcheck disable=SC2054 # QEMU's commas
# The whole QEMU command line, inside the rootfs, in L1_CMD.
l1_command()
{
	local append qemu=qemu-system-x86_64 khz

	khz=$(host_tsc_khz) || die "cannot measure the TSC"
	[ -z "$DSTRD" ] || qemu=/lab/qemu-stride/qemu-system-x86_64
	# shellcheck disable=SC2086,SC2116 # white space is squeezed on purpose
	append=$(echo $L1_APPEND tsc_early_khz=$khz $IOMMU_APPEND $1 $APPEND)
	L1_CMD=("$qemu" -name lightiov-lab
		-machine q35,kernel-irqchip=off -accel tcg,thread=multi
		-cpu EPYC -smp "$CPUS" -m "$MEM"
		-nodefaults -display none -vga none -nic none -no-reboot
		"${IOMMU_QEMU[@]}"
		-kernel /boot/lab-vmlinux -initrd /boot/lab-initrd.img
		-append "$append"
		-drive "if=none,id=root,format=raw,readonly=on,file=/lab/l1.img"
		-device "virtio-blk-pci,drive=root"
		-fsdev "local,id=repo,path=/lab/repo,security_model=none,readonly=on"
		-device "virtio-9p-pci,fsdev=repo,mount_tag=lightiov"
		-fsdev "local,id=out,path=/lab/out,security_model=none,readonly=on"
		-device "virtio-9p-pci,fsdev=out,mount_tag=out"
		-fsdev "local,id=results,path=/lab/results,security_model=none"
		-device "virtio-9p-pci,fsdev=results,mount_tag=results"
		-chardev "file,id=con,path=/lab/results/l1-console.log"
		-serial chardev:con
		-device virtio-serial-pci
		"${DRIVE_QEMU[@]}")
	if [ -n "$SHELL_MODE" ]; then
		L1_CMD+=(-chardev "stdio,id=scn,signal=off"
			-device "virtconsole,chardev=scn")
	else
		L1_CMD+=(-chardev "file,id=scn,path=/lab/results/scenario.log")
		case $APPEND in
		*lab.copy=1*) L1_CMD+=(-serial chardev:scn) ;;
		*) L1_CMD+=(-device "virtserialport,chardev=scn,name=lab.scenario") ;;
		esac
	fi
	L1_CMD+=("${QEMU_ARGS[@]}")
}

# The rate of this machine's TSC, which TCG hands through: kHz over 0.3 s of wall
# clock. L1's own calibration counts it against an emulated timer, and is off by
# any factor when that is starved meanwhile; all of L1's time-outs would be, too.
host_tsc_khz()
{
	chroot "$ROOTFS" python3 -I -S -c '
import ctypes, mmap, time
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("0f3148c1e2204809d0c3"))   # rdtsc; shl rdx,32; or rax,rdx; ret
rdtsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(
    ctypes.addressof(ctypes.c_char.from_buffer(code)))
def both():
    # The closest of some pairs: nothing came between its two readings.
    pairs = []
    for _ in range(50):
        t0 = time.monotonic_ns()
        tsc = rdtsc()
        pairs.append((time.monotonic_ns() - t0, t0, tsc))
    return min(pairs)
_, t0, c0 = both()
time.sleep(0.3)
_, t1, c1 = both()
print(round((c1 - c0) * 1000000 / (t1 - t0)))'
}
