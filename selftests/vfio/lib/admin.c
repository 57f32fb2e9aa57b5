// SPDX-License-Identifier: GPL-2.0
/*
 * Admin commands, waited for, and the queue pairs they make: which ones exist is kept in
 * struct nvme.
 */
#include <string.h>
#include <strings.h>

#include "admin.h"
#include "command.h"
#include "dma.h"

/* Which queues exist, from what was asked and granted. */
static void track_queues(struct nvme *n, const struct nvme_sqe *sqe)
{
	u32 bit = BIT(sqe->cdw10 & 31);

	switch (sqe->opcode) {
	case ADM_CREATE_SQ:
		n->sq_live |= bit;
		break;
	case ADM_DELETE_SQ:
		n->sq_live &= ~bit;
		break;
	case ADM_CREATE_CQ:
		n->cq_live |= bit;
		break;
	case ADM_DELETE_CQ:
		n->cq_live &= ~bit;
		break;
	}
}

int nvme_admin(struct nvme *n, const struct nvme_sqe *sqe, u32 *result)
{
	u16 cid = nvme_submit(n, &n->adm, sqe);
	struct nvme_cqe cqe;
	int rc = nvme_wait(n, &n->adm, cid, &cqe, ADMIN_TIMEOUT_MS);

	if (rc)
		return rc;
	if (result)
		*result = cqe.result;
	rc = nvme_status(&cqe);
	if (!rc)
		track_queues(n, sqe);
	return rc;
}

int nvme_make_pair(struct nvme *n, struct nvme_queue *q)
{
	struct nvme_sqe sqe;
	int rc;

	q->tail = 0;
	q->head = 0;
	q->phase = 1;
	sqe = cmd_create_cq(q->qid, q->cq_depth, nvme_dma(n, q->cq), q->vector);
	rc = nvme_admin(n, &sqe, NULL);
	if (rc) {
		diag("Create I/O CQ %u: status %x", q->qid, rc);
		return rc;
	}
	sqe = cmd_create_sq(q->qid, q->sq_depth, nvme_dma(n, q->sq), q->qid);
	rc = nvme_admin(n, &sqe, NULL);
	if (rc)
		diag("Create I/O SQ %u: status %x", q->qid, rc);
	return rc;
}

int nvme_create_pair(struct nvme *n, struct nvme_queue *q, u16 qid, u32 sq_depth,
		     u32 cq_depth, u16 vector)
{
	memset(q, 0, sizeof(*q));
	q->qid = qid;
	q->vector = vector;
	q->sq_depth = sq_depth;
	q->cq_depth = cq_depth;
	q->sq = nvme_alloc(n, sq_depth * sizeof(*q->sq));
	q->cq = nvme_alloc(n, cq_depth * sizeof(*q->cq));
	q->list = nvme_alloc(n, n->page);
	if (!q->sq || !q->cq || !q->list)
		return -ENOMEM;
	return nvme_make_pair(n, q);
}

int nvme_delete_pair(struct nvme *n, struct nvme_queue *q)
{
	struct nvme_sqe sqe = cmd_delete(ADM_DELETE_SQ, q->qid);
	int rc = nvme_admin(n, &sqe, NULL);

	if (rc) {
		diag("Delete I/O SQ %u: status %x", q->qid, rc);
		return rc;
	}
	sqe = cmd_delete(ADM_DELETE_CQ, q->qid);
	rc = nvme_admin(n, &sqe, NULL);
	if (rc)
		diag("Delete I/O CQ %u: status %x", q->qid, rc);
	return rc;
}

int nvme_delete_all(struct nvme *n)
{
	int rc = 0;

	while (n->sq_live && !rc) {
		struct nvme_sqe sqe = cmd_delete(ADM_DELETE_SQ, ffs(n->sq_live) - 1);

		rc = nvme_admin(n, &sqe, NULL);
	}
	while (n->cq_live && !rc) {
		struct nvme_sqe sqe = cmd_delete(ADM_DELETE_CQ, ffs(n->cq_live) - 1);

		rc = nvme_admin(n, &sqe, NULL);
	}
	return rc;
}
