// SPDX-License-Identifier: GPL-2.0
/*
 * Rings, doorbells and commands of the test driver.  A struct nvme_queue has
 * one user; the device is the only other party.
 */
#include <string.h>

#include "nvme.h"

#define IO_TIMEOUT_MS	60000

u64 nvme_sq_db(struct nvme *n, u16 qid)
{
	return REG_DB + 2ULL * qid * n->stride;
}

u64 nvme_cq_db(struct nvme *n, u16 qid)
{
	return REG_DB + (2ULL * qid + 1) * n->stride;
}

u16 nvme_queue_cmd(struct nvme_queue *q, const struct nvme_sqe *sqe)
{
	struct nvme_sqe *slot = &q->sq[q->tail];
	u16 cid = q->next_cid;

	/* FFFFh is not a command identifier in every revision. */
	q->next_cid = (cid + 1) % 0xfff0;
	*slot = *sqe;
	slot->cid = cid;
	q->tail = (q->tail + 1) % q->sq_depth;
	return cid;
}

void nvme_ring(struct nvme *n, struct nvme_queue *q)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vfio_put(&n->v, BAR0, nvme_sq_db(n, q->qid), 4, q->tail);
}

u16 nvme_submit(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe)
{
	u16 cid = nvme_queue_cmd(q, sqe);

	nvme_ring(n, q);
	return cid;
}

bool nvme_reap(struct nvme *n, struct nvme_queue *q, struct nvme_cqe *cqe)
{
	struct nvme_cqe *slot = &q->cq[q->head];
	u16 status = __atomic_load_n(&slot->status, __ATOMIC_ACQUIRE);

	if ((status & 1) != q->phase)
		return false;
	*cqe = *slot;
	if (++q->head == q->cq_depth) {
		q->head = 0;
		q->phase ^= 1;
	}
	vfio_put(&n->v, BAR0, nvme_cq_db(n, q->qid), 4, q->head);
	return true;
}

static bool take_seen(struct nvme_queue *q, u16 cid, struct nvme_cqe *cqe)
{
	unsigned int i;

	for (i = 0; i < q->nr_seen; i++) {
		if (q->seen[i].cid != cid)
			continue;
		*cqe = q->seen[i];
		q->seen[i] = q->seen[--q->nr_seen];
		return true;
	}
	return false;
}

int nvme_wait(struct nvme *n, struct nvme_queue *q, u16 cid, struct nvme_cqe *cqe, u32 ms)
{
	u64 end = now_ms() + ms;

	if (take_seen(q, cid, cqe))
		return 0;
	for (;;) {
		bool last = now_ms() >= end;

		while (nvme_reap(n, q, cqe)) {
			if (cqe->cid == cid)
				return 0;
			if (q->nr_seen < NVME_SEEN)
				q->seen[q->nr_seen++] = *cqe;
		}
		if (last)
			return -ETIMEDOUT;
		sleep_us(50);
	}
}

int nvme_status(const struct nvme_cqe *cqe)
{
	return cqe->status >> 1 & 0x7ff;
}

struct nvme_sqe cmd_identify(u8 cns, u32 nsid, u64 prp1)
{
	return (struct nvme_sqe){
		.opcode = ADM_IDENTIFY,
		.nsid = nsid,
		.prp1 = prp1,
		.cdw10 = cns,
	};
}

struct nvme_sqe cmd_create_cq(u16 qid, u32 depth, u64 prp1, u16 vector)
{
	return (struct nvme_sqe){
		.opcode = ADM_CREATE_CQ,
		.prp1 = prp1,
		.cdw10 = (depth - 1) << 16 | qid,
		.cdw11 = vector == NVME_POLLED ? BIT(0) : (u32)vector << 16 | BIT(1) | BIT(0),
	};
}

struct nvme_sqe cmd_create_sq(u16 qid, u32 depth, u64 prp1, u16 cqid)
{
	return (struct nvme_sqe){
		.opcode = ADM_CREATE_SQ,
		.prp1 = prp1,
		.cdw10 = (depth - 1) << 16 | qid,
		.cdw11 = (u32)cqid << 16 | BIT(0),
	};
}

struct nvme_sqe cmd_delete(u8 opcode, u16 qid)
{
	return (struct nvme_sqe){ .opcode = opcode, .cdw10 = qid };
}

struct nvme_sqe cmd_log(u8 lid, u32 nsid, u64 prp1, u32 len)
{
	u32 numd = len / 4 - 1;

	return (struct nvme_sqe){
		.opcode = ADM_GET_LOG,
		.nsid = nsid,
		.prp1 = prp1,
		.cdw10 = numd << 16 | lid,
		.cdw11 = numd >> 16,
	};
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

void nvme_set_prps(struct nvme *n, struct nvme_sqe *sqe, const void *buf, u32 len, u64 *list)
{
	u32 first = n->page - (nvme_dma(n, buf) & (n->page - 1));
	unsigned int i = 0;

	sqe->prp1 = nvme_dma(n, buf);
	sqe->prp2 = 0;
	if (len <= first)
		return;
	buf += first;
	len -= first;
	if (len <= n->page) {
		sqe->prp2 = nvme_dma(n, buf);
		return;
	}
	sqe->prp2 = nvme_dma(n, list);
	for (; len; buf += n->page) {
		list[i++] = nvme_dma(n, buf);
		len -= len < n->page ? len : n->page;
	}
}

int nvme_cmd(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe)
{
	struct nvme_cqe cqe;
	int rc = nvme_wait(n, q, nvme_submit(n, q, sqe), &cqe, IO_TIMEOUT_MS);

	return rc ? rc : nvme_status(&cqe);
}

struct nvme_sqe cmd_rw(struct nvme *n, u8 opcode, u64 slba, u32 nlb, const void *buf)
{
	return (struct nvme_sqe){
		.opcode = opcode,
		.nsid = n->nsid,
		.prp1 = buf ? nvme_dma(n, buf) : 0,
		.cdw10 = (u32)slba,
		.cdw11 = slba >> 32,
		.cdw12 = nlb - 1,
	};
}

int nvme_io(struct nvme *n, struct nvme_queue *q, u8 opcode, u64 slba, u32 nlb, void *buf)
{
	struct nvme_sqe sqe = { .opcode = opcode, .nsid = n->nsid };

	if (opcode != IO_FLUSH)
		sqe = cmd_rw(n, opcode, slba, nlb, NULL);
	if (buf)
		nvme_set_prps(n, &sqe, buf, nlb * n->lba, q->list);
	return nvme_cmd(n, q, &sqe);
}
