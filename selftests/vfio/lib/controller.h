/* SPDX-License-Identifier: GPL-2.0 */
/* The controller: opened, brought up, identified; with all that lies below it. */
#ifndef _LIOV_CONTROLLER_H
#define _LIOV_CONTROLLER_H

#include "admin.h"
#include "command.h"
#include "dma.h"
#include "mailbox.h"
#include "nvme.h"

/* Opens the device and brings it up; the namespace must not be in use. */
int nvme_open(struct nvme *n, const char *uuid);
/* The same with @len bytes of memory only. */
int nvme_open_mem(struct nvme *n, const char *uuid, size_t len);
/* In the container of @other, with @len bytes at @iova; closed before @other. */
int nvme_open_beside(struct nvme *n, const char *uuid, struct nvme *other, u64 iova, size_t len);
/* Inside a guest: the function @bdf, without VFIO. */
int nvme_open_pci(struct nvme *n, const char *bdf);
void nvme_close(struct nvme *n);

/* nvme_start() in steps: PCI setup and windows, then CC.EN, then identify. */
int nvme_setup_pci(struct nvme *n);
int nvme_disable(struct nvme *n);
int nvme_enable(struct nvme *n);
int nvme_wait_csts(struct nvme *n, u32 mask, u32 val, u32 ms);
int nvme_identify(struct nvme *n);
int nvme_start(struct nvme *n);
/* VFIO_DEVICE_RESET and all of the above. */
int nvme_restart(struct nvme *n);

/* A file of the instance's directory in sysfs as a number: -ENOENT and the like. */
long long nvme_sysfs(struct nvme *n, const char *name);
/* Writes one: 0 or a negative errno. */
int nvme_sysfs_set(struct nvme *n, const char *name, long long val);
/* Are its queue pairs shared? */
bool nvme_is_shared(struct nvme *n);

u32 nvme_get32(struct nvme *n, u32 reg);
u64 nvme_get64(struct nvme *n, u32 reg);
void nvme_put32(struct nvme *n, u32 reg, u32 val);
void nvme_put64(struct nvme *n, u32 reg, u64 val);

/* "Does the device still work?": identify and a 4 KiB read on a fresh queue pair. */
int nvme_check(struct nvme *n);

#endif /* _LIOV_CONTROLLER_H */
