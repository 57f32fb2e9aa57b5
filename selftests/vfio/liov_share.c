// SPDX-License-Identifier: GPL-2.0
/*
 * liov_share GREEDY VICTIM [N [KIB [step] | both]]: what one user of shared queue pairs has in
 * front of it of another's.
 *
 * The instance GREEDY has as many large reads outstanding as its queues take.  Beside it VICTIM
 * reads one block at a time, N times (200).  For each it is counted how much of GREEDY's
 * completes meanwhile: on a pair with an order of service that is a window full of it and a
 * turn, however much GREEDY has in its rings, and however many of these.  A slow drive shows it
 * best.  Prints the median and the most.
 *
 * With "step" GREEDY's first queue does so, and the others together: each has one read outstanding,
 * and when all of them are done each has the next.
 *
 * With "both" the other instance is as greedy, and what is printed is how much the first one got
 * until both together had N reads, beside what was in the rings at the beginning: in percent of
 * what the second one got.
 *
 * Exit code: 0 all right, 1 something failed or the median is more than KIB, if that is given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/health.h"

#define DEPTH		256
#define MEM		(16 << 20)
#define HANG_MS		60000

/**
 * struct greedy - a queue of it
 * @out: commands outstanding
 */
struct greedy {
	struct nvme_queue q;
	unsigned int out;
};

static struct nvme greedy, victim;
static struct greedy gq[LIGHTIOV_MAX_PAIRS], other[LIGHTIOV_MAX_PAIRS];
static unsigned int nr_queues;
static struct nvme_queue vq;
static unsigned long done, bad;

