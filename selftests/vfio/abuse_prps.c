// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of PRPs (NVMe Base 2.0 section 4.1.1) and of I/O commands.
 *
 * Admin PRPs are followed by the host module in both modes.  I/O PRPs only in
 * guarded mode; in direct mode the drive follows them, and a bad one is a fault
 * in the IOMMU by design.
 */
#include <string.h>

#include "abuse.h"

static void identify_at(struct test *t, struct nvme *n, u64 prp1, u64 prp2)
{
	struct nvme_sqe sqe = cmd_identify(1, 0, prp1);

	sqe.prp2 = prp2;
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_DATA_TRANSFER, SC_INVALID_FIELD,
		  SC_BAD_PRP_OFFSET);
}

static void admin_prp_to_nowhere(struct test *t, struct nvme *n)
{
	identify_at(t, n, NOWHERE, 0);
	identify_at(t, n, NOWHERE_HIGH, 0);
	identify_at(t, n, 0, 0);
	/* The first page is good, the second is not. */
	identify_at(t, n, nvme_dma(n, nvme_alloc(n, 4096)) + 0x800, NOWHERE);
}

static void admin_prp_into_a_bar(struct test *t, struct nvme *n)
{
	u64 bar0 = vfio_get(&n->v, CFG, PCI_BASE_ADDRESS_0, 4) & ~0xfULL;
	u64 bar2 = vfio_get(&n->v, CFG, PCI_BASE_ADDRESS_2, 4) & ~0xfULL;

	identify_at(t, n, bar0, 0);
	identify_at(t, n, bar0 + REG_DB + 2 * n->stride, 0);
	identify_at(t, n, bar2, 0);
}

/* The BAR lies over RAM: what is written there must not be RAM. */
static void admin_prp_into_a_bar_over_ram(struct test *t, struct nvme *n)
{
	u64 gpa = n->v.iova + 8 * SZ_1M;

	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_0, 4, (u32)gpa);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_1, 4, gpa >> 32);
	identify_at(t, n, nvme_dma(n, n->v.mem + 8 * SZ_1M), 0);
	identify_at(t, n, nvme_dma(n, n->v.mem + 8 * SZ_1M) + nvme_sq_db(n, 1), 0);
}

static void admin_prp_misaligned(struct test *t, struct nvme *n)
{
	u64 addr = nvme_dma(n, nvme_alloc(n, 3 * 4096));

	identify_at(t, n, addr + 1, addr + 4096);
	identify_at(t, n, addr + 0x803, addr + 4096);
	identify_at(t, n, addr + 0x800, addr + 4096 + 0x200);
	identify_at(t, n, addr + 0x800, addr + 4096 + 1);
}

static void admin_prp_across_the_end(struct test *t, struct nvme *n)
{
	u64 end = n->dma_base + n->v.mem_len;

	identify_at(t, n, end, 0);
	identify_at(t, n, end - 0x800, end);
}

static void admin_prp_with_offset_works(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, 3 * 4096);
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, buf) + 0x804);

	if (n->page != 4096) {
		t->skipped = "pages are larger than the data";
		return;
	}
	/* Its second page is not the next one. */
	sqe.prp2 = nvme_dma(n, buf) + 2 * 4096;
	memset(buf, 0x5a, 3 * 4096);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_OK);
	EXPECT(t, !memcmp(buf + 0x804, n->id, 4096 - 0x804), "the first part");
	EXPECT(t, !memcmp(buf + 8192, n->id + 4096 - 0x804, 0x804), "the second part");
	EXPECT(t, buf[0x803] == 0x5a && buf[4096] == 0x5a && buf[8191] == 0x5a &&
	       buf[8192 + 0x804] == 0x5a, "more was written");
}

static void admin_prp_list(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, 4 * 4096);
	u64 *list = nvme_alloc(n, 4096);
	struct nvme_sqe sqe = cmd_log(1, 0xffffffff, nvme_dma(n, buf), 4 * 4096);
	unsigned int i;

	/* Whether such a long log is served or not, a bad list must not hurt. */
	const u64 lists[] = { NOWHERE, 0, nvme_dma(n, list) + 1, nvme_dma(n, list) + 4,
			      nvme_dma(n, list), nvme_dma(n, list) + 4088 };

	for (i = 0; i < 512; i++)
		list[i] = NOWHERE + 1;
	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		int rc;

		sqe.prp2 = lists[i];
		rc = nvme_admin(n, &sqe, NULL);
		EXPECT(t, rc > 0, "list at %#llx: status %x", lists[i], rc);
	}
	/* A list of lists that leads back to itself. */
	for (i = 0; i < 512; i++)
		list[i] = nvme_dma(n, list);
	sqe.prp2 = nvme_dma(n, list) + 4088;
	nvme_admin(n, &sqe, NULL);
}

/* ---- I/O commands ---- */

