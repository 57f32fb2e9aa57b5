// SPDX-License-Identifier: GPL-2.0
/*
 * The worst that one pass in an interrupt, a timer or a halt may do (LIOV_PASS_*), natively:
 * a part of make bench-guard.
 *
 * The guard is the kernel's own.  What guarded_submit.c does around it is done here to memory of
 * the same shape: a radix tree of steps, rings, slots; all of it larger than any cache and
 * touched in random places, as a guest can arrange it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "bench_pass.h"
#include "model/model.h"

#define PAGE		4096ULL
#define STEPS		65536ULL	/* 128 GiB of guest memory */
#define RINGS		16384		/* pages of rings, of lists, of lists for the hardware */
#define SLOTS		1048576U
#define PASSES		2000
#define RADIX		64

/* As a node of the kernel's xarray: the slots behind a head. */
struct node {
	void *head[8];
	void *slot[RADIX];
};

struct step {
	u64 *bus;
	void *page;
	u64 rest[6];
};

/* struct liov_slot */
struct slot {
	unsigned int state;
	u16 cid;
	u64 start, seq;
	u8 cmd[64];
	void *page;
	u64 bus;
};

static struct pass_memory {
	u64 bus[STEPS][LIOV_STEP_PAGES];
	u8 ring[RINGS][PAGE];
	u8 list[RINGS][PAGE];
	u8 page[RINGS][PAGE];
	u8 hw[RINGS][PAGE];
	struct node node[STEPS / RADIX + STEPS / RADIX / RADIX + 2];
	struct step step[STEPS];
	struct slot slot[SLOTS];
} *mem;

static struct node *root;
static unsigned int lookups, next_page;

static u64 rnd(void)
{
	static u64 s = 0x2545f4914f6cdd1dULL;

	s ^= s >> 12;
	s ^= s << 25;
	s ^= s >> 27;
	return s * 0x9e3779b97f4a7c15ULL;
}

static struct liov_step_map pass_step(void *ctx, u64 gpa, u16 *status)
{
	u64 i = gpa >> LIOV_STEP_SHIFT;
	struct node *n = root;
	struct step *s;

	lookups++;
	n = n->slot[i / RADIX / RADIX % RADIX];
	n = n->slot[i / RADIX % RADIX];
	s = n->slot[i % RADIX];
	/* As the kernel, it looks whether the page is there. */
	if (READ_ONCE(s->bus[gpa / PAGE % LIOV_STEP_PAGES]) == LIOV_NO_DMA)
		return (struct liov_step_map){ .base = LIOV_NO_DMA };
	return (struct liov_step_map){ .bus = s->bus };
}

/* Lists are in pages of their own, wherever the guest says they are. */
static u16 pass_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	u16 status;

	pass_step(ctx, gpa, &status);
	memcpy(buf, mem->list[gpa / PAGE % RINGS] + gpa % PAGE, len);
	return 0;
}

static void *pass_page(void *ctx, u32 n, u64 *bus)
{
	*bus = 0x12345000;
	return mem->page[next_page = rnd() % RINGS];
}

static const struct liov_guard_env env = {
	.step = pass_step, .read = pass_read, .page = pass_page,
};

static const struct liov_guard guard = {
	.nsid = 1, .hw_nsid = 1, .nlb = 1ULL << 40, .lba_shift = 9,
	.max_bytes = LIOV_GUARD_MAX_BYTES,
};

static u64 random_page(void)
{
	return rnd() % (STEPS * LIOV_STEP_PAGES) * PAGE;
}

/* A read of @pages in as many steps, at a random place of a ring. */
static struct nvme_command *make(unsigned int pages)
{
	struct nvme_command *c = (void *)(mem->ring[rnd() % RINGS] + rnd() % 64 * sizeof(*c));
	u64 list = random_page();
	u64 *entry = (u64 *)mem->list[list / PAGE % RINGS];
	unsigned int i;

	memset(c, 0, sizeof(*c));
	c->rw.opcode = nvme_cmd_read;
	c->rw.nsid = cpu_to_le32(1);
	c->rw.slba = cpu_to_le64(rnd() >> 33);
	c->rw.length = cpu_to_le16(pages * 8 - 1);
	c->rw.dptr.prp1 = cpu_to_le64(random_page());
	c->rw.dptr.prp2 = cpu_to_le64(pages > 2 ? list : random_page());
	for (i = 0; pages > 2 && i < pages - 1; i++)
		entry[i] = cpu_to_le64(random_page());
	/* Its making has brought it into the caches. */
	for (i = 0; pages > 2 && i < pages - 1; i += 8)
		__builtin_ia32_clflush(&entry[i]);
	__builtin_ia32_clflush(c);
	return c;
}

/* What the commands of a pass are: as many as may be, with all the lookups there are. */
struct shape {
	const char *name;
	unsigned int first;	/* pages of the first command, 0: as the others */
	unsigned int pages;	/* of each of the others */
};

static const struct shape shapes[] = {
	{ "one long list, then 4 KiB", 1, 1 },
	{ "8 KiB each", 0, 2 },
	{ "16 KiB lists", 0, 4 },
	{ "one list with all lookups", 1, 0 },
};

