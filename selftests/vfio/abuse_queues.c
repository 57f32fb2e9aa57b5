// SPDX-License-Identifier: GPL-2.0
/*
 * Abuse of queue creation and deletion (NVMe Base 2.0 sections 5.4 to 5.7).
 */
#include <string.h>

#include "abuse.h"

enum {
	QID_0, QID_BEYOND, QID_FFFF, QID_IN_USE, SIZE_0, SIZE_BEYOND, NOT_CONTIGUOUS,
	VECTOR_BEYOND, VECTOR_FFFF, PRP_ODD, PRP_0, PRP_NOWHERE, PRP_HIGH, PRP_AT_END,
	PRP_IN_BAR, CQID_0, CQID_MISSING, CQID_BEYOND,
};

/* An address just inside the end of what the device may reach. */
static u64 last_page(struct nvme *n)
{
	return n->dma_base + n->v.mem_len - n->page;
}

static void make_bad(struct nvme *n, struct nvme_sqe *sqe, long how)
{
	switch (how) {
	case QID_0:
		sqe->cdw10 &= 0xffff0000;
		break;
	case QID_BEYOND:
		sqe->cdw10 = (sqe->cdw10 & 0xffff0000) | (n->nr_pairs + 1);
		break;
	case QID_FFFF:
		sqe->cdw10 |= 0xffff;
		break;
	case SIZE_0:
		sqe->cdw10 &= 0xffff;
		break;
	case SIZE_BEYOND:
		sqe->cdw10 = (n->mqes + 1) << 16 | (sqe->cdw10 & 0xffff);
		break;
	case NOT_CONTIGUOUS:
		sqe->cdw11 &= ~BIT(0);
		break;
	case VECTOR_BEYOND:
		sqe->cdw11 = (sqe->cdw11 & 0xffff) | n->v.nr_vectors << 16;
		break;
	case VECTOR_FFFF:
		sqe->cdw11 |= 0xffff0000;
		break;
	case PRP_ODD:
		sqe->prp1 += 0x200;
		break;
	case PRP_0:
		sqe->prp1 = 0;
		break;
	case PRP_NOWHERE:
		sqe->prp1 = NOWHERE;
		break;
	case PRP_HIGH:
		sqe->prp1 = NOWHERE_HIGH;
		break;
	case PRP_AT_END:
		/* 1024 entries, of 64 or 16 bytes: longer than a page. */
		sqe->prp1 = last_page(n);
		sqe->cdw10 = 1023 << 16 | (sqe->cdw10 & 0xffff);
		break;
	case PRP_IN_BAR:
		sqe->prp1 = vfio_get(&n->v, CFG, PCI_BASE_ADDRESS_0, 4) & ~0xfULL;
		sqe->prp1 += REG_DB + 2 * n->stride;
		break;
	case CQID_0:
		sqe->cdw11 &= 0xffff;
		break;
	case CQID_MISSING:
		sqe->cdw11 = (sqe->cdw11 & 0xffff) | (u32)n->nr_pairs << 16;
		break;
	case CQID_BEYOND:
		sqe->cdw11 = (sqe->cdw11 & 0xffff) | (n->nr_pairs + 1U) << 16;
		break;
	}
}

static void expect_create(struct test *t, struct nvme *n, const struct nvme_sqe *sqe, long how)
{
	int rc = nvme_admin(n, sqe, NULL);

	switch (how) {
	case QID_0:
	case QID_BEYOND:
	case QID_FFFF:
	case QID_IN_USE:
		EXPECT_SC(t, rc, "Create", SC_QID_INVALID);
		break;
	case SIZE_0:
	case SIZE_BEYOND:
		EXPECT_SC(t, rc, "Create", SC_QUEUE_SIZE);
		break;
	case NOT_CONTIGUOUS:
		EXPECT_SC(t, rc, "Create", SC_INVALID_FIELD);
		break;
	case VECTOR_BEYOND:
	case VECTOR_FFFF:
		EXPECT_SC(t, rc, "Create", SC_VECTOR_INVALID);
		break;
	case PRP_ODD:
		EXPECT_SC(t, rc, "Create", SC_BAD_PRP_OFFSET, SC_INVALID_FIELD);
		break;
	case CQID_0:
	case CQID_BEYOND:
		EXPECT_SC(t, rc, "Create", SC_QID_INVALID, SC_CQ_INVALID);
		break;
	case CQID_MISSING:
		EXPECT_SC(t, rc, "Create", SC_CQ_INVALID);
		break;
	default:
		/* No status is defined for a ring in no memory. */
		EXPECT_SC(t, rc, "Create", SC_ANY_ERROR);
	}
}

