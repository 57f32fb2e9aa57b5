// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "memory": guest memory that comes in odd pieces, goes while it is used,
 * comes back as something else, or cannot be had.  Guarded mode pins it when it
 * is first used, in steps of 2 MiB; none of that may show.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "basic.h"
#include "lib/memlock.h"

#define STEP		(2 * SZ_1M)

/**
 * struct part - a mapping of its own
 * @va:   memory behind it
 * @iova: where the device finds it
 */
struct part {
	u8 *va;
	u64 iova;
	size_t len;
};

static bool part_map(struct test *t, struct nvme *n, struct part *p, u64 iova, size_t len,
		     u32 flags)
{
	int rc;

	p->iova = iova;
	p->len = len;
	p->va = mmap(NULL, len, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (!EXPECT(t, p->va != MAP_FAILED, "mmap"))
		return false;
	rc = vfio_dma_map_flags(&n->v, p->va, iova, len, flags);
	if (!EXPECT(t, !rc, "VFIO_IOMMU_MAP_DMA at %#llx: %s", iova, strerror(-rc))) {
		munmap(p->va, len);
		return false;
	}
	return true;
}

#define RW	(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

static void part_unmap(struct test *t, struct nvme *n, struct part *p)
{
	int rc = vfio_dma_unmap(&n->v, p->iova, p->len);

	EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA at %#llx: %s", p->iova, strerror(-rc));
	munmap(p->va, p->len);
}

static int io_at(struct nvme *n, struct nvme_queue *q, u8 opcode, u64 slba, u64 prp1)
{
	struct nvme_sqe sqe = cmd_rw(n, opcode, slba, nlb_4k(n), NULL);

	sqe.prp1 = prp1;
	return nvme_cmd(n, q, &sqe);
}

/* A page of @p is written to the drive and read back into the same page. */
static void page_works(struct test *t, struct nvme *n, struct nvme_queue *q, struct part *p,
		       size_t off)
{
	static u32 seed = 9000;

	fill_pattern(p->va + off, SZ_4K, ++seed);
	EXPECT_SC(t, io_at(n, q, IO_WRITE, 512, p->iova + off), "write", SC_OK);
	memset(p->va + off, 0, SZ_4K);
	EXPECT_SC(t, io_at(n, q, IO_READ, 512, p->iova + off), "read", SC_OK);
	if (!EXPECT(t, check_pattern(p->va + off, SZ_4K, seed), "data"))
		diag("at %#llx", p->iova + off);
}

static void not_there(struct test *t, struct nvme *n, struct nvme_queue *q, u64 iova)
{
	EXPECT_SC(t, io_at(n, q, IO_READ, 0, iova), "read into no memory", SC_DATA_TRANSFER);
	EXPECT_SC(t, io_at(n, q, IO_WRITE, 1024, iova), "write from no memory",
		  SC_DATA_TRANSFER);
	if (t->failed)
		diag("at %#llx", iova);
}

static void odd_mappings(struct test *t, struct nvme *n)
{
	const struct {
		u64 iova;
		size_t len;
	} maps[] = {
		{ 0x1000, SZ_4K },				/* first step, one page */
		{ 0x3000, 2 * SZ_4K },				/* the same, with a hole */
		{ 0x40000000 - SZ_4K, 2 * SZ_4K },		/* across two steps */
		{ 0xc0000000 + SZ_1M, 3 * SZ_1M },		/* begins and ends inside */
		{ 0x200000000ULL + STEP, STEP },		/* exactly one */
		{ 0x240000000ULL - SZ_4K, STEP + 2 * SZ_4K },	/* one and a page each side */
		{ 0x7f0000203000ULL, SZ_4K },
		{ 0x10000000000000ULL - SZ_4K, SZ_4K },		/* below 2^52 */
	};
	struct part p[ARRAY_SIZE(maps)];
	struct nvme_queue q;
	unsigned int i, made = 0;

	if (!basic_queue(t, n, &q))
		return;
	for (; made < ARRAY_SIZE(maps); made++)
		if (!part_map(t, n, &p[made], maps[made].iova, maps[made].len, RW))
			break;
	for (i = 0; i < made && !t->failed; i++) {
		size_t step = p[i].len > 16 * SZ_4K ? p[i].len / 16 : SZ_4K, off;

		for (off = 0; off < p[i].len; off += step)
			page_works(t, n, &q, &p[i], off & ~(SZ_4K - 1));
		page_works(t, n, &q, &p[i], p[i].len - SZ_4K);
		not_there(t, n, &q, p[i].iova - SZ_4K);
		not_there(t, n, &q, p[i].iova + p[i].len);
	}
	while (made--)
		part_unmap(t, n, &p[made]);
	for (i = 0; i < ARRAY_SIZE(maps); i++)
		not_there(t, n, &q, maps[i].iova);
}

/* Both ends of each transfer in another mapping, each of one page. */
static void transfer_over_many_mappings(struct test *t, struct nvme *n)
{
	u32 nlb = 16 * nlb_4k(n);
	u8 *flat = nvme_alloc(n, 16 * SZ_4K);
	struct nvme_queue q;
	struct part p[16];
	struct nvme_sqe sqe;
	unsigned int i, made = 0;

	if (!basic_queue(t, n, &q))
		return;
	for (; made < 16; made++)
		if (!part_map(t, n, &p[made], 0x300000000ULL + made * 0x1ff000ULL, SZ_4K, RW))
			goto out;
	fill_pattern(flat, 16 * SZ_4K, 41);
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 0, nlb, flat), "write", SC_OK);
	sqe = cmd_rw(n, IO_READ, 0, nlb, NULL);
	sqe.prp1 = p[0].iova;
	sqe.prp2 = nvme_dma(n, q.list);
	for (i = 1; i < 16; i++)
		q.list[i - 1] = p[i].iova;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "read", SC_OK);
	for (i = 0; i < 16; i++)
		EXPECT(t, !memcmp(p[i].va, flat + i * SZ_4K, SZ_4K), "mapping %u", i);
	/* One of them is missing: none may be written, or at least no other harmed. */
	q.list[7] += SZ_4K;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "with a hole", SC_DATA_TRANSFER);
