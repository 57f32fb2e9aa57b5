// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "costs": what one instance can make the drive do for it is bounded.  Commands
 * without data have limits in Identify CNS 06h that are kept, and not more than 64 MiB of
 * them are in flight; admin commands are answered from copies or limited in their rate; a
 * shutdown flushes the drive's cache, once.
 */
#include <stdio.h>
#include <string.h>

#include "basic.h"

#define LOAD_MAX	(64LL << 20)
/* Commands that may reach the drive at once, and per second after that. */
#define ADMIN_BURST	256
#define ADMIN_RATE	128
#define LOOPS		300
#define FLOOD		48

/**
 * struct limits - Identify CNS 06h, in bytes
 * @ranges: of Dataset Management
 */
struct limits {
	u32 verify, zeroes, uncor, ranges;
	u64 dsm_range, dsm;
};

static bool limits_of(struct test *t, struct nvme *n, struct limits *l)
{
	u8 *buf = nvme_alloc(n, SZ_4K);
	struct nvme_sqe sqe = cmd_identify(6, 0, nvme_dma(n, buf));
	u32 dmrsl;

	memset(buf, 0xff, SZ_4K);
	if (!EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify CNS 06h", SC_OK))
		return false;
	l->verify = buf[0] ? n->page << buf[0] : 0;
	l->zeroes = buf[1] ? n->page << buf[1] : 0;
	l->uncor = buf[2] ? n->page << buf[2] : 0;
	l->ranges = buf[3] ? buf[3] : 256;
	memcpy(&dmrsl, buf + 4, 4);
	memcpy(&l->dsm, buf + 8, 8);
	l->dsm_range = (u64)dmrsl * n->lba;
	l->dsm *= n->lba;
	return true;
}

u32 zeroes_limit(struct test *t, struct nvme *n)
{
	struct limits l;

	return (n->oncs & ONCS_WRITE_ZEROES) && limits_of(t, n, &l) ? l.zeroes : 0;
}

static void limits_are_told(struct test *t, struct nvme *n)
{
	struct limits l;

	if (!limits_of(t, n, &l))
		return;
	diag("Verify %u, Write Zeroes %u, Write Uncorrectable %u, DSM %llu of %llu in %u", l.verify,
	     l.zeroes, l.uncor, l.dsm_range, l.dsm, l.ranges);
	if (n->oncs & ONCS_VERIFY)
		EXPECT(t, l.verify && l.verify <= 8 * SZ_1M, "Verify %u", l.verify);
	if (n->oncs & ONCS_WRITE_ZEROES)
		EXPECT(t, l.zeroes && l.zeroes <= 8 * SZ_1M, "Write Zeroes %u", l.zeroes);
	if (n->oncs & ONCS_WRITE_UNC)
		EXPECT(t, l.uncor && l.uncor <= 8 * SZ_1M, "Write Uncorrectable %u", l.uncor);
	if (n->oncs & ONCS_DSM)
		EXPECT(t, l.dsm_range && l.dsm && l.dsm <= 32ULL << 30, "DSM %llu", l.dsm);
}

static void one_limit(struct test *t, struct nvme *n, struct nvme_queue *q, u8 opcode, u32 bytes)
{
	u32 nlb = bytes / n->lba;
	struct nvme_sqe sqe;

	if (nlb + 1 > n->nsze || nlb > 0xffff) {
		diag("opcode %02x: %u bytes do not fit the namespace", opcode, bytes);
		return;
	}
	sqe = cmd_rw(n, opcode, 0, nlb, NULL);
	EXPECT_SC(t, nvme_cmd(n, q, &sqe), "at its limit", SC_OK);
	sqe = cmd_rw(n, opcode, 0, nlb + 1, NULL);
	EXPECT_SC(t, nvme_cmd(n, q, &sqe), "beyond it", SC_INVALID_FIELD);
}

static void limits_are_kept(struct test *t, struct nvme *n)
{
	struct nvme_dsm *r = nvme_alloc(n, SZ_4K);
	struct nvme_queue q;
	struct nvme_sqe sqe;
	struct limits l;

	if (!limits_of(t, n, &l) || !basic_queue(t, n, &q))
		return;
	if (n->oncs & ONCS_WRITE_ZEROES)
		one_limit(t, n, &q, IO_WRITE_ZEROES, l.zeroes);
	if (n->oncs & ONCS_VERIFY)
		one_limit(t, n, &q, IO_VERIFY, l.verify);
	if (!(n->oncs & ONCS_DSM))
		return;
	/* ranges of no block */
	sqe = (struct nvme_sqe){ .opcode = IO_DSM, .nsid = n->nsid, .prp1 = nvme_dma(n, r),
				 .cdw10 = l.ranges - 1, .cdw11 = DSM_AD };
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "all ranges", SC_OK);
	if (l.ranges == 256)
		return;
	sqe.cdw10++;
	EXPECT_SC(t, nvme_cmd(n, &q, &sqe), "one more", SC_SIZE_LIMIT);
}

