// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "commands": the optional commands that Identify Controller offers do what
 * the NVM Command Set specification says, on exactly the blocks they name; those
 * it does not offer are Invalid Opcode.
 */
#include <string.h>

#include "basic.h"

#define BLOCKS		64
/* Where the blocks of these tests begin. */
#define FIRST		1024

/**
 * struct area - blocks that a test works on
 * @want: what the drive should hold
 * @got:  what it does
 */
struct area {
	struct nvme_queue q;
	u8 *want;
	u8 *got;
};

static bool has_command(struct test *t, struct nvme *n, u16 bit, u8 opcode)
{
	struct nvme_sqe sqe;
	struct nvme_queue q;

	if (n->oncs & bit)
		return true;
	if (!n->direct && basic_queue(t, n, &q)) {
		sqe = cmd_rw(n, opcode, 0, 1, nvme_alloc(n, SZ_4K));
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "not offered", SC_INVALID_OPCODE);
	}
	if (!t->failed)
		t->skipped = n->direct ? "the drive does not offer it" :
					 "not offered, and refused";
	return false;
}

static bool area_make(struct test *t, struct nvme *n, struct area *a, u32 seed)
{
	u32 len = BLOCKS * n->lba;

	a->want = nvme_alloc(n, len);
	a->got = nvme_alloc(n, len);
	if (!basic_queue(t, n, &a->q))
		return false;
	fill_pattern(a->want, len, seed);
	return EXPECT_SC(t, nvme_io(n, &a->q, IO_WRITE, FIRST, BLOCKS, a->want), "write", SC_OK);
}

static void area_check(struct test *t, struct nvme *n, struct area *a)
{
	unsigned int i;

	memset(a->got, 0xee, BLOCKS * n->lba);
	EXPECT_SC(t, nvme_io(n, &a->q, IO_READ, FIRST, BLOCKS, a->got), "read", SC_OK);
	for (i = 0; i < BLOCKS; i++)
		if (!EXPECT(t, !memcmp(a->want + i * n->lba, a->got + i * n->lba, n->lba),
			    "block %u is not what it should be", i))
			return;
}

static void flush_of_one_and_of_all(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = IO_FLUSH, .nsid = n->nsid };
	struct nvme_queue q;

	if (!basic_queue(t, n, &q))
		return;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "Flush", SC_OK);
	sqe.nsid = 0xffffffff;
	/* VWC bits 2:1 say whether that is all namespaces or an error. */
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "Flush of all", SC_OK, SC_INVALID_NS,
		  SC_INVALID_FIELD);
	sqe.nsid = n->nsid + 1;
	if (!n->direct)
		EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "Flush of another", SC_INVALID_NS);
}

static void fua_and_limited_retry(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe;
	struct nvme_queue q;
	u8 *buf = nvme_alloc(n, SZ_4K);

	if (!basic_queue(t, n, &q))
		return;
	fill_pattern(buf, n->lba, 5);
	sqe = cmd_rw(n, IO_WRITE, FIRST, 1, buf);
	sqe.cdw12 |= BIT(30) | BIT(31);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "write with FUA and LR", SC_OK);
	memset(buf, 0, n->lba);
	sqe.opcode = IO_READ;
	/* Access hints are no business of ours either. */
	sqe.cdw13 = 0x7f;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read with FUA and LR", SC_OK);
	EXPECT(t, check_pattern(buf, n->lba, 5), "data");
}

static void write_zeroes(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe;
	struct area a;

	if (!has_command(t, n, ONCS_WRITE_ZEROES, IO_WRITE_ZEROES) || !area_make(t, n, &a, 21))
		return;
	sqe = cmd_rw(n, IO_WRITE_ZEROES, FIRST + 10, 20, NULL);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "Write Zeroes", SC_OK);
	memset(a.want + 10 * n->lba, 0, 20 * n->lba);
	area_check(t, n, &a);
	sqe = cmd_rw(n, IO_WRITE_ZEROES, n->nsze - 1, 2, NULL);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "across the end", SC_LBA_RANGE);
	sqe = cmd_rw(n, IO_WRITE_ZEROES, ~0ULL, 2, NULL);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "around the wrap", SC_LBA_RANGE);
}

static void compare(struct test *t, struct nvme *n)
{
	struct area a;

	if (!has_command(t, n, ONCS_COMPARE, IO_COMPARE) || !area_make(t, n, &a, 22))
		return;
	EXPECT_SC(t, nvme_io(n, &a.q, IO_COMPARE, FIRST, BLOCKS, a.want), "the same", SC_OK);
	a.want[BLOCKS * n->lba - 1] ^= 1;
	/* An error that only the hardware can give. */
	EXPECT_SC(t, nvme_io(n, &a.q, IO_COMPARE, FIRST, BLOCKS, a.want), "one bit less",
		  SC_COMPARE);
	a.want[BLOCKS * n->lba - 1] ^= 1;
	area_check(t, n, &a);
}

