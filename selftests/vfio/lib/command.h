/* SPDX-License-Identifier: GPL-2.0 */
/* Commands, filled in. */
#ifndef _LIOV_COMMAND_H
#define _LIOV_COMMAND_H

#include "nvme.h"

struct nvme_sqe cmd_identify(u8 cns, u32 nsid, u64 prp1);
struct nvme_sqe cmd_create_cq(u16 qid, u32 depth, u64 prp1, u16 vector);
struct nvme_sqe cmd_create_sq(u16 qid, u32 depth, u64 prp1, u16 cqid);
struct nvme_sqe cmd_delete(u8 opcode, u16 qid);
struct nvme_sqe cmd_log(u8 lid, u32 nsid, u64 prp1, u32 len);
/* A command of LBAs with PRP1 only. */
struct nvme_sqe cmd_rw(struct nvme *n, u8 opcode, u64 slba, u32 nlb, const void *buf);

/* Fills PRP1 and PRP2 for @len bytes at @buf; @list is a page for the list. */
void nvme_set_prps(struct nvme *n, struct nvme_sqe *sqe, const void *buf, u32 len, u64 *list);

#endif /* _LIOV_COMMAND_H */
