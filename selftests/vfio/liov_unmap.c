// SPDX-License-Identifier: GPL-2.0
/*
 * liov_unmap UUID UUID [MIB [N]]: two instances in one container, all queues of both busy
 * with deep reads over MIB MiB of scattered pages, which are unmapped and mapped
 * again N times, as a vIOMMU does.
 *
 * type1 calls each driver's dma_unmap until no page is pinned any more, and takes the
 * host down at the eleventh time.  So it counts: how often did VFIO call for one
 * unmap?  By a probe on the module's callback, not by the module's own figures, which are
 * printed beside it.  More than twice fails.  And nothing may be written to the memory
 * once it is unmapped.
 *
 * One thread a queue rings and takes completions; the main thread unmaps.  Only on a
 * slow drive (throttled to a second or so for what the queues hold) the callbacks
 * take long enough to matter.
 *
 * Exit code: 0 all right, 1 something failed, 4 not told where or no tracefs.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/health.h"

#define TRACEFS		"/sys/kernel/tracing/"
#define PROBE		"liov_unmap"
#define DEPTH		512
#define BLOCK		8192UL
#define BIG_IOVA	0x1000000000ULL
#define OTHER_IOVA	0x200000000ULL
#define OTHER_LEN	(16 * SZ_1M)
#define MAX_CALLS	2
#define UNTOUCHED	0x77
/* Into how many places of the memory is looked after each unmap. */
#define LOOKS		4096

/**
 * struct busy - a thread with a queue of its own
 * @done: completions, @bad of them with a status
 */
struct busy {
	struct nvme *n;
	struct nvme_queue q;
	pthread_t thread;
	u32 rng;
	unsigned long done, bad;
};

static struct nvme inst[2];
static struct busy busy[2 * LIGHTIOV_MAX_PAIRS];
static unsigned int nr_busy;
static bool ending;
static u8 *big;
static size_t big_len;

static u32 rnd(u32 *x, u32 below)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x % below;
}

/* ---- how often VFIO called ---- */

