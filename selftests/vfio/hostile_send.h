/* SPDX-License-Identifier: GPL-2.0 */
/* How a phase sends commands and takes completions. */
#ifndef _LIOV_HOSTILE_SEND_H
#define _LIOV_HOSTILE_SEND_H

#include "hostile.h"

/* When the slice of time of a phase that begins now is over. */
u64 slice_end(void);
/* A while for the device; no exit inside a guest. */
void relax(struct hostile *h);

/* A fresh pair in @h->q, and no other. */
bool fresh_pair(struct test *t, struct hostile *h, u16 qid, u32 sq, u32 cq);

typedef void (*gen_fn)(struct hostile *h, struct nvme_sqe *sqe, unsigned int slot);

/* Fills the ring with commands of free slots. */
void send_shots(struct hostile *h, gen_fn gen, bool judged);
/* Takes what came; with @judged each against its verdict. */
unsigned int reap_shots(struct test *t, struct hostile *h, bool judged);
bool drain_shots(struct test *t, struct hostile *h, bool judged);

#endif /* _LIOV_HOSTILE_SEND_H */
