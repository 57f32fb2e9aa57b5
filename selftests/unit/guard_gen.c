// SPDX-License-Identifier: GPL-2.0
/*
 * Random commands and the guest memory they need, for guard.c.  Most are right or
 * wrong in one place only, for what is wrong everywhere is refused at the first.
 */
#include "guard_world.h"

/* A page that is memory; rarely one that is not, or is nowhere. */
static u64 some_page(struct dice *d, u32 bad)
{
	u64 step = world_steps[dice_roll(d, 4) ? dice_roll(d, 3) : dice_roll(d, WORLD_STEPS)];
	u32 nr = dice_roll(d, 512);

	if (bad && one_in(d, bad)) {
		switch (dice_roll(d, 4)) {
		case 0:
			return step * STEP + (nr & ~31) * PAGE + 7 * PAGE;
		case 1:
			return step * STEP + (nr & ~31) * PAGE + 15 * PAGE;
		case 2:
			return (step + 4) * STEP + nr * PAGE;
		default:
			return dice_any(d, 8) & ~(PAGE - 1);
		}
	}
	if (nr % 32 == 7 || nr % 32 == 15)
		nr++;
	return step * STEP + nr * PAGE;
}

/* Pages of a buffer: single ones, or a run. */
static u64 next_page(struct dice *d, u64 last, u32 bad)
{
	u64 bus;

	if (dice_roll(d, 4) && !world_bus(last + PAGE, &bus))
		return last + PAGE;
	return some_page(d, bad);
}

/* PRP1, PRP2 and lists in guest memory for @len bytes; @bad: one entry in so many. */
static void make_prps(struct dice *d, struct nvme_command *c, u64 len, u32 bad)
{
	u64 where, entry, last, prp1 = some_page(d, bad);
	u32 n;

	switch (dice_roll(d, 16)) {
	case 0:
		/* the reference is slow with odd offsets: few of them for long data */
		prp1 += dice_roll(d, 1024) * (len <= 32768 || one_in(d, 16) ? 4 : 512) % PAGE;
		break;
	case 1:
		prp1 += bad && one_in(d, bad) ? dice_roll(d, 4096) : 2048;
		break;
	case 2 ... 5:
		prp1 += dice_roll(d, 8) * 512;
	}
	c->common.dptr.prp1 = cpu_to_le64(prp1);
	last = prp1 & ~(PAGE - 1);
	n = (prp1 % PAGE + len + PAGE - 1) / PAGE;
	if (n <= 2) {
		entry = n == 2 ? next_page(d, last, bad) : dice_any(d, 8);
		if (n == 2 && bad && one_in(d, bad))
			entry += dice_roll(d, 4096);
		c->common.dptr.prp2 = cpu_to_le64(entry);
		return;
	}

	/* many lists begin near the end of their page, to be chained */
	where = some_page(d, bad);
	switch (dice_roll(d, 4)) {
	case 0:
		where += PAGE - 8 * (1 + dice_roll(d, 4));
		break;
	case 1:
		where += 8 * dice_roll(d, 512);
	}
	if (bad && one_in(d, bad))
		where += dice_roll(d, 8);
	c->common.dptr.prp2 = cpu_to_le64(where);
	for (n--; n; n--) {
		if (where % PAGE == PAGE - 8 && n > 1) {
			/* now and then a list that comes back to itself */
			entry = one_in(d, 16) ? where & ~(PAGE - 1) : some_page(d, bad);
			if (bad && one_in(d, bad))
				entry += 8 * dice_roll(d, 512);
			world_poke64(where, entry);
			where = entry;
		}
		entry = next_page(d, last, bad * 8);
		last = entry & ~(PAGE - 1);
		if (bad && one_in(d, bad * 8))
			entry += dice_roll(d, 4096);
		world_poke64(where, entry);
		where += 8;
	}
}

/* The address of byte @pos of a buffer of at most two pages. */
static u64 byte_of(const struct nvme_command *c, u32 pos)
{
	u64 prp1 = le64_to_cpu(c->common.dptr.prp1);

	pos += prp1 % PAGE;
	if (pos < PAGE)
		return prp1 - prp1 % PAGE + pos;
	return le64_to_cpu(c->common.dptr.prp2) + pos - PAGE;
}

