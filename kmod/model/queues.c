// SPDX-License-Identifier: GPL-2.0
/*
 * Which I/O queues a guest has, and whether it may create or delete one (NVM
 * Express Base 2.0 sections 5.4 to 5.7).
 *
 * Owns struct liov_queues.  Called by admin.c: a check before the hardware is
 * asked, the bookkeeping after the hardware has done it.
 *
 * Context: the caller holds the instance lock around every call.
 */
#include "model/model.h"

/**
 * liov_queues_kept() - how many queue pairs the host's own driver keeps
 * @want:    as many as it would use
 * @granted: as many as the controller grants, host's and guests', 1 at least
 * @most:    as many as it shall keep at most; 0: what it wants, but half of what is granted,
 *           rounded up, where the controller grants no more than the driver wants
 *
 * Context: any.
 * Return: the number, 1 at least.
 */
u16 liov_queues_kept(unsigned int want, unsigned int granted, unsigned int most)
{
	if (!most)
		most = granted > want ? want : (granted + 1) / 2;
	return max(min3(want, granted, most), 1U);
}

/**
 * liov_queues_in_bar() - queue pairs whose doorbells lie in a controller's BAR0
 * @bar_len: its bytes
 * @stride:  bytes from one doorbell to the next
 *
 * NVMe PCIe Transport 1.0 section 3.1.2: from LIOV_DB_BASE on a submission and a
 * completion doorbell of 4 bytes for each queue ID, the admin queue's first.
 *
 * Return: the highest ID of an I/O queue pair that has both, at most 65535.
 *
 * Context: any.
 */
u16 liov_queues_in_bar(u64 bar_len, u32 stride)
{
	u64 last;

	if (bar_len < LIOV_DB_BASE + sizeof(u32))
		return 0;
	/* The number of the last doorbell that fits; that of completion queue n is 2n + 1. */
	last = (bar_len - LIOV_DB_BASE - sizeof(u32)) / stride;
	return last ? min_t(u64, (last - 1) / 2, 0xffff) : 0;
}

/*
 * Size, contiguity and place of a ring, the same for both kinds: QSIZE (0's based,
 * at least two entries), PC (must be 1, for CAP.CQR is) and PRP1, which is then the
 * page aligned base address.
 */
static u16 liov_check_ring(const struct liov_queues *q, u16 qsize, u16 flags, u64 prp1,
			   u32 entry_size)
{
	u64 end;

	if (!qsize || qsize > q->mqes)
		return NVME_SC_QUEUE_SIZE | NVME_STATUS_DNR;
	if (!(flags & NVME_QUEUE_PHYS_CONTIG))
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (prp1 & (q->page_size - 1))
		return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
	if (check_add_overflow(prp1, (u64)(qsize + 1U) * entry_size, &end))
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	return NVME_SC_SUCCESS;
}

/**
 * liov_check_create_cq() - may this Create I/O Completion Queue go ahead?
 * @q: queues of the instance
 * @c: the guest's command; PSDT and FUSE are checked by the caller
 *
 * The vector is checked even if interrupts are not enabled for the queue, as
 * section 5.4 words it; a guest that polls sends vector 0.
 *
 * Return: 0, or with DNR: Invalid Queue Identifier (0, out of range, in use),
 * Invalid Queue Size, Invalid Field (not contiguous, ring beyond 2^64), Invalid PRP
 * Offset, Invalid Interrupt Vector.
 *
 * Context: caller holds the instance lock.
 */
u16 liov_check_create_cq(const struct liov_queues *q, const struct nvme_command *c)
{
	u16 cqid = liov_qid_index(q, le16_to_cpu(c->create_cq.cqid));
	u16 status;

	if (!cqid || q->cq[cqid].valid)
		return NVME_SC_QID_INVALID | NVME_STATUS_DNR;
	status = liov_check_ring(q, le16_to_cpu(c->create_cq.qsize),
				 le16_to_cpu(c->create_cq.cq_flags),
				 le64_to_cpu(c->create_cq.prp1),
				 sizeof(struct nvme_completion));
	if (status)
		return status;
	if (liov_vector_index(q, le16_to_cpu(c->create_cq.irq_vector)) < 0)
		return NVME_SC_INVALID_VECTOR | NVME_STATUS_DNR;
	return NVME_SC_SUCCESS;
}

/**
 * liov_check_create_sq() - may this Create I/O Submission Queue go ahead?
 * @q: queues of the instance
 * @c: the guest's command; PSDT and FUSE are checked by the caller
 *
 * QPRIO is ignored, for CAP.AMS offers round robin only.
 *
 * Return: 0, or with DNR: Invalid Queue Identifier (SQID 0, out of range or in use;
 * CQID 0 or out of range), Completion Queue Invalid (no such CQ), Invalid Queue
 * Size, Invalid Field (not contiguous, ring beyond 2^64), Invalid PRP Offset.
 *
 * Context: caller holds the instance lock.
 */
