// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "data": what is written is what is read, wherever in memory it lies and
 * however the PRPs tell that (NVMe Base 2.0 section 4.1.1).
 */
#include <stdlib.h>
#include <string.h>

#include "basic.h"
#include "lib/prps.h"

#define FILLER		0x5a

u32 nlb_4k(const struct nvme *n)
{
	return n->lba < SZ_4K ? SZ_4K / n->lba : 1;
}

bool basic_queue(struct test *t, struct nvme *n, struct nvme_queue *q)
{
	return EXPECT(t, !nvme_create_pair(n, q, 1, 32, 32, 0), "no queue pair");
}

/* Keeps up to @depth reads outstanding until @total are done; returns those that failed. */
unsigned int read_many(struct test *t, struct nvme *n, struct nvme_queue *q,
		       unsigned int depth, unsigned int total)
{
	u8 *buf = nvme_alloc(n, (size_t)depth * 4096);
	unsigned int sent = 0, done = 0, bad = 0;
	u64 end = now_ms() + 3 * WAIT_MS;
	struct nvme_cqe cqe;

	while (done < total && now_ms() < end) {
		bool rang = false;

		while (sent < total && sent - done < depth) {
			struct nvme_sqe sqe = {
				.opcode = IO_READ,
				.nsid = n->nsid,
				.prp1 = nvme_dma(n, buf + sent % depth * 4096),
				.cdw10 = sent % 1024,
			};

			nvme_queue_cmd(q, &sqe);
			sent++;
			rang = true;
		}
		if (rang)
			nvme_ring(n, q);
		while (nvme_reap(n, q, &cqe)) {
			bad += !!nvme_status(&cqe);
			/* In direct mode the drive itself writes the SQID it knows. */
			EXPECT(t, n->direct || cqe.sqid == q->qid,
			       "SQID %u in the completion", cqe.sqid);
			EXPECT(t, cqe.sqhd < q->sq_depth, "SQHD %u", cqe.sqhd);
			done++;
		}
		sleep_us(20);
	}
	EXPECT(t, done == total, "%u of %u came back", done, total);
	return bad;
}

/* Pages in an order that has nothing to do with their addresses. */
static void shuffle(u8 **page, unsigned int nr, u32 seed)
{
	unsigned int i;

	for (i = nr - 1; i > 0; i--) {
		unsigned int j = (seed = seed * 1103515245 + 12345) / 65536 % (i + 1);
		u8 *tmp = page[i];

		page[i] = page[j];
		page[j] = tmp;
	}
}

/**
 * struct pool - pages that transfers are scattered over
 * @page:  all of them; the first half is written from, the second read into
 * @flat:  what one transfer holds, @back what came back
 */
struct pool {
	u8 *mem;
	struct prps out, in;
	u8 *flat, *back;
};

static bool pool_make(struct test *t, struct nvme *n, struct pool *p, u32 max)
{
	unsigned int i, half = max / SZ_4K + 1;
	u8 *page[2 * (max / SZ_4K + 1)];

	memset(p, 0, sizeof(*p));
	p->mem = nvme_alloc(n, 2 * half * SZ_4K);
	p->flat = malloc(max);
	p->back = malloc(max);
	for (i = 0; i < PRPS_MAX_LISTS; i++) {
		p->out.list[i] = nvme_alloc(n, SZ_4K);
		p->in.list[i] = nvme_alloc(n, SZ_4K);
	}
	if (!EXPECT(t, p->mem && p->flat && p->back && p->in.list[PRPS_MAX_LISTS - 1],
		    "no memory"))
		return false;
	for (i = 0; i < 2 * half; i++)
		page[i] = p->mem + i * SZ_4K;
	shuffle(page, 2 * half, max);
	memcpy(p->out.page, page, half * sizeof(*page));
	memcpy(p->in.page, page + half, half * sizeof(*page));
	return true;
}

static void pool_free(struct pool *p)
{
	free(p->flat);
	free(p->back);
}

