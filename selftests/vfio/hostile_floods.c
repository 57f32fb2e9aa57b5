// SPDX-License-Identifier: GPL-2.0
/*
 * Phases of the hostile guest that want the host's processors, or the drive, for
 * themselves: whatever is done for a guest is bounded, and then somebody else's turn.
 *
 * The threads of a flood only ring; nothing of struct hostile but the device is theirs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "hostile_floods.h"
#include "hostile_memory.h"
#include "hostile_send.h"
#include "lib/rng.h"

#define FLOOD_THREADS	24
#define FLOOD_DEPTH	1024
/* As long as any phase; then until it is clear that no store lasts for ever. */
#define FLOOD_MS	400
#define FLOOD_MAX_MS	20000

/* Steps of guest memory that one page is mapped in, VFIO's or the guest's own. */
#define FAR_STEPS	512
#define FAR_IOVA	0x800000000ULL
#define FAR_STEP	(2 * SZ_1M)

static u64 cpu_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

static bool flood_pair(struct test *t, struct hostile *h, u32 depth)
{
	return fresh_pair(t, h, 1, depth, depth);
}

static void gen_nothing(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot)
{
}

/* The commands in @h->shot, all of which must pass, for a slice of time. */
static void flood_send(struct test *t, struct hostile *h)
{
	u64 end = slice_end(), refused = h->refused;

	do {
		send_shots(h, gen_nothing, false);
		if (!reap_shots(t, h, false))
			relax(h);
	} while (now_ms() < end && !t->failed);
	drain_shots(t, h, false);
	EXPECT(t, h->refused == refused, "%llu were refused", h->refused - refused);
}

/* ---- many threads that ring for one queue ---- */

/**
 * struct ringer - one of them
 * @since:   CPU time it had when its present store began; 0: in none
 * @longest: CPU time of a store, @stores of them
 */
struct ringer {
	pthread_t thread;
	clockid_t clock;
	struct hostile *h;
	u64 rng, since, longest, stores;
	bool *stop;
};

static void *ring_on(void *arg)
{
	struct ringer *r = arg;
	struct nvme *n = &r->h->n;
	u32 depth = r->h->q.sq_depth;
	u64 ns;

	while (!READ_ONCE(*r->stop)) {
		WRITE_ONCE(r->since, cpu_ns(CLOCK_THREAD_CPUTIME_ID));
		/* Heads make room for completions nobody looks at. */
		if (rnd(&r->rng, 4))
			vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), 4, rnd(&r->rng, depth));
		else
			vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), 4, rnd(&r->rng, depth));
		ns = cpu_ns(CLOCK_THREAD_CPUTIME_ID) - r->since;
		WRITE_ONCE(r->since, 0);
		if (ns > r->longest)
			WRITE_ONCE(r->longest, ns);
		r->stores++;
	}
	return NULL;
}

/* The longest store so far, also if it is not over. */
static u64 longest_store(struct ringer *r, unsigned int nr)
{
	u64 max = 0, since, ns;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		ns = READ_ONCE(r[i].longest);
		max = ns > max ? ns : max;
		since = READ_ONCE(r[i].since);
		ns = cpu_ns(r[i].clock);
		if (since && ns > since && ns - since > max)
			max = ns - since;
	}
	return max;
}

/* Reads that are refused when all of a long list has been looked at: work, and no I/O. */
static void fill_with_long_lists(struct hostile *h)
{
	u32 nlb = h->mdts / h->n.lba, pages = h->mdts / SZ_4K, i, slot;

	for (slot = 0; slot < SLOTS; slot++) {
		u64 *list = (u64 *)page_at(h, H_LIST + slot);

		for (i = 0; i < pages - 1 && i < 512; i++)
			list[i] = nvme_dma(&h->n, data_page(h, &h->rng));
		list[i - 1] |= 8;
	}
	for (i = 0; i < h->q.sq_depth; i++) {
		struct nvme_sqe *sqe = &h->q.sq[i];

		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IO_READ;
		sqe->nsid = h->n.nsid;
		sqe->cid = i;
		sqe->cdw12 = nlb - 1;
		sqe->prp1 = nvme_dma(&h->n, data_page(h, &h->rng));
		sqe->prp2 = nvme_dma(&h->n, page_at(h, H_LIST + i % SLOTS));
	}
}

/*
 * Whoever handles a store finds the tail changed again by others, for as long as they ring.
 * He is to leave all the same; in CPU time, so that it does not matter how many are at it.
 */
