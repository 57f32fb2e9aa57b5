# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The machine of a guest (L2): stock QEMU with KVM in L1. Sourced by ../l1.sh. All state
# of guest NAME is in /run/l2/NAME, so the functions also work from subshells:
#	cmd		QEMU's command line, one argument a line
#	pid		QEMU's process
#	agent.sock	to the agent in the guest, see ../l2-agent
#	console.sock	to its console, if firmware boots it
#	monitor.sock	to QEMU's monitor
#	mute		there once the agent left a command unanswered
# Its console goes to /results/l2-NAME-console.log.

L2_RUN=/run/l2
# Warnings only on the console: each character of a nested serial port is two
# exits, and all of the log would cost half a minute; tests read dmesg. The
# machine has no second root bus, and looking for 255 of them costs seconds.
L2_APPEND="console=ttyS0 lab.role=l2 loglevel=5 panic=-1 mitigations=off
	no_timer_check nokaslr pci=lastbus=0 tsc=reliable rcupdate.rcu_cpu_stall_timeout=300
	watchdog_thresh=60 random.trust_cpu=on"

# The guest's second disk: what the build made for guests, plus their init and agent.
# A disk, because reading tens of MiB over a guest's own 9p share hung.
l2_payload()
{
	local img=$L2_RUN/payload.img dir=$L2_RUN/payload kb

	[ -e "$img" ] && return 0
	mkdir -p "$dir/vfio" || return 1
	cp /out/lightiov_guest.ko "$dir/" || return 1
	find /out/vfio -type f -perm -u+x -exec cp -t "$dir/vfio" {} + || return 1
	# Modules for the guests' kernel, where it is not the host's.
	[ ! -d /out/l2 ] || cp /out/l2/*.ko "$dir/" || return 1
	cp "$LAB/l2-init" "$LAB/l2-agent" "$LAB/nvme-ns" "$dir/" || return 1
	kb=$(du -sk "$dir" | cut -f1)
	truncate -s $((kb * 5 / 4 + 4096))K "$img.tmp" &&
		mke2fs -q -F -t ext4 -O ^has_journal -m 0 -d "$dir" "$img.tmp" &&
		mv "$img.tmp" "$img"
}

# l2_start NAME [--cpus N] [--mem MIB] [--machine M] [--mdev UUID]...
#	[--vfio-pci BDF]... [--append ARGS] [--qemu-arg ARG]...
#	[--firmware seabios|ovmf]
#
# Returns when QEMU runs; l2_wait_up waits for the guest. With IOMMUFD set, QEMU has its
# VFIO devices through iommufd.
#
# With --firmware there is no kernel, no disk and no agent: the firmware loads
# what it finds on the devices given with --qemu-arg that have a bootindex, and
# nothing else. See l2_wait_console and l2_type.
l2_start()
{
	local name=$1 cpus=1 mem=1024 machine=q35,i8042=off,sata=off append=
	local firmware='' fd=${IOMMUFD:+,iommufd=iommufd0}
	local -a devs=() cmd

	shift
	while [ $# -gt 0 ]; do
		case $1 in
		--cpus) cpus=$2 ;;
		--mem) mem=$2 ;;
		--machine) machine=$2 ;;
		--append) append=$2 ;;
		--firmware) firmware=$2 ;;
		--mdev)	devs+=(-device
				"vfio-pci,sysfsdev=/sys/bus/mdev/devices/$2$fd") ;;
		--vfio-pci) devs+=(-device "vfio-pci,host=$2$fd") ;;
		--qemu-arg) devs+=("$2") ;;
		*) l1_err "l2_start: unknown option $1"; return 1 ;;
		esac
		shift 2
	done
	[ -c /dev/kvm ] || l1_load_kvm || { l1_err "no KVM"; return 1; }
	mkdir -p "$L2_RUN/$name" || return 1

	# No HPET: Linux lets its first tick, 250 times a second, run on there, and each
	# wakes QEMU's main loop, a seventh of the host's CPU in the lab.
	# shellcheck disable=SC2054 # QEMU's commas
	cmd=(qemu-system-x86_64 -name "$name,debug-threads=on"
		-machine "$machine,hpet=off" -enable-kvm
		-cpu host -smp "$cpus" -m "$mem" -nodefaults -nographic -nic none
		-chardev "socket,id=mon,path=$L2_RUN/$name/monitor.sock,server=on,wait=off"
		-mon chardev=mon,mode=readline
		-serial chardev:con)
	[ -z "$fd" ] || cmd+=(-object "iommufd,id=iommufd0")
	if [ -n "$firmware" ]; then
		l2_firmware "$name" "$firmware" || return 1
	else
		l2_payload || { l1_err "no payload disk"; return 1; }
		# shellcheck disable=SC2086,SC2116 # white space is squeezed on purpose
		append=$(echo $L2_APPEND $append)
		cmd+=(-kernel /boot/lab-l2-vmlinux -initrd /boot/lab-l2-initrd.img
			-append "$append"
			-drive "if=virtio,format=raw,readonly=on,file=/dev/vda"
			-drive "if=virtio,format=raw,readonly=on,file=$L2_RUN/payload.img"
			-chardev "file,id=con,append=on,path=/results/l2-$name-console.log"
			-chardev "socket,id=agent,path=$L2_RUN/$name/agent.sock,server=on,wait=off"
			-device virtio-serial-pci
			-device "virtserialport,chardev=agent,name=lab.agent")
	fi
	cmd+=("${devs[@]}")
	printf '%s\n' "${cmd[@]}" >"$L2_RUN/$name/cmd"
	l2_launch "$name"
}

# l2_firmware NAME FIRMWARE: adds to l2_start's cmd. The machine of the guests
# has no display: SeaBIOS, OVMF and boot loaders use the serial port by themselves.
l2_firmware()
{
	local dir=$L2_RUN/$1

	case $2 in
	seabios) ;;
	ovmf)
		# Its variables: a guest writes them, and starts with none.
		cp /usr/share/OVMF/OVMF_VARS_4M.fd "$dir/vars.fd" || return 1
		cmd+=(-drive "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd"
			-drive "if=pflash,unit=1,format=raw,file=$dir/vars.fd")
		;;
	*) l1_err "l2_start: unknown firmware $2"; return 1 ;;
	esac
	cmd+=(-boot strict=on
		-chardev "socket,id=con,path=$dir/console.sock,server=on,wait=off,logfile=/results/l2-$1-console.log,logappend=on")
}

# Start QEMU from the saved command line.
l2_launch()
{
	local dir=$L2_RUN/$1
	local -a cmd

	mapfile -t cmd <"$dir/cmd"
	rm -f "$dir/"*.sock "$dir/mute"
	setsid "${cmd[@]}" </dev/null >>"/results/l2-$1-qemu.log" 2>&1 &
	echo $! >"$dir/pid"
	if ! l1_wait 30 l2_socket_or_dead "$1" || ! l2_alive "$1"; then
		l1_err "guest $1: QEMU did not start"
		sed 's/^/# /' "/results/l2-$1-qemu.log" >&2
		return 1
	fi
}

l2_socket_or_dead()
{
	[ -S "$L2_RUN/$1/agent.sock" ] || [ -S "$L2_RUN/$1/console.sock" ] ||
		! l2_alive "$1"
}

l2_pid()
{
	cat "$L2_RUN/$1/pid"
}

l2_alive()
{
	local pid state

	pid=$(l2_pid "$1" 2>/dev/null) || return 1
	state=$(sed 's/.*) \(.\).*/\1/' "/proc/$pid/stat" 2>/dev/null)
	[ -n "$state" ] && [ "$state" != Z ]
}

