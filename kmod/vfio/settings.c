// SPDX-License-Identifier: GPL-2.0
/*
 * What an operator decides about a controller: files of BDF/lightiov/, which are there as
 * long as nvme is bound to it, whether it is offered to guests or not (Documentation/ABI).
 *
 * Owns the directory (liov_host.dir), in which sysfs.c has what is about a parent.  Called
 * by the host boundary (liov_host_ops.bound, .unbound).
 */
#define pr_fmt(fmt) "lightiov: " fmt

#include <linux/slab.h>
#include <linux/sysfs.h>

#include "core.h"
#include "vfio/vfio.h"

#define LIOV_HOST_ATTR(_name)							\
	static struct liov_attr host_##_name##_attr = {				\
		.attr = { .name = #_name, .mode = 0644 },			\
		.of_host = true,						\
		.show = host_##_name##_show,					\
		.store = host_##_name##_store,					\
	}

static ssize_t host_offered_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%d\n", liov_host_is_offered(owner));
}

static ssize_t host_offered_store(void *owner, const char *buf, size_t count)
{
	struct liov_host *h = owner;
	bool offer;
	int rc = kstrtobool(buf, &offer);

	if (rc)
		pci_warn(h->pdev, "lightiov: offered: write 1 or 0\n");
	else
		rc = offer ? liov_host_offer(h) : liov_host_withdraw(h);
	return rc ?: count;
}
LIOV_HOST_ATTR(offered);

static ssize_t host_host_queues_show(void *owner, char *buf)
{
	unsigned int n = liov_host_get_queues(owner);

	return n == LIOV_AUTO ? sysfs_emit(buf, "auto\n") : sysfs_emit(buf, "%u\n", n);
}

static ssize_t host_host_queues_store(void *owner, const char *buf, size_t count)
{
	struct liov_host *h = owner;
	unsigned int n;
	int rc = liov_host_queues_parse(buf, &n);

	if (rc) {
		pci_warn(h->pdev, "lightiov: host_queues: write auto, or a number from 1 on\n");
		return rc;
	}
	liov_host_set_queues(h, n);
	return count;
}
LIOV_HOST_ATTR(host_queues);

static ssize_t host_reserve_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%u\n", liov_host_get_reserve(owner));
}

static ssize_t host_reserve_store(void *owner, const char *buf, size_t count)
{
	struct liov_host *h = owner;
	unsigned int n;
	int rc = liov_reserve_parse(buf, &n);

	if (rc) {
		pci_warn(h->pdev, "lightiov: reserve: write a number of queue pairs\n");
		return rc;
	}
	liov_host_set_reserve(h, n);
	return count;
}
LIOV_HOST_ATTR(reserve);

static ssize_t host_apply_show(void *owner, char *buf)
{
	return sysfs_emit(buf, "%d\n", liov_host_is_due(owner));
}

static ssize_t host_apply_store(void *owner, const char *buf, size_t count)
{
	struct liov_host *h = owner;
	bool apply;
	int rc = kstrtobool(buf, &apply);

	if (rc || !apply) {
		pci_warn(h->pdev, "lightiov: apply: write 1\n");
		return -EINVAL;
	}
	rc = liov_host_apply(h);
	return rc ?: count;
}
LIOV_HOST_ATTR(apply);

static struct attribute *host_attrs[] = {
	&host_offered_attr.attr,
	&host_host_queues_attr.attr,
	&host_reserve_attr.attr,
	&host_apply_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(host);

static const struct kobj_type host_ktype = {
	.release	= liov_kobj_release,
	.sysfs_ops	= &liov_kobj_ops,
	.default_groups	= host_groups,
};

/**
 * liov_settings_add() - make BDF/lightiov
 * @h: host to which nvme is bound, or about to be
 *
 * May sleep.  Without memory there is none, and the controller cannot be offered.
 */
void liov_settings_add(struct liov_host *h)
{
	struct kobject *kobj;

	kobj = liov_kobj_add(&host_ktype, NULL, h, &h->pdev->dev.kobj, "lightiov");
	if (IS_ERR(kobj)) {
		pci_err(h->pdev, "lightiov: cannot make sysfs files (%ld); bind nvme again to try again\n",
			PTR_ERR(kobj));
		return;
	}
	h->dir = kobj;
}

/**
 * liov_settings_del() - remove it; waits for readers and writers
 * @h: host whose parent, if there was one, has gone
 *
 * May sleep.
 */
void liov_settings_del(struct liov_host *h)
{
	struct kobject *kobj = xchg(&h->dir, NULL);

	if (kobj)
		liov_kobj_del(kobj);
}
