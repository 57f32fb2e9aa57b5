// SPDX-License-Identifier: GPL-2.0
/* Commands, filled in; nothing is sent. */
#include "command.h"
#include "dma.h"

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