l2_gone()
{
	! l2_alive "$1"
}

# l2_monitor NAME COMMAND: QEMU's monitor
l2_monitor()
{
	python3 -I -S -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\n")
seen = b""
while seen.count(b"(qemu)") < 2:
    data = s.recv(65536)
    if not data:
        break
    seen += data
print(seen.decode(errors="replace").replace("\r", ""))' "$L2_RUN/$1/monitor.sock" "$2"
}

# l2_stop NAME [SECONDS]: power the guest off; fails if it had to be killed
l2_stop()
{
	local seconds=${2:-60} begin=$SECONDS

	l2_alive "$1" || return 0
	# A debug kernel takes its time to give a guest's memory back.
	[ ! -e /sys/kernel/debug/kmemleak ] || seconds=$((seconds * 4))
	"$LAB/l2ctl" "$L2_RUN/$1" poweroff 20 >/dev/null 2>&1
	if l1_wait "$seconds" l2_gone "$1"; then
		[ $((SECONDS - begin)) -lt 60 ] || echo "guest $1 was gone after $((SECONDS - begin)) s"
		return 0
	fi
	l1_err "guest $1 did not power off: killed"
	l2_kill9 "$1"
	return 1
}

l2_kill9()
{
	kill -9 "$(l2_pid "$1")" 2>/dev/null
	l1_wait 30 l2_gone "$1"
}
