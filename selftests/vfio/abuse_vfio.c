// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of the VFIO interface itself: what QEMU would never ask for.
 */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abuse.h"

static int region_info(struct nvme *n, u32 index, u32 argsz)
{
	struct vfio_region_info r = { .argsz = argsz, .index = index };

	return ioctl(n->v.device, VFIO_DEVICE_GET_REGION_INFO, &r) ? -errno : 0;
}

static int irq_info(struct nvme *n, u32 index, u32 argsz)
{
	struct vfio_irq_info irq = { .argsz = argsz, .index = index };

	return ioctl(n->v.device, VFIO_DEVICE_GET_IRQ_INFO, &irq) ? -errno : 0;
}

static void bad_indexes(struct test *t, struct nvme *n)
{
	const u32 bad[] = { n->v.info.num_regions, n->v.info.num_regions + 1, 0x7fffffff,
			    0xffffffff };
	const u32 bad_irq[] = { n->v.info.num_irqs, 0x7fffffff, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EXPECT(t, region_info(n, bad[i], sizeof(struct vfio_region_info)) == -EINVAL,
		       "region %u", bad[i]);
	for (i = 0; i < ARRAY_SIZE(bad_irq); i++)
		EXPECT(t, irq_info(n, bad_irq[i], sizeof(struct vfio_irq_info)) == -EINVAL,
		       "interrupt %u", bad_irq[i]);
}

static void short_argsz(struct test *t, struct nvme *n)
{
	struct vfio_device_info info = { .argsz = 4 };
	struct vfio_irq_set set = { .argsz = 4 };

	EXPECT(t, ioctl(n->v.device, VFIO_DEVICE_GET_INFO, &info) && errno == EINVAL, "device");
	EXPECT(t, region_info(n, 0, 8) == -EINVAL, "region");
	EXPECT(t, irq_info(n, VFIO_PCI_MSIX_IRQ_INDEX, 8) == -EINVAL, "interrupt");
	EXPECT(t, ioctl(n->v.device, VFIO_DEVICE_SET_IRQS, &set) && errno == EINVAL, "set");
}

static void unknown_ioctls(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 60; i < 100; i++)
		EXPECT(t, ioctl(n->v.device, _IO(VFIO_TYPE, VFIO_BASE + i), NULL) < 0,
		       "ioctl %u is taken", i);
}

/* SET_IRQS with up to 4 words of data; -errno. */
static int set_irqs(struct nvme *n, u32 flags, u32 index, u32 start, u32 count, const int *data)
{
	__aligned_u64 buf[8] = { 0 };
	struct vfio_irq_set *set = (struct vfio_irq_set *)buf;

	set->argsz = sizeof(*set) + 4 * sizeof(int);
	set->flags = flags;
	set->index = index;
	set->start = start;
	set->count = count;
	memcpy(set->data, data, 4 * sizeof(int));
	return ioctl(n->v.device, VFIO_DEVICE_SET_IRQS, set) ? -errno : 0;
}

static void bad_set_irqs(struct test *t, struct nvme *n)
{
	const u32 fd = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	const u32 none = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	const int good[4] = { n->v.efd[0], n->v.efd[0], n->v.efd[0], n->v.efd[0] };
	const int neg[4] = { -5, -5, -5, -5 }, wild[4] = { 12345, 12345, 12345, 12345 };
	const int notev[4] = { n->v.container, 0, 0, 0 };
	u32 x = VFIO_PCI_MSIX_IRQ_INDEX, nr = n->v.nr_vectors;

	EXPECT(t, set_irqs(n, fd, n->v.info.num_irqs, 0, 1, good) < 0, "index beyond");
	EXPECT(t, set_irqs(n, fd, x, nr, 1, good) < 0, "start beyond");
	EXPECT(t, set_irqs(n, fd, x, nr - 1, 2, good) < 0, "range across the end");
	EXPECT(t, set_irqs(n, fd, x, 0xffffffff, 2, good) < 0, "range that overflows");
	EXPECT(t, set_irqs(n, none, x, 0, 0xffffffff, good) < 0, "count of 2^32 - 1");
	/* vfio-pci takes every negative fd for "none"; either is fine. */
	set_irqs(n, fd, x, 0, 1, neg);
	EXPECT(t, set_irqs(n, fd, x, 0, 1, wild) < 0, "a closed fd");
	EXPECT(t, set_irqs(n, fd, x, 0, 1, notev) < 0, "no eventfd");
	EXPECT(t, set_irqs(n, fd | VFIO_IRQ_SET_DATA_BOOL, x, 0, 1, good) < 0, "two data types");
	EXPECT(t, set_irqs(n, fd | VFIO_IRQ_SET_ACTION_MASK, x, 0, 1, good) < 0, "two actions");
	EXPECT(t, set_irqs(n, 0x8000 | fd, x, 0, 1, good) < 0, "unknown flags");
	EXPECT(t, set_irqs(n, 0, x, 0, 1, good) < 0, "no flags");
	EXPECT(t, !vfio_irqs_on(&n->v), "good ones afterwards");
}

