/* SPDX-License-Identifier: GPL-2.0 */
/* What must become of a command, and whether it spares the canaries. */
#ifndef _LIOV_HOSTILE_MODEL_H
#define _LIOV_HOSTILE_MODEL_H

#include "hostile.h"

/* What is wrong with a command: bits, each with the statuses it allows. */
#define V_OPCODE	BIT(0)
#define V_FIELD		BIT(1)
#define V_NSID		BIT(2)
#define V_LBA		BIT(3)
#define V_OFFSET	BIT(4)
#define V_MEMORY	BIT(5)
#define V_LIMIT		BIT(6)
#define V_MISCOMPARE	BIT(7)	/* or not: the data decide */
#define V_UNSURE	BIT(8)	/* what it points to may change meanwhile */

u32 model_verdict(struct hostile *h, const struct nvme_sqe *sqe, unsigned int slot);
bool model_allows(u32 verdict, int status);
bool model_offers(struct hostile *h, u8 opcode);
/* The command, whatever becomes of it, spares what must be spared. */
bool model_spares_canaries(struct hostile *h, const struct nvme_sqe *sqe, unsigned int slot);

#endif /* _LIOV_HOSTILE_MODEL_H */