static int by_size(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a, y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

/* Takes what came, and fills the ring again.  Returns how many came. */
static unsigned int greedy_step(struct nvme *n, struct greedy *g, const void *buf, u32 nlb)
{
	unsigned int out = g->out, came = 0;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	while (nvme_reap(n, &g->q, &cqe)) {
		bad += !!nvme_status(&cqe);
		g->out--;
		came++;
	}
	if (g->out > DEPTH / 2 && out)
		return came;
	for (; g->out < DEPTH - 1; g->out++) {
		sqe = cmd_rw(n, IO_READ, 0, nlb, NULL);
		nvme_set_prps(n, &sqe, buf, nlb * n->lba, g->q.list);
		nvme_queue_cmd(&g->q, &sqe);
	}
	nvme_ring(n, &g->q);
	return came;
}

/* Likewise with all of GREEDY's.  Returns how many came. */
static unsigned int greedy_go_on(const void *buf, u32 nlb, bool in_step)
{
	unsigned int i, came = 0, out = 0;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	for (i = 0; i < (in_step ? 1 : nr_queues); i++)
		came += greedy_step(&greedy, &gq[i], buf, nlb);
	for (; i < nr_queues; i++) {
		while (nvme_reap(&greedy, &gq[i].q, &cqe)) {
			bad += !!nvme_status(&cqe);
			gq[i].out--;
			came++;
		}
		out += gq[i].out;
	}
	for (i = 1; in_step && !out && i < nr_queues; i++) {
		sqe = cmd_rw(&greedy, IO_READ, 0, nlb, NULL);
		nvme_set_prps(&greedy, &sqe, buf, nlb * greedy.lba, gq[i].q.list);
		nvme_submit(&greedy, &gq[i].q, &sqe);
		gq[i].out++;
	}
	return came;
}

/* Two that are greedy, until they have had @want together. */
static int share_both(unsigned int want, const void *buf, const void *obuf, u32 nlb)
{
	unsigned long got[2] = {}, first = 0;
	u64 end = now_ms() + HANG_MS;
	unsigned int i;

	while (got[0] + got[1] < want && now_ms() < end) {
		for (i = 0; i < nr_queues; i++) {
			got[0] += greedy_step(&greedy, &gq[i], buf, nlb);
			got[1] += greedy_step(&victim, &other[i], obuf, nlb);
		}
		/* The one that began had the pair alone. */
		if (first < nr_queues * DEPTH) {
			first += got[0] + got[1];
			got[0] = 0;
			got[1] = 0;
		}
	}
	diag("%lu and %lu reads, %lu bad", got[0], got[1], bad);
	printf("%lu\n", got[1] ? got[0] * 100 / got[1] : 0);
	return bad || got[0] + got[1] < want;
}

/* One read of the victim's; returns what completed of the other's meanwhile, or -1. */
static long victim_read(void *vbuf, const void *gbuf, u32 nlb, bool in_step)
{
	struct nvme_sqe sqe = cmd_rw(&victim, IO_READ, 0, 1, vbuf);
	unsigned long before = done;
	u64 end = now_ms() + HANG_MS;
	struct nvme_cqe cqe;

	nvme_submit(&victim, &vq, &sqe);
	while (!nvme_reap(&victim, &vq, &cqe)) {
		done += greedy_go_on(gbuf, nlb, in_step);
		if (now_ms() > end) {
			diag("the victim's read does not end");
			return -1;
		}
	}
	bad += !!nvme_status(&cqe);
	return done - before;
}

static int make_queues(bool both)
{
	int rc = both ? 0 : nvme_create_pair(&victim, &vq, 1, 8, 8, 0);
	unsigned int i;

	for (i = 0; !rc && i < nr_queues; i++) {
		rc = nvme_create_pair(&greedy, &gq[i].q, i + 1, DEPTH, DEPTH, 0);
		if (!rc && both)
			rc = nvme_create_pair(&victim, &other[i].q, i + 1, DEPTH, DEPTH, 0);
	}
	return rc;
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 3 ? atoi(argv[3]) : 200, i, limit = argc > 4 ? atoi(argv[4]) : 0;
	unsigned long *front = calloc(n, sizeof(*front)), kib;
	bool both = argc > 4 && !strcmp(argv[4], "both"), in_step = argc > 5;
	void *gbuf, *vbuf;
	u32 nlb;

	if (argc < 3 || !front || !n) {
		fprintf(stderr, "usage: liov_share GREEDY VICTIM [N [KIB [step] | both]]\n");
		return 1;
	}
	if (nvme_open_mem(&greedy, argv[1], MEM) || nvme_open_mem(&victim, argv[2], MEM)) {
		fprintf(stderr, "liov_share: cannot open them\n");
		return 1;
	}
	nr_queues = both && victim.nr_pairs < greedy.nr_pairs ? victim.nr_pairs : greedy.nr_pairs;
	if (make_queues(both)) {
		fprintf(stderr, "liov_share: cannot bring them up\n");
		return 1;
	}
	nlb = (greedy.max_xfer < 131072 ? greedy.max_xfer : 131072) / greedy.lba;
	gbuf = nvme_alloc(&greedy, nlb * greedy.lba);
	vbuf = nvme_alloc(&victim, nlb * greedy.lba);
	if (both)
		return share_both(n, gbuf, vbuf, nlb);
	greedy_go_on(gbuf, nlb, in_step);
	/* Before the first ones nobody knew that there are two. */
	for (i = 0; i < 4; i++) {
		if (victim_read(vbuf, gbuf, nlb, in_step) < 0)
			return 1;
	}
	for (i = 0; i < n; i++) {
		long k = victim_read(vbuf, gbuf, nlb, in_step);

		if (k < 0)
			return 1;
		front[i] = k * nlb * greedy.lba / 1024;
	}
	qsort(front, n, sizeof(*front), by_size);
	kib = front[n / 2];
	printf("%u reads, each behind %lu KiB of %u in the other's rings, at most %lu; %lu bad\n",
	       n, kib, nr_queues * (DEPTH - 1) * nlb * greedy.lba / 1024, front[n - 1], bad);
	nvme_close(&victim);
	nvme_close(&greedy);
	return bad || (limit && kib > limit);
}
