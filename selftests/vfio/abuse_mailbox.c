// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of the mailbox in the LightIOV capability (uapi/lightiov.h).
 */
#include <string.h>
#include <sys/mman.h>

#include "abuse.h"

/* Where a part of our memory lies that the window tests use. */
#define PART_OFF	(8 * SZ_1M)
#define PART_LEN	(2 * SZ_1M)

static bool has_cap(struct test *t, struct nvme *n)
{
	if (!n->vsec)
		t->skipped = "no LightIOV capability";
	return n->vsec;
}

static u32 vsec_get(struct nvme *n, u32 field)
{
	return vfio_get(&n->v, CFG, n->vsec + field, 4);
}

static void set_range(struct nvme *n, u64 gpa, u64 size)
{
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_LO, 4, (u32)gpa);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_HI, 4, gpa >> 32);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_SIZE_LO, 4, (u32)size);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_SIZE_HI, 4, size >> 32);
}

/* nvme_mailbox() without waiting for the answer. */
static void start_map(struct nvme *n, u64 gpa, u64 size)
{
	set_range(n, gpa, size);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_CMD, 4, LIGHTIOV_CMD_MAP);
}

static void fields_are_read_only(struct test *t, struct nvme *n)
{
	const u8 fields[] = { LIGHTIOV_CAP_MAGIC, LIGHTIOV_CAP_FLAGS, LIGHTIOV_CAP_STATUS,
			      LIGHTIOV_CAP_BUS_LO, LIGHTIOV_CAP_BUS_HI, LIGHTIOV_CAP_ERRNO };
	unsigned int i;

	if (!has_cap(t, n))
		return;
	for (i = 0; i < sizeof(fields); i++) {
		u32 before = vsec_get(n, fields[i]);

		vfio_put(&n->v, CFG, n->vsec + fields[i], 4, ~before);
		EXPECT(t, vsec_get(n, fields[i]) == before, "+%#x: %#x became %#x", fields[i],
		       before, vsec_get(n, fields[i]));
	}
	EXPECT(t, !vsec_get(n, LIGHTIOV_CAP_CMD), "CMD reads %#x",
	       vsec_get(n, LIGHTIOV_CAP_CMD));
}

static void unknown_command_is_an_error(struct test *t, struct nvme *n)
{
	if (!has_cap(t, n))
		return;
	EXPECT(t, nvme_mailbox(n, 0xdead, n->v.iova, SZ_4K, NULL) > 0, "0xdead is taken");
	EXPECT(t, nvme_mailbox(n, 3, n->v.iova, SZ_4K, NULL) > 0, "3 is taken");
	EXPECT(t, nvme_mailbox(n, 0x80000001, n->v.iova, SZ_4K, NULL) > 0, "0x80000001 is taken");
}

static void map_in_guarded_mode_is_an_error(struct test *t, struct nvme *n)
{
	if (!has_cap(t, n))
		return;
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_MAP, n->v.iova, n->v.mem_len, NULL) > 0,
	       "a window was made");
}

enum { ZERO_SIZE, ODD_GPA, ODD_SIZE, UNMAPPED, HALF_MAPPED, OVERFLOW, HUGE_SIZE };

static void bad_range_is_refused(struct test *t, struct nvme *n)
{
	u64 gpa = n->v.iova, size = SZ_4K;

	switch (t->arg) {
	case ZERO_SIZE:
		size = 0;
		break;
	case ODD_GPA:
		gpa += 0x200;
		break;
	case ODD_SIZE:
		size += 0x200;
		break;
	case UNMAPPED:
		gpa = NOWHERE;
		break;
	case HALF_MAPPED:
		gpa += n->v.mem_len;
		size = SZ_1M;
		break;
	case OVERFLOW:
		gpa = NOWHERE_HIGH;
		size = 2 * SZ_4K;
		break;
	case HUGE_SIZE:
		gpa = 0;
		size = 0xfffffffffffff000ULL;
		break;
	}
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa, size, NULL) > 0,
	       "%#llx + %#llx is mapped", gpa, size);
}

/*
 * Begins in memory and goes on for 2 TiB: what was pinned of it is given back, and nobody
 * allocates for all of it.
 */
