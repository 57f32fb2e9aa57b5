// SPDX-License-Identifier: GPL-2.0
/*
 * LightIOV guest helper for direct mode.
 *
 * In direct mode the drive fetches commands from the guest's own rings, so the
 * addresses the guest's nvme driver puts there must be what the host's IOMMU
 * knows.  The host maps guest RAM at a linear offset (a *window*, asked for
 * through the vendor-specific capability, see uapi/lightiov.h); this module
 * gives the device a dma_range_map that adds the offset.  The nvme driver stays
 * as it is.  Nothing here runs per command.
 *
 * It owns, for each bound LightIOV function in direct mode, one record in
 * liov_guest_list, and it makes dev->dma_range_map.  The map itself belongs to
 * the driver core, which frees it at unbind (device_unbind_cleanup()).  It is
 * made again at each bind; the host's answer to a MAP it has already is the
 * same bus address.
 *
 * Removing this module while nvme is bound is safe: the map stays with the
 * device until the driver is unbound and the windows stay in the host until the
 * VM ends.  Only the next bind, and the watch over memory hotplug, need the
 * module; loading it again takes over where it was.
 *
 * Contexts and locks: the bus notifier runs in the task that binds, with the
 * device lock held, and may sleep; the mailbox of a function is only used there,
 * so the device lock serialises it.  liov_guest_lock covers the list and the
 * records; nothing is allocated and no other lock is taken under it, since the
 * memory notifier takes it inside mem_hotplug_lock.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cc_platform.h>
#include <linux/device.h>
#include <linux/dma-direct.h>
#include <linux/iommu.h>
#include <linux/ioport.h>
#include <linux/list.h>
#include <linux/memory.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/pci.h>
#include <linux/pfn.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/swiotlb.h>

#include "guest.h"

/* Memory added while windows are made is mapped in a further round; not forever. */
#define LIOV_GUEST_ROUNDS		8

/**
 * struct liov_guest_ram - what the DMA map of one device covers
 * @nr:     regions; 0 while the device is refused
 * @region: with a zero-size terminator, ready to become dev->dma_range_map
 */
struct liov_guest_ram {
	unsigned int nr;
	struct bus_dma_region region[];
};

/**
 * struct liov_guest_dev - a bound LightIOV function in direct mode
 * @node: liov_guest_list
 * @dev:  the function; valid while bound, which the record does not outlive
 * @ram:  a copy of its DMA map, so that nobody looks into the core's
 */
struct liov_guest_dev {
	struct list_head node;
	struct device *dev;
	struct liov_guest_ram *ram;
};

static LIST_HEAD(liov_guest_list);
static DEFINE_MUTEX(liov_guest_lock);

/* ---- guest RAM ---- */

static int liov_guest_count_ram(struct resource *res, void *arg)
{
	unsigned int *nr = arg;

	(*nr)++;
	return 0;
}

/*
 * Page-aligned inwards, as walk_system_ram_range() does: a page that is only
 * partly RAM is never given to the page allocator.  Neighbours are merged, since
 * one DMA segment may run across the seam and only its start is translated.
 */
static int liov_guest_add_ram(struct resource *res, void *arg)
{
	u64 start = PFN_PHYS((u64)PFN_UP(res->start));
	u64 end = PFN_PHYS((u64)PFN_DOWN(res->end + 1));
	struct liov_guest_ram *ram = arg;
	struct bus_dma_region *last = ram->nr ? &ram->region[ram->nr - 1] : NULL;

	if (start >= end)
		return 0;
	if (last && last->cpu_start + last->size == start) {
		last->size = end - last->cpu_start;
		return 0;
	}
	/* It grew since it was counted: the caller starts again. */
	if (!ram->region[ram->nr].cpu_start)
		return -EAGAIN;
	ram->region[ram->nr].cpu_start = start;
	ram->region[ram->nr].size = end - start;
	ram->nr++;
	return 0;
}

/* All System RAM, whether online or not: the blocks of one DIMM come and go. */
static struct liov_guest_ram *liov_guest_find_ram(void)
{
	const unsigned long flags = IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY;
	struct liov_guest_ram *ram;
	unsigned int i, nr;
	int rc;

