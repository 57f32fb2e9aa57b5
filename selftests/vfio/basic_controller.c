// SPDX-License-Identifier: GPL-2.0
/*
 * The controller comes up, identifies itself, does I/O on queues of every shape, with
 * and without interrupts, and works again after every kind of reset.
 */
#include <string.h>

#include "basic.h"

static void id_ctrl_is_sane(struct test *t, struct nvme *n)
{
	u32 nn;

	memcpy(&nn, n->id + 516, sizeof(nn));
	EXPECT(t, (n->id[512] & 0xf) == 6, "SQES %#x", n->id[512]);
	EXPECT(t, (n->id[513] & 0xf) == 4, "CQES %#x", n->id[513]);
	EXPECT(t, nn >= n->nsid, "NN %u, nsid %u", nn, n->nsid);
	EXPECT(t, !memcmp(n->id + 768, "nqn.", 4), "SUBNQN does not start with nqn.");
	EXPECT(t, n->id[4] > ' ', "no serial number");
	EXPECT(t, n->nr_pairs >= 1 && n->nr_pairs <= LIGHTIOV_MAX_PAIRS, "%u pairs",
	       n->nr_pairs);
}

static void doorbells_have_pages_of_their_own(struct test *t, struct nvme *n)
{
	EXPECT(t, n->stride == LIGHTIOV_DB_STRIDE, "stride %u", n->stride);
	EXPECT(t, n->v.region[BAR0].size >= nvme_cq_db(n, n->nr_pairs) + n->stride,
	       "BAR0 has %#llx bytes", n->v.region[BAR0].size);
}

static void admin_queue_wraps(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, buf));
	unsigned int i;

	for (i = 0; i < 200; i++) {
		memset(buf, 0, 4096);
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Identify", SC_OK);
		if (!EXPECT(t, !memcmp(buf, n->id, 256), "round %u: other data", i))
			return;
	}
}

static void smart_log_is_readable(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, 4096);
	struct nvme_sqe sqe = cmd_log(2, 0xffffffff, nvme_dma(n, buf), 512);

	memset(buf, 0xa5, 4096);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Get Log Page SMART", SC_OK);
	EXPECT(t, buf[512] == 0xa5 && buf[4095] == 0xa5, "more than 512 bytes were written");
}

static void io_of_every_size_reads_back(struct test *t, struct nvme *n)
{
	u8 *w = nvme_alloc(n, 3 * 128 * 1024), *r = nvme_alloc(n, 3 * 128 * 1024);
	const unsigned int offs[] = { 0, 0x200, 0xf00 };
	struct nvme_queue q;
	unsigned int i;
	u32 len, seed = 1;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 32, 32, 0), "no queue pair"))
		return;
	for (len = n->lba; len <= 128 * 1024 && len <= n->max_xfer; len *= 2) {
		for (i = 0; i < ARRAY_SIZE(offs); i++, seed++) {
			u64 slba = (u64)seed * 128 * 1024 / n->lba % (n->nsze - len / n->lba);
			u8 *from = w + offs[i], *to = r + offs[ARRAY_SIZE(offs) - 1 - i];

			fill_pattern(from, len, seed);
			memset(r, 0x5a, 3 * 128 * 1024);
			EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, slba, len / n->lba, from),
				  "write", SC_OK);
			EXPECT_SC(t, nvme_io(n, &q, IO_READ, slba, len / n->lba, to),
				  "read", SC_OK);
			EXPECT(t, check_pattern(to, len, seed), "%u bytes at offset %#x",
			       len, offs[i]);
			EXPECT(t, to[len] == 0x5a && (to == r || to[-1] == 0x5a),
			       "%u bytes at offset %#x: more was written", len, offs[i]);
			if (t->failed)
				return;
		}
	}
}

static void neighbouring_blocks_are_untouched(struct test *t, struct nvme *n)
{
	u32 len = 8 * n->lba;
	u8 *buf = nvme_alloc(n, len), *want = nvme_alloc(n, len);
	struct nvme_queue q;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 32, 32, 0), "no queue pair"))
		return;
	fill_pattern(want, len, 77);
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 64, 8, want), "write of 8 blocks", SC_OK);
	fill_pattern(want + 3 * n->lba, n->lba, 78);
	EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 67, 1, want + 3 * n->lba), "write of one", SC_OK);
	EXPECT_SC(t, nvme_io(n, &q, IO_FLUSH, 0, 0, NULL), "flush", SC_OK);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 64, 8, buf), "read of 8", SC_OK);
	EXPECT(t, !memcmp(buf, want, 3 * n->lba), "the blocks before");
	EXPECT(t, !memcmp(buf + 3 * n->lba, want + 3 * n->lba, n->lba), "the block itself");
	EXPECT(t, !memcmp(buf + 4 * n->lba, want + 4 * n->lba, 4 * n->lba), "the blocks behind");
}

