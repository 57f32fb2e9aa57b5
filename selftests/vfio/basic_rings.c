// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "rings": no completion is lost, doubled or written where one still lies,
 * whatever the shape of the rings and whoever is slow; commands end when they are
 * aborted, deleted or reset away.
 */
#include <stdio.h>
#include <string.h>

#include "basic.h"

#define CIDS		0x400

/**
 * struct seen - which commands of a test came back
 * @times: completions of each CID
 * @nr:    of all
 */
struct seen {
	u8 times[CIDS];
	unsigned int nr;
};

static void take(struct test *t, struct nvme *n, struct nvme_queue *q, struct seen *s)
{
	struct nvme_cqe cqe;

	while (nvme_reap(n, q, &cqe)) {
		EXPECT(t, !nvme_status(&cqe), "CID %x: status %x", cqe.cid, nvme_status(&cqe));
		if (EXPECT(t, cqe.cid < CIDS, "CID %x was never sent", cqe.cid))
			EXPECT(t, ++s->times[cqe.cid] == 1, "CID %x twice", cqe.cid);
		s->nr++;
	}
}

static void take_all(struct test *t, struct nvme *n, struct nvme_queue *q, struct seen *s,
		     unsigned int nr)
{
	u64 end = now_ms() + WAIT_MS;

	while (s->nr < nr && now_ms() < end && !t->failed) {
		take(t, n, q, s);
		sleep_us(100);
	}
	EXPECT(t, s->nr == nr, "%u of %u came back", s->nr, nr);
}

static void queue_reads(struct nvme *n, struct nvme_queue *q, unsigned int nr, void *buf)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, i % 100, 1, buf);

		nvme_queue_cmd(q, &sqe);
	}
}

/* Entries of the CQ ring that carry the phase of the first lap. */
static unsigned int entries(const struct nvme_queue *q)
{
	unsigned int i, nr = 0;

	for (i = 0; i < q->cq_depth; i++)
		nr += __atomic_load_n(&q->cq[i].status, __ATOMIC_ACQUIRE) & 1;
	return nr;
}

static void completions_wait_for_the_head(struct test *t, struct nvme *n)
{
	struct seen s = { 0 };
	struct nvme_queue q;
	unsigned int i;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 4, 0), "no pair"))
		return;
	queue_reads(n, &q, 40, nvme_alloc(n, SZ_4K));
	nvme_ring(n, &q);
	for (i = 0; i < 100 && entries(&q) < 3; i++)
		sleep_us(10000);
	sleep_us(QUIET_MS * 1000);
	/* Four entries hold three: a full ring looks like an empty one. */
	EXPECT(t, entries(&q) == 3, "%u completions in a ring of 4", entries(&q));
	take_all(t, n, &q, &s, 40);
}

/* The head moves one entry at a time, and late. */
static void completions_follow_a_slow_head(struct test *t, struct nvme *n)
{
	struct seen s = { 0 };
	struct nvme_queue q;
	struct nvme_cqe cqe;
	u64 end = now_ms() + WAIT_MS;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 128, 3, 0), "no pair"))
		return;
	queue_reads(n, &q, 100, nvme_alloc(n, SZ_4K));
	nvme_ring(n, &q);
	while (s.nr < 100 && now_ms() < end) {
		sleep_us(1000);
		if (!nvme_reap(n, &q, &cqe))
			continue;
		EXPECT(t, cqe.cid < 100 && !s.times[cqe.cid]++, "CID %x", cqe.cid);
		EXPECT(t, cqe.sqhd <= 100, "SQHD %u", cqe.sqhd);
		s.nr++;
	}
	EXPECT(t, s.nr == 100, "%u of 100 came back", s.nr);
}

