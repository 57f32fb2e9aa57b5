// SPDX-License-Identifier: GPL-2.0
/*
 * The guard against its reference on random commands.
 *
 * GUARD_CASES commands, each from a seed of its own; GUARD_SEED is the first, from the
 * clock if it is not given.  To see one again: GUARD_SEED=<its seed> GUARD_CASES=1.
 */
#include <stdlib.h>
#include <time.h>

#include "guard_world.h"
#include "harness.h"

#define DEFAULT_CASES	200000

static u64 from_env(const char *name, u64 def)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : def;
}

static u64 seed_of_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static void show(u64 seed, const char *what, u16 status, const struct liov_guard *g,
		 const struct nvme_command *c)
{
	const u32 *dw = (const u32 *)c;

	printf("# %s; status %#x; to see it again: GUARD_SEED=%#llx GUARD_CASES=1\n", what,
	       status, seed);
	printf("# guard: first %#llx nlb %#llx shift %u max_bytes %u oncs %#x\n", g->first,
	       g->nlb, g->lba_shift, g->max_bytes, g->oncs);
	printf("# command: %08x %08x %08x %08x %08x %08x %08x %08x\n", dw[0], dw[1], dw[2],
	       dw[3], dw[4], dw[5], dw[6], dw[7]);
	printf("#          %08x %08x %08x %08x %08x %08x %08x %08x\n", dw[8], dw[9], dw[10],
	       dw[11], dw[12], dw[13], dw[14], dw[15]);
}

TEST(guard_agrees_with_the_reference_on_random_commands)
{
	u64 seed = from_env("GUARD_SEED", seed_of_clock());
	u64 cases = from_env("GUARD_CASES", DEFAULT_CASES);
	unsigned int by_status[0x200] = { 0 }, passed[256] = { 0 }, lists = 0, changing = 0;
	struct nvme_command c;
	struct liov_guard g;
	const char *what;
	struct dice d;
	u16 status;
	u64 i;

	printf("# guard: %llu commands, GUARD_SEED=%#llx\n", cases, seed);
	for (i = 0; i < cases; i++) {
		/* neighbouring seeds of a xorshift are too much alike */
		d = (struct dice){ .seed = (seed + i) * 0x9e3779b97f4a7c15ULL | 1 };
		dice_any(&d, 8);
		world_generate(&d, &g, &c);
		what = world_compare(&g, &c, &status);
		if (what)
			show(seed + i, what, status, &g, &c);
		EXPECT(!what);
		by_status[status & 0x1ff]++;
		if (!status) {
			passed[c.common.opcode]++;
			lists += c.common.opcode <= nvme_cmd_compare && world.nr_reads;
			changing += world.nr_reads && world.hostile;
		}
	}

	/* the numbers say whether the commands were worth it */
	for (i = 0; i < ARRAY_SIZE(by_status); i++)
		if (by_status[i])
			printf("# status %03llx: %u\n", i, by_status[i]);
	for (i = 0; i < ARRAY_SIZE(passed); i++)
		if (passed[i])
			printf("# opcode %02llx passed: %u\n", i, passed[i]);
	printf("# %u with PRP lists, %u with memory that changed once read\n", lists, changing);
	if (cases < 10000)
		return;
	EXPECT(passed[nvme_cmd_read] > cases / 50);
	EXPECT(passed[nvme_cmd_dsm] > cases / 100);
	EXPECT(passed[0x19] > cases / 100);
	EXPECT(lists > cases / 50);
	EXPECT(changing > cases / 50);
	EXPECT(by_status[NVME_SC_LBA_RANGE] > cases / 100);
	EXPECT(by_status[NVME_SC_PRP_INVALID_OFFSET] > cases / 100);
	EXPECT(by_status[NVME_SC_DATA_XFER_ERROR] > cases / 100);
	EXPECT(by_status[NVME_SC_CMD_SIZE_LIM_EXCEEDED] > cases / 1000);
}
