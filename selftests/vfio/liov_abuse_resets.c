// SPDX-License-Identifier: GPL-2.0
/*
 * liov_abuse_resets UUID [N]: resets the function N times with I/O in flight, in turns by
 * VFIO_DEVICE_RESET and by FLR, while a second thread rings doorbells of every queue
 * with any value and switches CC.EN off and on.
 *
 * After each reset nothing may be written to the memory that commands named, and the
 * device is brought up again and does verified I/O: what a block reads is what was
 * last written to it, however many resets ago.  WRITES to the first MiBs of the
 * instance's namespace.
 *
 * Two threads: the second one, the meddler, only ever writes to the device's regions,
 * and only between meddle() and rest(); everything else is the first one's alone.
 *
 * Exit code: 0 it did all of it, 1 something failed, 4 no instance given.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/health.h"

#define DEPTH		64
#define SLOTS		(DEPTH - 1)
#define BLOCK		4096
/* Blocks whose content is known, and those behind them that the load writes to. */
#define KNOWN		256
#define LOAD		256
/* Halves of the device's memory: rings below, buffers above. */
#define HALF		(8 * SZ_1M)
/* Nothing a command writes looks like it. */
#define UNTOUCHED	0x77

enum { RESTING, MEDDLING, ENDING };

/**
 * struct resets - all that is going on
 * @state:   what the meddler shall do; @resting: it rests
 * @buf:     a page for each command of the load, then one for verified I/O
 * @gen:     of each known block, how often it was written
 * @stores:  of the meddler: doorbells rung, @toggles: of CC.EN
 * @cut:     commands that a reset found outstanding
 */
struct resets {
	struct nvme n;
	struct nvme_queue q[LIGHTIOV_MAX_PAIRS];
	pthread_t meddler;
	int state;
	bool resting;
	u32 rng;
	u8 *buf;
	u32 nr_bufs;
	u32 gen[KNOWN];
	unsigned long stores, toggles;
	unsigned long cut, sent;
};

static u32 rnd(u32 *x, u32 below)
{
	*x ^= *x << 13;
	*x ^= *x >> 17;
	*x ^= *x << 5;
	return *x % below;
}

/* ---- the meddler ---- */

static void ring_any(struct resets *r, u32 *rng)
{
	u16 qid = rnd(rng, r->n.nr_pairs + 2);
	/* In direct mode what the ring holds is run again: reads and writes of ours. */
	u32 val = rnd(rng, 4) ? rnd(rng, DEPTH) : *rng;

	vfio_put(&r->n.v, BAR0, rnd(rng, 2) ? nvme_sq_db(&r->n, qid) : nvme_cq_db(&r->n, qid),
		 4, val);
	r->stores++;
}

static void *meddler(void *arg)
{
	struct resets *r = arg;
	u32 rng = 0x5eed, mps = r->n.cap >> 48 & 0xf;
	bool on = false;

	for (;;) {
		int state = READ_ONCE(r->state);

		WRITE_ONCE(r->resting, state != MEDDLING);
		if (state == ENDING)
			return NULL;
		if (state == RESTING) {
			sleep_us(50);
			continue;
		}
		if (rnd(&rng, 6)) {
			ring_any(r, &rng);
			continue;
		}
		nvme_put32(&r->n, REG_CC, (on ? CC_EN : 0) | CC_MPS(mps) | CC_IOSQES | CC_IOCQES);
		on = !on;
		r->toggles++;
	}
}

static void meddle(struct resets *r)
{
	WRITE_ONCE(r->resting, false);
	WRITE_ONCE(r->state, MEDDLING);
}

static void rest(struct resets *r)
{
	WRITE_ONCE(r->state, RESTING);
	while (!__atomic_load_n(&r->resting, __ATOMIC_ACQUIRE))
		sleep_us(50);
}

/* ---- one round ---- */

static u32 per_block(struct resets *r)
{
	return r->n.lba < BLOCK ? BLOCK / r->n.lba : 1;
}

static u32 seed_of(struct resets *r, u32 block)
{
	return block * 2654435761U + r->gen[block];
}

static bool read_back(struct resets *r, u32 block, u8 *buf, const char *when)
{
	int rc;

	memset(buf, 0, BLOCK);
	rc = nvme_io(&r->n, &r->q[0], IO_READ, (u64)block * per_block(r), per_block(r), buf);
	if (rc) {
		diag("block %u, %s: status %x", block, when, rc);
		return false;
	}
	if (check_pattern(buf, BLOCK, seed_of(r, block)))
		return true;
	diag("block %u, %s: other data", block, when);
	return false;
}

/* A known block holds what it held before the reset, and can be written and read. */
static bool verified_io(struct resets *r, unsigned int round)
{
	u8 *buf = r->buf + (size_t)r->nr_bufs * BLOCK;
	u32 block = round * 7 % KNOWN, old = rnd(&r->rng, KNOWN);
	int rc;

	if (r->gen[old] && !read_back(r, old, buf, "written before"))
		return false;
	r->gen[block]++;
	fill_pattern(buf, BLOCK, seed_of(r, block));
	rc = nvme_io(&r->n, &r->q[0], IO_WRITE, (u64)block * per_block(r), per_block(r), buf);
	if (rc) {
		diag("write of block %u: status %x", block, rc);
		return false;
	}
	return read_back(r, block, buf, "just written");
}