/* The @i-th command of a flood: all kinds that move no data. */
static struct nvme_sqe flood_cmd(struct nvme *n, const struct limits *l, unsigned int i,
				 const void *ranges)
{
	if (i % 8 == 3)
		return (struct nvme_sqe){ .opcode = IO_FLUSH, .nsid = n->nsid };
	if (i % 8 == 5 && (n->oncs & ONCS_DSM))
		return (struct nvme_sqe){ .opcode = IO_DSM, .nsid = n->nsid,
					  .prp1 = nvme_dma(n, ranges), .cdw11 = DSM_AD };
	if (i % 8 == 7 && (n->oncs & ONCS_VERIFY))
		return cmd_rw(n, IO_VERIFY, 0, l->verify / n->lba, NULL);
	return cmd_rw(n, IO_WRITE_ZEROES, 0, l->zeroes / n->lba, NULL);
}

static void flood_is_bounded(struct test *t, struct nvme *n)
{
	struct nvme_queue q[LIGHTIOV_MAX_PAIRS + 1];
	struct nvme_dsm *r = nvme_alloc(n, SZ_4K);
	long long held, now, most = 0;
	u64 end = now_ms() + 3 * WAIT_MS;
	unsigned int i, nr = 0, want;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;
	struct limits l;
	u16 qid;

	if (!(n->oncs & ONCS_WRITE_ZEROES)) {
		t->skipped = "no Write Zeroes";
		return;
	}
	held = basic_stat(t, n, "held_load");
	if (!limits_of(t, n, &l) || l.zeroes / n->lba > n->nsze || l.verify / n->lba > n->nsze) {
		t->skipped = "too small a namespace";
		return;
	}
	r[0] = (struct nvme_dsm){ 0, 8, 8 };
	for (qid = 1; qid <= n->nr_pairs; qid++) {
		if (!EXPECT(t, !nvme_create_pair(n, &q[qid], qid, 64, 64, 0), "pair %u", qid))
			return;
		for (i = 0; i < FLOOD; i++) {
			sqe = flood_cmd(n, &l, i, r);
			nvme_queue_cmd(&q[qid], &sqe);
		}
	}
	for (qid = 1; qid <= n->nr_pairs; qid++)
		nvme_ring(n, &q[qid]);
	want = FLOOD * n->nr_pairs;
	while (nr < want && now_ms() < end && !t->failed) {
		now = basic_stat(t, n, "load");
		most = now > most ? now : most;
		for (qid = 1; qid <= n->nr_pairs; qid++) {
			while (nvme_reap(n, &q[qid], &cqe)) {
				EXPECT(t, !nvme_status(&cqe), "status %x", nvme_status(&cqe));
				nr++;
			}
		}
	}
	EXPECT(t, nr == want, "%u of %u came back", nr, want);
	diag("%u commands; seen in flight %lld bytes, at most %lld; held back %lld times", nr, most,
	     basic_stat(t, n, "load_most"), basic_stat(t, n, "held_load") - held);
	EXPECT(t, most <= LOAD_MAX, "%lld bytes in flight", most);
	EXPECT(t, basic_stat(t, n, "load_most") <= LOAD_MAX, "more than %lld", LOAD_MAX);
	EXPECT(t, basic_stat(t, n, "held_load") > held, "none was held back");
	EXPECT(t, !basic_stat(t, n, "load"), "%lld is left", basic_stat(t, n, "load"));
}

/* Queues are deleted and the controller reset with commands in flight and held back. */
static void nothing_is_left_of_a_flood(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	struct nvme_sqe sqe;
	struct limits l;
	unsigned int i, round;

	if (!(n->oncs & ONCS_WRITE_ZEROES)) {
		t->skipped = "no Write Zeroes";
		return;
	}
	for (round = 0; round < 6 && !t->failed; round++) {
		if (!limits_of(t, n, &l) || !basic_queue(t, n, &q))
			return;
		for (i = 0; i < q.sq_depth - 1; i++) {
			sqe = cmd_rw(n, IO_WRITE_ZEROES, 0, l.zeroes / n->lba, NULL);
			nvme_queue_cmd(&q, &sqe);
		}
		nvme_ring(n, &q);
		if (round % 3 == 0)
			EXPECT(t, !nvme_delete_all(n), "delete");
		else
			EXPECT(t, !(round % 3 == 1 ? nvme_start(n) : nvme_restart(n)), "reset");
		EXPECT(t, !basic_stat(t, n, "load"), "round %u: %lld is left", round,
		       basic_stat(t, n, "load"));
		nvme_free_all(n);
	}
}

