// SPDX-License-Identifier: GPL-2.0
/*
 * What the guard costs a command, natively and without sanitizers: make bench-guard.
 *
 * As in the kernel, guest memory is a table of 2 MiB steps found by index, and PRP lists
 * are copied out of mapped guest memory.  Commands, buffers and lists are many and in
 * random places, so that neither the caches nor the branch predictor know them by heart.
 * Each figure is the median of many batches.  bench_pass.c measures the most that an
 * interrupt does in one go.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "bench_pass.h"
#include "model/model.h"

#define PAGE		4096ULL
#define GUEST_STEPS	2048ULL		/* 4 GiB of guest memory */
#define LIST_SIZE	4096ULL		/* guest memory with contents, for each command */
#define COMMANDS	1024
/* Short, so that most of them run undisturbed on a busy machine. */
#define BATCH		32
#define BATCHES		20000
/* Linux's driver has its lists of up to 32 entries in a pool of their own. */
#define SMALL_LIST	256ULL

/*
 * All of it in huge pages, as the kernel's linear mapping is, so that the TLB is not
 * what is measured.
 */
static struct bench_memory {
	u64 step[GUEST_STEPS][LIOV_STEP_PAGES];
	u8 lists[COMMANDS * LIST_SIZE];
	u8 page[PAGE];
	struct liov_step_map steps[GUEST_STEPS];
	struct nvme_command commands[COMMANDS];
} *mem;

static u64 rnd(void)
{
	static u64 s = 0x9e3779b97f4a7c15ULL;

	s ^= s >> 12;
	s ^= s << 25;
	s ^= s >> 27;
	return s * 0x2545f4914f6cdd1dULL;
}

static struct liov_step_map bench_step(void *ctx, u64 gpa, u16 *status)
{
	u64 nr = gpa >> LIOV_STEP_SHIFT;

	if (nr >= GUEST_STEPS) {
		*status = NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
		return (struct liov_step_map){ .base = LIOV_NO_DMA };
	}
	return mem->steps[nr];
}

/* The first pages of guest memory are those with contents. */
static u16 bench_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	if (gpa + len > sizeof(mem->lists))
		return NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
	memcpy(buf, mem->lists + gpa, len);
	return 0;
}

static void *bench_page(void *ctx, u32 n, u64 *bus)
{
	*bus = 0x12345000;
	return mem->page;
}

static const struct liov_guard_env env = {
	.step = bench_step, .read = bench_read, .page = bench_page,
};

static const struct liov_guard guard = {
	.nsid = 1, .hw_nsid = 1, .first = 1 << 20, .nlb = 1ULL << 32, .lba_shift = 9,
	.max_bytes = 524288, .max_copy = 1 << 20, .max_copy_range = 4096,
	.max_copy_ranges = 128, .oncs = 0x1ff,
	.max_verify = 1U << 23, .max_zeroes = 1U << 23, .max_uncor = 1U << 23,
	.max_dsm_ranges = 256, .max_dsm_range = 1U << 26, .max_dsm = 1U << 26,
};

static u64 random_page(u64 steps)
{
	return rnd() % (steps * LIOV_STEP_PAGES) * PAGE;
}

/*
 * @steps: each page is anywhere in so much memory; 0: they are a run, as in a guest with
 *         free memory or huge pages
 */
static void make(struct nvme_command *c, unsigned int i, u8 opcode, u32 bytes, u64 steps)
{
	u64 where = i * (bytes <= SMALL_LIST / 8 * PAGE ? SMALL_LIST : LIST_SIZE);
	u64 page = random_page(steps ? steps : GUEST_STEPS);
	u64 *list = (u64 *)(mem->lists + where);
	unsigned int n;

	memset(c, 0, sizeof(*c));
	c->rw.opcode = opcode;
	c->rw.nsid = cpu_to_le32(1);
	c->rw.slba = cpu_to_le64(rnd() >> 33);
	c->rw.length = cpu_to_le16((bytes >> 9) - 1);
	c->rw.dptr.prp1 = cpu_to_le64(page);
	for (n = 0; n < bytes / PAGE - 1; n++) {
		page = steps ? random_page(steps) :
			(page + PAGE) % (GUEST_STEPS * LIOV_STEP_PAGES * PAGE);
		list[n] = cpu_to_le64(page);
	}
	c->rw.dptr.prp2 = cpu_to_le64(bytes > 2 * PAGE ? where : page);
}