static void triggers_by_hand(struct test *t, struct nvme *n)
{
	const int data[4] = { 1, 0, 0, 0 };
	u32 act = VFIO_IRQ_SET_ACTION_TRIGGER, x = VFIO_PCI_MSIX_IRQ_INDEX;
	int rc;

	vfio_irq_wait(&n->v, 0, 0);
	rc = set_irqs(n, VFIO_IRQ_SET_DATA_BOOL | act, x, 0, 1, data);
	if (!rc)
		EXPECT(t, vfio_irq_wait(&n->v, 0, WAIT_MS) == 1, "DATA_BOOL: no event");
	rc = set_irqs(n, VFIO_IRQ_SET_DATA_NONE | act, x, 0, 1, data);
	if (!rc)
		EXPECT(t, vfio_irq_wait(&n->v, 0, WAIT_MS) == 1, "DATA_NONE: no event");
}

static void irqs_off_and_on_under_load(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	struct nvme_queue q;
	unsigned int i;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, n->v.nr_vectors > 1), "no pair");
	for (i = 0; i < 20; i++) {
		EXPECT(t, !vfio_irqs_off(&n->v), "off");
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, buf), "a read without", SC_OK);
		EXPECT(t, !vfio_irqs_on(&n->v), "on");
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, buf), "a read with", SC_OK);
	}
	vfio_irq_wait(&n->v, q.vector, 0);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, buf), "a read", SC_OK);
	EXPECT(t, vfio_irq_wait(&n->v, q.vector, WAIT_MS), "no interrupt afterwards");
}

static sigjmp_buf bus_error;

static void on_sigbus(int sig)
{
	siglongjmp(bus_error, sig);
}

/* True if the page can be mapped and touched. */
static bool mappable(struct nvme *n, u64 off, size_t len)
{
	struct sigaction sa = { .sa_handler = on_sigbus }, old;
	bool ok = false;
	char *p;

	p = mmap(NULL, len, PROT_READ, MAP_SHARED, n->v.device, off);
	if (p == MAP_FAILED)
		return false;
	sigaction(SIGBUS, &sa, &old);
	if (!sigsetjmp(bus_error, 1)) {
		__atomic_load_n(p, __ATOMIC_RELAXED);
		__atomic_load_n(p + len - 1, __ATOMIC_RELAXED);
		ok = true;
	}
	sigaction(SIGBUS, &old, NULL);
	munmap(p, len);
	return ok;
}

static void what_must_not_be_mapped(struct test *t, struct nvme *n)
{
	u64 bar0 = n->v.region[BAR0].offset, size = n->v.region[BAR0].size;

	EXPECT(t, !mappable(n, bar0, SZ_4K), "the registers");
	EXPECT(t, !mappable(n, bar0 + nvme_sq_db(n, 0), SZ_4K), "the admin SQ doorbell");
	EXPECT(t, !mappable(n, bar0 + nvme_cq_db(n, 0), SZ_4K), "the admin CQ doorbell");
	EXPECT(t, !mappable(n, bar0, size), "all of BAR0");
	EXPECT(t, !mappable(n, bar0 + size, SZ_4K), "behind BAR0");
	EXPECT(t, !mappable(n, bar0 + size - SZ_4K, 2 * SZ_4K), "across the end of BAR0");
	EXPECT(t, !mappable(n, n->v.region[CFG].offset, SZ_4K), "configuration space");
	EXPECT(t, !mappable(n, n->v.region[VFIO_PCI_BAR2_REGION_INDEX].offset, SZ_4K), "MSI-X");
	EXPECT(t, !mappable(n, 0x7f0000000000ULL, SZ_4K), "a region that is not");
}