static void verify(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe;
	struct area a;

	if (!has_command(t, n, ONCS_VERIFY, IO_VERIFY) || !area_make(t, n, &a, 23))
		return;
	sqe = cmd_rw(n, IO_VERIFY, FIRST, BLOCKS, NULL);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "Verify", SC_OK);
	sqe = cmd_rw(n, IO_VERIFY, n->nsze, 1, NULL);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "behind the end", SC_LBA_RANGE);
	area_check(t, n, &a);
}

static void write_uncorrectable(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe;
	struct area a;

	if (!has_command(t, n, ONCS_WRITE_UNC, IO_WRITE_UNC) || !area_make(t, n, &a, 24))
		return;
	sqe = cmd_rw(n, IO_WRITE_UNC, FIRST + 3, 1, NULL);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "Write Uncorrectable", SC_OK);
	EXPECT_SC(t, nvme_io(n, &a.q, IO_READ, FIRST + 3, 1, a.got), "its block", SC_ANY_ERROR);
	EXPECT_SC(t, nvme_io(n, &a.q, IO_READ, FIRST, 3, a.got), "those before", SC_OK);
	EXPECT_SC(t, nvme_io(n, &a.q, IO_WRITE, FIRST, BLOCKS, a.want), "written again", SC_OK);
	area_check(t, n, &a);
}

static struct nvme_sqe cmd_dsm(struct nvme *n, u32 nr, const void *ranges)
{
	return (struct nvme_sqe){
		.opcode = IO_DSM,
		.nsid = n->nsid,
		.prp1 = nvme_dma(n, ranges),
		.cdw10 = nr - 1,
		.cdw11 = DSM_AD,
	};
}

/* What deallocated blocks read is the drive's choice, within limits. */
static void area_check_deallocated(struct test *t, struct nvme *n, struct area *a,
				   const struct nvme_dsm *r, unsigned int nr)
{
	unsigned int i, j;

	EXPECT_SC(t, nvme_io(n, &a->q, IO_READ, FIRST, BLOCKS, a->got), "read", SC_OK);
	for (i = 0; i < BLOCKS; i++) {
		u8 *got = a->got + i * n->lba;
		bool in = false;

		for (j = 0; j < nr; j++)
			in |= FIRST + i - r[j].slba < r[j].nlb;
		if (in && ((!got[0] || got[0] == 0xff) && !memcmp(got, got + 1, n->lba - 1)))
			continue;
		if (!EXPECT(t, !memcmp(got, a->want + i * n->lba, n->lba), "block %u changed%s",
			    i, in ? " to something else" : ", though it is in no range"))
			return;
	}
}

static void dataset_management(struct test *t, struct nvme *n)
{
	struct nvme_dsm *r = nvme_alloc(n, 2 * SZ_4K);
	struct nvme_sqe sqe;
	struct area a;

	if (!has_command(t, n, ONCS_DSM, IO_DSM) || !area_make(t, n, &a, 25))
		return;
	r[0] = (struct nvme_dsm){ 0, 1, FIRST };
	r[1] = (struct nvme_dsm){ 0, 10, FIRST + 20 };
	r[2] = (struct nvme_dsm){ 0, 2, FIRST + BLOCKS - 2 };
	sqe = cmd_dsm(n, 3, r);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "three ranges", SC_OK);
	area_check_deallocated(t, n, &a, r, 3);

	/* The list may cross a page, and PRP2 is then any page. */
	r = (void *)r + SZ_4K - sizeof(*r);
	memset(r, 0, sizeof(*r));
	r[0] = (struct nvme_dsm){ 0, 2, FIRST + 40 };
	r[1] = (struct nvme_dsm){ 0, 2, FIRST + 44 };
	sqe = cmd_dsm(n, 2, r);
	sqe.prp2 = nvme_dma(n, &r[1]);
	EXPECT_SC(t, nvme_io(n, &a.q, IO_WRITE, FIRST, BLOCKS, a.want), "write", SC_OK);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "ranges in two pages", SC_OK);
	area_check_deallocated(t, n, &a, r, 2);
}