/* Reads, one at a time, each of which must interrupt. */
static bool reads_interrupt(struct test *t, struct nvme *n, struct nvme_queue *q, void *buf,
			    unsigned int nr)
{
	struct nvme_sqe rd = { .opcode = IO_READ, .nsid = n->nsid, .prp1 = nvme_dma(n, buf) };
	struct nvme_cqe cqe;
	unsigned int i;

	vfio_irq_wait(&n->v, q->vector, 0);
	for (i = 0; i < nr; i++) {
		u16 cid = nvme_submit(n, q, &rd);

		/* A spurious one is allowed; the last one must not come early. */
		while (nvme_wait(n, q, cid, &cqe, 0))
			if (!EXPECT(t, vfio_irq_wait(&n->v, q->vector, WAIT_MS),
				    "none for read %u on pair %u", i, q->qid))
				return false;
	}
	return true;
}

static void interrupts_arrive_by_eventfd(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	struct nvme_sqe sqe = cmd_identify(1, 0, nvme_dma(n, buf));
	struct nvme_queue q;
	struct nvme_cqe cqe;
	u16 qid, cid;

	vfio_irq_wait(&n->v, 0, 0);
	cid = nvme_submit(n, &n->adm, &sqe);
	EXPECT(t, vfio_irq_wait(&n->v, 0, WAIT_MS), "none for the admin queue");
	EXPECT(t, !nvme_wait(n, &n->adm, cid, &cqe, WAIT_MS), "no completion");

	for (qid = 1; qid <= n->nr_pairs && qid < n->v.nr_vectors; qid++) {
		if (!EXPECT(t, !nvme_create_pair(n, &q, qid, 8, 8, qid), "no pair %u", qid) ||
		    !reads_interrupt(t, n, &q, buf, 20))
			return;
	}
}

/*
 * On rings of before, which are zeroed when the new queues are there: as Linux does after
 * a reset.  What lies in the ring meanwhile is no completion of theirs.
 */
static void interrupts_arrive_when_a_queue_is_made_again(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	struct nvme_queue q;

	if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 8, 8, n->v.nr_vectors > 1), "no pair") ||
	    !reads_interrupt(t, n, &q, buf, 5) ||
	    !EXPECT(t, !nvme_delete_pair(n, &q), "not deleted") ||
	    !EXPECT(t, !nvme_make_pair(n, &q), "not made again"))
		return;
	memset(q.cq, 0, q.cq_depth * sizeof(*q.cq));
	reads_interrupt(t, n, &q, buf, 20);
}

static void no_interrupt_when_not_enabled(struct test *t, struct nvme *n)
{
	struct nvme_queue q = { .qid = 1, .sq_depth = 8, .cq_depth = 8, .phase = 1 };
	struct nvme_sqe sqe;
	u16 vector = n->v.nr_vectors > 1;

	q.sq = nvme_alloc(n, 4096);
	q.cq = nvme_alloc(n, 4096);
	q.list = nvme_alloc(n, n->page);
	sqe = cmd_create_cq(1, 8, nvme_dma(n, q.cq), vector);
	sqe.cdw11 &= ~BIT(1);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Create CQ with IEN = 0", SC_OK);
	sqe = cmd_create_sq(1, 8, nvme_dma(n, q.sq), 1);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Create SQ", SC_OK);
	if (t->failed || !vector)
		return;
	vfio_irq_wait(&n->v, vector, 0);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, nvme_alloc(n, 4096)), "read", SC_OK);
	EXPECT(t, !vfio_irq_wait(&n->v, vector, QUIET_MS), "an interrupt came");
}

static void rings_of_every_shape_wrap(struct test *t, struct nvme *n)
{
	const u32 shapes[][2] = {
		{ 2, 2 }, { 2, 16 }, { 3, 5 }, { 16, 3 }, { 64, 64 }, { 65, 129 },
		{ 256, 256 }, { 1024, 1024 }
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shapes); i++) {
		u32 sq = shapes[i][0], cq = shapes[i][1];
		u32 depth = (sq < cq ? sq : cq) - 1;
		struct nvme_queue q;

		if (sq > n->mqes + 1 || cq > n->mqes + 1)
			continue;
		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, sq, cq, 0), "%u/%u", sq, cq))
			return;
		EXPECT(t, !read_many(t, n, &q, depth > 64 ? 64 : depth, sq > 256 ? 1500 : 400),
		       "%u/%u: reads failed", sq, cq);
		EXPECT(t, !nvme_delete_pair(n, &q), "%u/%u: delete", sq, cq);
		if (t->failed)
			return;
		nvme_free_all(n);
	}
}

