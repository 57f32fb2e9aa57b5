// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of doorbells (NVMe Base 2.0 sections 3.1.3 and 5.2: an invalid register
 * or value is an error event and is otherwise ignored).
 */
#include "abuse.h"

static void read_works(struct test *t, struct nvme *n, struct nvme_queue *q)
{
	EXPECT_SC(t, nvme_io(n, q, IO_READ, 0, 1, nvme_alloc(n, 4096)), "a read", SC_OK);
}

static void bad_admin_tail(struct test *t, struct nvme *n)
{
	const u32 vals[] = { n->adm.sq_depth, n->adm.sq_depth + 1, 0x8000, 0xffff, 0x10000,
			     0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vals); i++)
		vfio_put(&n->v, BAR0, nvme_sq_db(n, 0), 4, vals[i]);
	sleep_us(50000);
}

static void bad_admin_head(struct test *t, struct nvme *n)
{
	const u32 vals[] = { n->adm.cq_depth, 0xffff, 0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vals); i++)
		vfio_put(&n->v, BAR0, nvme_cq_db(n, 0), 4, vals[i]);
	sleep_us(50000);
}

static void admin_tail_runs_ahead(struct test *t, struct nvme *n)
{
	/* A legal value: the entries behind are zeroes, Delete SQ 0. */
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 0), 4, (n->adm.tail + 20) % n->adm.sq_depth);
	sleep_us(50000);
}

static void bad_io_tail(struct test *t, struct nvme *n)
{
	const u32 vals[] = { 16, 17, 0x8000, 0xffff, 0x10000, 0xffffffff };
	struct nvme_queue q;
	unsigned int i;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	for (i = 0; i < ARRAY_SIZE(vals); i++) {
		vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), 4, vals[i]);
		read_works(t, n, &q);
	}
}

static void bad_io_head(struct test *t, struct nvme *n)
{
	const u32 vals[] = { 16, 17, 0x8000, 0xffff, 0x10000, 0xffffffff };
	struct nvme_queue q;
	unsigned int i;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	for (i = 0; i < ARRAY_SIZE(vals); i++) {
		vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), 4, vals[i]);
		read_works(t, n, &q);
	}
}

static void same_value_again(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	unsigned int i;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	for (i = 0; i < 40; i++) {
		nvme_ring(n, &q);
		vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), 4, q.head);
		if (i % 4 == 0)
			read_works(t, n, &q);
	}
}

static void bad_value_is_reported(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_AER };
	struct nvme_cqe cqe;
	struct nvme_queue q;
	u16 cid;

	if (!EXPECT(t, !nvme_restart(n), "reset"))
		return;
	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	cid = nvme_submit(n, &n->adm, &sqe);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), 4, 99);
	/* Reporting is the controller's choice; what it reports is not. */
	if (nvme_wait(n, &n->adm, cid, &cqe, 2000)) {
		diag("no event");
		return;
	}
	EXPECT(t, !nvme_status(&cqe) && (cqe.result & 0xffff) == 0x0100,
	       "status %x, event %08x", nvme_status(&cqe), cqe.result);
}

static void doorbells_of_missing_queues(struct test *t, struct nvme *n)
{
	u64 off, end = n->v.region[BAR0].size;
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	for (off = nvme_sq_db(n, 2); off + 4 <= end; off += n->stride) {
		vfio_put(&n->v, BAR0, off, 4, 1);
		vfio_put(&n->v, BAR0, off, 4, 0);
	}
	read_works(t, n, &q);
}

static void gaps_between_doorbells(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	u32 off;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	for (off = 4; off < n->stride; off += 4) {
		vfio_put(&n->v, BAR0, nvme_sq_db(n, 1) + off, 4, 5);
		vfio_put(&n->v, BAR0, nvme_cq_db(n, 1) + off, 4, 5);
		if (off >= 64)
			off += 252;
	}
	read_works(t, n, &q);
}