static void sqhd_frees_entries(struct test *t, struct nvme *n)
{
	struct nvme_cqe cqe;
	struct nvme_queue q;
	unsigned int i;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 8, 8, 0), "no pair"))
		return;
	for (i = 0; i < 40; i++) {
		struct nvme_sqe sqe = cmd_rw(n, IO_READ, 0, 1, nvme_alloc(n, SZ_4K));

		if (!EXPECT(t, !nvme_wait(n, &q, nvme_submit(n, &q, &sqe), &cqe, WAIT_MS),
			    "read %u", i))
			return;
		EXPECT(t, cqe.sqhd == q.tail, "SQHD %u after tail %u", cqe.sqhd, q.tail);
	}
}

static void rings_of_two_entries_write(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, 2 * SZ_4K);
	struct nvme_queue q;
	unsigned int i;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 2, 2, 0), "no pair"))
		return;
	for (i = 0; i < 50; i++) {
		fill_pattern(buf, n->lba, i);
		EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, i, 1, buf), "write", SC_OK);
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, i, 1, buf + SZ_4K), "read", SC_OK);
		if (!EXPECT(t, check_pattern(buf + SZ_4K, n->lba, i), "round %u", i))
			return;
	}
}

#define NR_SQS		4

/* Whoever made it looks for completions himself; the hardware may interrupt all the same. */
#define POLLED_READS	600

/*
 * Interrupts that nobody said were his, of a vector of the host driver's that this queue
 * borrows; 0 if it has its own.  The kernel switches off one that has too many.
 */
static long unhandled_of_borrowed_vector(void)
{
	char line[512], path[64];
	long unhandled = 0;
	int irq = -1;
	FILE *f;

	f = fopen("/proc/interrupts", "r");
	while (f && irq < 0 && fgets(line, sizeof(line), f))
		if (strstr(line, "nvme") && strstr(line, ", lightiov-"))
			sscanf(line, "%d", &irq);
	if (f)
		fclose(f);
	snprintf(path, sizeof(path), "/proc/irq/%d/spurious", irq);
	f = irq < 0 ? NULL : fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "unhandled %ld", &unhandled);
	if (f)
		fclose(f);
	return unhandled;
}

static void polled_queue_works(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;
	unsigned int i;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 32, 32, NVME_POLLED), "no queue pair"))
		return;
	/* Those of former queues. */
	for (i = 0; i < n->v.nr_vectors; i++)
		vfio_irq_wait(&n->v, i, 0);
	for (i = 0; i < POLLED_READS && !t->failed; i++)
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, nlb_4k(n), buf), "read", SC_OK);
	for (i = 0; i < n->v.nr_vectors; i++)
		EXPECT(t, !vfio_irq_wait(&n->v, i, 0) || !i, "an interrupt on vector %u", i);
	EXPECT(t, unhandled_of_borrowed_vector() < POLLED_READS / 10, "%ld interrupts are nobody's",
	       unhandled_of_borrowed_vector());
}

static void many_sqs_on_one_cq(struct test *t, struct nvme *n)
{
	struct nvme_queue sq[NR_SQS];
	unsigned int sent[NR_SQS] = { 0 }, done[NR_SQS] = { 0 }, nr, i;
	void *buf = nvme_alloc(n, SZ_4K);
	u64 end = now_ms() + WAIT_MS;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;

	nr = n->nr_pairs < NR_SQS ? n->nr_pairs : NR_SQS;
	if (nr < 2) {
		t->skipped = "the instance has one pair";
		return;
	}
	/* Less room in the CQ than the SQs could fill. */
	if (!EXPECT(t, !nvme_create_pair(n, &sq[0], 1, 16, 8, 0), "no pair"))
		return;
	for (i = 1; i < nr; i++) {
		sq[i] = sq[0];
		sq[i].qid = i + 1;
		sq[i].sq = nvme_alloc(n, SZ_4K);
		sqe = cmd_create_sq(i + 1, 16, nvme_dma(n, sq[i].sq), 1);
		if (!EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "another SQ on CQ 1", SC_OK))
			return;
	}
	while (done[0] < 200 && now_ms() < end && !t->failed) {
		for (i = 0; i < nr; i++) {
			while (sent[i] - done[i] < 15) {
				sqe = cmd_rw(n, IO_READ, sent[i] % 100, 1, buf);
				sq[i].next_cid = i << 12 | (sent[i]++ & 0xfff);
				nvme_queue_cmd(&sq[i], &sqe);
			}
			nvme_ring(n, &sq[i]);
		}
		while (nvme_reap(n, &sq[0], &cqe)) {
			i = cqe.cid >> 12;
			if (!EXPECT(t, i < nr && (n->direct || cqe.sqid == i + 1) &&
				    !nvme_status(&cqe) && cqe.sqhd < 16,
				    "SQID %u CID %x SQHD %u status %x", cqe.sqid, cqe.cid,
				    cqe.sqhd, nvme_status(&cqe)))
				return;
			done[i]++;
		}
		sleep_us(100);
	}
	for (i = 0; i < nr; i++)
		EXPECT(t, done[i] >= 50, "SQ %u got %u completions, SQ 1 %u", i + 1, done[i],
		       done[0]);
}