static bool io_queue(struct test *t, struct nvme *n, struct nvme_queue *q)
{
	return EXPECT(t, !nvme_create_pair(n, q, 1, 16, 16, 0), "no pair");
}

static void lba_out_of_range(struct test *t, struct nvme *n)
{
	const u64 slbas[] = { n->nsze, n->nsze + 1, 1ULL << 40, ~0ULL, ~0ULL - 6 };
	void *buf = nvme_alloc(n, 8 * n->lba);
	struct nvme_queue q;
	unsigned int i;

	if (!io_queue(t, n, &q))
		return;
	for (i = 0; i < ARRAY_SIZE(slbas); i++) {
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, slbas[i], 1, buf), "read", SC_LBA_RANGE);
		EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, slbas[i], 1, buf), "write", SC_LBA_RANGE);
	}
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, n->nsze - 1, 2, buf), "across the end", SC_LBA_RANGE);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, n->nsze - 1, 1, buf), "the last one", SC_OK);
}

static void io_to_foreign_namespace(struct test *t, struct nvme *n)
{
	const u32 nsids[] = { 0, n->nsid + 1, 0xfffffffe, 0xffffffff };
	void *buf = nvme_alloc(n, n->lba);
	struct nvme_queue q;
	unsigned int i;

	if (!io_queue(t, n, &q))
		return;
	for (i = 0; i < ARRAY_SIZE(nsids); i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 1, buf);

		sqe.nsid = nsids[i];
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read", SC_INVALID_NS, SC_INVALID_FIELD);
		sqe.opcode = IO_WRITE;
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "write", SC_INVALID_NS, SC_INVALID_FIELD);
	}
}

static void unknown_io_opcodes(struct test *t, struct nvme *n)
{
	/* Reservations, copy, zone commands, verify belong here in guarded mode. */
	const u8 ops[] = { 0x03, 0x06, 0x07, 0x0d, 0x0e, 0x11, 0x15, 0x79, 0x7a, 0x7d, 0x80,
			   0xc0, 0xff };
	void *buf = nvme_alloc(n, 4096);
	struct nvme_queue q;
	unsigned int i;

	if (!io_queue(t, n, &q))
		return;
	for (i = 0; i < sizeof(ops); i++) {
		struct nvme_sqe sqe = cmd_rw(n, ops[i], 0, 1, buf);
		int rc = nvme_cmd(n, &q, &sqe);

		EXPECT(t, rc == SC_INVALID_OPCODE || rc == SC_INVALID_FIELD,
		       "opcode %02x: status %x", ops[i], rc);
	}
}

static void io_flags_are_refused(struct test *t, struct nvme *n)
{
	const u8 flags[] = { 0x01, 0x02, 0x03, 0x40, 0x80, 0xc0 };
	void *buf = nvme_alloc(n, 4096);
	struct nvme_queue q;
	unsigned int i;

	if (!io_queue(t, n, &q))
		return;
	for (i = 0; i < sizeof(flags); i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 1, buf);

		sqe.flags = flags[i];
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read", SC_ANY_ERROR);
	}
}

static void io_prps_are_checked(struct test *t, struct nvme *n)
{
	u32 one = 4096 / n->lba ? 4096 / n->lba : 1;
	u64 addr = nvme_dma(n, nvme_alloc(n, 16 * 4096));
	u64 *list = nvme_alloc(n, 4096);
	u64 lst = nvme_dma(n, list), end = n->v.iova + n->v.mem_len;
	const struct {
		u32 nlb;
		u64 prp1, prp2;
		const char *what;
	} c[] = {
		{ 1, NOWHERE, 0, "PRP1 nowhere" },
		{ 1, NOWHERE_HIGH, 0, "PRP1 at the top" },
		{ 1, end, 0, "PRP1 behind memory" },
		{ 1, addr + 1, 0, "PRP1 misaligned" },
		{ 2 * one, addr, NOWHERE, "PRP2 nowhere" },
		{ 2 * one, addr, addr + 0x200, "PRP2 with an offset" },
		{ 2 * one, addr, 0, "no PRP2" },
		{ 4 * one, addr, NOWHERE, "list nowhere" },
		{ 4 * one, addr, lst + 4, "list misaligned" },
		{ 4 * one, addr, lst, "list entries nowhere" },
		{ 4 * one, addr, lst + 4080, "list pointer nowhere" },
		{ 4 * one, addr, end - 8, "list across the end of memory" },
	};
	struct nvme_queue q;
	unsigned int i;

	if (!io_queue(t, n, &q))
		return;
	for (i = 0; i < 512; i++)
		list[i] = NOWHERE;
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, c[i].nlb, n->v.mem);

		sqe.prp1 = c[i].prp1;
		sqe.prp2 = c[i].prp2;
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), c[i].what, SC_ANY_ERROR);
		sqe.opcode = IO_WRITE;
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), c[i].what, SC_ANY_ERROR);
	}
	for (i = 0; i < 512; i++)
		list[i] = addr + 0x200;
	{
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 4 * one, n->v.mem);

		sqe.prp1 = addr;
		sqe.prp2 = lst;
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "list entries with an offset", SC_ANY_ERROR);
	}
}