static void map_of_far_more_is_refused(struct test *t, struct nvme *n)
{
	const u64 gpa = 0x90000000000ULL;
	long long pinned = nvme_sysfs(n, "stats/pinned_bytes");
	long long host = nvme_sysfs(n, "stats/host_memory_bytes");
	int rc;

	rc = vfio_dma_map(&n->v, n->v.mem, gpa, n->v.mem_len);
	if (!EXPECT(t, !rc, "VFIO_IOMMU_MAP_DMA (%d)", rc))
		return;
	rc = nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa, 1ULL << 41, NULL);
	EXPECT(t, rc == EINVAL, "errno %d", rc);
	EXPECT(t, nvme_sysfs(n, "stats/pinned_bytes") == pinned, "%lld bytes are pinned, were %lld",
	       nvme_sysfs(n, "stats/pinned_bytes"), pinned);
	EXPECT(t, nvme_sysfs(n, "stats/host_memory_bytes") == host, "it holds %lld, held %lld",
	       nvme_sysfs(n, "stats/host_memory_bytes"), host);
	EXPECT(t, !vfio_dma_unmap(&n->v, gpa, n->v.mem_len), "VFIO_IOMMU_UNMAP_DMA");
}

static void map_is_idempotent(struct test *t, struct nvme *n)
{
	u64 bus = 0;

	EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_MAP, n->v.iova, n->v.mem_len, &bus), "refused");
	EXPECT(t, bus == n->dma_base, "%#llx, was %#llx", bus, n->dma_base);
	EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_MAP, n->v.iova + PART_OFF, PART_LEN, &bus),
	       "a part of it is refused");
	EXPECT(t, bus == n->dma_base + PART_OFF, "a part is at %#llx", bus);
}

/* Drops the window; the controller is disabled then. */
static bool drop_windows(struct test *t, struct nvme *n)
{
	return EXPECT(t, !nvme_disable(n), "cannot be disabled") &&
	       EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_UNMAP_ALL, 0, 0, NULL), "UNMAP_ALL");
}

static void partly_overlapping_map_is_refused(struct test *t, struct nvme *n)
{
	u64 gpa = n->v.iova + PART_OFF;

	if (!drop_windows(t, n))
		return;
	EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa, PART_LEN, NULL), "the first");
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa + PART_LEN / 2, PART_LEN, NULL) == EEXIST,
	       "its upper half and more");
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa - SZ_4K, 2 * SZ_4K, NULL) == EEXIST,
	       "its first page and one before");
	EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa + PART_LEN, PART_LEN, NULL),
	       "its neighbour");
}

static void map_over_bar_is_refused(struct test *t, struct nvme *n)
{
	u64 gpa = n->v.iova + PART_OFF;

	if (!drop_windows(t, n))
		return;
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_0, 4, (u32)gpa);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_1, 4, gpa >> 32);
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_MAP, n->v.iova, n->v.mem_len, NULL) > 0,
	       "a window over BAR0");
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_MAP, gpa, SZ_4K, NULL) > 0, "a page of BAR0");
}

static void unmap_while_enabled_is_busy(struct test *t, struct nvme *n)
{
	EXPECT(t, nvme_mailbox(n, LIGHTIOV_CMD_UNMAP_ALL, 0, 0, NULL) == EBUSY, "not EBUSY");
}

static void command_while_busy_is_ignored(struct test *t, struct nvme *n)
{
	unsigned int i;
	u64 bus = 0;

	if (!drop_windows(t, n))
		return;
	set_range(n, n->v.iova, n->v.mem_len);
	for (i = 0; i < 100; i++) {
		vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_CMD, 4, LIGHTIOV_CMD_MAP);
		/* The running command has the old values. */
		vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_HI, 4, i);
		vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_CMD, 1, LIGHTIOV_CMD_UNMAP_ALL);
	}
	while (vsec_get(n, LIGHTIOV_CAP_STATUS) == LIGHTIOV_STATUS_BUSY)
		sleep_us(1000);
	EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_MAP, n->v.iova, n->v.mem_len, &bus) && bus,
	       "no window can be made afterwards");
}

static void reset_during_map(struct test *t, struct nvme *n)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		if (!drop_windows(t, n))
			return;
		start_map(n, n->v.iova, n->v.mem_len);
		if (!EXPECT(t, !nvme_restart(n), "round %u", i))
			return;
	}
}

/*
 * Other memory goes while a large window is made and the controller is being enabled: who
 * makes the window waits for the end of that, who takes the memory for the lock of whoever
 * enables, and the latter for nobody.
 */
#define LARGE_LEN	(256 * SZ_1M)

