// SPDX-License-Identifier: GPL-2.0
/*
 * Rings and doorbells of the test driver.  A struct nvme_queue has one user; the
 * device is the only other party.
 */
#include "command.h"
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

int nvme_cmd(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe)
{
	struct nvme_cqe cqe;
	int rc = nvme_wait(n, q, nvme_submit(n, q, sqe), &cqe, IO_TIMEOUT_MS);

	return rc ? rc : nvme_status(&cqe);
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