/* After a read into @in, all else in those pages is as it was. */
static bool only_data_changed(const struct prps *in)
{
	unsigned int i, pages = prps_pages(in);
	u32 end = (in->off + in->len) & (SZ_4K - 1), j;

	for (j = 0; j < in->off; j++)
		if (in->page[0][j] != FILLER)
			return false;
	for (j = end; end && j < SZ_4K; j++)
		if (in->page[pages - 1][j] != FILLER)
			return false;
	for (i = pages; in->page[i]; i++)
		for (j = 0; j < SZ_4K; j++)
			if (in->page[i][j] != FILLER)
				return false;
	return true;
}

static int prps_io(struct nvme *n, struct nvme_queue *q, u8 opcode, u64 slba, struct prps *p)
{
	struct nvme_sqe sqe = cmd_rw(n, opcode, slba, p->len / n->lba, NULL);

	if (prps_set(n, &sqe, p) < 0)
		return -E2BIG;
	return nvme_cmd(n, q, &sqe);
}

/* Writes with one shape and reads with another. */
static bool round_trip(struct test *t, struct nvme *n, struct nvme_queue *q, struct pool *p,
		       u32 len, u32 off, u32 list_off, u32 seed)
{
	u64 slba = (u64)seed * 4 % (n->nsze - len / n->lba);
	unsigned int i;

	p->out.len = len;
	p->out.off = off;
	p->out.list_off = list_off;
	p->in.len = len;
	p->in.off = SZ_4K - 4 - off;
	p->in.list_off = SZ_4K - 8 - list_off;
	fill_pattern(p->flat, len, seed);
	prps_copy_in(&p->out, p->flat);
	for (i = 0; p->in.page[i]; i++)
		memset(p->in.page[i], FILLER, SZ_4K);
	EXPECT_SC(t, prps_io(n, q, IO_WRITE, slba, &p->out), "write", SC_OK);
	EXPECT_SC(t, prps_io(n, q, IO_READ, slba, &p->in), "read", SC_OK);
	prps_copy_out(&p->in, p->back);
	EXPECT(t, !memcmp(p->flat, p->back, len), "other data came back");
	EXPECT(t, only_data_changed(&p->in), "more than the data was written to memory");
	if (t->failed)
		diag("with %u bytes at offset %#x, list at %#x", len, off, list_off);
	return !t->failed;
}

static void every_prp_shape(struct test *t, struct nvme *n)
{
	const u32 offs[] = { 0, 4, 0x200, 0xe00, 0xffc };
	const u32 list_offs[] = { 0, 8, 0x800, 4080, 4088 };
	u32 max = n->max_xfer, seed = 1;
	const u32 lens[] = { n->lba, 2 * n->lba, 4096, 4096 + n->lba, 8192, 8192 + n->lba,
			     12288, 65536, max / 2 + n->lba, max - n->lba, max };
	unsigned int i, j, k;
	struct nvme_queue q;
	struct pool p;

	if (!basic_queue(t, n, &q) || !pool_make(t, n, &p, max))
		return;
	for (i = 0; i < ARRAY_SIZE(lens); i++)
		for (j = 0; j < ARRAY_SIZE(offs); j++)
			for (k = 0; k < ARRAY_SIZE(list_offs); k++) {
				/* The list's place is nothing to short transfers. */
				if (k && lens[i] + offs[j] <= 2 * SZ_4K)
					continue;
				if (!round_trip(t, n, &q, &p, lens[i], offs[j], list_offs[k],
						seed++))
					goto out;
			}
out:
	pool_free(&p);
}

static void random_prp_shapes(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	unsigned int i;
	struct pool p;

	if (!basic_queue(t, n, &q) || !pool_make(t, n, &p, n->max_xfer))
		return;
	srand(7);
	for (i = 0; i < 150; i++) {
		u32 max = rand() % 4 ? 65536 : n->max_xfer;
		u32 len = (1 + rand() % (max / n->lba)) * n->lba;

		if (!round_trip(t, n, &q, &p, len, rand() % 1024 * 4, rand() % 512 * 8, 3000 + i))
			break;
	}
	pool_free(&p);
}