static void answers_come_from_copies(struct test *t, struct nvme *n)
{
	long long sent = basic_stat(t, n, "admin_forwarded"), now;
	u64 dma = nvme_dma(n, nvme_alloc(n, SZ_4K)), start = now_ms();
	struct nvme_sqe sqe[] = {
		cmd_identify(0, n->nsid, dma), cmd_identify(1, 0, dma),
		cmd_identify(5, n->nsid, dma), cmd_identify(6, 0, dma),
		cmd_log(2, 0xffffffff, dma, 512), cmd_log(3, 0xffffffff, dma, 512),
	};
	unsigned int i;

	for (i = 0; i < LOOPS && !t->failed; i++)
		EXPECT_SC(t, nvme_admin(n, &sqe[i % ARRAY_SIZE(sqe)], NULL), "answer", SC_OK);
	now = basic_stat(t, n, "admin_forwarded");
	/* SMART once a second. */
	EXPECT(t, now - sent <= (long long)(now_ms() - start) / 1000 + 1,
	       "%lld of %u went to the drive in %llu ms", now - sent, LOOPS, now_ms() - start);
}

/* Each open asks the drive whether all is what it was; not all the time. */
#define OPENS		60

static void opening_all_day_costs_nothing(struct test *t, struct nvme *n)
{
	long long sent = basic_stat(t, n, "admin_forwarded");
	u64 start = now_ms(), seconds;
	unsigned int i;
	int rc = 0;

	for (i = 0; !rc && i < OPENS; i++) {
		vfio_close_device(&n->v);
		rc = vfio_open_device(&n->v, n->uuid);
	}
	if (!EXPECT(t, !rc, "open %u: %s", i, strerror(-rc)))
		return;
	seconds = (now_ms() - start) / 1000 + 2;
	sent = basic_stat(t, n, "admin_forwarded") - sent;
	diag("%u opens in %llu ms, %lld commands", OPENS, now_ms() - start, sent);
	EXPECT(t, sent <= 3 * (long long)seconds, "%lld commands to the drive", sent);
	EXPECT(t, !nvme_restart(n), "it does not work after that");
}

static void queue_loop_is_limited(struct test *t, struct nvme *n)
{
	u64 dma = nvme_dma(n, nvme_alloc(n, SZ_4K)), start = now_ms(), ms;
	long long sent = basic_stat(t, n, "admin_forwarded");
	unsigned int i;

	for (i = 0; i < 2 * LOOPS && !t->failed; i++) {
		struct nvme_sqe sqe = i & 1 ? cmd_delete(ADM_DELETE_CQ, 1) :
					      cmd_create_cq(1, 8, dma, 0);

		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Create and Delete", SC_OK);
	}
	ms = now_ms() - start;
	sent = basic_stat(t, n, "admin_forwarded") - sent;
	diag("%lld in %llu ms, %lld delayed so far", sent, ms, basic_stat(t, n, "admin_delayed"));
	/* Where queue pairs are shared the drive has no part in it. */
	EXPECT(t, sent == (nvme_is_shared(n) ? 0 : 2 * LOOPS), "%lld of %u went to the drive", sent,
	       2 * LOOPS);
	EXPECT(t, sent <= ADMIN_BURST + (long long)(ms + 1000) * ADMIN_RATE / 1000,
	       "%lld in %llu ms", sent, ms);
}

static void shut_down(struct test *t, struct nvme *n)
{
	nvme_put32(n, REG_CC, nvme_get32(n, REG_CC) | CC_SHN(1));
	EXPECT(t, !nvme_wait_csts(n, CSTS_SHST, CSTS_SHST_DONE, 3 * n->timeout_ms),
	       "CSTS %#x after the shutdown notification", nvme_get32(n, REG_CSTS));
}

static void shutdown_flushes(struct test *t, struct nvme *n)
{
	long long flushes = basic_stat(t, n, "flushes");
	struct nvme_queue q;

	if (!(n->id[525] & 1)) {
		t->skipped = "no volatile write cache";
		return;
	}
	if (!basic_queue(t, n, &q))
		return;
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 0, 1, nvme_alloc(n, SZ_4K)), "write", SC_OK);
	shut_down(t, n);
	EXPECT(t, basic_stat(t, n, "flushes") == flushes + 1, "%lld flushes, were %lld",
	       basic_stat(t, n, "flushes"), flushes);
	/* Nothing new: a guest that does nothing else costs nothing. */
	if (!EXPECT(t, !nvme_start(n), "does not come up again"))
		return;
	shut_down(t, n);
	EXPECT(t, n->direct || basic_stat(t, n, "flushes") == flushes + 1, "flushed again");
}

static struct test tests[] = {
	{ "limits_of_commands_without_data_are_told", limits_are_told, TEST_GUARDED },
	{ "limits_of_commands_without_data_are_kept", limits_are_kept, TEST_GUARDED },
	{ "flood_without_data_is_bounded_and_completes", flood_is_bounded, TEST_GUARDED },
	{ "nothing_is_left_of_a_flood_that_was_cut_off", nothing_is_left_of_a_flood,
	  TEST_GUARDED | TEST_RESETS },
	{ "identify_and_logs_come_from_copies", answers_come_from_copies },
	{ "loop_of_queues_is_limited", queue_loop_is_limited },
	{ "opening_all_day_costs_nothing", opening_all_day_costs_nothing, TEST_RESETS },
	{ "shutdown_flushes_the_drives_cache", shutdown_flushes, TEST_RESETS },
};

const struct suite suite_costs = { "costs", tests, ARRAY_SIZE(tests) };