	do {
		nr = 0;
		walk_iomem_res_desc(IORES_DESC_NONE, flags, 0, U64_MAX, &nr,
				    liov_guest_count_ram);
		ram = kzalloc(struct_size(ram, region, nr + 1), GFP_KERNEL);
		if (!ram)
			return NULL;
		/* Marks the places that may be filled; the last stays the terminator. */
		for (i = 0; i < nr; i++)
			ram->region[i].cpu_start = U64_MAX;
		rc = walk_iomem_res_desc(IORES_DESC_NONE, flags, 0, U64_MAX, ram,
					 liov_guest_add_ram);
		if (rc)
			kfree(ram);
	} while (rc == -EAGAIN);

	return rc ? NULL : ram;
}

static bool liov_guest_covers(const struct liov_guest_ram *ram, u64 start, u64 size)
{
	unsigned int i;

	for (i = 0; i < ram->nr; i++) {
		const struct bus_dma_region *r = &ram->region[i];

		if (start >= r->cpu_start && start - r->cpu_start < r->size &&
		    size <= r->size - (start - r->cpu_start))
			return true;
	}
	return false;
}

/* ---- the devices ---- */

#ifdef CONFIG_IOMMU_API
static bool liov_guest_iommu_translates(struct device *dev)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(dev);

	return domain && domain->type != IOMMU_DOMAIN_IDENTITY;
}
#else
static bool liov_guest_iommu_translates(struct device *dev)
{
	return false;
}
#endif

/*
 * Why the offset cannot work for this device, and what to change; NULL if it can.
 * Only dma-direct looks at dma_range_map.
 */