/* The list is the target: it was read before it is overwritten, or it is not. */
static void data_over_its_own_list(struct test *t, struct nvme *n)
{
	u32 nlb = 4 * nlb_4k(n);
	u8 *buf = nvme_alloc(n, 4 * SZ_4K), *lst = nvme_alloc(n, SZ_4K);
	struct nvme_sqe sqe;
	struct nvme_queue q;

	if (n->lba > SZ_4K) {
		t->skipped = "blocks are larger than a page";
		return;
	}
	if (!basic_queue(t, n, &q))
		return;
	fill_pattern(buf, 4 * SZ_4K, 11);
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 0, nlb, buf), "write", SC_OK);
	memset(buf, 0, 4 * SZ_4K);
	sqe = cmd_rw(n, IO_READ, 0, nlb, buf);
	((u64 *)lst)[0] = nvme_dma(n, lst);
	((u64 *)lst)[1] = nvme_dma(n, buf + 2 * SZ_4K);
	((u64 *)lst)[2] = nvme_dma(n, buf + 3 * SZ_4K);
	sqe.prp2 = nvme_dma(n, lst);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read over the list", SC_OK);
	memcpy(buf + SZ_4K, lst, SZ_4K);
	EXPECT(t, check_pattern(buf, 4 * SZ_4K, 11), "data");
}

/* One page may be told several times. */
static void same_page_many_times(struct test *t, struct nvme *n)
{
	u32 nlb = 8 * nlb_4k(n);
	u8 *buf = nvme_alloc(n, 8 * SZ_4K), *one = nvme_alloc(n, SZ_4K);
	struct nvme_sqe sqe;
	struct nvme_queue q;
	unsigned int i;

	if (!basic_queue(t, n, &q))
		return;
	fill_pattern(one, SZ_4K, 12);
	sqe = cmd_rw(n, IO_WRITE, 0, nlb, one);
	for (i = 0; i < 7; i++)
		q.list[i] = nvme_dma(n, one);
	sqe.prp2 = nvme_dma(n, q.list);
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "write", SC_OK);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, nlb, buf), "read", SC_OK);
	for (i = 0; i < 8; i++)
		EXPECT(t, !memcmp(buf + i * SZ_4K, one, SZ_4K), "page %u", i);
}

/* The first and the last block, and everything between has its own place. */
static void every_lba_has_its_own_place(struct test *t, struct nvme *n)
{
	u64 lba[40];
	u8 *buf = nvme_alloc(n, n->lba > SZ_4K ? n->lba : SZ_4K);
	struct nvme_queue q;
	unsigned int i;

	if (!basic_queue(t, n, &q))
		return;
	for (i = 0; i < 20; i++) {
		lba[i] = i < 6 ? i : n->nsze - 1 - (i - 6);
		lba[20 + i] = (n->nsze / 21) * (i + 1) + 7;
	}
	for (i = 0; i < ARRAY_SIZE(lba); i++) {
		fill_pattern(buf, n->lba, 5000 + i);
		EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, lba[i], 1, buf), "write", SC_OK);
	}
	for (i = 0; i < ARRAY_SIZE(lba); i++) {
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, lba[i], 1, buf), "read", SC_OK);
		if (!EXPECT(t, check_pattern(buf, n->lba, 5000 + i), "LBA %llu", lba[i]))
			return;
	}
}

static struct test tests[] = {
	{ "every_prp_shape_reads_back", every_prp_shape },
	{ "random_prp_shapes_read_back", random_prp_shapes },
	{ "data_may_overwrite_its_own_prp_list", data_over_its_own_list, TEST_GUARDED },
	{ "one_page_may_be_told_many_times", same_page_many_times },
	{ "every_lba_has_its_own_place", every_lba_has_its_own_place },
};

const struct suite suite_data = { "data", tests, ARRAY_SIZE(tests) };