/* An error from the hardware is the guest's, and the next command works. */
static void hardware_errors_reach_the_guest(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;
	unsigned int i;

	if (!(n->oncs & ONCS_COMPARE)) {
		t->skipped = "no command that fails at will";
		return;
	}
	if (!basic_queue(t, n, &q))
		return;
	fill_pattern(buf, n->lba, 31);
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 9, 1, buf), "write", SC_OK);
	for (i = 0; i < 100 && !t->failed; i++) {
		buf[i] ^= 0x80;
		EXPECT_SC(t, nvme_io(n, &q, IO_COMPARE, 9, 1, buf), "compare", SC_COMPARE);
		buf[i] ^= 0x80;
		EXPECT_SC(t, nvme_io(n, &q, IO_COMPARE, 9, 1, buf), "compare", SC_OK);
	}
}

static void aborted_or_done_but_once(struct test *t, struct nvme *n)
{
	unsigned int round, aborted = 0;
	u8 *buf = nvme_alloc(n, n->max_xfer);
	struct nvme_queue q;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 64, 0), "no pair"))
		return;
	for (round = 0; round < 20 && !t->failed; round++) {
		u8 times[40] = { 0 };
		struct nvme_sqe sqe;
		struct nvme_cqe cqe;
		unsigned int i, nr;
		u32 result = 1;
		u16 first = q.next_cid, victim;

		for (i = 0; i < 40; i++) {
			sqe = cmd_rw(n, IO_READ, 0, n->max_xfer / n->lba, NULL);
			nvme_set_prps(n, &sqe, buf, n->max_xfer, q.list);
			nvme_queue_cmd(&q, &sqe);
		}
		nvme_ring(n, &q);
		victim = first + 39 - round;
		sqe = (struct nvme_sqe){ .opcode = ADM_ABORT, .cdw10 = (u32)victim << 16 | 1 };
		EXPECT_SC(t, nvme_admin(n, &sqe, &result), "Abort", SC_OK, SC_ABORT_LIMIT);
		for (nr = 0; nr < 40; nr++) {
			u64 end = now_ms() + WAIT_MS;

			while (!nvme_reap(n, &q, &cqe) && now_ms() < end)
				sleep_us(50);
			if (!EXPECT(t, now_ms() < end, "%u of 40 came back", nr))
				return;
			i = cqe.cid - first;
			if (!EXPECT(t, i < 40 && !times[i]++, "CID %x", cqe.cid))
				return;
			if (cqe.cid != victim)
				EXPECT(t, !nvme_status(&cqe), "another command, status %x",
				       nvme_status(&cqe));
			else if (!(result & 1))
				EXPECT(t, nvme_status(&cqe) == SC_ABORTED,
				       "said to be aborted, status %x", nvme_status(&cqe));
			else
				/* QEMU's drive aborts and says that it did not. */
				EXPECT_SC(t, nvme_status(&cqe), "not aborted", SC_OK, SC_ABORTED);
			aborted += nvme_status(&cqe) == SC_ABORTED;
		}
		sleep_us(1000);
		EXPECT(t, !nvme_reap(n, &q, &cqe), "one more completion");
	}
	diag("%u of 20 were aborted", aborted);
}