/* What liov_env_page() asks for, and the page of PRP1. */
static unsigned int cost(unsigned int pages)
{
	return pages > 2 ? pages + LIOV_LIST_LOOKUPS(pages - 1) : pages;
}

/* The longest command that leaves @left lookups. */
static unsigned int longest(unsigned int left)
{
	unsigned int pages = 1;

	while (cost(pages + 1) + left <= LIOV_PASS_LOOKUPS)
		pages++;
	return pages;
}

static unsigned int fill(struct nvme_command **c, const struct shape *s)
{
	unsigned int n = 0, left = LIOV_PASS_LOOKUPS, pages;

	if (s->first) {
		pages = longest(s->pages * (LIOV_PASS_COMMANDS - 1));
		left -= cost(pages);
		c[n++] = make(pages);
	}
	while (s->pages && n < LIOV_PASS_COMMANDS && cost(s->pages) <= left) {
		left -= cost(s->pages);
		c[n++] = make(s->pages);
	}
	return n;
}

static void submit(const struct nvme_command *from, u8 *hw, unsigned int tail)
{
	struct slot *s = &mem->slot[rnd() % SLOTS];
	struct liov_guarded out;
	struct nvme_command c;

	memcpy(&c, from, sizeof(c));
	if (liov_guard_check(&guard, &env, &c, &out)) {
		fprintf(stderr, "bench: pass: refused\n");
		exit(1);
	}
	s->cid = c.common.command_id;
	s->seq++;
	__atomic_store_n(&s->state, 1, __ATOMIC_SEQ_CST);
	memcpy(s->cmd, &out.cmd, sizeof(s->cmd));
	memcpy(hw + tail * sizeof(out.cmd), &out.cmd, sizeof(out.cmd));
}

static void complete(const u8 *hw, u8 *ring, unsigned int i)
{
	struct slot *s = &mem->slot[rnd() % SLOTS];
	u64 *to = (u64 *)(ring + i * 16);

	if (__atomic_fetch_and(&s->state, ~1U, __ATOMIC_SEQ_CST) & 2)
		return;
	__atomic_store_n(&to[0], *(const u64 *)(hw + i * 16) + s->start, __ATOMIC_RELAXED);
	__atomic_store_n(&to[1], s->cid, __ATOMIC_RELEASE);
	__atomic_fetch_or(&s->seq, 1, __ATOMIC_SEQ_CST);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static bool measure(const struct shape *shape, double limit)
{
	struct nvme_command *c[LIOV_PASS_COMMANDS];
	static double ns[PASSES];
	unsigned int p, i, n;

	for (p = 0; p < PASSES; p++) {
		u8 *hw = mem->hw[rnd() % RINGS], *hwcq = mem->hw[rnd() % RINGS];
		u8 *cq = mem->page[rnd() % RINGS];
		double start;

		n = fill(c, shape);
		lookups = 0;
		start = now();
		for (i = 0; i < LIOV_PASS_COMPLETIONS; i++)
			complete(hwcq, cq, i);
		for (i = 0; i < n; i++)
			submit(c[i], hw, i);
		ns[p] = now() - start;
	}
	qsort(ns, PASSES, sizeof(ns[0]), compare);
	printf("# pass: %-26s median %7.0f ns  p5 %7.0f  p95 %7.0f  at most %.0f", shape->name,
	       ns[PASSES / 2], ns[PASSES / 20], ns[PASSES * 19 / 20], limit);
	printf(" (%u completions, %u commands, %u lookups)\n", LIOV_PASS_COMPLETIONS, n, lookups);
	return ns[PASSES / 2] <= limit;
}

static void make_tree(void)
{
	u64 order[STEPS], i, j;
	unsigned int used = 0;

	/* Steps are pinned in any order, so neighbours are not. */
	for (i = 0; i < STEPS; i++)
		order[i] = i;
	for (i = STEPS - 1; i; i--) {
		u64 k = rnd() % (i + 1), t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	root = &mem->node[used++];
	for (i = 0; i < STEPS; i++) {
		struct node *n = root;
		struct step *s = &mem->step[order[i]];

		s->bus = mem->bus[order[i]];
		for (j = 0; j < LIOV_STEP_PAGES; j++)
			s->bus[j] = (rnd() >> 24) * PAGE;
		if (!n->slot[i / RADIX / RADIX])
			n->slot[i / RADIX / RADIX] = &mem->node[used++];
		n = n->slot[i / RADIX / RADIX];
		if (!n->slot[i / RADIX % RADIX])
			n->slot[i / RADIX % RADIX] = &mem->node[used++];
		n = n->slot[i / RADIX % RADIX];
		n->slot[i % RADIX] = s;
	}
}

bool bench_pass(double limit)
{
	unsigned int i;
	bool ok = true;

	mem = aligned_alloc(1 << LIOV_STEP_SHIFT, (sizeof(*mem) + (1 << LIOV_STEP_SHIFT) - 1) >>
			    LIOV_STEP_SHIFT << LIOV_STEP_SHIFT);
	if (!mem) {
		perror("bench: memory");
		exit(1);
	}
	madvise(mem, sizeof(*mem), MADV_HUGEPAGE);
	memset(mem, 0, sizeof(*mem));
	make_tree();
	for (i = 0; i < ARRAY_SIZE(shapes); i++)
		ok &= measure(&shapes[i], limit);
	free(mem);
	return ok;
}