static int put(const char *name, const char *text, int flags)
{
	int fd = open(name, O_WRONLY | flags), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int probe_on(void)
{
	int rc = put(TRACEFS "kprobe_events", "p:" PROBE " lightiov:liov_instance_dma_unmap\n",
		     O_APPEND);

	if (rc && rc != -EEXIST)
		return rc;
	return put(TRACEFS "events/kprobes/" PROBE "/enable", "1", 0);
}

static void probe_off(void)
{
	put(TRACEFS "events/kprobes/" PROBE "/enable", "0", 0);
	put(TRACEFS "kprobe_events", "-:" PROBE "\n", O_APPEND);
}

static unsigned long probe_hits(void)
{
	FILE *f = fopen(TRACEFS "kprobe_profile", "r");
	unsigned long hits, n = 0;
	char line[256], name[64];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%63s %lu", name, &hits) == 2 && !strcmp(name, PROBE))
			n = hits;
	if (f)
		fclose(f);
	return n;
}

/* ---- the load ---- */

static void one_more(struct busy *b)
{
	u32 nlb = BLOCK / b->n->lba;
	struct nvme_sqe sqe = cmd_rw(b->n, IO_READ, rnd(&b->rng, 1024) * (u64)nlb, nlb, NULL);

	sqe.prp1 = BIG_IOVA + (u64)rnd(&b->rng, big_len / SZ_4K) * SZ_4K;
	sqe.prp2 = BIG_IOVA + (u64)rnd(&b->rng, big_len / SZ_4K) * SZ_4K;
	nvme_queue_cmd(&b->q, &sqe);
}

static void *keep_busy(void *arg)
{
	struct busy *b = arg;
	unsigned int out = 0, new;
	struct nvme_cqe cqe;

	while (!READ_ONCE(ending)) {
		for (new = 0; out < DEPTH - 1; out++, new++)
			one_more(b);
		if (new)
			nvme_ring(b->n, &b->q);
		for (new = 0; nvme_reap(b->n, &b->q, &cqe); new++) {
			out--;
			b->done++;
			b->bad += nvme_status(&cqe) != 0;
		}
		if (!new)
			sleep_us(500);
	}
	return NULL;
}

static bool start_load(void)
{
	unsigned int i, k;

	for (i = 0; i < 2; i++) {
		for (k = 0; k < inst[i].nr_pairs; k++) {
			struct busy *b = &busy[nr_busy];

			b->n = &inst[i];
			b->rng = 0x5eed + nr_busy;
			if (nvme_create_pair(b->n, &b->q, k + 1, DEPTH, DEPTH, 0))
				return false;
			if (pthread_create(&b->thread, NULL, keep_busy, b)) {
				diag("no thread");
				return false;
			}
			nr_busy++;
		}
	}
	return true;
}

static unsigned long completed(unsigned long *bad)
{
	unsigned long done = 0;
	unsigned int i;

	for (*bad = 0, i = 0; i < nr_busy; i++) {
		done += READ_ONCE(busy[i].done);
		*bad += READ_ONCE(busy[i].bad);
	}
	return done;
}

/* ---- unmaps ---- */

/* Counts, not times: until each queue has gone round a few times, or some seconds. */
static void let_it_pin(void)
{
	u64 end = now_ms() + 20000;
	unsigned long bad, goal;

	goal = completed(&bad) + 2UL * nr_busy * 256;
	while (completed(&bad) < goal && now_ms() < end)
		sleep_us(10000);
}

static bool one_unmap(unsigned int round, unsigned int *worst)
{
	unsigned long before, calls;
	u32 rng = round + 1;
	unsigned int i;
	u64 start;
	int rc;

	before = probe_hits();
	start = now_ms();
	rc = vfio_dma_unmap(&inst[0].v, BIG_IOVA, big_len);
	if (rc) {
		diag("unmap %u: %s", round, strerror(-rc));
		return false;
	}
	/* Each instance once makes one call. */
	calls = (probe_hits() - before + 1) / 2;
	diag("unmap %u: %lu calls, %llu ms", round, calls, now_ms() - start);
	if (calls > *worst)
		*worst = calls;
	for (i = 0; i < LOOKS; i++)
		big[(size_t)rnd(&rng, big_len / SZ_4K) * SZ_4K] = UNTOUCHED;
	sleep_us(50000);
	for (rng = round + 1, i = 0; i < LOOKS; i++) {
		if (READ_ONCE(big[(size_t)rnd(&rng, big_len / SZ_4K) * SZ_4K]) == UNTOUCHED)
			continue;
		diag("unmap %u: memory was written to after it", round);
		return false;
	}
	rc = vfio_dma_map(&inst[0].v, big, BIG_IOVA, big_len);
	if (rc)
		diag("map %u: %s", round, strerror(-rc));
	return !rc;
}

static bool run(unsigned int total)
{
	unsigned long done, bad;
	unsigned int i, worst = 0;
	bool ok = true;

	for (i = 1; i <= total && ok && worst <= MAX_CALLS; i++) {
		let_it_pin();
		diag("pinned: %lld and %lld MiB",
		     nvme_sysfs(&inst[0], "stats/pinned_bytes") >> 20,
		     nvme_sysfs(&inst[1], "stats/pinned_bytes") >> 20);
		ok = one_unmap(i, &worst);
	}
	done = completed(&bad);
	diag("%lu commands, %lu with a status; at most %u calls for an unmap", done, bad, worst);
	for (i = 0; i < 2; i++)
		diag("instance %u says: %lld unmaps, %lld repeats", i,
		     nvme_sysfs(&inst[i], "stats/unmaps"),
		     nvme_sysfs(&inst[i], "stats/unmap_repeats"));
	if (!worst || !done) {
		diag("nothing was pinned, or nothing was done");
		return false;
	}
	return ok && worst <= MAX_CALLS;
}

/* Nothing merges its pages: scattered unless the machine was just started. */
static bool big_memory(size_t mib)
{
	big_len = mib * SZ_1M;
	big = mmap(NULL, big_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (big == MAP_FAILED || madvise(big, big_len, MADV_NOHUGEPAGE)) {
		diag("no memory");
		return false;
	}
	return !vfio_dma_map(&inst[0].v, big, BIG_IOVA, big_len);
}

int main(int argc, char **argv)
{
	size_t mib = argc > 3 ? strtoul(argv[3], NULL, 0) : 1024;
	unsigned int i, total = argc > 4 ? strtoul(argv[4], NULL, 0) : 10;
	int rc = KSFT_FAIL;

	if (argc < 3)
		return test_skip_all("usage: liov_unmap UUID UUID [MIB [N]]");
	rc = probe_on();
	if (rc) {
		diag("no probe: %s", strerror(-rc));
		return test_skip_all("no kprobes in " TRACEFS);
	}
	rc = KSFT_FAIL;
	if (nvme_open(&inst[0], argv[1]))
		goto out;
	if (!nvme_open_beside(&inst[1], argv[2], &inst[0], OTHER_IOVA, OTHER_LEN)) {
		if (big_memory(mib) && start_load() && run(total))
			rc = KSFT_PASS;
		WRITE_ONCE(ending, true);
		for (i = 0; i < nr_busy; i++)
			pthread_join(busy[i].thread, NULL);
		nvme_close(&inst[1]);
	}
	nvme_close(&inst[0]);
out:
	probe_off();
	return rc;
}