static const char *liov_guest_obstacle(struct device *dev)
{
	if (cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		return "the VM's memory is encrypted; use guarded mode";
	if (liov_guest_iommu_translates(dev))
		return "a vIOMMU translates its DMA; boot with iommu.passthrough=1";
	if (get_dma_ops(dev))
		return "its DMA goes through special dma_map_ops (Xen?); use guarded mode";
	if (is_swiotlb_force_bounce(dev))
		return "all DMA is forced through swiotlb; boot without swiotlb=force";
	if (dev->dma_range_map)
		return "the firmware gave it a DMA range map; use guarded mode";
	return NULL;
}

/*
 * Makes sure that no DMA goes to a wrong address: with a map that covers
 * nothing, dma-direct refuses every mapping, the nvme driver cannot even get its
 * admin queue and its probe fails with -ENOMEM.  The notifier itself has no way
 * to stop a probe.  A vIOMMU or foreign dma_map_ops do not look at the map; there
 * the host is the barrier: it makes no I/O queue while there is no window, hence
 * liov_guest_unmap_all().
 *
 * There is no safe way to go on without the two words, so the allocation must
 * not fail.
 */
static void liov_guest_refuse(struct pci_dev *pdev, int vsec)
{
	const struct bus_dma_region *old = pdev->dev.dma_range_map;

	pdev->dev.dma_range_map = kcalloc(1, sizeof(*old), GFP_KERNEL | __GFP_NOFAIL);
	kfree(old);
	liov_guest_unmap_all(pdev, vsec);
}

/* Drops the record of a device that is not bound (any more). */
static void liov_guest_forget(struct device *dev)
{
	struct liov_guest_dev *gd, *tmp;

	mutex_lock(&liov_guest_lock);
	list_for_each_entry_safe(gd, tmp, &liov_guest_list, node) {
		if (gd->dev != dev)
			continue;
		list_del(&gd->node);
		kfree(gd->ram);
		kfree(gd);
	}
	mutex_unlock(&liov_guest_lock);
}

/* Publishes what the device's map covers; replaces what was there. */
static int liov_guest_remember(struct device *dev, struct liov_guest_ram *ram)
{
	struct liov_guest_dev *gd = kzalloc(sizeof(*gd), GFP_KERNEL);

	if (!gd)
		return -ENOMEM;
	gd->dev = dev;
	gd->ram = ram;
	liov_guest_forget(dev);
	mutex_lock(&liov_guest_lock);
	list_add_tail(&gd->node, &liov_guest_list);
	mutex_unlock(&liov_guest_lock);
	return 0;
}

/* Has memory been added that the map leaves out? */
static bool liov_guest_ram_grew(const struct liov_guest_ram *ram)
{
	struct liov_guest_ram *now = liov_guest_find_ram();
	bool grew = false;
	unsigned int i;

	if (!now)
		return true;
	for (i = 0; i < now->nr; i++)
		grew |= !liov_guest_covers(ram, now->region[i].cpu_start,
					   now->region[i].size);
	kfree(now);
	return grew;
}

/* One round: windows for the RAM of now, and the record of it. */
static int liov_guest_map_ram(struct pci_dev *pdev, int vsec, struct liov_guest_ram **res)
{
	struct liov_guest_ram *ram = liov_guest_find_ram();
	struct bus_dma_region *r;
	int rc;

	if (!ram)
		return -ENOMEM;
	for (r = ram->region; r->size; r++) {
		rc = liov_guest_map_window(pdev, vsec, r);
		if (rc) {
			pci_err(pdev, "LightIOV: the host cannot map guest memory %#llx-%#llx (%pe)%s\n",
				(u64)r->cpu_start, (u64)r->cpu_start + r->size - 1, ERR_PTR(rc),
				rc == -ETIMEDOUT ? "; no answer in time, bind the driver again" :
				"; see the host's log");
			goto err;
		}
	}
	rc = liov_guest_remember(&pdev->dev, ram);
	if (rc)
		goto err;
	*res = ram;
	return 0;
err:
	kfree(ram);
	return rc;
}

/*
 * Before the driver's probe.  The record is published before the RAM is looked
 * at again, so that memory which comes up meanwhile is either seen here or
 * turned away by liov_guest_mem_notify().
 */
static void liov_guest_bind(struct pci_dev *pdev)
{
	int vsec = liov_guest_find_cap(pdev);
	unsigned int rounds = LIOV_GUEST_ROUNDS;
	struct liov_guest_ram *ram;
	struct bus_dma_region *map;
	const char *why;
	int rc;

	if (!vsec)
		return;
	/*
	 * A driver that hands the function to user space (vfio-pci) does no DMA
	 * of its own; whoever drives it asks for windows itself.
	 */
	if (to_pci_driver(pdev->dev.driver)->driver_managed_dma)
		return;

	why = liov_guest_obstacle(&pdev->dev);
	if (why) {
		pci_err(pdev, "LightIOV: direct mode cannot work here: %s\n", why);
		goto refuse;
	}

	do {
		rc = liov_guest_map_ram(pdev, vsec, &ram);
		if (rc)
			goto refuse_forget;
	} while (liov_guest_ram_grew(ram) && --rounds);
	if (!rounds) {
		pci_err(pdev, "LightIOV: memory keeps being added; bind the driver again\n");
		goto refuse_forget;
	}

	map = kmemdup(ram->region, (ram->nr + 1) * sizeof(*map), GFP_KERNEL);
	if (!map)
		goto refuse_forget;
	pdev->dev.dma_range_map = map;
	pci_info(pdev, "LightIOV: direct mode, %u DMA window%s, guest %#llx is bus %#llx\n",
		 ram->nr, ram->nr == 1 ? "" : "s", (u64)map[0].cpu_start,
		 (u64)map[0].dma_start);
	return;

refuse_forget:
	liov_guest_forget(&pdev->dev);
	pci_err(pdev, "LightIOV: not usable without its DMA windows, the driver's probe will fail\n");
refuse:
	liov_guest_refuse(pdev, vsec);
}

static int liov_guest_bus_notify(struct notifier_block *nb, unsigned long event, void *data)
{
	struct device *dev = data;

	switch (event) {
	case BUS_NOTIFY_BIND_DRIVER:
		liov_guest_bind(to_pci_dev(dev));
		return NOTIFY_OK;
	/* Not at UNBIND_DRIVER: the driver still does I/O then. */
	case BUS_NOTIFY_UNBOUND_DRIVER:
	case BUS_NOTIFY_DRIVER_NOT_BOUND:
		liov_guest_forget(dev);
		return NOTIFY_OK;
	}
	return NOTIFY_DONE;
}

static struct notifier_block liov_guest_bus_nb = {
	.notifier_call = liov_guest_bus_notify,
};

/*
 * Memory that comes up after the bind is outside the device's map.  Its pages
 * could not be used for I/O, and the page cache would soon hand them out.  The
 * map cannot be exchanged under a running driver: the DMA code reads it without
 * any lock.  So such memory stays offline until the device has been bound anew.
 * What goes offline and returns is inside the windows and is let through.
 */
static int liov_guest_mem_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	const struct memory_notify *mem = data;
	u64 start = PFN_PHYS((u64)mem->start_pfn);
	u64 size = PFN_PHYS((u64)mem->nr_pages);
	struct liov_guest_dev *gd;
	int rc = NOTIFY_OK;

	if (action != MEM_GOING_ONLINE)
		return NOTIFY_DONE;

	mutex_lock(&liov_guest_lock);
	list_for_each_entry(gd, &liov_guest_list, node) {
		if (liov_guest_covers(gd->ram, start, size))
			continue;
		dev_err(gd->dev, "LightIOV: memory %#llx-%#llx stays offline: it is outside the device's DMA windows; unbind the device's driver, set the memory online, then bind the driver again\n",
			start, start + size - 1);
		rc = NOTIFY_BAD;
	}
	mutex_unlock(&liov_guest_lock);
	return rc;
}

