/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: vfio
 *
 * What others see: VFIO's device (vfio.c), mdevs that come and go (mdev.c), sysfs (sysfs.c,
 * stats.c), and the parent, which is what the module hangs on a controller (parent.c).
 *
 * Owns nothing of an instance but its kobjects.  VFIO's callbacks for regions and interrupts
 * never take liov_instance.lock; the reset hooks come in by liov_parent_ops, inside nvme.ko's
 * reset.
 */
#ifndef _LIOV_VFIO_H
#define _LIOV_VFIO_H

#include "controller/controller.h"

/* vfio.c */
void liov_vfio_lost(struct liov_instance *inst);
extern const struct vfio_device_ops liov_vfio_ops;

/* mdev.c */
extern struct mdev_driver liov_mdev_driver;

/* sysfs.c */
void liov_sysfs_init_parent(struct liov_parent *p);
int liov_sysfs_add_parent(struct liov_parent *p);
void liov_sysfs_del_parent(struct liov_parent *p);
void liov_sysfs_init_instance(struct liov_instance *inst);
int liov_sysfs_add_instance(struct liov_instance *inst);
void liov_sysfs_del_instance(struct liov_instance *inst);

/* stats.c */
int liov_stats_add(struct liov_instance *inst);
void liov_stats_del(struct liov_instance *inst);

/* parent.c */
extern const struct liov_host_ops liov_parent_ops;

#endif /* _LIOV_VFIO_H */
