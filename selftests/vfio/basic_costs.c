// SPDX-License-Identifier: GPL-2.0
/*
 * Suite "costs": what one instance can make the drive do for it is bounded.  Commands
 * without data have limits in Identify CNS 06h that are kept; admin commands are answered from copies or limited in their rate.
 */
#include <stdio.h>
#include <string.h>

#include "basic.h"

/* Commands that may reach the drive at once, and per second after that. */
#define ADMIN_BURST	256
#define ADMIN_RATE	128
#define LOOPS		300

static long long stat_of(struct test *t, struct nvme *n, const char *name)
{
	char path[64];
	long long val;

	snprintf(path, sizeof(path), "stats/%s", name);
	val = nvme_sysfs(n, path);
	EXPECT(t, val >= 0, "%s: %s", path, strerror(-val));
	return val;
}

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

static void answers_come_from_copies(struct test *t, struct nvme *n)
{
	long long sent = stat_of(t, n, "admin_forwarded"), now;
	u64 dma = nvme_dma(n, nvme_alloc(n, SZ_4K)), start = now_ms();
	struct nvme_sqe sqe[] = {
		cmd_identify(0, n->nsid, dma), cmd_identify(1, 0, dma),
		cmd_identify(5, n->nsid, dma), cmd_identify(6, 0, dma),
		cmd_log(2, 0xffffffff, dma, 512), cmd_log(3, 0xffffffff, dma, 512),
	};
	unsigned int i;

	for (i = 0; i < LOOPS && !t->failed; i++)
		EXPECT_SC(t, nvme_admin(n, &sqe[i % ARRAY_SIZE(sqe)], NULL), "answer", SC_OK);
	now = stat_of(t, n, "admin_forwarded");
	/* SMART once a second. */
	EXPECT(t, now - sent <= (long long)(now_ms() - start) / 1000 + 1,
	       "%lld of %u went to the drive in %llu ms", now - sent, LOOPS, now_ms() - start);
}

static void queue_loop_is_limited(struct test *t, struct nvme *n)
{
	u64 dma = nvme_dma(n, nvme_alloc(n, SZ_4K)), start = now_ms(), ms;
	long long sent = stat_of(t, n, "admin_forwarded");
	unsigned int i;

	for (i = 0; i < 2 * LOOPS && !t->failed; i++) {
		struct nvme_sqe sqe = i & 1 ? cmd_delete(ADM_DELETE_CQ, 1) :
					      cmd_create_cq(1, 8, dma, 0);

		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Create and Delete", SC_OK);
	}
	ms = now_ms() - start;
	sent = stat_of(t, n, "admin_forwarded") - sent;
	diag("%lld in %llu ms, %lld delayed so far", sent, ms, stat_of(t, n, "admin_delayed"));
	EXPECT(t, sent == 2 * LOOPS, "%lld of %u went to the drive", sent, 2 * LOOPS);
	EXPECT(t, sent <= ADMIN_BURST + (long long)(ms + 1000) * ADMIN_RATE / 1000,
	       "%lld in %llu ms", sent, ms);
}

static struct test tests[] = {
	{ "limits_of_commands_without_data_are_told", limits_are_told, TEST_GUARDED },
	{ "limits_of_commands_without_data_are_kept", limits_are_kept, TEST_GUARDED },
	{ "identify_and_logs_come_from_copies", answers_come_from_copies },
	{ "loop_of_queues_is_limited", queue_loop_is_limited },
};

const struct suite suite_costs = { "costs", tests, ARRAY_SIZE(tests) };