static void bad_user_memory(struct test *t, struct nvme *n)
{
	void *none = mmap(NULL, SZ_4K, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	EXPECT(t, vfio_read(&n->v, BAR0, REG_CAP, none, 8) == -EFAULT, "register read");
	EXPECT(t, vfio_write(&n->v, BAR0, REG_AQA, none, 4) == -EFAULT, "register write");
	EXPECT(t, vfio_read(&n->v, CFG, 0, none, 4) == -EFAULT, "configuration read");
	EXPECT(t, vfio_write(&n->v, CFG, PCI_COMMAND, none, 2) == -EFAULT, "configuration write");
	EXPECT(t, vfio_read(&n->v, BAR0, REG_CAP, &none, 0) == 0, "empty read");
	munmap(none, SZ_4K);
}

static void msix_bar_out_of_range(struct test *t, struct nvme *n)
{
	unsigned int bar2 = VFIO_PCI_BAR2_REGION_INDEX;
	u64 size = n->v.region[bar2].size, off;
	u32 val = 0xffffffff;

	for (off = 0; off < size; off += 4)
		vfio_write(&n->v, bar2, off, &val, 4);
	EXPECT(t, vfio_write(&n->v, bar2, size, &val, 4) <= 0, "a write behind it");
	EXPECT(t, vfio_read(&n->v, bar2, size - 2, &val, 4) <= 2, "a read across its end");
}

static void regions_that_are_not(struct test *t, struct nvme *n)
{
	unsigned int i;
	u32 val = 1;

	for (i = 0; i < n->v.info.num_regions && i < VFIO_PCI_NUM_REGIONS; i++) {
		/* Without an offset GET_REGION_INFO has refused it. */
		if (n->v.region[i].size || (i && !n->v.region[i].offset))
			continue;
		EXPECT(t, vfio_read(&n->v, i, 0, &val, 4) <= 0, "a read of region %u", i);
		EXPECT(t, vfio_write(&n->v, i, 0, &val, 4) <= 0, "a write of region %u", i);
	}
	EXPECT(t, pread(n->v.device, &val, 4, 0x7f0000000000LL) <= 0, "region 127");
}

static void reset_while_disabled(struct test *t, struct nvme *n)
{
	unsigned int i;

	EXPECT(t, !nvme_disable(n), "cannot be disabled");
	for (i = 0; i < 10; i++)
		EXPECT(t, !vfio_reset(&n->v), "reset %u", i);
}

static void load(struct nvme *n, struct nvme_queue *q)
{
	struct nvme_sqe sqe = { .opcode = IO_READ, .nsid = n->nsid };
	unsigned int i;

	sqe.prp1 = nvme_dma(n, nvme_alloc(n, 4096));
	for (i = 0; i < q->sq_depth - 1; i++)
		nvme_queue_cmd(q, &sqe);
	nvme_ring(n, q);
}

static void reset_under_load(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 64, 0), "round %u", i))
			return;
		load(n, &q);
		sleep_us(i * 100);
		if (!EXPECT(t, !nvme_restart(n), "round %u", i))
			return;
	}
}

static void memory_unmapped_under_load(struct test *t, struct nvme *n)
{
	u8 *mem = n->v.mem;
	struct nvme_queue q;
	unsigned int i;
	int rc;

	for (i = 0; i < 10; i++) {
		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 64, 0), "round %u", i))
			return;
		load(n, &q);
		sleep_us(i * 200);
		rc = vfio_dma_unmap(&n->v, n->v.iova, n->v.mem_len);
		EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA (%d)", rc);
		/* It is ours again: nobody may write here. */
		memset(mem, 0x77, SZ_1M);
		sleep_us(50000);
		EXPECT(t, mem[0] == 0x77 && !memcmp(mem, mem + 1, SZ_1M - 1),
		       "round %u: written to after the unmap", i);
		rc = vfio_dma_map(&n->v, n->v.mem, n->v.iova, n->v.mem_len);
		if (!EXPECT(t, !rc, "VFIO_IOMMU_MAP_DMA (%d)", rc) ||
		    !EXPECT(t, !nvme_restart(n), "round %u", i))
			return;
	}
}

static void unknown_device_name(struct test *t, struct nvme *n)
{
	char name[64];
	int fd;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	fd = ioctl(n->v.group, VFIO_GROUP_GET_DEVICE_FD, name);
	EXPECT(t, fd < 0, "there is such a device");
	if (fd >= 0)
		close(fd);
}

static struct test tests[] = {
	{ "info_of_bad_indexes_is_einval", bad_indexes },
	{ "short_argsz_is_einval", short_argsz },
	{ "unknown_ioctls_are_refused", unknown_ioctls },
	{ "bad_set_irqs_are_refused", bad_set_irqs },
	{ "triggers_by_hand", triggers_by_hand },
	{ "interrupts_off_and_on_under_load", irqs_off_and_on_under_load },
	{ "registers_and_admin_doorbells_cannot_be_mapped", what_must_not_be_mapped },
	{ "bad_user_memory_is_efault", bad_user_memory },
	{ "msix_bar_accesses_out_of_range", msix_bar_out_of_range, TEST_RESETS },
	{ "empty_regions_are_refused", regions_that_are_not },
	{ "vfio_reset_while_disabled", reset_while_disabled, TEST_RESETS },
	{ "vfio_reset_under_load", reset_under_load, TEST_RESETS },
	{ "memory_unmapped_under_load", memory_unmapped_under_load, TEST_RESETS },
	{ "unknown_device_name_is_refused", unknown_device_name },
};

const struct suite suite_vfio = { "vfio", tests, ARRAY_SIZE(tests) };