/* Deleted while most of its commands wait for a CQ that nobody empties. */
static void sq_with_held_back_commands_goes(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, SZ_4K);
	unsigned int round;

	for (round = 0; round < 5 && !t->failed; round++) {
		struct nvme_queue q;
		struct nvme_sqe sqe;

		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, 4, 0), "no pair"))
			return;
		queue_reads(n, &q, 60, buf);
		nvme_ring(n, &q);
		sleep_us(round * 5000);
		sqe = cmd_delete(ADM_DELETE_SQ, 1);
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete SQ", SC_OK);
		memset(q.cq, 0, SZ_4K);
		/* The head moves, but there is nothing to go on with. */
		vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), 4, 2);
		sleep_us(20000);
		EXPECT(t, !entries(&q), "a completion after the deletion");
		sqe = cmd_delete(ADM_DELETE_CQ, 1);
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete CQ", SC_OK);
		nvme_free_all(n);
	}
}

/* @arg: 0 CC.EN, 1 VFIO_DEVICE_RESET, 2 close. */
static void reset_with_commands_outstanding(struct test *t, struct nvme *n)
{
	unsigned int round;
	int rc;

	for (round = 0; round < 6 && !t->failed; round++) {
		struct nvme_queue q;
		u8 *buf;

		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 64, round & 1 ? 4 : 64, 0), "no pair"))
			return;
		buf = nvme_alloc(n, SZ_1M);
		queue_reads(n, &q, 60, buf);
		nvme_ring(n, &q);
		sleep_us(round * 300);
		if (t->arg == 0) {
			EXPECT(t, !nvme_disable(n), "CC.EN = 0");
		} else if (t->arg == 1) {
			EXPECT(t, !vfio_reset(&n->v), "VFIO_DEVICE_RESET");
		} else {
			vfio_close_device(&n->v);
			if (!EXPECT(t, !vfio_open_device(&n->v, n->uuid), "open"))
				return;
		}
		/* What was outstanding must not reach memory any more. */
		memset(n->v.mem, 0x77, 4 * SZ_1M);
		sleep_us(30000);
		EXPECT(t, !memcmp(n->v.mem, n->v.mem + 1, 4 * SZ_1M - 1),
		       "round %u: written to after the reset", round);
		rc = nvme_start(n);
		if (!EXPECT(t, !rc, "it does not come up (%d)", rc) ||
		    !EXPECT(t, !nvme_check(n), "it does not work"))
			return;
		nvme_free_all(n);
	}
}

static struct test tests[] = {
	{ "completions_wait_for_the_head_to_move", completions_wait_for_the_head, TEST_GUARDED },
	{ "completions_follow_a_slow_head", completions_follow_a_slow_head, TEST_GUARDED },
	{ "sqhd_frees_entries", sqhd_frees_entries },
	{ "rings_of_two_entries_read_and_write", rings_of_two_entries_write },
	{ "polled_queue_works", polled_queue_works },
	{ "many_sqs_share_a_smaller_cq", many_sqs_on_one_cq, TEST_GUARDED },
	{ "hardware_errors_reach_the_guest", hardware_errors_reach_the_guest },
	{ "aborted_or_done_but_once", aborted_or_done_but_once },
	{ "sq_with_held_back_commands_is_deleted", sq_with_held_back_commands_goes,
	  TEST_GUARDED },
	{ "no_dma_after_a_controller_reset", reset_with_commands_outstanding, TEST_RESETS, 0 },
	{ "no_dma_after_a_vfio_reset", reset_with_commands_outstanding, TEST_RESETS, 1 },
	{ "no_dma_after_close", reset_with_commands_outstanding, TEST_RESETS, 2 },
};

const struct suite suite_rings = { "rings", tests, ARRAY_SIZE(tests) };
