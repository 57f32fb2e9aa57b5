// SPDX-License-Identifier: GPL-2.0
/*
 * liov_cycle UUID [N [KIB]]: brings an instance up and keeps it busy, for stress, with
 * KIB of memory (0: as much as nvme_open() has).
 *
 * With N it ends after N I/Os, without (or 0) it goes on until it is killed, at
 * whatever moment: the host has to clean up.  Prints "ready" when the first I/O
 * is done, so that a script knows when to kill it; SIGTERM ends it in order.  Reads
 * and writes, at most one command a block at a time; what a block reads is what was
 * last written to it.  WRITES to the first MiBs of the instance's namespace.
 *
 * liov_cycle UUID asleep: as without N, and the instance's admin queue sleeps in the host.  A
 * controller that is lost all the same does nothing more, though its doorbells are rung.
 *
 * liov_cycle UUID canary ID: writes stamps of area ID over the whole namespace and
 * reads them back, so that the host can look for them ("canary verify").
 *
 * A controller that was lost (CSTS.CFS, as after a reset by the host) ends it.  At its
 * end it says how often VFIO's ERR came.
 *
 * Exit code: 0 all I/Os succeeded, 1 something failed, 4 no instance given.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/health.h"
#include "lib/sleepers.h"
#include "lib/stamp.h"

#define DEPTH		32
#define BLOCK		4096
#define SPAN		1024	/* blocks */
/* No completion for so long means that it hangs. */
#define HANG_MS		60000

/**
 * struct op - a command that is outstanding; its CID is its index
 * @block: in units of BLOCK
 */
struct op {
	bool busy;
	bool write;
	u32 block;
};

/**
 * struct load - all that is going on
 * @gen:  of each block, how often it was written, 0: not by us
 * @busy: a command on it is outstanding
 */
struct load {
	struct nvme_queue q[LIGHTIOV_MAX_PAIRS];
	u8 *buf[LIGHTIOV_MAX_PAIRS];
	struct op op[LIGHTIOV_MAX_PAIRS][DEPTH];
	u32 gen[SPAN];
	bool busy[SPAN];
	u32 span;
	u32 next;
	unsigned int bad;
};

/* How long ERR may come after CFS. */
#define ERR_MS		20000

/* What is outstanding at a loss comes within this time, if it comes. */
#define LAST_MS		2000

/*
 * Until then all memory is pinned.  VFIO's type1 holds a lock of the container while its
 * worker sleeps, and who pins would wait for that, with the means to wake it.
 */
#define ASLEEP_AFTER	2000

static bool stop;
static int err_fd = -1;
static int sleeper = -1;

static void on_term(int sig)
{
	WRITE_ONCE(stop, true);
}

static u32 seed_of(struct load *l, u32 block)
{
	return block * 2654435761U + l->gen[block];
}

static void submit(struct nvme *n, struct load *l, unsigned int i)
{
	u32 per = n->lba < BLOCK ? BLOCK / n->lba : 1;
	bool rang = false;
	unsigned int k;

	for (k = 0; k < DEPTH - 1; k++) {
		struct op *op = &l->op[i][k];
		u8 *buf = l->buf[i] + k * BLOCK;
		struct nvme_sqe sqe;

		if (op->busy)
			continue;
		op->block = l->next++ * 7919 % l->span;
		if (l->busy[op->block])
			continue;
		l->busy[op->block] = true;
		op->busy = true;
		op->write = !l->gen[op->block] || l->next % 4 == 3;
		if (op->write) {
			l->gen[op->block]++;
			fill_pattern(buf, BLOCK, seed_of(l, op->block));
		}
		sqe = cmd_rw(n, op->write ? IO_WRITE : IO_READ, op->block * per, per, buf);
		l->q[i].next_cid = k;
		nvme_queue_cmd(&l->q[i], &sqe);
		rang = true;
	}
	if (rang)
		nvme_ring(n, &l->q[i]);
}

static unsigned int reap(struct nvme *n, struct load *l, unsigned int i)
{
	unsigned int got = 0;
	struct nvme_cqe cqe;

	while (nvme_reap(n, &l->q[i], &cqe)) {
		int status = nvme_status(&cqe);
		struct op *op = &l->op[i][cqe.cid % DEPTH];

		got++;
		if (cqe.cid >= DEPTH || !op->busy) {
			diag("pair %u: a completion of CID %x", i + 1, cqe.cid);
			l->bad++;
			continue;
		}
		op->busy = false;
		l->busy[op->block] = false;
		if (status && l->bad++ < 10)
			diag("pair %u: status %x", i + 1, status);
		if (!status && !op->write &&
		    !check_pattern(l->buf[i] + cqe.cid * BLOCK, BLOCK, seed_of(l, op->block)) &&
		    l->bad++ < 10)
			diag("pair %u: block %u holds other data", i + 1, op->block);
	}
	return got;
}

static void say_err(int ms)
{
	diag("ERR was raised %llu times", vfio_event_wait(err_fd, ms));
}