static void enabled_during_map_while_memory_goes(struct test *t, struct nvme *n)
{
	const u64 small = 0xa0000000000ULL, large = 0xa8000000000ULL;
	void *va = mmap(NULL, LARGE_LEN, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	u64 end;
	int rc;

	if (!EXPECT(t, va != MAP_FAILED, "mmap") ||
	    !EXPECT(t, !nvme_disable(n), "cannot be disabled") ||
	    !EXPECT(t, !vfio_dma_map(&n->v, va, large, LARGE_LEN), "VFIO_IOMMU_MAP_DMA") ||
	    !EXPECT(t, !vfio_dma_map(&n->v, n->v.mem, small, PART_LEN), "VFIO_IOMMU_MAP_DMA") ||
	    !EXPECT(t, !nvme_mailbox(n, LIGHTIOV_CMD_MAP, small, PART_LEN, NULL), "no window"))
		return;
	start_map(n, large, LARGE_LEN);
	nvme_put32(n, REG_CC, CC_EN | CC_IOSQES | CC_IOCQES);
	sleep_us(2000);
	rc = vfio_dma_unmap(&n->v, small, PART_LEN);
	EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA (%d)", rc);
	for (end = now_ms() + WAIT_MS; now_ms() < end; sleep_us(1000))
		if (vsec_get(n, LIGHTIOV_CAP_STATUS) != LIGHTIOV_STATUS_BUSY)
			break;
	EXPECT(t, vsec_get(n, LIGHTIOV_CAP_STATUS) == LIGHTIOV_STATUS_DONE, "no window: status %u",
	       vsec_get(n, LIGHTIOV_CAP_STATUS));
	EXPECT(t, !nvme_wait_csts(n, CSTS_RDY, CSTS_RDY, WAIT_MS), "CSTS %#x",
	       nvme_get32(n, REG_CSTS));
	rc = vfio_dma_unmap(&n->v, large, LARGE_LEN);
	EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA (%d)", rc);
	munmap(va, LARGE_LEN);
	EXPECT(t, !nvme_restart(n), "it does not work after that");
}

static void unmap_by_vfio_during_map(struct test *t, struct nvme *n)
{
	unsigned int i;
	int rc;

	for (i = 0; i < 10; i++) {
		if (!drop_windows(t, n))
			return;
		start_map(n, n->v.iova, n->v.mem_len);
		rc = vfio_dma_unmap(&n->v, n->v.iova, n->v.mem_len);
		EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA (%d)", rc);
		rc = vfio_dma_map(&n->v, n->v.mem, n->v.iova, n->v.mem_len);
		if (!EXPECT(t, !rc, "VFIO_IOMMU_MAP_DMA (%d)", rc) ||
		    !EXPECT(t, !nvme_restart(n), "round %u", i))
			return;
	}
}

static struct test tests[] = {
	{ "mailbox_fields_are_read_only", fields_are_read_only },
	{ "unknown_mailbox_command_is_an_error", unknown_command_is_an_error },
	{ "map_in_guarded_mode_is_an_error", map_in_guarded_mode_is_an_error, TEST_GUARDED },
	{ "map_of_zero_bytes_is_refused", bad_range_is_refused, TEST_DIRECT, ZERO_SIZE },
	{ "map_of_unaligned_address_is_refused", bad_range_is_refused, TEST_DIRECT, ODD_GPA },
	{ "map_of_unaligned_size_is_refused", bad_range_is_refused, TEST_DIRECT, ODD_SIZE },
	{ "map_of_no_memory_is_refused", bad_range_is_refused, TEST_DIRECT, UNMAPPED },
	{ "map_past_the_end_of_memory_is_refused", bad_range_is_refused, TEST_DIRECT,
	  HALF_MAPPED },
	{ "map_that_overflows_is_refused", bad_range_is_refused, TEST_DIRECT, OVERFLOW },
	{ "map_of_everything_is_refused", bad_range_is_refused, TEST_DIRECT, HUGE_SIZE },
	{ "map_of_2_tib_is_refused_and_costs_nothing", map_of_far_more_is_refused, TEST_DIRECT },
	{ "map_is_idempotent", map_is_idempotent, TEST_DIRECT },
	{ "map_that_overlaps_partly_is_refused", partly_overlapping_map_is_refused,
	  TEST_DIRECT | TEST_RESETS },
	{ "map_over_a_bar_is_refused", map_over_bar_is_refused, TEST_DIRECT | TEST_RESETS },
	{ "unmap_all_while_enabled_is_busy", unmap_while_enabled_is_busy, TEST_DIRECT },
	{ "mailbox_command_while_busy_is_ignored", command_while_busy_is_ignored,
	  TEST_DIRECT | TEST_RESETS },
	{ "vfio_reset_while_a_window_is_made", reset_during_map, TEST_DIRECT | TEST_RESETS },
	{ "enabled_while_a_window_is_made_and_memory_goes",
	  enabled_during_map_while_memory_goes, TEST_RESETS | TEST_DIRECT },
	{ "vfio_unmap_while_a_window_is_made", unmap_by_vfio_during_map,
	  TEST_DIRECT | TEST_RESETS },
};

const struct suite suite_mailbox = { "mailbox", tests, ARRAY_SIZE(tests) };