static void io_prp_into_a_bar(struct test *t, struct nvme *n)
{
	const u64 addrs[] = {
		n->bar[0], n->bar[0] + nvme_sq_db(n, 1), n->bar[0] + nvme_cq_db(n, 1),
		n->bar[0] + n->v.region[BAR0].size - 4096, n->bar[1], n->bar[1] + 4096,
	};
	struct nvme_queue q;
	unsigned int i;

	if (!io_queue(t, n, &q))
		return;
	for (i = 0; i < ARRAY_SIZE(addrs); i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 1, NULL);

		sqe.prp1 = addrs[i];
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read into a BAR", SC_DATA_TRANSFER);
		sqe.opcode = IO_WRITE;
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "write from a BAR", SC_DATA_TRANSFER);
	}
}

/*
 * Who maps RAM where a BAR lies gets one of the two; both are its own.  (QEMU
 * takes the RAM away while a BAR is over it.)
 */
static void io_prp_into_a_bar_over_ram(struct test *t, struct nvme *n)
{
	u8 *ram = n->v.mem + 8 * SZ_1M;
	u64 gpa = n->v.iova + 8 * SZ_1M;
	struct nvme_queue q;
	struct nvme_sqe sqe;

	if (!io_queue(t, n, &q))
		return;
	sqe = cmd_rw(n, IO_READ, 0, 1, ram + 4096);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read into RAM", SC_OK);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_0, 4, (u32)gpa);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_1, 4, gpa >> 32);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read into what is a BAR now", SC_DATA_TRANSFER,
		  SC_OK);
	sqe.prp1 = gpa + nvme_sq_db(n, 1);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read into a doorbell", SC_DATA_TRANSFER, SC_OK);
}

/* The guest's own CQ, SQ and list as targets of its own read: only it suffers. */
static void io_into_the_own_rings(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		if (!io_queue(t, n, &q))
			return;
		sqe = cmd_rw(n, IO_READ, 0, 8, i & 1 ? (void *)q.sq : (void *)q.cq);
		nvme_submit(n, &q, &sqe);
		nvme_submit(n, &q, &sqe);
		sleep_us(20000);
		while (nvme_reap(n, &q, &cqe))
			if (q.head == 0)
				break;
		EXPECT(t, !nvme_delete_pair(n, &q), "round %u: the pair cannot be deleted", i);
		nvme_free_all(n);
	}
}

static void io_larger_than_mdts(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	struct nvme_queue q;
	struct nvme_sqe sqe;

	if (!n->id[77]) {
		t->skipped = "MDTS says no limit";
		return;
	}
	if (!io_queue(t, n, &q))
		return;
	sqe = cmd_rw(n, IO_READ, 0, 0x10000, buf);
	sqe.prp2 = nvme_dma(n, buf);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "65536 blocks", SC_INVALID_FIELD, SC_LBA_RANGE);
}

static struct test tests[] = {
	{ "admin_prp_to_nowhere", admin_prp_to_nowhere },
	{ "admin_prp_into_a_bar", admin_prp_into_a_bar },
	{ "admin_prp_into_a_bar_over_ram", admin_prp_into_a_bar_over_ram, TEST_RESETS },
	{ "admin_prp_misaligned", admin_prp_misaligned },
	{ "admin_prp_across_the_end_of_memory", admin_prp_across_the_end },
	{ "admin_prp_with_an_offset_works", admin_prp_with_offset_works },
	{ "admin_prp_list_is_checked", admin_prp_list },
	{ "lba_out_of_range_is_refused", lba_out_of_range },
	{ "io_to_a_foreign_namespace_is_refused", io_to_foreign_namespace, TEST_GUARDED },
	{ "unknown_io_opcodes_are_refused", unknown_io_opcodes, TEST_GUARDED },
	{ "fused_and_sgl_io_is_refused", io_flags_are_refused, TEST_GUARDED },
	{ "io_prps_are_checked", io_prps_are_checked, TEST_GUARDED },
	{ "io_prp_into_a_bar_is_refused", io_prp_into_a_bar, TEST_GUARDED },
	{ "io_prp_into_a_bar_over_ram_does_no_harm", io_prp_into_a_bar_over_ram,
	  TEST_GUARDED | TEST_RESETS },
	{ "io_into_the_own_rings_does_no_harm", io_into_the_own_rings, TEST_GUARDED },
	{ "io_larger_than_mdts_is_refused", io_larger_than_mdts, TEST_GUARDED },
};

const struct suite suite_prps = { "prps", tests, ARRAY_SIZE(tests) };