void flood_of_doorbells(struct test *t, struct hostile *h)
{
	u32 depth = h->n.mqes + 1 < FLOOD_DEPTH ? h->n.mqes + 1 : FLOOD_DEPTH;
	long long cuts = nvme_sysfs(&h->n, "stats/budget_cuts");
	static struct ringer r[FLOOD_THREADS];
	u64 start, ns, longest = 0;
	bool stop = false;
	unsigned int i;
	int rc;

	if (!flood_pair(t, h, depth))
		return;
	fill_with_long_lists(h);
	memset(r, 0, sizeof(r));
	start = cpu_ns(CLOCK_MONOTONIC);
	for (i = 0; i < FLOOD_THREADS; i++) {
		r[i].h = h;
		r[i].rng = h->rng + i + 1;
		r[i].stop = &stop;
		if (pthread_create(&r[i].thread, NULL, ring_on, &r[i]) ||
		    pthread_getcpuclockid(r[i].thread, &r[i].clock))
			abort();
	}
	do {
		sleep_us(20000);
		ns = cpu_ns(CLOCK_MONOTONIC) - start;
		longest = longest_store(r, FLOOD_THREADS);
	} while (ns < FLOOD_MS * 1000000ULL ||
		 (ns < 8 * longest && ns < FLOOD_MAX_MS * 1000000ULL));
	EXPECT(t, ns >= 8 * longest, "a store took %llu ms of CPU time, while others rang for %llu",
	       longest / 1000000, ns / 1000000);
	WRITE_ONCE(stop, true);
	for (i = 0; i < FLOOD_THREADS; i++) {
		pthread_join(r[i].thread, NULL);
		h->sent += r[i].stores;
	}
	rc = nvme_delete_pair(&h->n, &h->q);
	EXPECT(t, !rc, "the pair cannot be deleted (%x)", rc);
	if (cuts >= 0)
		EXPECT(t, nvme_sysfs(&h->n, "stats/budget_cuts") > cuts, "nobody was stopped");
}

/* ---- blocks without data ---- */

/* As much as one command may zero, and as many of them as there is room for. */
#define ZEROES_BYTES	(8 * SZ_1M)

void zeroes_without_end(struct test *t, struct hostile *h)
{
	u32 nlb = B_DATA / 2, slot;

	if (!(h->n.oncs & ONCS_WRITE_ZEROES)) {
		t->skipped = "the drive has no Write Zeroes";
		return;
	}
	if (nlb > ZEROES_BYTES / h->n.lba)
		nlb = ZEROES_BYTES / h->n.lba;
	if (nlb > 0x10000)
		nlb = 0x10000;
	if (!flood_pair(t, h, SLOTS + 1))
		return;
	for (slot = 0; slot < SLOTS; slot++) {
		struct nvme_sqe *sqe = &h->shot[slot].sqe;

		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IO_WRITE_ZEROES;
		sqe->nsid = h->n.nsid;
		sqe->cdw10 = B_CANARY + rnd(&h->rng, B_DATA / 2);
		sqe->cdw12 = nlb - 1;
	}
	flood_send(t, h);
}

/* ---- lists all over memory ---- */

/* Pages in as many steps of 2 MiB as can be had. */
static unsigned int far_pages(struct hostile *h, u64 *page, u8 *va)
{
	unsigned long long start, end;
	unsigned int nr = 0;
	char line[128];
	FILE *f;

	if (!h->n.v.phys) {
		for (nr = 0; nr < FAR_STEPS; nr++) {
			page[nr] = FAR_IOVA + nr * FAR_STEP;
			if (vfio_dma_map(&h->n.v, va, page[nr], SZ_4K))
				break;
		}
		return nr;
	}
	/* Written from, never read to: whose it is does not matter. */
	f = fopen("/proc/iomem", "r");
	while (f && nr < FAR_STEPS && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "System RAM") || line[0] == ' ' ||
		    sscanf(line, "%llx-%llx", &start, &end) != 2)
			continue;
		for (start = (start + FAR_STEP - 1) / FAR_STEP * FAR_STEP;
		     start + SZ_4K - 1 <= end && nr < FAR_STEPS; start += FAR_STEP)
			page[nr++] = start;
	}
	if (f)
		fclose(f);
	return nr;
}

static void far_pages_gone(struct hostile *h, const u64 *page, unsigned int nr)
{
	while (!h->n.v.phys && nr--)
		vfio_dma_unmap(&h->n.v, page[nr], SZ_4K);
}

/* Writes as large as can be, each page in another step than the one before. */
void scattered_lists(struct test *t, struct hostile *h)
{
	u32 bytes = h->mdts < B_DATA / 2 * h->n.lba ? h->mdts : B_DATA / 2 * h->n.lba;
	static u64 page[FAR_STEPS];
	unsigned int nr, i, slot;
	u8 *va;

	va = mmap(NULL, SZ_4K, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
		  -1, 0);
	if (!EXPECT(t, va != MAP_FAILED, "mmap"))
		return;
	nr = far_pages(h, page, va);
	if (!EXPECT(t, nr > 1, "%u steps of memory", nr) || !flood_pair(t, h, SLOTS + 1))
		goto out;
	for (slot = 0; slot < SLOTS; slot++) {
		struct nvme_sqe *sqe = &h->shot[slot].sqe;
		u64 *list = (u64 *)page_at(h, H_LIST + slot);

		for (i = 0; i < bytes / SZ_4K - 1 && i < 512; i++)
			list[i] = page[(slot * 97 + i * 31) % nr];
		memset(sqe, 0, sizeof(*sqe));
		sqe->opcode = IO_WRITE;
		sqe->nsid = h->n.nsid;
		sqe->cdw10 = B_CANARY + rnd(&h->rng, B_DATA / 2);
		sqe->cdw12 = bytes / h->n.lba - 1;
		sqe->prp1 = page[slot % nr];
		sqe->prp2 = nvme_dma(&h->n, list);
	}
	flood_send(t, h);
out:
	far_pages_gone(h, page, nr);
	munmap(va, SZ_4K);
}
