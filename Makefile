# SPDX-License-Identifier: GPL-2.0
#
# make            both modules for the running kernel (KDIR=... for another)
# make load       load lightiov.ko into the running kernel (LOAD_ARGS="offer=...")
# make demo       the whole path in an emulated host, with a readable result
# make check      all tests (FULL=1: the long variants; KERNEL=backports or rt)
# make check-debug  all tests on a kernel with KASAN, lockdep, kmemleak, fault
#                 injection (the first time it is built)
# make soak       a random mixture of all that can happen (MINUTES=60 SEED=n)
# make compare    a measurement: guarded, direct and vfio-pci side by side
# make bench      a measurement: all the ways to give a guest a disk, and many
#                 instances; a report with plots (FULL=1: the long one; DSTRD=10:
#                 on a drive whose doorbells are a page apart)
# make unit       the pure C files under ASAN and UBSAN
# make fuzz       the same files under libFuzzer (MINUTES=10 for each of four)
# make bench-guard  what the check of a guarded command costs on this machine
# make lint       sparse, checkpatch --strict, W=1, floors
# make lab-shell  a root prompt in the emulated host with the module loaded
# make clean      what a build left; make distclean: the lab's cache too
#
# All but "make" and "make load" need a Debian machine and root; they install
# what they miss and keep what is slow to make in .cache/.

KDIR ?= /lib/modules/$(shell uname -r)/build
LOAD_ARGS ?=
MINUTES ?= 10
LAB := selftests/lab/lab

all:
	@[ -e $(KDIR)/Makefile ] || { \
		echo "no kernel headers at $(KDIR): install linux-headers-$$(uname -r), or set KDIR" >&2; \
		exit 1; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) modules

load: all
	@for m in mdev vfio kvm irqbypass nvme-core; do modprobe $$m || exit 1; done
	insmod kmod/lightiov.ko $(LOAD_ARGS)
	@dmesg | grep lightiov | tail -n 5

demo:
	$(LAB) setup
	$(LAB) build >/dev/null
	$(LAB) run --name demo --timeout 420 selftests/vm/demo.sh

check:
	selftests/check $(if $(FULL),--full) $(TESTS)

check-debug:
	KERNEL=debug selftests/check $(if $(FULL),--full) $(TESTS)

soak:
	$(LAB) setup
	$(LAB) build >/dev/null
	$(LAB) run --name soak --append lab.copy=1 --timeout $$(($(MINUTES) * 90 + 1800)) \
		selftests/vm/soak.sh MINUTES=$(MINUTES) $(if $(SEED),SEED=$(SEED))

compare:
	$(LAB) setup
	$(LAB) build >/dev/null
	$(LAB) run --name compare --timeout 3600 --drives 2 selftests/vm/compare.sh

BENCH_OPTIONS := --drives 2 --namespaces 10 --nssize 768M --qpairs 16 --append nvme_core.multipath=0 \
	$(if $(DSTRD),--dstrd $(DSTRD),--vfs 1)
BENCH_NAME := bench$(if $(DSTRD),-dstrd$(DSTRD))
bench:
	@tools/bench/need
	$(LAB) setup
	$(LAB) build >/dev/null
	$(if $(DSTRD),,$(LAB) run --name scale --timeout 3600 --qpairs 1024 --namespaces 12 \
		tools/bench/scale.sh $(if $(FULL),,GUESTS=2))
	@# What was measured is reported, whatever failed afterwards.
	$(LAB) run --name $(BENCH_NAME) --timeout $(if $(FULL),43200,3600) $(BENCH_OPTIONS) \
		tools/bench/bench.sh $(if $(FULL),full) \
		COMMIT=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown) $(BENCH); \
	rc=$$?; \
	runs=$${LIGHTIOV_CACHE:-.cache}/runs; \
	! grep -qs '"run"' $$runs/$(BENCH_NAME)/bench.jsonl || \
		tools/bench/report.py $$runs/$(BENCH_NAME) $(if $(DSTRD),,$$runs/scale) || rc=1; \
	exit $$rc

unit:
	$(LAB) setup
	$(MAKE) -C selftests/unit run

fuzz:
	$(LAB) setup
	$(MAKE) -C selftests/fuzz run SECONDS=$$(($(MINUTES) * 60))

bench-guard:
	$(LAB) setup
	$(MAKE) -C selftests/unit bench-guard

lint:
	selftests/lint

lab-shell:
	$(LAB) setup
	$(LAB) build >/dev/null
	$(LAB) shell

clean:
	find kmod \( -name '*.o' -o -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' \
		-o -name '.*.cmd' -o -name '*.o.d' -o -name modules.order \) -delete
	rm -f Module.symvers modules.order .Module.symvers.cmd .modules.order.cmd
	$(LAB) clean

distclean: clean
	$(LAB) distclean

.PHONY: all load demo check check-debug soak compare bench unit fuzz bench-guard lint lab-shell clean distclean
