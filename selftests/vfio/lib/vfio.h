/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One mediated device through the VFIO group and type1 interface, or iommufd, without
 * KVM.  Functions return 0 or a negative errno unless they say otherwise.
 */
#ifndef _LIOV_VFIO_H
#define _LIOV_VFIO_H

#include "device.h"

int vfio_open(struct vfio *v, const char *uuid);
/* The same in the container of @other, which must stay open meanwhile. */
int vfio_open_beside(struct vfio *v, const char *uuid, const struct vfio *other);
/* The device alone: to see what closing it does, and to open it again. */
void vfio_close_device(struct vfio *v);
int vfio_open_device(struct vfio *v, const char *uuid);
/* Its two parts, with a type1 container: what one process opens another can use. */
int vfio_get_device(struct vfio *v, const char *uuid);
int vfio_take_device(struct vfio *v, int fd);

/* Allocates @len bytes and maps them at @iova. */
int vfio_map_mem(struct vfio *v, size_t len, u64 iova);
int vfio_dma_map(struct vfio *v, void *va, u64 iova, u64 len);
int vfio_dma_map_flags(struct vfio *v, void *va, u64 iova, u64 len, u32 flags);
int vfio_dma_unmap(struct vfio *v, u64 iova, u64 len);

/* An eventfd for a single interrupt, ERR or REQ: the file descriptor. */
int vfio_event_on(struct vfio *v, u32 index);
int vfio_irqs_on(struct vfio *v);
int vfio_irqs_off(struct vfio *v);
/* Events since the last call, waiting up to @ms for the first. */
u64 vfio_irq_wait(struct vfio *v, unsigned int vector, int ms);
u64 vfio_event_wait(int fd, int ms);

#endif /* _LIOV_VFIO_H */