/* LBAs that are right, just right, just wrong, or wrap in one sum or another. */
static u64 some_slba(struct dice *d, const struct liov_guard *g, u64 n, u32 bad)
{
	u64 room = g->nlb > n ? g->nlb - n : 0;

	if (!bad || !one_in(d, bad))
		return dice_roll(d, 3) ? dice_any(d, 8) % (room + 1) : room;
	switch (dice_roll(d, 8)) {
	case 0:
		return g->nlb;
	case 1:
		return g->nlb - n + 1;
	case 2:
		return 0 - n;
	case 3:
		return 0 - g->first;
	case 4:
		return ~0ULL - dice_roll(d, 16);
	case 5:
		return g->nlb + dice_roll(d, 65536);
	case 6:
		return 0 - g->first + dice_any(d, 8) % (g->nlb + 1);
	default:
		return dice_any(d, 8);
	}
}

static u32 some_length(struct dice *d, const struct liov_guard *g, u8 opcode, u32 bad)
{
	u32 bytes = opcode == nvme_cmd_verify ? g->max_verify :
		    opcode == nvme_cmd_write_zeroes ? g->max_zeroes :
		    opcode == nvme_cmd_write_uncor ? g->max_uncor : g->max_bytes;
	u32 max = min(bytes >> g->lba_shift, 65535U);

	switch (dice_roll(d, 16)) {
	case 0:
		return max;
	case 1:
		return bad && one_in(d, bad) ? max + 1 : max;
	case 2:
		return 1 + dice_roll(d, max);
	case 3:
		return bad ? 1 + dice_roll(d, 65536) : 1;
	default:
		return 1 + dice_roll(d, min(max, 32768U >> g->lba_shift));
	}
}

static void some_ranges(struct dice *d, const struct liov_guard *g, struct nvme_command *c,
			u32 nr, u32 bad)
{
	u32 i, n;

	for (i = 0; i < nr; i++) {
		n = dice_roll(d, 8) ? dice_any(d, 4) % (g->nlb + 1) : 0;
		if (!bad || !one_in(d, bad))
			n = min_t(u64, n, min_t(u64, g->max_dsm_range, g->max_dsm / nr));
		world_poke64(byte_of(c, 16 * i), dice_any(d, 4) | (u64)n << 32);
		world_poke64(byte_of(c, 16 * i + 8), n ? some_slba(d, g, n, bad * 4) :
			     dice_any(d, 8));
	}
}

static void some_descriptors(struct dice *d, const struct liov_guard *g,
			     struct nvme_command *c, u32 nr, u32 bad)
{
	u32 i, n, lbas = 0;
	u32 most = min3((u32)g->max_copy_range, g->max_copy / nr, 65536U);

	for (i = 0; i < nr; i++) {
		n = 1 + dice_roll(d, min_t(u64, max(most, 1U), max(g->nlb / nr, 1ULL)));
		if (bad && one_in(d, 64 * bad))
			n = 1 + dice_roll(d, 65536);
		world_poke64(byte_of(c, 32 * i), dice_any(d, 8));
		world_poke64(byte_of(c, 32 * i + 8), some_slba(d, g, n, bad * 8));
		world_poke64(byte_of(c, 32 * i + 16), ((u64)n - 1) | dice_any(d, 8) << 16);
		world_poke64(byte_of(c, 32 * i + 24), dice_any(d, 8));
		lbas += n;
	}
	c->rw.slba = cpu_to_le64(some_slba(d, g, lbas, bad));
}