static bool not_possible(struct test *t, struct nvme *n)
{
	if (t->arg == SIZE_BEYOND && n->mqes == 0xffff)
		t->skipped = "the drive takes the largest size there is";
	if (t->arg == PRP_AT_END && n->mqes < 1023)
		t->skipped = "the drive has small queues only";
	if (t->arg == CQID_MISSING && n->nr_pairs < 2)
		t->skipped = "the instance has one pair";
	return t->skipped;
}

static void create_cq_is_refused(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_create_cq(1, 16, nvme_dma(n, nvme_alloc(n, 4096)), 0);

	if (not_possible(t, n))
		return;
	if (t->arg == QID_IN_USE)
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "the first", SC_OK);
	make_bad(n, &sqe, t->arg);
	expect_create(t, n, &sqe, t->arg);
}

static void create_sq_is_refused(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_create_cq(1, 16, nvme_dma(n, nvme_alloc(n, 4096)), 0);

	if (not_possible(t, n))
		return;
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Create CQ", SC_OK);
	sqe = cmd_create_sq(1, 16, nvme_dma(n, nvme_alloc(n, 4096)), 1);
	if (t->arg == QID_IN_USE)
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "the first", SC_OK);
	make_bad(n, &sqe, t->arg);
	expect_create(t, n, &sqe, t->arg);
}

static void cq_with_sq_is_not_deleted(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_delete(ADM_DELETE_CQ, 1);
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete CQ", SC_QUEUE_DELETION);
	EXPECT_SC(t, nvme_io(n, &q, IO_READ, 0, 1, nvme_alloc(n, 4096)), "a read", SC_OK);
}

/* @arg: opcode. */
static void delete_of_nothing_is_refused(struct test *t, struct nvme *n)
{
	const u16 qids[] = { 0, 1, n->nr_pairs, n->nr_pairs + 1, 0x8000, 0xffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(qids); i++) {
		struct nvme_sqe sqe = cmd_delete(t->arg, qids[i]);

		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete", SC_QID_INVALID);
	}
}

static void delete_twice_is_refused(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = cmd_delete(ADM_DELETE_SQ, 1);
	struct nvme_queue q;

	EXPECT(t, !nvme_create_pair(n, &q, 1, 16, 16, 0), "no pair");
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete SQ", SC_OK);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete SQ again", SC_QID_INVALID);
	sqe.opcode = ADM_DELETE_CQ;
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete CQ", SC_OK);
	EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete CQ again", SC_QID_INVALID);
}

static void delete_under_load(struct test *t, struct nvme *n)
{
	void *buf = nvme_alloc(n, 4096);
	unsigned int i, round;

	for (round = 0; round < 10; round++) {
		struct nvme_sqe sqe = { .opcode = IO_READ, .nsid = n->nsid };
		struct nvme_cqe cqe;
		struct nvme_queue q;

		if (!EXPECT(t, !nvme_create_pair(n, &q, 1, 128, 128, 0), "round %u", round))
			return;
		sqe.prp1 = nvme_dma(n, buf);
		for (i = 0; i < 100; i++) {
			sqe.cdw10 = i;
			nvme_queue_cmd(&q, &sqe);
		}
		nvme_ring(n, &q);
		sleep_us(round * 300);
		sqe = cmd_delete(ADM_DELETE_SQ, 1);
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete SQ", SC_OK);
		/* Until the deletion completed, each may have ended or been aborted. */
		while (nvme_reap(n, &q, &cqe))
			EXPECT(t, !nvme_status(&cqe) || nvme_status(&cqe) == SC_ABORTED_SQ_DELETE ||
			       nvme_status(&cqe) == SC_ABORTED, "status %x", nvme_status(&cqe));
		/* No hardware may touch it now. */
		memset(q.sq, 0xff, 128 * sizeof(*q.sq));
		memset(q.cq, 0, 128 * sizeof(*q.cq));
		sleep_us(20000);
		for (i = 0; i < 128; i++)
			EXPECT(t, !q.cq[i].status, "a completion after the deletion");
		sqe = cmd_delete(ADM_DELETE_CQ, 1);
		EXPECT_SC(t, nvme_admin(n, &sqe, NULL), "Delete CQ", SC_OK);
	}
}