out:
	while (made--)
		part_unmap(t, n, &p[made]);
}

/* A step that was used with a hole; then the hole is filled. */
static void memory_added_to_a_used_step(struct test *t, struct nvme *n)
{
	const u64 base = 0x280000000ULL;
	struct nvme_queue q;
	struct part a, b;
	unsigned int i;

	if (!basic_queue(t, n, &q) || !part_map(t, n, &a, base + 0x10000, SZ_4K, RW))
		return;
	for (i = 0; i < 5 && !t->failed; i++) {
		page_works(t, n, &q, &a, 0);
		not_there(t, n, &q, base + 0x20000);
		if (!part_map(t, n, &b, base + 0x20000, 2 * SZ_4K, RW))
			break;
		page_works(t, n, &q, &b, SZ_4K);
		page_works(t, n, &q, &b, 0);
		page_works(t, n, &q, &a, 0);
		part_unmap(t, n, &b);
	}
	part_unmap(t, n, &a);
}

/* The same address, other memory behind it: nothing cached may be used. */
static void remapped_memory_is_the_new_one(struct test *t, struct nvme *n)
{
	const u64 iova = 0x2c0000000ULL;
	struct nvme_queue q;
	struct part old, new;
	unsigned int i;

	if (!basic_queue(t, n, &q) || !part_map(t, n, &old, iova, STEP, RW))
		return;
	for (i = 0; i < 10 && !t->failed; i++) {
		size_t off = i * 37 * SZ_4K;
		int rc;

		page_works(t, n, &q, &old, off);
		rc = vfio_dma_unmap(&n->v, iova, STEP);
		EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA: %s", strerror(-rc));
		/* Ours again, and still at hand to see who writes to it. */
		memset(old.va, 0x66, STEP);
		if (!part_map(t, n, &new, iova, STEP, RW))
			return;
		page_works(t, n, &q, &new, off);
		EXPECT(t, old.va[0] == 0x66 && !memcmp(old.va, old.va + 1, STEP - 1),
		       "the old memory was written to");
		munmap(old.va, STEP);
		old = new;
	}
	part_unmap(t, n, &old);
}

static void read_only_memory_is_never_written(struct test *t, struct nvme *n)
{
	const u64 iova = 0x340000000ULL;
	struct nvme_queue q;
	struct part p;
	u8 *buf;

	if (!basic_queue(t, n, &q) ||
	    !part_map(t, n, &p, iova, 2 * SZ_4K, VFIO_DMA_MAP_FLAG_READ))
		return;
	memset(p.va, 0x44, 2 * SZ_4K);
	EXPECT_SC(t, io_at(n, &q, IO_READ, 0, iova), "read", SC_ANY_ERROR);
	EXPECT(t, p.va[0] == 0x44 && !memcmp(p.va, p.va + 1, 2 * SZ_4K - 1), "it was written");
	/* A guest's own IOMMU maps data for the drive so. */
	EXPECT_SC(t, io_at(n, &q, IO_WRITE, 0, iova), "write", SC_OK);
	buf = nvme_alloc(n, SZ_4K);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, nlb_4k(n), buf), "read back", SC_OK);
	EXPECT(t, !memcmp(buf, p.va, SZ_4K), "other data were written");
	EXPECT_SC(t, io_at(n, &q, IO_READ, 0, iova), "read", SC_ANY_ERROR);
	EXPECT(t, p.va[0] == 0x44 && !memcmp(p.va, p.va + 1, 2 * SZ_4K - 1), "it was written");
	part_unmap(t, n, &p);
}