static struct notifier_block liov_guest_mem_nb = {
	.notifier_call = liov_guest_mem_notify,
};

/*
 * Takes over a map that an earlier load of this module made for a driver that is
 * still bound.  Returns false if there is none, or an empty one.
 */
static bool liov_guest_adopt(struct pci_dev *pdev)
{
	const struct bus_dma_region *map = pdev->dev.dma_range_map;
	struct liov_guest_ram *ram;
	unsigned int nr = 0;

	while (map && map[nr].size)
		nr++;
	if (!nr)
		return false;

	ram = kzalloc(struct_size(ram, region, nr + 1), GFP_KERNEL);
	if (ram) {
		ram->nr = nr;
		memcpy(ram->region, map, nr * sizeof(*map));
	}
	if (!ram || liov_guest_remember(&pdev->dev, ram)) {
		kfree(ram);
		pci_warn(pdev, "LightIOV: out of memory; memory hotplug is not watched\n");
	} else if (liov_guest_ram_grew(ram)) {
		pci_warn(pdev, "LightIOV: memory was added while this module was not loaded; bind the driver again so that the device can reach it\n");
	}
	return true;
}

/*
 * A function that was bound before this module came has no I/O queues (the host
 * refuses them without windows), so nobody uses it: bind it once more.  One whose
 * probe has failed gets its second chance too.
 */
static void liov_guest_scan(struct pci_dev *pdev)
{
	struct device *dev = &pdev->dev;
	bool redo = false;

	/* As __driver_probe_device(): a sleeping port hides what is behind it. */
	if (dev->parent)
		pm_runtime_get_sync(dev->parent);

	device_lock(dev);
	if (liov_guest_find_cap(pdev)) {
		if (!dev->driver)
			redo = true;
		else if (!to_pci_driver(dev->driver)->driver_managed_dma)
			redo = !liov_guest_adopt(pdev);
	}
	device_unlock(dev);

	/* Takes the device lock itself, and comes back through the bus notifier. */
	if (redo && device_reprobe(dev) < 0)
		pci_warn(pdev, "LightIOV: could not be bound again; do it through sysfs\n");

	if (dev->parent)
		pm_runtime_put(dev->parent);
}

static int __init liov_guest_init(void)
{
	struct pci_dev *pdev = NULL;
	int rc;

	rc = register_memory_notifier(&liov_guest_mem_nb);
	if (rc)
		return rc;
	/* Before the scan: a function bound in between is seen by one of the two. */
	rc = bus_register_notifier(&pci_bus_type, &liov_guest_bus_nb);
	if (rc) {
		unregister_memory_notifier(&liov_guest_mem_nb);
		return rc;
	}
	for_each_pci_dev(pdev)
		liov_guest_scan(pdev);
	return 0;
}

static void __exit liov_guest_exit(void)
{
	struct liov_guest_dev *gd, *tmp;

	bus_unregister_notifier(&pci_bus_type, &liov_guest_bus_nb);
	unregister_memory_notifier(&liov_guest_mem_nb);

	list_for_each_entry_safe(gd, tmp, &liov_guest_list, node) {
		dev_info(gd->dev, "LightIOV: keeps its DMA windows until its driver is unbound; load %s again before the next bind\n",
			 KBUILD_MODNAME);
		kfree(gd->ram);
		kfree(gd);
	}
}

module_init(liov_guest_init);
module_exit(liov_guest_exit);

MODULE_DESCRIPTION("LightIOV guest helper: DMA windows for direct mode");
MODULE_LICENSE("GPL");