static void make_dsm(struct nvme_command *c, unsigned int i, unsigned int nr)
{
	struct nvme_dsm_range *range = (void *)(mem->lists + i * LIST_SIZE);

	memset(c, 0, sizeof(*c));
	c->dsm.opcode = nvme_cmd_dsm;
	c->dsm.nsid = cpu_to_le32(1);
	c->dsm.dptr.prp1 = cpu_to_le64(i * LIST_SIZE);
	c->dsm.nr = cpu_to_le32(nr - 1);
	while (nr--) {
		range[nr].slba = cpu_to_le64(rnd() >> 33);
		range[nr].nlb = cpu_to_le32(8);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Not static, so that nothing is left out for want of use. */
u64 bench_sink;

/* Prints a figure and, with @limit, whether it is kept. */
static bool measure(const char *name, double limit)
{
	static double ns[BATCHES];
	struct liov_guarded out;
	unsigned int b, i, next = 0;
	double start;

	for (b = 0; b < BATCHES; b++) {
		start = now();
		for (i = 0; i < BATCH; i++) {
			if (liov_guard_check(&guard, &env, &mem->commands[next], &out)) {
				fprintf(stderr, "bench: %s: refused\n", name);
				exit(1);
			}
			bench_sink += out.cmd.rw.dptr.prp1;
			next = (next + 1) % COMMANDS;
		}
		ns[b] = (now() - start) / BATCH;
	}
	qsort(ns, BATCHES, sizeof(ns[0]), compare);
	printf("# %-38s median %6.1f ns  p5 %6.1f  p95 %6.1f", name, ns[BATCHES / 2],
	       ns[BATCHES / 20], ns[BATCHES * 19 / 20]);
	if (limit)
		printf("  at most %.0f", limit);
	printf("\n");
	return !limit || ns[BATCHES / 2] <= limit;
}

static unsigned int tests, fails;

static void verdict(bool ok, const char *name)
{
	tests++;
	fails += !ok;
	printf("%s %u %s\n", ok ? "ok" : "not ok", tests, name);
}

static bool measure_rw(const char *name, u8 opcode, u32 bytes, u64 steps, double limit)
{
	unsigned int i;

	for (i = 0; i < COMMANDS; i++)
		make(&mem->commands[i], i, opcode, bytes, steps);
	return measure(name, limit);
}

int main(void)
{
	unsigned int i, j;
	bool ok;

	mem = aligned_alloc(1 << LIOV_STEP_SHIFT, sizeof(*mem));
	if (!mem) {
		perror("bench: memory");
		return 1;
	}
	madvise(mem, sizeof(*mem), MADV_HUGEPAGE);
	memset(mem, 0, sizeof(*mem));
	for (i = 0; i < GUEST_STEPS; i++) {
		mem->steps[i].bus = mem->step[i];
		for (j = 0; j < LIOV_STEP_PAGES; j++)
			mem->step[i][j] = (rnd() >> 24) * PAGE;
	}

	printf("KTAP version 1\n1..3\n");
	ok = measure_rw("4 KiB read", nvme_cmd_read, 4096, GUEST_STEPS, 100);
	ok &= measure_rw("4 KiB write", nvme_cmd_write, 4096, GUEST_STEPS, 100);
	verdict(ok, "guard_of_4k_takes_at_most_100_ns");
	ok = measure_rw("128 KiB read, pages in a run", nvme_cmd_read, 131072, 0, 500);
	ok &= measure_rw("128 KiB read, pages all over 256 MiB", nvme_cmd_read, 131072, 128,
			 500);
	verdict(ok, "guard_of_128k_with_list_takes_at_most_500_ns");

	/* every page's bus address is a cache miss: the memory's speed more than ours */
	measure_rw("128 KiB read, pages all over 4 GiB", nvme_cmd_read, 131072, GUEST_STEPS, 0);
	measure_rw("8 KiB read", nvme_cmd_read, 8192, GUEST_STEPS, 0);
	measure_rw("512 KiB read, pages in a run", nvme_cmd_read, 524288, 0, 0);
	/* as an IOMMU or huge pages make it */
	for (i = 0; i < GUEST_STEPS; i++)
		mem->steps[i] = (struct liov_step_map){ .base = mem->step[i][0] };
	measure_rw("4 KiB read, linear steps", nvme_cmd_read, 4096, GUEST_STEPS, 0);
	measure_rw("128 KiB read, linear steps, all over 4 GiB", nvme_cmd_read, 131072,
		   GUEST_STEPS, 0);
	for (i = 0; i < COMMANDS; i++)
		make_dsm(&mem->commands[i], i, 1);
	measure("Dataset Management, 1 range", 0);
	for (i = 0; i < COMMANDS; i++)
		make_dsm(&mem->commands[i], i, 256);
	measure("Dataset Management, 256 ranges", 0);
	verdict(bench_pass(50000), "worst_pass_of_an_interrupt_takes_at_most_50_us");
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:0 error:0\n", tests - fails,
	       fails);
	return fails != 0;
}