static bool make_pairs(struct resets *r)
{
	unsigned int i;
	int rc;

	for (i = 0; i < r->n.nr_pairs; i++) {
		rc = nvme_create_pair(&r->n, &r->q[i], i + 1, DEPTH, DEPTH,
				      (i + 1) % r->n.v.nr_vectors);
		if (rc) {
			diag("no pair %u: status %x", i + 1, rc);
			return false;
		}
	}
	return true;
}

static void start_load(struct resets *r)
{
	u32 per = per_block(r), i, k;

	for (i = 0; i < r->n.nr_pairs; i++) {
		for (k = 0; k < SLOTS; k++) {
			struct nvme_sqe sqe = cmd_rw(&r->n, k % 3 ? IO_READ : IO_WRITE,
						     (u64)(KNOWN + rnd(&r->rng, LOAD)) * per, per,
						     r->buf + (size_t)(i * SLOTS + k) * BLOCK);

			nvme_queue_cmd(&r->q[i], &sqe);
		}
		nvme_ring(&r->n, &r->q[i]);
		r->sent += SLOTS;
	}
}

/* Commands without a completion so far; a guess, as the meddler runs some twice. */
static unsigned int outstanding(struct resets *r)
{
	unsigned int i, left = 0;

	for (i = 0; i < r->n.nr_pairs; i++) {
		struct nvme_queue *q = &r->q[i];
		u32 pos = q->head, n = 0;
		u8 phase = q->phase;

		while (n < SLOTS && (READ_ONCE(q->cq[pos].status) & 1) == phase) {
			n++;
			if (++pos == DEPTH) {
				pos = 0;
				phase ^= 1;
			}
		}
		left += SLOTS - n;
	}
	return left;
}

static bool untouched(struct resets *r)
{
	size_t len = (size_t)r->nr_bufs * BLOCK;

	return r->buf[0] == UNTOUCHED && !memcmp(r->buf, r->buf + 1, len - 1);
}

static bool is_reset(struct resets *r)
{
	u64 cmd = vfio_get(&r->n.v, CFG, PCI_COMMAND, 2);

	if (!(cmd & (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)))
		return true;
	diag("COMMAND is %#llx after it", cmd);
	return false;
}

static bool one_reset(struct resets *r, unsigned int round)
{
	bool flr = round % 2;
	int rc;

	start_load(r);
	meddle(r);
	sleep_us(rnd(&r->rng, 4000));
	r->cut += outstanding(r);
	rc = flr ? nvme_flr(&r->n) : vfio_reset(&r->n.v);
	/* What it left is meddled with, too. */
	sleep_us(rnd(&r->rng, 1000));
	rest(r);
	if (rc) {
		diag("%s: %d", flr ? "FLR" : "VFIO_DEVICE_RESET", rc);
		return false;
	}
	if (!is_reset(r))
		return false;
	memset(r->buf, UNTOUCHED, (size_t)r->nr_bufs * BLOCK);
	rc = nvme_start(&r->n);
	return !rc && make_pairs(r) && verified_io(r, round);
}

static bool run(struct resets *r, unsigned int total)
{
	long long pinned;
	unsigned int i;

	for (i = 0; i < total; i++) {
		if (!one_reset(r, i)) {
			diag("at reset %u", i + 1);
			return false;
		}
		if (!untouched(r)) {
			diag("reset %u: memory was written to after it", i + 1);
			return false;
		}
		pinned = nvme_sysfs(&r->n, "stats/pinned_bytes");
		/* The rings once more, in guarded mode. */
		if (pinned < 0 || pinned > (long long)(r->n.v.mem_len + SZ_1M)) {
			diag("reset %u: %lld bytes are pinned of %zu", i + 1, pinned,
			     r->n.v.mem_len);
			return false;
		}
	}
	return true;
}

static int with_meddler(struct resets *r, unsigned int total)
{
	bool ok;

	r->rng = 0xf1f1f1;
	r->buf = (u8 *)r->n.v.mem + HALF;
	r->nr_bufs = r->n.nr_pairs * SLOTS;
	if (r->n.nsze < (u64)(KNOWN + LOAD) * per_block(r)) {
		diag("the namespace is too small");
		return KSFT_FAIL;
	}
	if (!make_pairs(r))
		return KSFT_FAIL;
	if (pthread_create(&r->meddler, NULL, meddler, r)) {
		diag("no thread");
		return KSFT_FAIL;
	}
	ok = run(r, total);
	WRITE_ONCE(r->state, ENDING);
	pthread_join(r->meddler, NULL);
	diag("%u times, %lu of %lu commands were outstanding", total, r->cut, r->sent);
	diag("meanwhile %lu doorbells and %lu times CC", r->stores, r->toggles);
	if (ok && total && (!r->cut || !r->stores || !r->toggles)) {
		diag("nothing was in the middle of anything");
		ok = false;
	}
	return ok ? KSFT_PASS : KSFT_FAIL;
}

int main(int argc, char **argv)
{
	const char *uuid = test_uuid(argc, argv);
	static struct resets r;
	int rc;

	if (!uuid)
		return test_skip_all("usage: liov_abuse_resets UUID [N]");
	if (nvme_open(&r.n, uuid))
		return KSFT_FAIL;
	rc = with_meddler(&r, argc > 2 ? strtoul(argv[2], NULL, 0) : 100);
	nvme_close(&r.n);
	return rc;
}