static void dsm_of_all_ranges(struct test *t, struct nvme *n)
{
	u8 *limits = nvme_alloc(n, SZ_4K);
	struct nvme_dsm *r = nvme_alloc(n, SZ_4K);
	struct nvme_sqe sqe = cmd_identify(6, 0, nvme_dma(n, limits));
	unsigned int i, nr;
	struct area a;

	if (!has_command(t, n, ONCS_DSM, IO_DSM) || !area_make(t, n, &a, 26))
		return;
	/* DMRL, which cannot say 256. */
	nr = !nvme_admin(n, &sqe, NULL) && limits[3] ? limits[3] : 256;
	for (i = 0; i < nr; i++)
		r[i] = (struct nvme_dsm){ 0, i % 3 == 0, FIRST + i % 60 };
	sqe = cmd_dsm(n, nr, r);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "all ranges", SC_OK);
	area_check_deallocated(t, n, &a, r, nr);
}

static void dsm_with_a_bad_range(struct test *t, struct nvme *n)
{
	struct nvme_dsm *r = nvme_alloc(n, SZ_4K);
	const struct nvme_dsm bad[] = {
		{ 0, 1, n->nsze }, { 0, 2, n->nsze - 1 }, { 0, 2, ~0ULL },
		{ 0, 0xffffffff, FIRST }, { 0, 1, 1ULL << 50 },
	};
	struct nvme_sqe sqe;
	unsigned int i;
	struct area a;

	if (!has_command(t, n, ONCS_DSM, IO_DSM) || !area_make(t, n, &a, 27))
		return;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		r[0] = (struct nvme_dsm){ 0, 0, FIRST };
		r[1] = bad[i];
		sqe = cmd_dsm(n, 2, r);
		EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "bad range", SC_LBA_RANGE);
	}
	area_check(t, n, &a);
}

static struct nvme_sqe cmd_copy(struct nvme *n, u64 to, u32 nr, const void *desc)
{
	return (struct nvme_sqe){
		.opcode = IO_COPY,
		.nsid = n->nsid,
		.prp1 = nvme_dma(n, desc),
		.cdw10 = (u32)to,
		.cdw11 = to >> 32,
		.cdw12 = nr - 1,
	};
}

static void copy(struct test *t, struct nvme *n)
{
	struct nvme_copy *d = nvme_alloc(n, SZ_4K);
	struct nvme_sqe sqe;
	struct area a;

	if (!has_command(t, n, ONCS_COPY, IO_COPY) || !area_make(t, n, &a, 28))
		return;
	d[0].slba = FIRST + 8;
	d[0].nlb = 3;
	d[1].slba = FIRST;
	d[1].nlb = 1;
	sqe = cmd_copy(n, FIRST + 40, 2, d);
	EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "Copy", SC_OK);
	memcpy(a.want + 40 * n->lba, a.want + 8 * n->lba, 4 * n->lba);
	memcpy(a.want + 44 * n->lba, a.want, 2 * n->lba);
	area_check(t, n, &a);
}

static void copy_out_of_range(struct test *t, struct nvme *n)
{
	const u64 bad[] = { n->nsze, n->nsze - 1, ~0ULL, 1ULL << 48 };
	struct nvme_copy *d = nvme_alloc(n, SZ_4K);
	struct nvme_sqe sqe;
	unsigned int i;
	struct area a;

	if (!has_command(t, n, ONCS_COPY, IO_COPY) || !area_make(t, n, &a, 29))
		return;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		d[0].slba = bad[i];
		d[0].nlb = 1;
		sqe = cmd_copy(n, FIRST, 1, d);
		EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "its source", SC_LBA_RANGE);
		d[0].slba = FIRST;
		sqe = cmd_copy(n, bad[i], 1, d);
		EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "its destination", SC_LBA_RANGE);
		/* Formats 1 and up name other things: namespaces, for one. */
		sqe = cmd_copy(n, FIRST + 30, 1, d);
		sqe.cdw12 |= (i + 1) << 8;
		EXPECT_SC(t, nvme_cmd(n, &a.q, &sqe), "another format", SC_INVALID_FIELD);
	}
	area_check(t, n, &a);
}

static struct test tests[] = {
	{ "flush_is_for_the_own_namespace", flush_of_one_and_of_all },
	{ "fua_limited_retry_and_hints_are_taken", fua_and_limited_retry },
	{ "write_zeroes_clears_its_blocks_only", write_zeroes },
	{ "compare_tells_one_bit", compare },
	{ "verify_reads_its_blocks", verify },
	{ "write_uncorrectable_spoils_its_block_only", write_uncorrectable },
	{ "dsm_deallocates_its_ranges_only", dataset_management },
	{ "dsm_takes_all_its_ranges", dsm_of_all_ranges },
	{ "dsm_with_a_bad_range_does_nothing", dsm_with_a_bad_range, TEST_GUARDED },
	{ "copy_copies_its_ranges_only", copy },
	{ "copy_beyond_the_namespace_is_refused", copy_out_of_range, TEST_GUARDED },
};

const struct suite suite_commands = { "commands", tests, ARRAY_SIZE(tests) };
