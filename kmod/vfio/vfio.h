/* SPDX-License-Identifier: GPL-2.0 */
/**
 * DOC: vfio
 *
 * What others see: VFIO's device (vfio.c), mdevs that come and go (mdev.c), sysfs (sysfs.c,
 * settings.c, stats.c), and the parent, which is what the module hangs on a controller (parent.c).
 *
 * Owns nothing of an instance but its kobjects.  VFIO's callbacks for regions and interrupts
 * never take liov_instance.lock; the reset hooks come in by liov_parent_ops, inside nvme.ko's
 * reset.
 */
#ifndef _LIOV_VFIO_H
#define _LIOV_VFIO_H

#include "controller/controller.h"

/**
 * struct liov_kobj - a directory of ours in sysfs
 * @kobj:  see liov_kobj_add()
 * @owner: whom most of its attributes are about
 * @host:  whom those of them are about that say so, in BDF/lightiov
 */
struct liov_kobj {
	struct kobject		kobj;
	void			*owner;
	struct liov_host	*host;
};

/**
 * struct liov_attr - a file in it
 * @attr:    its name and mode
 * @of_host: it is about liov_kobj.host
 * @show:    reads it
 * @store:   writes it, or NULL
 */
struct liov_attr {
	struct attribute attr;
	bool of_host;
	ssize_t (*show)(void *owner, char *buf);
	ssize_t (*store)(void *owner, const char *buf, size_t count);
};

#define LIOV_ATTR_RO(_prefix, _name)						\
	static struct liov_attr _prefix##_##_name##_attr = {			\
		.attr = { .name = #_name, .mode = 0444 },			\
		.show = _prefix##_##_name##_show,				\
	}
#define LIOV_ATTR_RW(_prefix, _name)						\
	static struct liov_attr _prefix##_##_name##_attr = {			\
		.attr = { .name = #_name, .mode = 0644 },			\
		.show = _prefix##_##_name##_show,				\
		.store = _prefix##_##_name##_store,				\
	}

/* vfio.c */
void liov_vfio_lost(struct liov_instance *inst);
extern const struct vfio_device_ops liov_vfio_ops;

/* mdev.c */
extern struct mdev_driver liov_mdev_driver;

/* sysfs.c */
extern const struct sysfs_ops liov_kobj_ops;
void liov_kobj_release(struct kobject *kobj);
struct kobject *liov_kobj_add(const struct kobj_type *ktype, void *owner, struct liov_host *host,
			      struct kobject *parent, const char *name);
void liov_kobj_del(struct kobject *kobj);
void liov_sysfs_init_parent(struct liov_parent *p);
int liov_sysfs_add_parent(struct liov_parent *p);
void liov_sysfs_del_parent(struct liov_parent *p);
void liov_sysfs_init_instance(struct liov_instance *inst);
int liov_sysfs_add_instance(struct liov_instance *inst);
void liov_sysfs_del_instance(struct liov_instance *inst);

/* settings.c */
void liov_settings_add(struct liov_host *h);
void liov_settings_del(struct liov_host *h);

/* stats.c */
int liov_stats_add(struct liov_instance *inst);
void liov_stats_add_queue(struct liov_instance *inst, u16 qid);
void liov_stats_del(struct liov_instance *inst);

/* parent.c */
extern const struct liov_host_ops liov_parent_ops;

#endif /* _LIOV_VFIO_H */
