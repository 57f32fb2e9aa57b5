// SPDX-License-Identifier: GPL-2.0
/* The guest of the guard's tests; see guard_world.h. */
#include <stdio.h>
#include <stdlib.h>

#include "guard_world.h"

#define NR_CONTENTS	128
#define MAX_LAZY	2048

const u64 world_steps[WORLD_STEPS] = {
	0, 1, 2, 3, 2047, 2048, 2049, 1ULL << 19, (1ULL << 43) - 1
};

struct world world;

/* Pages that were written; all others read as a pattern. */
static struct content {
	u64 gpa;
	u8 data[PAGE];
} contents[NR_CONTENTS];
static unsigned int nr_contents;

/* What env->step shows, and which of its lazy entries were filled. */
static u64 shown[WORLD_STEPS][512];
static u64 *lazy[MAX_LAZY];
static unsigned int nr_lazy;

static int step_index(u64 gpa)
{
	static int last;
	int i;

	if (world_steps[last] == gpa / STEP)
		return last;
	for (i = 0; i < WORLD_STEPS; i++) {
		if (world_steps[i] == gpa / STEP) {
			last = i;
			return i;
		}
	}
	return -1;
}

/* Nothing is missing in it and it is one run of bus addresses: shown without an array. */
static bool step_is_linear(int step)
{
	return world_steps[step] == WORLD_LINEAR;
}

static u16 page_state(u64 gpa)
{
	unsigned int nr = gpa / PAGE % 512;

	if (step_index(gpa) >= 0 && step_is_linear(step_index(gpa)))
		return 0;
	if (step_index(gpa) < 0 || nr % 32 == 7)
		return WORLD_HOLE;
	return nr % 32 == 15 ? WORLD_UNPINNED : 0;
}

static bool page_is_ro(u64 gpa)
{
	return gpa / PAGE % 32 == 22 && gpa / STEP != WORLD_LINEAR;
}

/* No two pages have the same; some neighbours are neighbours there too. */
static u64 page_bus(int step, unsigned int nr)
{
	u64 i = step * 512 + nr;

	if (step_is_linear(step))
		return (1ULL << 50) + nr * PAGE;
	if (nr >= 256 && nr < 320)
		return (i + (1ULL << 37)) * PAGE;
	return ((i * 0x9e3779b1ULL) & ((1ULL << 36) - 1)) * PAGE;
}

static u64 page_entry(int step, unsigned int nr)
{
	return page_bus(step, nr) | (nr % 32 == 22 ? LIOV_STEP_RO : 0);
}

u16 world_bus(u64 gpa, u64 *bus)
{
	u16 status = page_state(gpa);

	if (!status)
		*bus = page_bus(step_index(gpa), gpa / PAGE % 512) + gpa % PAGE;
	return status;
}

u64 world_bus_ok(u64 gpa)
{
	u64 bus;

	if (world_bus(gpa, &bus)) {
		fprintf(stderr, "no memory at %#llx\n", gpa);
		abort();
	}
	return bus;
}

static struct content *find_content(u64 gpa)
{
	static unsigned int last;
	unsigned int i;

	if (last < nr_contents && contents[last].gpa == gpa - gpa % PAGE)
		return &contents[last];
	for (i = 0; i < nr_contents; i++) {
		if (contents[i].gpa == gpa - gpa % PAGE) {
			last = i;
			return &contents[i];
		}
	}
	return NULL;
}

static u8 pattern(u64 gpa)
{
	return ((gpa / 8 * 0x9e3779b97f4a7c15ULL) >> 40) + gpa % 8;
}

/* Beyond NR_CONTENTS pages nothing is written: a pattern is as good as anything. */
void world_poke(u64 gpa, const void *buf, u32 len)
{
	const u8 *from = buf;
	struct content *c;
	u32 i, n;

	for (; len; gpa += n, from += n, len -= n) {
		n = min((u64)len, PAGE - gpa % PAGE);
		c = find_content(gpa);
		if (!c) {
			if (nr_contents == NR_CONTENTS)
				return;
			c = &contents[nr_contents++];
			c->gpa = gpa - gpa % PAGE;
			for (i = 0; i < PAGE; i++)
				c->data[i] = pattern(c->gpa + i);
		}
		memcpy(c->data + gpa % PAGE, from, n);
	}
}

void world_poke64(u64 gpa, u64 val)
{
	world_poke(gpa, &val, 8);
}