/*
 * Reads into a part and into the rest of memory are in flight when the part is
 * unmapped; @arg: microseconds that the second round and each one after it waits
 * longer.
 */
static void unmapped_with_io_in_flight(struct test *t, struct nvme *n)
{
	const u64 iova = 0x380000000ULL;
	const size_t len = 2 * STEP + SZ_4K;
	u8 *rest = nvme_alloc(n, 64 * SZ_4K);
	long long pinned = nvme_sysfs(n, "stats/pinned_bytes");
	unsigned int round, lost = 0;
	struct nvme_queue q;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 128, 128, 0), "no pair"))
		return;
	fill_pattern(rest, SZ_4K, 51);
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 0, nlb_4k(n), rest), "write", SC_OK);
	for (round = 0; round < 12 && !t->failed; round++) {
		unsigned int i, nr = 0;
		struct nvme_cqe cqe;
		struct part p;
		u64 end;
		int rc;

		if (!part_map(t, n, &p, iova, len, RW))
			return;
		memset(rest, 0, 64 * SZ_4K);
		for (i = 0; i < 100; i++) {
			struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, nlb_4k(n), NULL);

			sqe.prp1 = i & 1 ? nvme_dma(n, rest + i / 2 * SZ_4K) :
					   iova + i * 21 % (len / SZ_4K) * SZ_4K;
			q.next_cid = i;
			nvme_queue_cmd(&q, &sqe);
		}
		nvme_ring(n, &q);
		sleep_us(round * t->arg);
		rc = vfio_dma_unmap(&n->v, iova, len);
		EXPECT(t, !rc, "VFIO_IOMMU_UNMAP_DMA: %s", strerror(-rc));
		memset(p.va, 0x77, len);
		for (end = now_ms() + WAIT_MS; nr < 100 && now_ms() < end; sleep_us(100)) {
			while (nvme_reap(n, &q, &cqe)) {
				rc = nvme_status(&cqe);
				nr++;
				if (!rc)
					continue;
				lost++;
				EXPECT(t, !(cqe.cid & 1), "a read to other memory: status %x",
				       rc);
				EXPECT(t, rc == SC_DATA_TRANSFER || rc == SC_ABORTED,
				       "a read to what is gone: status %x", rc);
			}
		}
		EXPECT(t, nr == 100, "%u of 100 came back", nr);
		for (i = 0; i < 50; i++)
			if (!EXPECT(t, check_pattern(rest + i * SZ_4K, SZ_4K, 51),
				    "other memory, page %u", i))
				break;
		EXPECT(t, p.va[0] == 0x77 && !memcmp(p.va, p.va + 1, len - 1),
		       "written to after the unmap");
		not_there(t, n, &q, iova);
		munmap(p.va, len);
		/* And once more, with other memory. */
		if (t->failed || !part_map(t, n, &p, iova, len, RW))
			return;
		page_works(t, n, &q, &p, 0);
		page_works(t, n, &q, &p, len - SZ_4K);
		part_unmap(t, n, &p);
	}
	diag("%u of %u reads found their memory gone", lost, round * 50);
	EXPECT(t, nvme_sysfs(n, "stats/pinned_bytes") <= pinned + (long long)n->v.mem_len,
	       "%lld bytes are pinned, %lld before", nvme_sysfs(n, "stats/pinned_bytes"), pinned);
}

/* ---- RLIMIT_MEMLOCK ---- */