static void two_pairs_work_side_by_side(struct test *t, struct nvme *n)
{
	u8 *buf = nvme_alloc(n, 2 * 4096);
	u32 nlb = n->lba < 4096 ? 4096 / n->lba : 1;
	struct nvme_queue q[2];
	unsigned int i;

	if (n->nr_pairs < 2) {
		t->skipped = "the instance has one pair";
		return;
	}
	for (i = 0; i < 2; i++)
		if (!EXPECT(t, !nvme_create_pair(n, &q[i], i + 1, 16, 16, 0), "pair %u", i + 1))
			return;
	for (i = 0; i < 100; i++) {
		fill_pattern(buf, 4096, i);
		EXPECT_SC(t, nvme_io(n, &q[i & 1], IO_WRITE, 8 * nlb, nlb, buf), "write", SC_OK);
		EXPECT_SC(t, nvme_io(n, &q[~i & 1], IO_READ, 8 * nlb, nlb, buf + 4096),
			  "read", SC_OK);
		if (!EXPECT(t, check_pattern(buf + 4096, 4096, i), "round %u", i))
			return;
	}
	EXPECT(t, !read_many(t, n, &q[0], 15, 200), "reads on the first");
	EXPECT(t, !nvme_delete_pair(n, &q[0]), "delete of the first");
	EXPECT(t, !read_many(t, n, &q[1], 15, 200), "reads on the second, without the first");
}

static void two_sqs_share_one_cq(struct test *t, struct nvme *n)
{
	void *sq = nvme_alloc(n, 4096);
	struct nvme_queue a, b;
	struct nvme_sqe sqe;
	struct nvme_cqe cqe;
	u16 cid;

	if (n->nr_pairs < 2) {
		t->skipped = "the instance has one pair";
		return;
	}
	if (!EXPECT(t, !nvme_create_pair(n, &a, 1, 16, 16, 0), "no pair"))
		return;
	sqe = cmd_create_sq(2, 16, nvme_dma(n, sq), 1);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "second SQ on CQ 1", SC_OK);
	if (t->failed)
		return;
	b = a;
	b.qid = 2;
	b.sq = sq;
	b.next_cid = 0x1000;
	sqe = (struct nvme_sqe){ .opcode = IO_READ, .nsid = n->nsid };
	sqe.prp1 = nvme_dma(n, nvme_alloc(n, 4096));
	cid = nvme_submit(n, &b, &sqe);
	if (EXPECT(t, !nvme_wait(n, &a, cid, &cqe, WAIT_MS), "no completion in CQ 1"))
		EXPECT(t, (n->direct || cqe.sqid == 2) && !nvme_status(&cqe),
		       "SQID %u status %x", cqe.sqid, nvme_status(&cqe));
	EXPECT_SC(t, nvme_io(n, &a, IO_READ, 0, 1, nvme_alloc(n, 4096)), "read by SQ 1", SC_OK);
}

static void queues_come_and_go(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	unsigned int i;

	for (i = 0; i < 30 && !t->failed; i++) {
		u16 qid = 1 + i % n->nr_pairs;

		EXPECT(t, !nvme_create_pair(n, &q, qid, 8 + i, 8 + i, i % n->v.nr_vectors),
		       "round %u", i);
		EXPECT(t, !read_many(t, n, &q, 4, 10), "round %u", i);
		EXPECT(t, !nvme_delete_pair(n, &q), "round %u", i);
		nvme_free_all(n);
	}
}

static void aer_waits_and_can_be_aborted(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_AER };
	u16 cid = nvme_submit(n, &n->adm, &sqe);
	struct nvme_cqe cqe;
	u32 result = 0;

	EXPECT(t, nvme_wait(n, &n->adm, cid, &cqe, QUIET_MS) == -ETIMEDOUT,
	       "it completed without an event");
	sqe = (struct nvme_sqe){ .opcode = ADM_ABORT, .cdw10 = (u32)cid << 16 };
	EXPECT_SC(t, nvme_admin(n, &sqe, &result), "Abort", SC_OK);
	/* Abort is a best effort; what it says must be true. */
	if (result & 1) {
		diag("the controller does not abort it");
		return;
	}
	if (EXPECT(t, !nvme_wait(n, &n->adm, cid, &cqe, WAIT_MS), "said to be aborted, but lives"))
		EXPECT(t, nvme_status(&cqe) == SC_ABORTED, "status %x", nvme_status(&cqe));
}

/* Reset kinds, for works_after_reset(). */
enum { BY_VFIO, BY_CC, BY_FLR, BY_SHUTDOWN, BY_ABRUPT_SHUTDOWN, BY_CLOSE };