static void some_guard(struct dice *d, struct liov_guard *g)
{
	static const u32 max_bytes[] = { 131072, 4096, 8192, 524288, LIOV_GUARD_MAX_BYTES };

	memset(g, 0, sizeof(*g));
	g->nsid = dice_roll(d, 4) ? 1 : 3;
	g->hw_nsid = 1 + dice_roll(d, 256);
	g->lba_shift = dice_roll(d, 2) ? 9 : 12;
	g->max_bytes = max_bytes[dice_roll(d, ARRAY_SIZE(max_bytes))];
	switch (dice_roll(d, 4)) {
	case 0:
		g->first = 0;
		g->nlb = 1 + dice_any(d, 5);
		break;
	case 1:
		g->first = dice_any(d, 6);
		g->nlb = 1 + dice_any(d, 2);
		break;
	case 2:
		/* as far up as can be: every sum is near the end */
		g->nlb = 1 + dice_any(d, 3);
		g->first = ~0ULL - g->nlb;
		break;
	default:
		g->first = dice_any(d, 4);
		g->nlb = 1 + dice_any(d, 4);
	}
	g->max_copy_ranges = one_in(d, 4) ? dice_roll(d, 2) ? 256 : dice_roll(d, 257) : 128;
	g->max_copy_range = one_in(d, 8) ? dice_roll(d, 65536) : 1024;
	g->max_copy = one_in(d, 8) ? dice_any(d, 3) : 1024 * 128;
	g->max_verify = one_in(d, 4) ? 8192U << dice_roll(d, 11) : 8U << 20;
	g->max_zeroes = one_in(d, 4) ? 8192U << dice_roll(d, 11) : 8U << 20;
	g->max_uncor = one_in(d, 4) ? 8192U << dice_roll(d, 11) : 8U << 20;
	g->max_dsm_ranges = one_in(d, 8) ? 1 + dice_roll(d, 256) : 256;
	g->max_dsm = one_in(d, 4) ? dice_any(d, 5) : (32ULL << 30) >> g->lba_shift;
	g->max_dsm_range = one_in(d, 4) ? dice_any(d, 4) : g->max_dsm;
	g->oncs = one_in(d, 8) ? dice_any(d, 2) : 0x1ff;
}

void world_generate(struct dice *d, struct liov_guard *g, struct nvme_command *c)
{
	static const u8 opcodes[] = {
		nvme_cmd_read, nvme_cmd_write, nvme_cmd_read, nvme_cmd_write,
		nvme_cmd_compare, nvme_cmd_dsm, 0x19, nvme_cmd_write_zeroes,
		nvme_cmd_verify, nvme_cmd_write_uncor, nvme_cmd_flush,
	};
	u32 bad, n, nr;

	world_reset();
	some_guard(d, g);
	/* half of all commands have nothing wrong on purpose */
	bad = dice_roll(d, 2) ? 8 : 0;
	world.has_page = !bad || !one_in(d, 32);
	world.hostile = dice_roll(d, 2);
	world.scramble = dice_any(d, 8) | 1;

	/* every field that nobody looks at is junk */
	for (n = 0; n < 8; n++)
		((u64 *)c)[n] = dice_any(d, 8);
	c->common.opcode = bad && one_in(d, 32) ? dice_any(d, 1) :
		opcodes[dice_roll(d, sizeof(opcodes))];
	c->common.flags = bad && one_in(d, 32) ? dice_any(d, 1) : dice_any(d, 1) & 0x3c;
	c->common.nsid = cpu_to_le32(bad && one_in(d, 32) ?
				     dice_roll(d, 2) ? dice_roll(d, 5) : 0 - dice_roll(d, 3) :
				     g->nsid);
	if (!bad || !one_in(d, 16))
		c->rw.control &= cpu_to_le16(~0x00f0);

	switch (c->common.opcode) {
	case nvme_cmd_dsm:
		nr = 1 + (one_in(d, 8) ? dice_roll(d, 256) : dice_roll(d, 8));
		if (!bad)
			nr = min(nr, (u32)g->max_dsm_ranges);
		c->dsm.nr = cpu_to_le32((le32_to_cpu(c->dsm.nr) & ~0xff) | (nr - 1));
		make_prps(d, c, 16 * nr, bad * 2);
		some_ranges(d, g, c, nr, bad);
		break;
	case 0x19:
		nr = 1 + (dice_roll(d, 8) ? dice_roll(d, 8) : dice_roll(d, 256));
		if (!bad)
			nr = min(nr, 128U);
		c->rw.length = cpu_to_le16((dice_any(d, 2) & 0xf000) | (nr - 1));
		if (bad && one_in(d, 16))
			c->rw.length |= cpu_to_le16(dice_roll(d, 16) << 8);
		make_prps(d, c, 32 * min(nr, 128U), bad * 2);
		some_descriptors(d, g, c, min(nr, 128U), bad);
		break;
	default:
		n = some_length(d, g, c->common.opcode, bad);
		if (!bad)
			n = min((u64)n, g->nlb);
		c->rw.length = cpu_to_le16(n - 1);
		c->rw.slba = cpu_to_le64(some_slba(d, g, n, bad));
		if (c->common.opcode == nvme_cmd_read || c->common.opcode == nvme_cmd_write ||
		    c->common.opcode == nvme_cmd_compare)
			make_prps(d, c, min((u64)n << g->lba_shift, (u64)g->max_bytes), bad);
	}
}
