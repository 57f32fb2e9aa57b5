/* SPDX-License-Identifier: GPL-2.0 */
/* Admin commands, waited for, and the queue pairs they make. */
#ifndef _LIOV_ADMIN_H
#define _LIOV_ADMIN_H

#include "nvme.h"

/* Under emulation a command may take a while; nothing depends on the figure. */
#define ADMIN_TIMEOUT_MS	60000

int nvme_admin(struct nvme *n, const struct nvme_sqe *sqe, u32 *result);

/* On the rings @q has, as they are. */
int nvme_make_pair(struct nvme *n, struct nvme_queue *q);
int nvme_create_pair(struct nvme *n, struct nvme_queue *q, u16 qid, u32 sq_depth,
		     u32 cq_depth, u16 vector);
int nvme_delete_pair(struct nvme *n, struct nvme_queue *q);
/* Deletes whatever I/O queues exist; 0 or the first failure. */
int nvme_delete_all(struct nvme *n);

#endif /* _LIOV_ADMIN_H */