static int reset_by(struct test *t, struct nvme *n)
{
	u32 cc = nvme_get32(n, REG_CC);
	int rc;

	switch (t->arg) {
	case BY_VFIO:
		return nvme_restart(n);
	case BY_CC:
		return nvme_start(n);
	case BY_FLR:
		rc = nvme_flr(n);
		EXPECT(t, !(nvme_get32(n, REG_CC) & CC_EN), "CC.EN is set after FLR");
		EXPECT(t, !nvme_get64(n, REG_ASQ), "ASQ is kept over FLR");
		return rc ? rc : nvme_start(n);
	case BY_SHUTDOWN:
	case BY_ABRUPT_SHUTDOWN:
		nvme_put32(n, REG_CC, cc | CC_SHN(t->arg == BY_SHUTDOWN ? 1 : 2));
		rc = nvme_wait_csts(n, CSTS_SHST, CSTS_SHST_DONE, 3 * n->timeout_ms);
		EXPECT(t, !rc, "CSTS %#x after the shutdown notification",
		       nvme_get32(n, REG_CSTS));
		return nvme_start(n);
	default:
		vfio_close_device(&n->v);
		rc = vfio_open_device(&n->v, n->uuid);
		return rc ? rc : nvme_start(n);
	}
}

static void works_after_reset(struct test *t, struct nvme *n)
{
	u32 nlb = n->lba < 4096 ? 4096 / n->lba : 1;
	struct nvme_queue q;
	unsigned int i;
	char sn[20];
	void *buf;
	int rc;

	memcpy(sn, n->id + 4, sizeof(sn));
	for (i = 0; i < 3; i++) {
		buf = nvme_alloc(n, 4096);
		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 32, 32, 0), "no queue pair"))
			return;
		fill_pattern(buf, 4096, 1000 + 10 * t->arg + i);
		EXPECT_SC(t, nvme_io(n, &q, IO_WRITE, 0, nlb, buf), "write", SC_OK);
		EXPECT_SC(t, nvme_io(n, &q, IO_FLUSH, 0, 0, NULL), "flush", SC_OK);

		/* With the queues alive, as after a crash of the guest. */
		rc = reset_by(t, n);
		if (!EXPECT(t, !rc, "does not come up again (%d)", rc))
			return;
		EXPECT(t, !memcmp(n->id + 4, sn, sizeof(sn)), "another serial number");

		buf = nvme_alloc(n, 4096);
		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair afterwards"))
			return;
		EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, nlb, buf), "read", SC_OK);
		EXPECT(t, check_pattern(buf, 4096, 1000 + 10 * t->arg + i), "the data is lost");
		EXPECT(t, !nvme_delete_pair(n, &q), "delete");
		nvme_free_all(n);
	}
}

static struct test tests[] = {
	{ "identify_controller_is_sane", id_ctrl_is_sane },
	{ "every_doorbell_has_its_own_page", doorbells_have_pages_of_their_own },
	{ "admin_queue_wraps", admin_queue_wraps },
	{ "smart_log_is_readable", smart_log_is_readable },
	{ "io_of_every_size_reads_back", io_of_every_size_reads_back },
	{ "neighbouring_blocks_are_untouched", neighbouring_blocks_are_untouched },
	{ "interrupts_arrive_by_eventfd", interrupts_arrive_by_eventfd },
	{ "interrupts_arrive_when_a_queue_is_made_again",
	  interrupts_arrive_when_a_queue_is_made_again },
	{ "no_interrupt_when_not_enabled", no_interrupt_when_not_enabled },
	{ "rings_of_every_shape_wrap", rings_of_every_shape_wrap },
	{ "two_pairs_work_side_by_side", two_pairs_work_side_by_side },
	{ "two_sqs_share_one_cq", two_sqs_share_one_cq },
	{ "queues_come_and_go", queues_come_and_go },
	{ "aer_waits_and_can_be_aborted", aer_waits_and_can_be_aborted },
	{ "works_after_vfio_reset", works_after_reset, 0, BY_VFIO },
	{ "works_after_controller_reset", works_after_reset, 0, BY_CC },
	{ "works_after_function_level_reset", works_after_reset, 0, BY_FLR },
	{ "normal_shutdown_completes", works_after_reset, 0, BY_SHUTDOWN },
	{ "abrupt_shutdown_completes", works_after_reset, 0, BY_ABRUPT_SHUTDOWN },
	{ "works_after_close_and_open", works_after_reset, 0, BY_CLOSE },
};

const struct suite suite_controller = { "controller", tests, ARRAY_SIZE(tests) };