/* @arg: bytes. */
static void wrong_width(struct test *t, struct nvme *n)
{
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	/* The values that count already: right if it is taken and if it is not. */
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), t->arg, q.tail);
	vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), t->arg, q.head);
	read_works(t, n, &q);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), t->arg, q.tail);
	vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), t->arg, q.head);
	vfio_get(&n->v, BAR0, nvme_sq_db(n, 1), t->arg);
	/* And one that ends in the next doorbell's page. */
	vfio_put(&n->v, BAR0, nvme_cq_db(n, 1) - 1, t->arg, 0);
	read_works(t, n, &q);
}

static void doorbells_are_write_only(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	u32 buf[1024];

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	read_works(t, n, &q);
	vfio_read(&n->v, BAR0, nvme_sq_db(n, 1), buf, sizeof(buf));
	vfio_read(&n->v, BAR0, nvme_sq_db(n, 0), buf, sizeof(buf));
	read_works(t, n, &q);
}

static void rung_while_disabled(struct test *t, struct nvme *n)
{
	u16 qid;

	if (!EXPECT(t, !nvme_disable(n), "cannot be disabled"))
		return;
	for (qid = 0; qid <= n->nr_pairs; qid++) {
		vfio_put(&n->v, BAR0, nvme_sq_db(n, qid), 4, 1);
		vfio_put(&n->v, BAR0, nvme_cq_db(n, qid), 4, 1);
	}
	EXPECT(t, !nvme_enable(n), "cannot be enabled");
	EXPECT(t, !nvme_identify(n), "an old doorbell counts in the new life");
}

static void rung_after_delete(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	unsigned int i;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	read_works(t, n, &q);
	EXPECT(t, !nvme_delete_pair(n, &q), "delete");
	for (i = 0; i < 16; i++) {
		vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), 4, i);
		vfio_put(&n->v, BAR0, nvme_cq_db(n, 1), 4, i);
	}
	/* The old value must not ring the new queue. */
	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	sleep_us(20000);
	EXPECT(t, !q.cq[0].status, "a completion without a command");
	read_works(t, n, &q);
}

static void tail_jumps(struct test *t, struct nvme *n)
{
	struct nvme_queue q;
	unsigned int i;

	/* All the values there are, in a ring of valid commands. */
	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 64, 0), "no pair");
	for (i = 0; i < 16; i++) {
		struct nvme_sqe sqe = { .opcode = IO_FLUSH, .nsid = n->nsid };

		nvme_queue_cmd(&q, &sqe);
	}
	for (i = 0; i < 64; i++)
		vfio_put(&n->v, BAR0, nvme_sq_db(n, 1), 4, (15 * i) % 16);
	sleep_us(50000);
}

static struct test tests[] = {
	{ "admin_tail_out_of_range", bad_admin_tail },
	{ "admin_head_out_of_range", bad_admin_head },
	{ "admin_tail_ahead_of_commands", admin_tail_runs_ahead, TEST_RESETS },
	{ "io_tail_out_of_range_is_ignored", bad_io_tail },
	{ "io_head_out_of_range_is_ignored", bad_io_head },
	{ "same_doorbell_value_again", same_value_again },
	{ "bad_doorbell_value_is_an_error_event", bad_value_is_reported, TEST_RESETS },
	{ "doorbells_of_missing_queues_are_ignored", doorbells_of_missing_queues },
	{ "gaps_between_doorbells_are_ignored", gaps_between_doorbells },
	{ "doorbell_of_1_byte", wrong_width, 0, 1 },
	{ "doorbell_of_2_bytes", wrong_width, 0, 2 },
	{ "doorbell_of_8_bytes", wrong_width, 0, 8 },
	{ "reads_of_doorbells_do_no_harm", doorbells_are_write_only },
	{ "doorbells_while_disabled_are_ignored", rung_while_disabled, TEST_RESETS },
	{ "doorbells_of_deleted_queues_are_ignored", rung_after_delete },
	{ "tail_jumps_all_over_the_ring", tail_jumps, TEST_GUARDED },
};

const struct suite suite_doorbells = { "doorbells", tests, ARRAY_SIZE(tests) };