static void peek(u64 gpa, u8 *buf, u32 len)
{
	const struct content *c = find_content(gpa);
	u32 i;

	if (c) {
		memcpy(buf, c->data + gpa % PAGE, len);
		return;
	}
	for (i = 0; i < len; i++)
		buf[i] = pattern(gpa + i);
}

static struct liov_step_map env_step(void *ctx, u64 gpa, u16 *status)
{
	int step = step_index(gpa);
	unsigned int nr = gpa / PAGE % 512;

	if (ctx != &world)
		abort();
	world.nr_steps++;
	if (world.nr_pages && world.nr_steps - world.page_steps > world.page_entries)
		world.broken = "more look-ups than entries";
	*status = page_state(gpa);
	if (*status)
		return (struct liov_step_map){ .base = LIOV_NO_DMA };
	if (step_is_linear(step))
		return (struct liov_step_map){ .base = page_bus(step, 0) };
	if (shown[step][nr] == LIOV_NO_DMA) {
		if (nr_lazy < MAX_LAZY)
			lazy[nr_lazy++] = &shown[step][nr];
		shown[step][nr] = page_entry(step, nr);
	}
	return (struct liov_step_map){ .bus = shown[step] };
}

static u16 env_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	struct world_read *r = &world.read[world.nr_reads];
	u8 *copy = &world.bytes[world.nr_read_bytes];
	u8 *twisted;
	u32 i;

	if (ctx != &world || !len || gpa % PAGE + len > PAGE)
		world.broken = "guest memory is read across a page";
	else if (world.nr_reads == ARRAY_SIZE(world.read) ||
		 world.nr_read_bytes + len > sizeof(world.bytes))
		world.broken = "guest memory is read far too often";
	else if (world.nr_pages && world.nr_reads - world.page_reads == 2)
		world.broken = "a list is read in more than two pieces";
	if (world.broken)
		return WORLD_HOLE;
	if (page_state(gpa) == WORLD_HOLE)
		return WORLD_HOLE;
	peek(gpa, copy, len);
	memcpy(buf, copy, len);
	r->gpa = gpa;
	r->len = len;
	r->at = world.nr_read_bytes;
	world.nr_reads++;
	world.nr_read_bytes += len;

	if (world.hostile) {
		twisted = malloc(len);
		for (i = 0; i < len; i++)
			twisted[i] = copy[i] ^ (u8)(world.scramble >> (8 * (i % 8)));
		world_poke(gpa, twisted, len);
		free(twisted);
	}
	if (world.after_read)
		world.after_read(gpa, len);
	return 0;
}

static void *env_page(void *ctx, u32 n, u64 *bus)
{
	if (ctx != &world || !n || n > LIOV_STEP_PAGES)
		abort();
	world.nr_pages++;
	world.page_entries = n;
	world.page_steps = world.nr_steps;
	world.page_reads = world.nr_reads;
	if (!world.has_page)
		return NULL;
	*bus = HOST_BUS;
	return world.page;
}

static const struct liov_guard_env world_env = {
	.step = env_step, .read = env_read, .page = env_page, .ctx = &world,
};

void world_reset(void)
{
	static bool ready;
	unsigned int s, nr;
	u8 *page = world.page;

	if (!ready) {
		for (s = 0; s < WORLD_STEPS; s++)
			for (nr = 0; nr < 512; nr++)
				shown[s][nr] = nr % 8 == 3 || page_state(world_steps[s] * STEP +
									 nr * PAGE) ?
					LIOV_NO_DMA : page_entry(s, nr);
		page = malloc(PAGE);	/* by itself, so that a step beyond it is seen */
		ready = true;
	}
	while (nr_lazy)
		*lazy[--nr_lazy] = LIOV_NO_DMA;
	nr_contents = 0;
	world.env = &world_env;
	world.has_page = true;
	world.hostile = false;
	world.after_read = NULL;
	world.nr_steps = 0;
	world.nr_reads = 0;
	world.broken = NULL;
	world.nr_pages = 0;
	world.nr_read_bytes = 0;
	world.page = page;
	memset(page, 0xa5, PAGE);
}

/*
 * The guest's memory as the guard saw it: bytes come from the record, in order.  What
 * is asked for out of order was not read by the guard.
 */
struct replay {
	unsigned int read;	/* of world.read */
	u32 pos;		/* in that */
	bool strayed;
};