static void unread_completions_then_delete(struct test *t, struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = IO_READ, .nsid = n->nsid };
	struct nvme_queue q;
	unsigned int i;

	/* A CQ of 4 for 30 commands: it overflows unless the device waits. */
	EXPECT(t, !nvme_create_pair(n, &q, 1, 32, 4, 0), "no pair");
	sqe.prp1 = nvme_dma(n, nvme_alloc(n, 4096));
	for (i = 0; i < 30; i++)
		nvme_queue_cmd(&q, &sqe);
	nvme_ring(n, &q);
	sleep_us(100000);
	EXPECT(t, !nvme_delete_pair(n, &q), "the pair cannot be deleted");
}

#define CQ_TEST(name, how)	{ "create_cq_" name, create_cq_is_refused, 0, how }
#define SQ_TEST(name, how)	{ "create_sq_" name, create_sq_is_refused, 0, how }

static struct test tests[] = {
	CQ_TEST("with_qid_0_is_refused", QID_0),
	CQ_TEST("beyond_the_pairs_is_refused", QID_BEYOND),
	CQ_TEST("with_qid_ffff_is_refused", QID_FFFF),
	CQ_TEST("in_use_is_refused", QID_IN_USE),
	CQ_TEST("of_one_entry_is_refused", SIZE_0),
	CQ_TEST("larger_than_mqes_is_refused", SIZE_BEYOND),
	CQ_TEST("not_contiguous_is_refused", NOT_CONTIGUOUS),
	CQ_TEST("with_vector_n_is_refused", VECTOR_BEYOND),
	CQ_TEST("with_vector_ffff_is_refused", VECTOR_FFFF),
	CQ_TEST("at_an_odd_address_is_refused", PRP_ODD),
	CQ_TEST("at_0_is_refused", PRP_0),
	CQ_TEST("in_no_memory_is_refused", PRP_NOWHERE),
	CQ_TEST("at_the_top_of_addresses_is_refused", PRP_HIGH),
	CQ_TEST("across_the_end_of_memory_is_refused", PRP_AT_END),
	CQ_TEST("in_bar0_is_refused", PRP_IN_BAR),
	SQ_TEST("with_qid_0_is_refused", QID_0),
	SQ_TEST("beyond_the_pairs_is_refused", QID_BEYOND),
	SQ_TEST("with_qid_ffff_is_refused", QID_FFFF),
	SQ_TEST("in_use_is_refused", QID_IN_USE),
	SQ_TEST("of_one_entry_is_refused", SIZE_0),
	SQ_TEST("larger_than_mqes_is_refused", SIZE_BEYOND),
	SQ_TEST("not_contiguous_is_refused", NOT_CONTIGUOUS),
	SQ_TEST("at_an_odd_address_is_refused", PRP_ODD),
	SQ_TEST("at_0_is_refused", PRP_0),
	SQ_TEST("in_no_memory_is_refused", PRP_NOWHERE),
	SQ_TEST("at_the_top_of_addresses_is_refused", PRP_HIGH),
	SQ_TEST("across_the_end_of_memory_is_refused", PRP_AT_END),
	SQ_TEST("in_bar0_is_refused", PRP_IN_BAR),
	SQ_TEST("on_cq_0_is_refused", CQID_0),
	SQ_TEST("on_a_missing_cq_is_refused", CQID_MISSING),
	SQ_TEST("on_a_cq_beyond_the_pairs_is_refused", CQID_BEYOND),
	{ "cq_with_an_sq_is_not_deleted", cq_with_sq_is_not_deleted },
	{ "delete_of_a_missing_sq_is_refused", delete_of_nothing_is_refused, 0, ADM_DELETE_SQ },
	{ "delete_of_a_missing_cq_is_refused", delete_of_nothing_is_refused, 0, ADM_DELETE_CQ },
	{ "second_delete_is_refused", delete_twice_is_refused },
	{ "sq_is_deleted_under_load", delete_under_load },
	{ "full_cq_and_its_sq_are_deleted", unread_completions_then_delete },
};

const struct suite suite_queues = { "queues", tests, ARRAY_SIZE(tests) };
