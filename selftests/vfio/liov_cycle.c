// SPDX-License-Identifier: GPL-2.0
/*
 * liov_cycle UUID [N]: brings an instance up and keeps it busy, for stress.
 *
 * With N it ends after N I/Os, without (or 0) it goes on until it is killed, at
 * whatever moment: the host has to clean up.  Prints "ready" when the first I/O
 * is done, so that a script knows when to kill it.  Reads, and every fourth
 * command writes; WRITES to the first MiBs of the instance's namespace.
 *
 * A controller that was lost (CSTS.CFS, as after a reset by the host) ends it.
 *
 * Exit code: 0 all I/Os succeeded, 1 something failed, 4 no instance given.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health.h"

#define DEPTH		32
#define BLOCK		4096
#define SPAN		1024	/* blocks */
/* No completion for so long means that it hangs. */
#define HANG_MS		60000

struct load {
	struct nvme_queue q[LIGHTIOV_MAX_PAIRS];
	u8 *buf[LIGHTIOV_MAX_PAIRS];
	unsigned int sent[LIGHTIOV_MAX_PAIRS], done[LIGHTIOV_MAX_PAIRS];
	unsigned int bad;
};

static void submit(struct nvme *n, struct load *l, unsigned int i)
{
	struct nvme_queue *q = &l->q[i];
	bool rang = false;

	while (l->sent[i] - l->done[i] < DEPTH - 1) {
		unsigned int k = l->sent[i]++;
		u32 per = n->lba < BLOCK ? BLOCK / n->lba : 1;
		struct nvme_sqe sqe = {
			.opcode = k % 4 == 3 ? IO_WRITE : IO_READ,
			.nsid = n->nsid,
			.prp1 = nvme_dma(n, l->buf[i] + k % DEPTH * BLOCK),
			.cdw10 = (k * 7919 + i * 131) % SPAN * per,
			.cdw12 = per - 1,
		};

		nvme_queue_cmd(q, &sqe);
		rang = true;
	}
	if (rang)
		nvme_ring(n, q);
}

static unsigned int reap(struct nvme *n, struct load *l, unsigned int i)
{
	unsigned int got = 0;
	struct nvme_cqe cqe;

	while (nvme_reap(n, &l->q[i], &cqe)) {
		int status = nvme_status(&cqe);

		if (status && l->bad++ < 10)
			diag("pair %u: status %x", i + 1, status);
		l->done[i]++;
		got++;
	}
	return got;
}

static int run(struct nvme *n, struct load *l, unsigned long total)
{
	u64 last = now_ms();
	unsigned long done = 0;
	bool ready = false;
	unsigned int i, got;

	while (!total || done < total) {
		got = 0;
		for (i = 0; i < n->nr_pairs; i++) {
			submit(n, l, i);
			got += reap(n, l, i);
		}
		done += got;
		if (got) {
			last = now_ms();
			if (!ready)
				printf("ready\n");
			ready = true;
			fflush(stdout);
			continue;
		}
		if (now_ms() - last > HANG_MS) {
			diag("no completion for %u ms, CSTS %#x", HANG_MS,
			     nvme_get32(n, REG_CSTS));
			return KSFT_FAIL;
		}
		vfio_irq_wait(&n->v, l->q[0].vector, 10);
		if (nvme_get32(n, REG_CSTS) & CSTS_CFS) {
			diag("the controller was lost after %lu I/Os", done);
			return KSFT_FAIL;
		}
	}
	diag("%lu I/Os, %u failed", done, l->bad);
	return l->bad ? KSFT_FAIL : KSFT_PASS;
}

int main(int argc, char **argv)
{
	unsigned long total = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	const char *uuid = test_uuid(argc, argv);
	static struct load l;
	static struct nvme n;
	unsigned int i;
	int rc = KSFT_PASS;

	if (!uuid)
		return test_skip_all("usage: liov_cycle UUID [N]");
	if (nvme_open(&n, uuid))
		return KSFT_FAIL;
	for (i = 0; i < n.nr_pairs; i++) {
		l.buf[i] = nvme_alloc(&n, DEPTH * BLOCK);
		if (!l.buf[i] || nvme_create_pair(&n, &l.q[i], i + 1, DEPTH, DEPTH,
						  (i + 1) % n.v.nr_vectors))
			rc = KSFT_FAIL;
	}
	if (!rc)
		rc = run(&n, &l, total);
	nvme_close(&n);
	return rc;
}