static unsigned int reap_for(struct nvme *n, struct load *l, u64 ms)
{
	u64 end = now_ms() + ms;
	unsigned int i, got = 0;

	for (; now_ms() < end; sleep_us(1000))
		for (i = 0; i < n->nr_pairs; i++)
			got += reap(n, l, i);
	return got;
}

/* The host waits for the instance, and who wakes it is here. */
static void nothing_comes_after_it(struct nvme *n, struct load *l)
{
	unsigned int i, got;

	reap_for(n, l, LAST_MS);
	for (i = 0; i < n->nr_pairs; i++) {
		/* As if nothing were outstanding: for each a command that is new. */
		memset(l->op[i], 0, sizeof(l->op[i]));
		memset(l->busy, 0, sizeof(l->busy));
		submit(n, l, i);
	}
	got = reap_for(n, l, LAST_MS);
	if (got)
		diag("%u commands were done after it", got);
	else
		diag("nothing was done after it");
	close(sleeper);
}

static int run(struct nvme *n, struct load *l, unsigned long total)
{
	u64 last = now_ms();
	unsigned long done = 0;
	bool ready = false;
	unsigned int i, got;

	while (!READ_ONCE(stop) && (!total || done < total)) {
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
			if (sleeper >= 0)
				nothing_comes_after_it(n, l);
			say_err(ERR_MS);
			return KSFT_FAIL;
		}
	}
	diag("%lu I/Os, %u failed", done, l->bad);
	say_err(0);
	return l->bad ? KSFT_FAIL : KSFT_PASS;
}

/* Stamps over all of the namespace: written, or looked for. */
static int canary(struct nvme *n, struct nvme_queue *q, u16 id, bool write)
{
	u32 len = n->max_xfer, nlb;
	u8 *buf = nvme_alloc(n, len);
	u64 slba;

	for (slba = 0; slba < n->nsze; slba += nlb) {
		long bad;
		int rc;

		nlb = n->nsze - slba < len / n->lba ? n->nsze - slba : len / n->lba;
		if (write)
			stamp_fill(buf, nlb * n->lba, id, slba * n->lba);
		rc = nvme_io(n, q, write ? IO_WRITE : IO_READ, slba, nlb, buf);
		if (rc) {
			diag("LBA %llu: status %x", slba, rc);
			return KSFT_FAIL;
		}
		bad = write ? -1 : stamp_check(buf, nlb * n->lba, id, slba * n->lba);
		if (bad >= 0) {
			diag("LBA %llu holds other data", slba + bad / n->lba);
			return KSFT_FAIL;
		}
	}
	return KSFT_PASS;
}

static int canaries(struct nvme *n, u16 id)
{
	struct nvme_queue q;

	if (nvme_create_pair(n, &q, 1, DEPTH, DEPTH, 0) || canary(n, &q, id, true) ||
	    nvme_io(n, &q, IO_FLUSH, 0, 0, NULL) || canary(n, &q, id, false))
		return KSFT_FAIL;
	diag("%llu blocks of area %u", n->nsze, id);
	return KSFT_PASS;
}

static int cycle(struct nvme *n, unsigned long total, bool asleep)
{
	u32 per = n->lba < BLOCK ? BLOCK / n->lba : 1;
	static struct load l;
	unsigned int i;

	err_fd = vfio_event_on(&n->v, VFIO_PCI_ERR_IRQ_INDEX);
	if (err_fd < 0)
		diag("no ERR: %s", strerror(-err_fd));
	l.span = n->nsze / per < SPAN ? n->nsze / per : SPAN;
	for (i = 0; i < n->nr_pairs; i++) {
		l.buf[i] = nvme_alloc(n, DEPTH * BLOCK);
		if (!l.buf[i] || nvme_create_pair(n, &l.q[i], i + 1, DEPTH, DEPTH,
						  (i + 1) % n->v.nr_vectors))
			return KSFT_FAIL;
	}
	if (asleep && run(n, &l, ASLEEP_AFTER))
		return KSFT_FAIL;
	sleeper = asleep ? sleeper_begin(n) : -1;
	if (asleep && sleeper < 0) {
		diag("it does not fall asleep: %s", strerror(-sleeper));
		return KSFT_FAIL;
	}
	if (asleep)
		diag("it sleeps");
	return run(n, &l, total);
}

int main(int argc, char **argv)
{
	const char *uuid = test_uuid(argc, argv);
	bool stamps = argc > 3 && !strcmp(argv[2], "canary");
	size_t kib = argc > 3 && !stamps ? strtoul(argv[3], NULL, 0) : 0;
	static struct nvme n;
	int rc;

	if (!uuid)
		return test_skip_all("usage: liov_cycle UUID [N [KIB] | asleep | canary ID]");
	signal(SIGTERM, on_term);
	if (kib ? nvme_open_mem(&n, uuid, kib * 1024) : nvme_open(&n, uuid))
		return KSFT_FAIL;
	if (stamps)
		rc = canaries(&n, strtoul(argv[3], NULL, 0));
	else
		rc = cycle(&n, argc > 2 ? strtoul(argv[2], NULL, 0) : 0,
			   argc > 2 && !strcmp(argv[2], "asleep"));
	nvme_close(&n);
	return rc;
}
