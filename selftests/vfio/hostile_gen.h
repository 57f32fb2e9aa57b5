/* SPDX-License-Identifier: GPL-2.0 */
/* Commands as a hostile guest makes them. */
#ifndef _LIOV_HOSTILE_GEN_H
#define _LIOV_HOSTILE_GEN_H

#include "hostile.h"

void gen_good(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
void gen_any(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
/* A command for a ring, or ranges, that are scribbled upon while it is read. */
void gen_racing(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
void gen_racing_ranges(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);
/* One field of a command in the ring, of a list, of ranges gets another value. */
void gen_scribble(struct hostile *h, u64 *rng);
void gen_scribble_ranges(struct hostile *h, u64 *rng);
u64 gen_bad_address(struct hostile *h, u64 *rng);

#endif /* _LIOV_HOSTILE_GEN_H */
