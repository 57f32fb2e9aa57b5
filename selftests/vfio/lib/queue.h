/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Queues of any shape, nothing hidden: a submission queue and the completion queue it
 * posts to, their rings and doorbells.
 *
 * Commands return a status: 0, the NVMe status (SCT << 8 | SC), or a negative errno when
 * no answer came.
 */
#ifndef _LIOV_QUEUE_H
#define _LIOV_QUEUE_H

#include "nvme_spec.h"

struct nvme;

/* Instead of a vector: no interrupts. */
#define NVME_POLLED		0xffff

#define NVME_SEEN		64

/**
 * struct nvme_queue - a submission queue and the completion queue it posts to
 * @qid:     of both
 * @seen:    completions that came while another one was awaited
 * @list:    one page for the PRP list of a synchronous command
 */
struct nvme_queue {
	u16 qid;
	u16 vector;
	u32 sq_depth, cq_depth;
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	u64 *list;
	u32 tail, head;
	u8 phase;
	u16 next_cid;
	struct nvme_cqe seen[NVME_SEEN];
	unsigned int nr_seen;
};

/* Region offsets of doorbells. */
u64 nvme_sq_db(struct nvme *n, u16 qid);
u64 nvme_cq_db(struct nvme *n, u16 qid);

/* Returns the CID it gave the command. */
u16 nvme_submit(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe);
/* The same without ringing. */
u16 nvme_queue_cmd(struct nvme_queue *q, const struct nvme_sqe *sqe);
void nvme_ring(struct nvme *n, struct nvme_queue *q);
/* Takes one completion off the ring; false if there is none. */
bool nvme_reap(struct nvme *n, struct nvme_queue *q, struct nvme_cqe *cqe);
/* Waits for the completion of @cid: 0 or -ETIMEDOUT. */
int nvme_wait(struct nvme *n, struct nvme_queue *q, u16 cid, struct nvme_cqe *cqe, u32 ms);
int nvme_status(const struct nvme_cqe *cqe);

/* One I/O command, waited for. */
int nvme_cmd(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe);
/* One command on @nlb blocks, waited for. */
int nvme_io(struct nvme *n, struct nvme_queue *q, u8 opcode, u64 slba, u32 nlb, void *buf);

#endif /* _LIOV_QUEUE_H */