static void memlock_limit_is_an_error(struct test *t, struct nvme *n)
{
	const u64 iova = 0x3c0000000ULL;
	u8 *buf = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;
	unsigned int i;
	struct part p;
	bool ok;

	if (!basic_queue(t, n, &q))
		return;
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, nlb_4k(n), buf), "read before", SC_OK);
	if (!set_ipc_lock(false)) {
		t->skipped = "cannot give up CAP_IPC_LOCK";
		return;
	}
	/* Who maps without the capability is held to the limit. */
	ok = part_map(t, n, &p, iova, 2 * STEP, RW);
	set_ipc_lock(true);
	if (!ok)
		return;
	limit_locked(locked_bytes());
	for (i = 0; i < 10; i++) {
		EXPECT_SC(t, io_at(n, &q, IO_READ, 0, iova + i * 0x50000), "read above the limit",
			  SC_ANY_ERROR);
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, nlb_4k(n), buf), "read elsewhere", SC_OK);
	}
	limit_locked(~0UL);
	/* It is not tried again for a second. */
	sleep_us(1200 * 1000);
	page_works(t, n, &q, &p, 0);
	page_works(t, n, &q, &p, 2 * STEP - SZ_4K);
	part_unmap(t, n, &p);
}

/*
 * A firmware that changes what low memory is, and a vIOMMU at some invalidations,
 * have all memory taken away for a moment: a command of that moment waits for it.
 */
#define MEMORY_IS_BACK_MS	280	/* the module waits 300 */

static void memory_comes_back(struct test *t, struct nvme *n)
{
	const u64 iova = 0x5c0000000ULL;
	unsigned int i, waited = 0;
	struct nvme_cqe cqe;
	struct nvme_queue q;
	struct part p;
	u64 start;

	if (!basic_queue(t, n, &q) || !part_map(t, n, &p, iova, STEP, RW))
		return;
	for (i = 0; i < 20 && waited < 5 && !t->failed; i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 512, nlb_4k(n), NULL);
		u16 cid;
		int rc;

		page_works(t, n, &q, &p, i * SZ_4K);
		start = now_ms();
		part_unmap(t, n, &p);
		sqe.prp1 = iova + i * SZ_4K;
		cid = nvme_submit(n, &q, &sqe);
		rc = nvme_wait(n, &q, cid, &cqe, 100);
		/* Nothing is known of a machine that takes so long for this. */
		if (!rc && now_ms() - start < MEMORY_IS_BACK_MS) {
			EXPECT(t, false, "it did not wait: status %x", nvme_status(&cqe));
			return;
		}
		if (!part_map(t, n, &p, iova, STEP, RW))
			return;
		if (!rc)
			continue;
		rc = nvme_wait(n, &q, cid, &cqe, 5000);
		if (now_ms() - start >= MEMORY_IS_BACK_MS && !rc && nvme_status(&cqe))
			continue;
		waited++;
		if (EXPECT(t, !rc, "it does not go on"))
			EXPECT_SC(t, nvme_status(&cqe), "read of memory that came back", SC_OK);
	}
	diag("%u of %u commands waited", waited, i);
	if (!waited && !t->failed)
		t->skipped = "the machine is too slow to tell";
	/* Not for ever: then it is an error. */
	page_works(t, n, &q, &p, 0);
	part_unmap(t, n, &p);
	start = now_ms();
	EXPECT_SC(t, io_at(n, &q, IO_READ, 0, iova), "read into no memory", SC_DATA_TRANSFER);
	EXPECT(t, now_ms() - start < 3000, "after %llu ms", now_ms() - start);
}

/* What Documentation/threat-model.rst says of 2 MiB: on one huge page, and at most. */
#define STEP_ON_HUGE_PAGE	(512 * 64 + 512)
#define STEP_AT_MOST		(512 * 64 + 24 * 1024 + 512)

/* Kernel memory of the cgroup that this process is in, bytes; -1 if it has none that counts. */
static long long charged(void)
{
	char line[256], path[300] = "";
	long long bytes = -1;
	FILE *f;

	f = fopen("/proc/self/cgroup", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "0::%255s", path + snprintf(path, sizeof(path),
							     "/sys/fs/cgroup")) == 1)
			strncat(path, "/memory.stat", sizeof(path) - strlen(path) - 1);
	if (f)
		fclose(f);
	f = fopen(path, "r");
	while (f && bytes < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "kernel %lld", &bytes);
	if (f)
		fclose(f);
	return bytes;
}

/*
 * Queues are made by a work item of the host's, and what it allocates for them is not its
 * own.  The cgroup counts in batches, and at the latest after two seconds.
 */
#define CHARGED_MS	3000

