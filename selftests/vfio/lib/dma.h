/* SPDX-License-Identifier: GPL-2.0 */
/* Memory of the device: handed out, and what the device calls it. */
#ifndef _LIOV_DMA_H
#define _LIOV_DMA_H

#include "nvme.h"

/* Memory of the device, page aligned and zeroed; NULL when used up. */
void *nvme_alloc(struct nvme *n, size_t len);
void nvme_free_all(struct nvme *n);
u64 nvme_dma(struct nvme *n, const void *p);
/* The other way: where @addr lies in @n->v.mem, NULL if it does not. */
void *nvme_ptr(struct nvme *n, u64 addr);

#endif /* _LIOV_DMA_H */