static u16 replay_byte(void *ctx, u64 gpa, u8 *val)
{
	struct replay *r = ctx;
	const struct world_read *rd = &world.read[r->read];

	if (r->read < world.nr_reads && rd->gpa + r->pos == gpa) {
		*val = world.bytes[rd->at + r->pos];
		if (++r->pos == rd->len) {
			r->read++;
			r->pos = 0;
		}
		return 0;
	}
	if (page_state(gpa) == WORLD_HOLE)
		return WORLD_HOLE;
	r->strayed = true;
	peek(gpa, val, 1);
	return 0;
}

static u16 replay_bus(void *ctx, u64 gpa, u64 *bus)
{
	u16 status = world_bus(gpa, bus);

	return !status && world.to_memory && page_is_ro(gpa) ? WORLD_HOLE : status;
}

/* The hardware's view: host memory is one page, and addresses are what they are. */
static u16 host_byte(void *ctx, u64 addr, u8 *val)
{
	if (addr < HOST_BUS || addr >= HOST_BUS + PAGE)
		return 1;
	*val = world.page[addr - HOST_BUS];
	return 0;
}

static u16 host_bus(void *ctx, u64 addr, u64 *bus)
{
	*bus = addr;
	return 0;
}

static const char *compare_passed(const struct liov_guarded *out, const struct ref_verdict *v)
{
	const struct ref_mem host = { .byte = host_byte, .bus = host_bus };
	static struct ref_pieces hw;
	u8 cmd[64];
	u64 total = 0;
	unsigned int i;

	memcpy(cmd, &out->cmd, sizeof(cmd));
	memset(cmd + 24, 0, 16);
	if (memcmp(cmd, v->cmd, sizeof(cmd)))
		return "fields of the command differ";
	if (out->io != v->io)
		return "kinds differ";
	if (out->bytes != v->bytes)
		return "bytes differ";
	if (out->load != v->load)
		return "loads differ";
	if (v->page_len) {
		if (le64_to_cpu(out->cmd.common.dptr.prp1) != HOST_BUS ||
		    out->cmd.common.dptr.prp2)
			return "DPTR is not the copy";
		if (memcmp(world.page, v->page, v->page_len))
			return "ranges differ";
		return NULL;
	}
	if (!v->data.n) {
		if (out->cmd.common.dptr.prp1 || out->cmd.common.dptr.prp2)
			return "DPTR without data";
		return NULL;
	}
	for (i = 0; i < v->data.n; i++)
		total += v->data.piece[i].len;
	memcpy(cmd, &out->cmd, sizeof(cmd));
	if (ref_transfer(cmd, total, &host, &hw))
		return "the hardware's PRPs are wrong";
	if (hw.n != v->data.n ||
	    memcmp(hw.piece, v->data.piece, hw.n * sizeof(hw.piece[0])))
		return "data go elsewhere";
	if (!v->needs_page && (total <= PAGE - le64_to_cpu(out->cmd.common.dptr.prp1) % PAGE) &&
	    out->cmd.common.dptr.prp2)
		return "PRP2 is not needed, but there";
	return NULL;
}

const char *world_compare(const struct liov_guard *g, const struct nvme_command *c,
			  u16 *status)
{
	struct replay replay = { 0 };
	const struct ref_mem mem = { .byte = replay_byte, .bus = replay_bus, .ctx = &replay };
	const struct nvme_command before = *c;
	static struct ref_verdict v;
	/* not changed by a resize while the guard is at work */
	const struct liov_guard then = *g;
	unsigned int i;

	memset(&world.out, 0x5a, sizeof(world.out));
	*status = liov_guard_check(g, world.env, c, &world.out);
	if (memcmp(&before, c, sizeof(before)))
		return "the guest's command was changed";
	/* Of all commands only Read has data for the host. */
	world.to_memory = c->common.opcode == nvme_cmd_read;
	ref_judge(&then, c, &mem, world.has_page, &v);

	if (world.broken)
		return world.broken;
	if (!*status && v.nr_status)
		return "passed, but is wrong";
	for (i = 0; i < v.nr_status && *status != v.status[i]; i++)
		;
	if (*status && i == v.nr_status)
		return v.nr_status ? "refused with another status" : "refused, but is right";
	if (replay.read != world.nr_reads)
		return "guest memory was read more than once, or more of it than needed";
	if (world.nr_pages > v.needs_page)
		return "host memory was asked for twice, or needlessly";
	if (*status)
		return NULL;
	if (replay.strayed)
		return "guest memory was not read";
	return compare_passed(&world.out, &v);
}
