/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guard and a command for the tests that go rule by rule.  Each file has its own.
 * Every command is also judged by the reference; test_guard_random.c does that with
 * many more.
 */
#ifndef _LIOV_GUARD_FIXTURE_H
#define _LIOV_GUARD_FIXTURE_H

#include "guard_world.h"
#include "harness.h"

#define FIRST	0x123456789ULL
#define NLB	100000ULL
#define ONCS	0x18f	/* Compare, Write Uncorrectable, DSM, Write Zeroes, Verify, Copy */
#define COPY	0x19
#define LIMIT	0x80000000U	/* more than a command can name with 512 bytes a block */

/* Memory that is there and mapped: pages 16 to 18 of step 1; lists live in step 2. */
#define BUF	(STEP + 16 * PAGE)
#define LISTS	(2 * STEP + 16 * PAGE)
#define HOLE	(STEP + 7 * PAGE)
#define UNPINNED (STEP + 15 * PAGE)
#define LAZY	(STEP + 19 * PAGE)
#define NOWHERE	(100 * STEP)

static struct liov_guard g;
static struct nvme_command c;

#define DPTR	(c.common.dptr)
#define OUT	(world.out.cmd)

static inline void start(u8 opcode, u64 slba, u32 n)
{
	g = (struct liov_guard){
		.nsid = 1, .hw_nsid = 5, .first = FIRST, .nlb = NLB, .lba_shift = 9,
		.max_bytes = LIOV_GUARD_MAX_BYTES, .max_copy = 4096, .max_copy_range = 512,
		.max_copy_ranges = 128, .oncs = ONCS,
		.max_verify = LIMIT, .max_zeroes = LIMIT, .max_uncor = LIMIT,
		.max_dsm_ranges = 256, .max_dsm_range = ~0U, .max_dsm = ~0ULL,
	};
	memset(&c, 0, sizeof(c));
	c.rw.opcode = opcode;
	c.rw.nsid = cpu_to_le32(1);
	c.rw.slba = cpu_to_le64(slba);
	c.rw.length = cpu_to_le16(n - 1);
	DPTR.prp1 = cpu_to_le64(BUF);
	DPTR.prp2 = cpu_to_le64(BUF + PAGE);
	world_reset();
}

/* The guard's status; a difference from the reference ends the test. */
static inline u16 check(void)
{
	u16 status;
	const char *what;

	world.nr_steps = 0;
	world.nr_reads = 0;
	world.nr_read_bytes = 0;
	world.nr_pages = 0;
	what = world_compare(&g, &c, &status);
	if (what)
		printf("# %s, status %#x\n", what, status);
	EXPECT(!what);
	return status;
}

static inline u64 host64(unsigned int i)
{
	u64 v;

	memcpy(&v, world.page + 8 * i, 8);
	return v;
}

#endif /* _LIOV_GUARD_FIXTURE_H */