u16 liov_check_create_sq(const struct liov_queues *q, const struct nvme_command *c)
{
	u16 sqid = liov_qid_index(q, le16_to_cpu(c->create_sq.sqid));
	u16 cqid = liov_qid_index(q, le16_to_cpu(c->create_sq.cqid));

	if (!sqid || q->sq[sqid].valid)
		return NVME_SC_QID_INVALID | NVME_STATUS_DNR;
	if (!cqid)
		return NVME_SC_QID_INVALID | NVME_STATUS_DNR;
	if (!q->cq[cqid].valid)
		return NVME_SC_CQ_INVALID | NVME_STATUS_DNR;
	return liov_check_ring(q, le16_to_cpu(c->create_sq.qsize),
			       le16_to_cpu(c->create_sq.sq_flags),
			       le64_to_cpu(c->create_sq.prp1),
			       sizeof(struct nvme_command));
}

/**
 * liov_check_delete_cq() - may this Delete I/O Completion Queue go ahead?
 * @q: queues of the instance
 * @c: the guest's command
 *
 * Return: 0, or with DNR: Invalid Queue Identifier (no such queue), Invalid Queue
 * Deletion (a submission queue still posts to it).
 *
 * Context: caller holds the instance lock.
 */
u16 liov_check_delete_cq(const struct liov_queues *q, const struct nvme_command *c)
{
	u16 cqid = liov_qid_index(q, le16_to_cpu(c->delete_queue.qid));

	if (!cqid || !q->cq[cqid].valid)
		return NVME_SC_QID_INVALID | NVME_STATUS_DNR;
	if (q->cq[cqid].nr_sqs)
		return NVME_SC_INVALID_QUEUE | NVME_STATUS_DNR;
	return NVME_SC_SUCCESS;
}

/**
 * liov_check_delete_sq() - may this Delete I/O Submission Queue go ahead?
 * @q: queues of the instance
 * @c: the guest's command
 *
 * Return: 0, or Invalid Queue Identifier with DNR (no such queue).
 *
 * Context: caller holds the instance lock.
 */
u16 liov_check_delete_sq(const struct liov_queues *q, const struct nvme_command *c)
{
	u16 sqid = liov_qid_index(q, le16_to_cpu(c->delete_queue.qid));

	if (!sqid || !q->sq[sqid].valid)
		return NVME_SC_QID_INVALID | NVME_STATUS_DNR;
	return NVME_SC_SUCCESS;
}

/**
 * liov_queues_add_cq() - a completion queue now exists
 * @q: queues of the instance
 * @c: the command, which liov_check_create_cq() has passed
 *
 * Context: caller holds the instance lock, without a break since the check.
 */
void liov_queues_add_cq(struct liov_queues *q, const struct nvme_command *c)
{
	u16 cqid = liov_qid_index(q, le16_to_cpu(c->create_cq.cqid));

	if (!cqid)
		return;
	q->cq[cqid].valid = true;
	q->cq[cqid].ien = le16_to_cpu(c->create_cq.cq_flags) & NVME_CQ_IRQ_ENABLED;
	q->cq[cqid].vector = le16_to_cpu(c->create_cq.irq_vector);
	q->cq[cqid].nr_sqs = 0;
}

/**
 * liov_queues_add_sq() - a submission queue now exists
 * @q: queues of the instance
 * @c: the command, which liov_check_create_sq() has passed
 *
 * Context: caller holds the instance lock, without a break since the check.
 */
void liov_queues_add_sq(struct liov_queues *q, const struct nvme_command *c)
{
	u16 sqid = liov_qid_index(q, le16_to_cpu(c->create_sq.sqid));
	u16 cqid = liov_qid_index(q, le16_to_cpu(c->create_sq.cqid));

	if (!sqid || !cqid)
		return;
	q->sq[sqid].valid = true;
	q->sq[sqid].cqid = cqid;
	q->cq[cqid].nr_sqs++;
}

/**
 * liov_queues_del_cq() - a completion queue no longer exists
 * @q:    queues of the instance
 * @cqid: its identifier; nothing happens if there is no such queue
 *
 * Context: caller holds the instance lock.
 */
void liov_queues_del_cq(struct liov_queues *q, u16 cqid)
{
	cqid = liov_qid_index(q, cqid);
	if (!cqid)
		return;
	memset(&q->cq[cqid], 0, sizeof(q->cq[cqid]));
}

/**
 * liov_queues_del_sq() - a submission queue no longer exists
 * @q:    queues of the instance
 * @sqid: its identifier; nothing happens if there is no such queue
 *
 * Context: caller holds the instance lock.
 */
void liov_queues_del_sq(struct liov_queues *q, u16 sqid)
{
	u16 cqid;

	sqid = liov_qid_index(q, sqid);
	if (!sqid || !q->sq[sqid].valid)
		return;
	cqid = q->sq[sqid].cqid;
	if (q->cq[cqid].nr_sqs)
		q->cq[cqid].nr_sqs--;
	memset(&q->sq[sqid], 0, sizeof(q->sq[sqid]));
}

/**
 * liov_queues_clear() - a controller reset has deleted all I/O queues
 * @q: queues of the instance; the limits in it stay
 *
 * Context: caller holds the instance lock.
 */
void liov_queues_clear(struct liov_queues *q)
{
	memset(q->cq, 0, sizeof(q->cq));
	memset(q->sq, 0, sizeof(q->sq));
}