static void memory_is_charged(struct test *t, struct nvme *n)
{
	struct nvme_queue q[LIGHTIOV_MAX_PAIRS];
	long long kernel, host;
	unsigned int i;

	if (charged() < 0) {
		t->skipped = "not in a memory cgroup of cgroup2";
		return;
	}
	sleep_us(CHARGED_MS * 1000);
	kernel = charged();
	host = nvme_sysfs(n, "stats/host_memory_bytes");
	for (i = 0; i < n->nr_pairs; i++)
		if (!EXPECT(t, !nvme_create_pair(n, &q[i], i + 1, 512, 1024, 0), "no pair"))
			return;
	sleep_us(CHARGED_MS * 1000);
	host = nvme_sysfs(n, "stats/host_memory_bytes") - host;
	kernel = charged() - kernel;
	diag("%u pairs hold %lld bytes, %lld were charged", n->nr_pairs, host, kernel);
	EXPECT(t, host > 0 && kernel >= host * 3 / 4, "not charged to its user");
}

static void memory_costs(struct test *t, struct nvme *n)
{
	const u64 iova = 0x700000000ULL;
	long long before, after, back;
	struct nvme_queue q;
	struct part p;
	bool huge;
	u8 *va;

	va = mmap(NULL, 4 * STEP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!EXPECT(t, va != MAP_FAILED, "mmap") || !basic_queue(t, n, &q))
		return;
	p.va = (u8 *)(((unsigned long)va + STEP - 1) & ~(STEP - 1));
	p.iova = iova;
	p.len = 2 * STEP;
	/* One on a huge page, if the machine has one, the other not. */
	madvise(p.va, STEP, MADV_HUGEPAGE);
	madvise(p.va + STEP, STEP, MADV_NOHUGEPAGE);
	memset(p.va, 0, p.len);
	if (!EXPECT(t, !vfio_dma_map(&n->v, p.va, iova, p.len), "VFIO_IOMMU_MAP_DMA"))
		return;
	before = nvme_sysfs(n, "stats/host_memory_bytes");
	page_works(t, n, &q, &p, 0);
	after = nvme_sysfs(n, "stats/host_memory_bytes");
	huge = after - before <= STEP_ON_HUGE_PAGE;
	EXPECT(t, after - before >= 512 * 64 && after - before <= STEP_AT_MOST,
	       "2 MiB cost %lld bytes", after - before);
	diag("2 MiB, %s: %lld bytes", huge ? "a huge page" : "no huge page", after - before);
	before = after;
	page_works(t, n, &q, &p, STEP);
	after = nvme_sysfs(n, "stats/host_memory_bytes");
	EXPECT(t, after - before >= 512 * 64 && after - before <= STEP_AT_MOST,
	       "2 MiB of small pages cost %lld bytes", after - before);
	diag("2 MiB of small pages: %lld bytes", after - before);
	/* Each page of either, and the last one. */
	page_works(t, n, &q, &p, 300 * SZ_4K);
	page_works(t, n, &q, &p, STEP - SZ_4K);
	page_works(t, n, &q, &p, STEP + 300 * SZ_4K);
	page_works(t, n, &q, &p, 2 * STEP - SZ_4K);
	EXPECT(t, !vfio_dma_unmap(&n->v, iova, p.len), "VFIO_IOMMU_UNMAP_DMA");
	back = nvme_sysfs(n, "stats/host_memory_bytes");
	EXPECT(t, after - back >= 2 * 512 * 64 && after - back <= 2 * STEP_AT_MOST,
	       "%lld of it came back", after - back);
	munmap(va, 4 * STEP);
}

static struct test tests[] = {
	{ "memory_may_be_mapped_anywhere", odd_mappings, TEST_GUARDED },
	{ "one_transfer_over_many_mappings", transfer_over_many_mappings, TEST_GUARDED },
	{ "memory_added_to_a_used_step_is_found", memory_added_to_a_used_step, TEST_GUARDED },
	{ "remapped_memory_is_the_new_one", remapped_memory_is_the_new_one, TEST_GUARDED },
	{ "read_only_memory_is_never_written", read_only_memory_is_never_written,
	  TEST_GUARDED },
	{ "memory_unmapped_with_io_in_flight", unmapped_with_io_in_flight, TEST_GUARDED, 0 },
	{ "memory_unmapped_a_little_later", unmapped_with_io_in_flight, TEST_GUARDED, 700 },
	{ "a_command_waits_for_memory_that_comes_back", memory_comes_back, TEST_GUARDED },
	{ "memory_costs_what_it_says", memory_costs, TEST_GUARDED },
	{ "memory_is_charged_to_its_user", memory_is_charged, TEST_GUARDED },
	{ "memlock_limit_is_an_error_not_a_hang", memlock_limit_is_an_error, TEST_GUARDED },
};

const struct suite suite_memory = { "memory", tests, ARRAY_SIZE(tests) };
